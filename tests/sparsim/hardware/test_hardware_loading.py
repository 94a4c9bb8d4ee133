"""Hardware from documents is priced as `sparsim model` prices it: by its table or its components."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from support.component_documents import PE
from support.examples import ENERGY, accelerator
from support.named import naming
from torch import nn

from gmp.energy import EnergyMonitor
from sparsim import (
    EnergyWarning,
    Layer,
    SpecError,
    Workload,
    dump,
    evaluate,
    load_documents,
    load_text,
    search,
)
from sparsim.estimate import estimate_table
from sparsim.estimate.accelerator_energy import energy_table
from sparsim.hardware import AcceleratorPlan, MappedAccelerator, load_hardware
from sparsim.records import CONV, LevelMapping, Mapping, Nest, Option, Saf, SparsePolicy

BOUNDS = dict.fromkeys(CONV.dims, 1) | {"M": 8, "C": 4}
LAYER = Layer(name="0", shape=CONV, bounds=BOUNDS)
MAPPING = Mapping(levels=(LevelMapping(level="DRAM", temporal=Nest(factors={"M": 8, "C": 4})),))


def given(folder: Path, policy: SparsePolicy | None, rest: str) -> Path:
    path = folder / "hardware.yaml"
    records = [accelerator(), *([policy] if policy else [])]
    path.write_text(dump(*records) + rest.partition("\n")[2])
    return path


def test_components_are_priced_as_the_model_does(tmp_path: Path) -> None:
    path = given(tmp_path, None, PE)
    given_there = load_documents([path]).accelerator
    expected = evaluate(given_there, LAYER, MAPPING)
    found = load_hardware(path)
    assert isinstance(found, MappedAccelerator)
    assert found.accelerator == given_there
    assert energy_table(found.accelerator) == estimate_table(load_text(PE).components)
    cost = load_hardware(path).plan([LAYER], mappings=[MAPPING])
    assert cost([[1.0, 1.0, 1.0]]).energy_pj.sum() == pytest.approx(expected.energy_pj)
    assert cost.hardware.energy_source["DRAM"]["random_read"] == "estimated from components"
    model = nn.Sequential(nn.Linear(4, 8))
    nn.init.ones_(model[0].weight)
    monitor = EnergyMonitor(model, path, Workload(name="net", layers=(LAYER,)), mappings=[MAPPING])
    assert monitor.update().energy_pj == pytest.approx(expected.energy_pj)


def test_both_a_table_and_components_are_refused(tmp_path: Path) -> None:
    path = given(tmp_path, None, dump(ENERGY) + PE.partition("\n")[2])
    with pytest.raises(SpecError, match=naming("energy components")):
        load_hardware(path)


def test_gaps_of_a_table_are_warned_of(tmp_path: Path) -> None:
    rule = Saf(level="spad", type="gating", options=(Option(target="Inputs", condition_on=("Weights",)),))
    entry = {"read": 1.0, "write": 1.5, "leak": 0.1}
    table = replace(ENERGY, actions=ENERGY.actions | {"spad": entry})
    path = given(tmp_path, SparsePolicy(safs=(rule,)), dump(table))
    with pytest.warns(EnergyWarning) as warned:
        cost = load_hardware(path).plan([LAYER], mappings=[MAPPING])
    assert any("'leak'" in str(warning.message) for warning in warned)
    assert any("'gated_read'" in str(warning.message) for warning in warned)
    assert isinstance(cost, AcceleratorPlan)
    assert cost.hardware.energy_source["spad"]["gated_read"] == "energy table: 'read' stands in"


def test_sources_on_a_chip() -> None:
    source = load_hardware("eyeriss_v2").energy_source
    assert source["psum_glb"]["random_read"] == "estimated from components"
    assert source["iact_address_spad"] == {"read": "estimated from components"}


@pytest.mark.parametrize("name", ["eyeriss_like_onchip", "eyeriss_v2", "eie"])
@pytest.mark.parametrize("layers", [[], [nn.Linear(4, 8)], nn.Linear(4, 8), "alexnet"])
def test_what_are_no_layers_is_refused(name: str, layers: object) -> None:
    hardware = load_hardware(name)
    for use in (hardware.cost, hardware.plan):
        with pytest.raises(SpecError):
            use(layers)  # type: ignore[arg-type]


def test_hardware_is_no_accelerator() -> None:
    hardware = load_hardware("eyeriss_like_onchip")
    with pytest.raises(SpecError, match=naming("MappedAccelerator load_accelerator")):
        evaluate(hardware, LAYER, MAPPING)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match=naming("MappedAccelerator load_accelerator")):
        search(hardware, LAYER)  # type: ignore[arg-type]
