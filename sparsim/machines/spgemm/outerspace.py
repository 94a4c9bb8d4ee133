"""OuterSPACE (HPCA 2018): products of columns and rows go to DRAM, and come back to be merged."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sparsim.machines.spgemm.fiber_bytes import (
    LINE_BYTES,
    NONZERO_BYTES,
    POINTER_BYTES,
    any_of,
    dram_ns,
    fiber_bytes,
    mean_fiber_bytes,
    pointer_bytes,
)
from sparsim.machines.spgemm.sparse_product import SparseProduct
from sparsim.records.spgemm_specs import OuterspaceSpec

_PRODUCT_LINE = (
    12  # bytes; products are interleaved with their indices, and pointers to lists are in separate lines
)
_POINTERS = _PRODUCT_LINE // POINTER_BYTES


class OuterspaceCounts(NamedTuple):
    """What the time on OuterSPACE depends on.

    Attributes
    ----------
    multiplies : float
        Products of two nonzeros.
    adds : float
        Additions.
    a_bytes, b_bytes, z_bytes : float
        DRAM traffic of each matrix.
    partial_bytes : float
        DRAM traffic of products, which are written and read once.
    """

    multiplies: float
    adds: float
    a_bytes: float
    b_bytes: float
    partial_bytes: float
    z_bytes: float


def outerspace_counts(spec: OuterspaceSpec, product: SparseProduct) -> OuterspaceCounts:
    """Count the work of a product of matrices.

    Parameters
    ----------
    spec : OuterspaceSpec
        The machine.
    product : SparseProduct
        The product.

    Returns
    -------
    OuterspaceCounts
    """
    a_columns, b_rows = product.a.column_sizes, product.b.row_sizes
    lines = fiber_bytes(b_rows) // LINE_BYTES
    again = np.maximum(0, lines - int(spec.cache_kib * 1024) // LINE_BYTES) * (a_columns - 1)
    read = (lines + again)[a_columns > 0]
    lists = -(-product.fibers // _POINTERS)
    merged = int((product.fibers > 0).sum())
    return OuterspaceCounts(
        product.multiplies,
        product.multiplies - product.nonzeros,
        int(fiber_bytes(a_columns).sum()) + pointer_bytes(product.a.columns),
        int(read.sum()) * LINE_BYTES + pointer_bytes(product.b.rows),
        2 * _PRODUCT_LINE * (product.multiplies + int(lists.sum()) + -(-merged // _POINTERS)),
        int(fiber_bytes(product.outputs).sum()) + pointer_bytes(merged),
    )


def outerspace_expected(
    spec: OuterspaceSpec, rows: int, inner: int, columns: int, a_density: float, b_density: float
) -> OuterspaceCounts:
    """Estimate the work of a product of matrices with independent nonzeros.

    Parameters
    ----------
    spec : OuterspaceSpec
        The machine.
    rows, inner, columns : int
        A is (rows, inner), B (inner, columns).
    a_density, b_density : float
        Fractions of nonzeros.

    Returns
    -------
    OuterspaceCounts
        Expected numbers.
    """
    multiplies = rows * inner * columns * a_density * b_density
    outputs = rows * columns * any_of(inner, a_density * b_density)
    row, cache = mean_fiber_bytes(columns, b_density), spec.cache_kib * 1024
    read = inner * any_of(rows, a_density)
    again = max(0.0, rows * inner * a_density - read) * max(0.0, row - cache)
    lists = rows * inner * a_density * any_of(columns, b_density)
    merged = rows * any_of(inner, a_density * any_of(columns, b_density))
    return OuterspaceCounts(
        multiplies,
        multiplies - outputs,
        inner * (mean_fiber_bytes(rows, a_density) + POINTER_BYTES),
        read * row + again + inner * POINTER_BYTES,
        2 * (_PRODUCT_LINE * multiplies + POINTER_BYTES * (lists + merged)),
        outputs * NONZERO_BYTES + merged * POINTER_BYTES,
    )


def outerspace_times(spec: OuterspaceSpec, counts: OuterspaceCounts) -> dict[str, float]:
    """Compute the time on OuterSPACE, which DRAM limits in both phases.

    Parameters
    ----------
    spec : OuterspaceSpec
        The machine.
    counts : OuterspaceCounts
        Work and traffic.

    Returns
    -------
    dict of str to float
        Time in ns of "DRAM" and "multiply"; the longest one is that of the product.

    Examples
    --------
    A random matrix of 4986 rows in the TeAAL artifact:

    >>> from sparsim.machines.spgemm import OuterspaceCounts, outerspace_times
    >>> from sparsim.records.spgemm_specs import OuterspaceSpec
    >>> spec = OuterspaceSpec(name="outerspace", clock_mhz=1500.0, dram_gib_per_s=128.0)
    >>> counts = OuterspaceCounts(7975976, 1146254, 2422928, 2422968, 193058712, 81874864)
    >>> round(max(outerspace_times(spec, counts).values()), 2)
    2035663.58
    """
    traffic = counts.a_bytes + counts.b_bytes + counts.partial_bytes + counts.z_bytes
    return {
        "DRAM": dram_ns(traffic, spec.dram_gib_per_s),
        "multiply": counts.multiplies * 1e3 / spec.clock_mhz / spec.pes,
    }
