"""Every iteration of a small loop nest, element by element, with buffers that hold what they last got.

No rule of the specification is in here but physics: a child needs the tile of its current iteration, keeps
what it has of it, and elements that several children need at the same time are read once. For tensors
without windows, and without links between neighbours, this is what the reference's rules come to.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

from naive.nest import Problem
from naive.traffic import FREE_FIRST_FILL, Points


class Moved(NamedTuple):
    """Words between one instance of a level and its children: in all, and different ones."""

    sent: int
    sent_once: int
    arriving: int  # at the first child
    arriving_once: int


def moved(problem: Problem, s: int, v: int) -> Moved:
    """The traffic of v between level s, which keeps it, and the next level inside that does."""
    child = problem.child(s, v)
    loops = list(enumerate(problem.loops))
    between = [(i, loop) for i, loop in loops if loop.level in range(child + 1, s + 1) and loop.kind != "t"]
    in_time = [(i, loop) for i, loop in loops if loop.level > child and loop.kind == "t"]
    sides = problem.sides(v, problem.inside(child))
    tile = list(itertools.product(*map(range, sides)))
    places = list(itertools.product(*(range(loop.bound) for _, loop in between)))
    held: dict[tuple[int, ...], Points] = dict.fromkeys(places, frozenset())
    sent = arriving = 0
    seen: set[tuple[int, ...]] = set()
    seen_there: set[tuple[int, ...]] = set()
    for now in itertools.product(*(range(loop.bound) for _, loop in reversed(in_time))):
        out: set[tuple[int, ...]] = set()
        for place in places:
            corner = [0] * len(sides)
            at = [*zip(between, place, strict=True), *zip(reversed(in_time), now, strict=True)]
            for (i, _), index in at:
                corner = [x + index * step for x, step in zip(corner, problem.step(i, v), strict=True)]
            needed = frozenset(tuple(map(sum, zip(corner, point, strict=True))) for point in tile)
            new = needed - held[place] if child >= 0 else needed
            held[place] = needed
            out |= new
            if not any(place):
                arriving += len(new)
                seen_there |= new
        sent += len(out)
        seen |= out
    return Moved(sent, len(seen), arriving, len(seen_there))


def counts(problem: Problem, s: int, v: int, accounting: str) -> list[int]:
    """[reads, fills, updates] of a kept tensor (model 7.10): of results, the first time is free. With
    drains, what arrives is also read before it leaves again.
    """
    inward = moved(problem, s, v)
    parent = problem.parent(s, v)
    outward = moved(problem, parent, v) if parent >= 0 else Moved(0, 0, 0, 0)
    if not problem.writes[v]:
        return [inward.sent, outward.arriving, 0]
    first_read = 0 if accounting == "count-all" else inward.sent_once
    first_fill = outward.arriving_once if accounting in FREE_FIRST_FILL else 0
    drains = outward.arriving if accounting == "count-drains" else 0
    return [inward.sent - first_read + drains, outward.arriving - first_fill, inward.sent]
