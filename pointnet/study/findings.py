"""Results of all stages of the study, from which its report, figures and files are made."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pointnet.study.cloud_costs import CloudCosts
from pointnet.study.design_costs import BOTH, DENSE
from pointnet.study.pruning_comparison import CONTROL
from pointnet.study.study_networks import Network, Traced
from sparsim.hardware import NetworkCost
from sparsim.report.machine_comparison import MachineRun


class Compared(NamedTuple):
    """A network of the comparison: the variant of its costs, and its title."""

    network: str
    variant: str
    title: str


class Findings(NamedTuple):
    """Results of all stages.

    `costs` are by design and by variant, or by the name of a further pruned network. `clouds` are by design
    and variant. `machines` has runs by machine and title of a network. `by_energy` is the network that was
    pruned by its energy on a design, and that design; None if there is no such network.
    """

    facts: Mapping[str, str]
    networks: Mapping[str, Network]
    pruned: str
    names_of_pruned: Sequence[str]
    by_energy: tuple[str, str] | None
    traces: Mapping[str, Traced]
    costs: Mapping[str, Mapping[str, NetworkCost]]
    clouds: Mapping[str, Mapping[str, CloudCosts]]
    machines: Mapping[str, Mapping[str, MachineRun]]
    reproduction: Mapping[str, Any]
    primes: Sequence[Mapping[str, Any]]

    @property
    def compared(self) -> list[Compared]:
        """Return the unpruned network, the pruned one, and the one pruned by energy if there is one."""
        return compared(self.pruned, self.by_energy and self.by_energy[0])


def compared(pruned: str, by_energy: str | None) -> list[Compared]:
    found = [Compared(CONTROL, DENSE, "unpruned"), Compared(pruned, BOTH, "pruned by magnitude")]
    if by_energy is not None:
        found.append(Compared(by_energy, by_energy, "pruned by energy"))
    return found
