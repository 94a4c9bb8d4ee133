"""Search for groups of channels that can only be removed together, by a probe and a trial.

Channels that reach the same input, according to the probe (`gmp.channels.channel_probe`), are joined.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from gmp.channels.channel_probe import Reached, check_numbers, probe, runner
from gmp.channels.channel_records import ChannelGroup, ChannelGroups, Member
from gmp.channels.narrow_layers import Role, channels_of, has_outputs, is_each, is_grouped
from gmp.channels.removed_channels import failure
from gmp.errors import PruningError
from gmp.example_batches import Forward
from gmp.parameter_names import check_whole, module_called, named_modules, names_by_parameter
from sparsim.errors import near

Node = tuple[str, Role, int]  # layer, role, index of the channel there


def channel_groups(
    model: nn.Module,
    example: Any,
    *,
    ignore: str | Iterable[str] = (),
    forward: Forward | None = None,
) -> ChannelGroups:
    """Find the groups of channels that can only be removed together.

    Parameters
    ----------
    model : nn.Module
        Model, which is not changed.
    example : Tensor, tuple, mapping or any other object
        A batch, as `gmp.example_batches` describes them. The network runs on copies of its first sample, so
        a small sample (such as a picture of 32 x 32) takes the least time.
    ignore : str or iterable of str, default ()
        Names of layers whose outputs must not be removed.
    forward : callable, optional
        Called as ``forward(model, batch)`` in place of the model.

    Returns
    -------
    ChannelGroups
        The groups; outputs of the network, and what cannot be removed for other reasons, are named in
        `fixed`.

    Raises
    ------
    PruningError
        If a name in `ignore` is unknown or is not of a layer with outputs, if the model has no such layer, or
        if its outputs for the example have nan.
    TraceError
        If the example does not fit the model.

    Notes
    -----
    Groups are found by running the network with NaN in channels (`gmp.channels.channel_probe`). This follows
    sums, concatenations, depthwise convolutions, flattening and any control flow. Each group is then tried:
    one channel is removed from a copy, whose outputs must equal those of the network with this channel set to
    zero. Groups that fail are fixed, for example because a shape is hard-coded in ``forward``.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from gmp.channels import channel_groups
    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 4))
    >>> channel_groups(model, torch.zeros(1, 3, 4, 4)).names
    ('0',)
    """
    check_whole(model)
    modules = dict(named_modules(model, remove_duplicate=True))
    layers = [name for name, module in modules.items() if has_outputs(module)]
    if not layers:
        raise PruningError("the model has no linear layers or convolutions, whose channels could be removed")
    ignored = _checked([ignore] if isinstance(ignore, str) else list(ignore), layers)
    run_copies = runner(model, example, forward)
    check_numbers(model, run_copies)
    reached = probe(model, run_copies)
    shared = _sharing(model)
    found = []
    for group in _joined(modules, reached):
        reason = _reason(group, modules, reached, ignored, shared) or failure(model, group, run_copies)
        found.append(ChannelGroup(group.name, group.members, reason))
    return ChannelGroups(
        tuple(group for group in found if not group.fixed), tuple(group for group in found if group.fixed),
        example, forward,
    )  # fmt: skip


def _checked(names: list[str], layers: list[str]) -> set[str]:
    for name in names:
        if name not in layers:
            raise PruningError(f"ignore: '{name}' is not a layer with outputs", hint=near(name, layers))
    return set(names)


def _joined(modules: Mapping[str, nn.Module], reached: Mapping[str, Reached]) -> list[ChannelGroup]:
    """Return groups of the units that are in the same layers."""
    from networkx.utils import UnionFind  # this import takes half a second

    joins = UnionFind()
    for name, found in reached.items():
        for channel in range(found.channels):
            joins[name, "outputs", channel]  # a lookup creates a node
        for user, pairs in found.inputs.items():
            role: Role = "each" if is_each(modules[user]) else "inputs"
            for channel, feature in pairs.nonzero().tolist():
                joins.union((name, "outputs", channel), (user, role, feature))
    order = {name: i for i, name in enumerate(modules)}
    units = [sorted(unit, key=lambda node: (order[node[0]], node[1], node[2])) for unit in joins.to_sets()]
    by_layers: dict[Any, list[list[Node]]] = defaultdict(list)
    for unit in units:
        by_layers[tuple(Counter((name, role) for name, role, _ in unit).items())].append(unit)
    groups = []
    for key, same in by_layers.items():
        same.sort(key=lambda unit: unit[0][2])
        members = []
        for (name, role), _ in key:
            rows = [[i for n, r, i in unit if (n, r) == (name, role)] for unit in same]
            members.append(Member(name, role, torch.tensor(rows)))
        makers = [m.module for m in members if m.role == "outputs"]
        if makers:
            groups.append(ChannelGroup(min(makers, key=order.__getitem__), tuple(members)))
    groups.sort(key=lambda group: (order[group.name], int(group.members[0].indices[0, 0])))
    count, seen = Counter(group.name for group in groups), Counter[str]()
    named = []
    for group in groups:
        seen[group.name] += 1
        name = group.name if count[group.name] == 1 else f"{group.name}#{seen[group.name]}"
        named.append(ChannelGroup(name, group.members))
    return named


def _reason(
    group: ChannelGroup, modules: Mapping[str, nn.Module], reached: Mapping[str, Reached], ignored: set[str],
    shared: set[str],
) -> str:  # fmt: skip
    """Return why the arrangement of its channels forbids their removal; "" if it does not."""
    for member in group.members:
        if member.module in shared:
            return f"{member.module} shares its weights with another layer"
        if member.role != "outputs":
            continue
        found, rows = reached[member.module], member.indices.flatten()
        if member.module in ignored:
            return f"{member.module} is ignored"
        if not found.ran:
            return f"{member.module} did not run as a layer of its own"
        if found.output is not None and bool(found.output[rows].any()):
            return f"{member.module} gives outputs of the network"
        for name, channels in found.opaque.items():
            if bool(channels[rows].any()):
                kind = type(modules[name]).__name__
                return f"{member.module} enters {name} ({kind}), which is not narrowed"
    for member in group.members:
        module = modules[member.module]
        if is_grouped(module) and (reason := _broken_group(group, module, member.module)):
            return reason
    if group.channels < 2:
        mixed = group.members[0].indices.shape[1] > 1
        return "its channels are mixed with one another" if mixed else "it has one channel"
    return "" if group.layers("inputs") else "no layer uses it"


def _broken_group(group: ChannelGroup, module: nn.Module, name: str) -> str:
    """Return a reason if a unit has only a part of a group of a convolution, so that no channel can be
    removed.
    """
    index = {member.role: member.indices for member in group.members if member.module == name}
    if set(index) != {"inputs", "outputs"}:
        return f"the groups of {name} tie its outputs to inputs that cannot be removed"
    for role, rows in index.items():
        size = channels_of(module, role) // int(module.groups)  # type: ignore[arg-type]
        blocks = rows // size
        if rows.shape[1] % size or any(set(Counter(row).values()) != {size} for row in blocks.tolist()):
            return f"its channels are parts of groups of {name}"
    return ""


def _sharing(model: nn.Module) -> set[str]:
    """Return the names of modules that share a parameter with others."""
    return {
        name.rpartition(".")[0]
        for names in names_by_parameter(model).values()
        if len({id(module_called(model, name.rpartition(".")[0])) for name in names}) > 1
        for name in names
    }
