"""Kernel maps by dictionaries, and convolution by loops: slow and obvious."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

Point = tuple[int, ...]


def offsets(size: Point, dilation: Point = (1, 1, 1), *, corner: bool = False) -> list[Point]:
    """The last axis counts fastest."""
    axes = []
    for n, d in zip(size, dilation, strict=True):
        first = 0 if corner and n % 2 == 0 else -((n - 1) // 2)
        axes.append([d * (first + i) for i in range(n)])
    return list(product(*axes))


def pairs(inputs: list[Point], outputs: list[Point], stride: Point, shifts: list[Point]) -> list[Point]:
    """(k, in, out) of points (b, x, y, z), in this order."""
    rows = {point: i for i, point in enumerate(inputs)}
    found = []
    for k, shift in enumerate(shifts):
        for out, (b, *q) in enumerate(outputs):
            at = (b, *(s * x + d for s, x, d in zip(stride, q, shift, strict=True)))
            if at in rows:
                found.append((k, rows[at], out))
    return sorted(found, key=lambda pair: (pair[0], pair[2]))


def floored(inputs: list[Point], stride: Point) -> list[Point]:
    return sorted({(b, *(x // s for x, s in zip(p, stride, strict=True))) for b, *p in inputs})


def reached(inputs: list[Point], stride: Point, shifts: list[Point]) -> list[Point]:
    """Every q with stride * q + shift = an input."""
    found = set()
    for b, *point in inputs:
        for shift in shifts:
            steps = [x - d for x, d in zip(point, shift, strict=True)]
            if all(step % s == 0 for step, s in zip(steps, stride, strict=True)):
                found.add((b, *(step // s for step, s in zip(steps, stride, strict=True))))
    return sorted(found)


def generated(inputs: list[Point], stride: Point, shifts: list[Point]) -> list[Point]:
    """Every stride * input + shift."""
    found = set()
    for b, *point in inputs:
        for shift in shifts:
            found.add((b, *(s * x + d for s, x, d in zip(stride, point, shift, strict=True))))
    return sorted(found)


def convolved(features: Tensor, weights: Tensor, found: list[Point], outputs: int) -> Tensor:
    result = torch.zeros(outputs, weights.shape[2], dtype=features.dtype)
    for k, i, out in found:
        result[out] += features[i] @ weights[k]
    return result
