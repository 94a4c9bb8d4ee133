"""ExTensor (MICRO 2019) limited by DRAM: intersecting tiles of both operands are loaded."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from sparsim.machines.spgemm.fiber_bytes import (
    INDEX_BYTES,
    POINTER_BYTES,
    any_of,
    dram_ns,
    fiber_bytes,
    in_lines,
    mean_fiber_bytes,
)
from sparsim.machines.spgemm.sparse_matrix import SparseMatrix, Whole
from sparsim.machines.spgemm.sparse_product import SparseProduct
from sparsim.records.spgemm_specs import ExtensorSpec

_OUTPUT_BYTES = 16  # a value with two coordinates
_TILE_BYTES = 8  # coordinates of a tile of A


class ExtensorCounts(NamedTuple):
    """What the time on ExTensor depends on where DRAM limits it.

    Attributes
    ----------
    multiplies : float
        Products of two nonzeros.
    adds : float
        Additions.
    a_bytes, b_bytes, z_bytes : float
        DRAM traffic of each matrix.
    partial_bytes : float
        DRAM traffic of results of one tile of the inner dim that later tiles add to.
    """

    multiplies: float
    adds: float
    a_bytes: float
    b_bytes: float
    partial_bytes: float
    z_bytes: float


def extensor_counts(spec: ExtensorSpec, product: SparseProduct) -> ExtensorCounts:
    """Count the work of a product of matrices.

    Parameters
    ----------
    spec : ExtensorSpec
        The machine.
    product : SparseProduct
        The product, with a `block` of as many rows of B as a tile of the shared buffer has.

    Returns
    -------
    ExtensorCounts
        `partial_bytes` counts results that are nonzero, which are fewer than TeAAL counts.
    """
    partials = int(product.partials.sum()) - product.nonzeros
    return ExtensorCounts(
        product.multiplies,
        product.multiplies - product.nonzeros,
        _a_bytes(spec, product),
        _b_bytes(spec, product.b),
        2 * _OUTPUT_BYTES * partials,
        _OUTPUT_BYTES * product.nonzeros,
    )


def extensor_expected(
    spec: ExtensorSpec, rows: int, inner: int, columns: int, a_density: float, b_density: float
) -> ExtensorCounts:
    """Estimate the work of a product of matrices with independent nonzeros.

    Parameters
    ----------
    spec : ExtensorSpec
        The machine.
    rows, inner, columns : int
        A is (rows, inner), B (inner, columns).
    a_density, b_density : float
        Fractions of nonzeros.

    Returns
    -------
    ExtensorCounts
        Expected numbers.
    """
    multiplies = rows * inner * columns * a_density * b_density
    both = a_density * b_density
    outputs = rows * columns * any_of(inner, both)
    block = spec.tiles[1] * spec.tile
    full, rest = divmod(inner, block)
    partials = rows * columns * (full * any_of(block, both) + any_of(rest, both)) - outputs
    loads = math.ceil(columns / (spec.tiles[2] * spec.tile))
    return ExtensorCounts(
        multiplies,
        multiplies - outputs,
        loads * _mean_bytes(spec, rows, inner, a_density),
        _mean_bytes(spec, columns, inner, b_density),
        2 * _OUTPUT_BYTES * max(0.0, partials),
        _OUTPUT_BYTES * outputs,
    )


def extensor_times(spec: ExtensorSpec, counts: ExtensorCounts) -> dict[str, float]:
    """Compute the time on ExTensor without that of intersections, which can be longer.

    Parameters
    ----------
    spec : ExtensorSpec
        The machine.
    counts : ExtensorCounts
        Work and traffic.

    Returns
    -------
    dict of str to float
        Time in ns of "DRAM" and "multiply"; the longest one is that of the product.

    Examples
    --------
    The matrix ca-CondMat times itself in the TeAAL artifact:

    >>> from sparsim.machines.spgemm import ExtensorCounts, extensor_times
    >>> from sparsim.records.spgemm_specs import ExtensorSpec
    >>> spec = ExtensorSpec(name="extensor", clock_mhz=1000.0, dram_gib_per_s=68.256)
    >>> counts = ExtensorCounts(4127524, 1772087, 9324816, 4668664, 89728672, 37686992)
    >>> round(max(extensor_times(spec, counts).values()), 3)
    1929464.488
    """
    traffic = counts.a_bytes + counts.b_bytes + counts.partial_bytes + counts.z_bytes
    return {
        "DRAM": dram_ns(traffic, spec.dram_gib_per_s),
        "multiply": counts.multiplies * 1e3 / spec.clock_mhz / spec.pes,
    }


def _level_bytes(fibers: Whole) -> int:
    """Return the bytes of a rank whose fibers have so many coordinates with a pointer each."""
    return int((in_lines(fibers * INDEX_BYTES) + in_lines(fibers * POINTER_BYTES)).sum())


def _counted(*keys: Whole) -> tuple[list[Whole], Whole]:
    """Return the distinct tuples, and how often each occurs."""
    found, counts = np.unique(np.stack(keys), axis=1, return_counts=True)
    return list(found), counts


def _a_bytes(spec: ExtensorSpec, product: SparseProduct) -> int:
    """Of A once for each strip of columns of B that the buffer holds, without tiles that meet none of B.

    Of the coordinates of tiles in a slab those are read that come up to the last tile of B, and one more.
    """
    a, b = product.a, product.b
    (rows, tiles), nonzeros = _counted(a.row_indices, a.indices // spec.tile)
    (across, down), _ = _counted(rows // spec.tile, tiles)
    fibers = np.unique(np.stack([across, down // spec.tiles[1]]), axis=1, return_inverse=True)[1].ravel()
    slabs = -(-a.columns // (spec.tiles[1] * spec.tile))
    (b_tiles, strips), _ = _counted(b.row_indices // spec.tile, b.indices // (spec.tiles[2] * spec.tile))
    total = 0
    for strip in np.unique(strips):
        met = b_tiles[strips == strip]
        used = np.isin(tiles, met)
        _, in_tile = _counted(rows[used] // spec.tile, tiles[used])
        last = np.full(slabs, -1)
        np.maximum.at(last, met // spec.tiles[1], met)
        limit = last[down // spec.tiles[1]]
        listed, before = (np.bincount(fibers, which) for which in (limit >= 0, down <= limit))
        read = int(np.minimum(listed, before + 1).sum())
        total += int(fiber_bytes(nonzeros[used]).sum()) + _level_bytes(in_tile) + _TILE_BYTES * read
    return total


def _b_bytes(spec: ExtensorSpec, b: SparseMatrix) -> int:
    """Of B once: fibers of tiles of columns, of rows, of columns in a tile, of nonzeros."""
    _, inner, wide = spec.tiles
    (columns, tiles), nonzeros = _counted(b.indices, b.row_indices // spec.tile)
    (across, down), in_tile = _counted(columns // spec.tile, tiles)
    (strip, slab), in_strip = _counted(across, down // inner)
    _, in_slab = _counted(strip // wide, slab)
    levels = _level_bytes(in_tile) + _level_bytes(in_strip) + _level_bytes(in_slab)
    return int(fiber_bytes(nonzeros).sum()) + levels


def _mean_bytes(spec: ExtensorSpec, outer: int, inner: int, density: float) -> float:
    """Of a matrix in tiles; about half of the tiles have an odd number of fibers, which fills a line up."""
    side, pair = min(spec.tile, inner), INDEX_BYTES + POINTER_BYTES
    slices, height = inner / side, min(spec.tile, outer)
    tiles = outer / height * slices * any_of(height * side, density)
    fibers = outer * slices * any_of(side, density)
    nonzeros = outer * slices * mean_fiber_bytes(side, density)
    return nonzeros + fibers * pair + tiles * (pair / 2 + _TILE_BYTES)
