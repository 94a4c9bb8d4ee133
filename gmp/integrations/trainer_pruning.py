"""What a callback of a trainer does: makes a schedule when training begins, steps it, and keeps its state."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from gmp.energy import BudgetSchedule, EnergyMonitor
from gmp.errors import PruningError, check_state
from gmp.pruner import Pruner
from gmp.recipes.running_recipe import RunningRecipe
from gmp.schedules import Schedule

Attached = Schedule | BudgetSchedule | RunningRecipe
Attach = Callable[[nn.Module, Sequence[Optimizer], int | None], Attached]
Watch = Callable[[nn.Module, Pruner | RunningRecipe], EnergyMonitor]


class TrainerPruning:
    """Pruning in the trainer of another library, for one training after another.

    Parameters
    ----------
    attach : callable
        Called as ``attach(model, optimizers, steps_per_epoch)`` when training begins, with models and
        optimizers as the trainer has them. Returns a `Schedule`, a `BudgetSchedule`, or the `RunningRecipe`
        of ``recipe.attach``. `steps_per_epoch` counts steps of the optimizer, and is None where the data have
        no length.
    monitor : callable, optional
        Called as ``monitor(model, pruner)`` after `attach`. Returns an `EnergyMonitor`, which is updated
        whenever masks have changed. A `BudgetSchedule` brings its own.

    Attributes
    ----------
    attached : Schedule or BudgetSchedule or RunningRecipe or None
        What `attach` returned; None before training begins.
    monitor : EnergyMonitor or None
        The monitor, if there is one.
    """

    def __init__(self, attach: Attach, monitor: Watch | None = None) -> None:
        self._attach, self._watch = attach, monitor
        self._saved: Mapping[str, Any] | None = None
        self._zeros: list[float] = []
        self.attached: Attached | None = None
        self.monitor: EnergyMonitor | None = None

    @property
    def pruners(self) -> tuple[Pruner, ...]:
        """Pruners that are active now."""
        attached = self.attached.schedule if isinstance(self.attached, BudgetSchedule) else self.attached
        if isinstance(attached, RunningRecipe):
            return attached.pruners
        return (attached.pruner,) if attached is not None and attached.pruner is not None else ()

    def begin(self, model: nn.Module, optimizers: Sequence[Optimizer], steps_per_epoch: int | None) -> None:
        """Attach to a model, and take over the state that was loaded before.

        Parameters
        ----------
        model : nn.Module
            Model to train and prune.
        optimizers : sequence of Optimizer
            Its optimizers.
        steps_per_epoch : int or None
            Optimizer steps of an epoch; None if it is not known.

        Raises
        ------
        PruningError
            If `attach` returns something else than a schedule or recipe, if there is a monitor beside a
            `BudgetSchedule`, or if the loaded state does not fit.
        """
        attached = self.attached = self._attach(model, optimizers, steps_per_epoch)
        if not isinstance(attached, Attached):
            kind = type(attached).__name__
            raise PruningError(f"attach must return a Schedule, BudgetSchedule or RunningRecipe, got {kind}")
        self.monitor = attached.monitor if isinstance(attached, BudgetSchedule) else None
        if self._watch is not None:
            if self.monitor is not None:
                raise PruningError("monitor cannot be given, because the BudgetSchedule already has one")
            masks = attached if isinstance(attached, RunningRecipe) else self.pruners[0]
            self.monitor = self._watch(model, masks)
        if self._saved is not None:
            check_state(self._saved, {"attached", "monitor"}, "pruning in a trainer")
            attached.load_state_dict(self._saved["attached"])
            if self.monitor is not None and self._saved["monitor"] is not None:
                self.monitor.load_state_dict(self._saved["monitor"])
            self._saved = None
        self._zeros = self._sparsities()

    def step(self) -> dict[str, float]:
        """Prune if an update is due; call it directly after the optimizer's step.

        Returns
        -------
        dict of str to float
            Numbers to log: "pruning/sparsity", and with a monitor "pruning/energy_pj" and "pruning/cycles".
            Empty if no mask has changed.
        """
        assert self.attached is not None  # training has begun
        self.attached.step()
        before, self._zeros = self._zeros, self._sparsities()
        if before == self._zeros:
            return {}
        found = {"pruning/sparsity": self.attached.sparsity}
        if self.monitor is not None:
            own = isinstance(self.attached, BudgetSchedule)  # has been updated by it
            reading = self.monitor.history[-1] if own else self.monitor.update(self._steps_done())
            found |= {"pruning/energy_pj": reading.energy_pj, "pruning/cycles": reading.cycles}
        return found

    def end(self, *, restored: bool = False) -> None:
        """Leave zeros in the weights and remove all hooks.

        Parameters
        ----------
        restored : bool, default False
            Whether the trainer has restored weights of an earlier step. They stay as they are, with the zeros
            of that step.

        Warns
        -----
        PruningWarning
            If less was pruned than was asked for, as `Pruner.finalize` does.
        """
        if restored:
            for pruner in self.pruners:
                pruner.detach()
        elif isinstance(self.attached, RunningRecipe):
            self.attached.finalize()
        for pruner in self.pruners:
            pruner.finalize()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs.

        Returns
        -------
        dict
            States of what is attached ("attached") and of the monitor ("monitor", None without one). Before
            training begins it is the state that was loaded last.
        """
        if self.attached is None:
            return dict(self._saved or {})
        monitor = None if self.monitor is None else self.monitor.state_dict()
        return {"attached": self.attached.state_dict(), "monitor": monitor}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Keep a state, which is taken over when training begins.

        Parameters
        ----------
        state : mapping
            Result of `state_dict`.
        """
        self._saved = state or None

    def _sparsities(self) -> list[float]:
        return [pruner.sparsity for pruner in self.pruners]

    def _steps_done(self) -> int:
        assert isinstance(self.attached, Schedule | RunningRecipe)
        return self.attached.steps_done
