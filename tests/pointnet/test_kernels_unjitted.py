"""Compiled loops with bounds checked, and loops that are not compiled, give the numbers of ordinary ones.

Run as a script, this file prints the numbers.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from numba import config
from support.robust import MODES, digest, lines_of, print_from
from support.sparse_clouds import random_cloud
from torch import Tensor

from pointnet.model import SharedMLP
from pointnet.ops import fused_mlp
from pointnet.ops.coordinates import Coordinates
from pointnet.ops.kernel_maps import Kernel, generated_coordinates, kernel_map, strided_coordinates
from pointnet.ops.sampling import ball_query, farthest_point_sample, gather
from pointnet.ops.sparse_convolution import sparse_convolution

POINTS, CENTRES = 300, 9  # more than one block of points
SIZES = [(POINTS, CENTRES, 5), (7, 7, 12), (1, 1, 1)]  # points, centres, neighbours


def told(name: str, *tensors: Tensor) -> str:
    return f"{name}: " + " ".join(
        f"{tuple(t.shape)} {digest(t.detach().contiguous().numpy().tobytes())}" for t in tensors
    )


def sampled(points: int, centres: int, neighbours: int) -> list[str]:
    draw = torch.Generator().manual_seed(points)
    xyz = torch.randn(2, points, 3, generator=draw)
    start = torch.tensor([points - 1, 0])
    picked = farthest_point_sample(xyz, centres, start=start)
    near = gather(xyz, picked)
    far = near + 100  # nothing is in these balls
    found = [ball_query(xyz, at, 0.5, neighbours) for at in (near, far)]
    features = torch.randn(2, points, 4, generator=draw, requires_grad=True)
    rows = gather(features, found[0])
    (gradient,) = torch.autograd.grad(rows.square().sum(), [features])
    return [told(f"sampled {points}", picked, *found, rows, gradient)]


def fused_step(dtype: torch.dtype) -> list[str]:
    draw = torch.Generator().manual_seed(0)
    widths = (3, 5, 4)
    points = torch.randn(2, 20, widths[0], generator=draw).to(dtype).requires_grad_()
    moved = torch.randn(2, 9, widths[0], generator=draw).to(dtype).requires_grad_()
    index = torch.randint(20, (2, 9, 8), generator=draw)  # 144 rows: several blocks, the last one smaller
    mlp = SharedMLP(1, widths).to(dtype)
    for parameter in mlp.parameters():
        parameter.data = torch.randn(parameter.shape, generator=draw).to(dtype)
    weights: Any = [conv.weight for conv in mlp.mlp_convs[1:]]
    norms: Any = list(mlp.mlp_bns)
    result = fused_mlp.shared_mlp_max(points, moved, index, weights, norms)
    inputs = [points, moved, *weights, *(p for norm in norms for p in norm.parameters())]
    gradients = torch.autograd.grad(result.square().sum(), inputs)
    return [told(f"fused {dtype}", result, *gradients, *mlp.buffers())]


def sparse() -> list[str]:
    coordinates = Coordinates(random_cloud(0, 60, 6, low=-3))
    kernel = Kernel(2, 2)
    full = strided_coordinates(coordinates, kernel, "full")
    outputs = [full, strided_coordinates(coordinates, kernel), generated_coordinates(coordinates, kernel)]
    maps = [kernel_map(coordinates, coordinates, Kernel(3)), kernel_map(coordinates, full, kernel)]
    draw = torch.Generator().manual_seed(0)
    found = [each.rows for each in outputs] + [each.triples() for each in maps]
    found.append(maps[1].transposed.triples())
    for dtype in (torch.float32, torch.float64):
        features = torch.randint(-9, 9, (60, 3), generator=draw).to(dtype)
        weights = torch.randint(-9, 9, (27, 3, 5), generator=draw).to(dtype)
        found += [
            sparse_convolution(features, weights, maps[0], dataflow=dataflow)
            for dataflow in ("gather_scatter", "fetch_on_demand")
        ]
    return [told("sparse", *found)]


def answers() -> list[str]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    lines = [line for size in SIZES for line in sampled(*size)]
    lines += fused_step(torch.float32) + fused_step(torch.float64) + sparse()
    torch.set_num_threads(threads)
    return lines


@pytest.mark.skipif(bool(config.DISABLE_JIT or config.BOUNDSCHECK), reason="needs ordinary kernels")
@pytest.mark.parametrize("mode", MODES)
def test_loops_give_the_same_numbers(mode: str, pytestconfig: pytest.Config) -> None:
    kind, *found = lines_of(__file__, mode, pytestconfig.cache)
    assert kind == ("not compiled" if mode == "not compiled" else "compiled")
    assert found == answers()


if __name__ == "__main__":
    print_from(answers)
