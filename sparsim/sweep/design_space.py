"""Construction of the hardware and the network of a point: the base with the values of the axes."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, NamedTuple
from warnings import warn

import msgspec

from sparsim.cache import digest_of, sources_digest
from sparsim.errors import SparsimWarning, SpecError, warn_of_energies
from sparsim.estimate.accelerator_energy import energy_table
from sparsim.files.documents import Documents
from sparsim.files.read_any import Source, has_problem, is_preset, is_timeloops, read_any
from sparsim.hardware import Hardware, load_hardware
from sparsim.machines.eyeriss import Chip
from sparsim.machines.eyeriss.chip import check_chip, missing_energies
from sparsim.model.consistency import check_search
from sparsim.records import Accelerator
from sparsim.records.mapper_options import MapperOptions
from sparsim.sweep.axes import AxisValues, fixed_mapspaces, list_axes, unused_axes
from sparsim.sweep.energy_checks import check_settings
from sparsim.sweep.expressions import Expression, compile_expression
from sparsim.sweep.feasibility_checks import check_filters, check_limits
from sparsim.sweep.networks import LoadedNetwork, load_network, with_densities_of
from sparsim.sweep.record_paths import ROOTS, Field, Holder, resolve_field, set_fields
from sparsim.sweep.study import METRICS, SHORT_NAMES, WORKLOAD, Study
from sparsim.sweep.sweep_row import Point

KEY_BYTES = 16
DENSITY = "workload.density."  # paths of densities, by the dataspace
MOST_CHECKED = 1000  # values of an axis that are converted before the first run


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


def build_hardware(records: Holder) -> Hardware:
    """Return hardware from records. Raises SpecError for records that do not fit together."""
    if records.get("machine") is not None:
        return load_hardware(records["machine"])
    accelerator = build_accelerator(records)
    if records.get("chip") is None:
        return load_hardware(accelerator)
    chip = Chip(records["chip"], accelerator)
    check_chip(chip)
    return load_hardware(chip)


def build_accelerator(records: Holder) -> Accelerator:
    """Return the accelerator of a design, with estimated components. Raises SpecError."""
    components = records.get("components", ())
    accelerator = Accelerator(
        architecture=records["architecture"], policy=records.get("policy"), mapspace=records.get("mapspace"),
        energy=None if components else records.get("energy"), components=components,
    )  # fmt: skip
    energy_table(accelerator)
    return accelerator


def load_design_space(study: Study) -> DesignSpace:
    """Load everything that a study names, and check all of it.

    Parameters
    ----------
    study : Study
        The study.

    Returns
    -------
    DesignSpace
        The design space, of which no point has been evaluated yet.

    Raises
    ------
    SpecError
        For everything that is wrong in the study, before any point is evaluated.

    Warns
    -----
    SparsimWarning
        If an axis or a mapspace has no effect.
    EnergyWarning
        If energies are given that are not used, or are missing.
    """
    where = f"sweep {study.name}"
    axes = list_axes(study)
    first = next(iter(study.workloads.values())).source
    data = study.template_data
    if data and not is_timeloops(study.base):
        raise SpecError(
            "applies to Timeloop's documents only, and the base has none", path=f"{where}: template_data"
        )
    base = read_records(study.base, () if has_problem(study.base, data) else first, data)
    if not base.get("architecture") and not base.get("machine"):
        raise SpecError("the base has neither an architecture nor a machine", path=where)
    if (base.get("chip") or base.get("machine")) and study.search.to_dict().keys() - {"objective"}:
        text = "nothing is searched on chips and machines: only 'objective' can be chosen"
        raise SpecError(text, path=f"{where}: search")
    networks = {
        name: load_network(name, network, study.base, where, data)
        for name, network in study.workloads.items()
    }
    overlays = _overlays(study)
    derived = _derived(study, [axis.name for axis in axes], where)
    settings = [Setting(name, path) for name, axis in study.axes.items() for path in axis.paths]
    settings += [Setting(each.name, each.name) for each in derived if each.is_field]
    densities = [setting for setting in settings if setting.path.startswith(DENSITY)]
    _check_densities(densities, axes, networks, where)
    settings = [setting for setting in settings if setting not in densities]
    fields = {}
    warnings: dict[str, None] = {}
    for choices in _combinations(study, overlays):
        holder = chosen_records(base, overlays, choices)
        warnings |= dict.fromkeys(_missing_energies(holder, networks))
        found = {s.path: _field(s.path, holder, f"{where}: axes.{s.value}") for s in settings}
        check_settings(study, settings, found, holder, where)
        fields[choices] = found
    warn_of_energies(warnings)
    _check_values(axes, settings, fields, where)
    names = [axis.name for axis in axes] + [each.name for each in derived if not each.is_field]
    filters = tuple(compile_expression(text, names, f"{where}: filters") for text in study.filters)
    known = [*names, *METRICS, *study.attributes, *SHORT_NAMES]
    limits = tuple(compile_expression(text, known, f"{where}: limits") for text in study.limits)
    digests = {
        (axis, choice): digest_of(*_said(records))
        for axis, choices in overlays.items()
        for choice, records in choices.items()
    }
    check_limits(limits, f"{where}: limits")
    conditions = [axis.when for axis in axes if axis.when is not None]
    expressions = (*filters, *limits, *conditions, *(each.expression for each in derived))
    for said in (*fixed_mapspaces(study, fields, overlays), *unused_axes(study, expressions, base)):
        warn(said, SparsimWarning, stacklevel=2)
    space = DesignSpace(
        study, axes, base, overlays, networks, digests, tuple(settings), tuple(densities), fields, derived,
        filters, limits, _context(study, base),
    )  # fmt: skip
    check_filters(axes, filters, space.refusal, f"{where}: filters")
    return space


def _missing_energies(holder: Holder, networks: dict[str, LoadedNetwork]) -> tuple[str, ...]:
    """Return warnings of missing or unused energies in the design of a choice. Raises SpecError."""
    if holder.get("machine"):
        return ()
    accelerator = build_accelerator(holder)
    if holder.get("chip"):
        return missing_energies(Chip(holder["chip"], accelerator))
    found = (check_search(accelerator, network.layers[0]) for network in networks.values())
    return tuple(itertools.chain.from_iterable(found))


def chosen_records(base: Holder, overlays: dict[str, dict[str, Holder]], choices: Sequence[str]) -> Holder:
    """Return the base with the records of one choice per axis; choices of axes without a value are left
    out.
    """
    holder = base
    left = list(choices)
    for options in overlays.values():
        if left and left[0] in options:
            holder = {**holder, **options[left.pop(0)]}
    return holder


def _combinations(study: Study, overlays: dict[str, dict[str, Holder]]) -> Iterator[tuple[str, ...]]:
    """Yield all combinations of choices, with and without those of axes that have a condition."""
    options = [
        [*((choice,) for choice in choices), *([()] if study.axes[axis].when else [])]
        for axis, choices in overlays.items()
    ]
    for parts in itertools.product(*options):
        yield tuple(itertools.chain.from_iterable(parts))


def read_records(
    source: Source, beside: Source = (), template_data: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the records of presets and files by root; later ones replace earlier ones.

    Files without a preset between them are read together. Records that are not mentioned are left out.
    Energies replace components, and the other way round.
    """
    names = [source] if isinstance(source, str | Path) else list(source)
    found: dict[str, Any] = {}
    for alone, group in itertools.groupby(names, is_preset):
        for each in group if alone else [list(group)]:
            found |= _records_of(read_any(each, beside, template_data))
    return found


def _records_of(documents: Documents) -> dict[str, Any]:
    """Return the records by root. Warns of records that a sweep does not use."""
    unused = [
        f"{documents.where}: the {name} is not used, because the study says how a sweep searches"
        for name, is_there in (
            ("mapping", documents.mapping is not None),
            ("section 'mapper'", documents.mapper not in (None, MapperOptions())),
        )
        if is_there
    ]
    for warning in (*documents.warnings, *unused):
        warn(warning, SparsimWarning, stacklevel=4)
    return _exclusive({root: getattr(documents, root) for root in ROOTS if getattr(documents, root)})


def _exclusive(records: dict[str, Any]) -> dict[str, Any]:
    """Return the records, with None for records of a base that they exclude.

    A machine replaces everything, an architecture a machine, and an energy table components.
    """
    if "machine" in records:
        return {**dict.fromkeys(ROOTS), "components": (), **records}
    if "architecture" in records:
        records = {"machine": None, **records}
    if "energy" in records:
        return {"components": (), **records}
    return {"energy": None, **records} if "components" in records else records


def _overlays(study: Study) -> dict[str, dict[str, Holder]]:
    found: dict[str, dict[str, Holder]] = {}
    for name, axis in study.axes.items():
        if axis.choices is not None:
            found[name] = {
                choice: read_records(files, study.base, study.template_data) if files else {}
                for choice, files in axis.choices.items()
            }
    return found


def _field(path: str, holder: Holder, where: str) -> Field:
    try:
        return resolve_field(path, holder)
    except SpecError as error:
        raise error.within(where) from None


def _check_values(
    axes: Sequence[AxisValues], settings: Sequence[Setting], fields: dict[Any, dict[str, Field]], where: str
) -> None:
    """Refuse values of another type than that of their field."""
    values = {axis.name: axis.values for axis in axes}
    for found in fields.values():
        for setting in settings:
            for value in values.get(setting.value, ())[:MOST_CHECKED]:
                try:
                    found[setting.path].convert(value)
                except SpecError as error:
                    raise error.within(f"{where}: axes.{setting.value}") from None


def _check_densities(
    densities: Sequence[Setting], axes: Sequence[AxisValues], networks: dict[str, LoadedNetwork], where: str
) -> None:
    """Refuse densities of dataspaces that a network does not have, and those outside 0 to 1."""
    values = {axis.name: axis.values for axis in axes}
    for setting in densities:
        for network in networks.values():
            for value in values.get(setting.value, (1.0,)):
                given = {setting.path.removeprefix(DENSITY): value}
                with_densities_of(network.layers[0], given, f"{where}: axes.{setting.value}")


def _derived(study: Study, axes: Sequence[str], where: str) -> tuple[Derived, ...]:
    path = f"{where}: derive"
    names = list(study.derive)
    known = [*axes, *(name for name in names if "." not in name)]
    for name in names:
        if name in axes:
            raise SpecError(f"'{name}' is an axis and cannot be derived", path=path)
    found = {
        name: Derived(name, compile_expression(text, known, f"{path}.{name}"))
        for name, text in study.derive.items()
    }
    graph = {name: each.expression.names & set(names) for name, each in found.items()}
    try:
        order = tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise SpecError(f"values are derived from each other: {circle}", path=path) from None
    return tuple(found[name] for name in order)


def _context(study: Study, base: Holder) -> bytes:
    search = study.search.to_dict()
    said = (sources_digest(), _said(base), search, study.seed, study.clock_mhz)
    return hashlib.blake2b(digest_of(*said).encode(), digest_size=32).digest()


def _plain(value: Any) -> Any:
    """Return whole numbers as int, because 100 and 100.0 are the same value in files of studies."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _said(records: Holder) -> list[tuple[str, Any]]:
    """Return records as plain data, in the order of roots."""
    return [
        (root, [c.digest() for c in value] if isinstance(value, tuple) else value and value.digest())
        for root, value in sorted(records.items())
    ]
