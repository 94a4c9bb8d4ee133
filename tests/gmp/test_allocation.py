"""Allocation under a budget: exact, never above the budget, refused below the floor."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gmp import PruningError, allocate
from gmp.allocation import knapsack, latency_table, measure_latencies
from gmp.allocation.latency_table import LatencyTable, LayerTimes
from gmp.energy import WeightCosts

Tables = dict[str, list[float]]


def tables(
    seed: int, layers: int = 4, levels: int = 6, *, whole: bool = False
) -> tuple[Tables, Tables, float]:
    """Errors, costs and a budget between the least and the largest cost."""
    rng = np.random.default_rng(seed)
    names = [f"layer{i}" for i in range(layers)]
    errors = {name: np.cumsum(rng.random(levels)) for name in names}
    costs = {name: np.sort(rng.random(levels))[::-1] for name in names}
    if whole:
        errors = {name: np.round(values * 4) for name, values in errors.items()}
        costs = {name: np.round(values * 20) for name, values in costs.items()}
    low, high = (sum(f(values) for values in costs.values()) for f in (min, max))
    budget = low + rng.random() * (high - low)
    plain = ({name: values.tolist() for name, values in each.items()} for each in (errors, costs))
    return (*plain, float(round(budget) if whole else budget))  # type: ignore[return-value]


def brute_force(errors: Tables, costs: Tables, budget: float) -> float:
    choices = itertools.product(*(range(len(values)) for values in errors.values()))
    return min(
        sum(e[i] for e, i in zip(errors.values(), chosen, strict=True))
        for chosen in choices
        if sum(c[i] for c, i in zip(costs.values(), chosen, strict=True)) <= budget
    )


@pytest.mark.parametrize("whole", [False, True])
def test_dynamic_programming_equals_brute_force(whole: bool) -> None:
    for seed in range(25):
        errors, costs, budget = tables(seed, whole=whole)
        budget = max(budget, sum(min(values) for values in costs.values()))
        found = allocate(errors, costs, budget)
        assert found.optimal
        assert found.error == pytest.approx(brute_force(errors, costs, budget), abs=1e-12)
        assert found.cost <= budget
        assert found.cost == sum(costs[name][i] for name, i in found.levels.items())


def test_no_method_exceeds_the_budget_and_the_searches_come_near_the_optimum() -> None:
    for seed in range(10):
        errors, costs, budget = tables(seed)
        best = allocate(errors, costs, budget)

        def coupled(levels: Mapping[str, int], costs: Tables = costs) -> float:
            return sum(costs[name][i] for name, i in levels.items())

        for method in ("greedy", "lagrange"):
            for given in (costs, coupled):
                found = allocate(errors, given, budget, method=method)
                assert found.cost <= budget
                assert best.error - 1e-12 <= found.error <= 1.5 * best.error + 0.1
                assert not found.optimal


def test_costs_of_neighbours_are_met() -> None:
    widths = [8, 6, 4, 2]
    errors = {name: [0.0, 0.1, 0.4, 2.0] for name in ("a", "b", "c")}

    def products(levels: Mapping[str, int]) -> float:
        kept = [3, *(widths[levels[name]] for name in errors), 10]
        return float(sum(a * b for a, b in itertools.pairwise(kept)))

    for budget in (60.0, 100.0, 150.0):
        best = min(
            sum(e[i] for e, i in zip(errors.values(), chosen, strict=True))
            for chosen in itertools.product(range(4), repeat=3)
            if products(dict(zip(errors, chosen, strict=True))) <= budget
        )
        for method in ("greedy", "lagrange"):
            found = allocate(errors, products, budget, method=method)
            assert products(found.levels) == found.cost <= budget
            assert found.error <= 1.3 * best


def test_too_many_states_are_thinned_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    errors, costs, budget = tables(3, layers=10, levels=12)
    best = allocate(errors, costs, budget)
    monkeypatch.setattr(knapsack, "MOST_STATES", 50)
    found = allocate(errors, costs, budget)
    assert found.cost <= budget
    assert best.optimal
    assert best.error <= found.error <= 1.1 * best.error


def test_infinite_errors_are_never_chosen() -> None:
    found = allocate({"a": [0.0, 1.0, np.inf]}, {"a": [9.0, 5.0, 1.0]}, 6.0)
    assert found.levels == {"a": 1}
    with pytest.raises(PruningError, match="cheapest levels"):
        allocate({"a": [0.0, 1.0, np.inf]}, {"a": [9.0, 5.0, 1.0]}, 4.0)


@pytest.mark.parametrize(
    ("errors", "costs", "budget", "method"),
    [
        ({"a": [0, 1]}, {"a": [2, 1]}, 0.5, None),  # below the floor
        ({"a": [0, 1]}, lambda levels: 2.0 - levels["a"], 0.5, None),
        ({"a": [0, 1]}, {"a": [2]}, 5, None),
        ({"a": [0, 1]}, {"b": [2, 1]}, 5, None),
        ({"a": [0, float("nan")]}, {"a": [2, 1]}, 5, None),
        ({"a": [0, 1]}, {"a": [2, -1]}, 5, None),
        ({"a": [0, 1]}, {"a": [2, float("inf")]}, 5, None),
        ({"a": [0, 1]}, {"a": [2, 1]}, float("nan"), None),
        ({"a": [0, 1]}, {"a": [2, 1]}, 5, "best"),
        ({"a": [0, 1]}, lambda levels: 1.0, 5, "dp"),
        ({"a": [0, 1]}, lambda levels: float("nan"), 5, "greedy"),
        ({}, {}, 5, None),
        ({"a": []}, {"a": []}, 5, None),
    ],
)
def test_mistakes_are_refused(errors: object, costs: object, budget: float, method: str | None) -> None:
    with pytest.raises(PruningError):
        allocate(errors, costs, budget, method=method)  # type: ignore[arg-type]


def test_latencies_are_monotone_and_add_up_to_the_network() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.Flatten(),
        nn.Linear(16 * 64, 10),
    )  # fmt: skip
    example = torch.randn(2, 3, 8, 8)
    before = torch.get_rng_state()
    table = measure_latencies(model, example, repeats=3)
    assert torch.equal(before, torch.get_rng_state())
    assert model.training
    assert list(table.layers) == ["0", "2", "4"]
    for times in table.layers.values():
        assert (np.diff(times.seconds, axis=0) >= 0).all()
        assert (np.diff(times.seconds, axis=1) >= 0).all()
    assert table.layers["2"].joined
    assert table.total() == pytest.approx(table.network_seconds)
    assert table.total({"0": (3, 8)}) <= table.total()
    with pytest.raises(PruningError):
        table.total({"conv": (3, 8)})
    with pytest.raises(PruningError):
        measure_latencies(nn.ReLU(), torch.randn(2, 3))


def test_a_latency_table_is_linear_between_what_was_measured_and_a_cost_for_budgets() -> None:
    times = LayerTimes(np.array([8, 16]), np.array([8, 16]), np.array([[1.0, 2.0], [3.0, 4.0]]))
    table = LatencyTable({"a": times}, 2.0, 8.0)
    assert table.seconds("a", 12, 12) == 5.0
    assert table.seconds("a", 4, 8) == 2.0
    widths = [16, 12, 8]
    found = allocate(
        {"a": [0.0, 1.0, 2.0]}, lambda levels: table.total({"a": (16, widths[levels["a"]])}), 7.0
    )
    assert found.levels == {"a": 1}
    assert found.cost == 7.0


def test_a_table_is_compared_with_a_measured_network(monkeypatch: pytest.MonkeyPatch) -> None:
    times = LayerTimes(np.array([8, 16]), np.array([8, 16]), np.array([[1.0, 2.0], [3.0, 4.0]]))
    table, network = LatencyTable({"a": times}, 2.0, 8.0), nn.Linear(8, 8)
    monkeypatch.setattr(latency_table, "median_seconds", lambda call, repeats: float(len(call())) * 2)
    assert table.error(network, torch.randn(2, 8), {"a": (8, 8)}) == -0.5
    assert network.training


def test_weight_costs_are_sums_over_layers() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 8))
    costs = WeightCosts(model, torch.randn(4, 16), "eyeriss_v2")
    assert costs.quantities == ("weights", "macs", "energy", "cycles")
    dense = {"0.weight": 0.0, "2.weight": 0.0}
    half = {"0.weight": 0.5, "2.weight": 0.25}
    assert costs.total("weights", half) == 256 + 192
    assert costs.total("macs", half) == 256 + 192
    for quantity in costs.quantities:
        table = costs.levels(quantity, {"0.weight": [0.0, 0.5], "2.weight": [0.25]})
        rest = costs.total(quantity, dense) - sum(
            float(costs.levels(quantity, {name: [0.0]})[name][0]) for name in dense
        )
        assert rest + table["0.weight"][1] + table["2.weight"][0] == pytest.approx(
            costs.total(quantity, half)
        )
        few = {"0.weight": 0.95, "2.weight": 0.95}  # compressed, which half of short columns do not pay for
        assert costs.total(quantity, few) < costs.total(quantity, dense) >= costs.total(quantity, half)
    with pytest.raises(PruningError, match=r"1\.5"):
        costs.total("macs", {"0.weight": 1.5})
    with pytest.raises(PruningError):
        costs.total("time", dense)
    with pytest.raises(PruningError):
        costs.total("energy", {"fc.weight": 0.5})
    with pytest.raises(PruningError, match="needs an example"):
        WeightCosts(model).total("macs", dense)
    with pytest.raises(PruningError, match="need an example"):
        WeightCosts(model, hardware="eyeriss_v2")


@pytest.mark.parametrize(("errors", "costs"), [
    ({"a": ["x"]}, {"a": [1]}), ({"a": [[0], [1, 2]]}, {"a": [1]}), ({"a": [0, 1]}, [1, 2]),
    ([1], {"a": [1]}), ({"a": [0, 1]}, lambda levels: None), ({"a": [0, 1]}, lambda levels: "1"),
])  # fmt: skip
def test_what_is_no_table_of_numbers_is_refused(errors: Any, costs: Any) -> None:
    with pytest.raises(PruningError):
        allocate(errors, costs, 3)
