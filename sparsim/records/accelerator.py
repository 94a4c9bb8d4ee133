"""The record of an accelerator: architecture, sparse policy, energies and mapspace."""

from sparsim.errors import SpecError
from sparsim.records.architecture import Architecture
from sparsim.records.component import Component
from sparsim.records.energy_table import EnergyTable
from sparsim.records.mapspace import Mapspace
from sparsim.records.record import Record
from sparsim.records.sparsity import SparsePolicy


class Accelerator(Record, frozen=True, kw_only=True):
    """An accelerator in the sense of Timeloop.

    Parameters
    ----------
    architecture : Architecture
        Storage levels and compute units.
    policy : SparsePolicy, default None
        Formats, gating and skipping. None stands for a dense accelerator, with the dense report.
    energy : EnergyTable, default None
        Energies per action in pJ. Without a table and without components, the built-in energies hold
        (model 4.4).
    components : tuple of Component, default ()
        Components from which `sparsim.estimate` makes the energy table, in place of `energy`.
    mapspace : Mapspace, default None
        The mappings that a search may choose from; all of them by default.

    Raises
    ------
    SpecError
        If both `energy` and `components` are given.
    """

    architecture: Architecture
    policy: SparsePolicy | None = None
    energy: EnergyTable | None = None
    components: tuple[Component, ...] = ()
    mapspace: Mapspace | None = None

    def __post_init__(self) -> None:
        if self.energy is not None and self.components:
            raise SpecError("'energy' and 'components' cannot be given together")

    @property
    def name(self) -> str:
        """The name of the architecture."""
        return self.architecture.name
