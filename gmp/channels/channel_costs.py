"""Costs of a network with fewer channels: parameters, MACs, or measured seconds.

A cost is a function of the number of channels left in each group, by the group's name; groups that are not
named are whole. `gmp.energy.hardware_cost` has the energy and cycles of accelerators and chips.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

from torch import nn

from gmp.channels.channel_records import ChannelGroups
from gmp.channels.narrow_layers import Role, axis_of_parameter, channels_of
from gmp.errors import PruningError
from gmp.example_batches import batches_of
from gmp.number_checks import returned, whole
from gmp.parameter_names import module_called, named_modules
from sparsim.errors import near

if TYPE_CHECKING:
    from gmp.tracing.trace import LayerTrace, Trace

ChannelCost = Callable[[Mapping[str, int]], float]


def checked_cost(cost: ChannelCost) -> ChannelCost:
    """Make a cost function that raises PruningError where `cost` returns anything but a finite number."""

    def checked(counts: Mapping[str, int]) -> float:
        what = f"the cost with {dict(counts)} channels" if counts else "the cost with all channels"
        return returned(cost(counts), what)

    return checked


class LayerSeconds(Protocol):
    """A table of measured times, such as `gmp.allocation.LatencyTable`."""

    def total(self, channels: Mapping[str, tuple[int, int]] | None = None) -> float: ...


class _Share(NamedTuple):
    """The share of a group in a layer, which has k outputs, inputs or numbers for each channel of the
    group.
    """

    group: str
    channels: int
    each: int


class LayerChannels:
    """The number of outputs, inputs or numbers of each layer for given numbers of channels in the groups."""

    def __init__(self, model: nn.Module, groups: ChannelGroups) -> None:
        self.groups = {group.name: group.channels for group in groups}
        self.whole: dict[tuple[str, Role], int] = {}
        self._shares: dict[tuple[str, Role], list[_Share]] = {}
        for group in groups:
            for member in group.members:
                key = member.module, member.role
                self.whole[key] = channels_of(module_called(model, member.module), member.role)
                share = _Share(group.name, group.channels, member.indices.shape[1])
                self._shares.setdefault(key, []).append(share)

    def __call__(self, counts: Mapping[str, int]) -> dict[tuple[str, Role], int]:
        """By layer and role. Raises PruningError for an unknown group, and for more channels than it has."""
        for name, count in counts.items():
            if name not in self.groups:
                raise PruningError(f"there is no group of channels '{name}'", hint=near(name, self.groups))
            if whole(count, f"the number of channels of '{name}'") > self.groups[name]:
                raise PruningError(f"'{name}' has {self.groups[name]} channels, left would be {count}")
        return {
            key: self.whole[key]
            - sum(share.each * (share.channels - counts.get(share.group, share.channels)) for share in shares)
            for key, shares in self._shares.items()
        }


def parameter_cost(model: nn.Module, groups: ChannelGroups) -> ChannelCost:
    """Make a function that counts the parameters of a network with fewer channels.

    Parameters
    ----------
    model : nn.Module
        The network.
    groups : ChannelGroups
        Its groups.

    Returns
    -------
    callable
        Number of parameters by the number of channels that are left in each group.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from gmp.channels import channel_groups, parameter_cost
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))
    >>> cost = parameter_cost(model, channel_groups(model, torch.zeros(1, 4)))
    >>> cost({}), cost({"0": 1})
    (58.0, 9.0)
    """
    channels = LayerChannels(model, groups)
    modules = [(name, m) for name, m in named_modules(model, remove_duplicate=True)]
    roles: tuple[Role, ...] = ("outputs", "inputs", "each")

    def cost(counts: Mapping[str, int]) -> float:
        left, total = channels(counts), 0
        for name, module in modules:
            cut = [role for role in roles if (name, role) in left]
            for key, parameter in module.named_parameters(recurse=False):
                size = parameter.numel()
                for role in cut:
                    if axis_of_parameter(module, key, role) is not None:
                        size = size * left[name, role] // channels.whole[name, role]
                total += size
        return float(total)

    return cost


def mac_cost(model: nn.Module, groups: ChannelGroups) -> ChannelCost:
    """Make a function that counts the MACs of one sample in a network with fewer channels.

    Parameters
    ----------
    model : nn.Module
        The network.
    groups : ChannelGroups
        Its groups, whose example is traced.

    Returns
    -------
    callable
        MACs by the number of channels that are left in each group.
    """
    rows = narrowed_rows(model, groups)
    return lambda counts: float(sum(row.macs for row in rows(counts).layers))


def latency_cost(model: nn.Module, groups: ChannelGroups, table: LayerSeconds) -> ChannelCost:
    """Make a function that adds up measured times of the layers of a network with fewer channels.

    Parameters
    ----------
    model : nn.Module
        The network.
    groups : ChannelGroups
        Its groups.
    table : LatencyTable
        Times of its layers, as `gmp.allocation.measure_latencies` gives them.

    Returns
    -------
    callable
        Seconds by the number of channels that are left in each group.
    """
    channels = LayerChannels(model, groups)
    layers = {name: module_called(model, name) for name, role in channels.whole if role != "each"}
    sizes = {
        name: (channels_of(layer, "inputs"), channels_of(layer, "outputs")) for name, layer in layers.items()
    }

    def cost(counts: Mapping[str, int]) -> float:
        left = channels(counts)
        return table.total({
            name: (left.get((name, "inputs"), inputs), left.get((name, "outputs"), outputs))
            for name, (inputs, outputs) in sizes.items()
        })  # fmt: skip

    return cost


def narrowed_rows(model: nn.Module, groups: ChannelGroups) -> Callable[[Mapping[str, int]], Trace]:
    """Make a function that returns the trace of the network with fewer channels; densities are those of the
    whole network.
    """
    from gmp.tracing.trace import Trace, trace  # this import loads the records of sparsim

    channels = LayerChannels(model, groups)
    batch = batches_of(model, groups.example)[0]
    traced = trace(model, [batch], coverage=False, forward=groups.forward)

    @cache
    def row(i: int, inputs: int | None, outputs: int | None) -> LayerTrace:
        layer = traced.layers[i]
        shape = layer.computation
        M = shape.M if outputs is None else outputs
        C = shape.C if inputs is None else inputs
        kept = shape.groups * C // shape.C if shape.groups > 1 else 1
        shape = shape._replace(M=M, C=C, groups=kept)
        weights = layer.weights * M * C * layer.computation.groups
        weights //= layer.computation.M * layer.computation.C * kept
        return replace(layer, computation=shape, weights=weights)

    def rows(counts: Mapping[str, int]) -> Trace:
        left = channels(counts)
        found = []
        for i, layer in enumerate(traced.layers):
            sizes: list[int | None] = []
            for role, size in (("inputs", layer.computation.C), ("outputs", layer.computation.M)):
                key: tuple[str, Role] = (layer.module, "inputs" if role == "inputs" else "outputs")
                # a product with a part of a weight has only the inputs of this part, which belong to no group
                sizes.append(left[key] if channels.whole.get(key) == size else None)
            found.append(row(i, *sizes))
        return Trace(tuple(found), traced.samples)

    return rows
