"""Pruning by sorting tuples: loops over weights, exact fractions, no tensors."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np


def boxes(shape, pattern):
    """The units of a weight array of `shape`, in order: lists of indices. `pattern`: (kind, size, size)."""
    outputs, inputs = shape[0], shape[1]
    positions = list(product(*map(range, shape[2:])))
    kind, a, b = pattern
    rows, columns = {"block": (a, b), "n:m": (1, b), "channel": (1, inputs)}.get(kind, (1, 1))
    kernels = [positions] if kind in ("kernel", "channel") else [[p] for p in positions]
    for o, i, kernel in product(range(0, outputs, rows), range(0, inputs, columns), kernels):
        inside = product(range(o, min(o + rows, outputs)), range(i, min(i + columns, inputs)), kernel)
        yield [(out, inp, *p) for out, inp, p in inside]


def candidates(layer, weights, live, pattern):
    """(mean magnitude lost, layer, number of the unit, what is lost) of each unit that can lose anything."""
    for number, box in enumerate(boxes(weights.shape, pattern)):
        lost = [index for index in box if live[index]]
        if pattern[0] == "n:m":
            by_magnitude = sorted(lost, key=lambda index: (-abs(weights[index]), index))
            lost = by_magnitude[pattern[1] :]
        if lost:
            yield Fraction(sum(int(abs(weights[i])) for i in lost), len(lost)), layer, number, lost


def take(units, need):
    """The first of the sorted `units` that lose at most `need` weights in all."""
    taken = []
    for unit in sorted(units):
        need -= len(unit[-1])
        if need < 0:
            break
        taken.append(unit)
    return taken


def prune(weights, live, pattern, sparsity, scope="global", min_density=Fraction(0)):
    """New masks of integer `weights` (a list of arrays), given the masks `live`."""
    sizes = [w.size for w in weights]
    zeros = [int((~mask).sum()) for mask in live]
    units = [list(candidates(k, w, m, pattern)) for k, (w, m) in enumerate(zip(weights, live, strict=True))]
    at_limit = pattern[0] == "n:m" and sparsity == 1 - pattern[1] / pattern[2]
    if scope == "layer":
        wanted = [size if at_limit else round(sparsity * size) for size in sizes]
        gone = [u for k, need in enumerate(wanted) for u in take(units[k], need - zeros[k])]
    else:
        caps = [size - int(np.ceil(min_density * size)) for size in sizes]
        pool = [u for k, cap in enumerate(caps) for u in take(units[k], cap - zeros[k])]
        gone = take(pool, sum(sizes) if at_limit else round(sparsity * sum(sizes)) - sum(zeros))
    masks = [mask.copy() for mask in live]
    for _, layer, _, lost in gone:
        for index in lost:
            masks[layer][index] = False
    return masks
