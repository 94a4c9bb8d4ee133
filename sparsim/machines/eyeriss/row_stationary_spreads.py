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
from typing import NamedTuple

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
        before = np.repeat(factor, len(options), axis=0)
        choice = np.tile(options, (len(factor), 1))[:, None]
        old, new = before.prod(axis=1), before.prod(axis=1) * choice[:, 0]
        useful = ((choice[:, 0] == 1) | (-(-bound // new) < -(-bound // old))).all(axis=1)
        factor = np.concatenate([before, choice], axis=1)[useful]
        if len(factor) > MOST:
            left = math.prod(instances for _, instances, _ in axes[k + 1 :])
            factor = factor[_best(-(-bound // factor.prod(axis=1)), left)]
    work = -(-bound // factor.prod(axis=1))
    steps = work.prod(axis=1)
    return Spreads(names, np.ascontiguousarray(factor[steps <= WASTE * steps.min()]))


def _best(work: Ints, left: int) -> Ints:
    """Return the `MOST` candidates with the least work per PE, assuming a further spread over `left` PEs."""
    steps = np.maximum(work.prod(axis=1), left)
    return np.argsort(steps, kind="stable")[:MOST]


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
