"""Expected numbers of entries in slices of relative-indexed CSC; a slice is a PE's part of a column.

An entry is a weight and the number of zeros before it. After as many zeros as the number can count, an entry
with a zero weight is stored. Zeros at the end need no entries.
"""

from functools import lru_cache
from typing import NamedTuple


class SliceEntries(NamedTuple):
    """Moments of the entries of all slices of a matrix.

    Attributes
    ----------
    mean : float
        Mean number of entries.
    square : float
        Mean square of the number of entries.
    empty : float
        Share of the slices without an entry.
    nonzeros : float
        Mean number of entries that are weights.
    """

    mean: float
    square: float
    empty: float
    nonzeros: float

    @property
    def padding(self) -> float:
        """Entries per weight, at least 1."""
        return self.mean / self.nonzeros if self.nonzeros else 1.0

    @property
    def cycles(self) -> float:
        """Mean cycles that a slice takes its PE: one per entry, and one for a slice without any."""
        return self.mean + self.empty

    @property
    def squared_variation(self) -> float:
        """Squared coefficient of variation of the cycles of slices."""
        return max((self.square + self.empty) / self.cycles**2 - 1.0, 0.0)


def slice_entries(rows: int, pes: int, density: float, longest_gap: int) -> SliceEntries:
    """Compute the moments for weights that are nonzero independently of each other.

    `rows` are those of the matrix; PE k has rows k, k + `pes` and so on. One entry stands for at most
    `longest_gap` rows.
    """
    size, longer = divmod(rows, pes)
    mean = square = empty = 0.0
    for number, length in ((pes - longer, size), (longer, size + 1)):
        if number:
            share, (of_one, of_square) = number / pes, _moments(length, density, longest_gap)
            mean += share * of_one
            square += share * of_square
            empty += share * (1.0 - density) ** length
    return SliceEntries(mean, square, empty, rows / pes * density)


@lru_cache(maxsize=4096)
def _moments(size: int, density: float, gap: int) -> tuple[float, float]:
    """Mean and mean square of the entries of one slice.

    With k zeros before the first weight of n rows and f = 1 + k // gap the entries for both,

        mean(n) = sum over k < n of p q^k (f + mean(n-k-1))
        square(n) = sum over k < n of p q^k (f^2 + 2 f mean(n-k-1) + square(n-k-1))

    The sums are carried from n to n + 1. Their terms with k >= gap are those of n - gap with a larger f.
    """
    p, q = density, 1.0 - density
    far = q**gap
    mean, square = [0.0] * (size + 1), [0.0] * (size + 1)
    # factors of q^k in the sums
    one, of_mean, of_square, f, f2, f_mean = ([0.0] * (size + 1) for _ in range(6))
    for n in range(1, size + 1):
        i = max(n - gap, 0)  # sums of 0 rows are 0
        one[n] = 1.0 + q * one[n - 1]
        of_mean[n] = mean[n - 1] + q * of_mean[n - 1]
        of_square[n] = square[n - 1] + q * of_square[n - 1]
        f[n] = one[n] + far * f[i]
        f2[n] = one[n] + far * (f2[i] + 2.0 * f[i])
        f_mean[n] = of_mean[n] + far * f_mean[i]
        mean[n] = p * (f[n] + of_mean[n])
        square[n] = p * (f2[n] + 2.0 * f_mean[n] + of_square[n])
    return mean[size], square[size]
