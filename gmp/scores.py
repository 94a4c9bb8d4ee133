"""Scores of weights: weights with the lowest scores are pruned first.

A score is a function of (name, weight, gradient or None) that gives a finite number for each weight. `weight`
holds the values in single precision at least; it is the parameter itself if the score has a true attribute
`takes_parameters`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gmp.errors import PruningError
from sparsim.errors import near

Score = Callable[[str, Tensor, Tensor | None], Tensor]


def magnitude(name: str, weight: Tensor, grad: Tensor | None) -> Tensor:
    """Return the absolute value of each weight.

    Parameters
    ----------
    name : str
        Name of the weight, which this score does not use.
    weight : Tensor
        Weights, of any shape.
    grad : Tensor or None
        Gradient, which this score does not use.

    Returns
    -------
    Tensor
        Scores, of the shape of `weight`.

    Notes
    -----
    The score is ``|w|`` (Han et al. 2015, section 3).

    Examples
    --------
    >>> import torch
    >>> from gmp import magnitude
    >>> magnitude("fc.weight", torch.tensor([0.5, -2.0]), None)
    tensor([0.5000, 2.0000])
    """
    return weight.abs()


def taylor(name: str, weight: Tensor, grad: Tensor | None) -> Tensor:
    """Return the first-order estimate of how much the loss changes without each weight.

    Parameters
    ----------
    name : str
        Name of the weight, for messages.
    weight : Tensor
        Weights, of any shape.
    grad : Tensor or None
        Gradient of the loss, of the shape of `weight`.

    Returns
    -------
    Tensor
        Scores, of the shape of `weight`.

    Raises
    ------
    PruningError
        If there is no gradient.

    Notes
    -----
    The score is ``|w dL/dw|`` (Molchanov et al. 2017, section 2.2).
    """
    if grad is None:
        raise PruningError(
            f"the score 'taylor' needs the gradient of '{name}', which has none; prune after backward() and "
            "before zero_grad()"
        )
    return (weight * grad).abs()


def lamp(name: str, weight: Tensor, grad: Tensor | None) -> Tensor:
    """Return the square of each weight relative to those of the weights of its tensor that are not smaller.

    Parameters
    ----------
    name : str
        Name of the weight, which this score does not use.
    weight : Tensor
        Weights, of any shape.
    grad : Tensor or None
        Gradient, which this score does not use.

    Returns
    -------
    Tensor
        Scores above 0 and up to 1 in double precision, of the shape of `weight`; 0 for weights that are zero.

    Notes
    -----
    The score of w is w^2 divided by the sum of v^2 over all v of the tensor with ``|v| >= |w|`` (Lee et al.
    2021, equation 4). Among equal weights, the sum of the first one includes the others. Layers of any scale
    can compete in one pool, and no layer loses all of its weights, since the largest weight of each has the
    score 1.

    Examples
    --------
    >>> import torch
    >>> from gmp import lamp
    >>> lamp("fc.weight", torch.tensor([1.0, -2.0]), None)
    tensor([0.2000, 1.0000], dtype=torch.float64)
    """
    squares = weight.flatten().double().square()
    ordered, order = squares.sort(stable=True)
    rest = ordered.flip(0).cumsum(0).flip(0)
    scores = torch.empty_like(squares)
    scores[order] = ordered / rest.clamp_min(torch.finfo(rest.dtype).tiny)
    return scores.view_as(weight)


class Movement:
    """Score that is low where training moves weights towards zero.

    Notes
    -----
    The score is the negative sum of w dL/dw over the steps (Sanh et al. 2020, equation 3). The pruner adds w
    dL/dw of every step of its optimizers (see `gmp.optimizer_gradients`): once a step, however many backward
    passes the gradient was accumulated in, and once for every time that a closure was evaluated. The learning
    rate, a common factor, is left out.
    """

    def __init__(self) -> None:
        self.totals: dict[str, Tensor] = {}

    def add(self, name: str, moved: Tensor) -> None:
        """Count the movement of one step.

        Parameters
        ----------
        name : str
            Name of the weight.
        moved : Tensor
            Product of weight and gradient, of the shape of the weight.
        """
        if name in self.totals:
            self.totals[name] = self.totals[name].to(moved.device) - moved
        else:
            self.totals[name] = -moved

    def __call__(self, name: str, weight: Tensor, grad: Tensor | None) -> Tensor:
        """Return the scores of a weight.

        Parameters
        ----------
        name : str
            Name of the weight.
        weight : Tensor
            Weights, of which only the device is used.
        grad : Tensor or None
            Gradient, which is not used: those of the steps were counted by `add`.

        Returns
        -------
        Tensor
            Scores, of the shape of the weight.

        Raises
        ------
        PruningError
            If no gradient of this weight was counted yet.
        """
        if name not in self.totals:
            raise PruningError(
                f"the score 'movement' has seen no gradient of '{name}'; make at least one step with its "
                "gradient, with an optimizer that the pruner was given"
            )
        return self.totals[name].to(weight.device)

    def state_dict(self) -> dict[str, Tensor]:
        """Return copies of the sums so far.

        Returns
        -------
        dict of str to Tensor
            Sum of each weight, by name.
        """
        return {name: total.clone() for name, total in self.totals.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over the sums of `state_dict`.

        Parameters
        ----------
        state : dict of str to Tensor
            Sum of each weight, by name.
        """
        self.totals = {name: total.clone() for name, total in state.items()}


SCORES: dict[str, Callable[[], Score]] = {
    "magnitude": lambda: magnitude,
    "lamp": lambda: lamp,
    "taylor": lambda: taylor,
    "movement": Movement,
}


def score_of(score: str | Score) -> Score:
    """Return the score called `score`, or `score` itself if it is callable. Raises PruningError."""
    if isinstance(score, str) and score in SCORES:
        return SCORES[score]()
    if isinstance(score, str) or not callable(score):
        raise PruningError(f"unknown score {score!r}", hint=near(str(score), SCORES))
    return score


@torch.no_grad()
def evaluate(score: Score, name: str, weight: Tensor) -> Tensor:
    """Return the scores of `weight`, in its shape and at least in single precision. Raises PruningError if
    they are not finite.
    """
    given = weight if getattr(score, "takes_parameters", False) else wide(weight)
    values: Any = score(name, given, None if weight.grad is None else wide(weight.grad))
    if not isinstance(values, Tensor) or values.shape != weight.shape:
        seen = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise PruningError(
            f"the score of '{name}' must be a tensor of shape {tuple(weight.shape)}, got {seen}"
        )
    scores = wide(values)
    if not bool(scores.sum().isfinite()) and not bool(scores.isfinite().all()):
        what = "weights" if not bool(weight.isfinite().all()) else "scores"
        if what == "scores" and weight.grad is not None and not bool(wide(weight.grad).isfinite().all()):
            what = "scores, and gradients,"
        raise PruningError(f"some {what} of '{name}' are not finite numbers")
    return scores


def evaluate_all(
    score: Score, weights: Mapping[str, Tensor], lives: Sequence[Tensor], *, needed: bool
) -> list[Tensor]:
    """Scores of the weights, of which `lives` (bool) are left to be pruned.

    Raises PruningError if scores are `needed` and all of them are zero, as where gradients were cleared: the
    order of the weights would then be that of their positions.
    """
    scores = [evaluate(score, name, weight) for name, weight in weights.items()]
    pairs = list(zip(scores, lives, strict=True))
    if needed and not any(bool((values * live.to(values.device)).any()) for values, live in pairs):
        raise PruningError(
            "the scores of all weights are zero and say nothing; of a score of gradients: prune after "
            "backward() and before zero_grad(), and after steps that were not skipped"
        )
    return scores


def wide(values: Tensor) -> Tensor:
    """Return `values` as dense and detached, at least in single precision, because products of halves
    underflow.
    """
    values = values.detach().to_dense() if values.is_sparse else values.detach()
    return values.to(torch.promote_types(values.dtype, torch.float32))
