"""Energy tables: fallbacks, built-in energies, areas."""

from __future__ import annotations

import struct

import pytest
from support.named import naming

from sparsim.errors import SpecError
from sparsim.records import Architecture, Compute, EnergyTable, Storage
from sparsim.records.energy_table import STORAGE_ACTIONS, VectorEnergy, resolve_energy

ARCH = Architecture(
    storage=(
        Storage(name="DRAM", technology="DRAM", block_size=4),
        Storage(name="buffer", size_words=1024, cluster_size=2, mesh=(2, 1), cluster_area_um2=30.0),
    ),
    compute=Compute(name="MAC", word_bits=8, area_um2=7.0),
)


def resolved(actions, arch=ARCH, **table):
    return resolve_energy(arch, EnergyTable(actions=actions, **table))


def of(energies, action):
    return energies[tuple(STORAGE_ACTIONS).index(action)]


def test_there_are_twenty_actions_in_the_order_of_the_energy_sum():
    names = tuple(STORAGE_ACTIONS)
    assert len(names) == 20
    assert names[:4] == ("random_read", "random_fill", "random_update", "gated_read")
    assert names[9:13] == (
        "random_metadata_read",
        "gated_metadata_read",
        "skipped_metadata_read",
        "random_metadata_fill",
    )
    assert names[-2:] == ("decompression_count", "compression_count")


def test_built_in_energies():
    found = resolve_energy(ARCH, None)
    size_kb = 32 * 1024 / 8192
    buffer = (5 / 99.5 * (size_kb - 0.5) + 1) * 32 / 16 / 2
    assert found.storage[0] == (800.0,) * 3 + (0.0,) * 17
    assert of(found.storage[1], "random_fill") == pytest.approx(buffer, rel=1e-15)
    assert found.compute == (0.25, 0.0, 0.0)
    assert [v.source for v in found.vector_energy] == ["PAT", "PAT"]
    assert found.areas == (0.0, 15.0)
    assert found.compute_area == 7.0
    assert found.wire_pj_per_bit_mm is None


def test_a_level_that_holds_nothing_costs_nothing():
    arch = Architecture(storage=(Storage(name="dummy", size_words=0),), compute=Compute(name="MAC"))
    assert resolve_energy(arch, None).storage == ((0.0,) * 20,)


@pytest.mark.parametrize(
    ("entry", "action", "energy"),
    [
        ({"read": 2, "write": 3}, "gated_read", 2),
        ({"read": 2, "idle": 0}, "gated_read", 0),
        ({"read": 2, "idle": 0, "gated_read": 1}, "skipped_read", 1),
        ({"read": 2, "write": 3, "random_fill": 4}, "random_update", 4),
        ({"write": 3, "gated_write": 1}, "skipped_update", 1),
        ({"read": 2}, "random_metadata_read", 0),
        ({"idle": 0.5, "metadata_read": 2}, "random_metadata_read", 2),
        ({"idle": 0.5}, "random_metadata_fill", 0.5),
        ({"idle": 0.5}, "gated_metadata_fill", 0),
        ({"metadata_write": 2}, "gated_metadata_fill", 2),
        ({"metadata_write": 2, "metadata_idle": 1}, "skipped_metadata_update", 1),
        ({"decompression_count": 2}, "compression_count", 0),
    ],
)
def test_fallbacks(entry, action, energy):
    assert of(resolved({"buffer": entry}).storage[1], action) == energy


@pytest.mark.parametrize(
    ("entry", "energies"),
    [
        ({"mac_random": 2, "mac_gated": 1}, (2, 1, 1)),
        ({"mult": 3}, (3, 3, 3)),
        ({"compute": 3, "compute_skipped": 0}, (3, 3, 0)),
        ({}, (0.25, 0, 0)),
    ],
)
def test_compute(entry, energies):
    assert resolved({"MAC": entry}).compute == energies


def test_an_energy_given_with_the_level_outranks_its_table_entry():
    buffer = Storage(name="buffer", size_words=4, vector_access_energy_pj=9.0)
    arch = Architecture(storage=(buffer,), compute=Compute(name="MAC"))
    found = resolved({"buffer": {"read": 1.0, "idle": 1.0}}, arch)
    assert found.storage[0] == (9.0,) * 3 + (0.0,) * 17
    assert found.vector_energy == (VectorEnergy(9.0, "user"),)


def test_vector_energy_is_the_largest_entry_of_a_cluster():
    found = resolved({"buffer": {"read": 1.0, "anything": 5.0}})
    assert found.vector_energy[1] == VectorEnergy(2.5, "ERT")


def test_areas_and_wires_are_single_precision():
    found = resolved({}, areas={"buffer": 0.1, "MAC": 0.2}, wire_pj_per_bit_mm=0.3)
    single = struct.unpack("3f", struct.pack("3f", 0.1, 0.2, 0.3))
    assert (found.areas[1], found.compute_area, found.wire_pj_per_bit_mm) == single


@pytest.mark.parametrize("energy", [-1.0, float("nan"), float("inf")])
def test_only_finite_energies(energy):
    with pytest.raises(SpecError, match=naming(f"buffer read {energy:g}")):
        EnergyTable(actions={"buffer": {"read": energy}})
