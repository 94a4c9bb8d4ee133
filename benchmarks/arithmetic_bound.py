"""What the arithmetic alone would allow: operations that the formulas need per mapping, and the core's rate.

The operations are counted by hand from the formulas of the kernels, for a mapping's own numbers of loops,
kept tiles, formats and ranks. The rate is that of independent 64-bit multiply-adds on scalars. What lies
between this bound and a measurement is deciding, indexing and memory.
"""

from __future__ import annotations

import time

import numpy as np
from numba import njit

from sparsim.model.arrays import KEEP, N_RANKS, MappingPack
from sparsim.model.lower import lower_arch, lower_policy
from sparsim.records import Accelerator, Layer

LANES, STEPS = 8, 1_000_000


def operations_per_mapping(layer: Layer, chip: Accelerator, mappings: MappingPack, *, sparse: bool) -> float:
    """Additions, multiplications, divisions and roundings, on average over the mappings."""
    arch = lower_arch(chip)
    levels, tensors = len(arch.fan), len(layer.shape.dataspaces)
    loops = float((mappings.factor > 1).sum(axis=(1, 2)).mean())
    kept = float(np.bitwise_count(mappings.flags[:, :, KEEP]).sum(axis=1).mean())
    nest = loops * (2 + tensors)  # extents, steps, boxes
    traffic = tensors * (2 * loops + levels * 12)  # loop products; words, groups, partition, share, bypass
    counts = kept * (6 + 9 + 9)  # counts; vector accesses and energy of three actions; bandwidth and totals
    if not sparse:
        return nest + traffic + counts
    policy = lower_policy(chip, layer.shape)
    ranks = float(policy.format[:, :, N_RANKS].sum())
    occupancy = kept * 14  # two occupancies, expected words, density, working counts
    formats = ranks * (3 * 10 + 12 + 9 * 4)  # units of two tiles and the fullest; words; bits of nine actions
    matching = ranks * 2 * loops / levels
    return nest + traffic + counts + occupancy + formats + matching + 40  # gating, skipping, operand states


@njit
def _spin(steps: int, x: float) -> float:
    a, b, c, d, e, f, g, h = x, x + 1, x + 2, x + 3, x + 4, x + 5, x + 6, x + 7
    for _ in range(steps):
        a, b, c, d = a * x + 1.0, b * x + 1.0, c * x + 1.0, d * x + 1.0
        e, f, g, h = e * x + 1.0, f * x + 1.0, g * x + 1.0, h * x + 1.0
    return a + b + c + d + e + f + g + h


def operations_per_s() -> float:
    """Scalar multiplications and additions per CPU second, the best of five tries."""
    _spin(1, 0.5)
    best = 0.0
    for _ in range(5):
        start = time.process_time()
        _spin(STEPS, 0.5)
        best = max(best, 2 * LANES * STEPS / (time.process_time() - start))
    return best
