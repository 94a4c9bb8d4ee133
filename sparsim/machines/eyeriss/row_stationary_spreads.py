"""Row-stationary spreads: the part of a layer that every PE of an array works on, for many candidates at
once.

A PE keeps a tile of filters and channels of one filter row and slides over its outputs (Chen et al., JETCAS
9(2), 2019, section IV). Any dim that the chip allows may be spread along any of the four axes of the array,
alone or together with a second one; dims that do not divide evenly leave PEs idle at the end.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsim.errors import SpecError
from sparsim.machines.eyeriss.chip import SPREAD_AT
from sparsim.machines.eyeriss.conv_dims import ConvDims
from sparsim.records.noc_spec import Axis

Ints = NDArray[np.int64]
AXES = tuple(SPREAD_AT.values())
MOST = 200_000  # candidates that are processed at a time
MOST_JOINED = 50_000_000  # joined spreads of two axes, before the best are chosen
WASTE = 2.0  # a spread with fewer PEs than the best by this factor is dropped


class Spreads(NamedTuple):
    """Factor of every dim along every axis: (candidates, axes, dims) int64."""

    dims: tuple[str, ...]
    factor: Ints

    def total(self) -> Ints:
        """Return (candidates, dims): the number of PEs over which each dim is spread."""
        total: Ints = self.factor.prod(axis=1)
        return total


def spreads(dims: ConvDims, axes: Mapping[Axis, int], allowed: Mapping[Axis, Sequence[str]]) -> Spreads:
    """Return all spreads of a layer over `axes` that use many PEs, without factors that save no time."""
    options = tuple((axis, axes[axis], tuple(allowed[axis])) for axis in AXES)
    return _spreads(dims.names, tuple(dims.bounds[name] for name in dims.names), options)


@functools.lru_cache(maxsize=1)
def _spreads(
    names: tuple[str, ...], bounds: tuple[int, ...], axes: tuple[tuple[Axis, int, tuple[str, ...]], ...]
) -> Spreads:
    """Compute spreads; the last result is cached, because a layer is planned for several densities one after
    the other.
    """
    bound = np.array(bounds)
    factor = np.ones((1, 0, len(names)), np.int64)
    for k, (axis, size, allowed) in enumerate(axes):
        options = _options(size, bound, [names.index(d) for d in allowed if d in names])
        if len(factor) * len(options) > MOST_JOINED:
            raise SpecError(
                f"there must be at most {MOST_JOINED} ways to spread dims up to axis {axis} of {size}, "
                f"got {len(factor) * len(options)}",
                path="chip",
            )
        steps = _steps(bound, factor.prod(axis=1), options).ravel()
        chosen = np.flatnonzero(steps)
        if len(chosen) > MOST:
            left = math.prod(instances for _, instances, _ in axes[k + 1 :])
            chosen = chosen[first_least(np.maximum(steps[chosen], left), MOST)]
        before, choice = np.divmod(chosen, len(options))
        factor = np.concatenate([factor[before], options[choice][:, None]], axis=1)
    work = -(-bound // factor.prod(axis=1))
    steps = work.prod(axis=1)
    return Spreads(names, np.ascontiguousarray(factor[steps <= WASTE * steps.min()]))


def _steps(bound: Ints, spread: Ints, options: Ints) -> Ints:
    """Return (candidates, options): the work per PE of each candidate with each further option, 0 for options
    with a factor that saves none. The work along a dim is looked up for the pairs of factors that occur.
    """
    steps = np.ones((len(spread), len(options)), np.int64)
    for d, size in enumerate(bound):
        old, row = np.unique(spread[:, d], return_inverse=True)
        new, column = np.unique(options[:, d], return_inverse=True)
        work = -(-size // (old[:, None] * new))
        saves = (new == 1) | (work < -(-size // old)[:, None])
        if work.size > 1 or work[0, 0] != 1:
            steps *= np.where(saves, work, 0)[row[:, None], column]
    return steps


def first_least(values: NDArray[Any], number: int) -> Ints:
    """Return the positions of the least values in ascending order, the first ones of equal values."""
    rows = np.arange(len(values))
    if len(values) > number:
        rows = np.flatnonzero(values <= np.partition(values, number - 1)[number - 1])
    return rows[np.argsort(values[rows], kind="stable")][:number]


def _options(size: int, bound: Ints, allowed: Sequence[int]) -> Ints:
    """Return (options, dims): no dim, one dim or two dims along an axis of `size` instances."""
    found: dict[tuple[tuple[int, int], ...], None] = {(): None}
    for d in allowed:
        for f in range(2, min(size, int(bound[d])) + 1):
            if -(-bound[d] // f) < -(-bound[d] // (f - 1)):
                found[((d, f),)] = None
    for a, b in combinations(allowed, 2):
        for f in range(2, min(size // 2, int(bound[a])) + 1):
            g = min(size // f, int(bound[b]))
            if g > 1:
                found[((a, f), (b, g))] = None
    rows = np.ones((len(found), len(bound)), np.int64)
    for i, option in enumerate(found):
        for d, f in option:
            rows[i, d] = f
    return rows
