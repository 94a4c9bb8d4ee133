"""The arrays of a mapspace that the kernels enumerate, and the order of the decisions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sparsim.errors import SpecError
from sparsim.mapper.bound_constants import SearchArrays
from sparsim.mapper.kernels.enumeration import KEEPS, ROWS, SPREAD
from sparsim.model.arrays import Ints, SpacePack
from sparsim.model.lower import ints, reals


def space_pack(low: SearchArrays) -> SpacePack:
    """Make the arrays of a mapspace. Raises SpecError if there are too many dims."""
    space, arch = low.space, low.arch
    n_dims, n_tiling = len(space.factors), len(arch.tiling)
    if n_dims > 20:  # larger factorials do not fit into 64 bits
        raise SpecError(f"a search takes at most 20 dims, got {n_dims}", path="mapspace")
    spatial = arch.tiling[:, 1] == 1
    fan = np.where(spatial[:, None], arch.fan[arch.tiling[:, 0]], 1)
    place, free = ints(n_tiling, n_dims), ints(n_tiling, 2)
    axis = np.full((n_tiling, n_dims), 2, np.int64)
    for t in range(n_tiling):
        inner, middle, outer = space.inner[t], space.free[t], space.outer[t]
        place[t] = (*inner, *middle, *outer)
        free[t] = len(inner), len(inner) + len(middle)
        split = space.split[t]
        for i, dim in enumerate(place[t]):
            first, last = free[t] if free[t, 0] <= i < free[t, 1] else (i, i + 1)
            if 0 <= split <= first or split >= last:
                axis[t, dim] = 1 if split <= first else 0
    loops, loops_free = _without_trivial(place, free, low.layer.bound)
    classes = [_classes(rows, spatial) for rows in space.factors]
    sizes = [len(members) for one in classes for members in one.members]
    return SpacePack(
        start=np.cumsum([0, *map(len, space.factors)]).astype(np.int64),
        rows=np.ascontiguousarray(np.concatenate(space.factors), np.int64),
        first_class=np.cumsum([0, *(len(one.members) for one in classes)]).astype(np.int64),
        class_start=np.cumsum([0, *sizes]).astype(np.int64),
        member=np.concatenate([members for one in classes for members in one.members]),
        left=np.concatenate([one.left for one in classes]),
        **_decisions(classes), floor=reals(1 + len(arch.fan)), place=place, free=free, loops=loops,
        loops_free=loops_free,
        split=np.ascontiguousarray(space.split, np.int64), axis=axis, fan=np.ascontiguousarray(fan, np.int64),
        keep=np.ascontiguousarray(space.keep, np.int64),
        flags=np.ascontiguousarray(space.flags, np.int64), parallelism=np.array([space.min_parallelism]),
        most_loops=np.array([space.most_temporal_loops], np.int64),
    )  # fmt: skip


def _without_trivial(place: Ints, free: Ints, bound: Ints) -> tuple[Ints, Ints]:
    """Return orders without dims of bound 1, and their free slices."""
    real = bound[place] > 1  # (T, R)
    before = np.concatenate([ints(len(place), 1), np.cumsum(real, axis=1)], axis=1)
    return place[real].reshape(len(place), -1), np.take_along_axis(before, free, axis=1)


class _Classes(NamedTuple):
    """Classes of factorisations of one dim by their spatial factors."""

    members: list[Ints]
    spread: Ints  # (classes,) product of the spatial factors
    left: Ints  # (classes,) of the others


def _classes(rows: Ints, spatial: Ints) -> _Classes:
    factors = rows[:, spatial]
    order = np.lexsort((np.arange(len(rows)), *factors.T))
    factors = factors[order]
    first = np.flatnonzero(np.r_[True, (factors[1:] != factors[:-1]).any(axis=1)])
    spread = factors[first].prod(axis=1)
    return _Classes(np.split(order, first[1:]), spread, rows[0].prod() // spread)


def _decisions(classes: list[_Classes]) -> dict[str, Ints]:
    """Return the fields of a SpacePack that describe the decisions and their order."""
    dims = range(len(classes))
    timed = [d for d in dims if max(map(len, classes[d].members)) > 1]
    spread = [d for d in dims if (classes[d].spread > 1).any()]
    decision = [*((d, ROWS) for d in timed), (0, KEEPS), *((d, SPREAD) for d in spread)]
    widest = [1] * (len(timed) + 2)
    for d in spread:
        widest.append(widest[-1] * int(classes[d].spread.max()))
    rows_at, spread_at = np.full((2, len(classes)), -1, np.int64)
    rows_at[timed] = np.arange(len(timed))
    spread_at[spread] = np.arange(len(spread)) + len(timed) + 1
    return {
        "decision": np.array(decision, np.int64), "rows_at": rows_at, "spread_at": spread_at,
        "n_rows": np.array([len(timed)], np.int64), "widest": np.array(widest, np.int64),
    }  # fmt: skip
