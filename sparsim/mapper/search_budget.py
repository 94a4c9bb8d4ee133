"""Budgets of searches, and the clock that measures them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from numba.core import event


class Budget(NamedTuple):
    """Limits that end a search early; None means no limit."""

    evaluations: int | None
    seconds: float | None


class BudgetError(Exception):
    """A budget is used up."""


class Clock:
    """Clock of the seconds since the search began, without those in which kernels were compiled or loaded."""

    def __init__(self) -> None:
        self._start, self._start_cpu = time.monotonic(), time.process_time()
        self._compiling, self._left_out = event.TimingListener(), 0.0

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
        return self.seconds - float(compiled) - self._left_out

    @property
    def cpu_s(self) -> float:
        return time.process_time() - self._start_cpu
