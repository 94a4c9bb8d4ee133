"""PointNet++ in plain torch, the baseline of `benchmarks/sampling_speed.py`."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pointnet.network_config import Config, Stage


def farthest_point_sample(xyz: Tensor, count: int) -> Tensor:
    """(B, N, 3) -> (B, count), from point 0."""
    batch, points, _ = xyz.shape
    picked = torch.zeros(batch, count, dtype=torch.long)
    nearest = torch.full((batch, points), 1e10, dtype=xyz.dtype)
    last = torch.zeros(batch, dtype=torch.long)
    clouds = torch.arange(batch)
    for i in range(count):
        picked[:, i] = last
        centre = xyz[clouds, last].view(batch, 1, 3)
        distance = ((xyz - centre) ** 2).sum(-1)
        closer = distance < nearest
        nearest[closer] = distance[closer]
        last = nearest.max(-1)[1]
    return picked


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """|a|^2 + |b|^2 - 2 ab: (B, S, 3) and (B, N, 3) -> (B, S, N)."""
    product = torch.matmul(a, b.transpose(1, 2))
    return (a**2).sum(-1)[:, :, None] + (b**2).sum(-1)[:, None, :] - 2 * product


def ball_query(xyz: Tensor, centres: Tensor, radius: float, count: int) -> Tensor:
    """(B, N, 3) and (B, S, 3) -> (B, S, count)."""
    batch, points, _ = xyz.shape
    index = torch.arange(points).view(1, 1, points).repeat(batch, centres.shape[1], 1)
    index[squared_distances(centres, xyz) > radius**2] = points
    index = index.sort(dim=-1)[0][:, :, :count]
    first = index[:, :, :1].repeat(1, 1, count)
    outside = index == points
    index[outside] = first[outside]
    return index


def rows(points: Tensor, index: Tensor) -> Tensor:
    """(B, N, C) and (B, ...) -> (B, ..., C)."""
    clouds = torch.arange(len(points)).view(-1, *[1] * (index.dim() - 1)).expand_as(index)
    return points[clouds, index]


class SetAbstraction(nn.Module):
    """A set abstraction with one scale; without a stage, all points are one neighbourhood."""

    def __init__(self, features: int, widths: tuple[int, ...], stage: Stage | None) -> None:
        super().__init__()
        ends = [3 + features, *widths]
        self.stage = stage
        self.mlp_convs = nn.ModuleList(nn.Conv2d(a, b, 1, bias=False) for a, b in pairwise(ends))
        self.mlp_bns = nn.ModuleList(nn.BatchNorm2d(b) for b in widths)

    def forward(self, xyz: Tensor, features: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, 3, N) and (B, C, N) -> (B, 3, S) and (B, C', S)."""
        xyz = xyz.permute(0, 2, 1)
        if features is not None:
            features = features.permute(0, 2, 1)
        centres, grouped = self.all(xyz, features) if self.stage is None else self.group(xyz, features)
        grouped = grouped.permute(0, 3, 2, 1)  # (B, C, K, S)
        for conv, bn in zip(self.mlp_convs, self.mlp_bns, strict=True):
            grouped = F.relu(bn(conv(grouped)))
        return centres.permute(0, 2, 1), torch.max(grouped, 2)[0]

    def group(self, xyz: Tensor, features: Tensor | None) -> tuple[Tensor, Tensor]:
        assert self.stage is not None
        (scale,) = self.stage.scales
        centres = rows(xyz, farthest_point_sample(xyz, self.stage.centres))
        index = ball_query(xyz, centres, scale.radius, scale.neighbours)
        grouped = rows(xyz, index) - centres[:, :, None]
        if features is not None:
            grouped = torch.cat([grouped, rows(features, index)], dim=-1)
        return centres, grouped

    def all(self, xyz: Tensor, features: Tensor | None) -> tuple[Tensor, Tensor]:
        grouped = xyz[:, None]
        if features is not None:
            grouped = torch.cat([grouped, features[:, None]], dim=-1)
        return xyz.new_zeros(len(xyz), 1, 3), grouped


class PointNet2(nn.Module):
    """Single-scale PointNet++; its parameters have the names of `pointnet.model.PointNet2`."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.stages = len(config.stages) + 1
        self.dropout = config.dropout
        features = 0
        for i, stage in enumerate(config.stages, start=1):
            (scale,) = stage.scales
            self.add_module(f"sa{i}", SetAbstraction(features, scale.widths, stage))
            features = scale.widths[-1]
        self.add_module(f"sa{self.stages}", SetAbstraction(features, config.pooled, None))
        self.widths = [config.pooled[-1], *config.head]
        for i, (a, b) in enumerate(pairwise(self.widths), start=1):
            self.add_module(f"fc{i}", nn.Linear(a, b, bias=False))
            self.add_module(f"bn{i}", nn.BatchNorm1d(b))
        self.add_module(f"fc{len(self.widths)}", nn.Linear(self.widths[-1], config.classes))

    def load(self, state: dict[str, Tensor]) -> None:
        """The state of a `pointnet.model.PointNet2`."""
        shapes = {name: value.shape for name, value in self.state_dict().items()}
        self.load_state_dict({name: value.view(shapes[name]) for name, value in state.items()})

    def forward(self, clouds: Tensor) -> Tensor:
        """(B, N, 3) -> (B, classes)."""
        xyz, features = clouds.permute(0, 2, 1), None
        for i in range(1, self.stages + 1):
            xyz, features = self.get_submodule(f"sa{i}")(xyz, features)
        x = features.squeeze(-1)
        for i in range(1, len(self.widths)):
            x = F.relu(self.get_submodule(f"bn{i}")(self.get_submodule(f"fc{i}")(x)))
            x = F.dropout(x, self.dropout, self.training)
        return self.get_submodule(f"fc{len(self.widths)}")(x)
