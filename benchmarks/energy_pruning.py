"""Energy-aware pruning compared with global magnitude and NetAdapt: energy on Eyeriss v2 and accuracy.

    python benchmarks/energy_pruning.py [--data MODELNET10] [--json FILE] [--document FILE]

For each seed a network is trained, `small` on the procedural set or `half` on ModelNet10. Training of this
network is then continued with each method for the same number of epochs. The energy is that of one cloud,
with the zeros of the weights and of the activations of test clouds. A fifth of the training clouds is held
back from all trainings, and NetAdapt chooses by their loss. Seeds run in parallel. Tables of the chip are
made first, which takes minutes once, and kept in the user's cache.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from typing import Any, NamedTuple

import click
import numpy as np
import torch
from benchmark import Found, Step, benchmark
from msgspec.structs import replace
from torch import Tensor, nn
from torch.nn import functional as F

import gmp
from gmp.energy import EnergyMonitor, EnergyScore, netadapt
from pointnet.data import Clouds, Dataset, load_data
from pointnet.model import PointNet2
from pointnet.trace_clouds import RUN_BATCH
from pointnet.training.batches import Batches
from pointnet.training.settings import AUGMENTATIONS, Settings
from pointnet.training.train import Training
from sparsim.hardware import Plan as HardwarePlan
from sparsim.report.tables import Table

CHIP = "eyeriss_v2"
MAGNITUDE, LAMP, AWARE, EAGER, NETADAPT = (
    "magnitude", "lamp", "energy-aware, alpha 1/2", "energy-aware, alpha 1", "netadapt"
)  # fmt: skip
ALPHAS = {AWARE: 0.5, EAGER: 1.0}
EXAMPLE = 64  # test clouds on which activations are counted
TUNE_STEPS = 4  # number of training steps of each candidate of NetAdapt
PRUNED_FOR = 0.6  # share of the second training


class Plan(NamedTuple):
    """Settings of the comparison on one data set.

    `settings` are those of the dense training, and `clouds` is the number of clouds of each split (all if it
    is None). `first` is the part of the energy that NetAdapt's first step saves. Accuracies are compared at
    the energy of the magnitude run with the sparsity `reference`, and energies at the accuracies `levels`.
    """

    settings: Settings = Settings(epochs=15, pool=512)
    more_epochs: int = 6
    lr_again: float = 4e-3
    sparsities: Mapping[str, tuple[float, ...]] = {
        MAGNITUDE: (0.9, 0.95), LAMP: (0.9, 0.95), AWARE: (0.85, 0.9, 0.95), EAGER: (0.85, 0.95),
    }  # fmt: skip
    seeds: tuple[int, ...] = (0, 1, 2)
    clouds: int | None = None
    first: float = 0.08
    reference: float = 0.95
    levels: tuple[float, ...] = (0.93, 0.9, 0.87)
    prefix: str = ""  # of the document's tables


MODELNET = Plan(
    Settings(preset="half", epochs=15, pool=1024, augmentation="light"), lr_again=2e-3,
    sparsities={MAGNITUDE: (0.9, 0.95, 0.98), AWARE: (0.9, 0.95, 0.98), EAGER: (0.95,)},
    reference=0.98, levels=(0.87, 0.84, 0.8), prefix="modelnet10 ",
)  # fmt: skip


class Row(NamedTuple):
    """A trained network. `densities` are those of the weights, layer by layer."""

    seed: int
    method: str
    sparsity: float
    accuracy: float
    energy_pj: float
    cycles: float
    densities: list[float]
    cpu_s: float


def run_seed(plan: Plan, seed: int) -> list[Row]:
    """Train all networks of one seed."""
    torch.set_num_threads(1)
    settings = replace(plan.settings, seed=seed)
    again = replace(settings, epochs=plan.more_epochs, lr=plan.lr_again)
    data, held = data_of(plan)
    example = example_of(plan, data)
    cost = cost_of(plan, example)
    dense = Training(settings, data)
    while dense.step < dense.steps:
        dense.advance()
    rows = []

    def train(method: str, prepare: Callable[[Training, EnergyMonitor], gmp.Schedule | None]) -> None:
        started = time.process_time()
        training = Training(again, data)
        training.model.load_state_dict(dense.model.state_dict())
        monitor = EnergyMonitor(training.model, cost, example)
        training.pruning = prepare(training, monitor)
        while training.step < training.steps:
            training.advance()
        monitor.measure()
        found = monitor.update()
        assert training.score is not None
        rows.append(
            Row(seed, method, training.sparsity, training.score.accuracy, found.energy_pj, found.cycles,
                found.densities[:, 0].tolist(), time.process_time() - started)
        )  # fmt: skip

    train("control", lambda training, monitor: None)
    for method, sparsities in plan.sparsities.items():
        for sparsity in sparsities:
            train(method, partial(gradual, method=method, sparsity=sparsity))
    target = next(row for row in rows if row.method == MAGNITUDE and is_reference(plan, row))
    train(NETADAPT, partial(adapted, held=held, energy_pj=target.energy_pj, first=plan.first))
    return rows


def gradual(training: Training, monitor: EnergyMonitor, *, method: str, sparsity: float) -> gmp.Schedule:
    score = EnergyScore(monitor, alpha=ALPHAS[method]) if method in ALPHAS else method
    pruner = gmp.Pruner(training.model, training.optimizer, score=score)
    return gmp.CubicSchedule(
        pruner, initial=0.05, final=sparsity, begin=0.0, end=PRUNED_FOR * training.settings.epochs, every=0.5,
        steps_per_epoch=len(training.batches),
    )  # fmt: skip


def adapted(
    training: Training, monitor: EnergyMonitor, *, held: Clouds, energy_pj: float, first: float
) -> gmp.Schedule:
    """Prune with NetAdapt, and run the whole second training with its masks."""
    monitor.target_energy_pj = energy_pj
    given, points = training.settings, training.model.config.points
    batches = Batches(
        training.data.train, training.model, AUGMENTATIONS[given.augmentation], given.batch, seed=1
    )

    def tune(model: nn.Module) -> None:
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        pruner = gmp.Pruner(model, optimizer)
        model.train()
        for step in range(min(TUNE_STEPS, len(batches))):
            batch = batches[step]
            optimizer.zero_grad()
            F.cross_entropy(model(batch.clouds), batch.labels).backward()
            optimizer.step()
            pruner.apply()
        pruner.finalize()

    clouds, labels = torch.from_numpy(held.points[:, :points]), torch.from_numpy(held.labels)
    netadapt(training.model, monitor, partial(loss_of, clouds=clouds, labels=labels), tune=tune, first=first)
    pruner = gmp.Pruner(training.model, training.optimizer)
    return gmp.ConstantSchedule(pruner, final=pruner.sparsity, unit="step")


@torch.no_grad()
def loss_of(model: nn.Module, clouds: Tensor, labels: Tensor) -> float:
    logits = [model.eval()(part) for part in torch.split(clouds, RUN_BATCH)]
    return float(F.cross_entropy(torch.cat(logits), labels))


def cost_of(plan: Plan, example: Tensor) -> HardwarePlan:
    """Plan mappings for the activations of an untrained network, so that all seeds use the same ones."""
    torch.manual_seed(0)
    return EnergyMonitor(PointNet2(plan.settings.network(10)), CHIP, example).plan


def data_of(plan: Plan) -> tuple[Dataset, Clouds]:
    """Return the data without a fifth of the training clouds, and this fifth; `plan.clouds` of each split."""
    data = load_data(plan.settings.data, points=plan.settings.kept_points)
    rng = np.random.default_rng(0)
    train, test = (rng.permutation(len(part))[: plan.clouds] for part in (data.train, data.test))
    cut = len(train) // 5
    kept = Dataset(_take(data.train, train[cut:]), _take(data.test, test), data.name)
    return kept, _take(data.train, train[:cut])


def example_of(plan: Plan, data: Dataset) -> Tensor:
    return torch.from_numpy(data.test.points[:EXAMPLE, : plan.settings.network(10).points])


def _take(clouds: Clouds, rows: Any) -> Clouds:
    return Clouds(clouds.points[rows], clouds.labels[rows], clouds.classes, clouds.source)


def is_reference(plan: Plan, row: Row) -> bool:
    return round(row.sparsity, 3) == plan.reference


def at_energy(curve: Sequence[Row], energy_pj: float) -> float | None:
    """Interpolate the accuracy at an energy, linear in the logarithm of energy; None outside of the range."""
    points = sorted((row.energy_pj, row.accuracy) for row in curve)
    energies, accuracies = zip(*points, strict=True)
    if not energies[0] <= energy_pj <= energies[-1]:
        return None
    return float(np.interp(np.log(energy_pj), np.log(energies), accuracies))


def at_accuracy(curve: Sequence[Row], accuracy: float) -> float | None:
    """Interpolate the least energy in pJ with this accuracy in the same way; None outside of the range."""
    points = sorted((row.energy_pj, row.accuracy) for row in curve)
    for (low, before), (high, after) in pairwise(points):
        if before <= accuracy <= after:
            part = (accuracy - before) / (after - before or 1.0)
            return float(low * (high / low) ** part)
    return None


def curves(rows: Iterable[Row]) -> dict[tuple[str, int], list[Row]]:
    """Return the curves by method and seed."""
    found: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        found.setdefault((row.method, row.seed), []).append(row)
    return found


def saved(rows: Sequence[Row], method: str, find: Callable[[list[Row]], float | None]) -> list[float | None]:
    """Return the part of magnitude's energy that a method saves by seed; `find` gives a curve's energy."""
    parts: list[float | None] = []
    by = curves(rows)
    for name, seed in by:
        if name == method:
            plain, ours = find(by[MAGNITUDE, seed]), find(by[name, seed])
            parts.append(None if plain is None or ours is None else 1 - ours / plain)
    return parts


def gained(plan: Plan, rows: Sequence[Row], method: str) -> list[float | None]:
    """Return the accuracy in points above magnitude at the reference, for the same energy."""
    points: list[float | None] = []
    by = curves(rows)
    for name, seed in by:
        if name == method:
            plain = next(row for row in by[MAGNITUDE, seed] if is_reference(plan, row))
            curve = by[name, seed]  # NetAdapt's one network was pruned to this energy
            ours = curve[0].accuracy if name == NETADAPT else at_energy(curve, plain.energy_pj)
            points.append(None if ours is None else 100 * (ours - plain.accuracy))
    return points


def at_sparsity(curve: list[Row]) -> float | None:
    """Return the energy at 90 %."""
    return next((row.energy_pj for row in curve if round(row.sparsity, 3) == 0.9), None)


def spread(values: Iterable[float | None], form: Callable[[float], str]) -> str:
    """Return the mean and standard deviation of the values that exist, and their number."""
    values = list(values)
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    deviation = statistics.stdev(known) if len(known) > 1 else 0.0
    text = f"{form(statistics.fmean(known))} ± {form(deviation)}"
    return text if len(known) == len(values) else f"{text} ({len(known)} of {len(values)})"


def run_table(rows: Sequence[Row]) -> Table:
    groups: dict[tuple[str, float], list[Row]] = {}
    for row in rows:
        sparsity = 0.0 if row.method == NETADAPT else round(row.sparsity, 3)
        groups.setdefault((row.method, sparsity), []).append(row)
    cells = []
    for (method, sparsity), group in groups.items():
        shown = spread([100 * r.sparsity for r in group], "{:.1f}".format)
        cells.append((
            method, shown if method == NETADAPT else f"{100 * sparsity:.0f}",
            spread([100 * r.accuracy for r in group], "{:.1f}".format),
            spread([r.energy_pj / 1e6 for r in group], "{:.2f}".format),
            spread([r.cycles for r in group], "{:,.0f}".format),
        ))  # fmt: skip
    return Table(["method", "sparsity", "accuracy %", "energy uJ", "cycles"], cells, "runs")


def comparison_table(plan: Plan, rows: Sequence[Row]) -> Table:
    percent, levels = "{:.1%}".format, [f"saved at {level:.0%} accuracy" for level in plan.levels]
    body = []
    for method in (*(m for m in plan.sparsities if m != MAGNITUDE), NETADAPT):
        cells = [spread(saved(rows, method, at_sparsity), percent)]
        cells += [spread(saved(rows, method, partial(at_accuracy, accuracy=x)), percent) for x in plan.levels]
        body.append([method, *cells, spread(gained(plan, rows, method), "{:.1f}".format)])
    head = ["method", "energy saved at 90 % sparsity", *levels, "points at equal energy"]
    return Table(head, body, "comparison")


def density_table(plan: Plan, rows: Sequence[Row], names: Sequence[str]) -> Table:
    """Return a table of the densities of the weights of the first seed at the reference."""
    chosen = [r for r in rows if r.seed == rows[0].seed and (is_reference(plan, r) or r.method == NETADAPT)]
    body = [[name, *(f"{r.densities[i]:.3f}" for r in chosen)] for i, name in enumerate(names)]
    return Table(["layer", *(row.method for row in chosen)], body, "densities")


@benchmark(document=True)
@click.option(
    "--data",
    metavar="SOURCE",
    show_default="the procedural set",
    help="Folder or file of ModelNet10, for the network `half`.",
)
def main(step: Step, data: str | None) -> Found:
    plan = Plan()
    if data is not None:
        plan = MODELNET._replace(settings=replace(MODELNET.settings, data=data))
    names = cost_of(plan, example_of(plan, data_of(plan)[0])).names
    with ProcessPoolExecutor(min(len(plan.seeds), os.cpu_count() or 1), get_context("spawn")) as pool:
        rows = [row for part in pool.map(partial(run_seed, plan), plan.seeds) for row in part]
    tables = (run_table(rows), comparison_table(plan, rows), density_table(plan, rows, names))
    return Found({"rows": [row._asdict() for row in rows]}, {plan.prefix + t.title: t for t in tables})


if __name__ == "__main__":
    main()
