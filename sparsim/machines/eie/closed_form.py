"""How long EIE takes for densities of weights and activations, without simulating it.

The load efficiency is the share of the cycles of all PEs in which they work on entries:

    1 / efficiency - 1 = z sqrt(c2 / columns) + kappa c2

with c2 the squared coefficient of variation of the entries per slice, `columns` the nonzero activations, and
z the expected maximum of as many standard normals as there are PEs. The first term is the imbalance of a run
that no queue removes, the second are waits for full queues.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from sparsim.machines.eie.slices import SliceEntries, slice_entries

QUEUE_DEPTHS = (2, 4, 8, 16)
KAPPA = (2.0, 0.70, 0.28, 0.10)  # of these depths, with 64 PEs
PES = (1, 16, 64, 256)
PES_KAPPA = (0.0, 0.17, 0.28, 0.31)  # of these numbers of PEs, with queues of 8


class VectorTime(NamedTuple):
    """A product of the weights and one vector of activations.

    Attributes
    ----------
    cycles : float
    entries : float
        Of all PEs, padding included.
    nonzeros : float
        Those of the entries that are weights.
    slices : SliceEntries
    """

    cycles: float
    entries: float
    nonzeros: float
    slices: SliceEntries


def vector_time(
    rows: int, columns: int, weights: float, activations: float, pes: int, fifo_depth: int, longest_gap: int
) -> VectorTime:
    """Of weights (rows, columns) and a vector, with densities of weights and activations."""
    slices = slice_entries(rows, pes, weights, longest_gap)
    sent = columns * activations
    busy = sent * slices.mean  # of a PE on average
    cycles = max(sent, busy * (1.0 + lost_share(slices, sent, pes, fifo_depth)))
    return VectorTime(cycles, busy * pes, sent * pes * slices.nonzeros, slices)


def lost_share(slices: SliceEntries, columns: float, pes: int, fifo_depth: int) -> float:
    """Idle cycles of PEs per cycle in which they work."""
    if pes == 1 or not columns or not slices.mean:
        return 0.0
    variation = slices.squared_variation
    if fifo_depth == 1:
        return expected_maximum(pes) * math.sqrt(variation) + 1.0 / slices.mean
    imbalance = expected_maximum(pes) * math.sqrt(variation / max(columns, 1.0))
    return imbalance + kappa(pes, fifo_depth) * variation


def kappa(pes: int, fifo_depth: int) -> float:
    """Interpolated; beyond the largest depth it falls with its square root of ten per doubling."""
    of_depth = math.exp(np.interp(math.log2(fifo_depth), np.log2(QUEUE_DEPTHS), np.log(KAPPA)))
    if fifo_depth > QUEUE_DEPTHS[-1]:
        of_depth = KAPPA[-1] * QUEUE_DEPTHS[-1] / fifo_depth
    of_pes = np.interp(math.log2(pes), np.log2(PES), PES_KAPPA) / PES_KAPPA[PES.index(64)]
    return float(of_depth * of_pes)


@cache
def expected_maximum(number: int) -> float:
    """Of as many independent standard normals: the integral of 1 - F^n - F(-x)^n over x > 0 (1.77 for 16)."""
    x = np.linspace(0.0, 10.0, 2001)
    above = np.array([0.5 * math.erfc(-value / math.sqrt(2.0)) for value in x])
    return float(np.trapezoid(1.0 - above**number - (1.0 - above) ** number, x))
