"""Certificates of the best mapping of a search, in numbers and in words."""

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from sparsim.mapper.engine import Engine, Known
from sparsim.mapper.incumbents import Incumbents
from sparsim.mapper.relaxation import Relaxation
from sparsim.mapper.search_result import Certificate, SearchResult, Statistics
from sparsim.records.objective import unit_of

ROUNDING = 1e-9  # relative gap by rounding of bounds: a mapping this close to its bound is optimal


def is_proven(objectives: tuple[str, ...], kept: Incumbents, parts: Sequence[Engine], whole: Known) -> bool:
    """Return whether the best mapping reaches the lower bound of the mapspace in all objectives."""
    if not kept.entries:
        return False
    best = kept.entries[0]
    if not _reaches(best.values[0], _lower_bound(kept, parts, whole)):
        return False
    if len(objectives) == 1:
        return True
    relaxed = _of_all(parts, whole)
    return (
        objectives == ("delay", "energy") and relaxed is not None
        and best.cycles == relaxed.least and _reaches(best.energy_pj, relaxed.energy_pj)
    )  # fmt: skip


def gap_of(kept: Incumbents, parts: Sequence[Engine], whole: Known) -> float:
    """Return how far the first objective of the best mapping may be above the optimum, relative to itself."""
    value = kept.entries[0].values[0]
    return (value - _lower_bound(kept, parts, whole)) / value if value else 0.0


def certify(
    objectives: tuple[str, ...],
    kept: Incumbents,
    parts: Sequence[Engine],
    whole: Known,
    mapspace: str,
    complete: bool,
    seen: Statistics,
    passed: int,
) -> Certificate:
    """Return the certificate of the best in `kept`; `parts` are those of the mapspace, if all are listed.

    `whole` is known of all, and `complete` tells whether each mapping was evaluated, bounded or found to be
    invalid.
    """
    objective, value = objectives[0], kept.entries[0].values[0]
    if complete:
        return Certificate(
            kind="optimal", objective=objective, value=value, lower_bound=value, gap=0.0,
            statement=f"no mapping in mapspace '{mapspace}' is better in {', '.join(objectives)}: "
            f"of {seen.candidates} candidates {seen.candidates_over_fan_out} exceed the fan-out, "
            f"{seen.candidates_over_capacity} a capacity, {seen.candidates_over_bound} the best by their "
            f"lower bound, and all arrangements of the other {passed} were bounded or evaluated",
        )  # fmt: skip
    lower = _lower_bound(kept, parts, whole)
    gap = gap_of(kept, parts, whole)
    counted = "operations, units and words that must move"
    relaxations = [part.known.relaxed for part in parts]
    if not parts:
        counted = "no more than that, because not all covered bounds are known"
    relaxed = _of_all(parts, whole)
    if whole.relaxed is not None and whole.floor >= lower:
        classes, searched, opened = whole.relaxed.counts
        counted = (
            f"the cheapest chain of tiles for each of {classes} choices of spatial factors and keeps, with "
            f"any covered bounds, of which {searched} have a shortest path, and {opened} with given ones"
        )
    elif relaxations and all(relaxations):
        classes, searched, split = np.sum([one.counts for one in relaxations if one], axis=0).tolist()
        counted = (
            f"the cheapest chain of tiles for each of {classes} choices of spatial factors and keeps, of "
            f"which {searched} have a shortest path and {split} were split by sizes of tiles"
        )
    then = ""
    if relaxed and objective == "delay" and lower == value:
        then = f"; none with that delay has an energy below {relaxed.energy_pj:g} pJ"
    proven = is_proven(objectives, kept, parts, whole)
    away = "reaches that" if proven else f"is {100 * gap:.3g}% of its {objective} above that"
    return Certificate(
        kind="optimal" if proven else "gap", objective=objective, value=value, lower_bound=lower, gap=gap,
        statement=f"no mapping in mapspace '{mapspace}' has {_with_article(objective)} below "
        f"{lower:g} {unit_of(objective)}, "
        f"by {counted}{then}; the best of {seen.evaluated} evaluated {away}",
    )  # fmt: skip


def better_of(new: SearchResult, earlier: SearchResult) -> SearchResult:
    """Return the better mappings of two searches of the same mapspace, with the higher lower bound."""
    both = [(result.top[0].values, i) for i, result in enumerate((new, earlier))]
    best = (new, earlier)[min(both)[1]]
    lower = max(new.certificate.lower_bound, earlier.certificate.lower_bound)
    certificate = best.certificate
    if certificate.kind == "optimal" or certificate.lower_bound >= lower:
        return best
    gap = (certificate.value - lower) / certificate.value
    statement = f"no mapping has {_with_article(certificate.objective)} below {lower:g} "
    statement += f"{unit_of(certificate.objective)}, as another search of the same mapspace found; the best "
    statement += f"is {100 * gap:.3g}% of its {certificate.objective} above that"
    certificate = replace(certificate, lower_bound=lower, gap=gap, statement=statement)
    return replace(best, certificate=certificate)


def _with_article(objective: str) -> str:
    return {"energy": "an energy", "delay": "a delay", "edp": "an edp"}.get(objective, objective)


def _of_all(parts: Sequence[Engine], whole: Known) -> Relaxation | None:
    """Return the relaxation of all mappings, if there is one."""
    return parts[0].known.relaxed if len(parts) == 1 and whole.relaxed is None else whole.relaxed


def _lower_bound(kept: Incumbents, parts: Sequence[Engine], whole: Known) -> float:
    """Return the lower bound of all mappings in the first objective."""
    least = max(min((part.known.floor for part in parts), default=0.0), whole.floor)
    return min(least, kept.entries[0].values[0])


def _reaches(value: float, lower_bound: float) -> bool:
    return value - lower_bound <= ROUNDING * abs(value)
