"""Construction of the hardware and the network of a point: the base with the values of the axes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from sparsim.hardware import Hardware
from sparsim.sweep.axes import AxisValues
from sparsim.sweep.design_records import (
    build_hardware,
    chosen_records,
)
from sparsim.sweep.expressions import Expression
from sparsim.sweep.networks import LoadedNetwork, with_densities_of
from sparsim.sweep.record_paths import Field, Holder, set_fields
from sparsim.sweep.study import WORKLOAD, Study
from sparsim.sweep.sweep_row import Point

KEY_BYTES = 16
DENSITY = "workload.density."  # paths of densities, by the dataspace


class Derived(NamedTuple):
    """A value computed from others: of the field at a path, or a new name that other expressions use."""

    name: str
    expression: Expression

    @property
    def is_field(self) -> bool:
        return "." in self.name


class Setting(NamedTuple):
    """A path whose field takes the value of an axis or of a derived value."""

    value: str
    path: str


@dataclass(frozen=True)
class DesignSpace:
    """A checked study.

    Everything that its text names was found, and nothing has been evaluated. `load_design_space` makes it.

    Attributes
    ----------
    study : Study
        The study.
    axes : tuple of AxisValues
        The axes of the study, and that of the networks.
    base : dict of str to record
        The records of the base by root, such as "architecture".
    overlays : dict of str to dict of str to dict
        By axis and choice the records that replace those of the base.
    networks : dict of str to LoadedNetwork
        The networks by name.
    digests : dict of (str, str) to str
        Digests of the overlays, by axis and choice.
    settings : tuple of Setting
        The fields that take values of axes and derived values.
    densities : tuple of Setting
        The densities of networks that take values.
    fields : dict of tuple of str to dict of str to Field
        The fields of `settings` by path, for each combination of choices.
    derived : tuple of Derived
        The derived values, in an order in which each uses only those before it.
    filters : tuple of Expression
        What must hold for a point to be evaluated.
    limits : tuple of Expression
        What must hold of an evaluated point.
    context : bytes
        What every key of the study depends on.
    """

    study: Study
    axes: tuple[AxisValues, ...]
    base: Holder
    overlays: dict[str, dict[str, Holder]]
    networks: dict[str, LoadedNetwork]
    digests: dict[tuple[str, str], str]
    settings: tuple[Setting, ...]
    densities: tuple[Setting, ...]
    fields: dict[tuple[str, ...], dict[str, Field]]
    derived: tuple[Derived, ...]
    filters: tuple[Expression, ...]
    limits: tuple[Expression, ...]
    context: bytes

    def values(self, point: Point) -> dict[str, Any]:
        """Return the values of axes and derived names of a point.

        Parameters
        ----------
        point : dict of str to object
            The value of each axis by name.

        Returns
        -------
        dict of str to object
            The values by name; those of axes without a value are left out.
        """
        found = {name: value for name, value in point.items() if value is not None}
        for each in self.derived:
            if each.expression.names <= found.keys():
                found[each.name] = each.expression(found)
        return found

    def refusal(self, point: Point) -> str:
        """Return why a point is not evaluated.

        Parameters
        ----------
        point : dict of str to object
            The value of each axis by name.

        Returns
        -------
        str
            The filter that the point does not pass, or an empty text.
        """
        values = self.values(point) if self.filters else {}
        for expression in self.filters:
            if expression.names <= values.keys() and not expression(values):
                return f"filter: {expression.text}"
        return ""

    def key(self, point: Point) -> str:
        """Return a digest of everything that the result of a point depends on.

        Values of axes that only expressions use, and the names of axes, are no part of it.

        Parameters
        ----------
        point : dict of str to object
            The value of each axis by name.

        Returns
        -------
        str
            The digest in hex.
        """
        values = self.values(point)
        settings = (*self.settings, *self.densities)
        said: list[Any] = [(s.path, _plain(values[s.value])) for s in settings if s.value in values]
        said += [self.digests[axis, values[axis]] for axis in self.overlays if axis in values]
        said.sort(key=repr)
        said.append(self.networks[str(point[WORKLOAD])].digest)
        digest = hashlib.blake2b(msgspec.json.encode(said), digest_size=KEY_BYTES, key=self.context)
        return digest.hexdigest()

    def records(self, point: Point) -> Holder:
        """Return the records of a point's design.

        Parameters
        ----------
        point : dict of str to object
            The value of each axis by name.

        Returns
        -------
        dict of str to record
            The records by root, such as "architecture".

        Raises
        ------
        SpecError
            If a record refuses a value.
        """
        values = self.values(point)
        choices = tuple(str(values[axis]) for axis in self.overlays if axis in values)
        holder = self._chosen(choices)
        fields = self.fields[choices]
        return set_fields(
            holder, [(fields[s.path], values[s.value]) for s in self.settings if s.value in values]
        )

    def _chosen(self, choices: tuple[str, ...]) -> Holder:
        return chosen_records(self.base, self.overlays, choices)

    def has_area(self) -> bool:
        """Return whether the area of something is known in all combinations of choices.

        Returns
        -------
        bool
        """
        return all(build_hardware(self._chosen(choices)).area_um2 for choices in self.fields)

    def has_energy(self) -> bool:
        """Return whether some energy is known in all combinations of choices; only machines may lack all.

        Returns
        -------
        bool
        """
        if self.base.get("machine") is None:
            return True
        return all(build_hardware(self._chosen(choices)).energy_source for choices in self.fields)

    def hardware(self, point: Point) -> Hardware:
        """Build the design of a point.

        Parameters
        ----------
        point : dict of str to object
            The value of each axis by name.

        Returns
        -------
        Hardware

        Raises
        ------
        SpecError
            If the design cannot be built.
        """
        return build_hardware(self.records(point))

    def network(self, point: Point) -> LoadedNetwork:
        """Return the network of a point, with the densities that axes give it.

        Parameters
        ----------
        point : dict of str to object
            The value of each axis by name.

        Returns
        -------
        LoadedNetwork

        Raises
        ------
        SpecError
            If a density is out of range.
        """
        network = self.networks[str(point[WORKLOAD])]
        if not self.densities:
            return network
        values = self.values(point)
        given = {s.path.removeprefix(DENSITY): values[s.value] for s in self.densities if s.value in values}
        layers = tuple(with_densities_of(layer, given, network.name) for layer in network.layers)
        return network._replace(layers=layers)


def _plain(value: Any) -> Any:
    """Return whole numbers as int, because 100 and 100.0 are the same value in files of studies."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
