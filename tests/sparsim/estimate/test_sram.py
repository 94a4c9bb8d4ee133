"""SRAMs: CACTI's own numbers where it was asked, interpolation in between, an error outside."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.named import names

from sparsim.errors import SpecError
from sparsim.estimate import Component, Estimate, estimate, scale_area, scale_energy
from sparsim.estimate.memory import Quantity, held_back_errors, interpolate, interpolation_error
from sparsim.estimate.source_data import SramPoint, sram_held_back, sram_sweep

QUANTITIES: tuple[Quantity, ...] = ("read_pj", "write_pj", "area_um2", "leakage_mw", "cycle_ns")
SWEEP = sram_sweep()
ports = st.sampled_from([1, 2])
nodes = st.sampled_from([45.0, 65.0])
widths = st.integers(8, 256)
depths = st.integers(64, 16384)


def sram(width_bits: int, depth_words: int, node_nm: float = 45, **attributes: int | float | str) -> Estimate:
    attributes = {"width_bits": width_bits, "depth_words": depth_words, **attributes}
    return estimate(Component(name="sram", class_name="sram", node_nm=node_nm, attributes=attributes))


def naive(quantity: Quantity, point: tuple[float, int], width_bits: int, depth_words: int) -> float:
    """Straight lines over the logarithms, first along the depth, then along the width."""
    rows = [row for row in SWEEP if (row.node_nm, row.ports) == point]
    by_width = {}
    for width in sorted({row.width_bits for row in rows}):
        column = sorted((r.depth_words, getattr(r, quantity)) for r in rows if r.width_bits == width)
        xs, ys = np.log(np.array(column)).T
        by_width[width] = np.interp(math.log(depth_words), xs, ys)
    return math.exp(np.interp(math.log(width_bits), np.log(list(by_width)), list(by_width.values())))


@given(st.sampled_from(SWEEP))
def test_points_of_the_sweep_are_returned_as_they_are(point: SramPoint) -> None:
    found = sram(point.width_bits, point.depth_words, point.node_nm, ports=point.ports, cycle_ns=2)
    assert found.actions["read"].energy_pj == point.read_pj
    assert found.actions["write"].energy_pj == point.write_pj
    assert found.actions["idle"].energy_pj == point.leakage_mw * 2
    assert found.area_um2 == point.area_um2
    assert {energy.uncertainty for energy in found.actions.values()} == {found.area.uncertainty} == {0.0}


@given(st.sampled_from(QUANTITIES), nodes, ports, widths, depths)
def test_interpolation_as_numpy_does_it(
    quantity: Quantity, node_nm: float, ports: int, width: int, depth: int
) -> None:
    found = interpolate(quantity, node_nm, ports, width, depth)
    assert found.value == pytest.approx(naive(quantity, (node_nm, ports), width, depth), rel=1e-9)


def test_held_back_points_are_not_in_the_sweep() -> None:
    assert len({point[:4] for point in sram_held_back()}) == 160
    assert not {point[:4] for point in sram_held_back()} & {point[:4] for point in SWEEP}


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_uncertainty_is_what_held_back_points_show(quantity: Quantity) -> None:
    errors = [
        abs(naive(quantity, point[:2], *point[2:4]) / getattr(point, quantity) - 1)
        for point in sram_held_back()
    ]
    assert held_back_errors(quantity) == pytest.approx(sorted(errors), abs=1e-9)
    below = sum(error <= interpolation_error(quantity) + 1e-9 for error in errors)
    assert 0.9 * len(errors) <= below < 0.92 * len(errors)


def test_interpolated_estimates_state_it() -> None:
    found = sram(24, 100)
    assert found.actions["read"].uncertainty == interpolation_error("read_pj") > 0.01
    assert found.actions["write"].uncertainty == interpolation_error("write_pj")
    assert found.actions["idle"].uncertainty == interpolation_error("leakage_mw")
    assert found.area.uncertainty == interpolation_error("area_um2")
    assert found.area.source == "CACTI 7, 24 b x 100, 1 rw, between 24 b x 96/128, 45 nm"


@given(nodes, ports, widths, widths, depths, depths)
def test_what_never_falls_in_the_sweep(
    node_nm: float, ports: int, width: int, other_width: int, depth: int, other_depth: int
) -> None:
    """Area with width and depth; energy of a write, and leakage, with the width. The others do fall."""

    def at(quantity: Quantity, width: int, depth: int) -> float:
        return interpolate(quantity, node_nm, ports, width, depth).value * (1 - 1e-12)

    narrow, wide = sorted((width, other_width))
    shallow, deep = sorted((depth, other_depth))
    assert at("area_um2", narrow, shallow) <= interpolate("area_um2", node_nm, ports, wide, deep).value
    for quantity in ("write_pj", "leakage_mw"):
        assert at(quantity, narrow, depth) <= interpolate(quantity, node_nm, ports, wide, depth).value


@given(ports, widths, depths)
def test_between_the_two_nodes_on_a_line_and_beyond_scaled(ports: int, width: int, depth: int) -> None:
    at = {node: sram(width, depth, node, ports=ports) for node in (28, 45, 50, 65, 90)}
    read = {node: found.actions["read"].energy_pj for node, found in at.items()}
    area = {node: found.area_um2 for node, found in at.items()}
    assert read[50] == pytest.approx(0.75 * read[45] + 0.25 * read[65], rel=1e-12)
    assert area[50] == pytest.approx(0.75 * area[45] + 0.25 * area[65], rel=1e-12)
    for native, node in ((45, 28), (65, 90)):
        assert read[node] == pytest.approx(scale_energy(read[native], native, node), rel=1e-12)
        assert area[node] == pytest.approx(scale_area(area[native], native, node), rel=1e-12)
    for node in (28, 50, 90):  # nobody measured these
        assert at[node].area.uncertainty is None
        assert {energy.uncertainty for energy in at[node].actions.values()} == {None}


@pytest.mark.parametrize(
    ("width_bits", "depth_words", "message"),
    [
        (7, 100, "width_bits 7 CACTI 8 256"),
        (257, 100, "width_bits 257 CACTI 8 256"),
        (12, 16, "depth_words 16 CACTI 64 65536 12"),
        (16, 31, "depth_words 31 CACTI 32 65536 16"),
        (130, 20000, "depth_words 20000 CACTI 32 16384 130"),
        (64, 10**18, f"depth_words {10**18} CACTI 32 65536 64"),
    ],
)
def test_outside_the_sweep_is_an_error(width_bits: int, depth_words: int, message: str) -> None:
    with pytest.raises(SpecError) as error:
        sram(width_bits, depth_words)
    is_small = width_bits * depth_words < 1000
    hint = "use class regfile for a small memory" if is_small else "use several banks"
    assert names(error.value, f"{message} {hint}")


def test_sizes_of_the_sweep() -> None:
    """A full grid: CACTI answers down to 64 bytes, and the widest memories end earlier."""
    assert len(SWEEP) == len({point[:4] for point in SWEEP})
    for node_nm, ports in product((45.0, 65.0), (1, 2)):
        grid = {
            width: [p.depth_words for p in SWEEP if p[:3] == (node_nm, ports, width)]
            for width in (8, 16, 24, 32, 40, 64, 128, 256)
        }
        assert sum(map(len, grid.values())) * 4 == len(SWEEP)
        assert grid[16] == grid[24] == grid[32] == grid[40] == grid[64] == sorted(grid[16])
        assert grid[8] == grid[16][1:]
        assert grid[128] == grid[16][:-1]
        assert grid[256] == grid[16][:-2]
