"""Speed of kernel maps and SparseResUNet, in CPU seconds on one core, compared with plain torch and spconv.

    python benchmarks/sparse_conv.py [--json FILE] [--quick]

Kernel maps are measured for a kernel of 3 x 3 x 3 on 100,000 voxels, those of a sphere shell and random ones
in a cube. Forward passes, kernel maps included, are those of SparseResUNet at width 0.5 on sphere shells.
They are compared in one process with plain torch (a Python dictionary of coordinates; each layer searches its
pairs, or they are kept for the layers of a level) and with spconv's CPU build if it is installed
(`pip install spconv`). The results must agree.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import plain_sparse_conv as plain
import torch
from benchmark import Found, Step, benchmark, cpu_seconds, met
from torch import Tensor, nn

from pointnet.ops.coordinates import Coordinates
from pointnet.ops.kernel_maps import Kernel, kernel_map
from pointnet.sparse.sparse_layers import SparseConvolution, StridedConvolution, TransposedConvolution
from pointnet.sparse.sparse_resunet import SparseResUNet
from pointnet.sparse.sparse_tensor import SparseTensor
from sparsim.report.tables import Table

VOXELS = 100_000
RADII = (20, 45)
WIDTH = 0.5
MAP_S = 0.3
SPEEDUP = 5
TOLERANCE = 1e-3


class Forward(NamedTuple):
    """Median CPU seconds of a forward pass; None for spconv if it is not installed."""

    voxels: int
    ours_s: float
    plain_s: float
    plain_kept_s: float
    spconv_s: float | None

    @property
    def speedup(self) -> float:
        return self.plain_s / self.ours_s

    @property
    def over_spconv(self) -> float | None:
        return None if self.spconv_s is None else self.spconv_s / self.ours_s


def rows_of(points: np.ndarray) -> Tensor:
    rows = np.zeros((len(points), 4), np.int32)
    rows[:, 1:] = points
    return torch.from_numpy(rows)


def shell(radius: int) -> Tensor:
    """Return the points with (2 R - 1)^2 <= 4 r^2 < (2 R + 1)^2, moved to coordinates from 1."""
    axis = np.arange(-radius - 1, radius + 2)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    distance = 4 * (grid**2).sum(axis=1)
    inside = ((2 * radius - 1) ** 2 <= distance) & (distance < (2 * radius + 1) ** 2)
    return rows_of(grid[inside] + radius + 1)


def map_clouds(count: int) -> dict[str, Tensor]:
    side = round((10 * count) ** (1 / 3)) + 1
    places = np.random.default_rng(0).choice(side**3, count, replace=False)
    radius = 1
    while len(surface := shell(radius)) < count:
        radius += max(1, radius // 20)
    return {
        "random": rows_of(np.stack(np.unravel_index(places, (side,) * 3), axis=1)),
        "shell": surface[:count],
    }


def measure_maps(count: int, repeats: int) -> dict[str, float]:
    """Measure the CPU seconds from unchecked coordinates to the map."""

    def mapped(rows: Tensor) -> None:
        coordinates = Coordinates(rows)
        kernel_map(coordinates, coordinates, Kernel(3))

    clouds = map_clouds(count)
    seconds = cpu_seconds(*(lambda rows=rows: mapped(rows) for rows in clouds.values()), repeats=repeats)
    return dict(zip(clouds, seconds, strict=True))


@torch.no_grad()
def measure_forward(rows: Tensor, repeats: int) -> Forward:
    """Measure forward passes. Raises RuntimeError if results differ."""
    torch.manual_seed(0)
    features = torch.randn(len(rows), 4)
    ours = SparseResUNet(width=WIDTH).eval()
    plains = [plain.plain_network(ours, keep=keep) for keep in (False, True)]
    points = [tuple(point) for point in rows.tolist()]
    calls: list[Callable[[], Tensor]] = [
        lambda: ours(SparseTensor(features, Coordinates(rows))).features,
        lambda: plains[0](plain.PlainTensor(features, points)).features,
        lambda: plains[1](plain.PlainTensor(features, points)).features,
    ]
    if (theirs := spconv_forward(ours, rows, features)) is not None:
        calls.append(theirs)
    expected = calls[0]()
    for call in calls[1:]:
        difference = float((call() - expected).abs().max() / expected.abs().max())
        if not difference < TOLERANCE:
            raise RuntimeError(f"the results differ by {difference}")
    seconds = [*cpu_seconds(*calls, repeats=repeats), None]
    return Forward(len(rows), *seconds[:4])  # type: ignore[arg-type]


def spconv_forward(network: SparseResUNet, rows: Tensor, features: Tensor) -> Callable[[], Tensor] | None:
    """Return the forward pass of the network with spconv's layers; None if spconv is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import spconv.pytorch as spconv
        except ImportError:
            return None

    class Layer(nn.Module):
        """A layer on tensors with `with_features` and `joined`, as the network expects."""

        def __init__(self, layer: SparseConvolution) -> None:
            super().__init__()
            channels, size = (layer.in_channels, layer.out_channels), layer.kernel.size[0]
            if isinstance(layer, TransposedConvolution):
                self.conv = spconv.SparseInverseConv3d(*channels, size, "", bias=False)
            elif isinstance(layer, StridedConvolution):
                self.conv = spconv.SparseConv3d(*channels, size, layer.kernel.stride[0], bias=False)
            else:
                self.conv = spconv.SubMConv3d(*channels, size, bias=False)
            weights = layer.weight.reshape(size, size, size, *channels).permute(4, 0, 1, 2, 3)
            self.conv.weight.data = weights.contiguous()

        def forward(self, x: Any) -> Any:
            level = x.level - isinstance(self.conv, spconv.SparseInverseConv3d)
            self.conv.indice_key = f"{self.conv.subm} {level}"
            down = not self.conv.subm and not isinstance(self.conv, spconv.SparseInverseConv3d)
            return Tensors(self.conv(x.tensor), level + down)

    class Tensors(NamedTuple):
        tensor: Any
        level: int

        @property
        def features(self) -> Tensor:
            found: Tensor = self.tensor.features
            return found

        def with_features(self, features: Tensor) -> Any:
            return self._replace(tensor=self.tensor.replace_feature(features))

        def joined(self, other: Any) -> Any:
            return self.with_features(torch.cat([self.features, other.features], dim=1))

    model = plain.with_layers(network, Layer)
    side = -(-int(rows.max() + 1) // 16) * 16

    def forward() -> Tensor:
        found: Tensor = model(Tensors(spconv.SparseConvTensor(features, rows, [side] * 3, 1), 0)).features
        return found

    return forward


def table(maps: dict[str, float], passes: list[Forward]) -> Table:
    rows = [
        (f"kernel map, {name} voxels", "", f"{ms:,.1f}", "", *met(ms, 1e3 * MAP_S, larger=False))
        for name, ms in ((name, 1e3 * seconds) for name, seconds in maps.items())
    ]
    for found in passes:
        others = (
            ("plain torch", found.plain_s, SPEEDUP),
            ("plain torch, pairs kept", found.plain_kept_s, None),
            ("spconv", found.spconv_s, 1),
        )
        for name, seconds, target in others:
            if seconds is not None:
                times = f"{1e3 * seconds:,.1f}", f"{1e3 * found.ours_s:,.1f}"
                ratio = seconds / found.ours_s
                what = f"forward pass, {found.voxels:,} voxels, {name}"
                rows.append((what, *times, f"{ratio:.2f}", *met(ratio, target)))
    head = ["what", "other, ms", "ours, ms", "speed-up", "target", ""]
    return Table(head, rows, "CPU time on one core")


def measure(step: Step, *, quick: bool = False) -> Found:
    """Return numbers and a table; `machines.py` uses them, too."""
    torch.set_num_threads(1)
    repeats = 1 if quick else 5
    step("kernel maps")
    maps = measure_maps(1000 if quick else VOXELS, repeats)
    passes = []
    for radius in (5,) if quick else RADII:
        step(f"forward pass on a shell of radius {radius}")
        passes.append(measure_forward(shell(radius), repeats))
    numbers: dict[str, Any] = {
        "kernel_map_100k_cpu_s": max(maps.values()),
        "sparse_conv_speedup": min(found.speedup for found in passes),
        "sparse_conv_over_spconv": min((found.over_spconv or 0.0) for found in passes) or None,
        "kernel_maps": maps,
        "forward_passes": [found._asdict() for found in passes],
    }
    return Found(numbers, {"sparse_convolution": table(maps, passes)})


@benchmark(quick="Small clouds, rough numbers.")
def main(step: Step, quick: bool) -> Found:
    return measure(step, quick=quick)


if __name__ == "__main__":
    main()
