"""The energies of an accelerator: its own table, or the one estimated from its components.

Only this module makes a table from an accelerator's components, so that all callers get the same energies.
"""

from sparsim.records import Accelerator, EnergyTable
from sparsim.records.energy_table import ResolvedEnergy, resolve_energy


def energy_table(accelerator: Accelerator) -> EnergyTable | None:
    """Return the energy table of `accelerator`; None if all energies are built in.

    Raises SpecError for components that cannot be estimated.
    """
    if not accelerator.components:
        return accelerator.energy
    return accelerator.kept("energy table", (), lambda: _estimated(accelerator))


def _estimated(accelerator: Accelerator) -> EnergyTable:
    from sparsim.estimate.estimate_components import estimate_table  # most accelerators have a table

    return estimate_table(accelerator.components)


def resolved_energy(accelerator: Accelerator) -> ResolvedEnergy:
    """Return the energy of each action and its source (model 4.4, 4.5). Raises SpecError."""
    return accelerator.kept(
        "resolved energy", (), lambda: resolve_energy(accelerator.architecture, energy_table(accelerator))
    )
