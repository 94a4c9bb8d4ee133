"""Clouds of voxels for tests of sparse convolution."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

PATTERN = [[0, 3], [1, 2], [1, 4], [2, 1], [2, 2], [2, 3], [2, 4], [2, 5]]  # in two dimensions


def rows_of(points: list[list[int]] | np.ndarray, sample: int = 0) -> Tensor:
    """(b, x, y, z) of points of one sample with two or three coordinates."""
    array = np.array(points).reshape(len(points), -1)
    rows = np.zeros((len(array), 4), np.int64)
    rows[:, 0] = sample
    rows[:, 1 : 1 + array.shape[1]] = array
    return torch.from_numpy(rows)


def cube(n: int, axes: int = 3) -> Tensor:
    """All points of a cube, a square (2 axes) or a line (1)."""
    grid = np.stack(np.meshgrid(*[np.arange(n)] * axes, indexing="ij"), axis=-1)
    return rows_of(grid.reshape(-1, axes))


def shell(radius: int, shift: int = 0) -> Tensor:
    """Points with (2 R - 1)^2 <= 4 r^2 < (2 R + 1)^2 in lexicographic order."""
    axis = np.arange(-radius - 1, radius + 2)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    distance = 4 * (grid**2).sum(axis=1)
    inside = ((2 * radius - 1) ** 2 <= distance) & (distance < (2 * radius + 1) ** 2)
    return rows_of(grid[inside] + shift)


def random_cloud(seed: int, count: int, side: int, samples: int = 2, low: int = 0) -> Tensor:
    """Distinct points in any order."""
    draw = np.random.default_rng(seed)
    places = draw.choice(samples * side**3, count, replace=False)
    found = np.stack(np.unravel_index(places, (samples, side, side, side)), axis=1)
    found[:, 1:] += low
    return torch.from_numpy(found)
