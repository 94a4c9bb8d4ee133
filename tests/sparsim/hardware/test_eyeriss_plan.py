"""On a chip a zero more never costs energy: tables, what lies between their points, slopes, the monitor."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from support.small_chips import conv, mapping_index, small_chip, stored_plainly
from torch import nn

import gmp
from gmp.energy import EnergyMonitor, EnergyScore
from sparsim import gemm
from sparsim.hardware import EyerissChip, EyerissPlan, load_hardware
from sparsim.machines.eyeriss import evaluate_chip
from sparsim.records import Density, Layer

SMALL = small_chip()
ANY_ZERO = SMALL._replace(spec=replace(SMALL.spec, compression="any-zero"))
REFERENCES = [((1.0, 1.0), (0.5, 0.6), (0.1, 0.6))] * 3
GRID = np.linspace(0.0, 1.0, 41)
RIPPLE = 1e-5  # of the energy: what interpolation between monotone points may add


def layer_of(name: str, **bounds: int) -> Layer:
    return replace(conv(**bounds), name=name)


LAYERS = (
    layer_of("fc", M=60, C=100),
    layer_of("window", M=12, C=3, R=3, S=3, P=8, Q=8),
    layer_of("pixels", M=24, C=16, Q=16),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


@pytest.fixture(scope="module")
def cost(folder) -> EyerissPlan:
    return EyerissPlan(EyerissChip(SMALL), LAYERS, references=REFERENCES, folder=folder)


def step_of(values: np.ndarray, axis: int) -> np.ndarray:
    """The denser value of each pair of neighbours."""
    return np.take(values, range(1, values.shape[axis]), axis=axis)


def at(weights: float, inputs: float) -> np.ndarray:
    return np.tile([weights, inputs, 1.0], (len(LAYERS), 1))


def surface(cost: EyerissPlan, what: int = 0) -> np.ndarray:
    """Energy, or cycles, of all layers: (layers, weights, inputs)."""
    return np.array([[cost(at(w, i))[what] for i in GRID] for w in GRID]).transpose(2, 0, 1)


def test_energy_never_rises_with_zeros_of_either_operand(cost):
    energy = surface(cost)
    for axis in (1, 2):
        assert (np.diff(energy, axis=axis) >= -RIPPLE * step_of(energy, axis)).all()
    again = surface(cost.replanned(at(0.3, 0.7)))
    for axis in (1, 2):
        assert (np.diff(again, axis=axis) >= -RIPPLE * step_of(again, axis)).all()
    assert (again <= energy * (1 + 1e-12)).all()


def test_slopes_never_say_that_a_zero_costs_energy(cost):
    rng = np.random.default_rng(0)
    for weights, inputs in [*rng.uniform(0, 1, (100, 2)), (1.0, 1.0), (0.999, 0.999), (0.0, 0.0)]:
        energy = cost(at(weights, inputs)).energy_pj
        for slopes in (cost.slopes(at(weights, inputs)), cost.savings(at(weights, inputs))):
            assert (slopes.energy_pj >= -1e-3 * energy[:, None]).all()


def test_cycles_never_rise_where_those_are_the_objective(folder):
    cost = EyerissPlan(
        EyerissChip(SMALL), LAYERS[:1], references=REFERENCES[:1], objective="delay", folder=folder
    )
    for axis in (0, 1):
        lines = [
            [cost(np.array([[*(d, 0.7)[:: 1 - 2 * axis], 1.0]])).cycles[0] for d in GRID],
            [cost(np.array([[*(d, 1.0)[:: 1 - 2 * axis], 1.0]])).cycles[0] for d in GRID],
        ]
        assert (np.diff(lines, axis=1) >= -RIPPLE * np.max(lines)).all()


def test_few_zeros_cost_and_save_nothing_until_the_tensor_is_compressed(cost):
    dense, few = cost(at(1.0, 1.0)), cost(at(0.999, 0.999))
    assert few.energy_pj == pytest.approx(dense.energy_pj, rel=1e-3)
    assert stored_plainly(cost, at(1.0, 1.0)) == [("Weights", "Inputs")] * 3
    assert stored_plainly(cost, at(0.95, 0.3))[0] == ("Weights",)
    assert stored_plainly(cost, at(0.2, 0.2)) == [()] * 3
    assert np.abs(cost.slopes(at(1.0, 1.0)).energy_pj / dense.energy_pj[:, None]).max() < 1e-9
    assert (cost.savings(at(1.0, 1.0)).energy_pj[:, 0] > 0).all()
    sparse = at(0.2, 0.2)
    assert (cost.savings(sparse).energy_pj == cost.slopes(sparse).energy_pj).all()


def test_it_is_what_the_chip_says_where_a_table_is_exact(cost):
    used = mapping_index(cost, at(1.0, 0.6))
    energy, cycles = cost(at(1.0, 0.6))
    for i, layer in enumerate(LAYERS):
        there = replace(layer, densities={"Inputs": Density(density=0.6)})
        found = evaluate_chip(SMALL, there, cost.tables[i][used[i]].mapping)
        assert energy[i] == pytest.approx(found.chip_pj + found.dram_pj, rel=1e-3)
        assert cycles[i] == pytest.approx(found.cycles, rel=0.02)


def test_the_former_rule_is_an_option(folder):
    cost = EyerissPlan(EyerissChip(ANY_ZERO), LAYERS[:1], references=REFERENCES[:1], folder=folder)
    dense, one_zero = (cost(np.array([[w, 1.0, 1.0]])).energy_pj[0] for w in (1.0, 1 - 1 / 6000))
    assert one_zero > 1.2 * dense
    assert cost.slopes(np.array([[1.0, 1.0, 1.0]])).energy_pj[0, 0] > 0
    assert stored_plainly(cost, np.array([[1.0, 0.5, 1.0]])) == [()]


def test_a_monitor_of_a_model_that_loses_weights(folder):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(100, 60))
    pruner = gmp.Pruner(model)
    monitor = EnergyMonitor(model, SMALL, torch.randn(8, 100), pruner=pruner, folder=folder)
    energy = [monitor.update().energy_pj]
    for sparsity in (1 / 6000, 0.1, 0.3, 0.35, 0.5, 0.8):
        pruner.prune(sparsity)
        energy.append(monitor.update().energy_pj)
    assert energy[1] == pytest.approx(energy[0], rel=1e-12)
    assert (np.diff(energy) <= 1e-9 * energy[0]).all()
    assert energy[-1] < 0.5 * energy[0]


def test_a_score_by_energy_prices_weights_of_a_dense_model(folder):
    """Which are stored plainly, so that the first zeros save nothing."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(100, 60), nn.ReLU(), nn.Linear(60, 10))
    monitor = EnergyMonitor(model, SMALL, torch.randn(8, 100), folder=folder)
    assert np.abs(monitor.plan.slopes(monitor.densities).energy_pj[:, 0]).max() < 1.0  # pJ
    prices = EnergyScore(monitor).prices("0.weight", model[0].weight)
    assert 0.5 < float(prices.mean()) < 2.0


def test_planned_mappings_cost_the_same_when_they_are_given():
    """And with other densities, what the chip's own evaluation of that mapping says."""
    hardware = EyerissChip(SMALL)
    planned = hardware.cost(LAYERS, objective="delay")
    mappings = [layer.mapping for layer in planned.layers]
    assert hardware.cost(LAYERS, objective="delay", mappings=mappings) == planned
    fewer = replace(LAYERS[0], densities={"Inputs": Density(density=0.3)})
    (found,) = hardware.cost([fewer], objective="delay", mappings=mappings[:1]).layers
    direct = evaluate_chip(SMALL, fewer, mappings[0], "delay")
    assert (found.cycles, found.total_pj) == (direct.cycles, pytest.approx(direct.chip_pj + direct.dram_pj))


def test_a_mapping_that_holds_its_inputs_only_compressed_has_a_table(folder):
    """With few zeros the spad of inputs is full, and inputs that are stored plainly do not fit."""
    layer = gemm(64, 5932, 64, densities={"Inputs": 0.45})
    hardware = load_hardware("eyeriss_v2")
    plan = hardware.plan([layer], folder=folder)
    assert any(
        table.limits[1] == 1.0 and ("Inputs",) not in [one.plain for one in table.surfaces]
        for table in plan.tables[0]
    )
    costs, direct = plan(plan.densities), hardware.cost([layer])
    assert costs.energy_pj[0] == pytest.approx(direct.energy_pj, rel=0.02)
    assert costs.cycles[0] == pytest.approx(direct.cycles, rel=0.1)
