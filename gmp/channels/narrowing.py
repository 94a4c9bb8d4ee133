"""Networks without their removed channels, and how these are saved and loaded."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import Optimizer

from gmp.channels.channel_probe import Run, evaluating, runner
from gmp.channels.channel_records import ChannelGroup, ChannelGroups
from gmp.channels.narrow_layers import Role, channels_of, output_axis
from gmp.channels.removed_channels import Cuts, difference, keep, masks_of, remove, tolerance
from gmp.errors import PruningError, PruningWarning
from gmp.masks import apply_masks
from gmp.parameter_names import joined, matched, module_called, named_modules, named_parameters
from sparsim.errors import near
from sparsim.report.tables import Table

Spec = dict[str, Any]
ROLES = ("outputs", "inputs", "each")


@dataclass(frozen=True, eq=False)
class Narrowed:
    """A network without its removed channels, as `narrow` makes it.

    Parameters
    ----------
    model : nn.Module
        The new network.
    kept : dict of str to list of int
        Indices of the channels that are left, by the group's name.
    spec : dict
        Description with which `rebuild` gives a fresh model the same shapes: plain lists, numbers and texts
        for JSON or ``torch.save``.
    channels : dict of str to int
        Number of channels before, by the group's name.
    parameters : tuple of int
        Number of parameters before and after.
    inexact : tuple of str
        Layers whose outputs differ from those of the masked network where their zero padding begins.
    cuts : Cuts
        How each parameter was cut.
    old : nn.Module
        The network before.
    """

    model: nn.Module
    kept: dict[str, list[int]]
    spec: Spec
    channels: dict[str, int]
    parameters: tuple[int, int]
    inexact: tuple[str, ...]
    cuts: Cuts = field(repr=False)
    old: nn.Module = field(repr=False)

    def table(self) -> Table:
        """Return what is left of each group as a table for a terminal.

        Returns
        -------
        Table
            A row for each group, and the number of parameters.
        """
        rows = [(name, self.channels[name], len(kept)) for name, kept in self.kept.items()]
        before, after = self.parameters
        notes = [f"outputs of {name} differ at the border of its padding" for name in self.inexact]
        return Table(["group", "channels", "left"], rows, total=("parameters", before, after), notes=notes)

    def plain(self) -> dict[str, Any]:
        """Return what is left as plain values for JSON.

        Returns
        -------
        dict
            Numbers of "parameters" and, by group, of "channels", each "before" and "after".
        """
        return {
            "parameters": dict(zip(("before", "after"), self.parameters, strict=True)),
            "channels": {
                name: {"before": self.channels[name], "after": len(kept)} for name, kept in self.kept.items()
            },
        }

    def optimizer(self, old: Optimizer) -> Optimizer:
        """Make an optimizer of the new network that continues from the state of the old one.

        Parameters
        ----------
        old : Optimizer
            Optimizer of the network before.

        Returns
        -------
        Optimizer
            An optimizer of the same class and options. The momenta and other averages of the remaining
            elements are those of the old optimizer.

        Raises
        ------
        PruningError
            If the optimizer holds no parameter of the network before.

        Notes
        -----
        Biases that were added to layers are in the parameter groups of the weights of these layers, without a
        state.
        """
        names = {parameter: name for name, parameter in named_parameters(self.old).items()}
        fresh = named_parameters(self.model)
        weights = {joined(name, "weight"): joined(name, "bias") for name in self.cuts.biases}
        groups, states = [], {}
        for group in old.param_groups:
            parameters = []
            for parameter in group["params"]:
                name = names.get(parameter)
                new = parameter if name is None else fresh[name]
                parameters.append(new)
                if parameter in old.state:
                    cut = {} if name is None else self.cuts.parameters.get(name, {})
                    states[new] = {k: _cut(v, parameter, cut) for k, v in old.state[parameter].items()}
                if name in weights:
                    parameters.append(fresh[weights[name]])
            groups.append({**group, "params": parameters})
        if not any(parameter in names for group in old.param_groups for parameter in group["params"]):
            raise PruningError(
                "the optimizer holds no parameter of this network; was it made for another one?"
            )
        made = type(old)(groups, **{k: v for k, v in old.defaults.items() if k in _options(old)})
        for parameter, state in states.items():
            made.state[parameter] = state
        return made


def narrow(
    model: nn.Module,
    groups: ChannelGroups,
    keep: Mapping[str, Sequence[int] | Tensor] | None = None,
    *,
    after: Spec | None = None,
) -> Narrowed:
    """Remove channels from a network, so that it becomes smaller and faster with the same outputs.

    Parameters
    ----------
    model : nn.Module
        The network, which is not changed.
    groups : ChannelGroups
        Its groups of coupled channels.
    keep : mapping of str to sequence of int, optional
        Indices of the channels that stay, by the group's name; groups that are not named stay whole. By
        default all channels are removed whose weights are zero, or which a norm multiplies by zero.
    after : dict, optional
        The `spec` of the narrowing that made this network, if there was one. The new spec then applies to the
        network before both narrowings.

    Returns
    -------
    Narrowed
        The new network, the channels that it keeps, and the spec with which it can be loaded again.

    Raises
    ------
    PruningError
        If a group is unknown or cannot be narrowed, if no channel of a group would stay, if an index is out
        of range, or if no channel would be removed.

    Warns
    -----
    PruningWarning
        If outputs differ from those of the masked network, because constants enter a zero padding.

    Notes
    -----
    With `keep` the outputs are, up to rounding, those of the network in evaluation mode in which everything
    that belongs to the removed channels is zero. Without `keep` they are those of the network as it is: the
    constants that biases and norms produce for zero weights are added to biases and running means of the
    layers that used the channels (see `gmp.channels.channel_constants`).

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from gmp.channels import channel_groups, narrow
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> groups = channel_groups(model, torch.zeros(1, 4))
    >>> narrow(model, groups, {"0": [0, 3, 5]}).model
    Sequential(
      (0): Linear(in_features=4, out_features=3, bias=True)
      (1): ReLU()
      (2): Linear(in_features=3, out_features=2, bias=True)
    )
    """
    _check_sizes(model, groups)
    gone = _dead(model, groups) if keep is None else _gone(groups, keep)
    if not any(bool(each.any()) for each in gone.values()):
        raise PruningError("no channel would be removed: none is without weights")
    run_copies = runner(model, groups.example, groups.forward)
    masked = copy.deepcopy(model)
    apply_masks(masked, masks_of(masked, groups, gone, whole=keep is not None))
    if keep is None:
        _compare(model, masked, run_copies, "zeros in norms do not make its channels constant")
    new = copy.deepcopy(masked)
    cuts = remove(new, groups, gone, run_copies)
    if cuts.inexact:
        warnings.warn(_at_borders(cuts.inexact), PruningWarning, stacklevel=2)
    else:
        _compare(masked, new, run_copies, "are the groups those of this model?")
    spec = {"modules": {name: dict(roles) for name, roles in cuts.modules.items()}, "biases": cuts.biases}
    sizes = [sum(p.numel() for p in one.parameters()) for one in (model, new)]
    return Narrowed(
        model=new,
        kept={group.name: (~gone[group.name]).nonzero().flatten().tolist() for group in groups},
        spec=spec if after is None else _composed(after, spec),
        channels={group.name: group.channels for group in groups},
        parameters=(sizes[0], sizes[1]),
        inexact=tuple(cuts.inexact),
        cuts=cuts,
        old=model,
    )


def rebuild(model: nn.Module, spec: Spec) -> nn.Module:
    """Give a fresh model the shapes of a narrowed one, so that it can load its ``state_dict()``.

    Parameters
    ----------
    model : nn.Module
        Model of the original shapes, which is changed in place.
    spec : dict
        Result of `narrow`, its `Narrowed.spec`.

    Returns
    -------
    nn.Module
        The model.

    Raises
    ------
    PruningError
        If the spec is not one of this model.

    Examples
    --------
    >>> from torch import nn
    >>> from gmp.channels import rebuild
    >>> spec = {"modules": {"": {"outputs": [0, 2]}}, "biases": []}
    >>> rebuild(nn.Linear(4, 8), spec)
    Linear(in_features=4, out_features=2, bias=True)
    """
    if not isinstance(spec, Mapping) or set(spec) != {"modules", "biases"}:
        raise PruningError("the spec is none of a narrowed network: it needs modules and biases")
    modules = dict(named_modules(model))
    for name, roles in spec["modules"].items():
        found = matched(name, modules)
        if found is None:
            raise PruningError(f"the spec names '{name}', which the model lacks", hint=near(name, modules))
        for role, kept in roles.items():
            _check_kept(modules[found], name, role, kept)
    keep(model, spec["modules"])
    for name in spec["biases"]:
        module = module_called(model, name)
        weight = module.weight
        assert isinstance(weight, Tensor)
        bias = weight.new_zeros(weight.shape[output_axis(module)])
        module.register_parameter("bias", nn.Parameter(bias, requires_grad=weight.requires_grad))
    return model


def _check_kept(module: nn.Module, name: str, role: Any, kept: Any) -> None:
    if role not in ROLES or not isinstance(kept, list) or not kept:
        raise PruningError(f"the spec of '{name}' is {role!r} with {kept!r}, not a list of indices by role")
    try:
        count = channels_of(module, role)
    except AttributeError:
        raise PruningError(f"'{name}' is a {type(module).__name__}, which has no {role}") from None
    if not all(isinstance(i, int) and 0 <= i < count for i in kept):
        raise PruningError(f"the spec keeps other {role} of '{name}' than the {count} that it has")


def _composed(first: Spec, second: Spec) -> Spec:
    """Combine the specs of two successive narrowings."""
    modules = {name: dict(roles) for name, roles in first["modules"].items()}
    for name, roles in second["modules"].items():
        before = modules.setdefault(name, {})
        for role, kept in roles.items():
            before[role] = [before[role][i] for i in kept] if role in before else kept
    return {"modules": modules, "biases": sorted({*first["biases"], *second["biases"]})}


def _gone(groups: ChannelGroups, keep: Mapping[str, Sequence[int] | Tensor]) -> dict[str, Tensor]:
    gone = {group.name: torch.zeros(group.channels, dtype=torch.bool) for group in groups}
    for name, kept in keep.items():
        count = groups[name].channels
        index = _indices_of(name, kept)
        if not len(index):
            raise PruningError(f"no channel of '{name}' would be left; keep at least one")
        low, high = int(index.min()), int(index.max())
        if low < 0 or high >= count:
            seen = low if low < 0 else high
            raise PruningError(f"'{name}' has channels 0 to {count - 1}, kept would be {seen}")
        gone[name] = torch.ones(count, dtype=torch.bool)
        gone[name][index] = False
    return gone


def _indices_of(name: str, kept: Sequence[int] | Tensor) -> Tensor:
    """Return indices as a tensor. Refuses masks, whose values would pass for the channels 0 and 1."""
    try:
        index = torch.as_tensor(kept)
    except (TypeError, ValueError, RuntimeError):
        raise PruningError(f"kept channels of '{name}' must be a list of indices, got {kept!r}") from None
    if index.dim() != 1:
        raise PruningError(f"kept channels of '{name}' must be a list of indices, got {kept!r}")
    if len(index) and (index.dtype == torch.bool or index.is_floating_point() or index.is_complex()):
        raise PruningError(f"kept channels of '{name}' must be indices, got numbers of type {index.dtype}")
    return index.long()


def _check_sizes(model: nn.Module, groups: ChannelGroups) -> None:
    """Refuse groups whose channels the layers of the model do not have."""
    for member in (member for group in groups for member in group.members):
        most, count = int(member.indices.max()), channels_of(module_called(model, member.module), member.role)
        if most >= count:
            raise PruningError(
                f"'{member.module}' has {count} {member.role}, and the groups name number {most}; they are "
                "of another model"
            )


@torch.no_grad()
def _dead(model: nn.Module, groups: ChannelGroups) -> dict[str, Tensor]:
    """Return the channels whose weights are zero in all layers that make them, or whose norms multiply by
    zero.
    """
    gone = {}
    for group in groups:
        dead = _zeros(model, group, "outputs")
        norms = [m for m in group.members if isinstance(module_called(model, m.module), _NormBase)]
        # there is a norm for each layer, so that no channel bypasses them
        if len(norms) >= len(group.layers("outputs")):
            dead |= _zeros(model, group, "each")
        if bool(dead.all()):
            raise PruningError(f"no channel of '{group.name}' would be left: all of its weights are zero")
        gone[group.name] = dead
    return gone


def _zeros(model: nn.Module, group: ChannelGroup, role: Role) -> Tensor:
    """Return the channels whose weights are zero in all layers, or in all norms, of the group."""
    found = [torch.ones(group.channels, dtype=torch.bool)]
    for member in group.members:
        module = module_called(model, member.module)
        if member.role == role and not isinstance(module, nn.PReLU):
            found.append(_zero_rows(module)[member.indices].all(dim=1))
    return torch.stack(found).all(dim=0)


def _zero_rows(module: nn.Module) -> Tensor:
    """Return which outputs of a layer, or channels of a norm, are multiplied by zero."""
    weight = module.weight
    if not isinstance(weight, Tensor):  # a norm without scales
        return torch.zeros(channels_of(module, "each"), dtype=torch.bool)
    if weight.dim() == 1:
        return weight.eq(0).cpu()
    return weight.movedim(output_axis(module), 0).flatten(1).eq(0).all(dim=1).cpu()


def _at_borders(names: list[str]) -> str:
    layers = ", ".join(names)
    return f"removed channels are constants that enter the zero padding of {layers}: its border differs"


def _compare(one: nn.Module, other: nn.Module, run_copies: Run, reason: str) -> None:
    """Raise PruningError for outputs that differ."""
    with evaluating(one), evaluating(other):
        wanted, found = run_copies(one, 1), run_copies(other, 1)
    if (apart := difference(wanted, found)) > tolerance(wanted):
        raise PruningError(f"the narrowed network would differ by {apart:.2g} on the example: {reason}")


def _cut(value: Any, parameter: Tensor, cut: Mapping[int, Tensor]) -> Any:
    """Return the optimizer's state of a parameter without the removed elements."""
    if not isinstance(value, Tensor) or value.shape != parameter.shape:
        return copy.deepcopy(value)
    value = value.clone()
    for axis, index in cut.items():
        value = value.index_select(axis, index.to(value.device))
    return value


def _options(optimizer: Optimizer) -> set[str]:
    """Return the options that the class of an optimizer takes; parameter groups hold the others."""
    return set(inspect.signature(type(optimizer).__init__).parameters)
