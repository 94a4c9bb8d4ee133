"""What a sweep would do, without doing it."""

from __future__ import annotations

import time
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

from sparsim.sweep.design_space import DesignSpace
from sparsim.sweep.point_evaluation import PointEvaluator
from sparsim.sweep.run_options import Options
from sparsim.sweep.run_sweep import listing
from sparsim.sweep.workers import core_count

TIMED = 4  # points, beside a first one that loads what all need


def describe(study: Any, out: str | Path, **options: Any) -> list[tuple[str, str]]:
    """Names and values: the number of points, those that filters refuse, what is to be done, and how long
    that may take, from a few points that are timed."""
    chosen = Options(**options)
    space, points, left, skips = listing(study, Path(out), chosen)
    refused = Counter(points.refusal(i) for i in range(len(points)) if points.is_refused[i])
    lines = [("points", f"{len(points):,}")]
    lines += [("refused", f"{number:,} by {text}") for text, number in refused.items()]
    lines.append(("to evaluate", f"{len(left):,}" + (", fewer if bounds rule points out" if skips else "")))
    if left:
        seconds = _seconds_per_point(space, points.points(left[:: max(1, len(left) // TIMED)]))
        jobs = chosen.jobs or core_count()
        text = f"{seconds * len(left) / jobs:,.3g} s on {jobs} processes, {seconds:.3g} s per point"
        lines.append(("time", text))
    return lines


def _seconds_per_point(space: DesignSpace, points: list[Any]) -> float:
    evaluator = PointEvaluator(space)
    evaluator.evaluate(points[0])
    timed = list(islice(points, TIMED))
    begin = time.process_time()
    for point in timed:
        evaluator.evaluate(point)
    return (time.process_time() - begin) / len(timed)
