"""Compiled loops of `pointnet.ops.sampling`, for C-contiguous float32 on the CPU, with checked arguments.

A cloud is held as (3, N), one row per coordinate, so that the loops over points become vector instructions
without fast-math. They work on clouds `begin` to `end` of a batch, so that threads can share one.
"""

from __future__ import annotations

import numpy as np

from sparsim.model.kernels.jit import compiled

BLOCK = 256  # points whose distances are computed before any is looked at
WORD = 8  # flags that are read together


@compiled
def farthest_points(begin, end, xyz, picked):
    """(B, 3, N) and (B, S), whose first column is given -> the other columns of `picked`."""
    n = xyz.shape[2]
    nearest = np.empty(n, np.float32)  # squared distance to the closest centre so far
    bits = nearest.view(np.int32)  # same order, as nothing is negative; a maximum of integers is a vector op
    for b in range(begin, end):
        x, y, z = xyz[b, 0], xyz[b, 1], xyz[b, 2]
        nearest[:] = np.inf
        last = picked[b, 0]
        for s in range(1, picked.shape[1]):
            cx, cy, cz = x[last], y[last], z[last]
            for j in range(n):
                dx, dy, dz = x[j] - cx, y[j] - cy, z[j] - cz
                d2 = (dx * dx + dy * dy) + dz * dz
                nearest[j] = d2 if d2 < nearest[j] else nearest[j]
            largest = np.int32(0)
            for j in range(n):
                largest = max(largest, bits[j])
            first = np.int32(n)
            for j in range(n):
                first = min(first, np.int32(j) if bits[j] == largest else np.int32(n))
            last = np.int64(first)
            picked[b, s] = last


@compiled
def points_in_balls(begin, end, xyz, centres, r2, found):
    """(B, 3, N), (B, S, 3) and a squared radius -> `found` (B, S, K)."""
    n, wanted = xyz.shape[2], found.shape[2]
    inside = np.zeros(BLOCK, np.uint8)
    words = inside.view(np.uint64)
    hit = np.zeros(wanted + WORD, np.int64)
    for b in range(begin, end):
        for s in range(centres.shape[1]):
            cx, cy, cz = centres[b, s, 0], centres[b, s, 1], centres[b, s, 2]
            hits = 0
            for start in range(0, n, BLOCK):
                x, y, z = xyz[b, 0, start:], xyz[b, 1, start:], xyz[b, 2, start:]
                size = min(BLOCK, n - start)
                for j in range(size):
                    dx, dy, dz = x[j] - cx, y[j] - cy, z[j] - cz
                    inside[j] = (dx * dx + dy * dy) + dz * dz <= r2
                inside[size:] = 0
                for w in range(BLOCK // WORD):
                    if words[w] != 0 and hits < wanted:
                        for j in range(w * WORD, (w + 1) * WORD):
                            hit[hits] = start + j  # overwritten by the next one unless inside
                            hits += inside[j]
                if hits >= wanted:
                    break
            if hits == 0:
                hit[0], hits = _closest(xyz[b], cx, cy, cz), 1
            for k in range(wanted):
                found[b, s, k] = hit[k] if k < hits else hit[0]


@compiled
def _closest(xyz, cx, cy, cz):
    best, least = 0, np.float32(np.inf)
    for j in range(xyz.shape[1]):
        dx, dy, dz = xyz[0, j] - cx, xyz[1, j] - cy, xyz[2, j] - cz
        d2 = (dx * dx + dy * dy) + dz * dz
        if d2 < least:
            best, least = j, d2
    return best


@compiled
def add_rows(begin, end, rows, index, total):
    """total[b, index[b, i]] += rows[b, i], for (B, M, C), (B, M) and (B, N, C)."""
    for b in range(begin, end):
        for i in range(index.shape[1]):
            row, into = rows[b, i], total[b, index[b, i]]
            for c in range(len(row)):
                into[c] += row[c]
