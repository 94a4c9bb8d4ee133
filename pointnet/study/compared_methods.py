"""Further pruning methods for the comparison, each as trainings that continue from the dense network.

All methods leave the same fraction of the weights: the level. Methods that remove channels remove so many
that about this fraction of the weights goes.
"""

import copy
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pointnet.data import Dataset
from pointnet.training import checkpoint
from pointnet.training.channel_search import ChannelSearch, search_channels
from pointnet.training.layer_pruning import pointnet_of, pruned_with_data, sensitivity_of, store_pruned
from pointnet.training.settings import Pruning
from pointnet.training.train import Training

SCANNED = 400  # number of training clouds for scans and calibration, at most half of them
SEARCHED = 200  # number of training clouds for searches, likewise
ROUNDS = 3  # of iterative pruning
FALL = 0.5  # of the scales of batch norms while slimming
EVERY = 0.5  # epochs of the only pruning step of a round


class Start(NamedTuple):
    """What the methods begin with: the dense network, and the options of pruning that are common to all."""

    dense: Training
    data: Dataset
    folder: Path
    level: float
    initial: float
    end: float
    epochs: int
    lr: float

    @property
    def pruning(self) -> Pruning:
        return Pruning(sparsity=self.level, initial=self.initial, end=self.end)

    @property
    def seed(self) -> int:
        return self.dense.settings.seed

    @property
    def path(self) -> Path:
        return self.folder / "dense" / checkpoint.NAME

    def clouds(self, most: int) -> int:
        return min(most, len(self.data.train) // 2)


Trainings = Iterator[tuple[str, dict[str, Any]]]
"""Names of folders, and how the settings of the trainings in them differ from those of the control."""


def by_scan(method: str) -> Callable[[Start, str], Trainings]:
    """Return a method that prunes to the sparsities of a scan."""

    def trainings(start: Start, name: str) -> Trainings:
        found = _ratios(start, method)
        sparsities = {"sparsity": found.sparsity, "scope": found.scope}
        yield name, {"pruning": Pruning(initial=start.initial, end=start.end, **sparsities)}

    return trainings


def least_squares(start: Start, name: str) -> Trainings:
    """Prune at once with data and the sparsities of the table, and then train with these zeros."""
    path = start.folder / f"{name}.pt"
    if not path.exists():
        model = copy.deepcopy(pointnet_of(start.dense.model))
        pruned_with_data(
            model, start.data.train, count=start.clouds(SCANNED), seed=start.seed,
            sparsity=_ratios(start, "table").scope,
        )  # fmt: skip
        store_pruned(start.path, model, path)
    yield name, {"pruning": start.pruning, "start": str(path)}


def channels(start: Start, name: str) -> Trainings:
    yield name, {"pruning": _of_channels(start)}


def slimming(start: Start, name: str) -> Trainings:
    """Prune channels with a penalty under which scales fall by `FALL` until pruning ends."""
    steps = start.end * (len(start.data.train) // start.dense.settings.batch)
    penalty = 2 * FALL / (start.lr * max(1.0, steps))  # learning rates are half of the highest on average
    yield name, {"pruning": _of_channels(start, penalty=penalty)}


def by_search(method: str) -> Callable[[Start, str], Trainings]:
    """Return a method that trains the network that a search for channels has found."""

    def trainings(start: Start, name: str) -> Trainings:
        folder = start.folder / f"{name}-search"
        search = ChannelSearch(
            method=method, saved=start.level, clouds=start.clouds(SEARCHED), seed=start.seed
        )
        search_channels(start.path, start.data.train, folder, search)
        yield name, {"start": str(folder / checkpoint.NAME)}

    return trainings


def iterative(start: Start, name: str) -> Trainings:
    """Prune and train in rounds; each begins with the whole schedule of learning rates."""
    previous = start.path
    for i in range(1, ROUNDS + 1):
        epochs = start.epochs * i // ROUNDS - start.epochs * (i - 1) // ROUNDS
        if epochs == 0:
            continue
        sparsity = start.level if i == ROUNDS else 1 - (1 - start.level) ** (i / ROUNDS)
        folder = name if i == ROUNDS else f"{name}-round-{i}"
        pruning = Pruning(sparsity=sparsity, initial=sparsity, end=EVERY)
        yield folder, {"pruning": pruning, "epochs": epochs, "start": str(previous)}
        previous = start.folder / folder / checkpoint.NAME


METHODS: dict[str, Callable[[Start, str], Trainings]] = {
    "sensitivity": by_scan("threshold"),
    "table": by_scan("table"),
    "least-squares": least_squares,
    "channels": channels,
    "slimming": slimming,
    "netadapt": by_search("netadapt"),
    "amc": by_search("amc"),
    "iterative": iterative,
}


def _ratios(start: Start, method: Any) -> Any:
    table = sensitivity_of(
        pointnet_of(start.dense.model), start.data.train, count=start.clouds(SCANNED), seed=start.seed,
        path=start.folder / "sensitivity.jsonl",
    )  # fmt: skip
    return table.ratios(start.level, method=method)


def _of_channels(start: Start, **options: Any) -> Pruning:
    fraction = 1 - math.sqrt(1 - start.level)  # weights between pruned layers lose inputs and outputs
    return Pruning(
        sparsity=fraction, initial=min(start.initial, fraction), end=start.end, pattern="channels",
        score="norm", **options,
    )  # fmt: skip
