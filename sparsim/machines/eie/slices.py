"""Entries of a slice of relative-indexed CSC: the part of a column of weights that one PE stores.

An entry is a weight and the number of zeros before it. After as many zeros as the number can count, an entry
with a zero weight is stored. Zeros at the end need nothing.
"""

from functools import lru_cache
from typing import NamedTuple


class SliceEntries(NamedTuple):
    """Mean and variance of the entries of slices, and the mean of their nonzeros."""

    mean: float
    variance: float
    nonzeros: float

    @property
    def padding(self) -> float:
        """Entries per nonzero, at least 1."""
        return self.mean / self.nonzeros if self.nonzeros else 1.0

    @property
    def squared_variation(self) -> float:
        """Squared coefficient of variation."""
        return self.variance / self.mean**2 if self.mean else 0.0


def slice_entries(rows: int, pes: int, density: float, longest_gap: int) -> SliceEntries:
    """Of all slices of a column, for weights that are nonzero independently of each other.

    `rows` are those of the matrix; PE k has rows k, k + `pes` and so on. One entry stands for at most
    `longest_gap` rows.
    """
    short, longer = divmod(rows, pes)
    mean = square = 0.0
    for size, number in ((short, pes - longer), (short + 1, longer)):
        if number and size:
            of_slice = _moments(size, density, longest_gap)
            mean += number / pes * of_slice[0]
            square += number / pes * of_slice[1]
    return SliceEntries(mean, max(square - mean * mean, 0.0), rows / pes * density)


@lru_cache(maxsize=4096)
def _moments(size: int, density: float, gap: int) -> tuple[float, float]:
    """Mean and mean square of the entries of one slice of `size` rows.

    With g(n) for n rows, k zeros before the first nonzero of them, and f = 1 + k // gap the entries for both:
    mean(n) = sum over k < n of p q^k (f + mean(n-k-1)), and likewise for the square. The sums over k are
    carried from n to n + 1.
    """
    p, q = density, 1.0 - density
    far = q**gap
    first, second = [0.0], [0.0]
    plain = [[0.0], [0.0], [0.0]]  # sums of q^k 1, q^k mean(n-k-1), q^k square(n-k-1)
    once = [[0.0], [0.0]]  # the first two with f in place of 1
    twice = [0.0]  # the first with f^2
    for n in range(1, size + 1):
        before = n - gap
        for sums, value in zip(plain, (1.0, first[-1], second[-1]), strict=True):
            sums.append(value + q * sums[-1])
        # the part of k >= gap is that of n - gap rows with f one larger
        far_once = [sums[before] if before > 0 else 0.0 for sums in once]
        far_twice = twice[before] if before > 0 else 0.0
        near = [sums[n] - far * (sums[before] if before > 0 else 0.0) for sums in plain]
        far_plain = [sums[before] if before > 0 else 0.0 for sums in plain]
        for i, sums in enumerate(once):
            sums.append(near[i] + far * (far_once[i] + far_plain[i]))
        twice.append(near[0] + far * (far_twice + 2.0 * far_once[0] + far_plain[0]))
        first.append(p * (once[0][n] + plain[1][n]))
        second.append(p * (twice[n] + 2.0 * once[1][n] + plain[2][n]))
    return first[size], second[size]
