"""All results of the study's stages, from which its report, figures and files are made."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pointnet.study.cloud_costs import CloudCosts
from pointnet.study.design_costs import BOTH, DENSE
from pointnet.study.pruning_comparison import CONTROL
from pointnet.study.study_networks import Network, Traced
from sparsim.hardware import NetworkCost
from sparsim.report.machine_comparison import MachineRun


class Compared(NamedTuple):
    """A network of the comparison: the variant that its costs have, and what it is called."""

    network: str
    variant: str
    title: str


class Findings(NamedTuple):
    """`costs`: by design and variant, or name of a further pruned network. `clouds`: by design and variant.
    `machines`: runs by machine and title of a network.

    `by_energy`: the network that was pruned by its energy on a design, and that design; None: none was.
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
        """The unpruned network, the pruned one, and the one that was pruned by energy if there is one."""
        return compared(self.pruned, self.by_energy and self.by_energy[0])


def compared(pruned: str, by_energy: str | None) -> list[Compared]:
    found = [Compared(CONTROL, DENSE, "unpruned"), Compared(pruned, BOTH, "pruned by magnitude")]
    if by_energy is not None:
        found.append(Compared(by_energy, by_energy, "pruned by energy"))
    return found
