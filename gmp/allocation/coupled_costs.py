"""Searches for costs that are not sums over layers, for example because they depend on the channels of
neighbours.

Levels are ordered from the dense layer to the one that is pruned most, so that costs fall with every level.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]
Cost = Callable[[tuple[int, ...]], float]

HALVINGS = 40
SWEEPS = 10


def greedy(errors: Sequence[Reals], cost: Cost, budget: float) -> list[int]:
    """Start from the least errors, and repeat the step with the least loss per saving."""
    levels = [int(e.argmin()) for e in errors]
    now = cost(tuple(levels))
    while now > budget:
        best: tuple[float, float, list[int], float] | None = None
        for tried in _pruned_further(levels, errors):
            saved = now - (price := cost(tuple(tried)))
            if saved > 0:
                lost = _error(errors, tried) - _error(errors, levels)
                # savings beyond the budget do not count; of equal losses the larger saving is taken
                rank = max(0.0, lost) / min(saved, now - budget), -saved
                if best is None or rank < best[:2]:
                    best = (*rank, tried, price)
        if best is None:  # if costs rise with pruning, start from the floor, which was checked
            levels = [len(e) - 1 for e in errors]
            break
        levels, now = best[2], best[3]
    return refilled(errors, cost, budget, levels)


def lagrange(errors: Sequence[Reals], cost: Cost, budget: float) -> list[int]:
    """Minimise error + price * cost, layer by layer until nothing changes, for the price that just meets the
    budget.
    """
    floor = [len(e) - 1 for e in errors]
    dense = [int(e.argmin()) for e in errors]
    if cost(tuple(dense)) <= budget:
        return dense
    best, high = floor, (_error(errors, floor) - _error(errors, dense) or 1.0) / (budget or 1.0) * 1e6
    low = high * 1e-12
    for _ in range(HALVINGS):
        price = (low * high) ** 0.5
        found = _descended(errors, cost, price, best)
        if cost(tuple(found)) <= budget:
            high, best = price, min(best, found, key=lambda levels: _error(errors, levels))
        else:
            low = price
    return refilled(errors, cost, budget, best)


def refilled(errors: Sequence[Reals], cost: Cost, budget: float, levels: Sequence[int]) -> list[int]:
    """Change levels of single layers as long as the error falls and the budget is kept."""
    levels = list(levels)
    while True:
        better = [
            (_error(errors, tried), tried)
            for tried in _one_changed(levels, errors)
            if _error(errors, tried) < _error(errors, levels) and cost(tuple(tried)) <= budget
        ]
        if not better:
            return levels
        levels = min(better)[1]


def _descended(errors: Sequence[Reals], cost: Cost, price: float, start: Sequence[int]) -> list[int]:
    levels = list(start)
    for _ in range(SWEEPS):
        before = list(levels)
        for k, e in enumerate(errors):
            values = [float(e[i]) + price * cost((*levels[:k], i, *levels[k + 1 :])) for i in range(len(e))]
            levels[k] = int(np.argmin(values))
        if levels == before:
            break
    return levels


def _pruned_further(levels: Sequence[int], errors: Sequence[Reals]) -> list[list[int]]:
    return [tried for tried in _one_changed(levels, errors) if sum(tried) > sum(levels)]


def _one_changed(levels: Sequence[int], errors: Sequence[Reals]) -> list[list[int]]:
    return [
        [*levels[:k], i, *levels[k + 1 :]]
        for k, e in enumerate(errors)
        for i in range(len(e))
        if i != levels[k]
    ]


def _error(errors: Sequence[Reals], levels: Sequence[int]) -> float:
    return sum(float(e[i]) for e, i in zip(errors, levels, strict=True))
