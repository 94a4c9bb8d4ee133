"""Selection of the units to prune: in one global pool, or by ratios of the layers.

All counts are of weights. Units are pruned in the order of their scores, with equal scores in the order of
the tensors, then of the position in the tensor. Larger units stop before the one that would exceed the
request.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gmp.patterns import Pattern, Units


class Layer(NamedTuple):
    """One weight tensor to the allocation.

    `zeros` of its `size` weights are pruned already, at most `cap` may be. `ratio`: its sparsity relative to
    the overall one, None for layers that share one pool. `idle`: nothing of it goes now.
    """

    size: int
    zeros: int
    cap: int
    ratio: float | None
    idle: bool = False


def cap(size: int, min_density: float) -> int:
    """Return the most weights of `size` that can be pruned while the fraction `min_density` stays."""
    return size - math.ceil(min_density * size - 1e-9)


def choose(
    layers: Sequence[Layer], units: Sequence[Units], pattern: Pattern, sparsity: float
) -> list[Tensor]:
    """Which units go so that the overall sparsity is `sparsity`: a bool tensor (U,) for each layer.

    At the limit of an n:m pattern every unit goes that can, so that tails of fewer than m do not matter.
    Where some layers share a pool, the others take no more than their part of what is still to go.
    """
    pooled = [layer.ratio is None for layer in layers]
    if not any(pooled):
        chosen = []
        for layer, unit, zeros in zip(layers, units, layer_zeros(layers, sparsity), strict=True):
            wanted = _wanted(sparsity * (layer.ratio or 0.0), layer.size, zeros, pattern)
            chosen.append(lowest(unit.scores, unit.gains, 0 if layer.idle else wanted - layer.zeros))
        return chosen
    total = sum(layer.size for layer in layers)
    need = _wanted(sparsity, total, round(sparsity * total), pattern) - sum(layer.zeros for layer in layers)
    parts: dict[int, Tensor] = {}
    for i, (layer, unit) in enumerate(zip(layers, units, strict=True)):
        if layer.ratio is not None:
            share = sparsity * layer.ratio
            own = min(layer.cap, _wanted(share, layer.size, round(share * layer.size), pattern)) - layer.zeros
            parts[i] = lowest(unit.scores, unit.gains, 0 if layer.idle else min(own, need))
            need -= int(unit.gains[parts[i]].sum())
    pool = [(layer, unit) for layer, unit, is_in in zip(layers, units, pooled, strict=True) if is_in]
    found = iter(_from_pool([layer for layer, _ in pool], [unit for _, unit in pool], need))
    return [next(found) if is_in else parts[i] for i, is_in in enumerate(pooled)]


def layer_zeros(layers: Sequence[Layer], sparsity: float) -> list[int]:
    """How many weights of each layer are zero at the overall `sparsity` if layers have ratios.

    A layer wants round(ratio * sparsity * size); what its cap forbids goes to the other layers, in proportion
    to what they want.
    """
    wants = {i: (layer.ratio or 0.0) * layer.size for i, layer in enumerate(layers)}
    zeros = [layer.cap for layer in layers]
    rest, level = sparsity * sum(layer.size for layer in layers), sparsity
    while full := [i for i, want in wants.items() if round(level * want) > layers[i].cap]:
        for i in full:
            rest -= layers[i].cap
            del wants[i]
        level = max(0.0, rest) / (sum(wants.values()) or 1.0)
    for i, want in wants.items():
        zeros[i] = round(level * want)
    return zeros


def lowest(scores: Tensor, gains: Tensor, need: int) -> Tensor:
    """The units (bool, shape of `scores`) with the lowest scores whose `gains` sum to at most `need`.

    Units without gain have the score -inf; whether they are chosen means nothing. Bool gains, of
    units of one weight, need no sorting.
    """
    chosen = torch.zeros_like(scores, dtype=torch.bool)
    if need <= 0:
        return chosen
    if gains.dtype != torch.bool:
        order = scores.argsort(stable=True)
        count = int((gains[order].cumsum(0) <= need).sum())
        chosen[order[:count]] = True
        return chosen
    count = need + len(scores) - int(gains.count_nonzero())
    if count >= len(scores):
        return torch.ones_like(chosen)
    threshold = _smallest(scores, count)
    torch.lt(scores, threshold, out=chosen)
    ties = (scores == threshold).nonzero()[: count - int(chosen.count_nonzero()), 0]
    chosen[ties] = True
    return chosen


def _wanted(sparsity: float, size: int, zeros: int, pattern: Pattern) -> int:
    return size if pattern.keep and sparsity >= pattern.limit - 1e-12 else zeros


def _from_pool(layers: Sequence[Layer], units: Sequence[Units], need: int) -> list[Tensor]:
    """Return the lowest units of all layers together, except those that a layer needs for its cap."""
    scores = []
    for layer, unit in zip(layers, units, strict=True):
        if layer.cap < layer.size:
            free = lowest(unit.scores, unit.gains, layer.cap - layer.zeros)
            scores.append(unit.scores.masked_fill(~free & (unit.gains > 0), torch.inf))
        else:
            scores.append(unit.scores)
    pool = torch.cat(scores)
    gains = torch.cat([unit.gains for unit in units])
    chosen = lowest(pool, gains, need)
    sizes = [len(unit.scores) for unit in units]
    return list((chosen & (pool < torch.inf)).split(sizes))  # type: ignore[no-untyped-call]


def _smallest(values: Tensor, k: int) -> Tensor:
    """Return the k-th smallest of `values`, a scalar. On a CPU NumPy is four times as fast as kthvalue."""
    if values.device.type == "cpu":
        return torch.from_numpy(np.partition(values.numpy(), k - 1)[k - 1 : k])[0]
    return values.kthvalue(k).values
