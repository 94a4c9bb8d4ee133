"""Points that need no evaluation: their bounds are dominated by a point that was evaluated.

No point of the front is lost, because all values of a point are at or above its bounds, so that a point that
dominates the bounds dominates the point. The recorded table does not depend on which points were skipped: a
point that dominates some bounds is on the final front, or dominated by a point on it, which then also
dominates these bounds. Every skipped point therefore has bounds that the final front dominates, and exactly
the points with such bounds are reported as dominated.
"""

from __future__ import annotations

import numpy as np

from sparsim.sweep.pareto import Flags, Reals, is_dominated, non_dominated

WAITING = 256  # values that wait until they are merged, more for larger fronts


class Front:
    """The values of the points that may dominate others: final, and within all limits.

    Parameters
    ----------
    width : int
        Number of objectives.
    """

    def __init__(self, width: int) -> None:
        self._values = np.empty((0, width))
        self._waiting: list[list[float]] = []

    @property
    def values(self) -> Reals:
        if self._waiting:
            both = np.concatenate([self._values, self._waiting])
            self._values, self._waiting = both[non_dominated(both)], []
        return self._values

    def add(self, values: list[float]) -> None:
        self._waiting.append(values)
        if len(self._waiting) >= max(WAITING, len(self._values)):
            _ = self.values

    def dominates(self, bounds: Reals) -> Flags:
        return is_dominated(bounds, self.values)


def most_promising(bounds: Reals) -> np.ndarray:
    """Return the order in which points are evaluated: points whose bounds are not dominated first, then by
    the sum of columns.

    Each column is the logarithm of the ratio to its best value, to treat orders of magnitude alike.
    """
    ranks = np.zeros(len(bounds))
    for column in bounds.T:
        finite = np.where(np.isfinite(column), column, 0.0)
        spread = finite - finite.min() if len(finite) else finite
        if spread.any():
            ranks += np.log1p(spread / spread[spread > 0].mean())
    return np.lexsort((ranks, ~non_dominated(bounds)))
