"""Compressed sparse columns as the PE stores them: pairs of a value and a count, and where a column ends.

The count of a pair are the zeros between the value before it in its column and its own. A count field of b
bits counts to 2^b - 1, so a longer run of zeros gets an explicit zero with the largest count for every 2^b
zeros (as in EIE, Han et al., ISCA 2016). Zeros at the end of a column take nothing: its end is stored.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsim.errors import SpecError

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


class Csc(NamedTuple):
    """A compressed mask. A word of the data spad holds `per_word` pairs and no two columns."""

    zeros: Ints  # (pairs,) the count of each
    nonzero: Bools  # (pairs,) false: an explicit zero, of a long run or to fill up a word
    address: Ints  # (columns + 1,) words before each column; the first is 0 and not stored
    per_word: int
    rows: int

    def data_bits(self, value_bits: int, count_bits: int) -> int:
        return len(self.zeros) * (value_bits + count_bits)

    def address_bits(self, word_bits: int) -> int:
        return (len(self.address) - 1) * word_bits


def encode_csc(mask: Bools, count_bits: int, per_word: int = 1) -> Csc:
    """The columns of `mask` (rows, columns), compressed.

    Raises SpecError for other than two axes, a negative field width, or no pair per word.
    """
    mask = np.asarray(mask, np.bool_)
    if mask.ndim != 2:
        raise SpecError(f"the mask has {mask.ndim} axes, needed are 2: rows, columns", path="csc")
    if count_bits < 0 or per_word < 1:
        raise SpecError(
            f"count_bits is {count_bits} and per_word {per_word}, allowed are 0 and 1 and more", path="csc"
        )
    columns = mask.T
    zeros = _zeros_before(columns)[columns]  # one per nonzero, column after column
    explicit = zeros >> count_bits
    last = np.cumsum(explicit + 1) - 1  # the pair of each nonzero, those of its long run in front of it
    count = np.full(int((explicit + 1).sum()), (1 << count_bits) - 1, np.int64)
    nonzero = np.zeros(len(count), np.bool_)
    count[last], nonzero[last] = zeros & ((1 << count_bits) - 1), True

    _, entries = column_entries(columns, count_bits)
    words = -(-entries // per_word)
    start = np.concatenate([[0], np.cumsum(words)])
    place = np.repeat(start[:-1] * per_word - (np.cumsum(entries) - entries), entries) + np.arange(len(count))
    padded = np.zeros((2, int(start[-1]) * per_word), np.int64)
    padded[:, place] = count, nonzero
    return Csc(padded[0], padded[1] != 0, start, per_word, mask.shape[0])


def decode_csc(csc: Csc) -> Bools:
    """The mask (rows, columns) again."""
    mask = np.zeros((csc.rows, len(csc.address) - 1), np.bool_)
    for column in range(mask.shape[1]):
        pairs = slice(csc.address[column] * csc.per_word, csc.address[column + 1] * csc.per_word)
        rows = np.cumsum(csc.zeros[pairs] + 1) - 1
        mask[rows[csc.nonzero[pairs]], column] = True
    return mask


def column_entries(mask: Bools, count_bits: int) -> tuple[Ints, Ints]:
    """(nonzeros, pairs) of every column of a mask whose last axis runs down the columns."""
    explicit = np.where(mask, _zeros_before(mask) >> count_bits, 0).sum(axis=-1)
    nonzeros = mask.sum(axis=-1, dtype=np.int64)
    return nonzeros, nonzeros + explicit


def _zeros_before(mask: Bools) -> Ints:
    """Zeros between every element and the nonzero before it along the last axis."""
    place = np.arange(mask.shape[-1], dtype=np.int64)
    seen = np.maximum.accumulate(np.where(mask, place, -1), axis=-1)
    before = np.concatenate([np.full((*mask.shape[:-1], 1), -1), seen], axis=-1)[..., :-1]
    distance: Ints = place - before - 1
    return distance
