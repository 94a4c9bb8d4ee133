"""Pruning in `lightning.Trainer.fit`."""

import math
from typing import Any

from sparsim.errors import require

require("lightning", "pruning in its trainer", "trainers")

from lightning.pytorch import Callback, LightningModule, Trainer

from gmp.integrations.trainer_pruning import Attach, TrainerPruning, Watch


class LightningPruning(Callback):
    """Steps what `attach` makes after each batch; `attach` and `monitor` are those of `TrainerPruning`.

    `attach` gets the `LightningModule`, the trainer's optimizers, and the optimizer's steps of an epoch.
    Batches after which no optimizer has stepped, since gradients are accumulated or a step was skipped, do
    not count. Checkpoints of the trainer hold the state, and resume it. Sparsity, energy and cycles are
    logged when masks change. The end of training leaves the zeros in the weights.
    """

    def __init__(self, attach: Attach, monitor: Watch | None = None) -> None:
        self.pruning = TrainerPruning(attach, monitor)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        steps = trainer.num_training_batches / trainer.accumulate_grad_batches
        steps_per_epoch = None if math.isinf(steps) else math.ceil(steps)
        self.pruning.begin(pl_module, trainer.optimizers, steps_per_epoch)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *batch: Any) -> None:
        if numbers := self.pruning.step():
            pl_module.log_dict(numbers)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.pruning.end()

    def state_dict(self) -> dict[str, Any]:
        return self.pruning.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.pruning.load_state_dict(state_dict)
