"""Possible sizes of tiles, and lower bounds of their stored words."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsim.mapper.factorisations import divisors
from sparsim.mapper.kernels.shortest_paths import MOST, tile_shares
from sparsim.model.arrays import TERM_DIM, DensityPack, Ints, LayerPack, Reals
from sparsim.model.lower import reals

MOST_BOXES = 1_000_000  # most extents of tiles whose sizes are listed
MOST_PAIRS = 200_000  # most pairs of sizes of a tile and of the child's tile
TOLD_APART = 64  # most sizes of small tiles whose least shares are stored individually


class Tiles(NamedTuple):
    """Sizes of possible tiles, ascending, with the results of `tile_shares`."""

    size: Ints  # (D, W)
    number: Ints  # (D,)
    shares: Reals  # (D, W, 3)


def list_tiles(layer: LayerPack, density: DensityPack, *, exact: bool) -> Tiles | None:
    """Return the sizes of the tiles that divisors of the bounds make; None if there are too many.

    Dense counts, which are `exact`, do not need them.
    """
    n_data = len(layer.words)
    if exact:
        return Tiles(np.ones((n_data, 1), np.int64), np.ones(n_data, np.int64), np.ones((n_data, 1, 3)))
    found = []
    for v in range(n_data):
        dims = [d for d, mask in enumerate(layer.bound.tolist()) if mask > 1 and layer.relevant[v] >> d & 1]
        parts = [sorted(divisors(int(layer.bound[d]))) for d in dims]
        if math.prod(map(len, parts)) > MOST_BOXES:
            return None
        grid = dict(zip(dims, np.meshgrid(*parts, indexing="ij"), strict=True))
        words = np.ones((), np.int64)
        for first, last in zip(layer.side[v, :-1], layer.side[v, 1:], strict=True):
            words = words * (1 + sum(c * (grid[d] - 1) for d, c, _ in layer.term[first:last] if d in grid))
        found.append(np.unique(words))
    number = np.array([len(words) for words in found], np.int64)
    size = np.stack([np.pad(words, (0, max(number) - len(words)), mode="edge") for words in found])
    shares = reals(*size.shape, 3)
    tile_shares(layer, density, np.ascontiguousarray(size), shares)
    return Tiles(np.ascontiguousarray(size, np.int64), number, shares)


def nested_boxes(
    layer: LayerPack, v: int, most_inside: int, extents: NDArray[np.bool_] | None = None
) -> Ints | None:
    """Return (n, 3): words of tiles, of tiles with at most `most_inside` words in them, and of a tile whose
    extents are the factors between the two, all different; None if there are too many. `extents` (2, G, E)
    may leave out some of tiles, and of those in them, by the place of a divisor.
    """
    terms = layer.term[layer.side[v, 0] : layer.side[v, -1]]
    if len(set(terms[:, TERM_DIM].tolist())) < len(terms):
        return None
    found = np.ones((1, 3), np.int64)
    for first, last in zip(layer.side[v, :-1], layer.side[v, 1:], strict=True):
        side = np.ones((1, 3), np.int64)
        for d, c, _ in layer.term[first:last].tolist():
            parts = sorted(divisors(int(layer.bound[d])))
            outer, inner = parts, parts
            if extents is not None:
                outer, inner = ([n for n, on in zip(parts, row[d], strict=False) if on] for row in extents)
            nested = np.array([(n, m, n // m) for n in outer for m in inner if n % m == 0], np.int64)
            side = _distinct(side[:, None] + c * (nested.reshape(-1, 3) - 1))
        if len(found) * len(side) > MOST_BOXES:
            return None
        found = _distinct(found[:, None] * side)
        found = found[found[:, 1] <= most_inside]
    return found if len(found) <= MOST_PAIRS else None


def _distinct(rows: Ints) -> Ints:
    found: Ints = np.unique(rows.reshape(-1, 3), axis=0)
    return found


def least_stored(tiles: Tiles | None, n_data: int) -> Reals:
    """(D, W, 2): at place n the least stored share and the least chance not to be empty of all tiles of n
    words or more; the last place is for all larger ones, too.
    """
    table = reals(n_data, TOLD_APART + 1, 2)
    if tiles is not None:
        least = np.minimum.accumulate(tiles.shares[:, ::-1, :MOST], axis=1)[:, ::-1]
        for v, sizes in enumerate(tiles.size):
            at = np.searchsorted(sizes, np.arange(TOLD_APART + 1))
            table[v] = least[v, np.minimum(at, len(sizes) - 1)]
    return table
