"""How many bytes pruned and shared weights take, stored as in Deep Compression (Han et al., ICLR 2016).

Nonzero weights are stored in the order of the flattened tensor, each as a code of the codebook and as the
number of zeros before it. Where that number does not fit its bits, an entry of weight zero stands between.
The codebook has a float32 for each of its entries. Huffman coding gives frequent codes and numbers of zeros
shorter words, and costs a byte for each of them for the length of its word.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gmp.errors import PruningError, writing
from gmp.number_checks import whole
from sparsim.fileio.json_and_csv import write_csv
from sparsim.report.tables import Table

FLOAT_BITS = 32
LENGTH_BITS = 8  # most bits of a word of a Huffman code
MOST_INDEX_BITS = 32

Codes = NDArray[np.integer]


@dataclass(frozen=True)
class StoredSize:
    """Sizes of one weight, or of all of them.

    Parameters
    ----------
    name : str
        Name of the weight; "total" for all of them.
    weights : int
        Number of weights.
    nonzero : int
        Number of weights that are not zero.
    stored : int
        Stored entries: nonzero weights and padding.
    entries : int or None
        Entries of the codebook; None for the total.
    weight_bits : int or None
        Bits of a code; None for the total.
    index_bits : int or None
        Bits of a number of zeros; None for the total.
    bits : int
        Size with fixed bits, codebook included.
    huffman_bits : int
        Size with Huffman coding, codebook and lengths of words included.
    """

    name: str
    weights: int
    nonzero: int
    stored: int
    entries: int | None
    weight_bits: int | None
    index_bits: int | None
    bits: int
    huffman_bits: int

    @property
    def dense_bytes(self) -> int:
        """Size in bytes with all weights as float32."""
        return self.weights * FLOAT_BITS // 8

    @property
    def bytes(self) -> int:
        """Size in bytes with fixed bits, codebook included."""
        return math.ceil(self.bits / 8)

    @property
    def huffman_bytes(self) -> int:
        """Size in bytes with Huffman coding."""
        return math.ceil(self.huffman_bits / 8)

    def cells(self) -> dict[str, str | int | float | None]:
        """Return the row as a dictionary.

        Returns
        -------
        dict of str to str, int, float or None
            Value of each column by its name.
        """
        return {
            "name": self.name, "weights": self.weights, "nonzero": self.nonzero, "stored": self.stored,
            "entries": self.entries, "weight_bits": self.weight_bits, "index_bits": self.index_bits,
            "dense_bytes": self.dense_bytes, "bytes": self.bytes, "huffman_bytes": self.huffman_bytes,
            "ratio": self.dense_bytes / self.bytes if self.bytes else math.inf,
            "huffman_ratio": self.dense_bytes / self.huffman_bytes if self.huffman_bytes else math.inf,
        }  # fmt: skip


@dataclass(frozen=True)
class SizeReport:
    """Sizes of shared weights.

    Parameters
    ----------
    rows : tuple of StoredSize
        One row for each weight.
    total : StoredSize
        Sums over all of them.
    """

    rows: tuple[StoredSize, ...]
    total: StoredSize

    def table(self) -> Table:
        """Return the report as a table for a terminal.

        Returns
        -------
        Table
            One row for each weight, and the total.
        """
        head = (
            "name",
            "weights",
            "nonzero",
            "stored",
            "entries",
            "bits",
            "dense",
            "bytes",
            "ratio",
            "Huffman",
            "ratio",
        )
        notes = (
            "stored: nonzero weights and padding; bits: of the code and of the number of zeros",
            "bytes include the codebook; dense: as float32",
        )
        return Table(head, list(map(_shown, self.rows)), total=_shown(self.total), notes=notes)

    def to_csv(self, path: str | Path) -> None:
        """Write the rows and the total as CSV.

        Parameters
        ----------
        path : str or Path
            File to write.

        Raises
        ------
        PruningError
            If the file cannot be written.
        """
        with writing(path, "report"):
            write_csv(Path(path), [row.cells() for row in (*self.rows, self.total)])


def size_report(codes: Mapping[str, Codes], entries: Mapping[str, int], index_bits: int) -> SizeReport:
    """Of codes by the names of weights, 0 for zeros, and the number of entries of each codebook."""
    if whole(index_bits, "index_bits") > MOST_INDEX_BITS:
        raise PruningError(f"index_bits must be at most {MOST_INDEX_BITS}, got {index_bits}")
    rows = tuple(_size(name, each.ravel(), entries[name], index_bits) for name, each in codes.items())
    sums = {
        key: sum(getattr(row, key) for row in rows)
        for key in ("weights", "nonzero", "stored", "bits", "huffman_bits")
    }
    return SizeReport(rows, StoredSize("total", entries=None, weight_bits=None, index_bits=None, **sums))


def _size(name: str, codes: Codes, entries: int, index_bits: int) -> StoredSize:
    places = np.flatnonzero(codes)
    padding, zeros = np.divmod(np.diff(places, prepend=-1) - 1, 1 << index_bits)
    padded = int(padding.sum())
    stored = len(places) + padded
    weight_bits = max(math.ceil(math.log2(entries)), 1)
    codebook = entries * FLOAT_BITS
    numbers = dict(zip(*(x.tolist() for x in np.unique(zeros, return_counts=True)), strict=True))
    longest = (1 << index_bits) - 1
    numbers[longest] = numbers.get(longest, 0) + padded
    gaps = [count for count in numbers.values() if count]
    used = [*np.unique(codes[places], return_counts=True)[1].tolist(), *([padded] if padded else [])]
    huffman = sum(huffman_bits(counts) + LENGTH_BITS * len(counts) for counts in (used, gaps))
    return StoredSize(
        name, len(codes), len(places), stored, entries, weight_bits, index_bits,
        stored * (weight_bits + index_bits) + codebook, huffman + codebook,
    )  # fmt: skip


def huffman_bits(counts: Iterable[int]) -> int:
    """Return the bits of all words of a Huffman code for symbols with these counts; a single symbol takes one
    bit each.
    """
    heap = [count for count in counts if count > 0]
    if len(heap) == 1:
        return heap[0]
    heapq.heapify(heap)
    total = 0
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        total += merged
        heapq.heappush(heap, merged)
    return total


def _shown(row: StoredSize) -> tuple[str, ...]:
    cells = row.cells()
    bits = "" if row.weight_bits is None else f"{row.weight_bits}+{row.index_bits}"
    return (
        row.name, f"{row.weights:,}", f"{row.nonzero:,}", f"{row.stored:,}", str(row.entries or ""), bits,
        f"{row.dense_bytes:,}", f"{row.bytes:,}", f"{cells['ratio']:.1f}x", f"{row.huffman_bytes:,}",
        f"{cells['huffman_ratio']:.1f}x",
    )  # fmt: skip
