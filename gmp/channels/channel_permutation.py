"""Channels in an order in which n:m sparsity costs less (Pool and Yu 2021).

The n:m groups of a layer are m neighbouring inputs. The order of the channels is arbitrary: if the channels
of a group of coupled layers are permuted in the same way in all of these layers, the network computes the
same function.

A swap of two channels changes two n:m groups. Let T be the sum of the n - 1 largest of the other m - 1
weights of a group, and b the n-th largest. With a weight x the group keeps T + max(b, x). The gains of all
swaps are therefore sums of such maxima, and each swap changes only a few of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gmp.channels.channel_records import ChannelGroup, ChannelGroups, Member
from gmp.channels.narrow_layers import axis_of_parameter, channels_of, is_grouped, output_axis
from gmp.errors import PruningError
from gmp.parameter_names import module_called
from gmp.patterns import pattern_of

ROWS = 1024  # rows of the weights of a group that a search uses
LEAST_GAIN = 1e-6  # share of the kept weights; smaller gains are rounding errors


class PermutedGroup(NamedTuple):
    """Absolute weights that an n:m pattern keeps in the layers that use a group, before and after reordering.

    Parameters
    ----------
    group : str
        Name of the group.
    before : float
        Share of the absolute weights that the pattern keeps in the order before.
    after : float
        Share that it keeps in the new order.
    unstructured : float
        Share that the same number of single weights would keep.
    """

    group: str
    before: float
    after: float
    unstructured: float

    @property
    def efficacy(self) -> float:
        """Share of the gap between n:m and unstructured pruning that the new order closes."""
        gap = self.unstructured - self.before
        return (self.after - self.before) / gap if gap > 0 else 0.0


@torch.no_grad()
def permute_channels(model: nn.Module, groups: ChannelGroups, pattern: str = "2:4") -> list[PermutedGroup]:
    """Permute channels in place, so that an n:m pattern keeps more of the absolute weights.

    Parameters
    ----------
    model : nn.Module
        The network; its outputs stay the same up to rounding.
    groups : ChannelGroups
        Its groups of coupled channels.
    pattern : str, default "2:4"
        Pattern n:m along the inputs, which is pruned afterwards.

    Returns
    -------
    list of PermutedGroup
        Gain in each group. Groups are left out if each of their channels is several inputs in all layers that
        use them, so that channels have no neighbours there.

    Raises
    ------
    PruningError
        If the pattern is not n:m.

    Notes
    -----
    The search swaps two channels as long as a swap keeps more, and takes the best swap each time. Permute
    before pruning, and before an optimizer has momenta, because these are not permuted.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from gmp.channels import channel_groups, permute_channels
    >>> model = nn.Sequential(nn.Linear(4, 8, bias=False), nn.Linear(8, 1, bias=False))
    >>> _ = model[1].weight.data.copy_(torch.tensor([[4.0, 4, 4, 4, 1, 1, 1, 1]]))
    >>> (found,) = permute_channels(model, channel_groups(model, torch.zeros(1, 4)))
    >>> found.before, found.after, found.efficacy
    (0.5, 0.8..., 1.0)
    """
    shape = pattern_of(pattern)
    if not shape.keep or shape.columns is None:
        raise PruningError(f"channels are permuted for patterns n:m, not for '{pattern}'")
    found = []
    for group in groups:
        columns = _columns(model, group, shape.columns)
        if columns is None:
            continue
        order, before, after = _Swaps(columns, shape.keep).run()
        unstructured = _unstructured(columns.weights, shape.keep / shape.columns)
        for member in group.members:
            _reorder(module_called(model, member.module), member, order)
        total = float(columns.weights.sum()) or 1.0
        found.append(PermutedGroup(group.name, before / total, after / total, unstructured / total))
    return found


@dataclass(frozen=True)
class _Columns:
    """Absolute weights of all layers that use a group, (rows, n:m groups, m).

    `units` (n:m groups, m) has the channel at each place, or -1.
    """

    weights: Tensor
    units: Tensor


def _columns(model: nn.Module, group: ChannelGroup, m: int) -> _Columns | None:
    """Return the weights of layers in which the channels are neighbours at the same places in n:m groups."""
    parts: list[Tensor] = []
    units: Tensor | None = None
    for member in group.members:
        module = module_called(model, member.module)
        if member.role != "inputs" or member.indices.shape[1] != 1 or is_grouped(module):
            continue
        places = member.indices[:, 0]
        first = int(places[0]) // m * m
        last = min(-(-(int(places[-1]) + 1) // m) * m, -(-channels_of(module, "inputs") // m) * m)
        found = torch.full((last - first,), -1)
        found[places - first] = torch.arange(group.channels)
        if not bool((places.diff() == 1).all()) or (units is not None and not torch.equal(found, units)):
            continue
        units = found
        weight = module.weight
        assert isinstance(weight, Tensor)
        weight = weight.detach().abs().float().cpu()
        rows = weight.movedim(1 - output_axis(module), -1).flatten(0, -2)[:, first:last]
        parts.append(nn.functional.pad(rows, (0, last - first - rows.shape[1])))
    if units is None:
        return None
    return _Columns(torch.cat(parts).unflatten(1, (-1, m)), units.reshape(-1, m))


def _unstructured(weights: Tensor, share: float) -> float:
    values = weights.flatten()
    return float(values.topk(round(share * len(values))).values.sum())


class _Swaps:
    """The search for one group. A slot is a place in an n:m group."""

    def __init__(self, columns: _Columns, n: int) -> None:
        self.n, (_, _, self.m) = n, columns.weights.shape
        self.whole = columns.weights.flatten(1)
        rows = len(self.whole)
        chosen = torch.linspace(0, rows - 1, min(rows, ROWS)).long()
        self.values = self.whole[chosen].clone()  # (rows, slots)
        self.units = columns.units.flatten()
        self.slots = torch.arange(len(self.units))
        self.order = self.slots.clone()  # the slot whose column is in each slot
        self.fixed = torch.zeros(len(self.slots), len(self.slots), dtype=torch.bool)
        self.fixed |= (self.units < 0)[:, None] | (self.units < 0)[None]
        self.fixed |= (self.slots // self.m)[:, None] == (self.slots // self.m)[None]

    def run(self) -> tuple[Tensor, float, float]:
        """Return the channel at the place of each channel, and the kept weights before and after."""
        size = len(self.slots)
        self.sums, self.bounds = torch.zeros(size), torch.zeros(len(self.values), size)
        self.maxima = torch.zeros(size, size)  # [slot, column]: sum of max(b, x)
        before = self._kept(self.whole)
        self._update(self.slots)
        for column in range(size):
            self._update_column(column)
        while True:
            kept = self._stripes()
            gains = self.maxima + self.sums[:, None]
            gains = gains + gains.t() - kept[:, None] - kept[None]
            gains[self.fixed] = -torch.inf
            best = int(gains.argmax())
            a, b = divmod(best, size)
            if float(gains[a, b]) <= LEAST_GAIN * float(self.values.sum() or 1.0):
                break
            self._swap(a, b)
        place = torch.empty(int(self.units.max()) + 1, dtype=torch.int64)
        for slot in self.slots[self.units >= 0].tolist():
            place[self.units[slot]] = self.units[self.order[slot]]
        return place, before, self._kept(self.whole[:, self.order])

    def _swap(self, a: int, b: int) -> None:
        pair, back = torch.tensor([a, b]), torch.tensor([b, a])
        self.values[:, pair] = self.values[:, back]
        self.order[pair] = self.order[back]
        stripes = torch.isin(self.slots // self.m, pair // self.m)
        self._update(self.slots[stripes])
        for column in (a, b):
            self._update_column(column)

    def _update(self, slots: Tensor) -> None:
        """Update what the other slots of the n:m groups of these slots keep."""
        for slot in slots.tolist():
            first = slot // self.m * self.m
            others = [i for i in range(first, first + self.m) if i != slot]
            ranked = self.values[:, others].sort(dim=1, descending=True).values
            self.sums[slot] = ranked[:, : self.n - 1].sum()
            self.bounds[:, slot] = ranked[:, self.n - 1]
            self.maxima[slot] = torch.maximum(self.bounds[:, slot, None], self.values).sum(dim=0)

    def _update_column(self, column: int) -> None:
        self.maxima[:, column] = torch.maximum(self.bounds, self.values[:, column, None]).sum(dim=0)

    def _stripes(self) -> Tensor:
        """Return what the n:m group of each slot keeps."""
        kept = self.values.unflatten(1, (-1, self.m)).topk(self.n, dim=2).values.sum(dim=(0, 2))
        return kept.repeat_interleave(self.m)

    def _kept(self, values: Tensor) -> float:
        return float(values.unflatten(1, (-1, self.m)).topk(self.n, dim=2).values.sum())


def _reorder(module: nn.Module, member: Member, order: Tensor) -> None:
    """Move channel order[i] to the place of channel i."""
    index = torch.arange(channels_of(module, member.role))
    index[member.indices.flatten()] = member.indices[order].flatten()
    own = (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
    for key, values in own:
        if (axis := axis_of_parameter(module, key, member.role)) is not None:
            values.copy_(values.index_select(axis, index.to(values.device)))
