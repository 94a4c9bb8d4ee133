"""Training, pruning and measuring on each device of PyTorch, compared with the CPU: times and differences.

    python benchmarks/devices.py [--json FILE] [--quick]

Times are wall-clock times, because a device works while the CPU waits, so run no other programs meanwhile.
Neighbours and masks must equal those of the CPU, and losses must agree up to rounding.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from benchmark import Found, Step, benchmark
from monitor_overhead import TINY
from torch import Tensor
from torch.nn import functional as F

import gmp
from gmp.energy import EnergyMonitor
from pointnet.model import PointNet2
from pointnet.network_config import Config, preset
from sparsim.report.tables import Table

HARDWARE = "eyeriss_v2"
SPARSITY = 0.5
BATCH = 16


class Row(NamedTuple):
    """Results of one device: median milliseconds, and differences from the CPU.

    `neighbours` and `masks` are the numbers of elements that differ, and `loss` is the relative difference
    after one step.
    """

    device: str
    group: float
    step: float
    prune: float
    update: float
    neighbours: int
    masks: int
    loss: float


class Outcome(NamedTuple):
    times: list[float]
    groups: list[Tensor]
    masks: list[Tensor]
    loss: float


def devices() -> list[str]:
    found = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    return found + (["mps"] if torch.backends.mps.is_available() else [])


def milliseconds(call: Callable[[], object], device: str, repeats: int) -> float:
    """Return the median time of calls that are each waited for, after one call for warming up."""
    times = []
    for _ in range(repeats + 1):
        wait(device)
        started = time.perf_counter()
        call()
        wait(device)
        times.append(1e3 * (time.perf_counter() - started))
    return statistics.median(times[1:])


def wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device == "mps":
        torch.mps.synchronize()


def measure(device: str, config: Config, repeats: int, say: Step) -> Outcome:
    """Measure one device, with the same weights and clouds on every device."""
    torch.manual_seed(0)
    model = PointNet2(config)
    clouds = torch.randn(BATCH, config.points, 3).clamp(-2, 2) / 4
    labels = torch.arange(BATCH) % config.classes
    model, clouds, labels = model.to(device), clouds.to(device), labels.to(device)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    pruner = gmp.Pruner(model, optimizer, scope="layer")
    pruner.prune(SPARSITY)
    masks = [mask.cpu() for mask in pruner.masks.values()]
    groupings = model.group(clouds)
    groups = [index.cpu() for grouping in groupings for index in (grouping.centres, *grouping.neighbours)]

    def step() -> float:
        loss = F.cross_entropy(model(clouds), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        pruner.apply()
        return loss.item()

    monitor = EnergyMonitor(
        model, HARDWARE, clouds[:4], pruner=pruner, progress=lambda name: say(f"planning {name}")
    )
    step()
    loss = step()
    say(f"timing {device}")
    more = 0.4 / (repeats + 1)
    times = [
        milliseconds(lambda: model.group(clouds), device, repeats),
        milliseconds(step, device, repeats),
        milliseconds(lambda: pruner.prune(pruner.sparsity + more), device, repeats),
        milliseconds(monitor.update, device, repeats),
    ]
    return Outcome(times, groups, masks, loss)


def table(rows: list[Row]) -> Table:
    cells: list[list[Any]] = [
        [r.device, *(f"{x:.2f}" for x in r[1:5]), r.neighbours, r.masks, f"{r.loss:.1e}"] for r in rows
    ]
    head = ["device", "grouping", "training step", "pruning", "monitor update", "neighbours", "masks", "loss"]
    return Table(head, cells, "milliseconds, and elements that differ from the CPU's")


@benchmark(quick="A tiny network, rough numbers.")
def main(step: Step, quick: bool) -> Found:
    config, repeats = (TINY, 2) if quick else (preset("study"), 20)
    found = {device: measure(device, config, repeats, step) for device in devices()}
    host = found["cpu"]
    rows = [
        Row(
            device, *each.times,
            neighbours=sum(int((a != b).sum()) for a, b in zip(each.groups, host.groups, strict=True)),
            masks=sum(int((a != b).sum()) for a, b in zip(each.masks, host.masks, strict=True)),
            loss=abs(each.loss - host.loss) / host.loss,
        )
        for device, each in found.items()
    ]  # fmt: skip
    return Found({"rows": [row._asdict() for row in rows]}, {"devices": table(rows)})


if __name__ == "__main__":
    main()
