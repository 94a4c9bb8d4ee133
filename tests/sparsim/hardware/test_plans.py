"""Costs as functions of densities: against single evaluations, their gradients against differences."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from support.examples import window_layer
from support.named import names, naming
from support.small_chips import mapping_index

from gmp.energy import torch_costs
from pointnet.original.published_runs import runs, study_mapspace
from sparsim import Density, Layer, evaluate
from sparsim.errors import MappingError, SpecError
from sparsim.files.sparsim_yaml import load_accelerator
from sparsim.hardware import (
    AcceleratorPlan,
    EyerissChip,
    EyerissPlan,
    MappedAccelerator,
    NetworkCost,
    load_hardware,
    with_densities,
)
from sparsim.hardware import eyeriss_plan as chips
from sparsim.hardware.accelerator_plan import STEP
from sparsim.hardware.layers_as_gemm import LoweredLayer
from sparsim.machines.eyeriss import evaluate_chip, load_chip
from sparsim.mapper.mapping_cache import MappingCache
from sparsim.mapper.network_search import search_each
from sparsim.records import CONV

STUDY = [run for run in runs() if (run.design, run.variant) == ("onchip", "sparse")][-3:]
ONCHIP = load_accelerator("eyeriss_like_onchip")


def conv(name: str, inputs: float = 0.6, **bounds: int) -> Layer:
    sizes = dict.fromkeys(CONV.dims, 1) | bounds
    return Layer(name=name, shape=CONV, bounds=sizes, densities={"Inputs": Density(density=inputs)})


LAYERS = (conv("window", M=16, C=8, S=3, P=4, Q=6), conv("fc", M=512, C=1024))


@pytest.fixture(scope="module")
def mapped() -> AcceleratorPlan:
    return AcceleratorPlan(
        MappedAccelerator(ONCHIP), [run.layer for run in STUDY], [run.mapping for run in STUDY]
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


@pytest.fixture(scope="module")
def chip_cost(folder) -> EyerissPlan:
    return EyerissPlan(EyerissChip(load_chip("eyeriss_v2")), LAYERS, folder=folder)


def evaluated(cost: EyerissPlan, i: int, mapping, weights: float, inputs: float) -> tuple[float, float]:
    layer = with_densities(cost.layers, np.tile([weights, inputs, 1.0], (len(cost.layers), 1)))[i]
    found = evaluate_chip(cost.chip, layer, mapping)
    return found.chip_pj + found.dram_pj, found.cycles


def test_on_an_accelerator_it_is_the_model_itself(mapped):
    densities = np.random.default_rng(0).uniform(0.05, 0.95, (3, 3))
    energy, cycles = mapped(densities)
    for i, layer in enumerate(with_densities(mapped.layers, densities)):
        one = evaluate(ONCHIP, layer, STUDY[i].mapping)
        assert energy[i] == pytest.approx(one.energy_pj, rel=1e-12)
        assert cycles[i] == one.cycles
    assert mapped.densities.tolist() == [
        [run.layer.density(name).density for name in ("Weights", "Inputs", "Outputs")] for run in STUDY
    ]


@pytest.mark.parametrize("which", ["mapped", "chip_cost"])
def test_the_costs_of_the_call_before_cannot_be_spoiled(which, request):
    plan = request.getfixturevalue(which)
    densities = plan.densities
    first = [field.copy() for field in plan(densities)]
    for field in plan(densities):  # answered from memory
        field[:] = 0.0
    densities[:] = 1.0  # what the plan remembers is its own
    plan(densities)
    assert [field.tolist() for field in plan(plan.densities)] == [field.tolist() for field in first]


def test_densities_at_which_a_given_mapping_does_not_fit(mapped):
    """Compressed inputs of these mappings fit a scratchpad, dense ones do not."""
    study = [run for run in runs() if (run.design, run.variant) == ("onchip", "sparse")]
    cost = AcceleratorPlan(
        MappedAccelerator(ONCHIP), [run.layer for run in study], [run.mapping for run in study]
    )
    with pytest.raises(MappingError, match="do not fit"):
        cost(np.ones((12, 3)))


def test_its_slopes_are_differences_also_at_the_ends(mapped):
    densities = np.array([[0.5, 0.0, 1.0], [0.0, 1.0, 0.3], [0.3, 0.995, 0.004]])
    slopes = mapped.slopes(densities)
    for i in range(3):
        for column in range(3):
            low, high = densities.copy(), densities.copy()
            low[i, column] = max(0.0, low[i, column] - STEP)
            high[i, column] = min(1.0, high[i, column] + STEP)
            width = high[i, column] - low[i, column]
            for slope, below, above in zip(slopes, mapped(low), mapped(high), strict=True):
                assert slope[i, column] == pytest.approx((above[i] - below[i]) / width)
                others = np.arange(3) != i
                assert (above[others] == below[others]).all()
    assert slopes.energy_pj[2, 1] > 0
    assert (slopes.energy_pj[:, 0] == 0).all()  # this design does not look at weights


@pytest.mark.parametrize("which", ["mapped", "chip_cost"])
def test_torch_has_the_numbers_and_their_slopes(which, request):
    cost = request.getfixturevalue(which)
    generator = torch.Generator().manual_seed(0)
    n = len(cost.layers)
    densities = (0.1 + 0.8 * torch.rand(n, 3, generator=generator, dtype=torch.float64)).requires_grad_()
    found = torch_costs(cost, densities)
    energy, cycles = cost(densities.detach().numpy())
    assert found.energy_pj.tolist() == energy.tolist()
    assert found.cycles.tolist() == cycles.tolist()
    loss = (found.energy_pj * torch.arange(1, n + 1)).sum() + 1000.0 * found.cycles.sum()
    (grad,) = torch.autograd.grad(loss, densities)
    slopes = cost.slopes(densities.detach().numpy())
    expected = np.arange(1, n + 1)[:, None] * slopes.energy_pj + 1000.0 * slopes.cycles
    assert grad.numpy() == pytest.approx(expected)
    assert torch_costs(cost, densities.float()).energy_pj.dtype == torch.float32


def test_second_derivatives_are_refused(mapped):
    """Those of a square, say, would silently be the half of it."""
    densities = torch.full((3, 3), 0.5, dtype=torch.float64, requires_grad=True)
    loss = torch_costs(mapped, densities).energy_pj.square().sum()
    (grad,) = torch.autograd.grad(loss, densities, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        grad.sum().backward()


def test_on_a_chip_torchs_own_check_of_gradients_passes(chip_cost):
    densities = torch.tensor([[0.31, 0.55, 0.5], [0.12, 0.33, 0.5]], dtype=torch.float64, requires_grad=True)
    scale = chip_cost(densities.detach().numpy()).energy_pj.sum()
    assert torch.autograd.gradcheck(
        lambda d: tuple(part.sum() / scale for part in torch_costs(chip_cost, d)),
        densities,
        eps=1e-6,
        atol=1e-6,
    )


def test_at_the_nodes_of_a_table_a_chip_costs_what_the_thriftiest_mapping_that_fits_does(chip_cost):
    at = [(1.0, 1.0), (0.0, 0.42), (1.0, 0.6), (1.0, 0.0)]
    for weights, inputs in at:
        energy, cycles = chip_cost(np.tile([weights, inputs, 0.5], (2, 1)))
        for i, tables in enumerate(chip_cost.tables):
            each = [evaluated(chip_cost, i, t.mapping, weights, inputs) for t in tables if t.limits == (1, 1)]
            others = [t for t in tables if t.limits != (1, 1)]
            if weights == 1.0:  # mappings for sparser weights do not fit
                assert (energy[i], cycles[i]) == pytest.approx(min(each), rel=1e-9)
            assert len(each) >= 1
            for table in others:
                with pytest.raises(MappingError):
                    evaluated(chip_cost, i, table.mapping, 1.0, 1.0)


def test_between_the_nodes_a_chip_is_near_what_its_mapping_costs(chip_cost):
    rng = np.random.default_rng(3)
    errors = []
    for _ in range(25):
        densities = np.column_stack([rng.uniform(0, 1, 2), rng.uniform(0.1, 1, 2), rng.uniform(0, 1, 2)])
        used = mapping_index(chip_cost, densities)
        for i, (energy, cycles) in enumerate(zip(*chip_cost(densities), strict=True)):
            mapping = chip_cost.tables[i][used[i]].mapping
            expected = evaluated(chip_cost, i, mapping, *densities[i, :2])
            errors.append((abs(energy / expected[0] - 1), abs(cycles / expected[1] - 1)))
    assert np.mean(errors, axis=0) == pytest.approx([0, 0], abs=0.02)
    assert np.max(errors, axis=0) == pytest.approx([0, 0], abs=0.1)


def test_sparser_weights_are_worth_something_only_where_they_are_skipped(chip_cost, mapped):
    def both(cost, weights: float) -> float:
        densities = cost.densities
        densities[:, 0] = weights
        return cost(densities).energy_pj.sum()

    assert both(chip_cost, 0.1) < 0.7 * both(chip_cost, 1.0)
    assert both(mapped, 0.1) == both(mapped, 1.0)


def test_energy_by_component_is_that_of_the_evaluation(chip_cost, mapped):
    one, other = mapped.by_component(mapped.densities), mapped(mapped.densities)
    assert [layer.total_pj for layer in one.layers] == pytest.approx(other.energy_pj)
    assert [layer.cycles for layer in one.layers] == other.cycles.tolist()
    assert one.area_um2["shared_glb"] > 0
    assert mapped.area_mm2 == pytest.approx(sum(one.area_um2.values()) / 1e6)
    densities = np.array([[1.0, 0.6, 1.0], [0.05, 0.6, 1.0]])  # nodes of the tables' inputs
    found, near = chip_cost.by_component(densities), chip_cost(densities)
    assert {"DRAM", "NoC", "MAC"} <= set(found.layers[0].energy_pj)
    for layer, energy in zip(found.layers, near.energy_pj, strict=True):
        assert layer.total_pj == pytest.approx(energy, rel=0.05)
    assert found.energy_pj == pytest.approx(sum(layer.total_pj for layer in found.layers))


def test_tables_are_made_once(chip_cost, folder, monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("planned again")

    monkeypatch.setattr(chips, "best_mapping", refuse)
    again = EyerissPlan(EyerissChip(chip_cost.chip), [replace(LAYERS[1], name="other")], folder=folder)
    assert again.names == ("other",)
    assert again.tables == chip_cost.tables[1:]
    with pytest.raises(AssertionError, match="planned again"):
        EyerissPlan(EyerissChip(chip_cost.chip), LAYERS[1:], objective="delay", folder=folder)


def test_planning_again_adds_mappings(chip_cost, folder):
    once = EyerissPlan(EyerissChip(chip_cost.chip), LAYERS, references=[[(1.0, 1.0)]] * 2, folder=folder)
    densities = np.array([[0.05, 0.6, 1.0], [0.05, 0.6, 1.0]])
    again = once.replanned(densities)
    assert again.references == (((1.0, 1.0), (0.05, 0.6)),) * 2
    assert all(new[: len(old)] == old for old, new in zip(once.tables, again.tables, strict=True))
    assert len(again.tables[1]) == 2
    before, after = np.multiply(*once(densities)), np.multiply(*again(densities))
    assert after[0] <= before[0]
    assert after[1] < before[1]


def test_mappings_that_no_longer_fit_are_an_error(chip_cost, folder):
    sparse = EyerissPlan(EyerissChip(chip_cost.chip), LAYERS, references=[[(0.05, 0.6)]] * 2, folder=folder)
    assert sparse(np.full((2, 3), 0.05)).cycles.min() > 0
    with pytest.raises(MappingError) as error:
        sparse(np.ones((2, 3)))
    assert names(error.value, "eyeriss_v2 1")


def test_mappings_of_an_accelerator_are_searched_and_searched_again(tmp_path):
    limited = replace(ONCHIP, mapspace=study_mapspace())
    layers = [conv("a", M=2, C=4, Q=2), conv("b", M=2, C=3)]
    names: list[str] = []
    cost = load_hardware(limited).plan(layers, objective="energy", folder=tmp_path, progress=names.append)
    assert isinstance(cost, AcceleratorPlan)
    assert names == ["a", "b"]
    assert len(list(tmp_path.iterdir())) == 2
    assert np.isfinite(cost(np.ones((2, 3))).energy_pj).all()
    few = np.full((2, 3), 0.3)
    again = cost.replanned(few)
    assert len(list(tmp_path.iterdir())) == 4
    assert again.layers == cost.layers
    assert again(few).energy_pj.sum() <= cost(few).energy_pj.sum()


def test_an_interrupted_search_gives_no_cost(tmp_path, monkeypatch):
    """The best mapping so far would pass for the best."""

    def interrupted(*args, **options):
        *_, last = search_each(*args, **options)
        yield replace(last, interrupted=True)

    monkeypatch.setattr("sparsim.hardware.accelerator_plan.search_each", interrupted)
    with pytest.raises(KeyboardInterrupt):
        AcceleratorPlan(
            MappedAccelerator(replace(ONCHIP, mapspace=study_mapspace())),
            [conv("a", M=2, C=4)],
            folder=tmp_path,
        )


def test_costs_of_an_accelerator_are_searched_bounded_and_proven():
    limited = replace(ONCHIP, mapspace=study_mapspace())
    hardware = load_hardware(limited)
    layers = [conv("a", M=8, C=4, Q=4), conv("b", M=8, C=4, Q=4), conv("c", M=32, C=36, Q=4)]
    found, least = hardware.cost(layers), hardware.lower_bounds(layers)
    assert [layer.layer for layer in found.layers] == ["a", "b", "c"]
    assert found.layers[0] == found.layers[1]._replace(layer="a")
    assert [layer.gap for layer in found.layers] == [0.0, 0.0, 0.0]
    assert (least.energy_pj <= [layer.total_pj for layer in found.layers]).all()
    assert (least.cycles <= [layer.cycles for layer in found.layers]).all()
    assert NetworkCost.of(json.loads(json.dumps(found.plain()))) == found
    assert hardware.cost(layers, start=[layer.mapping for layer in found.layers]) == found
    short = hardware.cost(layers, evaluations=3, method="random", seed=4)
    assert all(layer.gap > 0 for layer in short.layers)
    again = hardware.cost(layers, mappings=[layer.mapping for layer in short.layers])
    assert again.energy_pj == short.energy_pj
    assert [layer.gap for layer in again.layers] == [None, None, None]


def test_planning_again_keeps_what_is_better(tmp_path):
    """Searches are cut short: one for these densities may end with worse mappings than there are."""
    layers, few = [conv("a", M=2, C=4, Q=2), conv("b", M=2, C=3)], np.full((2, 3), 0.3)
    limited = replace(ONCHIP, mapspace=study_mapspace())
    best = AcceleratorPlan(MappedAccelerator(limited), layers, planned_for=few, folder=tmp_path)
    results = search_each(limited, layers, cache=MappingCache(), top=50)
    worst = [result.top[-1].mapping for result in results]
    bad = AcceleratorPlan(MappedAccelerator(limited), layers, worst, folder=tmp_path)
    edp = [np.multiply(*cost(few)) for cost in (best, bad)]
    assert (edp[0] < edp[1]).all()
    mixed = AcceleratorPlan(MappedAccelerator(limited), layers, [worst[0], best.mappings[1]], folder=tmp_path)
    assert mixed.replanned(few).mappings == best.mappings
    searched_badly = type(
        "Bad",
        (AcceleratorPlan,),
        {"_searched": lambda plan, *_: list(zip(map(LoweredLayer, plan.layers), worst, strict=True))},
    )
    kept = searched_badly(MappedAccelerator(limited), layers, [worst[0], best.mappings[1]]).replanned(few)
    assert kept.mappings == (worst[0], best.mappings[1])


def test_hardware_by_name_and_from_a_file(tmp_path):
    assert load_hardware("eyeriss_v1").name == "eyeriss_v1"
    assert load_hardware("eyeriss_like_gating").name == "eyeriss_like_gating"
    file = tmp_path / "nothing.yaml"
    file.write_text("sparsim: 1\n")
    with pytest.raises(SpecError, match=naming("architecture")):
        load_hardware(file)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c(np.ones((2, 2))), "densities 2 3"),
        (lambda c: c(np.full((3, 3), np.nan)), "Weights fc1 0 1"),
        (lambda c: c(np.full((3, 3), 1.5)), "Weights fc1 1.5 0 1"),
        (lambda c: load_hardware(ONCHIP).plan([]), "plan layer"),
        (lambda c: load_hardware(ONCHIP).plan(LAYERS, objective="time"),
         "time"),
        (lambda c: load_hardware(5).plan(LAYERS),
         "Accelerator Chip"),
        (lambda c: load_hardware("eyeriss_v2").plan(LAYERS, mappings=[]),
         "eyeriss_v2"),
        (lambda c: load_hardware(ONCHIP).cost(LAYERS, evaluation=3),
         "eyeriss_like_onchip evaluations"),
        (lambda c: load_hardware(ONCHIP).cost(LAYERS, mappings=[]),
         "0 2"),
        (lambda c: load_hardware("eyeriss_v2").cost(LAYERS, mappings=[]),
         "0 2"),
        (lambda c: load_hardware(ONCHIP).cost(LAYERS, mappings=[], seed=1),
         "eyeriss_like_onchip"),
    ],
)  # fmt: skip
def test_refused(mapped, call, message):
    with pytest.raises(SpecError) as error:
        call(mapped)
    assert names(error.value, message)


def test_other_dataspaces_are_refused():
    with pytest.raises(SpecError, match=naming("layer W I O Weights Inputs Outputs")):
        AcceleratorPlan(MappedAccelerator(ONCHIP), [window_layer(1, 8, 3)], [])
