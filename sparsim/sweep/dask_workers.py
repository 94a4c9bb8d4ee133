"""Workers of a Dask cluster: one task per chunk, evaluated in a process beside the Dask worker.

The process is that of `worker_process`, so that a point that kills or hangs it is blamed as on one machine
and takes no worker of the cluster with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import pickle
import threading
import time
from collections.abc import Callable
from typing import Any

from sparsim.cache import sources_digest
from sparsim.errors import SparsimError, require
from sparsim.sweep.worker_process import Chunk, Finished, WorkerDeathError, WorkerProcess, packed

CONNECT_S = 20.0
COUNTED_S = 2.0  # seconds between counts of workers
_here = threading.local()  # the process of each thread of a Dask worker


class DaskWorkers:
    """All workers of a cluster.

    Parameters
    ----------
    start_message : bytes
        The first message to each process. It is the result of a task and goes to each worker once: data that
        is scattered is lost with the workers that hold it.
    client : distributed.Client
    """

    def __init__(self, start_message: bytes, client: Any) -> None:
        self._client = client
        self._digest = hashlib.sha256(start_message).hexdigest()
        self._message = client.submit(bytes, start_message, pure=False)
        self._number, self._counted = 1, -math.inf

    @property
    def number(self) -> int:
        """Return the number of threads of all workers, which may join and leave."""
        if time.monotonic() - self._counted > COUNTED_S:
            if self._client.status in ("closing", "closed"):
                raise SparsimError("the connection to the Dask scheduler was lost; finished points are kept")
            try:
                self._number = max(1, sum(self._client.nthreads().values()))
            except (OSError, RuntimeError) as error:
                raise SparsimError(f"the Dask scheduler does not answer: {error}") from None
            self._counted = time.monotonic()
        return self._number

    def submit(self, chunk: Chunk) -> DaskFuture:
        task = self._client.submit(
            run_chunk, self._message, self._digest, sources_digest(), packed(chunk), pure=False
        )
        return DaskFuture(task)

    def close(self) -> None:
        with contextlib.suppress(Exception):  # workers that have left need no message
            self._client.run(end_processes, self._digest)
        self._message.release()


class DaskFuture:
    """A Dask future that reports deaths of workers in the same way as workers on this machine."""

    def __init__(self, task: Any) -> None:
        self._task = task

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        self._task.add_done_callback(lambda _: callback(self))

    def result(self) -> Finished:
        distributed = require("distributed", "a sweep on a Dask cluster", "dask")
        try:
            found = self._task.result()
        except distributed.scheduler.KilledWorker as error:
            raise WorkerDeathError(f"Dask lost its workers: {error}") from None
        except distributed.client.FutureCancelledError as error:
            raise SparsimError(f"the Dask scheduler gave up a chunk: {error}") from None
        finally:
            self._task.release()
        if isinstance(found, str):
            raise WorkerDeathError(found)
        finished: Finished = pickle.loads(found)
        return finished


def connect(address: str) -> Any:
    """Return a client of the scheduler at an address. Raises SparsimError if it does not answer."""
    distributed = require("distributed", "a sweep on a Dask cluster", "dask")
    try:
        return distributed.Client(address, timeout=CONNECT_S)
    except (OSError, ValueError) as error:
        raise SparsimError(f"no Dask scheduler answers at {address}: {error}") from None


def run_chunk(message: bytes, digest: str, sources: str, chunk: bytes) -> bytes | str:
    """Evaluate a chunk on a worker. Returns its rows, or the way in which the evaluating process died."""
    if sources != sources_digest():
        raise SparsimError("a Dask worker has another version of sparsim", hint="install the same one")
    if getattr(_here, "digest", None) != digest:
        _drop(_here.__dict__)
        _here.digest, _here.process = digest, WorkerProcess(message)
        _all_here.append(_here.__dict__)
    try:
        answer: bytes = _here.process.run(chunk)
        return answer
    except WorkerDeathError as death:
        return str(death)


_all_here: list[dict[str, Any]] = []


def end_processes(digest: str) -> None:
    """End the processes of a finished sweep on a worker."""
    for kept in [kept for kept in _all_here if kept.get("digest") == digest]:
        _all_here.remove(kept)
        _drop(kept)


def _drop(kept: dict[str, Any]) -> None:
    if (process := kept.pop("process", None)) is not None:
        process.close()
    kept.pop("digest", None)
