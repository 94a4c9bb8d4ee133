"""Records of groups of coupled channels.

A unit is everything that is removed with one channel: outputs of the layers that make it (several, where
their results are added), the numbers that norms keep for it, and inputs of the layers that use it (several,
where it is flattened or used twice). Units in the same layers and the same arrangement form a group, of which
any units but one can be removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor

from gmp.channels.narrow_layers import Role
from gmp.errors import PruningError
from gmp.example_batches import Forward
from sparsim.errors import near
from sparsim.report.tables import Table


class Member(NamedTuple):
    """The part of a group in one layer.

    Parameters
    ----------
    module : str
        Name of the layer.
    role : {"outputs", "inputs", "each"}
        Whether these are outputs or inputs of the layer, or channels that it has a number for, as norms do.
    indices : Tensor, shape (channels, k)
        Indices (int64) of what belongs to each channel of the group.
    """

    module: str
    role: Role
    indices: Tensor


@dataclass(frozen=True, eq=False)
class ChannelGroup:
    """Channels of one or several layers, which are removed from all of them together.

    Parameters
    ----------
    name : str
        Name of the first layer that makes these channels; with a number behind "#" if other channels of the
        layer are in other groups.
    members : tuple of Member
        The part of the group in each layer.
    fixed : str, default ""
        Reason why no channel can be removed, or "".
    """

    name: str
    members: tuple[Member, ...]
    fixed: str = ""

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.members[0].indices)

    def layers(self, role: Role) -> tuple[str, ...]:
        """Return the names of the layers with this role.

        Parameters
        ----------
        role : {"outputs", "inputs", "each"}
            The role.

        Returns
        -------
        tuple of str
            Names of the layers, in the order of the model.
        """
        return tuple(member.module for member in self.members if member.role == role)


@dataclass(frozen=True, eq=False)
class ChannelGroups:
    """Groups of coupled channels of a model, as `channel_groups` finds them.

    Parameters
    ----------
    groups : tuple of ChannelGroup
        Groups of which channels can be removed, in the order of the model.
    fixed : tuple of ChannelGroup
        Groups of which none can be removed, each with the reason.
    example : Tensor, tuple, mapping or any other object
        Example that the groups were found with.
    forward : callable, optional
        Function that ran the model in its place.
    """

    groups: tuple[ChannelGroup, ...]
    fixed: tuple[ChannelGroup, ...]
    example: Any = field(repr=False)
    forward: Forward | None = field(default=None, repr=False)

    def __iter__(self) -> Iterator[ChannelGroup]:
        return iter(self.groups)

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, name: str) -> ChannelGroup:
        for group in self.groups:
            if group.name == name:
                return group
        for group in self.fixed:
            if name in (group.name, *group.layers("outputs")):
                raise PruningError(f"no channel of '{name}' can be removed: {group.fixed}")
        raise PruningError(f"there is no group of channels '{name}'", hint=near(name, self.names))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the groups of which channels can be removed."""
        return tuple(group.name for group in self.groups)

    def table(self) -> Table:
        """Return the groups as a table for a terminal.

        Returns
        -------
        Table
            A row for each group, and the reasons for those of which nothing can be removed.
        """
        rows = [
            (group.name, group.channels, *(", ".join(group.layers(role)) for role in ("outputs", "inputs")),
             group.fixed or "yes")
            for group in (*self.groups, *self.fixed)
        ]  # fmt: skip
        return Table(["group", "channels", "made by", "used by", "removable"], rows, text=(0, 2, 3, 4))
