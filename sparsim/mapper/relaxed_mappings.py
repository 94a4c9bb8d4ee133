"""Conversion of the mappings that a relaxation suggests to candidates with numbers of orders and splits."""

import math
from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np

from sparsim.mapper.bound_constants import SearchArrays
from sparsim.mapper.chain_arrays import windows
from sparsim.mapper.path_search import Start
from sparsim.model.arrays import Ints, SpacePack
from sparsim.model.lower import ints


def arrange(low: SearchArrays, space: SpacePack, starts: Iterable[Start]) -> tuple[Ints, Ints]:
    """(candidates (n, R + 1), numbers (n, T, 2)) for `Engine.try_numbers`; without those whose factors the
    mapspace lacks. Where tiles overlap, children beside each other differ in a window, and not.
    """
    candidates, numbers = [], []
    window = int(np.bitwise_or.reduce(windows(low, low.layer)[1]))
    slides = [window >> dim & 1 for dim in range(len(low.layer.bound))]
    for start, sign in product(starts, (-1, 1) if window else (0,)):
        candidate, number = _arranged(low, space, start, [sign * one for one in slides])
        if candidate is not None:
            candidates.append(candidate)
            numbers.append(number)
    n_tiling, n_dims = space.place.shape
    return (
        np.array(candidates, np.int64).reshape(-1, n_dims + 1),
        np.array(numbers, np.int64).reshape(-1, n_tiling, 2),
    )


def _arranged(
    low: SearchArrays, space: SpacePack, start: Start, rank: list[int]
) -> tuple[list[int] | None, Ints]:
    """`rank` of a dim: those of the least are innermost along an axis."""
    arch, (n_tiling, n_dims) = low.arch, space.place.shape
    factor = np.ones((n_tiling, n_dims), np.int64)
    orders: list[list[int]] = [[] for _ in range(n_tiling)]  # innermost first
    for level, dim, bound in start.loops[::-1].tolist():
        t = int(arch.first_tiling[level + 1]) - 1
        factor[t, dim] *= bound
        if dim not in orders[t]:
            orders[t].append(dim)
    number = ints(n_tiling, 2)
    for t in np.flatnonzero(arch.tiling[:, 1] == 1).tolist():
        factor[t] = start.spread[arch.tiling[t, 0]]
        number[t, 1], orders[t] = _split(space, t, factor[t], rank)
    candidate = []
    for dim, rows in enumerate(low.space.factors):
        same = np.flatnonzero((rows == factor[:, dim]).all(axis=1))
        if not len(same):
            return None, number
        candidate.append(int(same[0]))
    for t, wanted in enumerate(orders):
        free = _free_loops(space, t, factor[t])
        number[t, 0] = order_number(free, [d for d in wanted if d in free])
    return [*candidate, start.choice], number


def order_number(free: list[int], wanted: Sequence[int]) -> int:
    """Return the number (model 17.3) of the order `wanted`, innermost first, of the dims `free`."""
    left, number = list(free), 0
    for dim in wanted:
        number += left.index(dim) * math.factorial(len(left) - 1)
        left.remove(dim)
    return number


def split_number(space: SpacePack, t: int, factor: Ints, along_x: Sequence[int]) -> int:
    """Return the number (model 17.4) of the split nearest to one with the loops `along_x`."""
    if space.split[t] < 0:
        return sum(factor[dim] > 1 for dim in along_x)
    free, numbers = _free_loops(space, t, factor), _numbers_along_x(space, t, factor)
    wanted = sum(dim in free for dim in along_x)
    return min(max(wanted, numbers[0]), numbers[-1]) - numbers[0]


def _free_loops(space: SpacePack, t: int, factor: Ints) -> list[int]:
    """Return the free dims that have a loop, in the shape's order."""
    return [dim for dim in space.place[t, slice(*space.free[t])].tolist() if factor[dim] > 1]


def _numbers_along_x(space: SpacePack, t: int, factor: Ints) -> range:
    """Return how many of them can be along X: loops of bound 1 take the other places of a fixed split."""
    start, stop = space.free[t].tolist()
    split, real = int(space.split[t]), len(_free_loops(space, t, factor))
    if split < 0:
        return range(real + 1)
    places = min(max(split - start, 0), stop - start)
    return range(max(places - (stop - start - real), 0), min(places, real) + 1)


def _split(space: SpacePack, t: int, factor: Ints, rank: list[int]) -> tuple[int, list[int]]:
    """Return the number of a split, and an order of the loops in which they fit, those along X innermost."""
    x, y = space.fan[t].tolist()
    dims = sorted((int(d) for d in space.place[t] if factor[d] > 1), key=rank.__getitem__)
    free, numbers = _free_loops(space, t, factor), _numbers_along_x(space, t, factor)
    sides = [((True,), (False,), (True, False))[space.axis[t, d]] for d in dims]
    for chosen in product(*sides):
        along_x = [d for d, on in zip(dims, chosen, strict=True) if on]
        along_y = [d for d, on in zip(dims, chosen, strict=True) if not on]
        fits = math.prod(factor[along_x].tolist()) <= x and math.prod(factor[along_y].tolist()) <= y
        if fits and sum(d in free for d in along_x) in numbers:
            return split_number(space, t, factor, along_x), along_x + along_y
    return 0, dims
