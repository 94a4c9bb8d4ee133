"""Compressed sparse columns as the PE stores them: pairs of a value and a count, and the ends of columns.

The count of a pair is the number of zeros between the previous value of its column and its own. A count field
of b bits counts to 2^b - 1, so a longer run of zeros gets an explicit zero with the largest count for every
2^b zeros (as in EIE, Han et al., ISCA 2016). Zeros at the end of a column take no space, because its end is
stored.
"""

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


def column_entries(mask: Bools, count_bits: int) -> tuple[Ints, Ints]:
    """(nonzeros, pairs) of every column of a mask whose last axis runs down the columns."""
    explicit = np.where(mask, _zeros_before(mask) >> count_bits, 0).sum(axis=-1)
    nonzeros = mask.sum(axis=-1, dtype=np.int64)
    return nonzeros, nonzeros + explicit


def _zeros_before(mask: Bools) -> Ints:
    """Return the number of zeros between every element and the previous nonzero along the last axis."""
    place = np.arange(mask.shape[-1], dtype=np.int64)
    seen = np.maximum.accumulate(np.where(mask, place, -1), axis=-1)
    before = np.concatenate([np.full((*mask.shape[:-1], 1), -1), seen], axis=-1)[..., :-1]
    distance: Ints = place - before - 1
    return distance
