"""Load the design space of a study, and check it before anything is evaluated."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any
from warnings import warn

from sparsim.cache import digest_of, sources_digest
from sparsim.errors import SparsimWarning, SpecError, warn_of_energies
from sparsim.files.read_any import has_problem, is_timeloops
from sparsim.machines.eyeriss import Chip
from sparsim.machines.eyeriss.chip import missing_energies
from sparsim.model.consistency import check_search
from sparsim.sweep.axes import AxisValues, fixed_mapspaces, list_axes, unused_axes
from sparsim.sweep.design_records import (
    build_accelerator,
    chosen_records,
    plain_records,
    read_records,
)
from sparsim.sweep.design_space import DENSITY, Derived, DesignSpace, Setting
from sparsim.sweep.energy_checks import check_settings
from sparsim.sweep.expressions import compile_expression
from sparsim.sweep.feasibility_checks import check_filters, check_limits
from sparsim.sweep.networks import LoadedNetwork, load_network, with_densities_of
from sparsim.sweep.record_paths import Field, Holder, resolve_field
from sparsim.sweep.study import METRICS, SHORT_NAMES, Study

MOST_CHECKED = 1000  # values of an axis that are converted before the first run


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
        (axis, choice): digest_of(*plain_records(records))
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


def _combinations(study: Study, overlays: dict[str, dict[str, Holder]]) -> Iterator[tuple[str, ...]]:
    """Yield all combinations of choices, with and without those of axes that have a condition."""
    options = [
        [*((choice,) for choice in choices), *([()] if study.axes[axis].when else [])]
        for axis, choices in overlays.items()
    ]
    for parts in itertools.product(*options):
        yield tuple(itertools.chain.from_iterable(parts))


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
    said = (sources_digest(), plain_records(base), search, study.seed, study.clock_mhz)
    return hashlib.blake2b(digest_of(*said).encode(), digest_size=32).digest()
