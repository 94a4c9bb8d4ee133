"""The points that no other point dominates."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]
Flags = NDArray[np.bool_]

FEW = 64  # number of points that are compared pairwise
BLOCK = 1 << 22  # number of comparisons at once


def non_dominated(values: Reals) -> Flags:
    """Find the rows that no other row dominates.

    Smaller values are better in all columns. A row dominates another one if it is nowhere larger and
    somewhere smaller; equal rows do not dominate each other. Rows with a nan are dominated.

    Parameters
    ----------
    values : array of float, shape (n, k)
        One row per point and one column per objective.

    Returns
    -------
    array of bool, shape (n,)
        Whether each row is on the front.

    Notes
    -----
    The time grows as n log(n) for two and three columns, and as n log(n)^2 for four.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsim.sweep import non_dominated
    >>> non_dominated(np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 4.0]]))
    array([ True,  True, False])
    """
    values = np.asarray(values, np.float64)
    found = np.zeros(len(values), np.bool_)
    known = np.flatnonzero(~np.isnan(values).any(axis=1))
    if not len(known):
        return found
    if not values.shape[1]:
        found[known] = True
        return found
    known = known[_left_by_the_best(values[known])]
    order = known[np.lexsort(values[known].T[::-1])]
    ordered = values[order]
    is_new = np.ones(len(order), np.bool_)
    is_new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    minimal = _minimal(ordered[is_new])
    found[order] = minimal[np.cumsum(is_new) - 1]
    return found


def is_dominated(values: Reals, by: Reals) -> Flags:
    """Return which rows of `values` (n, k) are dominated by one of `by` (m, k)."""
    found = np.zeros(len(values), np.bool_)
    if not len(by):
        return found
    step = max(1, BLOCK // by.size)
    for start in range(0, len(values), step):
        rows = values[start : start + step, None]
        below = np.logical_and.reduce(by <= rows, axis=2)
        strictly = np.logical_or.reduce(by < rows, axis=2)
        found[start : start + step] = (below & strictly).any(axis=1)
    return found


def _left_by_the_best(values: Reals) -> Flags:
    """Return which rows are not dominated by the few that look best; these rule out most rows of most
    sets.
    """
    if len(values) <= FEW:
        return np.ones(len(values), np.bool_)
    ranks = np.zeros(len(values))
    for column in values.T:
        low, high = column.min(), column.max()
        if np.isfinite(high - low) and high > low:
            ranks += (column - low) / (high - low)
    best = np.argpartition(ranks, FEW - 1)[:FEW]
    return ~is_dominated(values, values[best])


def _minimal(ordered: Reals) -> Flags:
    """Choose, among different rows in lexicographic order, those that no earlier row dominates."""
    n, k = ordered.shape
    if k == 1:
        return np.arange(n) == 0
    if k == 2:
        lowest = np.minimum.accumulate(ordered[:, 1])
        return np.concatenate([[True], ordered[1:, 1] < lowest[:-1]])
    if k == 3:
        return ~_reached(ordered[:, 1:], np.ones(n, np.bool_), np.ones(n, np.bool_))
    if n <= FEW:
        return ~is_dominated(ordered, ordered)
    half = n // 2
    found = np.concatenate([_minimal(ordered[:half]), _minimal(ordered[half:])])
    lower, upper = np.flatnonzero(found[:half]), half + np.flatnonzero(found[half:])
    found[upper] = ~_covered(ordered[upper, 1:], ordered[lower, 1:])
    return found


def _covered(values: Reals, by: Reals) -> Flags:
    """Return for which rows of `values` there is a row of `by` that is nowhere larger."""
    if values.shape[1] > 3:
        found = np.zeros(len(values), np.bool_)
        step = max(1, BLOCK // max(by.size, 1))
        for start in range(0, len(values), step):
            below = np.logical_and.reduce(by <= values[start : start + step, None], axis=2)
            found[start : start + step] = below.any(axis=1)
        return found
    both = np.concatenate([by, values])
    is_query = np.arange(len(both)) >= len(by)
    order = np.lexsort((is_query, *both.T[::-1]))  # rows of `by` come before equal rows of `values`
    reached = np.empty(len(both), np.bool_)
    reached[order] = _reached(both[order, 1:], ~is_query[order], is_query[order])
    return reached[len(by) :]


def _reached(pairs: Reals, is_added: Flags, is_asked: Flags) -> Flags:
    """Return, for each pair, whether an earlier added pair dominates it.

    Added pairs that no other dominates form a staircase, with rising first and falling second numbers.
    """
    found = np.zeros(len(pairs), np.bool_)
    firsts: list[float] = []
    seconds: list[float] = []
    for i, (first, second) in enumerate(pairs.tolist()):
        at = bisect_right(firsts, first)
        if at and seconds[at - 1] <= second:
            found[i] = is_asked[i]
            continue
        if not is_added[i]:
            continue
        at = bisect_left(firsts, first)
        end = at
        while end < len(firsts) and seconds[end] >= second:
            end += 1
        firsts[at:end], seconds[at:end] = [first], [second]
    return found
