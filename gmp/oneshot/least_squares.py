"""Masked least squares: the weights with given zeros whose outputs are nearest to the layer's.

For each row, w' minimises (w' - w)^T H (w' - w) + damping |w' - w|^2 over the columns S that stay:
w'_S = (H_SS + damping)^-1 ((H + damping) w)_S. The damping pulls towards the weights as they are, not to
zero, so that inputs that are always zero leave theirs alone.
"""

import torch
from torch import Tensor

ROWS_AT_ONCE = 2**26  # most elements of the matrices of several rows at a time


def damped(moments: Tensor, damping: float) -> Tensor:
    """Return H with `damping` times its mean diagonal added, and 1 for inputs that are always zero."""
    diagonal = moments.diagonal(dim1=-2, dim2=-1)
    mean = diagonal.mean(dim=-1, keepdim=True)
    added = damping * mean + (diagonal == 0) * mean.clamp_min(torch.finfo(moments.dtype).tiny)
    added = torch.where(mean > 0, added, 1.0)
    return moments + torch.diag_embed(added.expand_as(diagonal))


def refitted(weights: Tensor, live: Tensor, moments: Tensor, damping: float) -> Tensor:
    """Return weights (rows, columns) of one group, zero where not `live`. No row approximates its outputs
    worse than before.
    """
    h = damped(moments, damping)
    found = weights * live
    wanted = weights @ h
    counts = live.sum(dim=1)
    for count in counts.unique().tolist():
        rows = torch.nonzero(counts == count)[:, 0]
        if not count or count == weights.shape[1]:
            continue
        columns = live[rows].nonzero()[:, 1].reshape(len(rows), count)
        step = max(1, ROWS_AT_ONCE // (count * count))
        for part, chosen in zip(rows.split(step), columns.split(step), strict=True):  # type: ignore[no-untyped-call]
            matrices = h[chosen[:, :, None], chosen[:, None, :]]
            targets = wanted[part].gather(1, chosen)[..., None]
            solved = torch.cholesky_solve(targets, torch.linalg.cholesky(matrices))[..., 0]
            found[part] = torch.zeros_like(found[part]).scatter(1, chosen, solved)
    worse = output_error(found, weights, moments) > output_error(weights * live, weights, moments)
    better = ~worse & torch.isfinite(found).all(dim=1)
    return torch.where(better[:, None], found, weights * live)


def output_error(found: Tensor, weights: Tensor, moments: Tensor) -> Tensor:
    """Return the squared error of the outputs of each row, summed over the calibration data."""
    change = found - weights
    return ((change @ moments) * change).sum(dim=1)
