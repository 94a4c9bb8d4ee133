"""Searches for numbers of channels stay within any budget, and agree with what they report."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import pytest
from support.quarters import loss, pictures, trained

from gmp.channels import (
    ChannelCandidates,
    amc,
    channel_groups,
    latency_cost,
    mac_cost,
    parameter_cost,
)
from gmp.channels.channel_costs import ChannelCost
from gmp.channels.channel_searches import BudgetWall, table_search
from gmp.energy import hardware_cost
from gmp.errors import PruningError

METHODS = ["uniform", "table", "greedy", "random", "amc"]


def candidates(fitted: bool = True, multiple: int = 4) -> ChannelCandidates:
    x, _ = pictures(64, 2)
    groups = channel_groups(trained(), x)
    return ChannelCandidates(trained(), groups, loss, calibration=[x] if fitted else None, multiple=multiple)


class Table:
    def total(self, channels: Mapping[str, tuple[int, int]] | None = None) -> float:
        return sum(1.0 + math.ceil(a / 4) * b for a, b in (channels or {}).values())


COSTS = {
    "parameters": parameter_cost,
    "macs": mac_cost,
    "latency": lambda model, groups: latency_cost(model, groups, Table()),
    "energy": lambda model, groups: hardware_cost(model, groups, "eie"),
    "cycles": lambda model, groups: hardware_cost(model, groups, "eie", "cycles"),
}


@pytest.mark.parametrize("name", list(COSTS))
def test_no_network_costs_more_than_the_budget(name: str) -> None:
    tried = candidates()
    cost = COSTS[name](tried.model, tried.groups)
    budget = 0.4 * cost({})
    report = amc(tried, cost, budget, episodes=12)
    assert [choice.method for choice in report.choices] == METHODS
    assert len(report.costs) == 12
    assert max(report.costs) <= budget
    for choice in report.choices:
        assert choice.cost == cost(choice.counts) <= budget
        assert choice.loss == tried.loss(choice.counts)
        assert all(count in tried.levels[group] for group, count in choice.counts.items())
    assert report["amc"].loss == min(report.losses)
    assert report.best.loss == min(choice.loss for choice in report.choices)
    assert len(report.table().rows) == 5


def test_equal_seeds_search_alike() -> None:
    cost: ChannelCost = parameter_cost(trained(), channel_groups(trained(), pictures(1, 0)[0]))
    budget = 0.3 * cost({})
    reports = [amc(candidates(multiple=8), cost, budget, episodes=9, seed=s) for s in (3, 3, 4)]
    assert reports[0].losses == reports[1].losses != reports[2].losses


def test_the_wall_leaves_the_rest_its_fewest_channels() -> None:
    tried = candidates()
    cost = parameter_cost(tried.model, tried.groups)
    wall = BudgetWall(tried.levels, cost, 0.2 * cost({}))
    assert wall.most_for("c", {"a": 8, "b": 8}) == 8
    assert wall.within({"a": 8, "b": 8, "c": 8})
    assert not wall.within({"a": 8, "b": 8, "c": 12})
    greedy = wall.walk(lambda name, decided: 1.0)
    assert greedy is not None
    assert wall.within(greedy)


def test_the_table_search_finds_the_best_sum_of_curves_for_separate_groups() -> None:
    """For a cost that is a sum over groups the greedy allocation is near the best of all."""
    tried = candidates(fitted=False)

    def cost(counts: Mapping[str, int]) -> float:
        return float(sum(counts.get(g.name, g.channels) for g in tried.groups))

    wall = BudgetWall(tried.levels, cost, 32)
    found = table_search(tried, wall)

    def total(counts: Mapping[str, int]) -> float:
        curves = []
        for name, count in counts.items():
            later = [tried.loss({name: n}) for n in tried.levels[name] if n >= count]
            curves.append(max(later))
        return sum(curves)

    every = (dict(zip(tried.levels, each, strict=True)) for each in itertools.product(*tried.levels.values()))
    best = min(total(counts) for counts in every if cost(counts) <= 32)
    assert total(found.counts) <= best + 0.1 * abs(best)


def test_fitted_layers_lose_less() -> None:
    counts = {"a": 8, "b": 8, "c": 12}
    assert candidates(fitted=True).loss(counts) < candidates(fitted=False).loss(counts)
    assert candidates().loss({}) == pytest.approx(loss(trained()))


@pytest.mark.parametrize(
    ("share", "message"), [(1e-6, "fewest channels cost"), (1.0, "all channels cost only")]
)
def test_budgets_that_cannot_be_are_refused_before_any_episode(share: float, message: str) -> None:
    tried = candidates()
    cost = mac_cost(tried.model, tried.groups)
    with pytest.raises(PruningError, match=message):
        amc(tried, cost, share * cost({}), episodes=5)
    assert tried.evaluations == 0


def test_a_loss_that_is_not_a_number_is_refused() -> None:
    x, _ = pictures(4, 0)
    groups = channel_groups(trained(), x)
    with pytest.raises(PruningError, match="all channels is nan"):
        ChannelCandidates(trained(), groups, lambda model: math.nan)
