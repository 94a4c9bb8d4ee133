"""Pruning in `lightning.Trainer.fit`."""

import math
from typing import Any

from sparsim.errors import require

require("lightning", "pruning in its trainer", "trainers")

from lightning.pytorch import Callback, LightningModule, Trainer

from gmp.integrations.trainer_pruning import Attach, TrainerPruning, Watch


class LightningPruning(Callback):
    """Callback of `lightning.Trainer` that prunes while it trains.

    Parameters
    ----------
    attach : callable
        Called as ``attach(module, optimizers, steps_per_epoch)`` when training begins, with the
        `LightningModule`, the trainer's optimizers and the optimizer steps of an epoch (None where the data
        have no length). Returns a `Schedule`, a `BudgetSchedule` or a `RunningRecipe`.
    monitor : callable, optional
        Called as ``monitor(module, pruner)`` after `attach`. Returns an `EnergyMonitor`, which is updated
        whenever masks have changed.

    Attributes
    ----------
    pruning : TrainerPruning
        What is attached, the monitor, and their state.

    Notes
    -----
    What `attach` returns is stepped after each batch. Batches after which no optimizer has stepped, because
    gradients are accumulated or a step was skipped, do not count. Checkpoints of the trainer hold the state
    and restore it. Sparsity, energy and cycles are logged when masks change. The end of training leaves the
    zeros in the weights.
    """

    def __init__(self, attach: Attach, monitor: Watch | None = None) -> None:
        self.pruning = TrainerPruning(attach, monitor)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Attach to the module, and take over the state of a checkpoint.

        Parameters
        ----------
        trainer : Trainer
            The trainer.
        pl_module : LightningModule
            Module to train and prune.
        """
        steps = trainer.num_training_batches / trainer.accumulate_grad_batches
        steps_per_epoch = None if math.isinf(steps) else math.ceil(steps)
        self.pruning.begin(pl_module, trainer.optimizers, steps_per_epoch)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *batch: Any) -> None:
        """Prune if an update is due, and log what has changed.

        Parameters
        ----------
        trainer : Trainer
            The trainer.
        pl_module : LightningModule
            Module that is trained.
        *batch
            Outputs, batch and index of the batch, which are not used.
        """
        if numbers := self.pruning.step():
            pl_module.log_dict(numbers)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave zeros in the weights and remove all hooks.

        Parameters
        ----------
        trainer : Trainer
            The trainer.
        pl_module : LightningModule
            Module that was trained.
        """
        self.pruning.end()

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint.

        Returns
        -------
        dict
            State of `pruning`.
        """
        return self.pruning.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the state of a checkpoint until training begins.

        Parameters
        ----------
        state_dict : dict
            Result of `state_dict`.
        """
        self.pruning.load_state_dict(state_dict)
