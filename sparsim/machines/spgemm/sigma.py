"""SIGMA (HPCA 2020): the nonzeros of A stay in the multipliers, B streams through."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsim.machines.spgemm.sparse_matrix import SparseMatrix
from sparsim.records.spgemm_specs import SigmaSpec


class SigmaCounts(NamedTuple):
    """What the time on SIGMA depends on.

    Attributes
    ----------
    passes : float
        How often the multipliers are filled with nonzeros of A.
    columns : int
        Columns of B; one takes a cycle.
    a_words : float
        Words of A that are loaded.
    """

    passes: float
    columns: int
    a_words: float


def sigma_counts(spec: SigmaSpec, a: SparseMatrix, columns: int) -> SigmaCounts:
    """Count the passes of a matrix A; where the zeros of B are does not matter.

    Parameters
    ----------
    spec : SigmaSpec
        The machine.
    a : SparseMatrix
        The stationary operand.
    columns : int
        Columns of B.

    Returns
    -------
    SigmaCounts
    """
    slabs = np.bincount(a.indices // spec.slab)
    return SigmaCounts(_passes(spec, slabs), columns, a.nonzeros)


def sigma_expected(spec: SigmaSpec, inner: int, columns: int, nonzeros: float) -> SigmaCounts:
    """Count the passes of a matrix A with evenly spread nonzeros.

    Parameters
    ----------
    spec : SigmaSpec
        The machine.
    inner : int
        Columns of A.
    columns : int
        Columns of B.
    nonzeros : float
        Nonzeros of A.

    Returns
    -------
    SigmaCounts
    """
    full, rest = divmod(inner, spec.slab)
    in_slab = nonzeros * spec.slab / inner
    passes = full * _passes(spec, np.array([in_slab])) + _passes(spec, np.array([nonzeros * rest / inner]))
    return SigmaCounts(passes, columns, nonzeros)


def sigma_cycles(spec: SigmaSpec, counts: SigmaCounts) -> float:
    """Compute the cycles of a product.

    Parameters
    ----------
    spec : SigmaSpec
        The machine.
    counts : SigmaCounts
        Passes and words.

    Returns
    -------
    float
        Cycles, not rounded.

    Notes
    -----
    `columns * passes + a_words / load_words`, where each slab of the inner dim takes as many passes as its
    nonzeros of A fill the multipliers.

    Examples
    --------
    The rows 128 x 4096 and 4096 x 2048 of the TeAAL artifact, which has loaded 107,392 words of A:

    >>> from sparsim.machines.spgemm import sigma_cycles, sigma_expected
    >>> from sparsim.records.spgemm_specs import SigmaSpec
    >>> spec = SigmaSpec(name="sigma", clock_mhz=500.0)
    >>> sigma_cycles(spec, sigma_expected(spec, inner=4096, columns=2048, nonzeros=107392))
    66375.0
    """
    return counts.columns * counts.passes + counts.a_words / spec.load_words


def _passes(spec: SigmaSpec, slabs: NDArray[np.float64] | NDArray[np.int64]) -> int:
    return math.fsum(np.ceil(slabs / spec.multipliers)).__int__()
