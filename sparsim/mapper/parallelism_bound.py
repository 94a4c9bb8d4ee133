"""The largest number of arithmetic units that a mapping can use, by the factors of the mapspace."""

from collections.abc import Iterable

import numpy as np

from sparsim.mapper.indexed_mapspace import Space
from sparsim.model.arrays import SpacePack

X, Y, EITHER = 0, 1, 2  # the axis of a level along which a dim may be spread


def most_units(space: Space, pack: SpacePack, spatial: Iterable[int]) -> float:
    """The product over spatial levels of the largest spread whose factors fit the level's mesh.

    Parameters
    ----------
    space : Space
        With the factorisations of each dim.
    pack : SpacePack
        With the mesh of each level, and the axes that dims may be spread along.
    spatial : iterable of int
        The tiling levels that are spatial.

    Notes
    -----
    Levels are looked at one by one, so that no mapping uses more units, but perhaps all use fewer.
    """
    units = 1.0
    for t in spatial:
        x, y = (int(side) for side in pack.fan[t])
        spreads = []
        for axis, fan in ((X, x), (Y, y), (EITHER, x * y)):
            dims = np.flatnonzero(pack.axis[t] == axis)
            spreads.append(_products([np.unique(space.factors[dim][:, t]).tolist() for dim in dims], fan))
        units *= max(_products(spreads, x * y))
    return units


def _products(factors: Iterable[Iterable[int]], most: int) -> set[int]:
    """Return all products of one factor of each, up to `most`."""
    found = {1}
    for each in factors:
        found = {a * b for a in found for b in each if a * b <= most} or {1}
    return found
