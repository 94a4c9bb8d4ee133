"""Runs one try in this process and says what was wrong with it: nothing, or one sentence."""

from __future__ import annotations

import io
import json
import math
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

SECONDS = 20  # of CPU time that a try may take
CODES = (0, 1, 2)
MAY_BE_NEGATIVE = {"coefficients"}
_NONSENSE = re.compile(r"(?<![\w.+/-])(?:-?nan|-?inf|-[0-9.]+(?:e[+-]?\d+)?) ?(?:uJ|pJ|cycles|mm|%)", re.I)


class Outcome(NamedTuple):
    """`fault` is empty where nothing was wrong; `code` is None where the try did not end by itself."""

    code: int | None
    fault: str
    said: str  # on stderr


class HangError(BaseException):
    """No `Exception`: nothing must catch it."""


def run(main: Callable[[], None], name: str, folder: Path, *, may_differ: bool = False) -> Outcome:
    """What came of `main`, a program called `name` that may write JSON files into `folder`.

    `may_differ`: whether it may end with another exit code than 0 without an error, after a report.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    code, fault = None, ""
    with redirect_stdout(out), redirect_stderr(err):
        try:
            with _limited():
                main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else -1
        except HangError:
            fault = f"took more than {SECONDS} s"
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            frame = traceback.extract_tb(error.__traceback__)[-1]
            fault = f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}: {error}"[:300]
    printed, said = (stream.buffer.getvalue().decode("utf-8", "replace") for stream in (out, err))
    reports = may_differ and code in CODES[1:] and printed
    if not fault and not reports:
        fault = _judge(code, printed, said, name, folder)
    return Outcome(code, fault, said)


@contextmanager
def _limited() -> Iterator[None]:
    def stop(_: int, frame: FrameType | None) -> None:
        if _compiles(frame):  # once per installation
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
        else:
            raise HangError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _compiles(frame: FrameType | None) -> bool:
    """Whether a kernel is being compiled."""
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith(("numba.", "llvmlite.")):
            return True
        frame = frame.f_back
    return False


def _judge(code: int | None, printed: str, said: str, name: str, folder: Path) -> str:
    if code not in CODES:
        return f"exit code {code}"
    if "Traceback" in said or "Traceback" in printed:
        return "a traceback was printed"
    if code:
        errors = [line for line in said.split("\n") if line.startswith(f"{name}: error: ")]
        if len(errors) != 1 or not said.endswith("\n"):
            return f"{len(errors)} error lines with exit code {code}"
        return ""
    if found := _NONSENSE.search(printed):
        return f"exit code 0, and '{found.group()}' was printed"
    for path in sorted(folder.rglob("*.json")):
        place = _nonsense(json.loads(path.read_text(encoding="utf-8")))
        if place:
            return f"exit code 0, and {path.name} has {place}"
    return ""


def _nonsense(value: Any, path: tuple[str, ...] = ()) -> str:
    """Where a result has a number that is no count and no energy."""
    if isinstance(value, dict):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list):
        items = [("", item) for item in value]
    else:
        items = []
        where = ".".join(part for part in path if part)
        if isinstance(value, float) and not math.isfinite(value):
            return f"{where} = {value}"
        if isinstance(value, int | float) and not isinstance(value, bool):
            if value < 0 and not MAY_BE_NEGATIVE & set(path):
                return f"{where} = {value}"
            if isinstance(value, int) and value >= 2**63:
                return f"{where} = {value}"
    for key, item in items:
        found = _nonsense(item, (*path, key))
        if found:
            return found
    return ""


def command(function: Any, program: str, arguments: list[str]) -> Callable[[], None]:
    """`main` of a click command as if it were called from a shell."""

    def main() -> None:
        from sparsim.report.console import run as run_command

        before = sys.argv
        sys.argv = [program, *arguments]
        try:
            run_command(function, program)
        finally:
            sys.argv = before

    return main
