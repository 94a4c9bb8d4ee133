"""Comparison of a dense network with pruned ones: one-shot and gradual, at several sparsities.

All variants start from the same dense checkpoint; `control` is that network trained on for as long as the
pruned ones, without pruning. Each training is a run in its own folder, so that an interrupted comparison can
continue.
"""

import copy
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace

import gmp
from gmp.targets import PRUNABLE
from pointnet.classifiers import Classifier
from pointnet.data import Augmentation, Dataset
from pointnet.errors import ConfigError
from pointnet.network_config import Config
from pointnet.study.compared_methods import METHODS, Start
from pointnet.training import checkpoint
from pointnet.training.accuracy import Score, score
from pointnet.training.batches import Batches
from pointnet.training.settings import Pruning, Settings
from pointnet.training.train import Training
from sparsim.errors import near

CONTROL = "control"
LEVELS = (0.5, 0.8, 0.9, 0.95, 0.98)
INITIAL = 0.05  # sparsity at which gradual pruning begins
PRUNED_FOR = 0.6  # share of the second training; the rest is fine-tuning
RECALIBRATION_BATCHES = 20
ALPHA = 0.5  # power of the price of a weight in pruning by energy
TWO_FOUR = "2:4"
FIRST_LAYER = "sa1.mlp_convs.0"  # this layer has three inputs, and stays dense in 2:4

Train = Callable[[Settings, Path], Training]


class Row(NamedTuple):
    """A row of the table."""

    variant: str
    epochs: int  # epochs of training, including those of the dense start
    sparsity: float  # sparsity of the prunable weights
    score: Score
    cpu_s: float  # CPU time of this variant alone


class Plan(NamedTuple):
    """`dense`: the first training. `again`: the second one, from its end, for all variants alike.

    `hardware`: what one more network is pruned by, as far as `pruned`, by energy instead of magnitude.
    `methods`: further methods of `compared_methods`, as far as `pruned`.
    """

    dense: Settings
    again: Settings
    levels: tuple[float, ...] = LEVELS
    one_shot: bool = True
    two_four: bool = True
    hardware: str | None = None
    methods: tuple[str, ...] = ()


def check(plan: Plan) -> None:
    """Raise ConfigError for an impossible sparsity, and for methods that are unknown or do not fit the
    network.
    """
    for level in plan.levels:
        if not INITIAL <= level <= 1:
            raise ConfigError(
                f"level must be between {INITIAL:g}, where pruning begins, and 1, got {level:g}"
            )
    for method in plan.methods:
        if method not in METHODS:
            raise ConfigError(f"unknown method '{method}'", hint=near(method, METHODS))
    if plan.methods and not isinstance(plan.dense.network(2), Config):
        raise ConfigError(f"{plan.methods[0]} is a method for PointNet++, not for sparse convolutions")
    if plan.methods and _level(plan) == 1:
        raise ConfigError(f"{plan.methods[0]} needs a level below 1")


def compare(plan: Plan, data: Dataset, folder: Path, train: Train) -> list[Row]:
    """Train the variants that are not trained yet below `folder` with `train`, and score all of them."""
    check(plan)
    again = replace(plan.again, start=str(folder / "dense" / checkpoint.NAME))
    trainings = [(name, replace(again, **changes)) for name, changes in _trainings(plan)]
    dense = _finished(train(plan.dense, folder / "dense"))  # only after all settings have been checked
    rows = [_row("dense", dense, 0)]
    for name, settings in trainings:
        rows.append(_row(name, _finished(train(settings, folder / name)), dense.epoch))
    start = Start(
        dense, data, folder, _level(plan), INITIAL, PRUNED_FOR * again.epochs, again.epochs, again.lr
    )
    rows += [_row_of(method, start, again, train) for method in plan.methods]
    if plan.one_shot:
        rows += _one_shot_rows(plan, dense, data)
    return rows


def _finished(run: Training) -> Training:
    """Return a finished training. An interrupted one ends the comparison, which continues there when it is
    called again.
    """
    if run.step < run.steps:
        raise KeyboardInterrupt
    return run


def _trainings(plan: Plan) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield names of trainings, and how their settings differ from `again`."""
    end = PRUNED_FOR * plan.again.epochs
    yield CONTROL, {}
    for level in plan.levels:
        yield _gmp(level), {"pruning": Pruning(sparsity=level, initial=INITIAL, end=end)}
    if plan.two_four:
        pruning = Pruning(sparsity=0.5, end=end, pattern=TWO_FOUR, ignore=(FIRST_LAYER,))
        yield "gmp-2to4", {"pruning": pruning}
    if plan.hardware is not None:  # calibration runs the layers without delayed aggregation
        pruning = Pruning(sparsity=_level(plan), initial=INITIAL, end=end, score="lamp", alpha=ALPHA)
        yield by_energy(plan), {"pruning": pruning, "hardware": plan.hardware, "delayed": False}


def _gmp(level: float) -> str:
    return f"gmp-{level * 100:g}"


def _level(plan: Plan) -> float:
    return min(plan.levels, key=lambda level: abs(level - 0.9))


def pruned(plan: Plan) -> str:
    """Return the gradually pruned variant that represents the others: the one nearest to 90 %."""
    return _gmp(_level(plan))


def by_energy(plan: Plan) -> str:
    """Return the variant that is pruned by energy, to the sparsity of `pruned`."""
    return f"energy-{_level(plan) * 100:g}"


def names_of_pruned(plan: Plan) -> list[str]:
    """Return the names of all variants that are pruned during training."""
    return [name for name, _ in _trainings(plan) if name != CONTROL]


def _row(name: str, run: Training, before: int) -> Row:
    assert run.score is not None
    return Row(name, before + run.epoch, run.sparsity, run.score, run.cpu_s)


def _row_of(method: str, start: Start, again: Settings, train: Train) -> Row:
    """Train the variant of a method. Its CPU time includes that of scans and searches which are made now."""
    name, began = f"{method}-{start.level * 100:g}", time.process_time()
    runs, trained_s = [], 0.0
    for folder, changes in METHODS[method](start, name):
        before = time.process_time()
        runs.append(_finished(train(replace(again, **changes), start.folder / folder)))
        trained_s += time.process_time() - before
    prepared_s = time.process_time() - began - trained_s
    last = runs[-1]
    assert last.score is not None
    return Row(
        name, start.dense.epoch + sum(run.epoch for run in runs), _sparsity(last.model, start.dense.model),
        last.score, prepared_s + sum(run.cpu_s for run in runs),
    )  # fmt: skip


def _sparsity(model: Classifier, dense: Classifier) -> float:
    """Return the fraction of the prunable weights of the dense network that is zero or removed."""
    left = sum(int(target.weight.count_nonzero()) for target in gmp.select(model, PRUNABLE))
    return 1 - left / sum(target.weight.numel() for target in gmp.select(dense, PRUNABLE))


def _one_shot_rows(plan: Plan, dense: Training, data: Dataset) -> Iterator[Row]:
    """Yield the rows of networks pruned in one step without further training, with the old and with
    recalibrated batch-norm statistics.
    """
    for level in plan.levels:
        yield from _one_shot(f"one-shot-{level * 100:g}", dense, data, level)
    if plan.two_four:
        yield from _one_shot("one-shot-2to4", dense, data, 0.5, pattern=TWO_FOUR, ignore=(FIRST_LAYER,))


def _one_shot(name: str, dense: Training, data: Dataset, level: float, **options: Any) -> Iterator[Row]:
    started = time.process_time()
    model = copy.deepcopy(dense.model)
    sparsity = gmp.one_shot(model, level, **options).total.sparsity
    yield Row(name, dense.epoch, sparsity, _scored(model, data), time.process_time() - started)
    started = time.process_time()
    batches = Batches(data.train, model, Augmentation(), dense.settings.batch, dense.settings.seed)
    count = min(RECALIBRATION_BATCHES, len(batches))
    gmp.recalibrate_batch_norm(model, (batches[i].clouds for i in range(count)))
    yield Row(
        f"{name}-recalibrated", dense.epoch, sparsity, _scored(model, data), time.process_time() - started
    )


def _scored(model: Classifier, data: Dataset) -> Score:
    return score(model, data.test, model.config.points)
