"""Prune and train in rounds, with learning rates or weights rewound."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gmp.errors import PruningError
from gmp.number_checks import fraction, whole
from gmp.optimizer_steps import optimizers_of
from gmp.pruner import Pruner

RATES = {"rewind": 1.0, "tenth": 0.1}


class IterativeRound(NamedTuple):
    """One round of `prune_iteratively`.

    Parameters
    ----------
    sparsity : float
        Sparsity of the pruner in this round.
    outcome : object
        What ``train`` returned.
    """

    sparsity: float
    outcome: Any


class RewindPoint:
    """Copy of weights, buffers and optimizers at a step, to go back to.

    Parameters
    ----------
    model : nn.Module
        The model.
    optimizer : Optimizer or sequence of Optimizer, optional
        Its optimizers.

    Raises
    ------
    PruningError
        If the optimizer is none.

    Examples
    --------
    >>> import torch
    >>> from gmp import RewindPoint
    >>> model = torch.nn.Linear(2, 2)
    >>> point = RewindPoint(model)
    >>> _ = torch.nn.init.zeros_(model.weight)
    >>> point.restore()
    >>> bool(model.weight.any())
    True
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer | list[Optimizer] | None = None) -> None:
        self._model, self._optimizers = model, optimizers_of(optimizer)
        self._state = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self._steps = [copy.deepcopy(each.state_dict()) for each in self._optimizers]

    @torch.no_grad()
    def restore(self, pruner: Pruner | None = None) -> None:
        """Put everything back, in place.

        Parameters
        ----------
        pruner : Pruner, optional
            Pruner of the model, whose masks stay.

        Raises
        ------
        PruningError
            If the pruner is finalized.
        """
        for name, value in self._model.state_dict().items():
            value.copy_(self._state[name])
        for optimizer, state in zip(self._optimizers, self._steps, strict=True):
            optimizer.load_state_dict(copy.deepcopy(state))
        if pruner is not None:
            pruner.apply()


def prune_iteratively(
    pruner: Pruner,
    sparsity: float,
    rounds: int,
    train: Callable[[], object],
    *,
    rate: Literal["rewind", "tenth"] = "rewind",
    weights: RewindPoint | None = None,
) -> list[IterativeRound]:
    """Prune and train several times, by the same share of what is left each time.

    Parameters
    ----------
    pruner : Pruner
        Pruner of the model, with its optimizers; also a `ChannelPruner`.
    sparsity : float
        Sparsity after the last round.
    rounds : int
        Number of rounds.
    train : callable
        Called without arguments after each pruning. Trains the model, with `Pruner.apply` after each step,
        and makes its own schedule of learning rates from those that the optimizer has then.
    rate : {"rewind", "tenth"}, default "rewind"
        Learning rates of the optimizers at the beginning of each round: those from before the first, or a
        tenth of these.
    weights : RewindPoint, optional
        Point in an earlier training that weights, buffers and optimizers go back to after each pruning.

    Returns
    -------
    list of IterativeRound
        Sparsity and result of each round.

    Raises
    ------
    PruningError
        If options do not fit, before anything is pruned, or if ``train`` returns a number that is not finite.

    Notes
    -----
    Training with the whole schedule of learning rates again after each pruning is as good as going back to
    early weights, and better than small rates (Renda, Frankle and Carbin 2020). After round i of n the
    sparsity is 1 - (1 - sparsity)^(i / n).

    Examples
    --------
    >>> import torch
    >>> from gmp import Pruner, prune_iteratively
    >>> model = torch.nn.Linear(10, 10)
    >>> pruner = Pruner(model, torch.optim.SGD(model.parameters(), lr=0.1))
    >>> found = prune_iteratively(pruner, 0.75, 2, train=lambda: None)
    >>> [each.sparsity for each in found]
    [0.5, 0.75]
    """
    rounds, sparsity = whole(rounds, "rounds"), fraction(sparsity, "the sparsity")
    if rate not in RATES:
        raise PruningError(f"rate is {rate!r}; it must be 'rewind' or 'tenth'")
    pruner.check(sparsity)
    groups = [group for each in optimizers_of(pruner.optimizer) for group in each.param_groups]
    if not groups:
        raise PruningError("the pruner has no optimizer, whose learning rates are set for each round")
    start = [_copied(group["lr"]) for group in groups]
    found = []
    for i in range(1, rounds + 1):
        pruner.prune(max(pruner.sparsity, 1 - (1 - sparsity) ** (i / rounds) if i < rounds else sparsity))
        if weights is not None:
            weights.restore(pruner)
        groups = [group for each in optimizers_of(pruner.optimizer) for group in each.param_groups]
        for group, lr in zip(groups, start, strict=True):
            group["lr"] = _copied(lr) * RATES[rate]
            group.pop("initial_lr", None)  # a schedule of the previous round
        outcome = train()
        if isinstance(outcome, float) and not math.isfinite(outcome):
            raise PruningError(f"train returned {outcome} in round {i}")
        found.append(IterativeRound(pruner.sparsity, outcome))
    return found


def _copied(rate: Any) -> Any:
    """Copy a learning rate, which may be a tensor that a schedule changes in place."""
    return rate.clone() if isinstance(rate, Tensor) else rate
