"""Where a search ends early, and the clock that it is measured with."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from numba.core import event


class Budget(NamedTuple):
    """Limits that end a search early; None is no limit."""

    evaluations: int | None
    seconds: float | None


class BudgetError(Exception):
    """A budget is used up."""


class Clock:
    """Seconds since the search began, and without those in which kernels were compiled or loaded."""

    def __init__(self) -> None:
        self._start, self._start_cpu = time.monotonic(), time.process_time()
        self._compiling, self._left_out = event.TimingListener(), 0.0

    @contextmanager
    def leave_out_compilation(self) -> Iterator[None]:
        """What is compiled inside the block does not count."""
        with event.install_listener("numba:compile", self._compiling):
            yield

    @contextmanager
    def left_out(self) -> Iterator[None]:
        """What is done inside the block does not count."""
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
