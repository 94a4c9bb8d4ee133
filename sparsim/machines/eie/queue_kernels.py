"""Compiled loops for EIE: entries of slices, and the queues of PEs."""

from sparsim.model.kernels.jit import compiled

# fields of `found`
CYCLES, WAITED, STALLS = 0, 1, 2


@compiled
def count_entries(mask, gap, last, entries):
    """Entries (columns, PEs) of weights (rows, columns); `last` (PEs, columns) is scratch of -1."""
    pes = last.shape[0]
    for row in range(mask.shape[0]):
        k, place = row % pes, row // pes
        for column in range(mask.shape[1]):
            if mask[row, column]:
                entries[column, k] += 1 + (place - last[k, column] - 1) // gap
                last[k, column] = place


@compiled
def run_queues(entries, columns, finished, free, found):
    """Broadcast `columns` one by one to PEs with queues; `entries` (all columns, PEs).

    A column is sent at the end of the first cycle that begins with room in all queues, after the column
    before. A PE takes it in a later cycle, when it is done with the one before. It stays in the queue until
    its last entry is processed, which takes a cycle per entry, and one without entries.

    `finished` (depth, PEs) and `free` (PEs,) are scratch of zeros: the cycles in which the latest columns
    were done, and in which the PE can take the next one. `found` gets the cycles, the sum over PEs and
    columns of the cycles in queues, and the cycles in which the broadcast waited.
    """
    depth, pes = finished.shape
    sent = 0  # cycle in which the latest column was sent; the first is 1
    for j in range(len(columns)):
        slot = j % depth
        earliest = sent + 1
        for k in range(pes):
            earliest = max(earliest, finished[slot, k] + 1)
        found[STALLS] += earliest - sent - 1
        sent = earliest
        for k in range(pes):
            begin = max(sent + 1, free[k])
            end = begin + max(entries[columns[j], k], 1) - 1
            finished[slot, k] = end
            free[k] = end + 1
            found[WAITED] += end - sent
            found[CYCLES] = max(found[CYCLES], end)
