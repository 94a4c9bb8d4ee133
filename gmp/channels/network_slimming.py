"""Network slimming (Liu et al. 2017): penalties that drive channels to zero while a network is trained.

The penalty is not part of the loss. It is a proximal step after each step of the optimizer. It therefore
reaches exact zeros, and has the same effect with Adam, with loss scaling and with accumulated gradients.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import Optimizer

from gmp.channels.channel_records import ChannelGroup, ChannelGroups
from gmp.channels.channel_scores import norm_scale, scales_of
from gmp.channels.narrow_layers import output_axis
from gmp.errors import PruningError, PruningWarning
from gmp.number_checks import above_zero, fraction, whole
from gmp.optimizer_steps import StepWatch, optimizers_of
from gmp.parameter_names import module_called

PENALTIES = ("l1", "l2", "group")


class _Penalised(NamedTuple):
    """A parameter, the axis of its channels, and which of them belong to each unit (units, k)."""

    parameter: nn.Parameter
    axis: int
    indices: Tensor


class ChannelPenalty:
    """Penalty on the scales or weights of channels, applied after each step of the optimizer.

    Parameters
    ----------
    model : nn.Module
        Model that is trained.
    groups : ChannelGroups
        Its groups of coupled channels.
    optimizer : Optimizer or sequence of Optimizer
        One or several optimizers; the penalty follows their learning rates.
    strength : float
        Strength of the penalty, above 0.
    penalty : {"l1", "l2", "group"}, default "l1"
        "l1" subtracts learning rate * strength from every absolute value; "l2" multiplies by 1 / (1 +
        learning rate * strength); "group" subtracts from the Euclidean norm of all parameters of a channel.
    on : {"norms", "weights"}, default "norms"
        Whether scales of norms are penalised (network slimming), or the weights that make the channels.
    steps : int, optional
        Number of steps of the training; if the penalty cannot reach zero within them, there is a warning.

    Attributes
    ----------
    skipped : tuple of str
        Groups without a norm for each of their layers, which are not penalised.

    Raises
    ------
    PruningError
        If options do not fit, if no group has norms with scales, or if the optimizer holds none of the
        parameters.

    Warns
    -----
    PruningWarning
        If `steps` are too few for a scale to fall from its median to zero.

    Notes
    -----
    With "l1" scales reach exact zeros: the step is gamma <- sign(gamma) max(|gamma| - lr * strength, 0). A
    subgradient in the loss would oscillate around zero, and Adam would rescale it. Weight decay of the
    optimizer acts on scales too; unless it is small, put the scales into a parameter group without it. The
    length of weights before a norm has no meaning, so use "weights" only for networks without norms.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from gmp.channels import ChannelPenalty, channel_groups
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    >>> penalty = ChannelPenalty(model, channel_groups(model, torch.zeros(1, 4)), optimizer, strength=0.5)
    >>> penalty.step()
    >>> model[1].weight[0].item()
    0.75
    """

    def __init__(
        self,
        model: nn.Module,
        groups: ChannelGroups,
        optimizer: Optimizer | Sequence[Optimizer],
        strength: float,
        *,
        penalty: Literal["l1", "l2", "group"] = "l1",
        on: Literal["norms", "weights"] = "norms",
        steps: int | None = None,
    ) -> None:
        self.strength, self.penalty = above_zero(strength, "the strength"), penalty
        if penalty not in PENALTIES:
            raise PruningError(f"penalty is {penalty!r}; it must be l1, l2 or group")
        if on not in ("norms", "weights"):
            raise PruningError(f"on is {on!r}; it must be norms or weights")
        used = [group for group in groups if on == "weights" or has_norms(model, group)]
        self.skipped = tuple(group.name for group in groups if group not in used)
        if not used:
            raise PruningError(
                "no group has norms with scales for all of its layers; on='weights' needs none"
            )
        self._units = [_penalised(model, group, on) for group in used]
        self._optimizers = optimizers_of(optimizer)
        self._rates = self._rates_by_parameter()
        self._watch, self._seen = StepWatch(self._optimizers), 0
        if steps is not None and penalty != "l2":
            self._check_reach(whole(steps, "steps"))

    @torch.no_grad()
    def step(self) -> None:
        """Take the step of the penalty, if the optimizers have stepped since the last one."""
        if not self._watch.stepped_since(self._seen):
            return
        self._seen = self._watch.count
        for unit in self._units:
            if self.penalty == "group":
                self._shrink_norms(unit)
            else:
                for parameter, axis, indices in unit:
                    self._shrink(parameter, axis, indices)

    def close(self) -> None:
        """Remove the hooks from the optimizers."""
        self._watch.close()

    def _shrink(self, parameter: nn.Parameter, axis: int, indices: Tensor) -> None:
        index, amount = indices.flatten().to(parameter.device), self._amount(parameter)
        part = parameter.index_select(axis, index)
        part = (
            part / (1 + amount) if self.penalty == "l2" else part.sign() * (part.abs() - amount).clamp(min=0)
        )
        parameter.index_copy_(axis, index, part)

    def _shrink_norms(self, unit: list[_Penalised]) -> None:
        """Shrink the norm of all weights that belong to each channel."""
        squares = sum(
            parameter.movedim(axis, 0).flatten(1).square().sum(dim=1)[indices].sum(dim=1).cpu()
            if parameter.dim() > 1 else parameter.square()[indices].sum(dim=1).cpu()
            for parameter, axis, indices in unit
        )  # fmt: skip
        assert isinstance(squares, Tensor)
        norms = squares.sqrt()
        for parameter, axis, indices in unit:
            factor = (1 - self._amount(parameter) / norms.clamp(min=1e-30)).clamp(min=0)
            each = torch.ones(parameter.shape[axis], dtype=parameter.dtype)
            each[indices.flatten()] = factor.to(each.dtype).repeat_interleave(indices.shape[1])
            shape = [-1 if i == axis else 1 for i in range(parameter.dim())]
            parameter.mul_(each.reshape(shape).to(parameter.device))

    def _amount(self, parameter: nn.Parameter) -> float:
        optimizer, i = self._rates[parameter]
        return float(optimizer.param_groups[i]["lr"]) * self.strength

    def _rates_by_parameter(self) -> dict[nn.Parameter, tuple[Optimizer, int]]:
        held = {
            parameter: (optimizer, i)
            for optimizer in self._optimizers
            for i, group in enumerate(optimizer.param_groups)
            for parameter in group["params"]
        }
        for unit in self._units:
            for parameter, _, _ in unit:
                if parameter not in held:
                    raise PruningError(
                        "the optimizer does not hold what is penalised; is it of another model?"
                    )
        return held

    def _check_reach(self, steps: int) -> None:
        values = torch.cat([
            parameter.detach().abs().flatten().cpu() for unit in self._units for parameter, _, _ in unit
        ])  # fmt: skip
        fall = steps * max(self._amount(parameter) for unit in self._units for parameter, _, _ in unit)
        if fall < float(values.median()):
            warnings.warn(
                f"in {steps} steps the penalty takes at most {fall:.3g} from a value, and their median is "
                f"{float(values.median()):.3g}: raise strength, or train longer",
                PruningWarning, stacklevel=3,
            )  # fmt: skip


@dataclass(frozen=True)
class Slimmed:
    """Result of `slim`.

    Parameters
    ----------
    kept : dict of str to int
        Number of channels left, by the group's name.
    threshold : float
        Largest absolute scale that was set to zero.
    held : tuple of str
        Groups that keep channels below the threshold, because none or too few would be left.
    skipped : tuple of str
        Groups without a norm for each of their layers.
    """

    kept: dict[str, int]
    threshold: float
    held: tuple[str, ...]
    skipped: tuple[str, ...]


@torch.no_grad()
def slim(model: nn.Module, groups: ChannelGroups, share: float, *, least: int = 1) -> Slimmed:
    """Set the smallest scales of norms to zero, so that `narrow` removes their channels.

    Parameters
    ----------
    model : nn.Module
        Model, which is changed in place.
    groups : ChannelGroups
        Its groups of coupled channels.
    share : float
        Share of the channels of all groups with norms that is set to zero, by one threshold for all.
    least : int, default 1
        Smallest number of channels of each group.

    Returns
    -------
    Slimmed
        Numbers of channels that are left, and the threshold.

    Raises
    ------
    PruningError
        If no group has norms with scales, or if `least` channels per group are more than the share leaves.

    Notes
    -----
    Exactly ``round(share * channels)`` channels are set to zero; channels with equal scales are taken in the
    order of the model. Shifts of norms are not changed: a channel whose scale is zero is a constant, which
    `narrow` folds into the following layers.
    """
    used = [group for group in groups if has_norms(model, group)]
    skipped = tuple(group.name for group in groups if group not in used)
    if not used:
        raise PruningError("no group has norms with scales for all of its layers")
    scores = [norm_scale(model, group) for group in used]
    total, spare = sum(map(len, scores)), sum(max(0, len(each) - whole(least, "least")) for each in scores)
    count = round(fraction(share, "share") * total)
    if count > spare:
        raise PruningError(
            f"{share:g} of {total} channels are {count}; with {least} left in each group {spare} can go"
        )
    for each in scores:  # the largest of each group stay
        each[each.argsort(descending=True, stable=True)[:least]] = torch.inf
    every = torch.cat(scores)
    gone = torch.zeros(total, dtype=torch.bool)
    gone[every.argsort(stable=True)[:count]] = True
    threshold = float(every[gone].max()) if count else 0.0
    kept, held = {}, []
    for group, score, zero in zip(used, scores, gone.split([len(each) for each in scores]), strict=True):
        if bool(score[~zero].isinf().all()) and count and len(score) > least:
            held.append(group.name)
        for scale, indices in scales_of(model, group):
            scale[indices[zero].flatten().to(scale.device)] = 0
        kept[group.name] = int((~zero).sum())
    return Slimmed(kept, threshold, tuple(held), skipped)


def has_norms(model: nn.Module, group: ChannelGroup) -> bool:
    """Return whether each layer that makes the channels of a group is followed by a norm with scales."""
    norms = [m for m in group.members if isinstance(module_called(model, m.module), _NormBase)]
    return len(norms) == len(scales_of(model, group)) >= len(group.layers("outputs"))


def _penalised(model: nn.Module, group: ChannelGroup, on: str) -> list[_Penalised]:
    if on == "norms":
        return [_Penalised(scale, 0, indices) for scale, indices in scales_of(model, group)]
    found = []
    for member in group.members:
        if member.role == "outputs":
            module = module_called(model, member.module)
            weight = module.weight
            assert isinstance(weight, nn.Parameter)
            found.append(_Penalised(weight, output_axis(module), member.indices))
    return found
