"""Bytes of compressed rows and columns (fibers) in DRAM, and the time that they take.

A nonzero has a value of 8 bytes and an index of 4 bytes, and a fiber has a pointer of 4 bytes. Values and
indices of a fiber, and pointers of a matrix, begin at a line of 8 bytes each.
"""

import math

import numpy as np

from sparsim.machines.spgemm.sparse_matrix import Whole

VALUE_BYTES, INDEX_BYTES, POINTER_BYTES, LINE_BYTES = 8, 4, 4, 8
NONZERO_BYTES = VALUE_BYTES + INDEX_BYTES


def fiber_bytes(sizes: Whole) -> Whole:
    """Return the bytes of fibers with so many nonzeros, without pointers."""
    return in_lines(sizes * INDEX_BYTES) + sizes * VALUE_BYTES


def in_lines(sizes: Whole) -> Whole:
    """Round bytes up to whole lines."""
    found: Whole = -(-sizes // LINE_BYTES) * LINE_BYTES
    return found


def pointer_bytes(fibers: int) -> int:
    """Return the bytes of the pointers of so many fibers, in whole lines."""
    return -(-fibers * POINTER_BYTES // LINE_BYTES) * LINE_BYTES


def mean_fiber_bytes(length: float, density: float) -> float:
    """Expected bytes of a fiber of independent nonzeros: an odd number of them fills its last line up."""
    odd = (1.0 - (1.0 - 2.0 * density) ** length) / 2
    return length * density * NONZERO_BYTES + odd * INDEX_BYTES


def any_of(number: float, chance: float) -> float:
    """Return the probability that any of a number of independent events happens."""
    return -math.expm1(number * math.log1p(-chance)) if chance < 1.0 else 1.0


def dram_ns(total_bytes: float, gib_per_s: float) -> float:
    """Return the time in ns of so many bytes."""
    return total_bytes / (gib_per_s * 2**30) * 1e9


def touched_pointer_lines(used: Whole, nonempty: Whole) -> int:
    """Lines of pointers that are read where only nonempty fibers have one, and `used` ones are looked for."""
    places = np.searchsorted(nonempty, used)
    return int(np.unique(places * POINTER_BYTES // LINE_BYTES).size)
