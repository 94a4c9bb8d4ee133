"""Schedules of the sparsity, which are stepped like the optimizer.

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
MAX_UPDATES = 1_000_000  # longer than any training
SLACK = 1e-6  # tolerance in steps, so that 0.1 + 0.2 epochs are 0.3


class Schedule(ABC):
    """Sparsity that rises over the steps of training; the base of all schedules.

    Parameters
    ----------
    pruner : Pruner or None
        Pruner whose masks follow the schedule; None for a schedule that is only looked at.
    initial : float
        Sparsity at `begin`, 0 to 1.
    final : float
        Sparsity at `end`, 0 to 1, not below `initial`.
    begin : float
        Time of the first update, in `unit`.
    end : float
        Time of the last update, in `unit`, not before `begin`.
    every : float
        Time between updates, in `unit`, above 0.
    unit : str, default "epoch"
        Unit of the times: "epoch" or "step" (of the optimizer).
    steps_per_epoch : int, optional
        Optimizer steps of an epoch; needed if `unit` is "epoch" and there is a pruner.

    Raises
    ------
    PruningError
        If times or sparsities are invalid or out of order, or if the pruner cannot reach `final`.

    Notes
    -----
    Between `begin` and `end` the schedule asks for the sparsity

        s(t) = initial + (final - initial) r(x),   x = (t - begin) / (end - begin)

    where the subclass defines r, the `rise` (Zhu & Gupta 2017, equation 1, for `CubicSchedule`). The time
    n / steps_per_epoch is reached when n steps are done: an update at epoch 1 is made directly after the last
    step of the first epoch. Updates that are due at time 0 are made at the first step.
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
        """Return how far the sparsity has risen from `initial` to `final`.

        Parameters
        ----------
        x : float
            Part of the time between `begin` and `end` that has passed, 0 to 1.

        Returns
        -------
        float
            Part of the way, 0 to 1.
        """

    @property
    def sparsity(self) -> float:
        """The pruner's sparsity now."""
        return self._pruner().sparsity

    def sparsity_at(self, time: float) -> float:
        """Return the sparsity that the schedule asks for at a time.

        Parameters
        ----------
        time : float
            Time in `unit`.

        Returns
        -------
        float
            Sparsity; 0 before `begin`, and `final` from `end` on.
        """
        if time < self.begin:
            return 0.0
        if time >= self.end:
            return self.final
        x = (time - self.begin) / (self.end - self.begin)
        return self.initial + (self.final - self.initial) * self.rise(x)

    def update_times(self) -> list[float]:
        """Return the times at which masks change.

        Returns
        -------
        list of float
            Times in `unit`: begin, begin + every, ..., and end.
        """
        count = math.ceil((self.end - self.begin) / self.every - SLACK)
        return [self.begin + k * self.every for k in range(count)] + [self.end]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings of the pruner, as sentences."""
        return self._pruner().warnings

    @property
    def ended(self) -> bool:
        """Whether the last update is done."""
        return self.steps_done >= max(self._due)

    @property
    def shortfall(self) -> str | None:
        """Sentence that says that `final` is not reached because steps are missing; None if it is reached."""
        if self.ended or self.sparsity >= self.final:
            return None
        counted = f", {self.steps_per_unit} per epoch" if self.unit == "epoch" else ""
        return (
            f"pruning ended at a sparsity of {self.sparsity:.4g} instead of {self.final:g}, after "
            f"{self.steps_done:,} of the {max(self._due):,} steps of the schedule{counted}"
        )

    @property
    def stepped(self) -> bool:
        """Whether an optimizer has stepped since the latest step of the schedule; True if none is known."""
        return self._pruner().steps.stepped_since(self._seen)

    @property
    def due(self) -> float | None:
        """Sparsity that the next step asks for; None if no update is due then."""
        return self._due.get(self.steps_done + 1)

    def step(self, most: float = 1.0) -> bool:
        """Count one optimizer step, prune if an update is due, and set pruned weights to zero.

        Parameters
        ----------
        most : float, default 1.0
            Sparsity beyond which this call does not prune.

        Returns
        -------
        bool
            Whether an update was due.

        Raises
        ------
        PruningError
            If the schedule has no pruner, or as `Pruner.prune` does.

        Notes
        -----
        Call it directly after ``optimizer.step()``. A call after which the optimizers of the pruner have not
        stepped does not count: a step that a `GradScaler` skipped, or a pass that only accumulates gradients.
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
        """Return what a resumed run needs.

        Returns
        -------
        dict
            Number of steps done ("step"), steps of a unit of time ("steps_per_unit") and the state of the
            pruner ("pruner").
        """
        return {
            "step": self.steps_done,
            "steps_per_unit": self.steps_per_unit,
            "pruner": self._pruner().state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the result of `state_dict`.

        Parameters
        ----------
        state : mapping
            State of a schedule with the same number of steps per epoch.

        Raises
        ------
        PruningError
            If the state is not one of a schedule, counts other steps, or does not fit the pruner.
        """
        check_state(state, {"step", "steps_per_unit", "pruner"}, "schedule")
        if state["steps_per_unit"] != self.steps_per_unit:
            raise PruningError(
                f"the saved schedule counts {state['steps_per_unit']} steps per {self.unit}, "
                f"but this one counts {self.steps_per_unit}"
            )
        self._pruner().load_state_dict(state["pruner"])
        self.steps_done = int(state["step"])

    def _pruner(self) -> Pruner:
        if self.pruner is None:
            raise PruningError("this schedule has no pruner and cannot prune")
        return self.pruner

    def _check(self) -> None:
        if self.unit not in UNITS:
            raise PruningError(f"unknown unit {self.unit!r}", hint=near(self.unit, UNITS))
        if self.initial > self.final:
            raise PruningError(f"initial {self.initial:g} is above final {self.final:g}; masks cannot shrink")
        if self.begin > self.end:
            raise PruningError(f"begin {self.begin:g} is after end {self.end:g}")
        if self.every == 0:
            raise PruningError(f"every must be greater than 0 {self.unit}s, got 0")
        if (updates := (self.end - self.begin) / self.every) > MAX_UPDATES:
            raise PruningError(
                f"every {self.every:g} {self.unit}s gives {updates:g} updates, but at most {MAX_UPDATES} are "
                "allowed"
            )

    def _steps_per_unit(self, steps_per_epoch: int | None) -> int:
        if self.unit == "step":
            return 1
        if steps_per_epoch is None and self.pruner is None:
            return 1
        if not is_count(steps_per_epoch):
            raise PruningError(
                "steps_per_epoch must be a positive whole number for the unit 'epoch', got "
                f"{steps_per_epoch!r}"
            )
        return int(steps_per_epoch)

    def _step_of(self, time: float) -> int:
        """Return the first step after which `time` is reached."""
        return max(1, math.ceil(time * self.steps_per_unit - SLACK))


class CubicSchedule(Schedule):
    """Schedule that prunes fast at first, and slowly when few weights are left.

    The parameters are those of `Schedule`.

    Notes
    -----
    The rise is r(x) = 1 - (1 - x)^3 (Zhu & Gupta 2017, equation 1).

    Examples
    --------
    >>> from gmp import CubicSchedule
    >>> schedule = CubicSchedule(None, initial=0.0, final=0.8, begin=0, end=10, every=1)
    >>> schedule.sparsity_at(5)
    0.7000000000000001
    """

    def rise(self, x: float) -> float:
        return float(1 - (1 - x) ** 3)


class LinearSchedule(Schedule):
    """Schedule that prunes the same number of weights at each update: r(x) = x.

    The parameters are those of `Schedule`.
    """

    def rise(self, x: float) -> float:
        return x


class InverseCubicSchedule(Schedule):
    """Schedule that prunes slowly at first, and fast towards the end: r(x) = 1 - (1 - x)^(1/3).

    The parameters are those of `Schedule`.
    """

    def rise(self, x: float) -> float:
        return float(1 - (1 - x) ** (1 / 3))


class ConstantSchedule(Schedule):
    """Schedule that prunes to the final sparsity at once, and keeps it.

    Parameters
    ----------
    pruner : Pruner or None
        Pruner whose masks follow the schedule; None for a schedule that is only looked at.
    final : float
        Sparsity from `begin` on, 0 to 1.
    begin : float, default 0.0
        Time of the update, in `unit`.
    unit : str, default "epoch"
        Unit of the time: "epoch" or "step" (of the optimizer).
    steps_per_epoch : int, optional
        Optimizer steps of an epoch; needed if `unit` is "epoch" and there is a pruner.
    """

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
