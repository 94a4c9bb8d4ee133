"""The time of EIE for densities of weights and activations, in closed form.

A slice takes its PE one cycle per entry, and one if it has none. Let c2 be the squared coefficient of
variation of these cycles, J the number of columns that are broadcast, and z the expected maximum of as many
standard normals as there are PEs. The slowest of PEs that never wait for each other takes z sqrt(c2 / J)
longer than their mean. Queues of depth D delay the other PEs by kappa c2, once PEs are so far apart that
queues are full:

    extra = z sqrt(c2 / J)                    for J <= (z / (2 kappa))^2 / c2
            kappa c2 + z^2 / (4 kappa J)      for more columns
    kappa = 1.273 z^1.2 / (D - 1.264 / cycles)^1.115

The two have the same value and slope where they meet. A queue of 1 sends a column when the slowest PE is
done with the one before. Where the rows do not divide evenly, the PEs with one row more may take longer by
themselves than all PEs on average; the longer of the two times counts.

The three numbers of kappa were fitted to the twin (`cycle_twin`) on random masks, with 4 to 256 PEs, queues
of 2 to 32, 300 to 6000 columns, and slices of .6 to 22 entries. The load efficiency of the twin is reproduced
within .004 on average (at most .035) with queues of 8 and more, .007 (.04) with 4 and .017 (.073) with 2.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from sparsim.machines.eie.slices import SliceEntries, slice_entries


class VectorTime(NamedTuple):
    """A product of the weights and one vector of activations.

    Attributes
    ----------
    cycles : float
    entries : float
        Of all PEs, padding included.
    nonzeros : float
        Those of the entries that are weights.
    memory_reads : float
        Rows of the memories of entries that are read.
    """

    cycles: float
    entries: float
    nonzeros: float
    memory_reads: float


def vector_time(
    rows: int,
    density: float,
    columns: float,
    pes: int,
    fifo_depth: int,
    longest_gap: int,
    entries_per_row: int,
) -> VectorTime:
    """Compute the time of one vector for weights with a number of rows and of broadcast columns."""
    slices = slice_entries(rows, pes, density, longest_gap)
    cycles = columns * slices.cycles * (1.0 + extra_share(slices, columns, pes, fifo_depth))
    size, longer = divmod(rows, pes)
    if longer:
        longest = slice_entries((size + 1) * pes, pes, density, longest_gap)
        of_these = columns * longest.cycles * (1.0 + extra_share(longest, columns, longer, fifo_depth))
        cycles = max(cycles, of_these)
    cycles += min(columns, 1.0)  # the first column is being broadcast
    sent = columns * pes
    reads = (1.0 - slices.empty) * (1.0 - 1.0 / entries_per_row) + slices.mean / entries_per_row
    return VectorTime(cycles, sent * slices.mean, sent * slices.nonzeros, sent * reads)


def extra_share(slices: SliceEntries, columns: float, pes: int, fifo_depth: int) -> float:
    """Return the average waiting cycles of PEs per working cycle."""
    variation, z = slices.squared_variation, expected_maximum(pes)
    if fifo_depth == 1:
        return z * math.sqrt(variation) + 1.0 / slices.cycles
    if pes == 1 or not columns:
        return 0.0
    kappa = 1.273 * z**1.2 / (fifo_depth - 1.264 / slices.cycles) ** 1.115
    if columns * variation <= (z / (2.0 * kappa)) ** 2:
        return z * math.sqrt(variation / columns)
    return kappa * variation + z * z / (4.0 * kappa * columns)


@cache
def expected_maximum(number: int) -> float:
    """The expected maximum of the absolute values of so many independent standard normals: the integral of 1
    - F(x)^n - F(-x)^n over x > 0.
    """
    x = np.linspace(0.0, 10.0, 2001)
    above = np.array([0.5 * math.erfc(value / math.sqrt(2.0)) for value in x])
    return float(np.trapezoid(1.0 - (1.0 - above) ** number - above**number, x))
