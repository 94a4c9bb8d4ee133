"""Sparsities of all layers from curves of single layers: a common threshold, or the least sum of losses."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gmp.allocation import allocate
from gmp.errors import PruningError
from gmp.number_checks import at_least_zero, fraction

Reals = NDArray[np.float64]
Curves = dict[str, tuple[Reals, Reals]]
Total = Callable[[str, Mapping[str, float]], float]
Levels = Callable[[str, Mapping[str, Reals]], dict[str, Reals]]

GRID = 0.01  # distance of the sparsities that dynamic programming chooses from
HALVINGS = 60


class LayerRatios(NamedTuple):
    """Sparsities of layers.

    Parameters
    ----------
    scope : dict of str to float
        Sparsity of each weight by name, for ``scope`` of `gmp.Pruner` and `gmp.one_shot`.
    sparsity : float
        Overall sparsity of these weights.
    cost : float
        Cost of the network with these sparsities.
    budget : float
        Largest cost that was allowed.
    """

    scope: dict[str, float]
    sparsity: float
    cost: float
    budget: float


def at_threshold(curves: Curves, threshold: float) -> dict[str, float]:
    """Return the largest measured sparsity of each layer within the threshold."""
    threshold = at_least_zero(threshold, "the threshold")
    return {name: float(x[np.flatnonzero(lost <= threshold)[-1]]) for name, (x, lost) in curves.items()}


def meeting(
    curves: Curves, sizes: Mapping[str, int], saved: float, cost: str, total: Total, levels: Levels
) -> LayerRatios:
    """Return the sparsities at the smallest threshold that saves enough.

    Where the saving jumps at a threshold, the sparsities of all layers are interpolated across the jump.
    """
    budget, most = _budget(curves, saved, cost, total)

    def at(threshold: float) -> dict[str, float]:
        return {name: _within(*curve, threshold) for name, curve in curves.items()}

    low, high = 0.0, max(float(lost[-1]) for _, lost in curves.values()) or 1.0
    if total(cost, least := at(0.0)) <= budget:
        before, after = dict.fromkeys(curves, 0.0), least
    else:
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if total(cost, at(middle)) <= budget else (middle, high)
        before, after = at(low), at(high)
        if total(cost, after) > budget:  # rounding
            after = most

    def between(part: float) -> dict[str, float]:
        return {name: before[name] + part * (after[name] - before[name]) for name in curves}

    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if total(cost, between(middle)) <= budget else (middle, high)
    zeros = {name: int(np.ceil(round(s * sizes[name], 6))) for name, s in between(high).items()}
    return _exact(curves, sizes, zeros, cost, total, budget)


def allocated(
    curves: Curves, sizes: Mapping[str, int], saved: float, cost: str, total: Total, levels: Levels
) -> LayerRatios:
    """Return the sparsities with the least sum of losses, which are interpolated on a grid of sparsities."""
    budget, most = _budget(curves, saved, cost, total)
    grids = {name: np.unique([*np.arange(0, top, GRID), top]) for name, top in most.items()}
    # whole numbers of weights, so that the levels have the costs that the layers will have
    grids = {
        name: np.unique(np.floor(grid * sizes[name] + 1e-9)) / sizes[name] for name, grid in grids.items()
    }
    errors = {name: np.interp(grid, *curves[name]) for name, grid in grids.items()}
    prices = levels(cost, grids)
    rest = total(cost, dict.fromkeys(curves, 0.0)) - sum(float(p[0]) for p in prices.values())
    least = sum(float(p.min()) for p in prices.values())
    found = allocate(errors, prices, max(least, budget - rest))  # rounding, if only the floor fits
    zeros = {name: round(grids[name][i] * sizes[name]) for name, i in found.levels.items()}
    return _exact(curves, sizes, zeros, cost, total, budget)


def _budget(curves: Curves, saved: float, cost: str, total: Total) -> tuple[float, dict[str, float]]:
    """Return the largest cost allowed, and the highest sparsities. Raises PruningError if these save less."""
    saved = fraction(saved, "the fraction to save")
    dense = total(cost, dict.fromkeys(curves, 0.0))
    budget = dense - round(saved * dense) if cost == "weights" else (1 - saved) * dense
    most = {name: float(x[-1]) for name, (x, _) in curves.items()}
    least = total(cost, most)
    if least > budget * (1 + 1e-12):
        raise PruningError(
            f"{saved:.4g} of the {cost} cannot be saved: the highest sparsities that were scanned save "
            f"{1 - least / dense:.4g}"
        )
    return budget, most


def _within(x: Reals, lost: Reals, threshold: float) -> float:
    """Return the largest sparsity within the threshold, linear between the measured sparsities."""
    i = int(np.flatnonzero(lost <= threshold)[-1])
    if i + 1 == len(x):
        return float(x[i])
    part = (threshold - lost[i]) / (lost[i + 1] - lost[i])
    return float(x[i] + part * (x[i + 1] - x[i]))


def _exact(
    curves: Curves, sizes: Mapping[str, int], zeros: dict[str, int], cost: str, total: Total, budget: float
) -> LayerRatios:
    """Restore weights, those with the largest losses first, until one more would exceed the budget."""

    def now(changed: Mapping[str, int]) -> dict[str, float]:
        return {name: n / sizes[name] for name, n in (zeros | dict(changed)).items()}

    slopes = {}
    for name, (x, lost) in curves.items():
        here = zeros[name] / sizes[name]
        below = max(0.0, here - GRID)
        lost_here, lost_below = np.interp([here, below], x, lost)
        slopes[name] = (lost_here - lost_below) / ((here - below) or 1.0) / sizes[name]
    for name in sorted(curves, key=lambda each: -slopes[each]):
        low, high = 0, zeros[name]  # numbers of zeros that are too few and enough
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if total(cost, now({name: middle})) <= budget else (middle, high)
        if zeros[name] and total(cost, now({name: 0})) <= budget:
            high = 0
        zeros[name] = high
    scope = now({})
    overall = sum(zeros.values()) / sum(sizes.values())
    return LayerRatios(scope, overall, total(cost, scope), budget)
