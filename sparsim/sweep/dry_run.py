"""What a sweep would do, without doing it."""

from __future__ import annotations

import time
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from sparsim.sweep.design_space import DesignSpace
from sparsim.sweep.point_evaluation import PointEvaluator
from sparsim.sweep.run_options import Options
from sparsim.sweep.run_sweep import listing
from sparsim.sweep.workers import core_count

TIMED = 4  # points, besides a first one that loads everything that all need


class DryRun(NamedTuple):
    """What a sweep would do.

    Attributes
    ----------
    points : int
    refused : dict of str to int
        The number of points that each filter refuses.
    to_evaluate : int
        Points without a result.
    rules_out : bool
        Whether bounds may rule out some of these.
    jobs : int
    seconds_per_point : float or None
        CPU seconds, of a few points that were timed; None if there is nothing to evaluate.
    """

    points: int
    refused: dict[str, int]
    to_evaluate: int
    rules_out: bool
    jobs: int
    seconds_per_point: float | None

    def lines(self) -> list[tuple[str, str]]:
        """Names and values for a terminal."""
        lines = [("points", f"{self.points:,}")]
        lines += [("refused", f"{number:,} by {text}") for text, number in self.refused.items()]
        bounds = ", fewer if bounds rule points out" if self.rules_out else ""
        lines.append(("to evaluate", f"{self.to_evaluate:,}{bounds}"))
        if self.seconds_per_point is not None:
            total = self.seconds_per_point * self.to_evaluate / self.jobs
            text = f"{total:,.3g} s on {self.jobs} processes, {self.seconds_per_point:.3g} s per point"
            lines.append(("time", text))
        return lines


def describe(study: Any, out: str | Path, **options: Any) -> DryRun:
    chosen = Options(**options)
    space, points, left, skips = listing(study, Path(out), chosen)
    refused = Counter(points.refusal(i) for i in range(len(points)) if points.is_refused[i])
    seconds = None
    if left:
        seconds = _seconds_per_point(space, points.points(left[:: max(1, len(left) // TIMED)]))
    return DryRun(len(points), dict(refused), len(left), skips, chosen.jobs or core_count(), seconds)


def _seconds_per_point(space: DesignSpace, points: list[Any]) -> float:
    evaluator = PointEvaluator(space)
    evaluator.evaluate(points[0])
    timed = list(islice(points, TIMED))
    begin = time.process_time()
    for point in timed:
        evaluator.evaluate(point)
    return (time.process_time() - begin) / len(timed)
