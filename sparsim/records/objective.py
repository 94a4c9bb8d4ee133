"""The quantities that a search or a plan minimises: energy, delay, their product, or accesses, alone or in
order of importance.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sparsim.errors import SpecError, near

ObjectiveName = Literal["energy", "delay", "edp"]
Objective = str | Sequence[str]

OBJECTIVES: tuple[ObjectiveName, ...] = ("energy", "delay", "edp")
ACCESSES = "accesses-"  # followed by the name of a storage level
LAST_LEVEL, ORDERED = "last-level-accesses", "ordered-accesses"  # of the outermost level; of all levels
UNITS = {"energy": "pJ", "delay": "cycles", "edp": "pJ x cycles"}


def objective_names(objective: Objective, levels: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the names in an objective, the most important one first.

    Parameters
    ----------
    objective : str or sequence of str
        "energy", "delay" or "edp", or several of them.
    levels : sequence of str, default ()
        Names of the storage levels from outer to inner. With them accesses are objectives, too: those of a
        level ("accesses-NAME"), of the outermost one ("last-level-accesses"), and of all levels from outside
        ("ordered-accesses"), which are several objectives.

    Returns
    -------
    tuple of str

    Raises
    ------
    SpecError
        If a name is unknown or repeated, or if there is none.
    """
    given = (objective,) if isinstance(objective, str) else tuple(objective)
    accesses = [ACCESSES + level for level in levels]
    known = (*OBJECTIVES, *([LAST_LEVEL, ORDERED] if levels else ()), *accesses)
    names = tuple(spelled(name, known) for name in given)
    for name in names:
        if name not in known:
            raise SpecError(f"unknown objective '{name}'", path="objective", hint=near(str(name), known))
    if not names or len(set(names)) < len(names):
        raise SpecError(
            f"there must be at least one objective, and each only once, got {len(names)}", path="objective"
        )
    meant = {LAST_LEVEL: accesses[:1], ORDERED: accesses}
    return tuple(dict.fromkeys(one for name in names for one in meant.get(name, (name,))))


def spelled(name: str, known: Sequence[str]) -> str:
    """Return the name in the known spelling, with words joined by hyphens."""
    if name in known:
        return name
    return next((one for one in known if one.replace("_", "-") == str(name).replace("_", "-")), name)


def unit_of(name: str) -> str:
    return UNITS.get(name, "words")


def compared_by(objectives: tuple[str, ...]) -> tuple[str, ...]:
    """Return the objectives by which mappings are compared: of mappings with equal delay the one with the
    lower energy is better.
    """
    return (*objectives, "energy") if objectives == ("delay",) else objectives


def objective_value(
    name: str, energy_pj: Any, cycles: Any, *, accesses: Mapping[str, Any] | None = None
) -> Any:
    """Return the value that is minimised.

    Parameters
    ----------
    name : str
        Name of one objective.
    energy_pj : float, array or tensor
        Energy in pJ.
    cycles : float, array or tensor
        Cycles, with the same shape.
    accesses : mapping of str to float, array or tensor, default None
        Accesses by the name of the objective.

    Returns
    -------
    float, array or tensor
        Energy in pJ, cycles, their product, or accesses in words.
    """
    match name:
        case "energy":
            return energy_pj
        case "delay":
            return cycles
        case "edp":
            return energy_pj * cycles
        case _:
            return (accesses or {})[name]


def edp_j_cycles(energy_pj: Any, cycles: Any) -> Any:
    """Return the product of energy and delay.

    Parameters
    ----------
    energy_pj : float, array or tensor
        Energy in pJ.
    cycles : float, array or tensor
        Cycles.

    Returns
    -------
    float, array or tensor
        The product in J x cycles.
    """
    return energy_pj * 1e-12 * cycles
