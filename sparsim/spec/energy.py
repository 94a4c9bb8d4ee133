"""Energy per action (ERT) and area per component (ART), and what they mean for one architecture."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Literal, NamedTuple

from sparsim.errors import EnergyTableError, near
from sparsim.spec.arch import Architecture, Compute, Storage
from sparsim.spec.base import Record
from sparsim.spec.limits import check_real


class EnergyTable(Record, frozen=True, kw_only=True):
    """`actions[component][action]` in pJ per vector access (storage) or per operation (compute);
    `areas[component]` in um^2 per instance; `wire_pj_per_bit_mm`, where not 0, holds for all networks."""

    name: str = "energy"
    actions: dict[str, dict[str, float]] = {}
    areas: dict[str, float] = {}
    wire_pj_per_bit_mm: float | None = None
    source: str = ""

    def __post_init__(self) -> None:
        for component, actions in self.actions.items():
            for action, energy in actions.items():
                where = f"energy table, component {component}"
                check_real(where, f"energy of action '{action}'", energy, unit=" pJ")
        for component, area in self.areas.items():
            check_real(f"area table, component {component}", "area", area, unit=" um^2")
        check_real("energy table", "wire energy", self.wire_pj_per_bit_mm, unit=" pJ/b/mm")


# model action -> table actions, the first that the table has counts (model-spec 4.5). This is the order of
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

COMPUTE_ACTIONS: dict[str, tuple[str, ...]] = {
    "random_compute": ("mac_random", "mult_random", "mac", "mult", "compute"),
    "gated_compute": ("mac_gated", "mult_gated", "compute_gated", "mac", "mult", "compute"),
    "skipped_compute": (
        "mac_skipped", "mult_skipped", "compute_skipped",
        "mac_gated", "mult_gated", "compute_gated", "mac", "mult", "compute",
    ),
}  # fmt: skip


class VectorEnergy(NamedTuple):
    """The one number that the dense report prints per storage level; never used in a sum."""

    energy_pj: float
    source: Literal["ERT", "PAT", "user"]


class ResolvedEnergy(NamedTuple):
    """What each action of one architecture costs. Storage levels outer to inner."""

    storage: tuple[tuple[float, ...], ...]  # pJ, in the order of STORAGE_ACTIONS
    compute: tuple[float, float, float]  # pJ of a random, gated, skipped compute
    vector_energy: tuple[VectorEnergy, ...]
    areas: tuple[float, ...]  # um^2 per instance
    compute_area: float
    wire_pj_per_bit_mm: float | None  # of all networks; None: each network's own


def resolve_energy(arch: Architecture, table: EnergyTable | None) -> ResolvedEnergy:
    """Energies and areas of `arch` (model-spec 4.4, 4.5). Without a table, and for components that it lacks,
    the built-in formulas hold; `sparsim.spec.check` refuses tables that lack what a mapping needs."""
    actions, areas = (table.actions, table.areas) if table else ({}, {})
    storage, vectors = zip(*(_storage_energies(level, actions) for level in arch.storage), strict=True)
    compute = actions.get(arch.compute.name, {})
    start = (_compute_energy_pj(arch.compute), 0.0, 0.0)
    wire = float32(table.wire_pj_per_bit_mm or 0.0) if table else 0.0
    return ResolvedEnergy(
        storage=storage,
        compute=_resolve(COMPUTE_ACTIONS, compute, start),  # type: ignore[arg-type]
        vector_energy=vectors,
        areas=tuple(
            float32(areas[level.name])
            if level.name in areas
            else (level.cluster_area_um2 or 0.0) / level.cluster_size
            for level in arch.storage
        ),
        compute_area=float32(areas[arch.compute.name])
        if arch.compute.name in areas
        else arch.compute.area_um2,
        wire_pj_per_bit_mm=wire or None,
    )


def _storage_energies(
    level: Storage, actions: Mapping[str, Mapping[str, float]]
) -> tuple[tuple[float, ...], VectorEnergy]:
    energy = level.vector_access_energy_pj
    given = energy is not None
    if energy is None:
        energy = built_in_access_energy_pj(level)
    start = (energy, energy, energy) + (0.0,) * (len(STORAGE_ACTIONS) - 3)
    entry = actions.get(level.name)
    if given or entry is None:  # an energy given with the level outranks the whole table entry
        return start, VectorEnergy(energy, "user" if given else "PAT")
    largest = max(entry.values(), default=0.0)
    return _resolve(STORAGE_ACTIONS, entry, start), VectorEnergy(largest / level.cluster_size, "ERT")


def _resolve(
    names: Mapping[str, tuple[str, ...]], entry: Mapping[str, float], start: tuple[float, ...]
) -> tuple[float, ...]:
    return tuple(
        next((float(entry[name]) for name in names[action] if name in entry), default)
        for action, default in zip(names, start, strict=True)
    )


def built_in_access_energy_pj(level: Storage) -> float:
    """Energy of one vector access by the reference's rule of thumb (model-spec 4.4)."""
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
    """The nearest single-precision number, which is what the reference stores of areas and wire energies."""
    rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    return rounded


def missing_storage_energy(level: Storage, table: EnergyTable, model_action: str) -> str | None:
    """Raise EnergyTableError unless `table` prices `model_action`, a key of STORAGE_ACTIONS.

    An entry without any action of the model is an entry for another program: the reference keeps to its
    built-in energies then. That is no error, but the warning that is returned.
    """
    if level.vector_access_energy_pj is not None:
        return None
    entry = table.actions.get(level.name, {})
    if entry and not any(name in entry for names in STORAGE_ACTIONS.values() for name in names):
        return (
            f"energy table, component {level.name}: only unknown actions ({', '.join(entry)}), "
            f"the built-in {built_in_access_energy_pj(level):.4g} pJ per access is used"
        )
    _require(level.name, table, STORAGE_ACTIONS[model_action])
    return None


def require_compute_energy(compute: Compute, table: EnergyTable) -> None:
    """Raise EnergyTableError unless `table`, or the unit itself, prices a compute."""
    if compute.energy_pj is None:
        _require(compute.name, table, COMPUTE_ACTIONS["random_compute"])


def _require(component: str, table: EnergyTable, names: tuple[str, ...]) -> None:
    entry = table.actions.get(component)
    if entry is None:
        raise EnergyTableError(
            f"no component '{component}'", path="energy table", hint=near(component, table.actions)
        )
    if not any(name in entry for name in names):
        allowed = " or ".join(f"'{name}'" for name in names)
        raise EnergyTableError(
            f"no action {allowed}", path=f"energy table, component {component}", hint=near(names[-1], entry)
        )
