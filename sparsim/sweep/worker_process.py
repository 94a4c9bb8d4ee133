"""A process that evaluates points, one chunk after the other.

Messages have their length in front. The first one to the process is (paths of modules, seconds per point,
evaluator), each further one a `Chunk`; the process answers `READY`, or what is wrong, and then a `Finished`
for each chunk. It ends when its input does, so that it does not outlive its parent. A dying process sends no
message: the parent notices its end, and reads its stderr.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from typing import Any, BinaryIO, NamedTuple

from sparsim.errors import SparsimError

PROGRAM = "from sparsim.sweep.worker_process import main; main()"
READY = b"ready"
STDERR = 2
SLACK = 0.05  # share of the time of a point after which the watch is reset
LONGEST_TRACE = 20_000  # bytes of stderr that are read after a death
LARGEST_LOG = 1 << 20
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class Chunk(NamedTuple):
    """Points for one worker.

    Attributes
    ----------
    kind : int
        The search budget, or `row_store.BOUND`.
    keys : list of str
    points : list of Point
    is_retry : bool
        Whether they were in a chunk whose worker died.
    """

    kind: int
    keys: list[str]
    points: list[Any]
    is_retry: bool = False


class Finished(NamedTuple):
    """The lines of a chunk's rows, and the time that they took."""

    lines: list[bytes]
    seconds: float


class WorkerDeathError(Exception):
    """A worker ended, or was ended, while it evaluated a chunk; the message says how."""


def packed(message: Any) -> bytes:
    return pickle.dumps(message, pickle.HIGHEST_PROTOCOL)


class WorkerProcess:
    """The side of whoever starts the process.

    Parameters
    ----------
    start_message : bytes
        See `start_message`.
    """

    def __init__(self, start_message: bytes) -> None:
        self._start_message = start_message
        self._process: subprocess.Popen[bytes] | None = None
        self._log: Any = None
        self._is_ended = False

    def run(self, chunk: bytes) -> bytes:
        """Evaluate a chunk: `packed` ones in and out.

        Raises
        ------
        WorkerDeathError
            If the process ends meanwhile; another one takes its place with the next chunk.
        SparsimError
            If the process cannot start.
        """
        if self._process is None or self._process.poll() is not None:
            self._start()
        assert self._process is not None
        if self._log.tell() > LARGEST_LOG:
            self._log.truncate(0)
        self._log.seek(0, os.SEEK_END)
        try:
            _send(self._process.stdin, chunk)
            answer = _receive(self._process.stdout)
        except (OSError, ValueError):
            answer = None
        if answer is None:
            raise WorkerDeathError(self._last_words())
        return answer

    def end(self) -> None:
        """End the process at once, also one that another thread is starting, and start no other one."""
        self._is_ended = True
        self.close()

    def close(self) -> None:
        """End the process at once."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    stream.close()  # type: ignore[union-attr]
        if self._log is not None:
            self._log.close()
            self._log = None

    def _start(self) -> None:
        self.close()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self._log, start_new_session=True, env=_environment(),
        )  # fmt: skip
        if self._is_ended:
            self.close()
            raise WorkerDeathError("the worker was ended while it started")
        try:
            _send(self._process.stdin, self._start_message)
            answer = _receive(self._process.stdout)
        except OSError:
            answer = None
        if answer != READY:
            text = answer.decode() if answer else self._last_words()
            self.close()
            raise SparsimError(f"a worker could not start: {text.strip().splitlines()[-1]}")

    def _last_words(self) -> str:
        """Return how the process ended, and what it was evaluating."""
        assert self._process is not None
        code = self._process.wait()
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - LONGEST_TRACE))
        said = self._log.read().decode("utf-8", "replace")
        if "Timeout (" in said:
            text = "the worker took too long and was ended"
        elif code < 0:
            text = f"the worker was ended by signal {-code} ({_signal_name(-code)})"
        else:
            text = f"the worker ended with exit code {code}"
        frames = [line for line in said.splitlines() if line.startswith('  File "')]
        return "\n".join([text, *frames])


def start_message(evaluator: Any, seconds_per_point: float) -> bytes:
    """The first message to a process.

    Raises
    ------
    SparsimError
        For an evaluator that cannot be sent.
    """
    try:
        content = packed(evaluator)
    except Exception as error:
        raise SparsimError(f"the evaluator cannot be sent to workers: {error}") from error
    if type(evaluator).__module__ == "__main__":
        text = f"{type(evaluator).__name__} is defined in the script itself, so workers cannot import it"
        raise SparsimError(text, hint="define it in a module that workers can import")
    return packed((sys.path, seconds_per_point, content))


def _environment() -> dict[str, str]:
    """Return the environment of this process, restricted to one thread."""
    return {
        **os.environ,
        **dict.fromkeys(_THREADS, "1"),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return "unknown"


def _send(stream: Any, data: bytes) -> None:
    stream.write(len(data).to_bytes(8, "little") + data)
    stream.flush()


def _receive(stream: Any) -> bytes | None:
    """Return the next message; None at the end."""
    head = stream.read(8)
    if len(head) < 8:
        return None
    length = int.from_bytes(head, "little")
    data: bytes = stream.read(length)
    return data if len(data) == length else None


def evaluate_chunk(evaluator: Any, chunk: Chunk, seconds_per_point: float) -> Finished:
    """Evaluate the points of a chunk. An exception in an evaluator becomes a failed row.

    A point that takes longer than `seconds_per_point` ends the process, whatever it does.
    """
    from sparsim.sweep.row_store import BOUND, encode_row
    from sparsim.sweep.sweep_row import Row

    lines = []
    begin = watched_from = time.monotonic()
    slack = SLACK * seconds_per_point
    faulthandler.dump_traceback_later(seconds_per_point + slack, file=STDERR, exit=True)
    for key, point in zip(chunk.keys, chunk.points, strict=True):
        if time.monotonic() - watched_from > slack:
            watched_from = time.monotonic()
            faulthandler.dump_traceback_later(seconds_per_point + slack, file=STDERR, exit=True)
        try:
            row = evaluator.bound(point) if chunk.kind == BOUND else evaluator.evaluate(point, chunk.kind)
            line = encode_row(key, chunk.kind, row)
        except BaseException:  # also SystemExit, because a point must not end the worker
            reason = f"{blamed(point)}: {traceback.format_exc()}"
            line = encode_row(key, chunk.kind, Row(key, "failed", reason))
        lines.append(line)
    faulthandler.cancel_dump_traceback_later()
    return Finished(lines, time.monotonic() - begin)


def blamed(point: dict[str, Any]) -> str:
    """Return the values of a point's axes as text."""
    return ", ".join(f"{name}={value}" for name, value in point.items() if value is not None)


def _serve(stdin: BinaryIO, stdout: BinaryIO) -> None:
    first = _receive(stdin)
    if first is None:
        return
    try:
        paths, seconds, content = pickle.loads(first)
        sys.path += [path for path in paths if path not in sys.path]
        evaluator = pickle.loads(content)
    except Exception:
        _send(stdout, traceback.format_exc().encode("utf-8", "backslashreplace"))
        return
    _send(stdout, READY)
    while (message := _receive(stdin)) is not None:
        finished = evaluate_chunk(evaluator, pickle.loads(message), seconds)
        _send(stdout, packed(finished))


def main() -> None:
    stdout = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # evaluators may print, which must not be read as a message
    faulthandler.enable()
    import warnings

    warnings.simplefilter("ignore")  # the parent has loaded the same study and shown its warnings
    with contextlib.suppress(BrokenPipeError):
        _serve(sys.stdin.buffer, stdout)
