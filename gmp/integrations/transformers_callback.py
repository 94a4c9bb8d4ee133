"""Pruning in `transformers.Trainer.train`."""

import io
import math
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from sparsim.errors import require

require("transformers", "pruning in its trainer", "trainers")

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from gmp.errors import PruningError, check_state, writing
from gmp.integrations.trainer_pruning import Attach, TrainerPruning, Watch
from sparsim.fileio.writing import write_bytes

NAME = "pruning.pt"


class TransformersPruning(TrainerCallback):
    """Callback of `transformers.Trainer` that prunes while it trains.

    Parameters
    ----------
    attach : callable
        Called as ``attach(model, optimizers, steps_per_epoch)`` when training begins, with the model, a list
        of the trainer's optimizer, and the optimizer steps of an epoch (None where the data have no length).
        Returns a `Schedule`, a `BudgetSchedule` or a `RunningRecipe`.
    monitor : callable, optional
        Called as ``monitor(model, pruner)`` after `attach`. Returns an `EnergyMonitor`, which is updated
        whenever masks have changed.
    resume_from : str or Path, optional
        Checkpoint that the trainer resumes from, if it is not in the `output_dir` of the trainer.

    Notes
    -----
    What `attach` returns is stepped after each step of the optimizer; steps that were skipped do not count.
    Each checkpoint of the trainer gets a file `pruning.pt`, from which a resumed run continues. Sparsity,
    energy and cycles are added to `state.log_history` when masks change. The end of training leaves the zeros
    in the weights. The attribute `pruning` is the `TrainerPruning` with what is attached and the monitor.
    """

    def __init__(
        self, attach: Attach, monitor: Watch | None = None, *, resume_from: str | Path | None = None
    ) -> None:
        self.pruning, self.resume_from = TrainerPruning(attach, monitor), resume_from

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Attach to the model, and take over the state of a checkpoint if training is resumed.

        Parameters
        ----------
        args : TrainingArguments
            Arguments of the trainer.
        state : TrainerState
            State of the trainer.
        control : TrainerControl
            Control of the trainer, which is not used.
        **kwargs
            Model, optimizer and data loader, by name.

        Raises
        ------
        PruningError
            If the checkpoint has no state of pruning, or one of another step.
        """
        if state.global_step:
            folder = _checkpoint(args, state) if self.resume_from is None else Path(self.resume_from)
            self.pruning.load_state_dict(_load(folder / NAME, state.global_step))
        try:
            batches = len(kwargs["train_dataloader"])
        except TypeError:  # data without a length
            steps_per_epoch = None
        else:
            steps_per_epoch = math.ceil(batches / args.gradient_accumulation_steps)
        self.pruning.begin(kwargs["model"], [kwargs["optimizer"]], steps_per_epoch)

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Prune if an update is due, and log what has changed.

        Parameters
        ----------
        args : TrainingArguments
            Arguments of the trainer, which are not used.
        state : TrainerState
            State of the trainer, whose history is extended.
        control : TrainerControl
            Control of the trainer, which is not used.
        **kwargs
            Further objects of the trainer, which are not used.
        """
        if numbers := self.pruning.step():
            state.log_history.append({**numbers, "step": state.global_step + 1})

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write the state of pruning into the checkpoint.

        Parameters
        ----------
        args : TrainingArguments
            Arguments of the trainer.
        state : TrainerState
            State of the trainer.
        control : TrainerControl
            Control of the trainer, which is not used.
        **kwargs
            Further objects of the trainer, which are not used.

        Raises
        ------
        PruningError
            If the file cannot be written.
        """
        if state.is_world_process_zero:
            path, buffer = _checkpoint(args, state) / NAME, io.BytesIO()
            torch.save({"step": state.global_step, **self.pruning.state_dict()}, buffer)
            with writing(path, "state of pruning"):
                write_bytes(path, buffer.getvalue())

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave zeros in the weights and remove all hooks.

        Parameters
        ----------
        args : TrainingArguments
            Arguments of the trainer.
        state : TrainerState
            State of the trainer.
        control : TrainerControl
            Control of the trainer, which is not used.
        **kwargs
            Further objects of the trainer, which are not used.
        """
        best = args.load_best_model_at_end and state.best_model_checkpoint is not None
        self.pruning.end(restored=best)


def _checkpoint(args: TrainingArguments, state: TrainerState) -> Path:
    return Path(args.output_dir or ".") / f"checkpoint-{state.global_step}"


def _load(path: Path, step: int) -> dict[str, Any]:
    if not path.is_file():
        raise PruningError(
            f"{path}: no such file, but training resumes at step {step}; pass the checkpoint as resume_from"
        )
    try:
        found: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except (UnpicklingError, RuntimeError, EOFError) as error:
        raise PruningError(f"{path}: does not hold a state of pruning") from error
    check_state(found, {"step", "attached", "monitor"}, "pruning in a trainer")
    if found.pop("step") != step:
        raise PruningError(f"{path}: was saved at another step than {step}, at which training resumes")
    return found
