"""Compiled loops of `pointnet.ops.fused_mlp`, for C-contiguous float32 or float64, with checked arguments.

Rows are neighbours, K to a group; C channels lie side by side in memory, so that the loops over them become
vector instructions. Sums over rows are taken in blocks, and over blocks in float64.
"""

from __future__ import annotations

import numpy as np

from sparsim.model.kernels.jit import compiled

BLOCK = 64  # rows


@compiled
def gather(index, points, moved, y):
    """y[g, k] = points[index[g, k]] - moved[g], for (G, K), (N, C), (G, C) and (G, K, C)."""
    for g in range(index.shape[0]):
        away = moved[g]
        for k in range(index.shape[1]):
            point, row = points[index[g, k]], y[g, k]
            for c in range(len(row)):
                row[c] = point[c] - away[c]


@compiled
def scatter(index, dy, dpoints, dmoved):
    """The backward of `gather`; adds to `dpoints`, sets `dmoved`."""
    for g in range(index.shape[0]):
        away = dmoved[g]
        away[:] = 0
        for k in range(index.shape[1]):
            point, row = dpoints[index[g, k]], dy[g, k]
            for c in range(len(row)):
                point[c] += row[c]
            for c in range(len(row)):
                away[c] -= row[c]


@compiled
def add_moments(y, pivot, total, squares):
    """Add the sums over rows (M, C) of y - pivot and of its square; a pivot near the mean loses no digits."""
    part, part_squares = np.empty_like(pivot), np.empty_like(pivot)
    for start in range(0, len(y), BLOCK):
        part[:] = 0
        part_squares[:] = 0
        for r in range(start, min(start + BLOCK, len(y))):
            row = y[r]
            for c in range(len(row)):
                away = row[c] - pivot[c]
                part[c] += away
                part_squares[c] += away * away
        total += part
        squares += part_squares


@compiled
def activate(y, scale, shift, x):
    """x = relu(scale * y + shift), for (M, C) and (C,)."""
    for r in range(len(y)):
        row, out = y[r], x[r]
        for c in range(len(row)):
            value = scale[c] * row[c] + shift[c]
            out[c] = 0 if value < 0 else value  # not a number stays so


@compiled
def pool(y, best, winner):
    """The largest of each group's K values per channel, and whose it is: (G, K, C) -> (G, C), (G, C)."""
    for g in range(len(y)):
        top, who = best[g], winner[g]
        top[:] = y[g, 0]
        who[:] = 0
        for k in range(1, y.shape[1]):
            row, this = y[g, k], np.int32(k)
            for c in range(len(row)):
                who[c] = this if row[c] > top[c] else who[c]
                top[c] = row[c] if row[c] > top[c] else top[c]


@compiled
def unpool(grad, winner, weight, x, dx, dweight):
    """Backward of pooled y = x weight^T: adds what `grad` (G, C) gives to dx (G, K, D) and dweight (C, D)."""
    for g in range(len(grad)):
        for c in range(grad.shape[1]):
            factor, k = grad[g, c], winner[g, c]
            if factor == 0:
                continue
            row, into = weight[c], dx[g, k]
            for d in range(len(row)):
                into[d] += factor * row[d]
            row, into = x[g, k], dweight[c]
            for d in range(len(row)):
                into[d] += factor * row[d]


@compiled
def mask(x, dx):
    """The backward of a ReLU whose output is x, in place."""
    for r in range(len(x)):
        row, grad = x[r], dx[r]
        for c in range(len(row)):
            grad[c] = 0 if row[c] == 0 else grad[c]


@compiled
def add_products(dz, y, mean, total, dot):
    """Add the sums over rows (M, C) of dz and of dz * (y - mean)."""
    part, part_dot = np.empty_like(mean), np.empty_like(mean)
    for start in range(0, len(y), BLOCK):
        part[:] = 0
        part_dot[:] = 0
        for r in range(start, min(start + BLOCK, len(y))):
            row, grad = y[r], dz[r]
            for c in range(len(row)):
                part[c] += grad[c]
                part_dot[c] += grad[c] * (row[c] - mean[c])
        total += part
        dot += part_dot


@compiled
def combine(dz, y, scale, constant, slope):
    """dz = scale * dz - constant - slope * y, in place, for (M, C) and (C,)."""
    for r in range(len(y)):
        row, grad = y[r], dz[r]
        for c in range(len(row)):
            grad[c] = scale[c] * grad[c] - constant[c] - slope[c] * row[c]
