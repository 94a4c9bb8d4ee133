"""Choices of spatial factors that fit the fan-outs of an accelerator."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sparsim.mapper.bound_constants import SearchArrays
from sparsim.mapper.parallelism_bound import fits_axes
from sparsim.model.arrays import Ints, SpacePack


def join_spreads(
    low: SearchArrays, space: SpacePack, factors: Iterable[Ints], most: int, most_tried: float = np.inf
) -> Ints | None:
    """(n, S, R): all combinations of the spatial factors of the dims that fit the fan-out of every level, of
    `factors` (n, spatial levels) for each dim. None if there are more than `most`, or more than `most_tried`
    to look at.
    """
    tiling = low.arch.tiling
    spatial = np.flatnonzero(tiling[:, 1] == 1)
    fan = space.fan[spatial]
    chosen = np.ones((1, len(spatial), 0), np.int64)
    used = np.ones((1, len(spatial), 3), np.int64)  # along X, along Y, in all
    for dim, factor in enumerate(factors):
        if len(used) * len(factor) > most_tried:
            return None
        along = [np.where(space.axis[spatial, dim] == axis, factor, 1) for axis in (0, 1)]
        grown = used[:, None] * np.stack([*along, factor], axis=2)
        fits = (grown[..., :2] <= fan).all(axis=(2, 3)) & (grown[..., 2] <= fan.prod(axis=1)).all(axis=2)
        before, one = np.nonzero(fits)
        if len(before) > most:
            return None
        used = grown[before, one]
        chosen = np.concatenate([chosen[before], factor[one][:, :, None]], axis=2)
    share = (used[:, :, 2] / fan.prod(axis=1)).prod(axis=1)
    chosen = chosen[share >= low.space.min_parallelism * (1 - 1e-12)]
    for i, t in enumerate(spatial):
        chosen = chosen[fits_axes(chosen[:, i], space.axis[t], space.fan[t])]
    spread = np.ones((len(chosen), len(low.arch.fan), chosen.shape[2]), np.int64)
    spread[:, tiling[spatial, 0]] = chosen
    return spread
