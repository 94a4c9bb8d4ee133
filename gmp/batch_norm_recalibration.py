"""Recalibration of batch normalisation after pruning: means and variances are measured again without
training.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from gmp.errors import PruningError
from gmp.example_batches import Forward, check_several, run
from gmp.number_checks import is_count


@torch.no_grad()
def recalibrate_batch_norm(
    model: nn.Module, batches: Iterable[Any], *, limit: int | None = None, forward: Forward | None = None
) -> int:
    """Replace the running statistics of all batch norms by their average over batches.

    Parameters
    ----------
    model : nn.Module
        Model whose batch norms are changed in place. It keeps its training mode.
    batches : iterable of Tensor, tuple or mapping
        Batches: tensors, tuples that begin with the inputs, or mappings of inputs by name, as
        `gmp.example_batches` describes them.
    limit : int, optional
        Largest number of batches that are used; by default all.
    forward : callable, optional
        Called as ``forward(model, batch)`` in place of the model, for batches of any other kind.

    Returns
    -------
    int
        Number of batch norms with running statistics; 0 if the model has none and nothing was done.

    Raises
    ------
    PruningError
        If `limit` is not a positive integer, or if `batches` is a single batch or empty. The old statistics
        are kept then, as they are after any other error.

    Notes
    -----
    Pruning shifts the distribution of the inputs of batch norms, which can cost more accuracy than the
    missing weights themselves. Every batch has the same weight in the average. All other modules run in
    evaluation mode, so dropout is off, and no parameter is trained.
    """
    if limit is not None and not is_count(limit):
        raise PruningError(f"limit must be a positive whole number, got {limit!r}")
    check_several(batches)
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and _tracks(module)]
    if not norms:
        return 0
    with _restored(model, norms):
        model.eval()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain average of all batches
            norm.train()
        count = 0
        for batch in islice(batches, limit):
            run(model, batch, forward, during="the recalibration of batch norms")
            count += 1
        if not count:
            raise PruningError("batches is empty; the statistics of batch norms need at least one batch")
    return len(norms)


def _tracks(norm: _BatchNorm) -> bool:
    return norm.running_mean is not None


@contextmanager
def _restored(model: nn.Module, norms: list[_BatchNorm]) -> Iterator[None]:
    """Restore modes and momenta at the end, and after an error the statistics, too."""
    modes = [(module, module.training) for module in model.modules()]
    momenta = [norm.momentum for norm in norms]
    statistics = [[buffer.clone() for buffer in norm.buffers(recurse=False)] for norm in norms]
    try:
        yield
    except BaseException:
        for norm, saved in zip(norms, statistics, strict=True):
            for buffer, value in zip(norm.buffers(recurse=False), saved, strict=True):
                buffer.copy_(value)
        raise
    finally:
        for module, training in modes:
            module.training = training
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
