"""Energy per action (ERT) and area per component (ART), and the energies and areas of an architecture that
follow from them.
"""

import struct
from collections.abc import Mapping
from typing import Literal, NamedTuple

from sparsim.errors import EnergyTableError, near
from sparsim.records.architecture import Architecture, Compute, Storage
from sparsim.records.number_limits import check_real
from sparsim.records.record import Record

Rules = Literal["timeloop-3", "timeloop-4"]


class EnergyTable(Record, frozen=True, kw_only=True):
    """Energies per action (ERT) and areas per component (ART).

    Parameters
    ----------
    name : str, default "energy"
        Name for messages.
    actions : dict of str to dict of str to float, default {}
        Energy in pJ by component and action: per vector access of a storage level, per operation of the
        compute units.
    areas : dict of str to float, default {}
        Area in um^2 of one instance, by component.
    wire_pj_per_bit_mm : float, default None
        Energy of wires in pJ per bit and mm. A value other than 0 holds for all networks.
    source : str, default ""
        Where the numbers come from; for the reader only.
    estimated : bool, default False
        Whether `sparsim.estimate` made the table from components.
    rules : str, default "timeloop-3"
        The generation of Timeloop, "timeloop-3" or "timeloop-4", that says what an action costs that is
        missing (model 4.5). The rules of 4.x give updates an energy of their own and charge leakage.

    Raises
    ------
    SpecError
        If an energy or an area is negative, not finite or too large.

    Examples
    --------
    >>> from sparsim import EnergyTable
    >>> table = EnergyTable(actions={"GLB": {"read": 6.0, "write": 6.5}}, areas={"GLB": 12000.0})
    >>> table.actions["GLB"]["read"]
    6.0
    """

    name: str = "energy"
    actions: dict[str, dict[str, float]] = {}
    areas: dict[str, float] = {}
    wire_pj_per_bit_mm: float | None = None
    source: str = ""
    estimated: bool = False
    rules: Rules = "timeloop-3"

    def __post_init__(self) -> None:
        for component, actions in self.actions.items():
            for action, energy in actions.items():
                where = f"energy table, component {component}"
                check_real(where, f"energy of action '{action}'", energy, unit=" pJ")
        for component, area in self.areas.items():
            check_real(f"area table, component {component}", "area", area, unit=" um^2")
        check_real("energy table", "wire energy", self.wire_pj_per_bit_mm, unit=" pJ/b/mm")


# Model action -> table actions, of which the first one in the table is used (model 4.5). This is the order of
# `ResolvedEnergy.storage`; without an entry the built-in energy of the action stays.
STORAGE_ACTIONS: dict[str, tuple[str, ...]] = {
    "random_read": ("random_read", "read"),
    "random_fill": ("random_fill", "write"),
    "random_update": ("random_update", "random_fill", "write"),
    "gated_read": ("gated_read", "idle", "read"),
    "gated_fill": ("gated_fill", "gated_write", "idle", "write"),
    "gated_update": ("gated_update", "gated_write", "idle", "write"),
    "skipped_read": ("skipped_read", "gated_read", "idle", "read"),
    "skipped_fill": ("skipped_fill", "skipped_write", "gated_write", "idle", "write"),
    "skipped_update": ("skipped_update", "skipped_write", "gated_write", "idle", "write"),
    "random_metadata_read": ("random_metadata_read", "metadata_read", "metadata_idle", "idle"),
    "gated_metadata_read": ("gated_metadata_read", "metadata_idle", "metadata_read"),
    "skipped_metadata_read": ("skipped_metadata_read", "metadata_idle", "metadata_read"),
    "random_metadata_fill": ("random_metadata_fill", "metadata_write", "metadata_idle", "idle"),
    "gated_metadata_fill": ("gated_metadata_fill", "gated_metadata_write", "metadata_idle", "metadata_write"),
    "skipped_metadata_fill": (
        "skipped_metadata_fill", "skipped_metadata_write", "metadata_idle", "metadata_write",
    ),
    "random_metadata_update": ("random_metadata_update", "metadata_write", "metadata_idle", "idle"),
    "gated_metadata_update": (
        "gated_metadata_update", "gated_metadata_write", "metadata_idle", "metadata_write",
    ),
    "skipped_metadata_update": (
        "skipped_metadata_update", "skipped_metadata_write", "metadata_idle", "metadata_write",
    ),
    "decompression_count": ("decompression_count",),
    "compression_count": ("compression_count",),
}  # fmt: skip

# The same by the rules of Timeloop 4.x. Without an entry, random accesses cost as much as the most expensive
# action, and others nothing.
_STORAGE_ACTIONS_4: dict[str, tuple[str, ...]] = {
    "random_read": ("random_read", "read"),
    "random_fill": ("random_fill", "random_write", "fill", "write"),
    "random_update": ("random_update", "random_write", "update", "write"),
    "gated_read": ("gated_read",),
    "gated_fill": ("gated_fill", "gated_write"),
    "gated_update": ("gated_update", "gated_write"),
    "skipped_read": ("skipped_read", "gated_read"),
    "skipped_fill": ("skipped_fill", "skipped_write", "gated_fill", "gated_write"),
    "skipped_update": ("skipped_update", "skipped_write", "gated_update", "gated_write"),
    "random_metadata_read": ("random_metadata_read", "metadata_read"),
    "gated_metadata_read": ("gated_metadata_read",),
    "skipped_metadata_read": ("skipped_metadata_read", "gated_metadata_read"),
    "random_metadata_fill": (
        "random_metadata_fill", "metadata_fill", "random_metadata_write", "metadata_write",
    ),
    "gated_metadata_fill": ("gated_metadata_fill", "gated_metadata_write"),
    "skipped_metadata_fill": (
        "skipped_metadata_fill", "skipped_metadata_write", "gated_metadata_fill", "gated_metadata_write",
    ),
    "random_metadata_update": (
        "random_metadata_update", "metadata_update", "random_metadata_write", "metadata_write",
    ),
    "gated_metadata_update": ("gated_metadata_update", "gated_metadata_write"),
    "skipped_metadata_update": (
        "skipped_metadata_update", "skipped_metadata_write", "gated_metadata_update", "gated_metadata_write",
    ),
    "decompression_count": ("decompression_count",),
    "compression_count": ("compression_count",),
}  # fmt: skip
LEAK = "leak"  # pJ per instance and cycle, by the rules of Timeloop 4.x


def storage_actions(table: EnergyTable) -> dict[str, tuple[str, ...]]:
    """Return, per model action, the table's actions that can give its energy; the first one present is
    used.
    """
    return STORAGE_ACTIONS if table.rules == "timeloop-3" else _STORAGE_ACTIONS_4


COMPUTE_ACTIONS: dict[str, tuple[str, ...]] = {
    "random_compute": ("mac_random", "mult_random", "mac", "mult", "compute"),
    "gated_compute": ("mac_gated", "mult_gated", "compute_gated", "mac", "mult", "compute"),
    "skipped_compute": (
        "mac_skipped", "mult_skipped", "compute_skipped",
        "mac_gated", "mult_gated", "compute_gated", "mac", "mult", "compute",
    ),
}  # fmt: skip


# The source of an energy or area. The source of a table may be followed by the action that is used instead.
TABLE, ESTIMATED = "energy table", "estimated from components"
BUILT_IN = "built in"  # the rule of thumb of model 4.4
ARCHITECTURE = "architecture"  # given in the record of the level
NOT_GIVEN = "not given"  # taken as 0
IN_MEMORY = "in the memory of another level"  # which has the area


class Priced(NamedTuple):
    """The energies of a component's actions in pJ, and where each one comes from."""

    energy_pj: tuple[float, ...]
    sources: tuple[str, ...]


class VectorEnergy(NamedTuple):
    """The single energy that the dense report prints per storage level. It is not used in sums."""

    energy_pj: float
    source: Literal["ERT", "PAT", "user"]


class ResolvedEnergy(NamedTuple):
    """The energy of each action of one architecture. Storage levels are listed outer to inner."""

    storage: tuple[tuple[float, ...], ...]  # pJ, in the order of STORAGE_ACTIONS
    compute: tuple[float, ...]  # pJ of a random, gated, skipped compute
    vector_energy: tuple[VectorEnergy, ...]
    areas: tuple[float, ...]  # um^2 per instance
    compute_area: float
    wire_pj_per_bit_mm: float | None  # for all networks; None keeps the energy of each network
    storage_sources: tuple[tuple[str, ...], ...]  # sources of `storage`
    compute_sources: tuple[str, ...]
    area_sources: tuple[str, ...]
    compute_area_source: str
    leakage: tuple[float, ...]  # pJ per instance and cycle


def resolve_energy(arch: Architecture, table: EnergyTable | None) -> ResolvedEnergy:
    """Return the energies and areas of `arch` (model 4.4, 4.5). Without a table, and for components that it
    lacks, built-in formulas are used; `sparsim.model.consistency` refuses tables without the entries that a
    mapping needs.
    """
    storage, vectors = zip(*(_storage_energies(level, table) for level in arch.storage), strict=True)
    compute = _compute_energies(arch.compute, table)
    given = [None if level.cluster_area_um2 is None else level.cluster_area_um2 / level.cluster_size
             for level in arch.storage]  # fmt: skip
    areas = [
        (0.0, IN_MEMORY) if level.memory else _area(level.name, one, table)
        for level, one in zip(arch.storage, given, strict=True)
    ]
    compute_area = _area(arch.compute.name, arch.compute.area_um2 or None, table)
    wire = float32(table.wire_pj_per_bit_mm or 0.0) if table else 0.0
    return ResolvedEnergy(
        storage=tuple(level.energy_pj for level in storage),
        compute=compute.energy_pj,
        vector_energy=vectors,
        areas=tuple(area for area, _ in areas),
        compute_area=compute_area[0],
        wire_pj_per_bit_mm=wire or None,
        storage_sources=tuple(level.sources for level in storage),
        compute_sources=compute.sources,
        area_sources=tuple(source for _, source in areas),
        compute_area_source=compute_area[1],
        leakage=tuple(0.0 if level.memory else leak_of(level.name, table) for level in arch.storage),
    )


def leak_of(component: str, table: EnergyTable | None) -> float:
    """Return the leakage in pJ per instance and cycle."""
    if table is None or table.rules == "timeloop-3":
        return 0.0
    return table.actions.get(component, {}).get(LEAK, 0.0)


def energy_sources(arch: Architecture, table: EnergyTable | None) -> dict[str, dict[str, str]]:
    """Return the source of the energy of each action, by level and action."""
    resolved = resolve_energy(arch, table)
    found = {
        level.name: dict(zip(STORAGE_ACTIONS, sources, strict=True))
        for level, sources in zip(arch.storage, resolved.storage_sources, strict=True)
    }
    found[arch.compute.name] = dict(zip(COMPUTE_ACTIONS, resolved.compute_sources, strict=True))
    return found


def _storage_energies(level: Storage, table: EnergyTable | None) -> tuple[Priced, VectorEnergy]:
    energy = level.vector_access_energy_pj
    given = energy is not None
    if energy is None:
        energy = built_in_access_energy_pj(level)
    free = len(STORAGE_ACTIONS) - 3
    start = Priced(
        (energy, energy, energy) + (0.0,) * free,
        (ARCHITECTURE if given else BUILT_IN,) * 3 + (NOT_GIVEN,) * free,
    )
    # the level's own energy has precedence over the whole entry
    entry = None if given else entry_of(level.name, table)
    if table is None or entry is None:
        return start, VectorEnergy(energy, "user" if given else "PAT")
    largest = max(entry.values(), default=0.0)
    if table.rules == "timeloop-4" and entry:
        dearest = f"{origin(table)}: the most expensive action stands in"
        start = Priced((largest,) * 3 + (0.0,) * free, (dearest,) * 3 + (NOT_GIVEN,) * free)
    priced = _resolve(storage_actions(table), entry, start, origin(table))
    return priced, VectorEnergy(largest / level.cluster_size, "ERT")


def _compute_energies(compute: Compute, table: EnergyTable | None) -> Priced:
    given = ARCHITECTURE if compute.energy_pj is not None else BUILT_IN
    start = Priced((_compute_energy_pj(compute), 0.0, 0.0), (given, NOT_GIVEN, NOT_GIVEN))
    entry = entry_of(compute.name, table)
    return start if table is None or entry is None else _resolve(COMPUTE_ACTIONS, entry, start, origin(table))


def entry_of(component: str, table: EnergyTable | None) -> Mapping[str, float] | None:
    return None if table is None else table.actions.get(component)


def origin(table: EnergyTable) -> str:
    return ESTIMATED if table.estimated else TABLE


def _resolve(
    names: Mapping[str, tuple[str, ...]], entry: Mapping[str, float], start: Priced, table: str
) -> Priced:
    energies, sources = list(start.energy_pj), list(start.sources)
    for i, action in enumerate(names):
        name = priced_by(names[action], entry)
        if name is not None:
            energies[i] = float(entry[name])
            sources[i] = table if means(name, action) else f"{table}: '{name}' stands in"
    return Priced(tuple(energies), tuple(sources))


def priced_by(names: tuple[str, ...], entry: Mapping[str, float]) -> str | None:
    """Return the action of a table's entry that gives the energy; None if it has none of `names`."""
    return next((name for name in names if name in entry), None)


def means(name: str, action: str) -> bool:
    """Return whether a table's action is the model's action itself rather than a substitute."""
    outcome = action.partition("_")[0]
    return outcome in name if outcome in ("gated", "skipped") else "idle" not in name


def _area(component: str, given: float | None, table: EnergyTable | None) -> tuple[float, str]:
    """Return um^2 per instance, and its source."""
    if table is not None and component in table.areas:
        return float32(table.areas[component]), origin(table)
    return (0.0, NOT_GIVEN) if given is None else (given, ARCHITECTURE)


def built_in_access_energy_pj(level: Storage) -> float:
    """Return the energy of one vector access by the reference's rule of thumb (model 4.4)."""
    if level.technology == "DRAM":
        return 200.0 * (level.word_bits * level.block_size) / 16
    if not level.size_words:
        return 0.0
    width_bits = level.word_bits * level.block_size * level.cluster_size
    height = -(-level.size_words // level.block_size)
    slope = (6.0 - 1.0) / (100.0 - 0.5)  # from 1 unit at 0.5 KB to 6 units at 100 KB
    size_kb = float(width_bits * height) / (8 * 1024)
    return ((slope * (size_kb - 0.5) + 1.0) * width_bits) / 16 / level.cluster_size


def _compute_energy_pj(compute: Compute) -> float:
    if compute.energy_pj is not None:
        return compute.energy_pj
    return (compute.word_bits / 16.0) * (compute.word_bits / 16.0)


def float32(value: float) -> float:
    """Return the nearest single-precision number; the reference stores areas and wire energies in single
    precision.
    """
    rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    return rounded


def is_for_others(level: Storage, table: EnergyTable) -> bool:
    """Return whether the level's entry has actions, but none of the model's.

    Such an entry is for another program and no error, and the reference uses its built-in energies.
    """
    entry = table.actions.get(level.name, {})
    known = {name for names in storage_actions(table).values() for name in names}
    return bool(entry) and table.rules == "timeloop-3" and not known & entry.keys()


def require_storage_energy(level: Storage, table: EnergyTable, model_action: str) -> None:
    """Raise EnergyTableError unless the level or `table` has an energy for `model_action`, a key of
    STORAGE_ACTIONS.
    """
    if level.vector_access_energy_pj is None and not is_for_others(level, table):
        if table.rules == "timeloop-4" and table.actions.get(level.name):
            return
        _require(level.name, table, STORAGE_ACTIONS[model_action])


def require_compute_energy(compute: Compute, table: EnergyTable) -> None:
    """Raise EnergyTableError unless `table` or the unit itself has an energy for a compute."""
    if compute.energy_pj is None:
        _require(compute.name, table, COMPUTE_ACTIONS["random_compute"])


def _require(component: str, table: EnergyTable, names: tuple[str, ...]) -> None:
    entry = table.actions.get(component)
    if entry is None:
        raise EnergyTableError(
            f"component '{component}' is missing", path="energy table", hint=near(component, table.actions)
        )
    if not any(name in entry for name in names):
        allowed = " or ".join(f"'{name}'" for name in names)
        raise EnergyTableError(
            f"the action {allowed} is missing",
            path=f"energy table, component {component}",
            hint=near(names[-1], entry),
        )
