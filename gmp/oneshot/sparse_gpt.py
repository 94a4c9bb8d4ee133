"""SparseGPT (Frantar and Alistarh 2023, algorithm 1): mask and update in one walk over the columns."""

import torch
from torch import Tensor

from gmp.oneshot.kept_weights import column_groups, lowest_removed
from gmp.oneshot.least_squares import damped
from gmp.patterns import Pattern

BLOCK = 128  # columns whose mask is chosen together


def sparse_gpt(
    weights: Tensor, moments: Tensor, damping: float, pruned_count: int | None, pattern: Pattern, inputs: int
) -> tuple[Tensor, Tensor]:
    """Return new weights (rows, columns) of one group and their mask.

    The error of a pruned column is pushed to the columns right of it by the rows of U, the upper Cholesky
    factor of the inverse of H. Masks of n:m are chosen when the first column of their group is reached,
    others for blocks of columns, in proportion. Scores are w^2 / U_jj^2, and 0 for inputs that are always
    zero.
    """
    columns = weights.shape[1]
    w, live = weights.clone(), torch.ones_like(weights, dtype=torch.bool)
    upper = torch.linalg.cholesky(torch.linalg.inv(damped(moments, damping)), upper=True)
    dead = moments.diagonal() == 0
    groups = (
        column_groups(columns, inputs, pattern.columns or 1)
        if pruned_count is None
        else [slice(i, min(i + BLOCK, columns)) for i in range(0, columns, BLOCK)]
    )
    before = 0
    for place in groups:
        scores = (w[:, place] / upper.diagonal()[place]).square().masked_fill(dead[place], 0.0)
        if pruned_count is None:
            live[:, place] = lowest_removed(scores, None, pattern, place.stop - place.start)
        else:
            until = round(pruned_count * place.stop / columns)
            live[:, place] = lowest_removed(scores, until - before, pattern, inputs)
            before = until
        for j in range(place.start, place.stop):
            error = torch.where(live[:, j], 0.0, w[:, j]) / upper[j, j]
            w[:, j:] -= error[:, None] * upper[j, j:]
            w[:, j].masked_fill_(~live[:, j], 0.0)
    return w, live
