"""Warnings of energies and areas in a table that are not used, and of substitutes for missing ones.

These cases are allowed, because tables of other programs are read, and follow the reference, but are hardly
intended.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from itertools import pairwise

from sparsim.errors import near
from sparsim.records.accelerator import Accelerator
from sparsim.records.architecture import Architecture, Storage
from sparsim.records.chip_spec import CHIP_COMPONENTS
from sparsim.records.energy_table import (
    COMPUTE_ACTIONS,
    LEAK,
    NOT_GIVEN,
    EnergyTable,
    built_in_access_energy_pj,
    is_for_others,
    priced_by,
    resolve_energy,
    storage_actions,
)
from sparsim.records.shape import Shape
from sparsim.records.sparsity import SparsePolicy

Keepers = Mapping[str, Sequence[int]]  # per dataspace the indices of the levels that keep it, outer to inner

MOST_NAMED = 12  # most names in one warning

_READ_OF_COMPUTE = {name for names in COMPUTE_ACTIONS.values() for name in names}
_NO_MATTER = {"idle"}  # leakage of compute units per cycle, which every estimator lists


def energy_gaps(
    accelerator: Accelerator, shape: Shape, table: EnergyTable, keepers: Keepers
) -> tuple[str, ...]:
    """Return one sentence for each kind of energy or area that is unused or missing in the accelerator's
    `table`.
    """
    arch = accelerator.architecture
    priced = [
        i
        for i, level in enumerate(arch.storage)
        if level.name in table.actions and level.vector_access_energy_pj is None
    ]
    levels = [i for i in priced if not is_for_others(arch.storage[i], table)]
    return (
        *_unknown_components(arch, table),
        *_outranked(arch, table),
        *(_for_others(arch.storage[i], table) for i in priced if i not in levels),
        *_unknown_actions(arch, table, levels),
        *_stand_ins(arch, shape, accelerator.policy or SparsePolicy(), table, keepers, levels),
        *_areas(arch, table),
    )


def _for_others(level: Storage, table: EnergyTable) -> str:
    return (
        f"energy table, component {level.name}: only unknown actions "
        f"({', '.join(_first(list(table.actions[level.name])))}), "
        f"the built-in {built_in_access_energy_pj(level):.4g} pJ per access is used"
    )


def _unknown_components(arch: Architecture, table: EnergyTable) -> Iterator[str]:
    levels = [*(level.name for level in arch.storage), arch.compute.name]
    networks = {one.name for level in arch.storage for one in level.network.named if one.kind == "multicast"}
    for kind, names in (("energy", table.actions), ("area", table.areas)):
        unknown = [name for name in names if name not in {*levels, *networks, *CHIP_COMPONENTS}]
        if kind == "area":
            unknown = [name for name in unknown if name not in table.actions]  # another warning covers these
        if unknown:
            close = near(unknown[0], levels) if len(unknown) == 1 else ""
            is_not = "is not a level" if len(unknown) == 1 else "are not levels"
            yield (
                f"{kind} table: {_quoted(unknown)} {is_not} of architecture {arch.name} and ignored"
                + (f" ({close})" if close else "")
            )


def _outranked(arch: Architecture, table: EnergyTable) -> Iterator[str]:
    """Yield a warning for energies that both the table and the architecture define."""
    for level in arch.storage:
        if level.vector_access_energy_pj is not None and table.actions.get(level.name):
            yield (
                f"energy table, component {level.name}: is not used, as the architecture gives the level "
                f"{level.vector_access_energy_pj:g} pJ per access"
            )
    compute = arch.compute
    if compute.energy_pj is not None and priced_by(
        COMPUTE_ACTIONS["random_compute"], table.actions.get(compute.name, {})
    ):
        yield (
            f"architecture, compute {compute.name}: its {compute.energy_pj:g} pJ are not used, as the energy "
            "table has the component"
        )
    given = [s.name for s in arch.storage if s.network.wire_energy_pj_per_bit_mm is not None]
    if table.wire_pj_per_bit_mm and given:
        yield (
            f"architecture: wire energies of {', '.join(given)} are not used, as the energy table gives "
            f"{table.wire_pj_per_bit_mm:g} pJ/b/mm for all wires"
        )


def _unknown_actions(arch: Architecture, table: EnergyTable, levels: Sequence[int]) -> Iterator[str]:
    """Yield warnings of unknown actions, grouped because tables tend to have the same ones in all
    components.
    """
    read_of_storage = {name for names in storage_actions(table).values() for name in names}
    leak = {LEAK} if table.rules == "timeloop-4" else set()
    known = [(arch.storage[i].name, read_of_storage | leak) for i in levels]
    known.append((arch.compute.name, _READ_OF_COMPUTE | _NO_MATTER | leak))
    components: dict[tuple[str, ...], list[str]] = {}
    for name, read in known:
        unknown = tuple(action for action in table.actions.get(name, {}) if action not in read)
        if unknown:
            components.setdefault(unknown, []).append(name)
    for actions, names in components.items():
        what = "action {} is" if len(actions) == 1 else "actions {} are"
        hint = _meant(actions, frozenset(read_of_storage))
        yield f"energy table, {_components(names)}: {what.format(_quoted(actions))} not read" + (
            f" ({hint})" if hint else ""
        )


@lru_cache(maxsize=64)
def _meant(actions: tuple[str, ...], read_of_storage: frozenset[str]) -> str:
    if LEAK in actions:
        return "the model reads 'idle', which Accelergy 0.4 calls 'leak'"
    for action in actions:
        close = get_close_matches(action, sorted(read_of_storage | _READ_OF_COMPUTE), n=1, cutoff=0.75)
        if close:
            return f"did you mean '{close[0]}'?"
    return ""


def _stand_ins(
    arch: Architecture,
    shape: Shape,
    policy: SparsePolicy,
    table: EnergyTable,
    keepers: Keepers,
    levels: Sequence[int],
) -> Iterator[str]:
    """Yield warnings of actions that happen without an energy of their own, and therefore cost as much as
    actual ones or nothing.
    """
    happening, known = _happening(arch, shape, policy, keepers), storage_actions(table)
    computes = {"gated_compute": policy.compute_gating, "skipped_compute": policy.compute_skipping}
    components = [
        (arch.storage[i].name, known, [name for name in known if (i, name) in happening]) for i in levels
    ]
    components.append(
        (arch.compute.name, COMPUTE_ACTIONS, [name for name, is_on in computes.items() if is_on])
    )
    costly: dict[tuple[str, ...], list[str]] = {}
    free: dict[tuple[str, ...], list[str]] = {}
    for name, names, actions in components:
        lacks = _without_energy(actions, names, table.actions.get(name, {}))
        for group, lacking in zip((costly, free), lacks, strict=True):
            if lacking:
                group.setdefault(lacking, []).append(name)
    for group, cost in ((costly, "as much as an actual one"), (free, "nothing")):
        for missing, where in group.items():
            yield f"energy table, {_components(where)}: no energy of {_quoted(missing)}, so it costs {cost}"


def _without_energy(
    actions: Sequence[str], names: Mapping[str, tuple[str, ...]], entry: Mapping[str, float]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the actions that use the energy of another outcome, and those without any energy."""
    as_actual: list[str] = []
    nothing: list[str] = []
    for action in actions:
        found = priced_by(names[action], entry)
        outcome = action.partition("_")[0]
        if found is None:
            if outcome != "skipped":  # these are intended to cost nothing
                nothing.append(action)
        elif outcome in ("gated", "skipped") and not any(
            word in found for word in ("gated", "skipped", "idle")
        ):
            as_actual.append(action)
    return tuple(as_actual), tuple(nothing)


def _happening(
    arch: Architecture, shape: Shape, policy: SparsePolicy, keepers: Keepers
) -> set[tuple[int, str]]:
    """Return the pairs (level, action) that a policy adds to actual reads, fills and updates."""
    index = {level.name: i for i, level in enumerate(arch.storage)}
    written = {d.name for d in shape.dataspaces if d.read_write}
    formats = {(index[f.level], f.dataspace): f for f in policy.formats}
    found: set[tuple[int, str]] = set()
    stored = {
        (i, name) for (i, name) in formats if i in keepers[name] and arch.storage[i].metadata_width_bits > 0
    }
    for i, name in stored:
        found.add((i, "random_metadata_read"))
        if i != keepers[name][0]:
            found.add((i, "random_metadata_fill"))
        if name in written:
            found.add((i, "random_metadata_update"))
    for saf in policy.safs:
        outcome, i = "gated" if saf.type == "gating" else "skipped", index[saf.level]
        for name in {option.target for option in saf.options if i in keepers[option.target]}:
            kinds = ["read", *(["update"] if name in written else [])]
            found |= {(i, f"{outcome}_{kind}") for kind in kinds}
            if (i, name) in stored:
                found |= {(i, f"{outcome}_metadata_{kind}") for kind in kinds}
    compressed = {place for place, tensor in formats.items() if tensor.compressed}
    for name, kept in keepers.items():
        for outer, inner in pairwise(kept):
            if (outer, name) in compressed and (inner, name) not in compressed:
                if arch.storage[inner].decompression_supported:  # otherwise no such mapping is valid
                    found.add((inner, "decompression_count"))
                if arch.storage[inner].compression_supported and name in written:
                    found.add((inner, "compression_count"))
    return found


def _areas(arch: Architecture, table: EnergyTable) -> Iterator[str]:
    """Yield a warning for the levels without an area in a table with areas.

    A DRAM needs none because it is off chip, and a level of one bit needs none because it only represents a
    fan-out.
    """
    if not table.areas:
        return
    resolved = resolve_energy(arch, table)
    components = [
        (level.name, source)
        for level, source in zip(arch.storage, resolved.area_sources, strict=True)
        if level.technology != "DRAM" and level.size_words and level.size_words * level.word_bits > 1
    ]
    lacking = [
        name
        for name, source in [*components, (arch.compute.name, resolved.compute_area_source)]
        if source == NOT_GIVEN
    ]
    if lacking:
        yield f"area table: no area of {_quoted(lacking)}, which count as 0"


def _components(names: Sequence[str]) -> str:
    return f"component{'s' if len(names) > 1 else ''} {', '.join(_first(names))}"


def _quoted(names: Sequence[str]) -> str:
    quoted = _first([f"'{name}'" for name in names])
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def _first(names: Sequence[str]) -> list[str]:
    """Return names for a sentence, shortened if there are many."""
    left_out = len(names) - MOST_NAMED
    return list(names) if left_out <= 1 else [*names[:MOST_NAMED], f"{left_out} others"]
