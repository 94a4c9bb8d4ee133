"""The largest number of arithmetic units that a mapping can use, by the factors of the mapspace."""

from collections.abc import Iterable
from itertools import product

import numpy as np
from numpy.typing import NDArray

from sparsim.mapper.indexed_mapspace import Space
from sparsim.model.arrays import Ints, SpacePack

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
        used = {(1, 1)}  # instances along X and along Y
        for dim, axis in enumerate(pack.axis[t].tolist()):
            factors = np.unique(space.factors[dim][:, t]).tolist()
            along_x = {(a * f, b) for a, b in used for f in factors if a * f <= x and axis != Y}
            along_y = {(a, b * f) for a, b in used for f in factors if b * f <= y and axis != X}
            used = along_x | along_y or used
        units *= max(a * b for a, b in used)
    return units


def fits_axes(factors: Ints, axis: Ints, fan: Ints) -> NDArray[np.bool_]:
    """Return which rows of spatial factors (n, R) of one level fit its mesh: every dim lies along one axis.

    Parameters
    ----------
    factors : (n, R) array of int
        The spatial factors.
    axis : (R,) array of int
        The axis of each dim: X, Y or EITHER.
    fan : (2,) array of int
        The mesh along X and along Y.
    """
    free = np.flatnonzero((axis == EITHER) & (factors > 1).any(axis=0))
    fits = np.zeros(len(factors), bool)
    for sides in product((X, Y), repeat=len(free)):
        left = np.flatnonzero(~fits)
        along = axis.copy()
        along[free] = sides
        used = [factors[left][:, along == side].prod(axis=1) for side in (X, Y)]
        fits[left] = (used[X] <= fan[X]) & (used[Y] <= fan[Y])
    return fits
