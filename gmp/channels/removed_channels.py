"""Removal of channels, and masks that set them to zero; both networks give the same outputs."""

import copy
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from gmp.channels.channel_constants import fold
from gmp.channels.channel_probe import Run, evaluating
from gmp.channels.channel_records import ChannelGroup
from gmp.channels.narrow_layers import Role, axis_of_parameter, channels_of, is_grouped, keep_channels
from gmp.masks import apply_masks
from gmp.parameter_names import joined, module_called

ROUNDING = 1e4  # factor of epsilon times the largest output; sums of fewer terms round differently
Gone = Mapping[str, Tensor]  # bool (channels,) by the group's name


class Cuts(NamedTuple):
    """The removed parts of a network.

    modules : {layer: {role: indices that are left}}
    parameters : {name: {axis: indices that are left}}
    biases : layers that got a bias
    inexact : layers whose outputs differ at the border of their padding
    """

    modules: dict[str, dict[Role, list[int]]]
    parameters: dict[str, dict[int, Tensor]]
    biases: list[str]
    inexact: list[str]


def masks_of(
    model: nn.Module, groups: Iterable[ChannelGroup], gone: Gone, *, whole: bool = True
) -> dict[str, Tensor]:
    """Return masks of parameters by name, False for everything that belongs to removed channels.

    If not `whole`, only the weights that make them are masked.
    """
    lives: dict[str, Tensor] = {}
    for (name, role), index in _indices(groups, gone).items():
        module = module_called(model, name)
        for key, values in module.named_parameters(recurse=False):
            axis = axis_of_parameter(module, key, role)
            if axis is not None and (whole or (role, key) == ("outputs", "weight")):
                live = lives.setdefault(joined(name, key), torch.ones_like(values, dtype=torch.bool))
                live.index_fill_(axis, index.to(values.device), False)
    return lives


def remove(model: nn.Module, groups: Iterable[ChannelGroup], gone: Gone, run_copies: Run) -> Cuts:
    """Remove channels that are hidden, in place."""
    indices = _indices(groups, gone)
    used = {
        name: index
        for (name, role), index in indices.items()
        if role == "inputs" and not is_grouped(module_called(model, name))
    }
    biases, inexact = fold(model, used, run_copies)
    modules: dict[str, dict[Role, list[int]]] = defaultdict(dict)
    for (name, role), index in indices.items():
        left = torch.ones(channels_of(module_called(model, name), role), dtype=torch.bool)
        left[index] = False
        modules[name][role] = left.nonzero().flatten().tolist()
    parameters = keep(model, modules)
    return Cuts(dict(modules), parameters, biases, inexact)


def keep(model: nn.Module, modules: Mapping[str, Mapping[Role, list[int]]]) -> dict[str, dict[int, Tensor]]:
    """Keep only these channels in the layers, in place. Returns the kept indices of parameters."""
    parameters: dict[str, dict[int, Tensor]] = defaultdict(dict)
    for name, roles in modules.items():
        module = module_called(model, name)
        for role, kept in roles.items():
            for key, (axis, left) in keep_channels(module, role, kept).items():
                parameters[joined(name, key)][axis] = left
    return dict(parameters)


def _indices(groups: Iterable[ChannelGroup], gone: Gone) -> dict[tuple[str, Role], Tensor]:
    """Return the indices of all channels to remove, by layer and role."""
    parts: dict[tuple[str, Role], list[Tensor]] = defaultdict(list)
    for group in groups:
        if group.name in gone and bool(gone[group.name].any()):
            for member in group.members:
                parts[member.module, member.role].append(member.indices[gone[group.name]].flatten())
    return {key: torch.cat(indices) for key, indices in parts.items()}


def failure(model: nn.Module, group: ChannelGroup, run_copies: Run) -> str:
    """Return why the first channel of a group cannot be removed; "" if it can."""
    masked, gone = copy.deepcopy(model), {group.name: torch.arange(group.channels) == 0}
    apply_masks(masked, masks_of(masked, [group], gone))
    narrowed = copy.deepcopy(masked)
    with evaluating(masked):
        wanted = run_copies(masked, 1)
    try:
        cuts = remove(narrowed, [group], gone, run_copies)
        with evaluating(narrowed):
            found = run_copies(narrowed, 1)
    except Exception as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        return f"the network does not run without one of its channels: {first}"
    if cuts.inexact or difference(wanted, found) <= tolerance(wanted):
        return ""
    return "the network gives other results without one of its channels"


def difference(wanted: Any, found: Any) -> float:
    """Return the largest difference between outputs of two networks; infinite if shapes differ."""
    pairs = list(zip(_tensors(wanted), _tensors(found), strict=False))
    if any(one.shape != other.shape for one, other in pairs):
        return float("inf")
    return max((float((one - other).abs().max()) for one, other in pairs if one.numel()), default=0.0)


def tolerance(outputs: Any) -> float:
    """Return the difference in the outputs of a network that rounding may cause."""
    return max(
        (
            ROUNDING * torch.finfo(each.dtype).eps * max(1.0, float(each.abs().max()))
            for each in _tensors(outputs)
        ),
        default=0.0,
    )


def _tensors(outputs: Any) -> list[Tensor]:
    return [v for v in tree_leaves(outputs) if isinstance(v, Tensor) and v.is_floating_point() and v.numel()]
