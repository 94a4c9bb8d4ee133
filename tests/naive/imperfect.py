"""Every iteration of a small nest whose last tiles are cut short: nothing beyond the bounds takes place.

For tensors whose coordinates are single dims, and without links between neighbours.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import NamedTuple

from naive.nest import Problem

Digits = dict[int, int]  # iteration of each loop by its index


class Cut:
    """A problem of covered bounds of which only the points below `real` exist."""

    def __init__(self, problem: Problem, real: dict[str, int]) -> None:
        self.problem, self.real = problem, real
        self.strides = []
        extent = dict.fromkeys(real, 1)
        for loop in problem.loops:
            self.strides.append(extent[loop.dim])
            extent[loop.dim] *= loop.bound

    def iterations(self, chosen: list[int]) -> Iterable[Digits]:
        """Of the chosen loops, the outermost slowest."""
        chosen = sorted(chosen, reverse=True)
        for digits in itertools.product(*(range(self.problem.loops[m].bound) for m in chosen)):
            yield dict(zip(chosen, digits, strict=True))

    def corner(self, digits: Digits) -> dict[str, int]:
        at = dict.fromkeys(self.real, 0)
        for m, digit in digits.items():
            at[self.problem.loops[m].dim] += digit * self.strides[m]
        return at

    def points(self, v: int, digits: Digits, extent: dict[str, int]) -> frozenset[tuple[int, ...]]:
        """What exists of the tile of v in this iteration; nothing if no operation of it does."""
        at = self.corner(digits)
        if any(at[dim] >= self.real[dim] for dim in at):
            return frozenset()
        dims = [dim for ((dim, _),) in self.problem.terms[v]]
        return frozenset(
            itertools.product(*(range(at[d], min(at[d] + extent[d], self.real[d])) for d in dims))
        )

    def steps(self) -> int:
        """Steps in which any unit of arithmetic has something to do."""
        spatial, temporal = self.split(-1, len(self.problem.levels))
        return sum(
            any(self.exists({**now, **place}) for place in self.iterations(spatial))
            for now in self.iterations(temporal)
        )

    def exists(self, digits: Digits) -> bool:
        return all(x < self.real[dim] for dim, x in self.corner(digits).items())

    def split(self, above: int, upto: int) -> tuple[list[int], list[int]]:
        """(spatial, temporal) loops of levels above the first, spatial ones not above the second."""
        loops = list(enumerate(self.problem.loops))
        spatial = [m for m, loop in loops if above < loop.level <= upto and loop.kind != "t"]
        return spatial, [m for m, loop in loops if loop.level > above and loop.kind == "t"]


class Total(NamedTuple):
    """Words of all instances of a level."""

    sent: int  # to the level inside, a multicast counted once
    arriving: int
    seen: int  # different ones, per instance


def totals(cut: Cut, s: int, v: int) -> Total:
    """The traffic of v at level s, which keeps it."""
    top = len(cut.problem.levels)
    instances, _ = cut.split(s, top)
    sent = arriving = seen = 0
    for place in cut.iterations(instances):
        one = _sent(cut, s, v, place)
        sent, seen = sent + one[0], seen + len(one[1])
        arriving += _arriving(cut, s, v, place)
    return Total(sent, arriving, seen)


def _sent(cut: Cut, s: int, v: int, place: Digits) -> tuple[int, set[tuple[int, ...]]]:
    problem = cut.problem
    child = problem.child(s, v)
    between, in_time = cut.split(child, s)
    extent = problem.inside(child) if child >= 0 else dict.fromkeys(cut.real, 1)
    keeps = child >= 0 and not problem.flagged("no_temporal_reuse", child, v)
    apart = [
        m for m in between if problem.flagged("no_multicast_no_reduction", problem.loops[m].level, v)
    ]  # fmt: skip
    held: dict[tuple[int, ...], frozenset[tuple[int, ...]]] = {}
    sent, seen = 0, set()
    for now in cut.iterations(in_time):
        out = set()
        for inner in cut.iterations(between):
            needed = cut.points(v, {**place, **now, **inner}, extent)
            if not needed:
                continue
            key = tuple(inner.values())
            new = needed - held.get(key, frozenset()) if keeps else needed
            held[key] = needed
            out |= {(tuple(inner[m] for m in apart), point) for point in new}
            seen |= needed
        sent += len(out)
    return sent, seen


def _arriving(cut: Cut, s: int, v: int, place: Digits) -> int:
    problem, held, words = cut.problem, frozenset(), 0
    _, in_time = cut.split(s, s)
    keeps = not problem.flagged("no_temporal_reuse", s, v)
    for now in cut.iterations(in_time):
        needed = cut.points(v, {**place, **now}, problem.inside(s))
        if needed:
            words += len(needed - held if keeps else needed)
            held = needed
    return words
