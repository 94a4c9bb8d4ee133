"""Searches for numbers of channels stay within any budget, and agree with what they report."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from support.channel_networks import Coupled, drawn
from support.named import naming
from support.quarters import loss, pictures, trained
from torch import nn

from gmp.channels import (
    AmcReport,
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

PICTURES = torch.linspace(-1, 1, 2 * 3 * 8 * 8, dtype=torch.float64).reshape(2, 3, 8, 8)
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


def test_the_agent_acts_once_on_layers_that_are_added() -> None:
    model = drawn(Coupled(), 0)
    groups = channel_groups(model, PICTURES)
    wanted = model(PICTURES).detach()

    def error(network: nn.Module) -> float:
        return float((network(PICTURES) - wanted).abs().mean())

    cost = mac_cost(model, groups)
    report = amc(ChannelCandidates(model, groups, error, multiple=1), cost, 0.6 * cost({}), episodes=6)
    assert set(report["amc"].counts) == set(groups.names) == {"stem", "side", "pw"}
    assert max(report.costs) <= 0.6 * cost({})


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


@pytest.mark.parametrize("value", [math.nan, None, "low"])
def test_losses_and_costs_that_are_no_numbers_are_refused(value: Any) -> None:
    x, _ = pictures(4, 0)
    groups = channel_groups(trained(), x)
    with pytest.raises(PruningError, match=rf"all channels.*{value}"):
        ChannelCandidates(trained(), groups, lambda model: value)
    tried = candidates(fitted=False)
    with pytest.raises(PruningError, match=rf"cost.*{value}"):
        amc(tried, lambda counts: value, 1e4, episodes=5)
    assert tried.evaluations == 0


@pytest.mark.parametrize("seed", [-1, 0.5, None, True])
def test_seeds_that_are_none_are_refused_before_any_episode(seed: Any) -> None:
    tried = candidates(fitted=False)
    cost = parameter_cost(tried.model, tried.groups)
    with pytest.raises(PruningError, match=naming(f"seed {seed}")):
        amc(tried, cost, 0.5 * cost({}), episodes=5, seed=seed)
    assert tried.evaluations == 0


def test_an_interrupted_search_evaluates_nothing_twice(tmp_path: Path) -> None:
    x, _ = pictures(64, 2)
    groups, calls = channel_groups(trained(), x), 0

    def counted(model: nn.Module, most: int) -> float:
        nonlocal calls
        calls += 1
        if calls > most:
            raise KeyboardInterrupt
        return loss(model)

    def search(most: int, multiple: int = 4) -> AmcReport:
        tried = ChannelCandidates(
            trained(), groups, partial(counted, most=most), multiple=multiple, path=tmp_path / "losses.jsonl"
        )
        cost = parameter_cost(tried.model, groups)
        return amc(tried, cost, 0.4 * cost({}), episodes=6)

    with pytest.raises(KeyboardInterrupt):
        search(15)
    stopped, calls = calls - 1, 0
    on = search(1000)
    first = calls
    calls = 0
    again = search(1)  # the loss of the whole network identifies the search
    assert calls == 1
    assert stopped + first - 1 == 1 + sum(choice.evaluations for choice in on.choices)
    assert [choice[:5] for choice in again.choices] == [choice[:5] for choice in on.choices]
    train_other = tmp_path / "losses.jsonl"
    train_other.write_text(train_other.read_text().replace('{"search": "', '{"search": "0', 1))
    with pytest.raises(PruningError, match="another search"):
        search(1000)
