"""Actual data by looking at every element: tiles of a mask, operations by the state of their operands."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import Any

from naive.nest import Problem

Extents = dict[str, int]
Corner = dict[str, int]


def index(problem: Problem, v: int, point: dict[str, int]) -> tuple[int, ...]:
    """Where the element of v that an operation touches stands in an array of all its elements."""
    bounds = problem.layer.bounds
    return tuple(
        sum(c * point[dim] - min(0, c * (bounds[dim] - 1)) for dim, c in side) for side in problem.terms[v]
    )


def boxes(problem: Problem, v: int, extents: Extents, corner: Corner, size: Extents) -> Iterable[Corner]:
    """Corners of the boxes of `extents` in a box of `size`, along the dims of v."""
    dims = [dim for dim in problem.layer.shape.dims if problem.relevant(v, dim)]
    steps = [range(corner[dim], corner[dim] + size[dim], extents[dim]) for dim in dims]
    for place in itertools.product(*steps):
        yield {**corner, **dict(zip(dims, place, strict=True))}


def nonzeros(problem: Problem, v: int, mask: Any, corner: Corner, extents: Extents) -> int:
    """In the smallest box of elements that holds all that the box of operations touches."""
    last = {dim: corner[dim] + extents[dim] - 1 for dim in corner}
    ends = [index(problem, v, point) for point in _corners(corner, last)]
    ranges = [range(min(side), max(side) + 1) for side in zip(*ends, strict=True)]
    inside = itertools.product(*(filter(n.__gt__, r) for r, n in zip(ranges, mask.shape, strict=True)))
    return sum(bool(mask[place]) for place in inside if min(place, default=0) >= 0)


def _corners(first: Corner, last: Corner) -> Iterable[Corner]:
    for ends in itertools.product(*((first[dim], last[dim]) for dim in first)):
        yield dict(zip(first, ends, strict=True))


def tile_counts(problem: Problem, v: int, mask: Any, extents: Extents) -> list[int]:
    """Nonzeros of every tile."""
    origin = dict.fromkeys(problem.layer.bounds, 0)
    return [
        nonzeros(problem, v, mask, corner, extents)
        for corner in boxes(problem, v, extents, origin, problem.layer.bounds)
    ]


def operations_by_state(problem: Problem, masks: dict[int, Any]) -> dict[tuple[bool, ...], int]:
    """How many operations find their operands zero or not, in the order of `masks`."""
    bounds = problem.layer.bounds
    count = dict.fromkeys(itertools.product((False, True), repeat=len(masks)), 0)
    for place in itertools.product(*map(range, bounds.values())):
        point = dict(zip(bounds, place, strict=True))
        count[tuple(bool(mask[index(problem, v, point)]) for v, mask in masks.items())] += 1
    assert sum(count.values()) == math.prod(bounds.values())
    return count
