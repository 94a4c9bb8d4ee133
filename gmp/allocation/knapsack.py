"""Multiple-choice knapsack: one level of each layer with the least sum of errors and costs within a budget.

A state is the total cost and error of the first layers. States have their true costs instead of rounded ones,
so that the budget is kept exactly. Dominated states are dropped, and so are those that cannot lead to the
optimum by a lower bound (Lagrange).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]

MOST_STATES = 20_000  # most states; beyond it the best state of each of so many ranges of cost is kept
HALVINGS = 60


def solve(errors: Sequence[Reals], costs: Sequence[Reals], budget: float) -> tuple[list[int], bool]:
    """Return the level of each layer, and whether this choice is proven optimal.

    The least costs of all layers must be within the budget.
    """
    price, fallback = multiplier(errors, costs, budget)
    best = sum(float(e[i]) for e, i in zip(errors, fallback, strict=True))
    slack = 1e-9 * max(1.0, sum(float(np.abs(e).max()) for e in errors))
    rest_cost = _sums_from_the_end([float(c.min()) for c in costs])
    rest_bound = _sums_from_the_end(
        [float((e + price * c).min()) for e, c in zip(errors, costs, strict=True)]
    )
    cost, error = np.zeros(1), np.zeros(1)
    history: list[tuple[NDArray[np.intp], NDArray[np.intp]]] = []
    exact = True
    for k, (e, c) in enumerate(zip(errors, costs, strict=True), start=1):
        cost, error = (cost[:, None] + c).ravel(), (error[:, None] + e).ravel()
        bound = error + price * (cost - budget) + rest_bound[k]
        # for the last layer use the plain sum of costs, which callers compute, too
        within = cost + rest_cost[k] <= budget * (1 + (1e-12 if k < len(errors) else 0.0))
        kept = np.flatnonzero(within & (bound <= best + slack))
        kept = kept[np.lexsort((error[kept], cost[kept]))]
        before = np.concatenate([[np.inf], np.minimum.accumulate(error[kept])[:-1]])
        kept = kept[error[kept] < before]
        if len(kept) > MOST_STATES:
            kept, exact = _thinned(kept, cost[kept]), False
        history.append((kept // len(e), kept % len(e)))
        cost, error = cost[kept], error[kept]
        if not len(kept):  # this is only rounding: the fallback was within the budget
            return fallback, False
    state = int(error.argmin())
    if error[state] > best:  # states were left out
        return fallback, False
    levels = []
    for parent, level in reversed(history):
        levels.append(int(level[state]))
        state = int(parent[state])
    return levels[::-1], exact


def multiplier(errors: Sequence[Reals], costs: Sequence[Reals], budget: float) -> tuple[float, list[int]]:
    """Return the price of a unit of cost at which the cheapest choice just fits, and that choice."""

    def chosen(price: float) -> list[int]:
        found = []
        for e, c in zip(errors, costs, strict=True):
            value = e + price * c
            found.append(int(np.lexsort((c, value))[0]))
        return found

    def fits(levels: Sequence[int]) -> bool:
        return sum(float(c[i]) for c, i in zip(costs, levels, strict=True)) <= budget

    cheapest = [int(np.lexsort((e, c))[0]) for e, c in zip(errors, costs, strict=True)]
    if fits(free := chosen(0.0)):
        return 0.0, free
    spread = sum(float(e.max() - e.min()) for e in errors) or 1.0
    steps = [float(np.diff(np.unique(c)).min()) for c in costs if len(np.unique(c)) > 1]
    high = spread / min(steps, default=1.0)
    if not fits(best := chosen(high)):
        return high, cheapest
    low = high * 1e-18
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        if fits(found := chosen(middle)):
            high, best = middle, found
        else:
            low = middle
    return high, best


def _sums_from_the_end(values: Sequence[float]) -> list[float]:
    """Return an array whose element k is the sum of values[k:]."""
    sums = [0.0]
    for value in reversed(values):
        sums.append(sums[-1] + value)
    return sums[::-1]


def _thinned(kept: NDArray[np.intp], cost: Reals) -> NDArray[np.intp]:
    """Keep the last choice of each range of costs, which has the least error."""
    span = float(cost[-1] - cost[0]) or 1.0
    ranges = np.floor((cost - cost[0]) / span * (MOST_STATES - 1)).astype(np.int64)
    last = np.append(np.flatnonzero(np.diff(ranges)), len(ranges) - 1)
    return kept[last]
