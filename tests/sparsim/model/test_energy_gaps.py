"""Warnings of energies and areas that a table gives in vain or lacks, and where each energy comes from."""

from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec.structs import replace
from support.examples import ENERGY, FORMATS_OF_A, MATMUL, SKIP_B, accelerator

from sparsim import load_preset, preset_names
from sparsim.estimate.accelerator_energy import energy_table
from sparsim.files.sparsim_yaml import load_accelerator
from sparsim.model.energy_gaps import energy_gaps
from sparsim.records import CONV, Accelerator, Architecture, EnergyTable, Network, Option, Saf, SparsePolicy
from sparsim.records.energy_table import COMPUTE_ACTIONS, STORAGE_ACTIONS, energy_sources

ACCELERATORS = [name for name in preset_names() if load_preset(name).machine is None]
ALL_KEEP = {name: [0, 1, 2] for name in ("A", "B", "Z")}
GATE_A = Saf(level="spad", type="gating", options=(Option(target="A", condition_on=("B",)),))
GATE_Z = Saf(level="GLB", type="gating", options=(Option(target="Z", condition_on=("A", "B")),))


def gaps(table: EnergyTable, policy: SparsePolicy | None = None, arch: Architecture | None = None) -> list:
    found = Accelerator(architecture=arch or accelerator(), policy=policy, energy=table)
    return list(energy_gaps(found, MATMUL, table, ALL_KEEP))


def changed(component: str, without: tuple[str, ...] = (), **actions: float) -> EnergyTable:
    entry = {name: pj for name, pj in ENERGY.actions[component].items() if name not in without} | actions
    return replace(ENERGY, actions=ENERGY.actions | {component: entry})


def policy(*safs: Saf, **fields: Any) -> SparsePolicy:
    return SparsePolicy(safs=safs, **fields)


def test_a_whole_table_has_no_gaps() -> None:
    full = policy(SKIP_B, formats=FORMATS_OF_A, compute_gating=True, compute_skipping=True)
    assert gaps(ENERGY) == gaps(ENERGY, full) == []


ALL_AREAS = {"GLB": 1.0, "spad": 1.0, "MAC": 1.0}
NO_IDLE = changed("spad", ("idle", "gated_read"))
CASES = {
    "unknown component": (
        replace(ENERGY, actions=ENERGY.actions | {"GBL": {"read": 1.0}}), None, "'GBL'.*did you mean 'GLB'"
    ),
    "component with an area only": (replace(ENERGY, areas={**ALL_AREAS, "pad": 1.0}), None, "area.*'pad'"),
    "unknown action": (changed("GLB", refresh=1.0), None, "GLB.*'refresh' is not read$"),
    "misspelt action": (changed("GLB", gated_raed=1.0), None, "'gated_raed'.*did you mean 'gated_read'"),
    "unknown action of compute": (changed("MAC", mac_reused=1.0), None, "MAC.*'mac_reused'"),
    "leak": (changed("spad", leak=1.0), None, "spad.*'leak'.*'idle'"),
    "gated reads": (NO_IDLE, policy(GATE_A), "spad.*'gated_read'.*as much as an actual one"),
    "skipped reads": (NO_IDLE, policy(SKIP_B), "spad.*'skipped_read'.*as much as an actual one"),
    "gated updates": (
        changed("GLB", ("idle",)), policy(GATE_Z), "GLB.*'gated_read' and 'gated_update'.*an actual one"
    ),
    "gated computes": (
        changed("MAC", ("mac_random", "mac_gated"), mac=1.0), policy(compute_gating=True),
        "MAC.*'gated_compute'.*an actual one",
    ),
    "free gated computes": (
        changed("MAC", ("mac_gated",)), policy(compute_gating=True), "MAC.*'gated_compute'.*nothing"
    ),
    "skipped computes": (
        changed("MAC", ("mac_random", "mac_gated"), compute=1.0), policy(compute_skipping=True),
        "MAC.*'skipped_compute'.*an actual one",
    ),
    "free metadata": (
        changed("spad", ("metadata_read", "metadata_write", "idle")), policy(formats=FORMATS_OF_A),
        "spad.*'random_metadata_read' and 'random_metadata_fill'.*nothing",
    ),
    "an entry for another program": (
        replace(ENERGY, actions=ENERGY.actions | {"GLB": {"access": 1.0}}), None, "GLB: only unknown.*built"
    ),
    "some areas": (replace(ENERGY, areas={"GLB": 1.0}), None, "no area of 'spad' and 'MAC'"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_one_warning_for_each_kind_of_gap(case: str) -> None:
    table, sparse, pattern = CASES[case]
    (warning,) = gaps(table, sparse)
    assert re.search(pattern, warning), warning


def test_decompression_without_an_energy() -> None:
    arch = accelerator(GLB={"decompression_supported": True, "compression_supported": True})
    at_dram = policy(formats=FORMATS_OF_A[:1])
    (warning,) = gaps(ENERGY, at_dram, arch)
    assert "GLB" in warning
    assert "decompression_count" in warning
    assert gaps(changed("GLB", decompression_count=0.0), at_dram, arch) == []


def test_what_the_architecture_gives_too() -> None:
    arch = accelerator(spad={"vector_access_energy_pj": 2.0})
    (warning,) = gaps(ENERGY, None, arch)
    assert "component spad: is not used" in warning
    arch = replace(accelerator(), compute=replace(accelerator().compute, energy_pj=3.0))
    (warning,) = gaps(ENERGY, None, arch)
    assert "compute MAC" in warning
    arch = accelerator(GLB={"network": Network(wire_energy_pj_per_bit_mm=0.1)})
    (warning,) = gaps(replace(ENERGY, wire_pj_per_bit_mm=0.2), None, arch)
    assert "wire energies of GLB" in warning
    assert gaps(ENERGY, None, arch) == []


def test_gaps_of_many_components_are_one_sentence() -> None:
    actions = {name: entry | {"leak": 0.0} for name, entry in ENERGY.actions.items()}
    (warning,) = gaps(replace(ENERGY, actions=actions))
    assert "components DRAM, GLB, spad, MAC: action 'leak'" in warning


def test_levels_and_actions_that_do_not_happen_are_passed_over() -> None:
    assert gaps(NO_IDLE) == gaps(NO_IDLE, policy(GATE_Z)) == []
    keepers = ALL_KEEP | {"A": [0, 1]}
    gating = Accelerator(architecture=accelerator(), policy=policy(GATE_A), energy=NO_IDLE)
    assert energy_gaps(gating, MATMUL, NO_IDLE, keepers) == ()


@pytest.mark.parametrize("name", ACCELERATORS)
def test_presets_have_no_gaps(name: str) -> None:
    preset = load_accelerator(name)
    table = energy_table(preset)
    assert table is not None
    levels = list(range(len(preset.architecture.storage)))
    keepers = {dataspace.name: levels for dataspace in CONV.dataspaces}
    assert energy_gaps(preset, CONV, table, keepers) == ()


def test_sources_of_energies() -> None:
    assert set(energy_sources(accelerator(), ENERGY)["GLB"]) == set(STORAGE_ACTIONS)
    assert set(energy_sources(accelerator(), ENERGY)["MAC"]) == set(COMPUTE_ACTIONS)
    spad = energy_sources(accelerator(), NO_IDLE)["spad"]
    assert spad["random_read"] == spad["random_update"] == "energy table"
    assert spad["gated_read"] == "energy table: 'read' stands in"
    assert spad["skipped_fill"] == "energy table: 'write' stands in"
    assert spad["decompression_count"] == "not given"
    glb = energy_sources(accelerator(), replace(ENERGY, estimated=True))["GLB"]
    assert glb["random_read"] == "estimated from components"
    assert glb["gated_read"] == "estimated from components: 'idle' stands in"
    given = accelerator(spad={"vector_access_energy_pj": 2.0})
    assert energy_sources(given, ENERGY)["spad"]["random_read"] == "architecture"
    assert energy_sources(given, ENERGY)["spad"]["gated_read"] == "not given"
    mac = energy_sources(accelerator(), None)["MAC"]
    assert (mac["random_compute"], mac["gated_compute"]) == ("built in", "not given")


def test_a_gated_energy_is_its_own_where_gated_writes_are_given() -> None:
    spad = energy_sources(accelerator(), changed("spad", gated_write=0.1))["spad"]
    assert spad["gated_fill"] == spad["gated_update"] == "energy table"
    assert spad["skipped_fill"] == "energy table: 'gated_write' stands in"
