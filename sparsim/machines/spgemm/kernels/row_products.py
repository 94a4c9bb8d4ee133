"""Sparse matrix products row by row: the products, results and cache misses of each row.

Matrices are compressed by rows: row `i` has the columns `index[start[i]:start[i + 1]]`.
"""

from sparsim.model.kernels.jit import entry, kernel

# columns of the counts of a row: elements and fibers (nonempty rows of B) that are merged, results, and
# results of each block of the inner dim counted apart
ELEMENTS, FIBERS, OUTPUTS, PARTIALS = 0, 1, 2, 3


@entry
def count_rows(a_start, a_index, b_start, b_index, block, seen, seen_in_block, counts):
    """Fill `counts` (rows, 4). `seen` and `seen_in_block` have a -1 for each column of B."""
    blocks = (b_start.size - 2) // block + 1
    for row in range(a_start.size - 1):
        for at in range(a_start[row], a_start[row + 1]):
            inner = a_index[at]
            if b_start[inner] == b_start[inner + 1]:
                continue
            counts[row, FIBERS] += 1
            counts[row, ELEMENTS] += b_start[inner + 1] - b_start[inner]
            mark = row * blocks + inner // block
            for other in range(b_start[inner], b_start[inner + 1]):
                column = b_index[other]
                if seen_in_block[column] != mark:
                    seen_in_block[column] = mark
                    counts[row, PARTIALS] += 1
                    if seen[column] != row:
                        seen[column] = row
                        counts[row, OUTPUTS] += 1


@kernel
def _push(heap_use, heap_row, size, use, row):
    """Push to a heap whose first element has the latest use."""
    at = size
    while at > 0 and heap_use[(at - 1) // 2] < use:
        heap_use[at], heap_row[at] = heap_use[(at - 1) // 2], heap_row[(at - 1) // 2]
        at = (at - 1) // 2
    heap_use[at], heap_row[at] = use, row


@kernel
def _pop(heap_use, heap_row, size):
    """Remove the first element of a heap of `size` elements."""
    use, row, at = heap_use[size - 1], heap_row[size - 1], 0
    while 2 * at + 1 < size - 1:
        child = 2 * at + 1
        if child + 1 < size - 1 and heap_use[child + 1] > heap_use[child]:
            child += 1
        if heap_use[child] <= use:
            break
        heap_use[at], heap_row[at] = heap_use[child], heap_row[child]
        at = child
    heap_use[at], heap_row[at] = use, row


@entry
def missed_lines(accesses, next_use, lines, capacity, cached, due, heap_use, heap_row):
    """Lines that a cache with the best possible replacement loads while rows are read in a given order.

    accesses : rows in the order in which they are read
    next_use : when the same row is read next, at least the number of accesses if it is not
    lines : of each row
    capacity : of the cache in lines
    cached, due : zeros, one for each row
    heap_use, heap_row : room for one element per access
    """
    missed, free, size = 0, capacity, 0
    for at in range(accesses.size):
        row = accesses[at]
        missed += lines[row] - cached[row]
        free += cached[row]
        cached[row], due[row] = 0, next_use[at]
        if next_use[at] >= accesses.size:
            continue
        while free < lines[row] and size > 0 and heap_use[0] > next_use[at]:
            last, use = heap_row[0], heap_use[0]
            if due[last] != use or cached[last] == 0:  # it was read in the meantime, or evicted
                _pop(heap_use, heap_row, size)
                size -= 1
                continue
            evicted = min(cached[last], lines[row] - free)
            cached[last] -= evicted
            free += evicted
        cached[row] = min(free, lines[row])
        free -= cached[row]
        if cached[row] > 0:
            _push(heap_use, heap_row, size, next_use[at], row)
            size += 1
    return missed
