"""The plug-in point: estimators of other packages."""

from __future__ import annotations

from typing import ClassVar

import pytest
from support.named import naming

from sparsim.errors import SpecError
from sparsim.estimate import Area, Component, Energy, Estimate, Estimator, estimate, register
from sparsim.estimate import estimator_registry as registry


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
    with pytest.raises(SpecError, match=naming("entires entries")):
        estimate(wrong)


@pytest.mark.parametrize("name", ["sram", "compound"])
def test_a_class_has_one_estimator(name: str) -> None:
    class Other(Lookup, frozen=True, kw_only=True):
        class_name: ClassVar[str] = name

    with pytest.raises(SpecError, match=naming(f"{name} default")):
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
