"""Ordered factorisations of a bound, one factor per tiling level, between limits (model 17.2).

A fixed factor is a limit from both sides. `low` and `high` hold one limit per tiling level, innermost first.
"""

import math
from collections.abc import Sequence

import numpy as np

from sparsim.model.arrays import Ints


def divisors(n: int) -> list[int]:
    """Return the divisors of `n`, small ones and their cofactors alternating: 12 gives 1, 12, 2, 6, 3, 4."""
    found = []
    for i in range(1, math.isqrt(n) + 1):
        if n % i == 0:
            found += [i] if i * i == n else [i, n // i]
    return found


def count_factorisations(bound: int, low: Sequence[int], high: Sequence[int]) -> int:
    """Return the number of rows of `factorisations` without making them."""
    return _ways(bound, low, high)[-1][bound]


def factorisations(bound: int, low: Sequence[int], high: Sequence[int]) -> Ints:
    """Return (n, T), in which every row multiplies to `bound`; the order is that of 17.2, the outermost
    factor changes last.
    """
    known = divisors(bound)
    index = {m: i for i, m in enumerate(known)}
    ways = _ways(bound, low, high)
    # per row, the remaining number to factor
    rest = np.array([index[bound]] if ways[-1][bound] else [], np.int64)
    columns: list[Ints] = []
    for t in reversed(range(len(low))):
        steps = [
            [f for f in known if m % f == 0 and low[t] <= f <= high[t] and ways[t][m // f]] for m in known
        ]
        number = np.array([len(fs) for fs in steps], np.int64)
        factor = np.array([f for fs in steps for f in fs], np.int64)
        left = np.array([index[m // f] for m, fs in zip(known, steps, strict=True) for f in fs], np.int64)
        grown = number[rest]
        row = np.repeat(np.arange(len(rest)), grown)
        nth = np.arange(len(row)) - np.repeat(np.cumsum(grown) - grown, grown)
        step = (np.cumsum(number) - number)[rest[row]] + nth
        columns = [factor[step], *(column[row] for column in columns)]
        rest = left[step]
    return np.stack(columns, axis=1)


def _ways(bound: int, low: Sequence[int], high: Sequence[int]) -> list[dict[int, int]]:
    """Return `[t][m]`: in how many ways the innermost t factors multiply to m, a divisor of `bound`."""
    known = divisors(bound)
    ways = [{m: int(m == 1) for m in known}]
    for least, most in zip(low, high, strict=True):
        allowed = [f for f in known if least <= f <= most]
        ways.append({m: sum(ways[-1][m // f] for f in allowed if m % f == 0) for m in known})
    return ways
