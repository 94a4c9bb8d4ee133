"""Pruning methods on PointNet++ with equal training: one network of each method and seed.

    python benchmarks/pruning_runs.py --data MODELNET10 [--runs DIR] [--json FILE] [--document FILE]

A dense network is trained for each seed. Every method continues from it for the same number of epochs, with
the same batches. Each run keeps its numbers and its network in files, so an interrupted comparison can be
continued, and costs on hardware can be computed again without training. Energies and cycles are those of one
cloud on Eyeriss v2 with the activations of test clouds. The CPU time is that of the pruned network, with
zeros or fewer channels, for 64 clouds on one thread.
"""

import json
import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import torch
from benchmark import Found, Step, benchmark, cpu_seconds
from energy_pruning import CHIP
from pruning_methods import METHODS, SCANNING, SEARCHES, Start
from torch import nn

import gmp
from gmp.energy import EnergyMonitor
from pointnet.model import PointNet2
from pointnet.training.accuracy import Score, score
from pointnet.training.train import Training
from sparsim.fileio.json_and_csv import write_json
from sparsim.hardware import Plan as HardwarePlan
from sparsim.report.tables import Table

CPU_CLOUDS = 64  # number of clouds of which the CPU time is measured


class Run(NamedTuple):
    """A network after its training. `search_cpu_s` is the time of the method before the training; methods
    that use one scan count it each.
    """

    method: str
    seed: int
    sparsity: float
    parameters: int
    right: int
    clouds: int
    forward_cpu_ms: float
    search_cpu_s: float
    training_cpu_s: float


class Costs(NamedTuple):
    """What one cloud costs on Eyeriss v2."""

    energy_pj: float
    cycles: float


def run(start: Start, method: str) -> Run:
    """Prepare, train, and measure."""
    shared_cpu_s = 0.0  # of a search that several methods use
    if method in SCANNING:
        shared_cpu_s = start.scan_cpu_s
    elif method in SEARCHES:
        shared_cpu_s = start.searched[SEARCHES[method]].cpu_s
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
    spec = None
    if isinstance(pruner := getattr(training.pruning, "pruner", None), gmp.ChannelPruner):
        pruner.finalize()
        narrowed = gmp.narrow(model, pruner.groups)
        model, spec, sparsity = narrowed.model, narrowed.spec, 0.0
    torch.save({"model": model.state_dict(), "spec": spec}, start.network_path(method))
    points = start.settings.network(10).points
    found: Score = score(model, start.data.test, points)
    clouds = torch.from_numpy(start.data.test.points[:CPU_CLOUDS, :points])
    with torch.inference_mode():
        (seconds,) = cpu_seconds(lambda: model(clouds), repeats=9)
    return Run(
        method, start.settings.seed, sparsity, sum(int(p.count_nonzero()) for p in model.parameters()),
        sum(found.correct), sum(found.total), 1000 * seconds, shared_cpu_s + searched - began,
        trained - searched,
    )  # fmt: skip


def runs(data: str, seeds: Iterable[int], folder: Path, step: Step, *, stored: bool) -> list[Run]:
    """Return all runs, and make those that are not in the folder yet, unless `stored` ones are enough."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for seed in seeds:
        start = Start(data, seed, folder)
        for method in METHODS:
            path = folder / f"{method} {seed}.json"
            if not path.exists():
                if stored:
                    continue
                step(f"{method}, seed {seed}")
                write_json(path, run(start, method)._asdict())
            found.append(Run(**json.loads(path.read_text(encoding="utf-8"))))
    return found


def costs_on_chip(data: str, found: list[Run], folder: Path, step: Step) -> list[Costs]:
    """Compute the costs of finished runs on Eyeriss v2 from the networks that they have kept."""
    starts = {seed: Start(data, seed, folder) for seed in {each.seed for each in found}}
    costs = []
    for each in found:
        step(f"costs of {each.method}, seed {each.seed}")
        costs.append(costs_of(starts[each.seed], each.method))
    return costs


def costs_of(start: Start, method: str) -> Costs:
    stored = torch.load(start.network_path(method), weights_only=True)
    model = PointNet2(start.settings.network(10))
    plan: str | HardwarePlan = start.hardware
    if stored["spec"] is not None:
        gmp.rebuild(model, stored["spec"])
        plan = CHIP
    model.load_state_dict(stored["model"])
    monitor = EnergyMonitor(model, plan, start.example)
    monitor.measure()
    reading = monitor.update()
    return Costs(reading.energy_pj, reading.cycles)


def run_table(found: list[Run], costs: list[Costs]) -> Table:
    """Return means over the seeds; the interval is that of the accuracy on all test clouds of all seeds."""
    rows = []
    for method in dict.fromkeys(each.method for each in found):
        group = [each for each in found if each.method == method]
        spent = [cost for each, cost in zip(found, costs, strict=True) if each.method == method]
        right, clouds = sum(each.right for each in group), sum(each.clouds for each in group)
        low, high = Score((right,), (clouds,)).interval()
        accuracies = [100 * each.right / each.clouds for each in group]

        def mean(field: str, group: Sequence[Run | Costs]) -> float:
            return statistics.fmean(getattr(each, field) for each in group)

        rows.append([
            method, f"{100 * mean('sparsity', group):.1f}", f"{mean('parameters', group) / 1000:.1f}",
            len(group), f"{100 * right / clouds:.1f}", f"{100 * low:.1f} to {100 * high:.1f}",
            f"{min(accuracies):.1f} to {max(accuracies):.1f}", f"{mean('energy_pj', spent) / 1e6:.1f}",
            f"{mean('cycles', spent):,.0f}", f"{mean('forward_cpu_ms', group):.0f}",
            f"{mean('search_cpu_s', group):.0f}", f"{mean('training_cpu_s', group):.0f}",
        ])  # fmt: skip
    head = (
        "method", "zeros %", "nonzeros, thousands", "seeds", "accuracy %", "95 % interval", "of seeds %",
        "energy uJ", "cycles", "CPU ms for 64 clouds", "search CPU s", "training CPU s",
    )  # fmt: skip
    return Table(head, rows)


def compared(data: str, seeds: Sequence[int], folder: Path, step: Step, *, stored: bool) -> Table:
    """Return the table of all runs, and make those that are not in the folder yet, as `runs` does."""
    found = runs(data, seeds, folder, step, stored=stored)
    return run_table(found, costs_on_chip(data, found, folder, step))


def run_options(command: Any) -> Any:
    """Add the options of the runs on PointNet++, except for the data."""
    stored = click.option("--stored", is_flag=True, help="Train nothing; use the runs that the folder has.")
    seeds = click.option("--seed", "seeds", type=int, multiple=True, default=(0, 1, 2), show_default=True,
                         help="Seed of a network of each method; may be repeated.")  # fmt: skip
    folder = click.option("--runs", "folder", metavar="DIR", default="build/methods", show_default=True,
                          help="Folder that keeps the runs.")  # fmt: skip
    return seeds(folder(stored(command)))


@benchmark(document=True)
@click.option("--data", metavar="SOURCE", required=True, help="ModelNet10.")
@run_options
def main(step: Step, data: str, seeds: Sequence[int], folder: str, stored: bool) -> Found:
    return Found({}, {"pointnet": compared(data, seeds, Path(folder), step, stored=stored)})


if __name__ == "__main__":
    main()
