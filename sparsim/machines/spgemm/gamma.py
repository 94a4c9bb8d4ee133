"""Gamma (ASPLOS 2021): rows of Z are merged from rows of B, which come from a cache."""

from __future__ import annotations

import math
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
    touched_pointer_lines,
)
from sparsim.machines.spgemm.sparse_product import SparseProduct
from sparsim.records.spgemm_specs import GammaSpec


class GammaCounts(NamedTuple):
    """What the time on Gamma depends on.

    Attributes
    ----------
    multiplies : float
        Products of two nonzeros.
    adds : float
        Additions.
    merge_swaps : float
        Elements and rows that pass the mergers, once for each time that they are merged.
    a_bytes, b_bytes, z_bytes : float
        DRAM traffic of each matrix.
    """

    multiplies: float
    adds: float
    merge_swaps: float
    a_bytes: float
    b_bytes: float
    z_bytes: float


def gamma_counts(spec: GammaSpec, product: SparseProduct) -> GammaCounts:
    """Count the work of a product of matrices.

    The cache evicts what is needed last, as in TeAAL, and rows of A are taken in the order in which they
    come.

    Parameters
    ----------
    spec : GammaSpec
        The machine.
    product : SparseProduct
        The product.

    Returns
    -------
    GammaCounts
    """
    a = product.a
    return GammaCounts(
        product.multiplies,
        product.multiplies - product.nonzeros,
        _swaps(spec, product),
        int(fiber_bytes(a.row_sizes).sum()) + pointer_bytes(a.rows),
        _b_bytes(spec, product),
        NONZERO_BYTES * product.nonzeros + POINTER_BYTES * a.rows,
    )


def gamma_expected(
    spec: GammaSpec, rows: int, inner: int, columns: int, a_density: float, b_density: float
) -> GammaCounts:
    """Estimate the work of a product of matrices with independent nonzeros.

    Parameters
    ----------
    spec : GammaSpec
        The machine.
    rows, inner, columns : int
        A is (rows, inner), B (inner, columns).
    a_density, b_density : float
        Fractions of nonzeros.

    Returns
    -------
    GammaCounts
        Expected numbers. Where B does not fit into the cache, every read misses the part that does not fit.
    """
    multiplies = rows * inner * columns * a_density * b_density
    outputs = rows * columns * any_of(inner, a_density * b_density)
    b_row, used = mean_fiber_bytes(columns, b_density), inner * any_of(rows, a_density)
    once, cache = used * b_row, spec.cache_kib * 1024
    again = max(0.0, rows * inner * a_density * b_row - once) * max(0.0, 1.0 - cache / once) if once else 0.0
    return GammaCounts(
        multiplies,
        multiplies - outputs,
        rows * _mean_swaps(spec, inner, columns, a_density, b_density),
        rows * (mean_fiber_bytes(inner, a_density) + POINTER_BYTES),
        once + again + inner * POINTER_BYTES,
        outputs * NONZERO_BYTES + rows * POINTER_BYTES,
    )


def gamma_times(spec: GammaSpec, counts: GammaCounts) -> dict[str, float]:
    """Compute the time that each part of Gamma takes; the longest one is that of the product.

    Parameters
    ----------
    spec : GammaSpec
        The machine.
    counts : GammaCounts
        Work and traffic.

    Returns
    -------
    dict of str to float
        Time in ns of "DRAM", "merge" and "multiply".

    Examples
    --------
    The matrix ca-CondMat times itself in the TeAAL artifact:

    >>> from sparsim.machines.spgemm import GammaCounts, gamma_times
    >>> from sparsim.records.spgemm_specs import GammaSpec
    >>> spec = GammaSpec(name="gamma", clock_mhz=1000.0, dram_gib_per_s=128.0)
    >>> counts = GammaCounts(4127524, 1772087, 4643180, 2383608, 2383608, 28357776)
    >>> round(max(gamma_times(spec, counts).values()), 4)
    241016.0378
    """
    ns = 1e3 / spec.clock_mhz / spec.pes
    traffic = counts.a_bytes + counts.b_bytes + counts.z_bytes
    return {
        "DRAM": dram_ns(traffic, spec.dram_gib_per_s),
        "merge": counts.merge_swaps * ns,
        "multiply": counts.multiplies * ns,
    }


def _swaps(spec: GammaSpec, product: SparseProduct) -> int:
    """Return the elements in all merges: a row of Z is merged from `radix` rows at a time until one is
    left.
    """
    total, lists, elements = 0, product.fibers, product.elements
    while (lists > 1).any():
        lists, elements = lists[lists > 1], elements[lists > 1]
        total += int((lists + elements).sum())
        lists = -(-lists // spec.radix)
    return total


def _mean_swaps(spec: GammaSpec, inner: int, columns: int, a_density: float, b_density: float) -> float:
    """Of one row of Z. A single row of B is not merged; whether more than `radix` are is about normal."""
    nonempty = any_of(columns, b_density)
    chance = a_density * nonempty
    lists, elements = inner * chance, inner * columns * a_density * b_density
    alone = inner * chance * (1.0 - chance) ** (inner - 1)
    total = (lists - alone) * (1.0 + columns * b_density / nonempty) if nonempty else 0.0
    spread = math.sqrt(2.0 * lists * (1.0 - chance)) or 1e-9
    merged = spec.radix
    while merged < inner:
        more = math.erfc((merged + 0.5 - lists) / spread) / 2
        total += more * (lists / merged + elements)
        merged *= spec.radix
    return total


def _b_bytes(spec: GammaSpec, product: SparseProduct) -> int:
    from sparsim.machines.spgemm.kernels.row_products import missed_lines

    a, b = product.a, product.b
    lines = fiber_bytes(b.row_sizes) // LINE_BYTES
    nothing = np.zeros((2, b.rows), np.int64)
    heap = np.zeros((2, a.nonzeros), np.int64)
    missed = missed_lines(
        a.indices, _next_uses(a.indices), lines, int(spec.cache_kib * 1024) // LINE_BYTES,
        nothing[0], nothing[1], heap[0], heap[1],
    )  # fmt: skip
    pointers = touched_pointer_lines(np.flatnonzero(a.column_sizes), np.flatnonzero(b.row_sizes))
    return int(missed + pointers) * LINE_BYTES


def _next_uses(accesses: np.ndarray) -> np.ndarray:
    """For each access the next one of the same row, or their number where there is none."""
    order = np.argsort(accesses, kind="stable")
    following = np.full(accesses.size, accesses.size)
    same = accesses[order[:-1]] == accesses[order[1:]]
    following[order[:-1][same]] = order[1:][same]
    return following
