"""Machines of the key `machine`: documents, the interface to hardware, the command, sweeps and monitors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from support.documented_keys import documented_keys
from support.examples import MATMUL
from support.programs import run_module
from torch import nn

import gmp
from gmp.energy import EnergyMonitor, EnergyScore, WeightCosts, hardware_cost
from sparsim import (
    Layer,
    SparsimWarning,
    SpecError,
    conv2d,
    dump,
    gemm,
    load_hardware,
    load_preset,
    load_text,
)
from sparsim.hardware import ClosedFormMachine
from sparsim.records.machine_kinds import MACHINE_KINDS
from sparsim.sweep.design_space_loading import load_design_space
from sparsim.sweep.objective_values import Objectives
from sparsim.sweep.point_evaluation import PointEvaluator
from sparsim.sweep.study_files import load_study

PRESETS = [
    "eie",
    "eie_256",
    "extensor",
    "gamma",
    "outerspace",
    "pointacc",
    "pointacc_edge",
    "sigma",
    "tensor_core_2_4",
]
LAYERS = [
    gemm(100, 4, 200, densities={"Weights": 0.2, "Inputs": 0.5}, name="fc"),
    conv2d(
        16, 24, 3, padding=1, groups=2, height=5, width=6, densities={"Weights": 0.3, "Inputs": 0.6}, name="c"
    ),
]
HEAD = "sparsim: 2\nmachine: "


@pytest.fixture(params=PRESETS)
def machine(request: pytest.FixtureRequest) -> ClosedFormMachine:
    found = load_hardware(request.param)
    assert isinstance(found, ClosedFormMachine)
    return found


def test_all_kinds_of_machines_are_tested_here() -> None:
    assert {load_preset(name).machine.kind for name in PRESETS} == set(MACHINE_KINDS)


def test_documents_hold_machines(machine: ClosedFormMachine) -> None:
    text = dump(machine.spec)
    assert f"kind: {machine.spec.kind}" in text
    assert load_text(text).machine == machine.spec
    assert load_text(text).machine.digest() == machine.spec.digest()
    assert machine.spec.to_dict()["kind"] == machine.spec.kind


@pytest.mark.parametrize(
    ("text", "path", "hint"),
    [
        ("{kind: eye, name: a}", "text:2: machine.kind", "did you mean 'eie'?"),
        ("{name: a}", "text:2: machine", "eie"),
        ("[1]", "text:2: machine", ""),
        ("{kind: [eie]}", "text:2: machine.kind", "eie"),
        ("{kind: eie, name: a, clock_mhz: 0, pj_per_pe_cycle: {}}", "text:2: machine: machine a", ""),
        ("{kind: eie, name: a, clock_mhz: 800, pes: 1.5, pj_per_pe_cycle: {}}", "text:2: machine.pes", ""),
        ("{kind: eie, name: a, clock_mhz: 800, pse: 1, pj_per_pe_cycle: {}}", "text:2: machine", "'pes'"),
        ("{kind: eie, name: a, clock_mhz: 800, pj_per_pe_cycle: {}}", "text:2: machine: machine a", ""),
    ],
)
def test_bad_machines_are_refused(text: str, path: str, hint: str) -> None:
    with pytest.raises(SpecError) as error:
        load_text(HEAD + text)
    assert error.value.path == path
    assert hint in error.value.hint


def test_a_plan_has_the_costs_of_cost_and_slopes_of_its_own(machine: ClosedFormMachine) -> None:
    told: list[str] = []
    plan = machine.plan(LAYERS, progress=told.append)
    assert told == ["fc", "c"]
    cost = machine.cost(LAYERS)
    by_component = plan.by_component(plan.densities)
    assert by_component == cost
    energy, cycles = plan(plan.densities)
    assert energy == pytest.approx([layer.total_pj for layer in cost.layers])
    assert [layer.cycles for layer in cost.layers] == np.ceil(cycles).tolist()
    assert all(0.0 < layer.utilization <= 1.0 and layer.limit for layer in cost.layers)
    assert cost.notes == plan.notes
    for bound, found in zip(machine.lower_bounds(LAYERS), plan(plan.densities), strict=True):
        assert (bound <= np.ceil(found)).all()
    slopes = plan.slopes(plan.densities)
    moved = plan.densities.copy()
    moved[:, 0] += 1e-3
    assert slopes.cycles[:, 0] == pytest.approx((plan(moved).cycles - cycles) / 1e-3, rel=0.05, abs=0.1)
    for dense in (np.ones((2, 3)), np.zeros((2, 3))):
        assert np.isfinite(plan.slopes(dense)).all()
    assert plan.replanned(plan.densities) is plan
    assert plan.area_mm2 == pytest.approx(sum(machine.area_um2.values()) / 1e6)
    assert set(cost.layers[0].energy_pj) <= set(machine.energy_source)
    with pytest.raises(SpecError, match="option"):
        machine.plan(LAYERS, speed=1)


def test_layers_that_are_no_products_are_refused(machine: ClosedFormMachine) -> None:
    with pytest.raises(SpecError):
        machine.cost([Layer(shape=MATMUL, bounds={"M": 2, "N": 2, "K": 2})])
    with pytest.raises(SpecError):
        machine.plan([])


def test_chip_prints_a_machine(machine: ClosedFormMachine, tmp_path: Path) -> None:
    words = ("chip", machine.name, "alexnet_sparse", "--layer", "fc7")
    result = run_module("sparsim", *words, "--json", "-o", str(tmp_path))
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found == json.loads((tmp_path / "chip.result.json").read_text(encoding="utf-8"))
    assert set(found) == documented_keys("chip.result.json of a machine")
    assert found["machine"]["kind"] == machine.spec.kind
    layer = next(layer for layer in load_preset("alexnet_sparse").layers if layer.name == "fc7")
    cost = machine.cost([layer])
    assert found["totals"]["cycles"] == cost.cycles == found["layers"][0]["cycles"]
    if machine.energy_source:
        assert sum(found["energy_pj"].values()) == pytest.approx(found["totals"]["energy_pj"])
    else:
        assert not found["energy_pj"]
        assert found["totals"]["energy_pj"] is None
    table = run_module("sparsim", *words)
    assert table.returncode == 0
    assert f"{cost.cycles:,}" in table.stdout
    refused = run_module("sparsim", *words, "--eyexam")
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1


def test_monitors_take_machines(machine: ClosedFormMachine) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(40, 640), nn.ReLU(), nn.Linear(640, 10))
    monitor = EnergyMonitor(model, machine.name, torch.randn(2, 40))
    first = monitor.update()
    with torch.no_grad():
        model[0].weight[:, ::2] = 0.0
    second = monitor.update()
    if machine.spec.kind == "pointacc":  # knows no zeros
        assert second.cycles == first.cycles
    else:
        assert second.cycles < first.cycles


@pytest.mark.parametrize("name", ["eie", "sigma"])
def test_pruning_by_cycles_takes_machines_that_skip_zeros(name: str) -> None:
    """Also from dense weights, of which the first zeros make PEs wait for each other."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(640, 640), nn.ReLU(), nn.Linear(640, 640))
    monitor = EnergyMonitor(model, name, torch.randn(2, 640))
    pruner = gmp.Pruner(model, score=EnergyScore(monitor, alpha=1.0, objective="delay"))
    monitor.pruner = pruner
    before = monitor.update()
    pruner.prune(0.6)
    assert monitor.update().cycles < before.cycles


STUDY = """
sweep:
  base: eie
  workloads: {net: {source: alexnet_sparse, layers: [fc7, fc8]}}
  axes:
    pes: {path: machine.pes, values: [32, 64]}
  objectives: {energy: min, cycles: min, area: min}
"""


def test_sweeps_change_machines(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    space = load_design_space(load_study(path))
    evaluator = PointEvaluator(space)
    spec, layers = load_preset("eie").machine, space.networks["net"].layers
    for pes in (32, 64):
        point = {"pes": pes, "workload": "net"}
        row, bound = evaluator.evaluate(point), evaluator.bound(point)
        cost = load_hardware(replace(spec, pes=pes)).cost(layers)
        assert row.status == "ok"
        assert row.metrics["cycles"] == cost.cycles >= bound.bounds["cycles"]
        assert row.metrics["inferences_per_s"] == pytest.approx(8e8 / cost.cycles)
    with pytest.warns(SparsimWarning, match="183,496 entries"):
        load_hardware(replace(spec, pes=16)).plan(layers)
    refused = tmp_path / "searched.yaml"
    refused.write_text(path.read_text() + "  search: {method: random}\n")
    with pytest.raises(SpecError, match="objective"):
        load_design_space(load_study(refused))


def test_a_cache_is_a_part_of_the_memories() -> None:
    spec = load_hardware("pointacc").spec
    assert replace(spec, cache_kib=spec.sram_kib).cache_kib == spec.sram_kib
    with pytest.raises(SpecError, match="sram_kib"):
        replace(spec, cache_kib=spec.sram_kib + 1)


def test_energies_that_are_not_known_are_not_zero(tmp_path: Path) -> None:
    done = run_module("sparsim", "chip", "sigma", "alexnet_sparse", "--layer", "fc8", "--json")
    found = json.loads(done.stdout)
    assert [found["totals"][name] for name in ("energy_pj", "edp_j_cycles", "watts")] == [None] * 3
    assert [found["layers"][0][name] for name in ("pj", "pj_per_mac", "edp_j_cycles")] == [None] * 3
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.replace("base: eie", "base: sigma").replace("machine.pes", "machine.slab"))
    for objectives in ("{energy: min}", "{edp: min}", "{cycles: min, inferences_per_j: max}"):
        path.write_text(re.sub("objectives: .*", f"objectives: {objectives}", path.read_text()))
        with pytest.raises(SpecError, match="no energy"):
            Objectives(load_design_space(load_study(path)))


def test_the_clock_of_a_machine_is_known(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(re.sub("objectives: .*", "objectives: {inferences_per_s: max}", STUDY))
    space = load_design_space(load_study(path))
    assert Objectives(space)
    row = PointEvaluator(space).evaluate({"pes": 64, "workload": "net"})
    assert row.metrics["inferences_per_s"] == pytest.approx(8e8 / row.metrics["cycles"])


def test_energies_that_are_not_known_are_no_target() -> None:
    """A target was met at once, and any sparsity saved any fraction of nothing."""
    model, example = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4)), torch.randn(2, 16)
    with pytest.raises(gmp.PruningError, match="no energy"):
        EnergyMonitor(model, "sigma", example, target_energy_pj=1.0)
    assert EnergyMonitor(model, "sigma", example, target_cycles=1.0).plan is not None
    costs = WeightCosts(model, example, "sigma")
    assert costs.quantities == ("weights", "macs", "cycles")
    with pytest.raises(gmp.PruningError, match="no energy"):
        costs.total("energy", {})
    groups = gmp.channel_groups(model, example)
    with pytest.raises(gmp.PruningError, match="no energy"):
        hardware_cost(model, groups, "sigma")({"0": 4})
    assert hardware_cost(model, groups, "sigma", quantity="cycles")({"0": 4}) > 0


def test_another_width_needs_the_memory_that_it_changes() -> None:
    """Without it the energy stayed that of 64 bits."""
    spec = load_preset("eie").machine
    energies = {"spmat": 6.0, "arithmetic": 1.5}
    assert replace(spec, pj_per_pe_cycle=energies).pj_per_pe_cycle == energies
    with pytest.raises(SpecError, match="spmat_read"):
        replace(spec, pj_per_pe_cycle=energies, spmat_width_bits=128)
