"""A document with components costs the same energy per DRAM read wherever it enters: what is estimated.

Nothing but DRAM costs anything here, and writing it costs as much as reading it, so that all energy is that
of accesses to DRAM.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec.structs import replace
from support.examples import accelerator
from support.small_chips import conv, small_chip
from torch import nn

from gmp.energy import EnergyMonitor
from pointnet.study import design_costs
from sparsim import (
    Accelerator,
    Component,
    EnergyTable,
    Frozen,
    Workload,
    dump,
    evaluate,
    evaluate_batch,
    load_documents,
    search,
)
from sparsim.cli.main import cli
from sparsim.estimate import estimate
from sparsim.hardware import load_hardware
from sparsim.machines.eyeriss import load_chip, plan_layer
from sparsim.records import (
    CONV,
    LevelConstraint,
    LevelMapping,
    Mapping,
    Mapspace,
    Nest,
    NestConstraint,
)

DRAM = Component(name="DRAM", class_name="dram", attributes={"type": "HBM2", "width_bits": 64})
PJ_PER_READ = estimate(DRAM).actions["read"].energy_pj
LAYER = replace(conv(M=8, C=4), name="0")
WORKLOAD = Workload(name="net", layers=(LAYER,))
LOOPS = {"M": 8, "C": 4}
MAPPING = Mapping(levels=(LevelMapping(level="DRAM", temporal=Nest(factors=LOOPS, order=CONV.dims)),))
TENSORS = tuple(dataspace.name for dataspace in CONV.dataspaces)
ONLY_MAPPING = Mapspace(
    levels=(
        LevelConstraint(level="DRAM", temporal=NestConstraint(factors=LOOPS, outer=CONV.dims), keep=TENSORS),
        LevelConstraint(level="GLB", spatial=NestConstraint(default_at_most=1), keep=TENSORS),
        LevelConstraint(level="spad", keep=TENSORS),
    )
)
SOURCE = "estimated from components"
UNITS = {"pJ": 1.0, "nJ": 1e3, "uJ": 1e6, "mJ": 1e9}


def free(name: str, *actions: str) -> Component:
    part = Component(name="part", class_name="adder", node_nm=65, attributes={"width_bits": 1})
    return Component(name=name, class_name="compound", parts=(part,), actions={name: {} for name in actions})


STORAGE_ACTIONS = ("read", "write", "idle")
COMPONENTS = (
    DRAM, free("GLB", *STORAGE_ACTIONS), free("spad", *STORAGE_ACTIONS), free("MAC", "mac_random"),
)  # fmt: skip
ONE_EACH = {"read": 1.0, "write": 1.0, "idle": 0.0}


def accesses() -> float:
    """To DRAM, by MAPPING: what they cost at 1 pJ each. The energies of the other levels do not count."""
    names = [level.name for level in accelerator().storage]
    actions = {**dict.fromkeys(names, ONE_EACH), "MAC": {"mac_random": 1.0}}
    counting = Accelerator(architecture=accelerator(), energy=EnergyTable(actions=actions))
    return evaluate(counting, LAYER, MAPPING).level("DRAM").energy_pj


@pytest.fixture(autouse=True)
def hardware_of_no_other_test() -> Iterator[None]:
    """The study keeps the hardware of its designs, for which tests here stand in others."""
    design_costs._hardware.cache_clear()
    yield
    design_costs._hardware.cache_clear()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents whose energies are those of components: an accelerator's, and a whole chip's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("hardware.yaml").write_text(dump(accelerator(), ONLY_MAPPING, *COMPONENTS))
    Path("layer.yaml").write_text(dump(LAYER))
    Path("mapping.yaml").write_text(dump(MAPPING))
    Path("net.yaml").write_text(dump(WORKLOAD))
    chip = small_chip()
    assert chip.accelerator.policy is not None
    others = [part for part in chip.accelerator.components if part.name != "DRAM"]
    Path("chip.yaml").write_text(dump(chip.spec, chip.architecture, chip.accelerator.policy, DRAM, *others))


def run(*args: str) -> str:
    result = CliRunner().invoke(cli, args, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def dram_of(result: Any) -> Any:
    return next(level for level in result["storage"] if level["name"] == "DRAM")


def hardware() -> Accelerator:
    return load_documents(["hardware.yaml"]).accelerator


# ---- ways in for an accelerator, each with the energy of the layer in pJ


def by_command_model() -> float:
    run("model", "hardware.yaml", "layer.yaml", "mapping.yaml", "-o", "out")
    result = json.loads(Path("out/sparsim.result.json").read_text())
    assert dram_of(result)["energy_source"]["random_read"] == SOURCE
    assert dram_of(result)["read_energy_pj"] == pytest.approx(PJ_PER_READ)
    return float(result["energy_pj"])


def by_command_explain() -> float:
    out = run("explain", "hardware.yaml", "layer.yaml", "mapping.yaml")
    assert SOURCE in out
    found = re.search(r"cycles, (\d+\.\d+) (\w+),", out)
    assert found is not None
    return float(found[1]) * UNITS[found[2]]


def by_command_mapper() -> float:
    run("mapper", "hardware.yaml", "layer.yaml", "-o", "out", "--no-cache")
    result = json.loads(Path("out/sparsim.result.json").read_text())["evaluation"]
    assert dram_of(result)["energy_source"]["random_read"] == SOURCE
    return float(result["energy_pj"])


def by_evaluate() -> float:
    return evaluate(hardware(), LAYER, MAPPING).energy_pj


def by_evaluate_batch() -> float:
    return float(evaluate_batch(hardware(), LAYER, [MAPPING]).energy_pj[0])


def by_frozen() -> float:
    return float(Frozen(hardware(), [LAYER], [MAPPING])([[1.0, 1.0, 1.0]]).energy_pj[0])


def by_search() -> float:
    return search(hardware(), LAYER, objective="energy").certificate.value


def by_plan() -> float:
    return float(load_hardware("hardware.yaml").plan([LAYER], mappings=[MAPPING])([[1.0] * 3]).energy_pj[0])


def by_plan_with_a_search() -> float:
    return float(load_hardware("hardware.yaml").plan([LAYER], folder=Path("cache"))([[1.0] * 3]).energy_pj[0])


def by_monitor() -> float:
    model = nn.Sequential(nn.Linear(4, 8))
    nn.init.ones_(model[0].weight)
    return EnergyMonitor(model, "hardware.yaml", WORKLOAD, mappings=[MAPPING]).update().energy_pj


def by_study() -> float:
    """With the document in place of one of its designs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(design_costs.DESIGNS, "gating", "hardware.yaml")
        patch.setattr(design_costs, "mapspace_of", lambda layer: ONLY_MAPPING)
        return design_costs.cost("gating", [LAYER]).layers[0].total_pj


WAYS: dict[str, Callable[[], float]] = {
    "sparsim model": by_command_model,
    "sparsim explain": by_command_explain,
    "sparsim mapper": by_command_mapper,
    "evaluate": by_evaluate,
    "evaluate_batch": by_evaluate_batch,
    "Frozen": by_frozen,
    "search": by_search,
    "plan": by_plan,
    "plan with a search": by_plan_with_a_search,
    "EnergyMonitor": by_monitor,
    "study": by_study,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_read_of_an_accelerators_dram(way: str) -> None:
    printed = 1e-3 if way == "sparsim explain" else 1e-12
    assert WAYS[way]() / accesses() == pytest.approx(PJ_PER_READ, rel=printed)


def test_the_estimate_is_not_what_is_built_in() -> None:
    built_in = evaluate(Accelerator(architecture=accelerator()), LAYER, MAPPING)
    assert built_in.level("DRAM").read_energy_pj != pytest.approx(PJ_PER_READ)


# ---- ways in for a chip, each with the energy of the layer's DRAM in pJ and the bytes that it moves


def by_command_chip() -> tuple[float, float]:
    """The command for models, which knows nothing of chips, reads the same document."""
    run("chip", "chip.yaml", "net.yaml", "-o", "out")
    run("model", "chip.yaml", "out/chip.workload.yaml", "out/0.mapping.yaml", "-o", "model")
    dram = dram_of(json.loads(Path("model/sparsim.result.json").read_text()))
    assert dram["read_energy_pj"] == pytest.approx(PJ_PER_READ)
    assert dram["energy_source"]["random_read"] == SOURCE
    (row,) = json.loads(Path("out/chip.result.json").read_text())["layers"]
    return row["dram_pj"], row["dram_bytes"]


def by_planner() -> tuple[float, float]:
    chip = load_chip("chip.yaml")
    assert load_hardware("chip.yaml").chip == chip  # which a monitor plans on
    found = plan_layer(chip, LAYER)
    return found.dram_pj, found.dram_bytes


def by_study_of_a_chip() -> tuple[float, float]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(design_costs.CHIPS, "eyeriss_v2", "chip.yaml")
        (row,) = design_costs.cost("eyeriss_v2", [LAYER]).layers
    return row.energy_pj["DRAM"], by_planner()[1]


CHIP_WAYS: dict[str, Callable[[], tuple[float, float]]] = {
    "sparsim chip": by_command_chip,
    "plan_layer": by_planner,
    "study": by_study_of_a_chip,
}


@pytest.mark.parametrize("way", CHIP_WAYS)
def test_a_read_of_a_chips_dram(way: str) -> None:
    """A chip's words are packed: it is a bit that costs the same."""
    energy_pj, number = CHIP_WAYS[way]()
    dram = small_chip().architecture.storage[0]
    bits = dram.word_bits * dram.block_size
    assert energy_pj / (8 * number) == pytest.approx(PJ_PER_READ / bits)
