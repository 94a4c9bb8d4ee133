"""Prune until an energy or a number of cycles is reached: what is needed, and a schedule that stops there."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmp.energy.energy_monitor import EnergyMonitor
from gmp.errors import PruningError, PruningWarning, check_state
from gmp.pruner import Pruner
from gmp.schedules import Schedule
from sparsim.hardware import Reals

TRIALS = 64  # sparsities at which costs are looked at first: they need not fall everywhere
HALVINGS = 20
BEYOND = 1e-3  # of the weights, past what is needed: whole weights would leave a run just short of it


def sparsity_for(monitor: EnergyMonitor, *, uniform: bool = False) -> float:
    """The lowest sparsity of the prunable weights at which the monitor's targets are met.

    Starts from the masks as they are, and every layer keeps its density relative to the others; `uniform`:
    starts from dense, and every prunable layer gets the same sparsity. Activations are taken to stay as they
    are. Raises PruningError if there is no pruner or it has no mask of a layer, and if the targets are met at
    no sparsity.
    """
    if monitor.pruner is None:
        raise PruningError("the monitor has no pruner, whose weights could be pruned")
    now, prunable = monitor.densities, _prunable(monitor)
    start = 0.0 if uniform else monitor.pruner.sparsity

    def densities(sparsity: float) -> Reals:
        share = (1 - sparsity) / max(1 - start, 1e-12)
        found = now.copy()
        found[:, 0] = np.where(prunable, share if uniform else now[:, 0] * share, now[:, 0])
        return found

    def met(sparsity: float) -> bool:
        return _met(monitor, densities(sparsity))

    tried = np.linspace(start, 1.0, TRIALS + 1).tolist()
    first = next((i for i, sparsity in enumerate(tried) if met(sparsity)), None)
    if first is None:
        energy, cycles = monitor.plan(densities(1.0))
        raise PruningError(
            "the targets are met at no sparsity: without any prunable weight "
            f"{monitor.plan.hardware.name} needs {energy.sum():.4g} pJ and {cycles.sum():.4g} cycles"
        )
    if first == 0:
        return float(tried[0])
    low, high = tried[first - 1], tried[first]
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if met(middle) else (middle, high)
    return float(high)


class BudgetSchedule:
    """A `schedule` that prunes no further once the targets of `monitor` are met.

    Near the end it prunes no more than `sparsity_for` says is needed, and a little more where the layers
    share that otherwise than it thought, so that it overshoots by little; the monitor is updated after every
    change of the masks. A schedule that ends short of the targets ends there, with a warning; `reached`
    tells. Raises PruningError for a monitor without targets or with another pruner, and for a pruner that has
    no mask of a layer of the monitor.
    """

    def __init__(self, schedule: Schedule, monitor: EnergyMonitor) -> None:
        if monitor.target_energy_pj is None and monitor.target_cycles is None:
            raise PruningError("the monitor has no target_energy_pj and no target_cycles")
        if schedule.pruner is None or monitor.pruner is not schedule.pruner:
            raise PruningError("the schedule and the monitor must have the same pruner")
        _prunable(monitor)
        self.schedule, self.monitor = schedule, monitor
        self.reached = False
        schedule.pruner.goal = self

    @property
    def sparsity(self) -> float:
        """The pruner's sparsity now."""
        return self.schedule.sparsity

    @property
    def warnings(self) -> tuple[str, ...]:
        """Those of the pruner, a budget that is missed among them."""
        return self.schedule.warnings

    @property
    def shortfall(self) -> str | None:
        """A sentence where the targets are missed, or steps of the schedule are missing, else None."""
        if self.reached or not self.schedule.ended:
            return None if self.reached else self.schedule.shortfall
        return (
            f"the targets are missed: at a sparsity of {self.sparsity:.4g}, where the schedule ends, "
            f"{self.monitor.missed()}"
        )

    def step(self) -> bool:
        """Like `Schedule.step`; True if masks were due to change and the targets had not been met."""
        due = self.schedule.due
        if due is None or self.reached or not self.schedule.stepped:
            self.schedule.step(most=0.0)
            return False
        self.schedule.step(most=self._needed())
        self._prune_on(due)
        self.reached = self.monitor.update(self.schedule.steps_done).reached
        if self.schedule.ended and self.shortfall is not None:
            warnings.warn(self.shortfall, PruningWarning, stacklevel=2)
        return True

    def state_dict(self) -> dict[str, Any]:
        return {"schedule": self.schedule.state_dict(), "reached": self.reached}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over `state_dict()`. Raises PruningError like `Schedule.load_state_dict`."""
        check_state(state, {"schedule", "reached"}, "budget")
        self.schedule.load_state_dict(state["schedule"])
        self.reached = bool(state["reached"])

    def _prune_on(self, due: float) -> None:
        """Until the targets are met, or as far as the schedule asks."""
        pruner, beyond = self.monitor.pruner, 0.0
        assert isinstance(pruner, Pruner)  # the schedule's
        while not _met(self.monitor, self.monitor.densities) and pruner.sparsity < due:
            before = pruner.sparsity
            asked = min(due, max(before + beyond, self._needed()))
            pruner.prune(asked)
            if pruner.sparsity == before:  # less than a weight, or a unit of the pattern
                if asked == due:
                    return
                beyond = max(BEYOND, 2 * beyond)

    def _needed(self) -> float:
        try:
            needed = sparsity_for(self.monitor)
        except PruningError:  # not with these proportions, perhaps with others
            return 1.0
        return min(1.0, needed + BEYOND) if needed > self.schedule.sparsity else needed


def _met(monitor: EnergyMonitor, densities: Reals) -> bool:
    energy, cycles = monitor.plan(densities)
    return monitor.meets(float(energy.sum()), float(cycles.sum()))


def _prunable(monitor: EnergyMonitor) -> NDArray[np.bool_]:
    """The monitor's, of which there is one at least: names differ where a model is wrapped in another."""
    found = monitor.prunable
    if not found.any():
        raise PruningError("the pruner has no mask of a layer that the monitor sees; is it of another model?")
    return found
