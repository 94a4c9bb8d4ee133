"""Dispatch of chunks of points to workers, and storage of their rows."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from sparsim.sweep.row_store import RowStore, decode_row, encode_row
from sparsim.sweep.sweep_row import Point, Row
from sparsim.sweep.worker_process import Chunk, WorkerDeathError, blamed
from sparsim.sweep.workers import Workers

SECONDS = 0.5  # seconds that a chunk should take
SECONDS_PER_WORKER = 0.02  # added for each worker, because one scheduler serves all of them
MOST_POINTS = 4096
GROWTH = 4
WAIT_S = 0.2


class Evaluated(NamedTuple):
    """A point and its row."""

    key: str
    point: Point
    row: Row


class Dispatcher:
    """Evaluates points on workers and keeps every finished chunk at once.

    Parameters
    ----------
    workers : Workers
    store : RowStore
    is_over : callable
        Asked whether to stop, between chunks.
    tick : callable
        Called some times a second.
    """

    def __init__(
        self, workers: Workers, store: RowStore, is_over: Callable[[], bool], tick: Callable[[], object]
    ) -> None:
        self._workers, self._store, self._is_over, self._tick = workers, store, is_over, tick
        self._paces: dict[int, _Pace] = {}

    def run(self, items: Iterable[tuple[str, Point]], kind: int) -> Iterator[list[Evaluated]]:
        """Evaluate points, given with their keys, and yield the rows of chunk after chunk as they finish.

        `items` is read as workers become free. Ends early when the sweep is over; what is finished by then
        is kept.
        """
        items = iter(items)
        pace = self._paces.setdefault(kind, _Pace())
        retries: deque[Chunk] = deque()
        done: queue.SimpleQueue[tuple[Chunk, Any]] = queue.SimpleQueue()
        in_flight = 0
        while not self._is_over():
            number = self._workers.number
            while in_flight < 2 * number:
                chunk = retries.popleft() if retries else _next_chunk(items, kind, pace.size(number))
                if chunk is None:
                    break
                future = self._workers.submit(chunk)
                in_flight += 1
                future.add_done_callback(lambda future, chunk=chunk: done.put((chunk, future)))
            if not in_flight:
                return
            self._tick()
            try:
                chunk, future = done.get(timeout=WAIT_S)
            except queue.Empty:
                continue
            in_flight -= 1
            if rows := self._finish(chunk, future, pace, retries):
                yield rows
        while not done.empty():
            if rows := self._finish(*done.get(), pace, retries):
                yield rows

    def _finish(self, chunk: Chunk, future: Any, pace: _Pace, retries: deque[Chunk]) -> list[Evaluated]:
        """Store the rows of a chunk; if its worker died, its points are tried again one by one."""
        try:
            finished = future.result()
        except WorkerDeathError as death:
            if not chunk.is_retry:
                for key, point in zip(chunk.keys, chunk.points, strict=True):
                    retries.append(Chunk(chunk.kind, [key], [point], is_retry=True))
                return []
            key, point = chunk.keys[0], chunk.points[0]
            lines = [encode_row(key, chunk.kind, Row(key, "failed", f"{blamed(point)}: {death}"))]
        else:
            lines = finished.lines
            pace.learn(len(lines), finished.seconds)
        self._store.append(lines)
        return [
            Evaluated(key, point, decode_row(line))
            for key, point, line in zip(chunk.keys, chunk.points, lines, strict=True)
        ]


def _next_chunk(items: Iterator[tuple[str, Point]], kind: int, size: int) -> Chunk | None:
    taken = list(islice(items, size))
    if not taken:
        return None
    return Chunk(kind, [key for key, _ in taken], [point for _, point in taken])


class _Pace:
    """The number of points in a chunk, from the time per point so far."""

    def __init__(self) -> None:
        self._seconds = SECONDS  # seconds per point, at first one
        self._largest = 1

    def size(self, workers: int) -> int:
        wanted = (SECONDS + SECONDS_PER_WORKER * workers) / max(self._seconds, 1e-9)
        return int(max(1, min(wanted, self._largest, MOST_POINTS)))

    def learn(self, points: int, seconds: float) -> None:
        each = seconds / points
        is_first = self._largest == 1
        self._seconds = each if is_first else 0.5 * (self._seconds + each)
        self._largest = max(self._largest, GROWTH * points)
