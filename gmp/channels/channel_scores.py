"""Scores of channels: estimates from weights of how much a network loses without them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from gmp.channels.channel_records import ChannelGroup, ChannelGroups
from gmp.channels.narrow_layers import output_axis
from gmp.errors import PruningError
from gmp.parameter_names import module_called
from sparsim.errors import near

ChannelScore = Callable[[nn.Module, ChannelGroup], Tensor]


def l1(model: nn.Module, group: ChannelGroup) -> Tensor:
    """Sum of the absolute values of the weights that make each channel, (channels,)."""
    return _over_makers(model, group, lambda rows: rows.abs().sum(dim=1))


def l2(model: nn.Module, group: ChannelGroup) -> Tensor:
    """Euclidean norm of the weights that make each channel, (channels,)."""
    return _over_makers(model, group, lambda rows: rows.square().sum(dim=1)).sqrt()


def norm_scale(model: nn.Module, group: ChannelGroup) -> Tensor:
    """Sum of the absolute scales of each channel in norms, (channels,)."""
    total = torch.zeros(group.channels)
    scales = scales_of(model, group)
    if not scales:
        raise PruningError(f"'{group.name}' has no norm with a scale, which the score 'norm' needs")
    for scale, index in scales:
        total += scale.detach().float().cpu().abs()[index].sum(dim=1)
    return total


def scales_of(model: nn.Module, group: ChannelGroup) -> list[tuple[nn.Parameter, Tensor]]:
    """Scales of norms, each with its indices by channel (channels, k)."""
    found = []
    for member in group.members:
        module = module_called(model, member.module)
        if isinstance(module, _NormBase) and isinstance(module.weight, nn.Parameter):
            found.append((module.weight, member.indices))
    return found


SCORES: dict[str, ChannelScore] = {"l1": l1, "l2": l2, "norm": norm_scale}


def channel_score(score: str | ChannelScore) -> ChannelScore:
    """Return the score of a name; a function is returned unchanged. Raises PruningError."""
    if callable(score):
        return score
    if score not in SCORES:
        raise PruningError(f"unknown score of channels {score!r}", hint=near(str(score), SCORES))
    return SCORES[score]


@torch.no_grad()
def score_channels(
    model: nn.Module, groups: ChannelGroups, score: str | ChannelScore = "l2"
) -> dict[str, Tensor]:
    """Score all channels, so that channels of different groups can be compared.

    Parameters
    ----------
    model : nn.Module
        The network.
    groups : ChannelGroups
        Its groups.
    score : str or callable, default "l2"
        "l1" or "l2", the norm of the weights that make a channel; "norm", the sum of its scales in norms; or
        a function ``(model, group) -> Tensor`` with a number for each channel of the group.

    Returns
    -------
    dict of str to Tensor
        By the group's name: scores of its channels, shape (channels,). Those of "l1" and "l2" are divided by
        their mean in the group.

    Raises
    ------
    PruningError
        If the score is unknown, or if a score is not finite.

    Notes
    -----
    The length of a filter before a norm has no meaning, because the norm divides by it (in training and, once
    the statistics have been updated, in evaluation). In this case "norm" is the better score.
    """
    function = channel_score(score)
    found = {}
    for group in groups:
        values = function(model, group).detach().float().cpu()
        if values.shape != (group.channels,) or not bool(values.isfinite().all()):
            raise PruningError(f"scores of '{group.name}' are not {group.channels} finite numbers")
        mean = values.mean().clamp(min=torch.finfo(torch.float32).tiny)
        found[group.name] = values / mean if function in (l1, l2) else values
    return found


def _over_makers(model: nn.Module, group: ChannelGroup, summed: Callable[[Tensor], Tensor]) -> Tensor:
    total = torch.zeros(group.channels)
    for member in group.members:
        if member.role == "outputs":
            module = module_called(model, member.module)
            weight = module.weight
            assert isinstance(weight, Tensor)
            rows = weight.detach().float().movedim(output_axis(module), 0).flatten(1)
            total += summed(rows).cpu()[member.indices].sum(dim=1)
    return total
