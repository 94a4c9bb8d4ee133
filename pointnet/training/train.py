"""Train and prune a network, step by step.

All random numbers of a step (order, points, augmentation, dropout) come from a seed that is derived from the
seed of the run and the number of the step. A run that was killed therefore continues from its last checkpoint
to exactly the result of an uninterrupted run.
"""

import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch.nn import functional as F

from pointnet.classifiers import Classifier, classifier
from pointnet.data import Dataset
from pointnet.device_names import device_called
from pointnet.errors import CheckpointError, ConfigError
from pointnet.training import checkpoint
from pointnet.training.accuracy import Score, score
from pointnet.training.batches import Batches, seed_of
from pointnet.training.checkpoint import check_like
from pointnet.training.pruning_options import monitor_of, penalty_of, pruning_of
from pointnet.training.settings import AUGMENTATIONS, Settings
from pointnet.training.stored_weights import load_weights
from sparsim.fileio.json_and_csv import write_csv
from sparsim.fileio.reading import reading
from sparsim.hardware.layer_costs import PJ_PER_UJ

SAVE_EVERY_S = 60.0
_DROPOUT = 2  # a stream of random numbers in addition to those of pointnet.training.batches


class Training:
    """A training run in memory: the network and everything that its next step depends on.

    Parameters
    ----------
    settings : Settings
        The settings of the run.
    data : Dataset
        The clouds.
    planned : callable, default None
        Called with the name of each layer whose mappings on the hardware are found.

    Raises
    ------
    ConfigError
        If the settings do not fit the data.
    CheckpointError
        If the checkpoint to start from does not fit the network.
    PruningError
        If the pruning does not fit the network.
    """

    def __init__(
        self, settings: Settings, data: Dataset, planned: Callable[[str], object] | None = None
    ) -> None:
        self.settings, self.data = settings, data
        self.device = device_called(settings.device)
        config = settings.network(len(data.train.classes))
        if data.train.points.shape[1] < config.points:
            seen = data.train.points.shape[1]
            raise ConfigError(
                f"{data.train.source}: clouds must have {config.points} points for this network, got {seen}"
            )
        if len(data.train) < settings.batch:
            raise ConfigError(f"{len(data.train)} training clouds do not fill one batch of {settings.batch}")
        torch.manual_seed(seed_of(settings.seed))
        self.model = classifier(config)
        self.began: str | None = None  # digest of the weights of `start`
        self.narrowed: dict[str, Any] | None = None  # what was removed of the network in `start`
        if settings.start is not None:
            self.narrowed = load_weights(self.model, Path(settings.start))
            self.began = checkpoint.digest(self.model.state_dict())
        self.model.to(self.device)
        self.batches = Batches(
            data.train, self.model, AUGMENTATIONS[settings.augmentation], settings.batch, settings.seed
        )
        self.optimizer = _optimizer(settings, self.model)
        self.monitor = monitor_of(settings, self.model, data.train, planned)
        self.pruning = pruning_of(settings, self.model, self.optimizer, len(self.batches), self.monitor)
        self.penalty = penalty_of(settings, self.pruning, self.optimizer, len(self.batches))
        self.schedule = _schedule(settings, self.optimizer, len(self.batches))
        self.step = 0
        self.cpu_s = 0.0
        self.sums = {"loss": 0.0, "right": 0, "seen": 0}
        self.history: list[dict[str, Any]] = []  # one row per epoch, as in metrics.csv
        self.score: Score | None = None  # on the test clouds after the latest epoch

    @property
    def steps(self) -> int:
        """Number of steps of the whole run."""
        return self.settings.epochs * len(self.batches)

    @property
    def epoch(self) -> int:
        """Number of complete epochs."""
        return self.step // len(self.batches)

    @property
    def sparsity(self) -> float:
        """Sparsity of the prunable weights; 0 if nothing is pruned."""
        return self.pruning.sparsity if self.pruning is not None else 0.0

    def advance(self) -> None:
        """Make one step of the optimizer, and add a row to the history at the end of an epoch.

        Raises
        ------
        ConfigError
            If the loss is not finite.
        """
        started = time.process_time()
        batch = self.batches[self.step].to(self.device)
        torch.manual_seed(seed_of(self.settings.seed, _DROPOUT, self.step))
        self.model.train()
        logits = self.model(*batch.inputs)
        loss = F.cross_entropy(logits, batch.labels, label_smoothing=self.settings.label_smoothing)
        if not torch.isfinite(loss):
            raise ConfigError(
                f"the loss of step {self.step + 1} is {loss.item()}", hint="try a lower learning rate"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        plan = self.settings.pruning
        if self.penalty is not None and plan is not None and self.step < plan.end * len(self.batches):
            self.penalty.step()  # with the learning rate of this step
        for schedule in (self.schedule, self.pruning):
            if schedule is not None:
                schedule.step()
        self.sums["loss"] += loss.item() * len(batch.labels)
        self.sums["right"] += int((logits.argmax(dim=1) == batch.labels).sum())
        self.sums["seen"] += len(batch.labels)
        self.step += 1
        if self.step % len(self.batches) == 0:
            self._end_epoch()
        self.cpu_s += time.process_time() - started

    def _end_epoch(self) -> None:
        self.score = score(self.model, self.data.test, self.model.config.points)
        low, high = self.score.interval()
        seen = self.sums["seen"]
        self.history.append({
            "epoch": self.epoch,
            "lr": self.optimizer.param_groups[0]["lr"],
            "train_loss": self.sums["loss"] / seen,
            "train_accuracy": self.sums["right"] / seen,
            "test_accuracy": self.score.accuracy,
            "test_low": low,
            "test_high": high,
            "test_class_accuracy": self.score.class_accuracy,
            "sparsity": self.sparsity,
            **self._costs(),
            "cpu_s": round(self.cpu_s, 3),
        })  # fmt: skip
        self.sums = {"loss": 0.0, "right": 0, "seen": 0}

    def _costs(self) -> dict[str, float]:
        """Measure the costs of one cloud on the hardware with the current activations of the network."""
        if self.monitor is None:
            return {}
        self.monitor.measure()
        found = self.monitor.update(self.step)
        return {"energy_uj": found.energy_pj / PJ_PER_UJ, "cycles": found.cycles}

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next step depends on.

        Returns
        -------
        dict
            The state, for `checkpoint.save`.
        """
        return {
            "settings": msgspec.to_builtins(self.settings),  # defaults too: they may change
            "classes": list(self.data.train.classes),
            "data": self.data.digest(),
            "began": self.began,
            "step": self.step,
            "cpu_s": self.cpu_s,
            "sums": self.sums,
            "history": self.history,
            "score": None if self.score is None else [list(part) for part in self.score],
            "model": self.model.state_dict(),
            **({} if self.narrowed is None else {"narrowed": self.narrowed}),
            "optimizer": self.optimizer.state_dict(),
            **{name: None if part is None else part.state_dict() for name, part in self._parts().items()},
        }

    def load_state_dict(self, state: dict[str, Any], where: Path) -> None:
        """Continue a run from a saved state.

        The data and the start may have moved if they are still the same clouds and weights, and the device
        may differ.

        Parameters
        ----------
        state : dict
            What `state_dict` returned.
        where : Path
            The file, for messages.

        Raises
        ------
        CheckpointError
            If the state belongs to a run with other settings or other data.
        """
        stored = msgspec.convert(state["settings"], Settings)
        for key in Settings.__struct_fields__:
            ours, theirs = getattr(self.settings, key), getattr(stored, key)
            if key not in ("data", "start", "device") and ours != theirs:
                raise CheckpointError(f"{where}: the run in it has '{key}' {theirs}, given is {ours}")
        if state["data"] != self.data.digest():
            raise CheckpointError(f"{where}: the run in it saw other data")
        if state["began"] != self.began:
            raise CheckpointError(f"{where}: the run in it began with other weights")
        if state.get("narrowed") != self.narrowed:
            raise CheckpointError(f"{where}: its network has other channels than the run's")
        self._check_state(state, where)
        self.step, self.cpu_s = state["step"], state["cpu_s"]
        self.sums, self.history = state["sums"], state["history"]
        self.score = None if state["score"] is None else Score(*(tuple(part) for part in state["score"]))
        with reading(where, "the state of a run", CheckpointError):
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            for name, part in self._parts().items():
                if part is not None:
                    part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        """The parts of the run that have a state of their own; None for those that the run lacks."""
        return {"schedule": self.schedule, "pruning": self.pruning, "monitor": self.monitor}

    def _check_state(self, state: dict[str, Any], where: Path) -> None:
        """Raise CheckpointError for parts that do not fit each other or this run."""
        if state["step"] > self.steps or len(state["history"]) != state["step"] // len(self.batches):
            raise CheckpointError(
                f"{where}: is at step {state['step']} with {len(state['history'])} epochs, the run has "
                f"{self.steps} steps of {len(self.batches)} an epoch"
            )
        if (state["score"] is None) != (not state["history"]):
            raise CheckpointError(f"{where}: its score does not belong to its history")
        if state["step"] and not state["optimizer"].get("state"):
            raise CheckpointError(f"{where}: its optimizer has no moments after {state['step']} steps")
        if tuple(state["classes"]) != self.data.classes:
            raise CheckpointError(f"{where}: its classes differ from those of the data")
        check_like(state["model"], self.model.state_dict(), f"{where}: model")
        _check_optimizer(state["optimizer"], self.optimizer, f"{where}: optimizer")
        for name, part in self._parts().items():
            if (part is None) != (state[name] is None):
                raise CheckpointError(f"{where}: the run in it has {'a' if part is None else 'no'} {name}")
        if self.schedule is not None:
            check_like(state["schedule"], self.schedule.state_dict(), f"{where}: schedule")


def train(
    settings: Settings,
    data: Dataset,
    folder: Path,
    *,
    resume: bool = False,
    watch: Callable[[Training], None] = lambda training: None,
    planned: Callable[[str], object] | None = None,
) -> Training:
    """Train to the end, or until the run is interrupted.

    The folder gets `checkpoint.pt` every minute and after the last step, and `metrics.csv` after every epoch.
    Ctrl-C or SIGTERM ends the run with a checkpoint after the current step, so that `training.step` is less
    than `training.steps`. If it comes after the last step, KeyboardInterrupt is raised once everything
    is saved.

    Parameters
    ----------
    settings : Settings
        The settings of the run.
    data : Dataset
        The clouds.
    folder : Path
        Folder of the run.
    resume : bool, default False
        Whether to continue the run in the folder.
    watch : callable, default lambda training: None
        Called with the training after every step.
    planned : callable, default None
        As in `Training`.

    Returns
    -------
    Training
        The run.

    Raises
    ------
    CheckpointError
        If the folder already holds a run and `resume` is False, or if another run is using it.
    """
    path = folder / checkpoint.NAME
    torch.set_num_threads(settings.threads)
    folder.mkdir(parents=True, exist_ok=True)
    devices = [device_called(settings.device)] if settings.device.startswith("cuda") else []
    with _alone_in(folder), torch.random.fork_rng(devices=devices), _stop_requests() as stop_requested:
        if not resume:
            check_free(folder)
        training = Training(settings, data, planned)
        if path.exists():
            training.load_state_dict(checkpoint.load(path), path)
        saved = time.monotonic()
        while training.step < training.steps and not stop_requested():
            training.advance()
            if training.step % len(training.batches) == 0:
                write_csv(folder / "metrics.csv", training.history)
            if time.monotonic() - saved > SAVE_EVERY_S:
                checkpoint.save(path, training.state_dict())
                saved = time.monotonic()
            watch(training)
        checkpoint.save(path, training.state_dict())
        late = stop_requested() and training.step == training.steps
    if late:
        raise KeyboardInterrupt
    return training


def check_free(folder: Path) -> None:
    """Raise CheckpointError if the folder already holds a run.

    Parameters
    ----------
    folder : Path
        Folder of a run.

    Raises
    ------
    CheckpointError
        If it holds a checkpoint.
    """
    if (folder / checkpoint.NAME).exists():
        raise CheckpointError(
            f"{folder} holds a run already: continue it with --resume, or name another folder"
        )


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Lock the folder against other runs, until the process ends for whatever reason."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # file systems without locks
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise CheckpointError(f"{folder}: another run is using this folder") from error
        yield
    finally:
        os.close(handle)


@contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """Tell whether Ctrl-C or SIGTERM came; a second Ctrl-C interrupts at once. Other threads get none."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked: list[int] = []

    def ask(number: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _check_optimizer(state: dict[str, Any], optimizer: torch.optim.Optimizer, where: str) -> None:
    """Raise CheckpointError unless `state` has the groups of the optimizer, and moments of its parameters."""
    wanted = optimizer.state_dict()
    check_like({**state, "state": {}}, wanted | {"state": {}}, where)
    moments = ("momentum_buffer",) if isinstance(optimizer, torch.optim.SGD) else ("exp_avg", "exp_avg_sq")
    step = {} if isinstance(optimizer, torch.optim.SGD) else {"step": torch.zeros(())}
    parameters = dict(enumerate(p for group in optimizer.param_groups for p in group["params"]))
    if not isinstance(state["state"], dict) or not set(state["state"]) <= set(parameters):
        raise CheckpointError(f"{where}: its state is not one of {len(parameters)} parameters")
    for index, found in state["state"].items():
        check_like(found, step | dict.fromkeys(moments, parameters[index]), f"{where} state of {index}")


def _optimizer(settings: Settings, model: Classifier) -> torch.optim.Optimizer:
    if settings.optimizer == "sgd":
        return torch.optim.SGD(
            model.parameters(), settings.lr, momentum=0.9, weight_decay=settings.weight_decay
        )
    return torch.optim.Adam(model.parameters(), settings.lr, weight_decay=settings.weight_decay)


def _schedule(
    settings: Settings, optimizer: torch.optim.Optimizer, steps_per_epoch: int
) -> torch.optim.lr_scheduler.LRScheduler | None:
    """The scheduler of the learning rate; None if the rate is constant or a recipe sets it."""
    steps = settings.epochs * steps_per_epoch
    if settings.recipe is not None or settings.schedule == "constant":
        return None
    if settings.schedule == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.lr, total_steps=steps + 1)
