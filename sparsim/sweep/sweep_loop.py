"""The main loop of a sweep, which passes points from a sampler to workers, and rows to the store."""

from __future__ import annotations

import hashlib
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import numpy as np

from sparsim.errors import SpecError
from sparsim.sweep.axes import grid_size
from sparsim.sweep.design_space import KEY_BYTES, DesignSpace
from sparsim.sweep.dispatch import Dispatcher, Evaluated
from sparsim.sweep.dominance import Front, most_promising
from sparsim.sweep.objective_values import Objectives, limited, skipping_is_on
from sparsim.sweep.pareto import Reals
from sparsim.sweep.point_evaluation import PointEvaluator
from sparsim.sweep.point_list import PointList
from sparsim.sweep.point_states import final_rows
from sparsim.sweep.row_store import BOUND, RowStore, decode_row, keys_of
from sparsim.sweep.run_options import Options, Progress
from sparsim.sweep.samplers import make_sampler
from sparsim.sweep.sweep_row import Point, Row
from sparsim.sweep.worker_process import start_message
from sparsim.sweep.workers import LocalWorkers, Workers, core_count

ASKED_AT_ONCE = 4096
LOOKED_AT_ONCE = 64
Item = tuple[str, Point]


class SweepLoop:
    """One run of a sweep.

    Parameters
    ----------
    space : DesignSpace
    objectives : Objectives
    store : RowStore
    options : Options
    """

    def __init__(self, space: DesignSpace, objectives: Objectives, store: RowStore, options: Options) -> None:
        self.space, self.objectives, self.store, self.options = space, objectives, store, options
        self.sampler = options.sampler or make_sampler(space)
        self.points = PointList(
            space, is_unique=space.study.sampler.kind == "grid" and options.sampler is None
        )
        self.budgets = len(space.study.search.budgets)
        self.progress = Progress(best=Front(len(objectives.names)))
        if self.sampler.is_adaptive and options.shard is not None:
            text = f"points of {space.study.sampler.kind} depend on others' results, so there are no shards"
            raise SpecError(text, path="--shard")
        self.key_of = space.key if options.evaluator is None else evaluator_key(space, options.evaluator)
        self._began = time.monotonic()
        expected = grid_size(space.axes) if space.study.sampler.kind == "grid" else space.study.sampler.points
        if expected and options.shard is None:
            self.progress.expected = expected
        self._points_from = 0.0
        self._waiting: set[str] = set()  # keys of points that workers have or will get next

    def run(self) -> None:
        """Evaluate what is not known yet."""
        workers = self._workers()
        try:
            with _interrupts_noted(self.progress):
                dispatcher = Dispatcher(workers, self.store, self._is_over, self._tick)
                if self.sampler.is_adaptive:
                    self._run_generations(dispatcher)
                elif skipping_is_on(self.space, self.objectives):
                    self._run_with_bounds(dispatcher)
                else:
                    self._run_all(dispatcher)
                self._tick()
        finally:
            workers.close()

    def list_points(self) -> None:
        """Ask for all points without evaluating any."""
        for _ in self._asked():
            pass

    def _workers(self) -> Workers:
        evaluator = self.options.evaluator or PointEvaluator(self.space)
        message = start_message(evaluator, self.space.study.seconds_per_point)
        if self.options.client is not None:
            from sparsim.sweep.dask_workers import DaskWorkers

            return DaskWorkers(message, self.options.client)
        return LocalWorkers(message, self.options.jobs or core_count())

    # -- which points

    def _asked(self) -> Iterator[tuple[int, list[Item]]]:
        """Yield batches of points that pass the filters and belong to the shard, with the number of the first
        point of a batch in the list of points.
        """
        while not self._is_over() and (asked := self.sampler.ask(ASKED_AT_ONCE)):
            yield self._listed(asked)

    def _listed(self, asked: Sequence[Point]) -> tuple[int, list[Item]]:
        """Put points into the list, and return those that no filter refuses."""
        fresh = self.points.new(asked)
        keys = list(map(self.key_of, fresh))
        if self.options.shard is not None:
            i, n = self.options.shard
            mine = [int(key[:16], 16) % n == i - 1 for key in keys]
            fresh = [point for point, own in zip(fresh, mine, strict=True) if own]
            keys = [key for key, own in zip(keys, mine, strict=True) if own]
        refusals = [self.space.refusal(point) for point in fresh]
        start = len(self.points)
        self.points.add(fresh, keys, refusals)
        self.progress.points = len(self.points)
        self.progress.refused += len(refusals) - refusals.count("")
        kept = [(k, p) for k, p, refusal in zip(keys, fresh, refusals, strict=True) if not refusal]
        return start, kept

    def _unknown(self, items: Sequence[Item], budget: int) -> list[Item]:
        """Return the points whose next budget is the given one, each key once."""
        if not items:
            return []
        found, following = final_rows(self.store, keys_of(key for key, _ in items), self.budgets)
        if budget == 0:
            self.progress.cached += int((found >= 0).sum())
            self._note_known(items, found)
        return self._each_once(item for item, next_ in zip(items, following, strict=True) if next_ == budget)

    def _each_once(self, items: Iterable[Item]) -> list[Item]:
        """Return the points whose key no worker has or will get next."""
        fresh = []
        for item in items:
            if item[0] not in self._waiting:
                self._waiting.add(item[0])
                fresh.append(item)
        return fresh

    def _listed_items(self, numbers: Any) -> list[Item]:
        """Return points of the list with their keys."""
        keys = [f"{high:016x}{low:016x}" for high, low in self.points.keys[numbers].tolist()]
        return list(zip(keys, self.points.points(numbers), strict=True))

    # -- the ways to run

    def _run_all(self, dispatcher: Dispatcher) -> None:
        """Evaluate every point, in the order of the sampler."""
        asked = (item for _, items in self._asked() for item in self._unknown(items, 0))
        self._evaluate(dispatcher, asked, 0)
        for budget in range(1, self.budgets):
            blocks = (
                np.arange(start, min(start + ASKED_AT_ONCE, len(self.points)))
                for start in range(0, len(self.points), ASKED_AT_ONCE)
            )
            kept = (numbers[~self.points.is_refused[numbers]] for numbers in blocks)
            items = (item for each in kept for item in self._unknown(self._listed_items(each), budget))
            self._evaluate(dispatcher, items, budget)

    def _run_with_bounds(self, dispatcher: Dispatcher) -> None:
        """Evaluate the bounds of all points, and then the points that the front so far does not rule out."""
        self.progress.phase = "bounds"
        self._evaluate(
            dispatcher, (item for _, items in self._asked() for item in self._unbounded(items)), BOUND
        )
        self.progress.phase = "points"
        self._points_from = time.monotonic() - self._began
        if self._is_over():
            return
        numbers, best = self._candidates()
        order = most_promising(best)
        for budget in range(self.budgets):
            self._evaluate(dispatcher, self._not_ruled_out(numbers[order], best[order], budget), budget)

    def _unbounded(self, items: Sequence[Item]) -> list[Item]:
        if not items:
            return []
        found = self.store.find(keys_of(key for key, _ in items), BOUND)
        return self._each_once(item for item, number in zip(items, found, strict=True) if number < 0)

    def _candidates(self) -> tuple[Any, Reals]:
        """Return the points that can be built and are within exact limits, and lower bounds of their
        objectives.
        """
        numbers, best = [], []
        for start in range(0, len(self.points), ASKED_AT_ONCE):
            block = np.arange(start, min(start + ASKED_AT_ONCE, len(self.points)))
            block = block[~self.points.is_refused[block]]
            items = self._listed_items(block)
            lines = self.store.lines(self.store.find(self.points.keys[block], BOUND).tolist())
            for number, line, (_, point) in zip(block.tolist(), lines, items, strict=True):
                row = decode_row(line)
                if row.status == "bound" and not self.objectives.broken_exact_limit(row.metrics, point):
                    numbers.append(number)
                    best.append(self.objectives.best_case(row, point))
                elif row.status == "failed":  # a point without bounds is evaluated
                    numbers.append(number)
                    best.append([-np.inf] * len(self.objectives.names))
            found, _ = final_rows(self.store, self.points.keys[block], self.budgets)
            self._note_known(items, found)
        return np.array(numbers, np.int64), np.array(best).reshape(-1, len(self.objectives.names))

    def _not_ruled_out(self, numbers: Any, best: Reals, budget: int) -> Iterator[Item]:
        """Yield points whose next budget is the given one; each block is examined when workers are free for
        it.
        """
        stop = 0
        while stop < len(numbers):
            start, stop = stop, stop + 1 + min(stop // 8, LOOKED_AT_ONCE)
            block = numbers[start:stop]
            is_out = self.progress.best.dominates(best[start:stop])
            if is_out.any() and budget == 0:
                _, following = final_rows(self.store, self.points.keys[block[is_out]], self.budgets)
                self.progress.skipped += int((following == 0).sum())
            yield from self._unknown(self._listed_items(block[~is_out]), budget)

    def _run_generations(self, dispatcher: Dispatcher) -> None:
        """Evaluate generation after generation, each completely before the next one is asked for."""
        while not self._is_over() and (asked := self.sampler.ask(ASKED_AT_ONCE)):
            _, items = self._listed(asked)
            for budget in range(self.budgets):
                self._evaluate(dispatcher, iter(self._unknown(items, budget)), budget)
            if self._is_over():
                return
            self.sampler.tell([self._final(point) for point in asked])

    def _final(self, point: Point) -> Row:
        key = self.key_of(point)
        if refusal := self.space.refusal(point):
            return Row(key, "infeasible", refusal)
        found, _ = final_rows(self.store, keys_of([key]), self.budgets)
        return limited(decode_row(next(self.store.lines(found.tolist()))), self.objectives, point)

    # -- what comes back

    def _evaluate(self, dispatcher: Dispatcher, items: Iterable[Item], kind: int) -> None:
        for rows in dispatcher.run(items, kind):
            for evaluated in rows:
                self._waiting.discard(evaluated.key)
                self._note(evaluated, kind)
        self._waiting.clear()

    def _note(self, evaluated: Evaluated, kind: int) -> None:
        row = evaluated.row
        self.progress.failed += row.status == "failed"
        if kind == BOUND:
            self.progress.bounded += 1
            return
        self.progress.evaluated += 1
        self._note_best(row, evaluated.point, row.is_final or kind + 1 == self.budgets)
        if self.options.on_row is not None:
            self.options.on_row(evaluated.point, row)

    def _note_known(self, items: Sequence[Item], numbers: Any) -> None:
        """Add rows of earlier runs to the front, because they may rule out other points."""
        known = [item for item, number in zip(items, numbers.tolist(), strict=True) if number >= 0]
        lines = self.store.lines(numbers[numbers >= 0].tolist())
        for (_, point), line in zip(known, lines, strict=True):
            self._note_best(decode_row(line), point, is_final=True)

    def _note_best(self, row: Row, point: Point, is_final: bool) -> None:
        if row.status == "ok" and is_final and not self.objectives.broken_limit(row.metrics, point):
            self.progress.best.add(self.objectives.values(row.metrics, point))

    def _is_over(self) -> bool:
        limit = self.options.limit_s
        if limit is not None and time.monotonic() - self._began > limit:
            self.progress.is_out_of_time = True
        return self.progress.is_over

    def _tick(self) -> None:
        progress = self.progress
        progress.seconds = time.monotonic() - self._began
        done = progress.evaluated + progress.cached + progress.skipped + progress.refused
        if progress.expected and progress.evaluated:
            rate = (progress.evaluated + progress.skipped) / (progress.seconds - self._points_from)
            progress.left_s = max(0, progress.expected - done) / rate
        if self.options.on_progress is not None:
            self.options.on_progress(self.progress)


def evaluator_key(space: DesignSpace, evaluator: Any) -> Callable[[Point], str]:
    """Return keys for a user's own evaluator, whose rows may depend on all values of a point."""
    name = f"{type(evaluator).__module__}.{type(evaluator).__qualname__}"
    context = hashlib.blake2b(name.encode(), digest_size=32, key=space.context).digest()

    def key(point: Point) -> str:
        said = msgspec.json.encode(point, order="sorted")
        return hashlib.blake2b(said, digest_size=KEY_BYTES, key=context).hexdigest()

    return key


@contextmanager
def _interrupts_noted(progress: Progress) -> Iterator[None]:
    """Record the first Ctrl-C, so that finished points are stored; a second one ends the program at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number: int, frame: Any) -> None:
        if progress.is_interrupted:
            raise KeyboardInterrupt
        progress.is_interrupted = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
