"""Relative-indexed CSC, the format in which EIE stores the weights of a layer, with interleaved rows.

PE k has the rows k, k + N, k + 2N and so on of N PEs. It stores each column of its rows as entries of a value
and of the number of zeros before it. An entry of value zero is inserted where that number would not fit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsim.errors import SpecError
from sparsim.machines.eie.queue_kernels import count_entries

Ints = NDArray[np.int64]


class PeEntries(NamedTuple):
    """What one PE stores.

    Attributes
    ----------
    values : array
        The value of each entry, column by column; 0 for padding.
    zeros : array of int
        Zeros before each entry in its column.
    pointers : array of int, shape (columns + 1,)
        The first entry of each column, and the number of entries.
    """

    values: NDArray[np.generic]
    zeros: Ints
    pointers: Ints


class StoredWeights(NamedTuple):
    """The entries of all PEs and their places.

    Attributes
    ----------
    entries : array of int, shape (columns, PEs)
        Entries of each column.
    starts : array of int, shape (columns, PEs)
        Place of the first of them in the memory of the PE.
    nonzeros : array of int, shape (columns,)
        Weights of each column that are not zero, of all PEs.
    """

    entries: Ints
    starts: Ints
    nonzeros: Ints

    def memory_reads(self, columns: Ints, entries_per_row: int) -> int:
        """Return the rows that are read from the memories of entries for these columns."""
        number, begin = self.entries[columns], self.starts[columns]
        rows = (begin + number - 1) // entries_per_row - begin // entries_per_row + 1
        return int(rows[number > 0].sum())


def encode(weights: NDArray[np.generic], pes: int, index_bits: int) -> tuple[PeEntries, ...]:
    """Store weights (rows, columns) in relative-indexed CSC, PE by PE."""
    gap = _gap(pes, index_bits)
    found = []
    for k in range(pes):
        values: list[object] = []
        zeros: list[int] = []
        pointers = [0]
        for column in weights[k::pes].T:
            at = -1
            for row in np.flatnonzero(column).tolist():
                padding, rest = divmod(row - at - 1, gap)
                values += [0] * padding + [column[row]]
                zeros += [gap - 1] * padding + [rest]
                at = row
            pointers.append(len(values))
        found.append(PeEntries(np.array(values, weights.dtype), np.array(zeros, int), np.array(pointers)))
    return tuple(found)


def decode(stored: tuple[PeEntries, ...], rows: int) -> NDArray[np.generic]:
    """Return the weights (rows, columns) that `encode` stored."""
    weights = np.zeros((rows, len(stored[0].pointers) - 1), stored[0].values.dtype)
    for k, pe in enumerate(stored):
        for column, (begin, end) in enumerate(zip(pe.pointers, pe.pointers[1:], strict=False)):
            places = np.cumsum(pe.zeros[begin:end] + 1) - 1
            weights[k :: len(stored)][places, column] = pe.values[begin:end]
    return weights


def stored_weights(mask: NDArray[np.bool_], pes: int, index_bits: int) -> StoredWeights:
    """Count what `encode` makes of weights (rows, columns) that are not zero where `mask` is true."""
    gap = _gap(pes, index_bits)
    mask = np.ascontiguousarray(mask, np.bool_)
    entries = np.zeros((mask.shape[1], pes), np.int64)
    count_entries(mask, gap, np.full((pes, mask.shape[1]), -1, np.int64), entries)
    starts = np.cumsum(entries, axis=0) - entries
    return StoredWeights(entries, starts, mask.sum(axis=0, dtype=np.int64))


def _gap(pes: int, index_bits: int) -> int:
    """Return the number of rows that one entry can represent."""
    for name, value in (("pes", pes), ("index_bits", index_bits)):
        if value < 1:
            raise SpecError(f"{name} must be at least 1, got {value}")
    return 1 << index_bits
