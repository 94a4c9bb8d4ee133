"""Cycles of sparse machines that have a closed form: the ideal PE, DSTC, and n:m structured sparsity."""

import numpy as np
from numpy.typing import ArrayLike

from sparsim.machines.eyeriss.pe.csc import Bools
from sparsim.machines.eyeriss.pe.random_columns import Reals, binomial, checked_density


def effectual_macs(iacts: Bools, weights: Bools, stride: int = 1) -> int:
    """Products of a nonzero iact and a nonzero weight: cycles of one MAC that skips all zeros for free.

    `iacts` (G, C, rows, columns), `weights` (G, M, C, R, S). For 1 x 1 filters the sum over channels of
    nnz_iacts * nnz_weights.
    """
    _, _, _, r, s = np.shape(weights)
    _, _, rows, columns = np.shape(iacts)
    in_column = np.asarray(weights, np.bool_).sum(axis=1, dtype=np.int64)
    total = 0
    for i in range(r):
        for j in range(s):
            met = np.asarray(iacts, np.bool_)[
                :, :, i : rows - r + i + 1 : stride, j : columns - s + j + 1 : stride
            ]
            total += int((met.sum(axis=(2, 3), dtype=np.int64) * in_column[:, :, i, j]).sum())
    return total


def full_lanes(density: ArrayLike, length: int, lanes: int) -> Reals:
    """Expected part of `lanes` that is busy while the nonzeros of a vector of `length` are dealt out to them:
    E[n / (lanes * ceil(n / lanes))], n ~ Binomial(length, density); an empty vector counts as 0.

    Raises SpecError for densities outside [0, 1].
    """
    density = checked_density("vector", density)
    n = np.arange(length + 1)
    found: Reals = binomial(length, density) @ (n / (lanes * np.maximum(-(-n // lanes), 1)))
    return found


def dstc(density_a: ArrayLike, density_b: ArrayLike) -> tuple[Reals, Reals]:
    """(busy MACs, latency of dense = 1) of the dual-side sparse tensor core (Wang et al., ISCA 2021) as
    Sparseloop models it: vectors of 32 on 8 rows and 16 columns of MACs, at most 116 operands per cycle.
    """
    macs, words_per_cycle = 128, 116
    busy = macs * full_lanes(density_a, 32, 8) * full_lanes(density_b, 32, 16)
    pace = words_per_cycle / np.minimum(words_per_cycle, busy)
    return busy, np.asarray(density_a) * np.asarray(density_b) * pace


def structured_cycles(macs: int, units: int, density: float, kept: int = 2, of: int = 4) -> int:
    """Cycles of `units` MACs that skip all but `kept` of every `of` weights where no more are nonzero, as
    NVIDIA's sparse tensor core does; for a density above kept / of nothing is skipped.
    """
    left = macs * kept if density <= kept / of else macs * of
    return -(-left // (units * of))
