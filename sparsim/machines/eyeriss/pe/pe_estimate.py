"""The analytic model of an array of PEs: cycles, balance and accesses from densities alone.

All functions take arrays: sizes, tilings and densities are broadcast, so that thousands of tilings take about
as long as a few calls of NumPy.
"""

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparsim.errors import SpecError
from sparsim.machines.eyeriss.pe.conv_tiling import Accesses, Conv, Tiling, check_positive
from sparsim.machines.eyeriss.pe.pe_pass import TileModel, Tiles, model_tiles
from sparsim.machines.eyeriss.pe.random_columns import (
    LONGEST_COLUMN,
    Ints,
    Reals,
    checked_density,
    largest_of,
)
from sparsim.machines.eyeriss.pe.spad_capacity import fits, weight_overflow
from sparsim.records.pe_spec import SparsePE

G, M, C, R, P, Q = range(6)


class PEEstimate(NamedTuple):
    """Expectations of a layer on an array of PEs; every field has the shape that the inputs broadcast to."""

    cycles: Reals  # cycles of the layer: the sum over passes of the slowest PE
    busy_cycles: Reals  # cycles of all PEs in which the MACs have a column
    macs: Reals
    weights: Reals  # that are stored and loaded, over all passes as `accesses`
    simd_efficiency: Reals  # share of the MAC slots of busy cycles that is not gated
    load_balance: Reals  # mean cycles of all PEs, also those without work, over those of the slowest
    passes: Ints
    fits: NDArray[np.bool_]  # window and filters fit the spads
    weight_overflow: Reals  # probability that the weights of a full tile do not fit their spad
    accesses: Accesses


class _Parts(NamedTuple):
    """Kinds of passes, or of tiles: full ones and remainders along every dim."""

    owner: Ints  # (N,) index of the tiling
    number: Ints  # (N,) passes of this kind
    size: Ints  # (6, N) largest tile of the pass along each dim
    pes: Ints  # (6, N) PEs with work along each dim


def estimate(
    pe: SparsePE, conv: Conv, tiling: Tiling, iact_density: ArrayLike, weight_density: ArrayLike
) -> PEEstimate:
    """A layer on an array of PEs if zeros are spread at random.

    What one PE does in one pass is exact in the mean but for the fetch pipeline; the slowest of several is
    approximated (`_slowest`). One PE and one pass: a tiling as large as the layer. Tilings that do not fit
    are estimated as if they did. Raises SpecError for sizes below 1 and densities outside [0, 1].
    """
    shape, conv, tiling, di, dw = _flat(conv, tiling, iact_density, weight_density)
    one = np.ones_like(conv.M)
    sizes = np.array([conv.G, conv.M, conv.C, conv.R, conv.P, conv.Q])
    tile = np.minimum([one, tiling.M0, tiling.C0, one, tiling.P0, tiling.Q0], sizes)
    pes = np.array(tiling[4:])
    n_pes = pes.prod(axis=0)

    def model(x: _Parts) -> TileModel:
        i = x.owner
        tiles = Tiles(x.size[M], x.size[C], conv.S[i], conv.U[i], x.size[P], x.size[Q], di[i], dw[i])
        return model_tiles(pe, tiles)

    def total(x: _Parts, values: Reals) -> Reals:
        return np.asarray(np.bincount(x.owner, x.number * values, len(one)), np.float64)

    parts, passes = _cut(sizes, tile, np.ones_like(tile)), _cut(sizes, tile, pes)
    mean, fill = model(parts), pe.fill_cycles
    cycles = total(passes, _slowest(model(passes), passes) + fill)
    busy, macs = total(parts, mean.busy_cycles), total(parts, mean.macs)
    return PEEstimate(
        cycles=cycles.reshape(shape),
        busy_cycles=busy.reshape(shape),
        macs=macs.reshape(shape),
        weights=total(parts, mean.weights).reshape(shape),
        simd_efficiency=_share(macs, busy * pe.simd_width).reshape(shape),
        load_balance=_share(total(parts, mean.cycles + fill), cycles * n_pes).reshape(shape),
        passes=total(passes, np.ones(len(passes.owner))).astype(np.int64).reshape(shape),
        fits=fits(pe, conv, tiling).reshape(shape),
        weight_overflow=weight_overflow(pe, tile[M], tile[C] * conv.S, dw).reshape(shape),
        accesses=Accesses(*(total(parts, x).reshape(shape) for x in mean.accesses)),
    )


def _flat(
    conv: Conv, tiling: Tiling, iact_density: ArrayLike, weight_density: ArrayLike
) -> tuple[tuple[int, ...], Conv, Tiling, Reals, Reals]:
    """Return the common shape, and all checked arguments as flat arrays."""
    check_positive(conv)
    check_positive(tiling)
    densities = [checked_density("iact", iact_density), checked_density("weight", weight_density)]
    given = np.broadcast_arrays(*conv, *tiling, *densities)
    *sizes, di, dw = (x.ravel() for x in given)
    integers = [x.astype(np.int64) for x in sizes]
    conv, tiling = Conv(*integers[: len(conv)]), Tiling(*integers[len(conv) :])
    if (np.minimum(tiling.M0, conv.M) > LONGEST_COLUMN).any():
        raise SpecError(f"a tile has more than {LONGEST_COLUMN} filters", path="tiling")
    return given[0].shape, conv, tiling, di, dw


def _share(part: Reals, whole: Reals) -> Reals:
    """Return the quotient, or 1 for a denominator of 0."""
    return np.divide(part, whole, out=np.ones_like(whole), where=whole > 0)


def _cut(sizes: Ints, tile: Ints, pes: Ints) -> _Parts:
    """Cut every dim into steps of `tile * pes`; combine the full ones and the rest of all dims."""
    step = tile * pes
    rest = sizes % step
    full = (sizes // step, tile, pes)
    left = (np.minimum(rest, 1), np.minimum(tile, rest), -(-rest // tile))
    kinds = [[kind for kind in (full, left) if kind[0][d].any()] for d in range(len(sizes))]
    found = []
    for choice in itertools.product(*kinds):
        count, size, active = (np.array([kind[i][d] for d, kind in enumerate(choice)]) for i in range(3))
        number = count.prod(axis=0)
        rows = np.flatnonzero(number)
        found.append((rows, number[rows], size[:, rows], active[:, rows]))
    return _Parts(*(np.concatenate(x, axis=-1) for x in zip(*found, strict=True)))


def _slowest(model: TileModel, passes: _Parts) -> Reals:
    """Expected cycles of the slowest PE of a pass, with the largest tile on all of them.

    Deviations are normal. Blocks of PEs have neither weights nor iacts in common (groups, channels, filter
    rows); in a block a grid of those that share weights (along P, Q) and those that share iacts (along M).
    Expected largest values of the two sides of a grid add, their squares with that of what no two PEs share.
    The slowest PEs of blocks differ by what is left of the variance in the largest of a grid. The skewness of
    the cycles lengthens or shortens them (Cornish and Fisher 1938, first term); where it is strong the term
    is no correction any more, and is held to as much as the rise, or half of it downwards.
    """
    blocks = passes.pes[[G, C, R]].prod(axis=0)
    filters, places = passes.pes[M], passes.pes[[P, Q]].prod(axis=0)
    grid = filters * places
    # one call for all: where counts are equal the differences are exactly 0
    largest, square = largest_of(np.array([filters, places, grid, blocks, blocks * grid]))
    parts = np.array([model.of_weights, model.of_iacts, model.of_both])
    left = (parts * np.maximum(square[:3] - largest[:3] ** 2, 0.0)).sum(axis=0)
    of_weights, of_iacts, of_both = np.sqrt(parts) * largest[:3]
    rise = np.hypot(of_weights + of_iacts, of_both) + largest[3] * np.sqrt(left)

    alike, variance = blocks == 1, parts.sum(axis=0)
    third = np.select([alike & (places == 1), alike & (filters == 1)], model.third[:2], model.third[2])
    several = (largest[4] > 0.0) & (variance > 1e-12)
    scale = np.where(several, 6 * (largest[4] * variance) ** 2, 1.0)
    skew = np.where(several, third * rise**2 * (square[4] - 1.0), 0.0) / scale
    rise = rise + np.clip(skew, -rise / 2, rise)
    return np.asarray(np.minimum(model.cycles + rise, model.most_cycles))
