"""The plug-in point: estimators of other packages, and hwcomponents, of which a stand-in answers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest

from sparsim.errors import SpecError
from sparsim.estimate import Area, Component, Energy, Estimate, Estimator, estimate, register
from sparsim.estimate import estimator_registry as registry
from sparsim.estimate.hwcomponents import estimator


class Lookup(Estimator, frozen=True, kw_only=True):
    """1 pJ per entry."""

    class_name: ClassVar[str] = "lookup"
    entries: int
    kind: str = "plain"

    def estimate(self, node_nm: float) -> Estimate:
        read = Energy(energy_pj=float(self.entries), source=f"{self.kind} at {node_nm:g} nm")
        return Estimate(actions={"read": read}, area=Area(area_um2=2.0 * self.entries, source="data sheet"))


LOOKUP = Component(name="table", class_name="lookup", node_nm=22, attributes={"entries": 8})


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(registry, "_rules", {rules: {**known} for rules, known in registry._rules.items()})


def test_registered_estimator_answers() -> None:
    assert register(Lookup) is Lookup
    assert register(Lookup) is Lookup  # twice is once
    found = estimate(LOOKUP)
    assert found.actions["read"] == Energy(energy_pj=8, source="plain at 22 nm")
    assert found.area_um2 == 16
    inside = Component(
        name="two", class_name="compound", node_nm=45, parts=(LOOKUP,), actions={"r": {"table.read": 2}}
    )
    assert estimate(inside).actions["r"].energy_pj == 16
    wrong = Component(name="table", class_name="lookup", node_nm=22, attributes={"entires": 8})
    with pytest.raises(SpecError, match=r"unknown attribute 'entires' \(did you mean 'entries'\?\)"):
        estimate(wrong)


@pytest.mark.parametrize("name", ["sram", "compound"])
def test_a_class_has_one_estimator(name: str) -> None:
    class Other(Lookup, frozen=True, kw_only=True):
        class_name: ClassVar[str] = name

    with pytest.raises(SpecError, match=f"class '{name}' has an estimator under rules 'default' already"):
        register(Other)


def test_rules_of_its_own() -> None:
    class Sram(Lookup, frozen=True, kw_only=True):
        class_name: ClassVar[str] = "sram"
        rules: ClassVar[str] = "house"

    register(Sram)
    found = estimate(
        Component(name="m", class_name="sram", rules="house", node_nm=22, attributes={"entries": 4})
    )
    assert found.area_um2 == 8


def stand_in(get_model: Callable[..., Any]) -> ModuleType:
    module = ModuleType("hwcomponents")
    module.get_model = get_model  # type: ignore[attr-defined]
    return module


def test_hwcomponents_is_asked_in_its_units(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Model:
        area = 5e-9  # m2

        def read(self) -> SimpleNamespace:
            return SimpleNamespace(energy=3e-12, latency=1e-9)

        def write(self) -> SimpleNamespace:
            return SimpleNamespace(energy=4e-12, latency=1e-9)

    def get_model(name: str, attributes: dict[str, Any], actions: list[str]) -> Model:
        asked.append((name, attributes, actions))
        return Model()

    monkeypatch.setitem(sys.modules, "hwcomponents", stand_in(get_model))
    register(estimator("SRAM", {"width": int, "depth": int}, ("read", "write")))
    memory = Component(
        name="m", class_name="SRAM", rules="hwcomponents", node_nm=65, attributes={"width": 8, "depth": 64}
    )
    found = estimate(memory)
    assert asked == [
        ("SRAM", {"width": 8, "depth": 64, "tech_node": pytest.approx(65e-9)}, ["read", "write"])
    ]
    assert {name: energy.energy_pj for name, energy in found.actions.items()} == pytest.approx(
        {"read": 3.0, "write": 4.0}
    )
    assert found.area_um2 == pytest.approx(5000)
    assert found.area.source == f"hwcomponents, model {__name__}.{Model.__qualname__}"
    with pytest.raises(SpecError, match="component m: no attribute 'depth' given"):
        estimate(
            Component(name="m", class_name="SRAM", rules="hwcomponents", node_nm=65, attributes={"width": 8})
        )


def test_hwcomponents_without_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def get_model(*_: object) -> None:
        raise ValueError("no model\n  found")

    register(estimator("Nothing", {}, ()))
    part = Component(name="n", class_name="Nothing", rules="hwcomponents", node_nm=65)
    monkeypatch.setitem(sys.modules, "hwcomponents", stand_in(get_model))
    with pytest.raises(SpecError, match="component n: hwcomponents has no estimate: no model found"):
        estimate(part)
    monkeypatch.setitem(sys.modules, "hwcomponents", None)
    with pytest.raises(SpecError, match="component n: hwcomponents is not available: "):
        estimate(part)
