"""Analysis of a front: its knee, its hypervolume, the price of each step along it, and the effects of axes.

All values are minimised: the sign of maximised objectives is changed before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsim.errors import SpecError
from sparsim.sweep.pareto import non_dominated

Reals = NDArray[np.float64]
BINS = 8  # bins of an axis with more values than that
MARGIN = 1.1  # distance of the reference point from the best value, in spans of the front


class Step(NamedTuple):
    """The step from one point of a front to the next one, which is better in one objective.

    Attributes
    ----------
    gains : array of float, (objectives,)
        How much smaller each objective becomes, negative where it grows.
    relative : array of float, (objectives,)
        The same as a share of the value before.
    """

    gains: Reals
    relative: Reals


class Effect(NamedTuple):
    """What an axis does to an objective by itself.

    Attributes
    ----------
    axis : str
    centres : tuple
        The values of the axis, or the means of its bins.
    means, lows, highs : array of float
        Of the objective over all points with such a value: mean, 10th and 90th percentile.
    counts : array of int
        Points with such a value.
    share : float
        Variance of the means as a share of the variance of all points: first-order, interactions with other
        axes not counted.
    """

    axis: str
    centres: tuple[object, ...]
    means: Reals
    lows: Reals
    highs: Reals
    counts: NDArray[np.int64]
    share: float


def knee(values: Reals) -> int:
    """Return the position of the knee of a front, (points, objectives): the point nearest to the ideal one,
    with each objective relative to the span of the front.
    """
    return int(np.argmin(np.sqrt((_normal(values) ** 2).sum(axis=1))))


def _normal(values: Reals) -> Reals:
    """Return values normalised from 0, the best of each objective, to 1, the worst."""
    low, span = values.min(axis=0), np.ptp(values, axis=0)
    return (values - low) / np.where(span > 0, span, 1.0)


def reference_point(values: Reals) -> Reals:
    """Return a point that all points of a front dominate: the worst of each objective plus a tenth of the
    span.
    """
    low, span = values.min(axis=0), np.ptp(values, axis=0)
    return np.asarray(low + MARGIN * np.where(span > 0, span, np.maximum(np.abs(low), 1.0)))


def hypervolume(values: Reals, reference: Reals) -> float:
    """Exact volume that points dominate below a reference point, for two and three objectives.

    Parameters
    ----------
    values : array of float, (points, 2 or 3)
    reference : array of float, (2 or 3,)

    Raises
    ------
    SpecError
        For other numbers of objectives.
    """
    values, reference = np.asarray(values, float), np.asarray(reference, float)
    if values.ndim != 2 or values.shape[1] not in (2, 3):
        raise SpecError(f"the hypervolume needs two or three objectives, got {values.shape[-1]}")
    values = values[(values < reference).all(axis=1)]
    values = values[non_dominated(values)]
    if values.shape[1] == 2:
        return _area(values, reference)
    values = values[np.argsort(values[:, 2], kind="stable")]
    heights = np.append(values[1:, 2], reference[2]) - values[:, 2]
    return float(sum(
        height * _area(values[: i + 1, :2], reference[:2]) for i, height in enumerate(heights) if height > 0
    ))  # fmt: skip


def _area(values: Reals, reference: Reals) -> float:
    """Return the area that pairs dominate below a reference point."""
    values = values[np.lexsort(values.T[::-1])]
    lowest = np.minimum.accumulate(values[:, 1])
    widths = np.append(values[1:, 0], reference[0]) - values[:, 0]
    return float((widths * (reference[1] - lowest)).sum())


def steps(values: Reals) -> list[Step]:
    """Return the steps along a front whose points are in order."""
    found = []
    for before, after in pairwise(values):
        gains = before - after
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.where(before == 0, 0.0, gains / np.abs(before))
        found.append(Step(gains, relative))
    return found


def effect(axis: str, given: Sequence[object], objective: Reals) -> Effect:
    """The main effect of an axis whose value at each point is `given`.

    Parameters
    ----------
    given : sequence
        Numbers, of which many are put into bins of equal numbers of points; texts; None for no value.
    objective : array of float, (points,)
    """
    centres, codes = _bins(given)
    means, lows, highs, counts = [], [], [], []
    for code in range(len(centres)):
        inside = objective[codes == code]
        means.append(inside.mean())
        low, high = np.percentile(inside, [10, 90])
        lows.append(low)
        highs.append(high)
        counts.append(len(inside))
    variance = objective.var()
    between = np.average((np.array(means) - objective.mean()) ** 2, weights=counts)
    share = float(between / variance) if variance > 0 else 0.0
    return Effect(
        axis, tuple(centres), np.array(means), np.array(lows), np.array(highs), np.array(counts), share
    )


def _bins(given: Sequence[object]) -> tuple[list[object], NDArray[np.int64]]:
    """Return the different values in order, or means of bins, and for each point the position of its
    value.
    """
    known = set(given)
    numbers = [value for value in known if _is_number(value)]
    if len(numbers) <= BINS or len(numbers) < len(known):
        texts = sorted((value for value in known if not _is_number(value)), key=str)
        centres: list[object] = [*sorted(numbers), *texts]  # type: ignore[type-var]
        at = {value: i for i, value in enumerate(centres)}
        return centres, np.array([at[value] for value in given])
    values = np.array(given, np.float64)
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    codes = np.unique(np.searchsorted(edges, values, side="right"), return_inverse=True)[1]
    return [float(values[codes == code].mean()) for code in range(codes.max() + 1)], codes


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def ranked_effects(axes: Mapping[str, Sequence[object]], objective: Reals) -> list[Effect]:
    """Return the main effects of axes, the one with the largest share of the variance first."""
    return sorted((effect(name, given, objective) for name, given in axes.items()), key=lambda e: -e.share)
