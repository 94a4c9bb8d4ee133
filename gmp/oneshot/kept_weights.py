"""Selection of the weights of one group (rows, columns) that stay, with exact counts even in case of ties.

`pruned_count` is the number of pruned weights of the group; None for n:m, where each m adjacent columns keep
n. The last group of a kernel position may have fewer than m columns and keeps n of them too.
"""

import math

import torch
from torch import Tensor

from gmp.oneshot.least_squares import damped
from gmp.patterns import Pattern
from gmp.sparsity_allocation import lowest


def lowest_removed(scores: Tensor, pruned_count: int | None, pattern: Pattern, inputs: int) -> Tensor:
    """Return True for the weights that stay: all but those with the lowest scores."""
    if pruned_count is not None:
        gone = lowest(scores.flatten(), torch.ones(scores.numel(), dtype=torch.bool), pruned_count)
        return ~gone.reshape(scores.shape)
    live = torch.ones_like(scores, dtype=torch.bool)
    for columns in column_groups(scores.shape[1], inputs, pattern.columns or 1):
        part = scores[:, columns]
        order = part.sort(dim=1, descending=True, stable=True).indices
        live[:, columns] = torch.zeros_like(part, dtype=torch.bool).scatter(1, order[:, : pattern.keep], True)
    return live


def lowest_of_rows(scores: Tensor, pruned_count: int) -> Tensor:
    """Choose the same number of weights in each row, as Wanda does; the first rows lose the remainder."""
    rows = len(scores)
    each, more = divmod(pruned_count, rows)
    rank = scores.sort(dim=1, stable=True).indices.argsort(dim=1)
    counts = torch.full((rows, 1), each) + (torch.arange(rows)[:, None] < more)
    return rank >= counts


def column_groups(columns: int, inputs: int, m: int) -> list[slice]:
    """The groups of an n:m pattern; `inputs` columns belong to a kernel position."""
    starts = [(p, i) for p in range(0, columns, inputs) for i in range(0, inputs, m)]
    return [slice(p + i, p + min(i + m, inputs)) for p, i in starts]


def wanda_scores(weights: Tensor, moments: Tensor) -> Tensor:
    """|w| times the norm of its input (Sun et al. 2023, equation 1)."""
    return weights.abs() * moments.diagonal().sqrt()


def surgeon_mask(
    weights: Tensor, moments: Tensor, damping: float, pruned_count: int | None, pattern: Pattern, inputs: int
) -> Tensor:
    """Weights that stay when each row loses, one at a time, the one that costs its outputs least.

    Each row is followed to its end, then the cheapest removals of all rows are taken (Frantar and Alistarh
    2022, OBC, algorithms 1 and 2). Removals of a row keep their order: each costs what it and those before
    it cost in the mean.
    """
    rows, columns = weights.shape
    inverse = torch.linalg.inv(damped(moments, damping))
    step = max(1, 2**25 // (columns * columns))
    parts = [
        _row_removals(part, inverse, moments.diagonal() == 0, pattern, inputs)
        for part in weights.split(step)  # type: ignore[no-untyped-call]
    ]
    order, loss = (torch.cat([part[i] for part in parts]) for i in (0, 1))
    if pruned_count is None:
        gone = torch.zeros_like(weights, dtype=torch.bool)
        return ~gone.scatter(1, order, True)
    chosen = lowest(
        loss.cummax(dim=1).values.flatten(), torch.ones(rows * columns, dtype=torch.bool), pruned_count
    ).reshape(rows, columns)
    counts = chosen.sum(dim=1)
    gone = torch.zeros_like(weights, dtype=torch.bool)
    return ~gone.scatter(1, order, torch.arange(columns) < counts[:, None])


def _row_removals(
    weights: Tensor, inverse: Tensor, dead: Tensor, pattern: Pattern, inputs: int
) -> tuple[Tensor, Tensor]:
    """Return the columns of each row in the order of their removal, and the cost of each removal."""
    rows, columns = weights.shape
    w, h = weights.clone(), inverse.expand(rows, columns, columns).clone()
    gone = torch.zeros_like(w, dtype=torch.bool)
    m = pattern.columns or 1
    groups = column_groups(columns, inputs, m) if pattern.keep else []
    index = torch.empty(columns, dtype=torch.long)
    for k, place in enumerate(groups):
        index[place] = k
    left = torch.tensor([max(0, g.stop - g.start - pattern.keep) for g in groups]).expand(rows, -1).clone()
    steps = int(left[0].sum()) if groups else columns
    order = torch.empty(rows, steps, dtype=torch.long)
    loss = torch.empty(rows, steps, dtype=w.dtype)
    every = torch.arange(rows)
    for i in range(steps):
        diagonal = h.diagonal(dim1=1, dim2=2)
        score = (w.square() / diagonal.clamp_min(torch.finfo(w.dtype).tiny)).masked_fill(dead, 0.0)
        closed = gone if not groups else gone | (left[:, index] <= 0)
        loss[:, i], column = score.masked_fill(closed, math.inf).min(dim=1)
        order[:, i] = column
        gone[every, column] = True
        if groups:
            left[every, index[column]] -= 1
        pivot = h[every, column, column][:, None]
        line = h[every, column]
        w = (w - w[every, column][:, None] / pivot * line).masked_fill(gone, 0.0)
        h -= (line / pivot)[:, :, None] * line[:, None, :]
    return order, loss
