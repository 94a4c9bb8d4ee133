"""The cycle-level twin of EIE: PEs with queues that process real masks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsim.errors import SpecError
from sparsim.machines.eie.closed_form import VectorTime
from sparsim.machines.eie.queue_kernels import CYCLES, STALLS, WAITED, run_queues
from sparsim.machines.eie.relative_csc import StoredWeights


class VectorRun(NamedTuple):
    """A product of the weights and one vector of activations, as the twin ran it.

    Attributes
    ----------
    pes : int
        PEs.
    columns : int
        Columns that were broadcast.
    cycles : int
        Cycles until the last PE is done.
    entries : int
        Entries that were processed, padding included.
    nonzeros : int
        Those that are weights.
    empty_slices : int
        Slices without entries, each of which takes its PE a cycle.
    memory_reads : int
        Rows that were read from the memories of entries.
    stalled_cycles : int
        Cycles in which a full queue held back the broadcast.
    mean_queue : float
        Columns in a queue, on average over PEs and cycles.
    """

    pes: int
    columns: int
    cycles: int
    entries: int
    nonzeros: int
    empty_slices: int
    memory_reads: int
    stalled_cycles: int
    mean_queue: float

    @property
    def load_efficiency(self) -> float:
        """Share of the cycles of all PEs in which they process entries."""
        return self.entries / (self.pes * self.cycles) if self.cycles else 1.0

    @property
    def pointer_reads(self) -> int:
        """Pointers that were read: two per column and PE."""
        return 2 * self.columns * self.pes

    @property
    def time(self) -> VectorTime:
        """Return the result of the closed form."""
        return VectorTime(self.cycles, self.entries, self.nonzeros, self.memory_reads)


def run_vector(
    stored: StoredWeights, active: NDArray[np.bool_], fifo_depth: int, entries_per_row: int = 8
) -> VectorRun:
    """Run the product with a vector that is nonzero where `active` (columns,) is true.

    Raises SpecError for another number of activations, and for a queue that holds nothing.
    """
    number, pes = stored.entries.shape
    if np.shape(active) != (number,):
        raise SpecError(
            f"the vector must have one element for each of the {number} columns, got shape {np.shape(active)}"
        )
    if fifo_depth < 1:
        raise SpecError(f"fifo_depth must be at least 1, got {fifo_depth}")
    columns = np.flatnonzero(active)
    found = np.zeros(3, np.int64)
    finished = np.zeros((fifo_depth, pes), np.int64)
    run_queues(stored.entries, columns, finished, np.zeros(pes, np.int64), found)
    entries = stored.entries[columns]
    cycles = int(found[CYCLES])
    return VectorRun(
        pes=pes, columns=len(columns), cycles=cycles, entries=int(entries.sum()),
        nonzeros=int(stored.nonzeros[columns].sum()), empty_slices=int((entries == 0).sum()),
        memory_reads=stored.memory_reads(columns, entries_per_row), stalled_cycles=int(found[STALLS]),
        mean_queue=float(found[WAITED]) / (pes * cycles) if cycles else 0.0,
    )  # fmt: skip
