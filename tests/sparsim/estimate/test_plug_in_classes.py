"""Estimators of the classes of public plug-ins: sizes, nodes, and what attributes are called."""

from __future__ import annotations

import pytest
from support.named import naming

from sparsim import Component
from sparsim.errors import SpecError
from sparsim.estimate import Estimate, estimate
from sparsim.estimate.plug_in_classes import attributes_of, find_plug_in, node_nm_of, plug_in_classes

SIZES = {
    "width": 16, "depth": 128, "exponent": 8, "mantissa": 23, "n_inputs": 2, "n_outputs": 4, "length": "2mm",
    "global_cycle_seconds": 1e-9,
}  # fmt: skip
KINDS = sorted(plug_in_classes())


def found(kind: str, node_nm: float = 45, **changes: object) -> Estimate:
    estimator = find_plug_in(kind)
    attributes = attributes_of(kind, estimator, {**SIZES, **changes})
    node = node_nm if estimator.needs_node else None
    return estimate(
        Component(
            name="x", class_name=estimator.class_name, rules="accelergy", node_nm=node, attributes=attributes
        )
    )


def first(of: Estimate) -> float:
    return next(iter(of.actions.values())).energy_pj


@pytest.mark.parametrize("kind", KINDS)
def test_wider_costs_more(kind):
    narrow, wide = found(kind, exponent=5, mantissa=10), found(kind, width=32)
    assert 0 < first(narrow) < first(wide)
    assert narrow.area_um2 <= wide.area_um2
    assert all(energy.source for energy in wide.actions.values())


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.lower() not in ("dram", "wire")])
def test_smaller_nodes_cost_less_and_instances_more(kind):
    old, new, many = found(kind), found(kind, 7), found(kind, n_instances=4)
    assert first(new) < first(old) == first(many)
    assert new.area_um2 < old.area_um2
    assert many.area_um2 == pytest.approx(4 * old.area_um2, rel=0.1)


@pytest.mark.parametrize(("width", "depth"), [(4, 64), (1024, 256), (64, 1_000_000), (16, 8), (1, 1)])
def test_srams_beyond_the_sweep_are_guesses(width, depth):
    memory = found("SRAM", width=width, depth=depth)
    assert "guess" in memory.actions["read"].source
    assert memory.actions["read"].uncertainty is None
    assert first(memory) < first(found("SRAM", width=width, depth=2 * depth))
    assert "guess" not in found("SRAM", width=64, depth=1024).actions["read"].source


@pytest.mark.parametrize(("length", "mm"), [("2mm", 2), ("2000um", 2), (500, 0.5), ("1e6nm", 1)])
def test_lengths_of_wires(length, mm):
    assert first(found("wire", length=length)) == pytest.approx(mm / 2 * first(found("wire")))


@pytest.mark.parametrize(
    ("kind", "given", "same"),
    [
        ("intadder", {"datawidth": 16}, {"width": 16}),
        ("SRAM", {"memory_width": 16, "memory_depth": 9}, {"width": 16, "depth": 9}),
        ("intmac", {"multiplier_width": 8, "adder_width": 16}, {"width": 8, "adder_width": 16}),
        ("aladdin_adder", {}, {"width": 32}),
        ("aladdin_register", {}, {"width": 1}),
    ],
)
def test_names_of_attributes(kind, given, same):
    assert attributes_of(kind, find_plug_in(kind), given) == same


@pytest.mark.parametrize(
    ("technology", "node"), [("45nm", 45), ("45 nm", 45), ("40", 40), (4e-8, 40), (6.5e-8, 65), ("7nm", 7)]
)
def test_technologies(technology, node):
    assert node_nm_of(technology) == node


@pytest.mark.parametrize("technology", ["SET ME", "", "nm", True, [45], "45um", "1" * 100])
def test_technologies_that_are_none(technology):
    with pytest.raises(SpecError, match=naming("technology 45nm")):
        node_nm_of(technology)
