"""What watching energy costs in training, in CPU time on one core.

    python benchmarks/monitor.py [--json FILE] [--quick]

Networks: `small` and `study`, with a pruner whose masks have just changed; hardware: the study's accelerator
with on-chip compression, and the chip Eyeriss v2. `update_ms` is the slowest median of them, `share_of_step`
the largest share of a training step (forward, backward, Adam, masks; 16 clouds). Measuring activations again
on two clouds, which is needed now and then, is apart: `measure_ms`. Tables of the chip are made first, which
takes about a minute once, and kept in the user's cache.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import torch
from rich.console import Console
from rich.table import Table
from torch.nn import functional as F

import gmp
from gmp.energy import Accelerator, EnergyMonitor, load_hardware
from pointnet.model import Config, PointNet2, Scale, Stage, preset
from pointnet.original.published_runs import study_mapspace

sys.path.insert(0, str(Path(__file__).parent))
from evaluate import machine

from sparsim.fileio.writing import write_text

SEED = 2022
BATCH = 16
WATCHED = 2  # clouds
HARDWARE = ("eyeriss_like_onchip", "eyeriss_v2")
TINY = Config(stages=(Stage(8, (Scale(0.4, 4, (8,)),)),), pooled=(16,), head=(), points=32)  # --quick
TARGET_MS = 1.0


class Row(NamedTuple):
    """Medians in ms of CPU time. `update`: right after masks have changed, `again`: if nothing has."""

    network: str
    hardware: str
    update: float
    again: float
    measure: float
    step: float

    @property
    def share(self) -> float:
        return self.update / self.step


def median_ms(call: Callable[[], object], repeats: int, before: Callable[[], object] = lambda: None) -> float:
    """Of calls that have run once before; `before` runs before each and does not count."""
    samples = []
    for repeat in range(repeats + 1):
        before()
        start = time.process_time()
        call()
        if repeat:
            samples.append(time.process_time() - start)
    return 1e3 * statistics.median(samples)


def measure(network: str, config: Config, repeats: int, say: Callable[[str], object]) -> list[Row]:
    """Both kinds of hardware under one network."""
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

    step_ms = median_ms(step, max(1, repeats // 10))
    rows = []
    for name in HARDWARE:
        hardware = load_hardware(name)
        if isinstance(hardware, Accelerator):
            hardware = hardware._replace(mapspace=study_mapspace())
        monitor = EnergyMonitor(
            model, hardware, clouds[:WATCHED], pruner=pruner, batch=WATCHED,
            progress=lambda layer, name=name: say(f"{network} on {name}: {layer}"),  # type: ignore[misc]
        )  # fmt: skip

        def prune() -> None:
            pruner.prune(pruner.sparsity + 0.4 / (repeats + 1))

        rows.append(
            Row(
                network,
                name,
                update=median_ms(monitor.update, repeats, before=prune),
                again=median_ms(monitor.update, repeats),
                measure=median_ms(monitor.measure, max(1, repeats // 10)),
                step=step_ms,
            )
        )
    return rows


def table(rows: list[Row]) -> Table:
    found = Table(title=f"ms of CPU time, target of an update <= {TARGET_MS:g}", title_justify="left")
    for name in ("network", "hardware", "update", "again", "measure", "training step", "share"):
        left = name in ("network", "hardware")
        found.add_column(name, justify="left" if left else "right", no_wrap=left)
    for row in rows:
        cells = (f"{row.update:.3f}", f"{row.again:.3f}", f"{row.measure:.1f}", f"{row.step:.1f}")
        found.add_row(row.network, row.hardware, *cells, f"{row.share:.3%}")
    return found


@click.command(help=__doc__)
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--quick", is_flag=True, help="A tiny network, rough numbers.")
def main(json_path: Path | None, quick: bool) -> None:
    torch.set_num_threads(1)
    networks = {"tiny": TINY} if quick else {name: preset(name) for name in ("small", "study")}
    with Console(stderr=True).status("") as status:
        rows = [
            row
            for name, config in networks.items()
            for row in measure(name, config, 2 if quick else 50, status.update)
        ]
    result: dict[str, Any] = {
        "machine": f"{machine()}, torch {torch.__version__}",
        "quick": quick,
        "update_ms": max(row.update for row in rows),
        "share_of_step": max(row.share for row in rows),
        "measure_ms": max(row.measure for row in rows),
        "rows": [{**row._asdict(), "share": row.share} for row in rows],
    }
    Console().print(table(rows))
    if json_path:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        write_text(json_path, json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
