"""Logic: formulas written out, and cells as hwcomponents has them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.named import naming

from sparsim.errors import SpecError
from sparsim.estimate import Component, Estimate, estimate, scale_area, scale_energy
from sparsim.estimate.source_data import dram_types, read_rows
from sparsim.files.sparsim_yaml import load_documents

FOLDER = Path(__file__).parents[3] / "validation" / "estimates"
PARTS = {part.name: part for part in load_documents([FOLDER / "parts.yaml"]).components}
CELLS = [
    row
    for row in read_rows(FOLDER / "hwcomponents.csv")
    if PARTS[row["component"]].class_name not in ("sram", "regfile")  # these follow another rule there
]
small = st.integers(1, 64)


def of(class_name: str, node_nm: float | None = 40, **attributes: int | float | str) -> Estimate:
    return estimate(Component(name="part", class_name=class_name, node_nm=node_nm, attributes=attributes))


def energies(found: Estimate) -> dict[str, float]:
    return {action: energy.energy_pj for action, energy in found.actions.items()}


# At 40 nm, the node of the cells, with their row for 5 ns.
BY_HAND = [
    (of("adder", width_bits=8), {"add": 0.0857 / 4, "idle": 0.0119 / 4}, 179 / 4),
    (of("multiplier", width_bits=8), {"multiply": 8.63 / 16, "idle": 0.24 / 16}, 4600 / 16),
    (of("mac", operand_bits=8, accumulator_bits=16),
     {"mac_random": 8.63 / 16 + 0.0857 / 2, "idle": 0.24 / 16 + 0.0119 / 2,
      "mac_gated": 0.24 / 16 + 0.0119 / 2}, 4600 / 16 + 179 / 2),
    (of("comparator", width_bits=4), {"compare": 0.029015 / 8, "idle": 0.0001211 / 8}, 70 / 8),
    (of("counter", width_bits=16), {"count": 0.206325 / 2, "idle": 0.000406 / 2}, 250.5 / 2),
    (of("register", width_bits=3), {"read": 0.027, "write": 0.027, "idle": 0.00111}, 17.94),
    (of("regfile", width_bits=12, depth_words=9),
     {"read": 0.108 + 9 * 4 / 32 * 0.029015, "write": 0.108 + 9 * 4 / 32 * 0.029015,
      "idle": 9 * 12 * 0.00037 + 9 * 4 / 32 * 0.0001211}, 9 * 12 * 5.98 + 9 * 4 / 32 * 70),
    (of("regfile", width_bits=12, depth_words=1), {"read": 0.108, "write": 0.108, "idle": 0.00444}, 71.76),
    (of("address_generator", depth_words=1000), {"generate": 0.0857 * 10 / 32, "idle": 0.0119 * 10 / 32},
     179 * 10 / 32),
    (of("router", width_bits=16, ports=3),
     {"transfer": 16 * 0.009 + 0.68215 / 2 * 3 / 4, "idle": 3 * (16 * 0.00037 + 0.0008015 / 2 * 3 / 4)},
     3 * (16 * 5.98 + 569.5 / 2 * 3 / 4)),
    (of("wire", None, width_bits=10, length_mm=0.5), {"transfer": 10 * 0.5 * 0.2 * 1.627}, 0),
    (of("dram", None, type="LPDDR4", width_bits=64), {"read": 512, "write": 512, "idle": 0}, 0),
    (of("dram", None, type="HBM2", width_bits=64), {"read": 249.6, "write": 249.6, "idle": 0}, 0),
]  # fmt: skip


@pytest.mark.parametrize(("found", "actions", "area_um2"), BY_HAND)
def test_by_hand(found: Estimate, actions: dict[str, float], area_um2: float) -> None:
    assert energies(found) == pytest.approx(actions, rel=1e-12)
    assert found.area_um2 == pytest.approx(area_um2, rel=1e-12)


@pytest.mark.parametrize(("inputs", "gates"), [(1, 0), (2, 2.25), (3, 4.5), (4, 6.5), (5, 8.75), (7, 13)])
def test_muxes_are_gates_of_1_44_um2_with_a_tenth_for_the_handshake(inputs: int, gates: float) -> None:
    """A transfer takes as much energy as Aladdin's crossbar (17.8 um2 per bit at 40 nm) of that area."""
    one, three = (of("mux", 65, width_bits=24, inputs=inputs, outputs=n) for n in (1, 3))
    assert one.area_um2 == pytest.approx(24 * gates * 1.1 * 1.44)
    assert three.area_um2 == pytest.approx(3 * one.area_um2)
    crossbar_bits = one.area_um2 / scale_area(569.5 / 32, 40, 65)
    for found in (one, three):
        transfer = scale_energy(crossbar_bits * 0.68215 / 32, 40, 65)
        assert energies(found)["transfer"] == pytest.approx(transfer)


def test_clock_of_a_pe_of_eie_is_its_clock() -> None:
    """9465 um2 of registers, 5.98 um2 each at 40 nm, take 1.874 mW at 800 MHz and 866 um2 at 45 nm."""
    flip_flops = round(9465 / (5.98 / (0.46 + 0.54 * 8 / 13)))
    found = of("clock", 45, flip_flops=flip_flops)
    assert energies(found) == pytest.approx({"cycle": 1.874e-3 / 800e6 * 1e12}, rel=1e-3)
    assert found.area_um2 == pytest.approx(866, rel=1e-3)


@pytest.mark.parametrize("row", CELLS, ids="{0[component]}-{0[node_nm]}".format)
def test_cells_beside_hwcomponents(row: dict[str, str]) -> None:
    """Energies are equal. At 40 nm, where nothing is scaled, areas are; else they differ by one factor."""
    part, node_nm = PARTS[row["component"]], float(row["node_nm"])
    attributes = dict(part.attributes)
    found = estimate(Component(name="x", class_name=part.class_name, node_nm=node_nm, attributes=attributes))
    assert next(iter(energies(found).values())) == pytest.approx(float(row["energy_pj"]), rel=2e-5)
    theirs = 1.0 if node_nm == 40 else 1 + 1.2 * 5 / 13  # area at 45 nm per area at 40 nm
    ours = 1.0 if node_nm == 40 else 1 / (0.46 + 0.54 * 8 / 13)
    assert found.area_um2 / ours == pytest.approx(float(row["area_um2"]) / theirs, rel=1e-5)


@given(st.floats(7, 130))
def test_cells_scale_with_the_node(node_nm: float) -> None:
    at_40, there = (of("mac", node, operand_bits=8, accumulator_bits=20) for node in (40, node_nm))
    for action, energy in energies(at_40).items():
        assert energies(there)[action] == pytest.approx(scale_energy(energy, 40, node_nm), rel=1e-12)
    assert there.area_um2 == pytest.approx(scale_area(at_40.area_um2, 40, node_nm), rel=1e-12)


@given(st.sampled_from(["adder", "multiplier", "comparator", "counter", "register"]), small, small)
def test_more_bits_cost_more(class_name: str, one: int, other: int) -> None:
    few, many = (of(class_name, width_bits=bits) for bits in sorted((one, other)))
    assert few.area_um2 <= many.area_um2
    assert all(energies(few)[action] <= energies(many)[action] for action in few.actions)


@given(small, small, small, small)
def test_larger_register_files_cost_more(width: int, depth: int, more_width: int, more_depth: int) -> None:
    few = of("regfile", width_bits=width, depth_words=depth)
    many = of("regfile", width_bits=width + more_width, depth_words=depth + more_depth)
    assert few.area_um2 < many.area_um2
    assert all(energies(few)[action] < energies(many)[action] for action in few.actions)


def test_slower_cells_leak_longer() -> None:
    """The row of the longest latency that fits; above the slowest row leakage goes on."""
    at = {cycle: of("adder", width_bits=32, cycle_ns=cycle) for cycle in (1, 1.9, 2, 10, 20)}
    assert energies(at[1]) == {"add": 0.21, "idle": 0.0023}
    assert energies(at[1.9]) == pytest.approx({"add": 0.21, "idle": 0.0023 * 1.9})
    assert energies(at[2]) == {"add": 0.0858, "idle": 0.0048}
    assert energies(at[20]) == pytest.approx({"add": 0.0853, "idle": 0.0476})
    assert "at 10 ns" in at[20].area.source


def test_too_short_a_cycle_is_an_error() -> None:
    with pytest.raises(SpecError, match=naming("cycle_ns 0.3 0.5")):
        of("adder", width_bits=8, cycle_ns=0.3)


@pytest.mark.parametrize("kind", ["LPDDR4", "LPDDR", "DDR3", "GDDR5", "HBM2", "HMC", "HBM3", "HBM4"])
def test_dram_goes_with_the_bits(kind: str) -> None:
    one, many = (of("dram", None, type=kind, width_bits=bits) for bits in (1, 96))
    assert many.actions["read"].energy_pj == pytest.approx(96 * one.actions["read"].energy_pj)
    assert one.actions["read"].energy_pj == dram_types()[kind][0]
    assert dram_types()[kind][1] in one.actions["read"].source


def test_every_part_of_eyeriss_v2_is_estimated() -> None:
    for part in PARTS.values():
        for node_nm in (45, 65):
            attributes = dict(part.attributes)
            found = estimate(
                Component(name=part.name, class_name=part.class_name, node_nm=node_nm, attributes=attributes)
            )
            numbers = [*energies(found).values(), found.area_um2]
            assert all(0 < number < math.inf for number in numbers)
