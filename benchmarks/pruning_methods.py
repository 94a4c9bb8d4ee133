"""Pruning methods for PointNet++ that continue from one dense network, for the comparison of pruning_runs.py.

Each method prepares a training: it returns an object that prunes after each step, or has pruned before. What
several methods share, such as a scan of the layers or the channels that searches find, is kept in files.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace as with_changes
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from energy_pruning import MODELNET, PRUNED_FOR, cost_of, data_of, example_of
from msgspec.structs import replace
from torch import Tensor, nn
from torch.nn import functional

import gmp
from gmp.channels import ChannelCandidates, ChannelGroups, ChannelPenalty, amc, mac_cost, netadapt_channels
from gmp.energy import EnergyMonitor, EnergyScore, WeightCosts
from gmp.oneshot import prune_with_data
from gmp.sensitivity import SensitivityTable, scan
from pointnet.data import Augmentation
from pointnet.model import PointNet2
from pointnet.training.batches import Batches
from pointnet.training.train import Training
from sparsim.fileio.json_and_csv import write_json
from sparsim.hardware import Plan as HardwarePlan

EPOCHS, MORE_EPOCHS = 10, 4  # epochs of the dense network, and of every method after it
SPARSITY = 0.95
ENERGY_SAVED = 0.65  # share of the dense energy that global magnitude saves at this sparsity
CHANNELS = 0.5  # share of the channels that is removed
MACS_LEFT = 0.25  # share of the MACs that searches for channels leave
STRENGTH = 2.25  # strength of the penalty of slimming, with which scales fall by about 0.5
EPISODES = 60  # number of episodes of AMC
MULTIPLE = 16  # numbers of channels that AMC, and the searches beside it, try are multiples of this
TUNE_STEPS = 4  # number of training steps of each candidate of NetAdapt
RECALIBRATED = 2  # number of batches for batch norms of each candidate of a search
SCANNED = 200  # number of clouds for scans, held back from training
CALIBRATION = 6  # number of training batches for calibration


class Searched(NamedTuple):
    """Channels that a search has found, with its CPU seconds and evaluations."""

    kept: dict[str, list[int]]
    cpu_s: float
    evaluations: int
    loss: float


class Start:
    """The common start of all methods of a seed."""

    def __init__(self, data: str, seed: int, folder: Path) -> None:
        torch.set_num_threads(1)
        self.folder = folder
        dense = replace(MODELNET.settings, data=data, seed=seed, epochs=EPOCHS)
        self.plan = MODELNET._replace(settings=dense, more_epochs=MORE_EPOCHS)
        self.data, self.held = data_of(self.plan)
        self.example = example_of(self.plan, self.data)
        self.settings = replace(self.plan.settings, epochs=self.plan.more_epochs, lr=self.plan.lr_again)

    @cached_property
    def hardware(self) -> HardwarePlan:
        return cost_of(self.plan, self.example)

    @cached_property
    def dense(self) -> dict[str, Tensor]:
        path = self.folder / f"dense {self.settings.seed}.pt"
        if not path.exists():
            training = Training(self.plan.settings, self.data)
            while training.step < training.steps:
                training.advance()
            torch.save(training.model.state_dict(), path)
        found: dict[str, Tensor] = torch.load(path, weights_only=True)
        return found

    def network(self, *, delayed: bool = True) -> PointNet2:
        """Return the dense network. If it is not delayed, its first layers run on neighbourhoods."""
        config = with_changes(self.settings.network(10), delayed=delayed)
        model = PointNet2(config)
        model.load_state_dict(self.dense)
        return model

    @cached_property
    def searched(self) -> dict[str, Searched]:
        """The channels that AMC, and each search beside it, find within the same budget of MACs."""
        path = self.folder / f"searches {self.settings.seed}.json"
        if not path.exists():
            model = self.network()
            groups = groups_of(self, model)
            candidates = ChannelCandidates(model, groups, self.held_loss, score="norm", multiple=MULTIPLE)
            cost = mac_cost(model, groups)
            found = amc(candidates, cost, MACS_LEFT * cost({}), episodes=EPISODES, seed=self.settings.seed)
            write_json(path, {
                each.method: Searched(candidates.kept(each.counts), each.cpu_s, each.evaluations, each.loss)
                for each in found.choices
            })  # fmt: skip
        stored = json.loads(path.read_text(encoding="utf-8"))
        return {method: Searched(*each) for method, each in stored.items()}

    @cached_property
    def calibration(self) -> list[dict[str, Any]]:
        model = self.network()
        batches = Batches(self.data.train, model, Augmentation(), 32, seed=1)
        return [grouped(model, batches[i].clouds) for i in range(CALIBRATION)]

    @cached_property
    def scanned(self) -> list[tuple[dict[str, Any], Tensor]]:
        model, points = self.network(), self.settings.network(10).points
        clouds = torch.from_numpy(self.held.points[:SCANNED, :points])
        labels = torch.from_numpy(self.held.labels[:SCANNED])
        return [(grouped(model, x), y) for x, y in zip(clouds.split(100), labels.split(100), strict=True)]

    @torch.no_grad()
    def held_loss(self, model: nn.Module) -> float:
        """Return the loss on clouds that are held back from training, with batch norms measured again."""
        gmp.recalibrate_batch_norm(model, self.calibration, limit=RECALIBRATED)
        losses = [functional.cross_entropy(model.eval()(**x), y) for x, y in self.scanned]
        return float(torch.stack(losses).mean())

    @cached_property
    def sensitivity(self) -> SensitivityTable:
        model, seed = self.network(), self.settings.seed
        costs = WeightCosts(model, self.example, self.hardware)
        points, seconds = (self.folder / f"sensitivity {seed}{end}" for end in ("", ".json"))
        began = time.process_time()
        table = scan(model, self.scanned, calibration=self.calibration, costs=costs, path=points)
        if not seconds.exists():
            write_json(seconds, time.process_time() - began)
        return table

    @property
    def scan_cpu_s(self) -> float:
        assert self.sensitivity
        return float((self.folder / f"sensitivity {self.settings.seed}.json").read_text(encoding="utf-8"))

    def network_path(self, method: str) -> Path:
        return self.folder / f"{method} {self.settings.seed}.pt"


def grouped(model: PointNet2, clouds: Tensor) -> dict[str, Any]:
    """Return a batch with its groupings, which do not depend on weights."""
    return {"clouds": clouds, "groupings": model.group(clouds)}


Prepare = Callable[[Start, Training, EnergyMonitor], Any]


def untouched(start: Start, training: Training, monitor: EnergyMonitor) -> None:
    """Do not prune."""


def gradually(training: Training, pruner: gmp.Pruner, sparsity: float) -> gmp.Schedule:
    return gmp.CubicSchedule(
        pruner, initial=0.05, final=sparsity, begin=0.0, end=PRUNED_FOR * training.settings.epochs, every=0.5,
        steps_per_epoch=len(training.batches),
    )  # fmt: skip


def magnitude(start: Start, training: Training, monitor: EnergyMonitor) -> gmp.Schedule:
    return gradually(training, gmp.Pruner(training.model, training.optimizer), SPARSITY)


def energy_aware(start: Start, training: Training, monitor: EnergyMonitor) -> gmp.Schedule:
    score = EnergyScore(monitor, alpha=0.5)
    return gradually(training, gmp.Pruner(training.model, training.optimizer, score=score), SPARSITY)


def allocated(saved: float, **how: str) -> Prepare:
    """Return a method that prunes to the sparsities of a sensitivity scan."""

    def prepare(start: Start, training: Training, monitor: EnergyMonitor) -> gmp.Schedule:
        found = start.sensitivity.ratios(saved, **how)  # type: ignore[arg-type]
        pruner = gmp.Pruner(training.model, training.optimizer, scope=found.scope)
        return gradually(training, pruner, found.sparsity)

    return prepare


def one_shot(start: Start, training: Training, monitor: EnergyMonitor) -> gmp.Schedule:
    """Prune by least squares with the sparsities of the table, and then train with these zeros."""
    model = start.network(delayed=False)
    prune_with_data(model, start.calibration, start.sensitivity.ratios(SPARSITY).scope)
    training.model.load_state_dict(model.state_dict())
    pruner = gmp.Pruner(training.model, training.optimizer)
    return gmp.ConstantSchedule(pruner, final=pruner.sparsity, unit="step")


def groups_of(start: Start, model: nn.Module) -> ChannelGroups:
    return gmp.channel_groups(model, start.example[:2])


def channels(start: Start, training: Training, monitor: EnergyMonitor) -> gmp.Schedule:
    groups = groups_of(start, training.model)
    pruner = gmp.ChannelPruner(training.model, groups, training.optimizer, score="norm", least=4)
    return gradually(training, pruner, CHANNELS)


class Slimming:
    """A penalty on scales of batch norms, and then training without the channels with the smallest scales."""

    warnings: tuple[str, ...] = ()

    def __init__(self, training: Training, groups: ChannelGroups) -> None:
        self.model, self.groups, self.optimizer = training.model, groups, training.optimizer
        self.penalty = ChannelPenalty(self.model, groups, self.optimizer, STRENGTH)
        self.left = round(PRUNED_FOR * training.steps)
        self.pruner: gmp.ChannelPruner | None = None

    @property
    def sparsity(self) -> float:
        return 0.0 if self.pruner is None else self.pruner.sparsity

    def step(self) -> None:
        self.left -= 1
        if self.left > 0:
            self.penalty.step()
        elif self.pruner is None:
            self.penalty.close()
            self.pruner = gmp.ChannelPruner(self.model, self.groups, self.optimizer, score="norm", least=4)
            self.pruner.prune(CHANNELS)
        else:
            self.pruner.apply()


def slimming(start: Start, training: Training, monitor: EnergyMonitor) -> Slimming:
    return Slimming(training, groups_of(start, training.model))


def found_channels(start: Start, training: Training, kept: Mapping[str, Sequence[int]]) -> gmp.Schedule:
    """Train with the channels that a search has found, from the dense weights."""
    pruner = gmp.ChannelPruner(training.model, groups_of(start, training.model), training.optimizer)
    pruner.keep(kept)
    return gmp.ConstantSchedule(pruner, final=pruner.sparsity, unit="step")


def channels_by(search: str) -> Prepare:
    """Return a method that trains with the channels that AMC, or a search beside it, has found."""

    def prepare(start: Start, training: Training, monitor: EnergyMonitor) -> gmp.Schedule:
        return found_channels(start, training, start.searched[search].kept)

    return prepare


def channels_by_netadapt(start: Start, training: Training, monitor: EnergyMonitor) -> gmp.Schedule:
    model = start.network()
    groups = groups_of(start, model)
    cost = mac_cost(model, groups)
    batches = Batches(start.data.train, model, Augmentation(), 32, seed=2)

    def tune(candidate: nn.Module) -> None:
        optimizer = torch.optim.Adam(candidate.parameters(), 1e-3)
        candidate.train()
        for i in range(TUNE_STEPS):
            optimizer.zero_grad()
            functional.cross_entropy(candidate(batches[i].clouds), batches[i].labels).backward()
            optimizer.step()

    series = netadapt_channels(
        model, groups, cost, MACS_LEFT * cost({}), start.held_loss, tune=tune, first=0.15, decay=0.95,
        score="norm", multiple=4,
    )  # fmt: skip
    modules = series[-1].spec["modules"]
    cut = {group.name: modules.get(group.name, {}).get("outputs") for group in groups}
    kept = {name: indices for name, indices in cut.items() if indices is not None}
    return found_channels(start, training, kept)


SEARCHES = {
    "channels, uniform": "uniform", "channels, table": "table", "channels, greedy": "greedy",
    "channels, random search": "random", "channels by AMC": "amc",
}  # fmt: skip
SCANNING = ("sensitivity, threshold", "allocation by table", "allocation by table, energy",
            "one-shot, least squares")  # fmt: skip
METHODS: dict[str, Prepare] = {
    "no pruning": untouched,
    "magnitude": magnitude,
    "energy-aware score": energy_aware,
    "sensitivity, threshold": allocated(SPARSITY, method="threshold"),
    "allocation by table": allocated(SPARSITY),
    "allocation by table, energy": allocated(ENERGY_SAVED, cost="energy"),
    "one-shot, least squares": one_shot,
    "channels removed": channels,
    "channels by slimming": slimming,
    "channels by NetAdapt": channels_by_netadapt,
    **{name: channels_by(search) for name, search in SEARCHES.items()},
}
