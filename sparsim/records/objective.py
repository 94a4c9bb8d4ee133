"""What a search or a plan makes small: energy, delay, or their product, alone or in an order."""

from collections.abc import Sequence
from typing import Any, Literal

from sparsim.errors import SpecError, near

ObjectiveName = Literal["energy", "delay", "edp"]
Objective = str | Sequence[str]

OBJECTIVES: tuple[ObjectiveName, ...] = ("energy", "delay", "edp")
UNITS = {"energy": "pJ", "delay": "cycles", "edp": "pJ x cycles"}


def objective_names(objective: Objective) -> tuple[str, ...]:
    """The names in an objective, the most important first.

    Raises SpecError for unknown, repeated or missing ones.
    """
    names = (objective,) if isinstance(objective, str) else tuple(objective)
    for name in names:
        if name not in OBJECTIVES:
            hint = near(str(name), OBJECTIVES)
            raise SpecError(f"unknown objective '{name}'", path="objective", hint=hint)
    if not names or len(set(names)) < len(names):
        raise SpecError(f"{len(names)} objectives, needed are one or more, each once", path="objective")
    return names


def compared_by(objectives: tuple[str, ...]) -> tuple[str, ...]:
    """What mappings are compared by for such objectives: between equals in delay the lower energy wins."""
    return (*objectives, "energy") if objectives == ("delay",) else objectives


def objective_value(name: str, energy_pj: Any, cycles: Any) -> Any:
    """The value that is to be small, of numbers, arrays or tensors of one shape."""
    match name:
        case "energy":
            return energy_pj
        case "delay":
            return cycles
        case _:
            return energy_pj * cycles


def edp_j_cycles(energy_pj: Any, cycles: Any) -> Any:
    """The product of energy and delay, in joules times cycles."""
    return energy_pj * 1e-12 * cycles
