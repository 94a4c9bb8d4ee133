"""Numbers of hwcomponents: the package itself where it is installed, and what we ask of one like it."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType, SimpleNamespace

import pytest

from sparsim import Component
from sparsim.errors import MissingLibraryError
from sparsim.estimate import estimate
from sparsim.estimate.hwcomponents import HwComponents

IS_INSTALLED = importlib.util.find_spec("hwcomponents") is not None
GIVEN = {"technology": "45nm", "width": 16, "depth": 4, "global_cycle_seconds": 1e-9}


@pytest.fixture
def like_it(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict]]:
    """A package of one class, and what it was asked."""
    asked = []

    class Model:
        area, leak_power, other = 2e-10, 3e-6, 5

        def add(self):
            return SimpleNamespace(energy=4e-13)

        add._is_component_action = True

    def get_model(kind, attributes):
        asked.append((kind, attributes))
        if kind == "broken":
            raise RuntimeError("no CACTI\nhere")
        if kind != "intadder":
            raise ValueError(f"Component {kind} is not supported by any models. Supported: intadder")
        return Model()

    module = ModuleType("hwcomponents")
    module.get_model = get_model
    monkeypatch.setitem(sys.modules, "hwcomponents", module)
    return asked


def test_units(like_it):
    found = HwComponents().find("intadder", GIVEN)
    assert {key: value for key, value in found.items() if key != "source"} == {
        "add": pytest.approx(0.4), "leak": pytest.approx(3e-3), "area_um2": pytest.approx(200),
    }  # fmt: skip
    ((kind, attributes),) = like_it
    assert kind == "intadder"
    assert attributes["tech_node"] == pytest.approx(45e-9)
    assert attributes["size"] == 64


def test_what_it_cannot_do_is_kept(like_it):
    asker = HwComponents()
    assert asker.find("unknown", GIVEN) is None
    assert asker.failures == {}
    assert asker.find("broken", GIVEN) is None
    assert asker.failures == {"broken": "no CACTI here"}


@pytest.mark.skipif(IS_INSTALLED, reason="hwcomponents is there")
def test_a_missing_package_is_named():
    with pytest.raises(MissingLibraryError, match="pip install hwcomponents"):
        HwComponents()


@pytest.mark.skipif(not IS_INSTALLED, reason="hwcomponents is not there, it needs Python 3.12")
@pytest.mark.parametrize(
    ("kind", "action"),
    [("intadder", "read"), ("AladdinMultiplier", "read"), ("AladdinComparator", "compare")],
)
def test_the_package_and_we_agree(kind, action):
    """Its cells are ours, so that energies are equal; its areas are of another rule."""
    found = HwComponents().find(kind, GIVEN)
    name = {"AladdinMultiplier": "intmultiplier", "AladdinComparator": "comparator"}.get(kind, kind)
    ours = estimate(
        Component(
            name="x", class_name=name, rules="accelergy", node_nm=45,
            attributes={"width": 16, "global_cycle_seconds": 1e-9},
        )
    )  # fmt: skip
    assert found[action] == pytest.approx(ours.actions["access"].energy_pj, rel=1e-3)
