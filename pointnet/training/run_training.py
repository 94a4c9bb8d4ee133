"""A training run with its output: progress, metrics.csv, result.json, TensorBoard."""

import json
import platform
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numba
import numpy
import torch
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gmp.energy import BudgetSchedule
from gmp.errors import PruningWarning
from pointnet.data import Dataset, load_data
from pointnet.training import checkpoint
from pointnet.training.settings import Settings
from pointnet.training.train import Training, train
from sparsim import __version__
from sparsim.errors import require
from sparsim.fileio.writing import write_text
from sparsim.hardware.layer_costs import PJ_PER_UJ
from sparsim.report.console import messages


def read_data(source: str, console: Console, **options: Any) -> Dataset:
    """Load a data set, with a progress bar if there are many files to read.

    Parameters
    ----------
    source : str
        Name of a built-in data set or path of a folder, as for `pointnet.data.load_data`.
    console : rich.console.Console
        Console on which progress is shown.
    **options : object
        Further keyword arguments of `pointnet.data.load_data`.

    Returns
    -------
    Dataset
        The training and test clouds.
    """
    progress = Progress(console=console, transient=True)
    task = progress.add_task(escape(f"reading {source}"))

    def read(done: int, total: int) -> None:
        progress.start()
        progress.update(task, completed=done, total=total)

    try:
        return load_data(source, progress=read, **options)
    finally:
        if progress.live.is_started:
            progress.stop()


def data_of(settings: Settings, console: Console) -> Dataset:
    """Load the data set that settings name.

    Parameters
    ----------
    settings : Settings
        Settings of a run.
    console : rich.console.Console
        Console on which progress is shown.

    Returns
    -------
    Dataset
        The training and test clouds, with the points, normals and classes of the settings.
    """
    return read_data(
        settings.data, console, points=settings.kept_points, normals=settings.normals,
        classes=settings.classes, seed=settings.data_seed,
    )  # fmt: skip


def run_training(
    settings: Settings, data: Dataset, folder: Path, *, resume: bool = False, tensorboard: bool = False,
    console: Console | None = None,
) -> Training:  # fmt: skip
    """Train with a progress bar, and write result.json when the run is finished.

    Parameters
    ----------
    settings : Settings
        Settings of the run.
    data : Dataset
        Training and test clouds, as from `data_of`.
    folder : Path
        Folder of the run, which receives the files of `pointnet.training.train.train`.
    resume : bool, default False
        Continue from the checkpoint in the folder.
    tensorboard : bool, default False
        Also write metrics for TensorBoard into the folder.
    console : rich.console.Console, default None
        Console on which progress is shown; None selects stderr.

    Returns
    -------
    Training
        The run after its last step.

    Notes
    -----
    Issues a `PruningWarning` if the targets were met when pruning ended, but are not met by the trained
    network.
    """
    log = _tensorboard(folder) if tensorboard else None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=console or messages())
    task = progress.add_task("", total=None)

    def watch(training: Training) -> None:
        progress.start()  # started here, so that a run that cannot begin shows only its error
        text = _described(folder, training)
        progress.update(task, completed=training.step, total=training.steps, description=escape(text))
        if log is not None and training.step % len(training.batches) == 0:
            log(training.history[-1])

    def planned(layer: str) -> None:
        progress.start()
        progress.update(
            task, description=escape(f"{folder.resolve().name}: {layer} planned on {settings.hardware}")
        )

    try:
        training = train(settings, data, folder, resume=resume, watch=watch, planned=planned)
    finally:
        if progress.live.is_started:
            progress.stop()
    if training.step == training.steps:
        if (missed := _missed_at_the_end(training)) is not None:
            warnings.warn(missed, PruningWarning, stacklevel=2)
        text = json.dumps(summary(training), indent=1) + "\n"
        write_text(folder / "result.json", text)
    return training


def _described(folder: Path, training: Training) -> str:
    parts = [f"{folder.resolve().name}: epoch {min(training.epoch + 1, training.settings.epochs)}"]
    if training.history:
        parts.append(f"test {training.history[-1]['test_accuracy']:.1%}")
    if training.pruning is not None:
        parts.append(f"sparsity {training.sparsity:.1%}")
    if training.monitor is not None and training.monitor.history:
        parts.append(f"{training.monitor.history[-1].energy_pj / PJ_PER_UJ:.2f} uJ")
    return ", ".join(parts)


def summary(training: Training) -> dict[str, Any]:
    """Collect the content of result.json.

    Parameters
    ----------
    training : Training
        A finished run.

    Returns
    -------
    dict
        Accuracies with a 95 % interval, sparsity, warnings, costs on the hardware, digests, settings and
        versions.
    """
    assert training.score is not None
    low, high = training.score.interval()
    return {
        "accuracy": training.score.accuracy,
        "interval_95": [low, high],
        "class_accuracy": training.score.class_accuracy,
        "test_clouds": sum(training.score.total),
        "sparsity": training.sparsity,
        "warnings": _warnings(training),
        **_costs(training),
        "epochs": training.epoch,
        "cpu_s": round(training.cpu_s, 3),
        "weights_sha256": checkpoint.digest(training.model.state_dict()),
        "data_sha256": training.data.digest(),
        "settings": msgspec.to_builtins(training.settings),
        "versions": {
            "sparsim": __version__,
            "torch": str(torch.__version__),
            "numpy": numpy.__version__,
            "numba": numba.__version__,
            "python": platform.python_version(),
        },
    }


def _warnings(training: Training) -> list[str]:
    missed = _missed_at_the_end(training)
    found = () if training.pruning is None else training.pruning.warnings
    return [*found, *([] if missed is None else [missed])]


def _missed_at_the_end(training: Training) -> str | None:
    """Return a sentence if the targets were met when pruning ended, but are not met by the trained
    network.
    """
    budget, monitor = training.pruning, training.monitor
    if monitor is None or not isinstance(budget, BudgetSchedule) or not budget.reached or monitor.reached:
        return None
    return (
        f"the targets were met when pruning ended, but are not met at the end of training: {monitor.missed()}"
    )


def _costs(training: Training) -> dict[str, Any]:
    """Return the costs of one cloud on the hardware, if there is any."""
    if training.monitor is None:
        return {}
    found = training.monitor.history[-1]
    costs: dict[str, Any] = {
        "energy_uj": found.energy_pj / PJ_PER_UJ,
        "cycles": found.cycles,
        "energy_source": training.monitor.plan.hardware.energy_source,
    }
    plan = training.settings.pruning
    return costs | ({"target_reached": found.reached} if plan is not None and plan.has_target else {})


def _tensorboard(folder: Path) -> Callable[[dict[str, Any]], None]:
    require("tensorboard", "logging to TensorBoard", "tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(folder / "tensorboard")

    def log(row: dict[str, Any]) -> None:
        for name, value in row.items():
            if name != "epoch":
                writer.add_scalar(name, value, row["epoch"])
        writer.flush()

    return log
