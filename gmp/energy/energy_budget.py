"""Pruning to an energy or a number of cycles: the sparsity needed, and a schedule that stops there."""

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

TRIALS = 64  # sparsities at which costs are computed first, because they need not fall monotonically
HALVINGS = 20
# share of weights pruned beyond the need, because rounding to whole weights could miss the target
BEYOND = 1e-3


def sparsity_for(monitor: EnergyMonitor, *, uniform: bool = False) -> float:
    """Find the lowest sparsity at which the targets of a monitor are met.

    Parameters
    ----------
    monitor : EnergyMonitor
        Monitor with a pruner and a target.
    uniform : bool, default False
        Whether to start from a dense model and give all prunable layers the same sparsity. By default the
        search starts from the masks as they are, and the densities of the layers keep their ratios.

    Returns
    -------
    float
        Sparsity of the prunable weights, 0 to 1.

    Raises
    ------
    PruningError
        If the monitor has no pruner, if the pruner has no mask of a layer, or if no sparsity meets the
        targets.

    Notes
    -----
    The densities of activations are taken to stay as they are.
    """
    if monitor.pruner is None:
        raise PruningError("the monitor has no pruner and cannot prune weights")
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
            "no sparsity meets the targets: without any prunable weight, "
            f"{monitor.plan.hardware.name} still needs {energy.sum():.4g} pJ and {cycles.sum():.4g} cycles"
        )
    if first == 0:
        return float(tried[0])
    low, high = tried[first - 1], tried[first]
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if met(middle) else (middle, high)
    return float(high)


class BudgetSchedule:
    """Schedule that stops pruning when the targets of a monitor are met.

    Parameters
    ----------
    schedule : Schedule
        Schedule that is followed until then.
    monitor : EnergyMonitor
        Monitor with the same pruner and at least one target. It is updated after every change of the masks.

    Attributes
    ----------
    schedule : Schedule
        The schedule.
    monitor : EnergyMonitor
        The monitor.
    reached : bool
        Whether the targets are met.

    Raises
    ------
    PruningError
        If the monitor has no target or another pruner, or if the pruner has no mask of a layer of the
        monitor.

    Notes
    -----
    When the targets are near, an update prunes only as far as `sparsity_for` says is needed, and further in
    small steps where the masks share the sparsity differently among the layers, so that it overshoots by
    little. If the schedule ends before the targets are met, pruning ends there with a `PruningWarning`.
    """

    def __init__(self, schedule: Schedule, monitor: EnergyMonitor) -> None:
        if monitor.target_energy_pj is None and monitor.target_cycles is None:
            raise PruningError("the monitor needs a target_energy_pj or a target_cycles")
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
        """Warnings of the pruner, as sentences; a missed budget is among them."""
        return self.schedule.warnings

    @property
    def shortfall(self) -> str | None:
        """Sentence that says that the targets are missed or that steps are missing, or None."""
        if self.reached or not self.schedule.ended:
            return None if self.reached else self.schedule.shortfall
        return (
            f"the targets are missed: at a sparsity of {self.sparsity:.4g}, where the schedule ends, "
            f"{self.monitor.missed()}"
        )

    def step(self) -> bool:
        """Count one optimizer step and prune if an update is due, as `Schedule.step` does.

        Returns
        -------
        bool
            Whether an update was due and the targets had not been met before.

        Warns
        -----
        PruningWarning
            If the schedule has ended and the targets are missed.
        """
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
        """Return what a resumed run needs.

        Returns
        -------
        dict
            State of the schedule ("schedule") and whether the targets are met ("reached").
        """
        return {"schedule": self.schedule.state_dict(), "reached": self.reached}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the result of `state_dict`.

        Parameters
        ----------
        state : mapping
            State of a budget with the same steps per epoch.

        Raises
        ------
        PruningError
            If the state is not one of a budget, or does not fit the schedule.
        """
        check_state(state, {"schedule", "reached"}, "budget")
        self.schedule.load_state_dict(state["schedule"])
        self.reached = bool(state["reached"])

    def _prune_on(self, due: float) -> None:
        """Prune until the targets are met, or as far as the schedule asks."""
        pruner, beyond = self.monitor.pruner, 0.0
        assert isinstance(pruner, Pruner)  # the sparsity of the schedule
        while not _met(self.monitor, self.monitor.densities) and pruner.sparsity < due:
            before = pruner.sparsity
            asked = min(due, max(before + beyond, self._needed()))
            pruner.prune(asked)
            if pruner.sparsity == before:  # less than a weight or a unit of the pattern
                if asked == due:
                    return
                beyond = max(BEYOND, 2 * beyond)

    def _needed(self) -> float:
        try:
            needed = sparsity_for(self.monitor)
        except PruningError:  # the targets cannot be met with these proportions, but perhaps with others
            return 1.0
        return min(1.0, needed + BEYOND) if needed > self.schedule.sparsity else needed


def _met(monitor: EnergyMonitor, densities: Reals) -> bool:
    energy, cycles = monitor.plan(densities)
    return monitor.meets(float(energy.sum()), float(cycles.sum()))


def _prunable(monitor: EnergyMonitor) -> NDArray[np.bool_]:
    """The monitor's, of which there is one at least: names differ where a model is wrapped in another."""
    found = monitor.prunable
    if not found.any():
        raise PruningError(
            "the pruner has no mask of a layer that the monitor sees; was it made for another model?"
        )
    return found
