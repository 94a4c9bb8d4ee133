"""k-means of numbers, from centres that are evenly spaced between the smallest and the largest one.

Deep Compression (Han et al., ICLR 2016, section 3.2) finds this start best, since it keeps large weights,
which are few and matter most. Between the two peaks that pruning leaves there may be centres that no weight
is closest to. Each of these moves into one of the clusters with the largest errors, to its member farthest
from the centre.
"""

import numpy as np
from numpy.typing import NDArray

from gmp.errors import PruningError

Reals = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_ROUNDS = 300


def linear_kmeans(values: Reals, number: int) -> tuple[Reals, Ints]:
    """Return ascending centres, and the index of the centre of each value; a value halfway belongs to the
    lower one.

    Raises PruningError for more centres than there are distinct values.
    """
    ordered = np.sort(values)
    distinct = int(np.count_nonzero(np.diff(ordered))) + 1
    if number > distinct:
        raise PruningError(f"a codebook of {number} values for {distinct} distinct weights")
    centres = np.linspace(ordered[0], ordered[-1], number)
    ends = np.zeros(number + 1, np.int64)
    for _ in range(MOST_ROUNDS):
        before = ends
        inner = np.searchsorted(ordered, _between(centres), side="right")
        ends = np.concatenate([[0], inner, [len(ordered)]])
        if np.array_equal(ends, before):
            break
        centres = _with_moved(_means(ordered, ends), ordered, ends)
    return centres, np.searchsorted(_between(centres), values, side="left")


def _between(centres: Reals) -> Reals:
    middle: Reals = (centres[1:] + centres[:-1]) / 2.0
    return middle


def _means(ordered: Reals, ends: Ints) -> Reals:
    """Of each cluster, which has the values from one end to the next; nan for one without values."""
    counts = np.diff(ends)
    found = np.full(len(counts), np.nan)
    full = counts > 0
    found[full] = np.add.reduceat(ordered, ends[:-1][full]) / counts[full]
    return found


def _with_moved(centres: Reals, ordered: Reals, ends: Ints) -> Reals:
    """The centres in their order, with a place for those that are nan."""
    empty = np.flatnonzero(np.isnan(centres))
    if not len(empty):
        return centres
    full = np.flatnonzero(~np.isnan(centres))
    errors = (ordered - np.repeat(centres[full], np.diff(ends)[full])) ** 2
    largest = full[np.argsort(np.add.reduceat(errors, ends[:-1][full]))[::-1]]
    for centre, cluster in zip(empty, largest, strict=False):
        low, high = ordered[ends[cluster]], ordered[ends[cluster + 1] - 1]
        centres[centre] = low if centres[cluster] - low > high - centres[cluster] else high
    found: Reals = np.sort(np.where(np.isnan(centres), ordered[-1], centres))  # others move in a later round
    return found
