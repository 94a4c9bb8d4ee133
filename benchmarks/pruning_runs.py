"""Runs of pruning methods on PointNet++ with equal training: one network of each method and seed.

A dense network is trained for each seed. Every method continues from it for the same number of epochs, with
the same batches. Each run is kept as a JSON file, so an interrupted comparison can be continued. Energies and
cycles are those of one cloud on Eyeriss v2 with the activations of test clouds. The CPU time is that of the
pruned network, with zeros or fewer channels, for 64 clouds on one thread.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace as with_changes
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from benchmark import cpu_seconds
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
from pointnet.training.accuracy import Score, score
from pointnet.training.batches import Batches
from pointnet.training.train import Training
from sparsim.fileio.json_and_csv import write_json
from sparsim.hardware import Plan as HardwarePlan
from sparsim.report.tables import Table

EPOCHS, MORE_EPOCHS = 8, 3  # epochs of the dense network, and of every method after it
SPARSITY = 0.95
ENERGY_SAVED = 0.65  # share of the dense energy that global magnitude saves at this sparsity
CHANNELS = 0.5  # share of the channels that is removed
MACS_LEFT = 0.25  # share of the MACs that searches for channels leave
STRENGTH = 3.0  # strength of the penalty of slimming, with which scales fall by about 0.5
EPISODES = 100  # number of episodes of AMC
TUNE_STEPS = 4  # number of training steps of each candidate of NetAdapt
RECALIBRATED = 2  # number of batches for batch norms of each candidate of a search
SCANNED = 200  # number of clouds for scans, held back from training
CALIBRATION = 6  # number of training batches for calibration
CPU_CLOUDS = 64


class Run(NamedTuple):
    """A network after its training. `search_cpu_s` is the time of the method before the training."""

    method: str
    seed: int
    sparsity: float
    parameters: int
    right: int
    clouds: int
    energy_pj: float
    cycles: float
    forward_cpu_ms: float
    search_cpu_s: float
    training_cpu_s: float


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
        model = self.network()
        costs = WeightCosts(model, self.example, self.hardware)
        path = self.folder / f"sensitivity {self.settings.seed}"
        return scan(model, self.scanned, calibration=self.calibration, costs=costs, path=path)


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


def channels_by_macs(start: Start, training: Training, monitor: EnergyMonitor) -> gmp.Schedule:
    """Prune channels by scores that are divided by the MACs that a channel saves."""
    groups = groups_of(start, training.model)
    cost = mac_cost(training.model, groups)
    pruner = gmp.ChannelPruner(training.model, groups, training.optimizer, score="norm", cost=cost, least=4)
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


def channels_by_amc(start: Start, training: Training, monitor: EnergyMonitor) -> gmp.Schedule:
    model = start.network()
    groups = groups_of(start, model)
    candidates = ChannelCandidates(model, groups, start.held_loss, score="norm")
    cost = mac_cost(model, groups)
    found = amc(candidates, cost, MACS_LEFT * cost({}), episodes=EPISODES, seed=start.settings.seed)
    return found_channels(start, training, candidates.kept(found["amc"].counts))


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


METHODS: dict[str, Prepare] = {
    "no pruning": untouched,
    "magnitude": magnitude,
    "energy-aware score": energy_aware,
    "sensitivity, threshold": allocated(SPARSITY, method="threshold"),
    "allocation by table": allocated(SPARSITY),
    "allocation by table, energy": allocated(ENERGY_SAVED, cost="energy"),
    "one-shot, least squares": one_shot,
    "channels removed": channels,
    "channels removed, by MACs": channels_by_macs,
    "channels by slimming": slimming,
    "channels by AMC": channels_by_amc,
    "channels by NetAdapt": channels_by_netadapt,
}


def run(start: Start, method: str) -> Run:
    """Prepare, train, and measure."""
    training = Training(start.settings, start.data)
    training.model.load_state_dict(start.dense)
    monitor = EnergyMonitor(training.model, start.hardware, start.example)
    began = time.process_time()
    training.pruning = METHODS[method](start, training, monitor)
    searched = time.process_time()
    while training.step < training.steps:
        training.advance()
    trained = time.process_time()
    sparsity = training.sparsity
    model: nn.Module = training.model.eval()
    if isinstance(pruner := getattr(training.pruning, "pruner", None), gmp.ChannelPruner):
        pruner.finalize()
        model = gmp.narrow(model, pruner.groups).model
        monitor = EnergyMonitor(model, "eyeriss_v2", start.example)
        sparsity = 0.0
    return measured(start, model, monitor, Run(
        method, start.settings.seed, sparsity, 0, 0, 0, 0.0, 0.0, 0.0, searched - began, trained - searched
    ))  # fmt: skip


def measured(start: Start, model: nn.Module, monitor: EnergyMonitor, run: Run) -> Run:
    monitor.measure()
    reading = monitor.update()
    points = start.settings.network(10).points
    found: Score = score(model, start.data.test, points)
    clouds = torch.from_numpy(start.data.test.points[:CPU_CLOUDS, :points])
    with torch.inference_mode():
        (seconds,) = cpu_seconds(lambda: model(clouds), repeats=9)
    return run._replace(
        parameters=sum(int(p.count_nonzero()) for p in model.parameters()), right=sum(found.correct),
        clouds=sum(found.total), energy_pj=reading.energy_pj, cycles=reading.cycles,
        forward_cpu_ms=1000 * seconds,
    )  # fmt: skip


def runs(data: str, seeds: Iterable[int], folder: Path, step: Callable[[str], object]) -> list[Run]:
    """Return all runs, and make those that are not in the folder yet."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for seed in seeds:
        start = Start(data, seed, folder)
        for method in METHODS:
            path = folder / f"{method} {seed}.json"
            if not path.exists():
                step(f"{method}, seed {seed}")
                write_json(path, run(start, method)._asdict())
            found.append(Run(**json.loads(path.read_text(encoding="utf-8"))))
    return found


def run_table(found: list[Run]) -> Table:
    """Return means over the seeds; the interval is that of the accuracy on all test clouds of all seeds."""
    rows = []
    for method in dict.fromkeys(each.method for each in found):
        group = [each for each in found if each.method == method]
        right, clouds = sum(each.right for each in group), sum(each.clouds for each in group)
        low, high = Score((right,), (clouds,)).interval()

        def mean(field: str, group: list[Run] = group) -> float:
            return statistics.fmean(getattr(each, field) for each in group)

        rows.append([
            method, f"{100 * mean('sparsity'):.1f}", f"{mean('parameters') / 1000:.1f}",
            f"{100 * right / clouds:.1f}", f"{100 * low:.1f} to {100 * high:.1f}",
            f"{mean('energy_pj') / 1e6:.1f}", f"{mean('cycles'):,.0f}", f"{mean('forward_cpu_ms'):.0f}",
            f"{mean('search_cpu_s'):.0f}", f"{mean('training_cpu_s'):.0f}",
        ])  # fmt: skip
    head = (
        "method", "zeros %", "nonzeros, thousands", "accuracy %", "95 % interval", "energy uJ", "cycles",
        "CPU ms for 64 clouds", "search CPU s", "training CPU s",
    )  # fmt: skip
    return Table(head, rows)
