"""Budgets of searches, and the clock that measures them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from numba.core import event


class Budget(NamedTuple):
    """Limits that end a search early; None means no limit. `gap`: the gap that is small enough."""

    evaluations: int | None
    seconds: float | None
    gap: float = 0.0


class BudgetError(Exception):
    """A budget is used up."""


class _Compiling(event.TimingListener):  # type: ignore[misc]
    """The CPU seconds of compilations, which may be nested."""

    def on_start(self, event: object) -> None:
        if self._depth == 0:
            self._ts = time.process_time()
        self._depth += 1

    def on_end(self, event: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._duration = getattr(self, "_duration", 0.0) + time.process_time() - self._ts


class Clock:
    """Clock of the CPU seconds since the search began, without those in which kernels were compiled or
    loaded: a busy machine does not change what a search finds.
    """

    def __init__(self) -> None:
        self._start, self._start_cpu = time.monotonic(), time.process_time()
        self._compiling, self._left_out = _Compiling(), 0.0

    @contextmanager
    def leave_out_compilation(self) -> Iterator[None]:
        """Do not count compilation inside the block."""
        with event.install_listener("numba:compile", self._compiling):
            yield

    @contextmanager
    def left_out(self) -> Iterator[None]:
        """Do not count the time inside the block."""
        before = self.counted
        try:
            yield
        finally:
            self._left_out += self.counted - before

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    @property
    def counted(self) -> float:
        compiled = self._compiling.duration if self._compiling.done else 0.0
        return self.cpu_s - float(compiled) - self._left_out

    @property
    def cpu_s(self) -> float:
        return time.process_time() - self._start_cpu
