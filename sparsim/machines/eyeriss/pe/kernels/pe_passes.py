"""Sparse PEs cycle by cycle: the columns of one PE's pass, and all passes of an array.

The fetch pipeline hands a column over in some cycle, at most `lookahead` columns wait, and the MACs begin
with it in a later cycle, when they are done with the column before. A column whose first word needs a psum of
the last word before it begins once that psum is written.
"""

from sparsim.model.kernels.fill import fill
from sparsim.model.kernels.jit import entry, kernel

# dims, in the order of `size`, `tile`, `split`, `first` and `last`
G, M, C, R, P, Q, DIMS = 0, 1, 2, 3, 4, 5, 6
# fields of `pe`
SKIPS_IACTS, SKIPS_WEIGHTS, STAGES, LOOKAHEAD, ACCUMULATE = 0, 1, 2, 3, 4
# fields of `clock`: last cycle of the fetch pipeline, first in which the MACs are free, columns so far,
# channel and filter position of the last column of the window; NONE if it wrote no psums
FETCHED, FREE, COLUMNS, CHANNEL, PLACE = 0, 1, 2, 3, 4
NONE = -1
# words of a column in `filters`
FIRST, LAST = 0, 1
# counts; after the first two in the order of sparsim.machines.eyeriss.pe.conv_tiling.Accesses
BUSY, MACS = 0, 1
IACT_ADDRESS_READS, IACT_ADDRESS_WRITES, IACT_READS, IACT_WRITES = 2, 3, 4, 5
WEIGHT_ADDRESS_READS, WEIGHT_ADDRESS_WRITES, WEIGHT_READS, WEIGHT_WRITES = 6, 7, 8, 9
PSUM_READS, PSUM_WRITES = 10, 11


@kernel
def _fetch(words, lookahead, stall, clock, began):
    """One step of the fetch pipeline: a column of so many words, which cannot follow the one before for
    `stall` cycles; 0: an empty column or segment.
    """
    if words == 0:
        clock[FETCHED] += 1
        return
    slot = clock[COLUMNS] % lookahead
    handed_over = max(clock[FETCHED] + 1, began[slot])  # there is room once an earlier column begins
    begins = max(handed_over + 1, clock[FREE] + stall)
    clock[FETCHED], clock[FREE], began[slot] = handed_over, begins + words, begins
    clock[COLUMNS] += 1


@kernel
def _stall(filters, pe, first, mt, c, s, clock):
    """Cycles until the psums of a column's first word are written, if the last word of the column before it
    has one of them.
    """
    if clock[CHANNEL] == NONE or pe[ACCUMULATE] == 1:
        return 0
    g, r = first[G], first[R]
    for i in range(filters.shape[6]):
        written = filters[g, mt, clock[CHANNEL], r, clock[PLACE], LAST, i]
        for j in range(filters.shape[6]):
            if written != NONE and written == filters[g, mt, c, r, s, FIRST, j]:
                return pe[ACCUMULATE] - 1
    return 0


@kernel
def _run_segment(
    iacts, words, kept, filters, stride, pe, first, last, mt, p, q, s0, s1, clock, began, counts
):
    """One segment of one window: columns s0..s1-1 of the filter."""
    g, r, row = first[G], first[R], p * stride + first[R]
    found = 0
    for s in range(s0, s1):
        arrives = 1 if q == first[Q] or s >= words.shape[4] - stride else 0
        for c in range(first[C], last[C]):
            on = iacts[g, c, row, q * stride + s]
            if on == 0 and pe[SKIPS_IACTS]:
                continue
            found += 1
            n = words[g, mt, c, r, s]
            counts[IACT_READS] += 1
            counts[IACT_WRITES] += arrives
            counts[BUSY] += n
            if on != 0:
                counts[WEIGHT_ADDRESS_READS] += 2 * pe[SKIPS_WEIGHTS]
                counts[WEIGHT_READS] += n
                counts[MACS] += kept[g, mt, c, r, s]
            stall = 0
            if n > 0 and on != 0:
                stall = _stall(filters, pe, first, mt, c, s, clock)
            _fetch(n, pe[LOOKAHEAD], stall, clock, began)
            if n > 0:
                clock[CHANNEL], clock[PLACE] = c if on != 0 else NONE, s
    if found == 0:
        _fetch(0, pe[LOOKAHEAD], 0, clock, began)


@kernel
def _run_tile(iacts, words, kept, filters, stride, pe, first, last, mt, clock, began, counts):
    """Cycles of one PE's pass over indices [first, last) of every dim; adds to `counts`."""
    width = words.shape[4]
    step = min(width, stride)
    clock[FETCHED], clock[FREE], clock[COLUMNS] = -1, 1, 0
    fill(began, 0)
    before = counts[BUSY]
    for p in range(first[P], last[P]):
        for q in range(first[Q], last[Q]):
            clock[CHANNEL] = NONE  # the psums of a window are handed over before the next one begins
            for s in range(0, width, step):
                _run_segment(
                    iacts, words, kept, filters, stride, pe, first, last, mt, p, q, s, min(width, s + step),
                    clock, began, counts,
                )  # fmt: skip
                counts[IACT_ADDRESS_READS] += pe[SKIPS_IACTS]
                if q == first[Q] or s + step >= width:
                    counts[IACT_ADDRESS_WRITES] += pe[SKIPS_IACTS]
    psums = (last[M] - first[M]) * (last[P] - first[P]) * (last[Q] - first[Q])
    counts[PSUM_READS] += psums
    counts[PSUM_WRITES] += psums
    for c in range(first[C], last[C]):
        for s in range(width):
            counts[WEIGHT_WRITES] += words[first[G], mt, c, first[R], s]
            counts[WEIGHT_ADDRESS_WRITES] += pe[SKIPS_WEIGHTS]
    if pe[STAGES] == 0:
        return counts[BUSY] - before
    return max(clock[FETCHED] + 1, clock[FREE] - 1) + pe[STAGES] - 1


@entry
def run_passes(iacts, words, kept, filters, stride, size, tile, split, pe, began, cycles, counts):
    """Entry: cycles[pass, PE] of all passes and PEs, 0 for a PE without work; adds to `counts`.

    iacts (G, C, rows, columns) nonzero or not; words, kept (G, filter tiles, C, R, S) words of a column and
    the MACs it is good for; filters (..., 2, lanes) those of its first and of its last word, or NONE; began
    (lookahead,) scratch.
    """
    number, first, last, clock = size.copy(), size.copy(), size.copy(), size.copy()
    for d in range(DIMS):
        number[d] = (size[d] + tile[d] * split[d] - 1) // (tile[d] * split[d])
    for p in range(cycles.shape[0]):
        for k in range(cycles.shape[1]):
            passes, pes, idle = p, k, False
            for d in range(DIMS - 1, -1, -1):
                index = passes % number[d] * split[d] + pes % split[d]
                passes, pes = passes // number[d], pes // split[d]
                first[d], last[d] = index * tile[d], min(size[d], (index + 1) * tile[d])
                idle = idle or first[d] >= size[d]
            cycles[p, k] = 0
            if not idle:
                cycles[p, k] = _run_tile(
                    iacts, words, kept, filters, stride, pe, first, last, first[M] // tile[M],
                    clock, began, counts,
                )  # fmt: skip
    counts[PSUM_READS] += counts[MACS]
    counts[PSUM_WRITES] += counts[MACS]
