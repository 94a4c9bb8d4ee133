"""PointNet++'s sampling in the usual plain torch: what `benchmarks/sampling.py` compares with."""

from __future__ import annotations

import torch
from torch import Tensor


def farthest_point_sample(xyz: Tensor, count: int) -> Tensor:
    """(B, N, 3) -> (B, count), from point 0."""
    batch, points, _ = xyz.shape
    picked = torch.zeros(batch, count, dtype=torch.long)
    nearest = torch.full((batch, points), 1e10)
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
