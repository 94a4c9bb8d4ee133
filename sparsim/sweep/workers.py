"""Workers on this machine: a process per core, each with one chunk at a time."""

from __future__ import annotations

import os
import pickle
import queue
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from sparsim.sweep.worker_process import Chunk, Finished, WorkerProcess, packed


class ChunkFuture(Protocol):
    """What workers return for a chunk."""

    def result(self) -> Finished: ...

    def add_done_callback(self, callback: Any, /) -> Any: ...


class Workers(Protocol):
    """Something that evaluates chunks."""

    @property
    def number(self) -> int:
        """How many chunks are evaluated at once."""

    def submit(self, chunk: Chunk) -> ChunkFuture: ...

    def close(self) -> None: ...


def core_count() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class LocalWorkers:
    """Processes on this machine. They start with the first chunks and stay.

    Parameters
    ----------
    start_message : bytes
        The first message to each process.
    number : int
    """

    def __init__(self, start_message: bytes, number: int) -> None:
        self.number = number
        self._free: queue.SimpleQueue[WorkerProcess] = queue.SimpleQueue()
        self._all = [WorkerProcess(start_message) for _ in range(number)]
        for worker in self._all:
            self._free.put(worker)
        self._threads = ThreadPoolExecutor(number, thread_name_prefix="sweep")

    def submit(self, chunk: Chunk) -> Future[Finished]:
        return self._threads.submit(self._run, chunk)

    def close(self) -> None:
        """End all processes at once."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._all:
            worker.end()
        self._threads.shutdown(wait=True)

    def _run(self, chunk: Chunk) -> Finished:
        worker = self._free.get()
        try:
            found: Finished = pickle.loads(worker.run(packed(chunk)))
            return found
        finally:
            self._free.put(worker)
