"""A simple sparse convolution as a baseline, with a dictionary of coordinates and torch's operations.

It is gather-GEMM-scatter with a Python dictionary from coordinates to rows. Each layer searches its pairs, or
with `keep` uses those that an earlier layer of its level has found, as `pointnet.sparse` does.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pointnet.sparse.sparse_layers import SparseConvolution, StridedConvolution, TransposedConvolution
from pointnet.sparse.sparse_resunet import SparseResUNet

Point = tuple[int, ...]
Pairs = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class PlainTensor:
    """The part of a `SparseTensor` that the networks use: features by row, and points (b, x, y, z)."""

    features: Tensor
    points: list[Point]
    cache: dict[Any, Any] = field(default_factory=dict)

    def with_features(self, features: Tensor) -> PlainTensor:
        return replace(self, features=features)

    def joined(self, other: PlainTensor) -> PlainTensor:
        return self.with_features(torch.cat([self.features, other.features], dim=1))


class PlainConvolution(nn.Module):
    """A submanifold, strided or transposed convolution with the weights of another layer."""

    def __init__(self, layer: SparseConvolution, *, keep: bool) -> None:
        super().__init__()
        self.keep = keep
        self.weight, self.kernel = layer.weight, layer.kernel
        self.strided = isinstance(layer, StridedConvolution)
        self.transposed = isinstance(layer, TransposedConvolution)
        self.in_channels, self.out_channels = layer.in_channels, layer.out_channels

    def forward(self, x: PlainTensor) -> PlainTensor:
        points, pairs = self._mapped(x)
        result = x.features.new_zeros(len(points), self.out_channels)
        for weight, (inputs, outputs) in zip(self.weight, pairs, strict=True):
            if len(inputs):
                result.index_add_(0, outputs, x.features[inputs] @ weight)
        return PlainTensor(result, points, x.cache)

    def _mapped(self, x: PlainTensor) -> tuple[list[Point], Pairs]:
        key = "up" if self.transposed else "down", id(x.points), self.kernel
        if key not in x.cache or not (self.keep or self.transposed):
            stride = self.kernel.stride
            points = x.points
            if self.strided:
                points = list({(b, *(c // s for c, s in zip(p, stride, strict=True))) for b, *p in points})
            pairs = self._pairs(x.points, points)
            x.cache[key] = points, pairs
            x.cache["up", id(points), self.kernel] = x.points, [(o, i) for i, o in pairs]
        found: tuple[list[Point], Pairs] = x.cache[key]
        return found

    def _pairs(self, inputs: list[Point], outputs: list[Point]) -> Pairs:
        rows = {point: row for row, point in enumerate(inputs)}
        sx, sy, sz = self.kernel.stride
        found = []
        for dx, dy, dz in self.kernel.offsets.tolist():
            met = []
            for out, (b, x, y, z) in enumerate(outputs):
                row = rows.get((b, sx * x + dx, sy * y + dy, sz * z + dz))
                if row is not None:
                    met.append((row, out))
            pairs = torch.tensor(met, dtype=torch.int64).reshape(-1, 2)
            found.append((pairs[:, 0], pairs[:, 1]))
        return found


def plain_network(network: SparseResUNet, *, keep: bool) -> SparseResUNet:
    """Return the network with plain convolutions in place of its own."""
    return with_layers(network, partial(PlainConvolution, keep=keep))


def with_layers(network: SparseResUNet, make: Any) -> SparseResUNet:
    """Return a copy of a network whose sparse convolutions are replaced by `make(layer)`."""
    found = SparseResUNet(network.stem.get_submodule("1").in_channels, width=network.width)
    found.load_state_dict(network.state_dict())
    for name, module in list(found.named_modules()):
        if isinstance(module, SparseConvolution):
            parent, _, key = name.rpartition(".")
            setattr(found.get_submodule(parent), key, make(module))
    return found.eval()
