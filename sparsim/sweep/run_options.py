"""Options and progress of a running sweep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparsim.errors import SpecError
from sparsim.sweep.dominance import Front
from sparsim.sweep.samplers import PointSource
from sparsim.sweep.sweep_row import Point, Row


@dataclass
class Progress:
    """Where a sweep is.

    Attributes
    ----------
    phase : {"bounds", "points"}
        What is computed at present.
    points : int
        Points that were asked for so far.
    expected : int, optional
        Points that there will be, where that is known.
    refused : int
        Points that filters refused.
    cached : int
        Points whose results were known before.
    evaluated, bounded, skipped, failed : int
        Points that were evaluated, that have bounds only, that were skipped because of their bounds, and
        whose evaluation failed.
    seconds : float
        Seconds since the sweep began.
    left_s : float, optional
        Seconds that it may still take.
    is_interrupted, is_out_of_time : bool
        Whether Ctrl-C or the limit of time has ended the sweep.
    best : Front
        The front so far.
    """

    phase: str = "points"
    points: int = 0
    expected: int | None = None
    refused: int = 0
    cached: int = 0
    evaluated: int = 0
    bounded: int = 0
    skipped: int = 0
    failed: int = 0
    seconds: float = 0.0
    left_s: float | None = None
    is_interrupted: bool = False
    is_out_of_time: bool = False
    best: Front = field(default_factory=lambda: Front(1))

    @property
    def is_over(self) -> bool:
        """Whether the sweep was interrupted or is out of time."""
        return self.is_interrupted or self.is_out_of_time


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a sweep runs; its results do not depend on it.

    Attributes
    ----------
    jobs : int, optional
        Processes on this machine; one per core by default.
    client : distributed.Client, optional
        A Dask cluster to run on.
    shard : (int, int), optional
        (i, n): only the i-th of n parts of the points, counted from 1.
    cache : Path, optional
        A folder of rows that several studies share, in place of `rows` in the folder of results.
    retry_failed : bool
        Whether points that failed before are evaluated again.
    limit_s : float, optional
        After how many seconds to stop.
    on_row : callable, optional
        Called with (point, row) for each evaluated point.
    on_progress : callable, optional
        Called with a `Progress` some times a second.
    evaluator : object, optional
        In place of a `PointEvaluator`: `evaluate(point, budget)` and `bound(point)` return rows, whose keys
        do not matter. Its rows are kept apart from those of evaluators of other classes.
    sampler : object, optional
        In place of that of the study, see `samplers`.
    """

    jobs: int | None = None
    client: Any = None
    shard: tuple[int, int] | None = None
    cache: Path | None = None
    retry_failed: bool = False
    limit_s: float | None = None
    on_row: Callable[[Point, Row], object] | None = None
    on_progress: Callable[[Progress], object] | None = None
    evaluator: Any = None
    sampler: PointSource | None = None

    @property
    def shard_name(self) -> str:
        """Name of the part of the points, such as "1-of-4"."""
        return "all" if self.shard is None else f"{self.shard[0]}-of-{self.shard[1]}"

    def check(self) -> None:
        if self.shard is not None and not 1 <= self.shard[0] <= self.shard[1]:
            raise SpecError(f"shard must be between 1/n and n/n, got {self.shard[0]}/{self.shard[1]}")
        if self.jobs is not None and self.jobs < 1:
            raise SpecError(f"jobs must be at least 1, got {self.jobs}")
