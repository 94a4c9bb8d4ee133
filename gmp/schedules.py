"""When sparsity rises: schedules that are stepped like the optimizer.

Between `begin` and `end` a schedule asks for the sparsity
  s(t) = s_i + (s_f - s_i) r(x),   x = (t - begin) / (end - begin)
with s_i `initial`, s_f `final` and r, the rise, of the subclass; Zhu & Gupta 2017, equation 1, has
r = 1 - (1 - x)^3. The masks follow at the times begin, begin + every, ..., and at `end`, where s is
exactly s_f. Before `begin` masks do not change, after `end` they are kept.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from gmp.errors import PruningError, check_state
from gmp.number_checks import at_least_zero, fraction, is_count
from gmp.pruner import Pruner
from sparsim.errors import near

UNITS = ("epoch", "step")
MAX_UPDATES = 1_000_000  # more than any training has steps in between
SLACK = 1e-6  # of a step: 0.1 + 0.2 epochs are 0.3


class Schedule(ABC):
    """`begin`, `end` and `every` in `unit`, "epoch" (of `steps_per_epoch` optimizer steps) or "step".

    Time n / steps_per_epoch is reached when n steps are done: an update at epoch 1 comes right after the last
    step of the first epoch. What is due at time 0 is done at the first step.

    `pruner` may be None for a schedule that is only looked at. Raises PruningError for times or sparsities
    out of order, and for a `final` that the pruner cannot reach.
    """

    def __init__(
        self,
        pruner: Pruner | None,
        *,
        initial: float,
        final: float,
        begin: float,
        end: float,
        every: float,
        unit: str = "epoch",
        steps_per_epoch: int | None = None,
    ) -> None:
        self.pruner, self.unit = pruner, unit
        self.initial, self.final = fraction(initial, "initial"), fraction(final, "final")
        self.begin = at_least_zero(begin, "begin", "time")
        self.end, self.every = at_least_zero(end, "end", "time"), at_least_zero(every, "every", "time")
        self.steps_done = 0
        self._seen = 0 if pruner is None else pruner.steps.count
        self._check()
        if pruner is not None:
            pruner.check(final)
        self.steps_per_unit = self._steps_per_unit(steps_per_epoch)
        self._due = {self._step_of(time): self.sparsity_at(time) for time in self.update_times()}
        if pruner is not None:
            pruner.goal = self

    @abstractmethod
    def rise(self, x: float) -> float:
        """The part of the way from `initial` to `final`, 0 to 1, at the part `x` of the time."""

    @property
    def sparsity(self) -> float:
        """The pruner's sparsity now."""
        return self._pruner().sparsity

    def sparsity_at(self, time: float) -> float:
        """The sparsity that the schedule asks for at `time`, in `unit`; 0 before `begin`."""
        if time < self.begin:
            return 0.0
        if time >= self.end:
            return self.final
        x = (time - self.begin) / (self.end - self.begin)
        return self.initial + (self.final - self.initial) * self.rise(x)

    def update_times(self) -> list[float]:
        """The times, in `unit`, at which masks change."""
        count = math.ceil((self.end - self.begin) / self.every - SLACK)
        return [self.begin + k * self.every for k in range(count)] + [self.end]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Those of the pruner."""
        return self._pruner().warnings

    @property
    def ended(self) -> bool:
        """Whether the last update is done."""
        return self.steps_done >= max(self._due)

    @property
    def shortfall(self) -> str | None:
        """A sentence where `final` is not reached because steps are missing, else None."""
        if self.ended or self.sparsity >= self.final:
            return None
        counted = f", {self.steps_per_unit} per epoch" if self.unit == "epoch" else ""
        return (
            f"pruning stands at a sparsity of {self.sparsity:.4g}, the schedule ends at {self.final:g}: "
            f"{self.steps_done:,} steps were made of the {max(self._due):,} that it counts{counted}"
        )

    @property
    def stepped(self) -> bool:
        """Whether an optimizer has stepped since the latest step of the schedule; True if nobody knows."""
        return self._pruner().steps.stepped_since(self._seen)

    @property
    def due(self) -> float | None:
        """The sparsity that the next step asks for; None if no update is due then."""
        return self._due.get(self.steps_done + 1)

    def step(self, most: float = 1.0) -> bool:
        """Count one optimizer step, prune if it is due, clear pruned weights; True if an update was due.

        Call it right after `optimizer.step()`. It does not prune beyond the sparsity `most`. A step that the
        pruner's optimizers have not made does not count: one that a `GradScaler` skipped, or a pass that only
        accumulates gradients.
        """
        pruner, due = self._pruner(), self.due
        if not self.stepped:
            pruner.apply()
            return False
        self._seen = pruner.steps.count
        sparsity = None if due is None else min(due, fraction(most, "most"))
        if sparsity is None or sparsity <= pruner.sparsity:
            pruner.apply()
        else:
            pruner.prune(sparsity)
        self.steps_done += 1
        return due is not None

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs: the steps done, what a step is, and the state of the pruner."""
        return {
            "step": self.steps_done,
            "steps_per_unit": self.steps_per_unit,
            "pruner": self._pruner().state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over `state_dict()` of a schedule with as many steps per epoch. Raises PruningError."""
        check_state(state, {"step", "steps_per_unit", "pruner"}, "schedule")
        if state["steps_per_unit"] != self.steps_per_unit:
            raise PruningError(
                f"the saved schedule counts {state['steps_per_unit']} steps per {self.unit}, "
                f"this one {self.steps_per_unit}"
            )
        self._pruner().load_state_dict(state["pruner"])
        self.steps_done = int(state["step"])

    def _pruner(self) -> Pruner:
        if self.pruner is None:
            raise PruningError("this schedule has no pruner: it can only be looked at")
        return self.pruner

    def _check(self) -> None:
        if self.unit not in UNITS:
            raise PruningError(f"unknown unit {self.unit!r}", hint=near(self.unit, UNITS))
        if self.initial > self.final:
            raise PruningError(f"initial {self.initial:g} is above final {self.final:g}; masks cannot shrink")
        if self.begin > self.end:
            raise PruningError(f"begin {self.begin:g} is after end {self.end:g}")
        if self.every == 0:
            raise PruningError(f"every is 0; it must be more than 0 {self.unit}s")
        if (updates := (self.end - self.begin) / self.every) > MAX_UPDATES:
            raise PruningError(
                f"every {self.every:g} {self.unit}s makes {updates:g} updates, {MAX_UPDATES} at most"
            )

    def _steps_per_unit(self, steps_per_epoch: int | None) -> int:
        if self.unit == "step":
            return 1
        if steps_per_epoch is None and self.pruner is None:
            return 1
        if not is_count(steps_per_epoch):
            raise PruningError(
                f"steps_per_epoch is {steps_per_epoch!r}; the unit 'epoch' needs a whole number from 1"
            )
        return int(steps_per_epoch)

    def _step_of(self, time: float) -> int:
        """The first step after which `time` is reached."""
        return max(1, math.ceil(time * self.steps_per_unit - SLACK))


class CubicSchedule(Schedule):
    """Fast at first, slow when little is left (Zhu & Gupta 2017, equation 1)."""

    def rise(self, x: float) -> float:
        return float(1 - (1 - x) ** 3)


class LinearSchedule(Schedule):
    """As much at each update."""

    def rise(self, x: float) -> float:
        return x


class InverseCubicSchedule(Schedule):
    """Slow at first, fast towards the end: r = 1 - (1 - x)^(1/3)."""

    def rise(self, x: float) -> float:
        return float(1 - (1 - x) ** (1 / 3))


class ConstantSchedule(Schedule):
    """`final` at once at `begin`, kept from then on."""

    def __init__(
        self,
        pruner: Pruner | None,
        *,
        final: float,
        begin: float = 0.0,
        unit: str = "epoch",
        steps_per_epoch: int | None = None,
    ) -> None:
        super().__init__(
            pruner,
            initial=final,
            final=final,
            begin=begin,
            end=begin,
            every=1.0,
            unit=unit,
            steps_per_epoch=steps_per_epoch,
        )

    def rise(self, x: float) -> float:
        return 1.0
