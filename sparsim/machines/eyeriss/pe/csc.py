"""Compressed sparse columns as the PE stores them: pairs of a value and a count, and the ends of columns.

The count of a pair is the number of zeros between the previous value of its column and its own. A count field
of b bits counts to 2^b - 1, so a longer run of zeros gets an explicit zero with the largest count for every
2^b zeros (as in EIE, Han et al., ISCA 2016). Zeros at the end of a column take no space, because its end is
stored.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


class Columns(NamedTuple):
    """The columns of a mask whose last axis runs down the columns, as words of several pairs."""

    nonzeros: Ints
    pairs: Ints
    filters: Ints  # (..., 2, pairs of a word) nonzeros of the first and of the last word, -1: no nonzero


def compressed_columns(mask: Bools, count_bits: int, per_word: int) -> Columns:
    """Return every column of a mask with explicit zeros where its counts are too short."""
    taken = np.where(mask, 1 + (_zeros_before(mask) >> count_bits), 0)
    place = taken.cumsum(axis=-1) - 1  # of the pair of a nonzero
    pairs = taken.sum(axis=-1, dtype=np.int64)
    filters = np.full((*pairs.shape, 2, per_word), -1)
    number = np.arange(mask.shape[-1])
    for end, word in enumerate((np.zeros_like(pairs), (pairs - 1) // per_word)):
        for i in range(per_word):
            hit = mask & (place == (word * per_word + i)[..., None])
            filters[..., end, i] = np.where(hit, number, -1).max(axis=-1, initial=-1)
    return Columns(mask.sum(axis=-1, dtype=np.int64), pairs, filters)


def tile_words(mask: Bools, filters: int, count_bits: int, per_word: int) -> Ints:
    """Return the words of every column of tiles with so many filters, (groups, tiles, ...), of a mask
    (groups, filters, ...). The columns are those of `compressed_columns`, all of them at once.
    """
    groups, number, *rest = mask.shape
    pairs = np.zeros((groups, -(-number // filters), *rest), np.min_scalar_type(filters))
    zeros = np.zeros_like(pairs)
    for first in range(min(filters, number)):
        hit = mask[:, first::filters]
        some, before = pairs[:, : hit.shape[1]], zeros[:, : hit.shape[1]]
        some += hit
        if filters > 1 << count_bits:
            some += hit * (before >> count_bits)
            before += 1
            before *= ~hit
    return -(-pairs.astype(np.int64) // per_word)


def _zeros_before(mask: Bools) -> Ints:
    """Return the number of zeros between every element and the previous nonzero along the last axis."""
    place = np.arange(mask.shape[-1], dtype=np.int64)
    seen = np.maximum.accumulate(np.where(mask, place, -1), axis=-1)
    before = np.concatenate([np.full((*mask.shape[:-1], 1), -1), seen], axis=-1)[..., :-1]
    distance: Ints = place - before - 1
    return distance
