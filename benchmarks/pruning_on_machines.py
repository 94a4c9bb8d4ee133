"""Savings by pruning on all machines of the package, for PointNet++, AlexNet and SparseResUNet.

    python benchmarks/pruning_on_machines.py [--document docs/results/machines.md] [--json FILE] [--quick]

With --document the figure of the page is also drawn again. All networks are workloads of the package, or
these workloads with other densities of weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from benchmark import Found, Step, benchmark, cpu_seconds

from pointnet.ops.coordinates import Coordinates
from pointnet.ops.kernel_maps import Kernel, kernel_map, strided_coordinates
from pointnet.ops.sampling import ball_query, farthest_point_sample
from sparsim import load_workload
from sparsim.records import Density, Layer
from sparsim.records.point_mapping import PointMapping
from sparsim.report.figure_style import write_figure
from sparsim.report.machine_comparison import (
    MACHINES,
    answers,
    compare,
    cost_table,
    draw_comparison,
    machine_table,
    two_of_four,
    with_weights,
)
from sparsim.report.tables import Table

FIGURE = Path(__file__).parent.parent / "docs" / "results" / "machines-pruning.svg"
POINTNET, ALEXNET, RESUNET = "pointnet", "alexnet", "resunet"
UNPRUNED = "unpruned"
KEPT = 0.1  # share of the weights of SparseResUNet that every layer keeps
RADIUS, LEVELS = 20, 5  # radius of the sphere, and number of levels of SparseResUNet
BALL = 0.3  # a radius of balls in which most groups are full
REPEATS = 20

Networks = dict[str, Sequence[Layer]]


def networks() -> dict[str, Networks]:
    """Return the layers of all networks, each with one sample."""
    small, voxels = load_workload("pointnet2_small").layers, load_workload("sparse_resunet_sphere").layers
    return {
        POINTNET: {
            UNPRUNED: small,
            "gmp-90": load_workload("pointnet2_small_gmp90").layers,
            "energy-90": load_workload("pointnet2_small_energy90").layers,
            "2:4": two_of_four(small),
        },
        ALEXNET: {
            UNPRUNED: load_workload("alexnet").layers, "pruned": load_workload("alexnet_sparse").layers,
        },
        RESUNET: {
            UNPRUNED: voxels,
            "90 %": tuple(with_weights(layer, Density(density=KEPT)) for layer in voxels),
            "2:4": two_of_four(voxels),
        },
    }  # fmt: skip


class Coordinate(NamedTuple):
    """Times of the operations on coordinates for one inference, in us."""

    network: str
    host: float
    pointacc: float
    pointacc_all: float
    eyeriss: float | None


def host_us(layers: Sequence[Layer]) -> float:
    """Return the time of pointnet.ops on one core for the samplings and neighbours of a PointNet++."""
    generator = torch.Generator().manual_seed(0)
    total = 0.0
    for mapping in (each for layer in layers for each in layer.point_mappings):
        points = torch.rand(1, mapping.points, 3, generator=generator)
        (seconds,) = cpu_seconds(lambda m=mapping, p=points: _run(m, p), repeats=REPEATS)  # type: ignore[misc]
        total += 1e6 * seconds
    return total


def _run(mapping: PointMapping, points: torch.Tensor) -> None:
    if mapping.kind == "fps":
        farthest_point_sample(points, mapping.queries)
    else:
        ball_query(points, points[:, : mapping.queries].contiguous(), BALL, mapping.neighbours)


def kernel_maps_us() -> float:
    """Return the time of pointnet.ops on one core for the nine kernel maps of SparseResUNet on a sphere."""
    axis = torch.arange(-RADIUS - 1, RADIUS + 2)
    grid = torch.cartesian_prod(axis, axis, axis)
    distance = 4 * (grid**2).sum(dim=1)
    inside = (distance >= (2 * RADIUS - 1) ** 2) & (distance < (2 * RADIUS + 1) ** 2)
    rows = torch.nn.functional.pad(grid[inside], (1, 0))

    def build() -> None:
        found = Coordinates(rows)
        for level in range(LEVELS):
            kernel_map(found, found, Kernel((3, 3, 3)))
            if level < LEVELS - 1:
                down = Kernel((2, 2, 2), (2, 2, 2))
                coarser = strided_coordinates(found, down)
                kernel_map(found, coarser, down)
                found = coarser

    (seconds,) = cpu_seconds(build, repeats=REPEATS)
    return 1e6 * seconds


def coordinate_table(rows: Sequence[Coordinate]) -> Table:
    cells = [
        (
            row.network, f"{row.host:,.0f}", f"{row.pointacc:,.1f}", f"{row.pointacc_all:,.1f}",
            "-" if row.eyeriss is None else f"{row.eyeriss:,.0f}",
        )
        for row in rows
    ]  # fmt: skip
    head = (
        "network", "one core, us", "PointAcc's mapping unit, us", "PointAcc in all, us",
        "layers on Eyeriss v2, us",
    )  # fmt: skip
    return Table(head, cells)


@benchmark(quick="Leave out the Eyeriss family, which takes minutes.", document=True)
def main(step: Step, *, quick: bool = False) -> Found:
    torch.set_num_threads(1)
    machines = [name for name in MACHINES if not (quick and name.startswith("eyeriss"))]
    every = networks()
    runs = {name: compare(found, machines, step) for name, found in every.items()}
    step("operations on coordinates")
    times = {POINTNET: host_us(every[POINTNET][UNPRUNED]), RESUNET: kernel_maps_us()}
    rows = []
    for name, title in ((POINTNET, "PointNet++"), (RESUNET, "SparseResUNet")):
        here, eyeriss = runs[name]["pointacc"][UNPRUNED], runs[name].get("eyeriss_v2")
        rows.append(
            Coordinate(title, times[name], here.mapping_us, here.us, eyeriss and eyeriss[UNPRUNED].us)
        )
    if not quick:
        figure, _ = draw_comparison(runs[POINTNET], UNPRUNED)
        write_figure(figure, FIGURE)
    blocks: dict[str, Table | Sequence[str]] = {
        "answers": [f"**{title}**: {text}." for title, text in answers(runs[POINTNET], UNPRUNED)],
        "machines": machine_table(runs[POINTNET]),
        **{name: cost_table(found) for name, found in runs.items()}, "coordinates": coordinate_table(rows),
    }  # fmt: skip
    return Found({"runs": _plain(runs), "coordinates": [row._asdict() for row in rows]}, blocks)


def _plain(runs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        network: {
            machine: {name: {**run._asdict(), "per_s": run.per_s} for name, run in found.items()}
            for machine, found in by_machine.items()
        }
        for network, by_machine in runs.items()
    }


if __name__ == "__main__":
    main()
