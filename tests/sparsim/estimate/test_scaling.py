"""Technology scaling: the published tables at their nodes, one rule in between."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.named import naming

from sparsim.errors import SpecError
from sparsim.estimate import scale_area, scale_energy
from sparsim.estimate.source_data import area_ratios

NODES = (130, 90, 65, 45, 32, 20, 16, 14, 10, 7)
nodes = st.floats(7, 130)


@pytest.mark.parametrize(
    ("from_nm", "to_nm", "energy"),
    [(45, 65, 1.2407), (65, 45, 0.806), (65, 16, 0.1399), (65, 7, 0.076), (45, 16, 0.1735), (45, 28, 0.5132),
     (40, 45, 1.1508), (40, 65, 1.4277)],
)  # fmt: skip
def test_energy_as_another_program_prints_it(from_nm: float, to_nm: float, energy: float) -> None:
    assert scale_energy(3.0, from_nm, to_nm) == pytest.approx(3.0 * energy, rel=5e-4)


def test_energy_polynomial_by_hand() -> None:
    at_65 = 3.755 * 0.64 - 4.398 * 0.8 + 1.975
    at_45 = 1.103 * 0.64 - 0.362 * 0.8 + 0.2767
    assert scale_energy(1.0, 45, 65) == pytest.approx(at_65 / at_45, rel=1e-12)
    assert scale_energy(1.0, 45, 55) == pytest.approx((at_65 + at_45) / 2 / at_45, rel=1e-12)


@pytest.mark.parametrize(
    ("from_nm", "to_nm", "area"),
    [(45, 65, 1.5), (65, 45, 0.66), (65, 16, 0.13), (65, 7, 0.039), (45, 16, 0.19), (7, 130, 110),
     (45, 28, 0.46 - 0.25 / 3), (45, 40, 0.46 + 0.54 * 8 / 13)],
)  # fmt: skip
def test_area_from_a_node_of_the_matrix(from_nm: float, to_nm: float, area: float) -> None:
    assert scale_area(2.0, from_nm, to_nm) == pytest.approx(2.0 * area, rel=1e-12)


def test_area_from_another_node_leads_over_the_next_larger() -> None:
    from_45 = 0.46 + 0.54 * 8 / 13
    assert scale_area(1.0, 40, 45) == pytest.approx(1 / from_45, rel=1e-12)
    assert scale_area(1.0, 40, 65) == pytest.approx(1.5 / from_45, rel=1e-12)
    assert scale_area(1.0, 40, 38) == pytest.approx((0.46 + 0.54 * 6 / 13) / from_45, rel=1e-12)


def test_all_nodes_are_there() -> None:
    assert tuple(area_ratios()) == NODES
    assert all(tuple(row) == NODES for row in area_ratios().values())


@given(nodes, nodes)
def test_there_and_back(a: float, b: float) -> None:
    assert scale_energy(scale_energy(7.0, a, b), b, a) == pytest.approx(7.0, rel=1e-12)
    assert scale_area(scale_area(7.0, a, b), b, a) == pytest.approx(7.0, rel=0.06)  # two digits each way


@given(nodes)
def test_the_same_node_changes_nothing(node: float) -> None:
    assert scale_energy(7.0, node, node) == 7.0
    assert scale_area(7.0, node, node) == 7.0
    near_by = max(7.0, math.nextafter(node, 0))
    assert scale_area(7.0, node, near_by) == pytest.approx(7.0, rel=0.1)


@given(nodes, nodes, nodes)
def test_smaller_nodes_are_smaller(a: float, b: float, c: float) -> None:
    small, large = sorted((b, c))
    assert scale_energy(1.0, a, small) <= scale_energy(1.0, a, large)
    assert scale_area(1.0, a, small) <= scale_area(1.0, a, large) * (1 + 1e-12)


@pytest.mark.parametrize("node", [6.9, 131, 65e-9, 0, -45, math.nan, math.inf])
@pytest.mark.parametrize("scale", [scale_energy, scale_area])
def test_other_nodes_are_refused(scale, node: float) -> None:
    for pair in ((node, 65), (65, node)):
        with pytest.raises(SpecError, match=naming(f"node {node:g} 7 130")):
            scale(1.0, *pair)
