"""The energies of an accelerator: its own table, or the one that its components are estimated to have.

Nothing else makes a table of an accelerator's components, so that all who ask get the same energies.
"""

from sparsim.estimate.estimate_components import estimate_table
from sparsim.records import Accelerator, EnergyTable
from sparsim.records.energy_table import ResolvedEnergy, resolve_energy


def energy_table(accelerator: Accelerator) -> EnergyTable | None:
    """The energy table that holds for `accelerator`; None where all energies are built in.

    Raises SpecError for components that cannot be estimated.
    """
    if not accelerator.components:
        return accelerator.energy
    return accelerator.kept("energy table", (), lambda: estimate_table(accelerator.components))


def resolved_energy(accelerator: Accelerator) -> ResolvedEnergy:
    """What each action costs, and where that comes from (model 4.4, 4.5). Raises SpecError."""
    return accelerator.kept(
        "resolved energy", (), lambda: resolve_energy(accelerator.architecture, energy_table(accelerator))
    )
