"""Overhead of an energy monitor in training, in CPU time on one core.

    python benchmarks/monitor_overhead.py [--json FILE] [--quick]

The networks are `small` and `study`, with a pruner whose masks have just changed. The hardware is the study's
accelerator with on-chip compression, and the chip Eyeriss v2. `update_ms` is the slowest median of these
cases, and `share_of_step` the largest share of a training step (forward, backward, Adam, masks; 16 clouds).
`measure_ms` is the separate time of measuring activations again on two clouds, which is needed occasionally.
Tables of the chip are made first, which takes some seconds once, and kept in the user's cache.
"""

from typing import NamedTuple

import torch
from benchmark import Found, Step, benchmark, cpu_seconds
from msgspec.structs import replace
from torch.nn import functional as F

import gmp
from gmp.energy import EnergyMonitor
from pointnet.model import PointNet2
from pointnet.network_config import Config, Scale, Stage, preset
from pointnet.original.published_runs import study_mapspace
from sparsim.hardware import MappedAccelerator, load_hardware
from sparsim.report.tables import Table

SEED = 2022
BATCH = 16
WATCHED = 2  # number of clouds of the example
HARDWARE = ("eyeriss_like_onchip", "eyeriss_v2")
TINY = Config(stages=(Stage(8, (Scale(0.4, 4, (8,)),)),), pooled=(16,), head=(), points=32)  # --quick
TARGET_MS = 1.0


class Row(NamedTuple):
    """Medians of CPU time in ms. `update` is after masks have changed, and `again` if nothing has changed."""

    network: str
    hardware: str
    update: float
    again: float
    measure: float
    step: float

    @property
    def share(self) -> float:
        return self.update / self.step


def measure(network: str, config: Config, repeats: int, say: Step) -> list[Row]:
    """Measure both kinds of hardware under one network."""
    torch.manual_seed(SEED)
    model = PointNet2(config)
    optimizer = torch.optim.Adam(model.parameters())
    pruner = gmp.Pruner(model, optimizer)
    clouds, labels = torch.rand(BATCH, config.points, 3) - 0.5, torch.randint(config.classes, (BATCH,))

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(clouds), labels).backward()
        optimizer.step()
        pruner.apply()

    (step_s,) = cpu_seconds(step, repeats=max(1, repeats // 10))
    rows = []
    for name in HARDWARE:
        hardware = load_hardware(name)
        if isinstance(hardware, MappedAccelerator):
            hardware = load_hardware(replace(hardware.accelerator, mapspace=study_mapspace()))
        monitor = EnergyMonitor(
            model, hardware, clouds[:WATCHED], pruner=pruner, batch=WATCHED,
            progress=lambda layer, name=name: say(f"{network} on {name}: {layer}"),  # type: ignore[misc]
        )  # fmt: skip

        def prune() -> None:
            pruner.prune(pruner.sparsity + 0.4 / (repeats + 1))

        (update_s,) = cpu_seconds(monitor.update, repeats=repeats, before=prune)
        (again_s,) = cpu_seconds(monitor.update, repeats=repeats)
        (measure_s,) = cpu_seconds(monitor.measure, repeats=max(1, repeats // 10))
        rows.append(Row(network, name, *(1e3 * s for s in (update_s, again_s, measure_s, step_s))))
    return rows


def table(rows: list[Row]) -> Table:
    cells = [
        (
            row.network, row.hardware, f"{row.update:.3f}", f"{row.again:.3f}", f"{row.measure:.1f}",
            f"{row.step:.1f}", f"{row.share:.3%}",
        )
        for row in rows
    ]  # fmt: skip
    head = ["network", "hardware", "update", "again", "measure", "training step", "share"]
    return Table(head, cells, f"ms of CPU time, target of an update <= {TARGET_MS:g}", text=(0, 1))


@benchmark(quick="A tiny network, rough numbers.")
def main(step: Step, quick: bool) -> Found:
    torch.set_num_threads(1)
    networks = {"tiny": TINY} if quick else {name: preset(name) for name in ("small", "study")}
    repeats = 2 if quick else 50
    rows = [row for name, config in networks.items() for row in measure(name, config, repeats, step)]
    result = {
        "update_ms": max(row.update for row in rows),
        "share_of_step": max(row.share for row in rows),
        "measure_ms": max(row.measure for row in rows),
        "rows": [{**row._asdict(), "share": row.share} for row in rows],
    }
    return Found(result, {"monitor": table(rows)})


if __name__ == "__main__":
    main()
