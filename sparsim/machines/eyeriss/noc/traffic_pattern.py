"""Groups of PEs that need the same words.

PEs whose spatial loops give a dataspace the same coordinates belong to one group: they receive the same
words, or, for partial sums, they add to the same words. The network depends on no other properties of a
layer.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsim.errors import MappingError, SpecError
from sparsim.records.noc_spec import Noc, SpatialLoop

Groups = NDArray[np.int64]
Coordinate = str | Mapping[str, int]
IDLE = -1


def groups(noc: Noc, loops: Sequence[SpatialLoop], relevant: Iterable[Coordinate]) -> Groups:
    """Group of every PE: (cluster rows, cluster columns, PE rows, PE columns) int64, -1 for idle PEs.

    `loops` are outer to inner along each axis, and also across axes where a dim is split over several. A
    dim in `relevant` is a coordinate of the dataspace; a mapping of dims to factors is one that is their
    sum: `{"P": stride, "R": 1}` is the input row under output row P and filter row R, the same row on a
    diagonal of PEs. Such sums hold for one output and one filter position per PE; larger tiles overlap
    only in part, which this does not know. Groups are numbered 0, 1, ... in the order of their first PE.

    A relevant dim without a spatial loop changes nothing. Raises MappingError where loops need more instances
    than an axis has, SpecError for a factor below 1.
    """
    positions = _dim_positions(noc, loops)
    shape = tuple(noc.axes.values())
    coordinates = [_coordinate(c, positions, shape) for c in relevant]
    active = _active(noc, loops)
    keys = np.zeros(shape, np.int64)
    for coordinate in coordinates:
        keys = keys * (coordinate.max() + 1) + coordinate
    _, first, inverse = np.unique(keys[active], return_index=True, return_inverse=True)
    rank = np.empty_like(first)
    rank[np.argsort(first)] = np.arange(len(first))
    result = np.full(shape, IDLE, np.int64)
    result[active] = rank[inverse.reshape(-1)]
    return result


def _dim_positions(noc: Noc, loops: Sequence[SpatialLoop]) -> dict[str, NDArray[Any]]:
    """Return, per dim, the index that each PE works on, from all loops over the dim."""
    axes = noc.axes
    inner: dict[str, int] = {}
    positions: dict[str, NDArray[Any]] = {}
    steps = dict.fromkeys(axes, 1)
    for loop in reversed(loops):
        line = np.arange(axes[loop.axis]) // steps[loop.axis] % loop.bound
        where = [1] * len(axes)
        where[list(axes).index(loop.axis)] = axes[loop.axis]
        index = line.reshape(where) * inner.get(loop.dim, 1)
        positions[loop.dim] = positions.get(loop.dim, np.zeros((1,) * len(axes), np.int64)) + index
        inner[loop.dim] = inner.get(loop.dim, 1) * loop.bound
        steps[loop.axis] *= loop.bound
    for axis, used in steps.items():
        if used > axes[axis]:
            raise MappingError(
                f"spatial loops need {used} {axis.replace('_', ' ')}, but noc {noc.name} has {axes[axis]}",
                need=used,
                have=axes[axis],
            )
    return positions


def _active(noc: Noc, loops: Sequence[SpatialLoop]) -> NDArray[np.bool_]:
    used = dict.fromkeys(noc.axes, 1)
    for loop in loops:
        used[loop.axis] *= loop.bound
    active = np.zeros(tuple(noc.axes.values()), np.bool_)
    active[tuple(slice(n) for n in used.values())] = True
    return active


def _coordinate(
    coordinate: Coordinate, positions: Mapping[str, NDArray[Any]], shape: tuple[int, ...]
) -> NDArray[np.int64]:
    terms = {coordinate: 1} if isinstance(coordinate, str) else coordinate
    total = np.zeros(shape, np.int64)
    for dim, factor in terms.items():
        if factor < 1:
            raise SpecError(f"factor of dim '{dim}' must be at least 1, got {factor}")
        total += factor * positions.get(dim, np.zeros((1, 1, 1, 1), np.int64))
    return total
