"""NetAdapt on channels gives a series of ever smaller networks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from support.quarters import Quarters, loss, pictures, train, trained
from torch import nn

from gmp.channels import AdaptedNetwork, channel_groups, mac_cost, netadapt_channels, rebuild
from gmp.errors import PruningError


def test_netadapt_keeps_a_series_of_ever_smaller_networks() -> None:
    model, (x, _) = trained(), pictures(8, 0)
    groups = channel_groups(model, x)
    cost = mac_cost(model, groups)
    series = netadapt_channels(
        model,
        groups,
        cost,
        0.5 * cost({}),
        loss,
        tune=lambda m: train(m, 5),
        first=0.15,
        decay=0.9,
        multiple=2,
    )
    costs = [cost({})] + [each.cost for each in series]
    assert all(later < before for before, later in itertools.pairwise(costs))
    assert costs[-1] <= 0.5 * cost({}) < costs[-2]
    for each in series:
        assert each.cost == cost(each.counts)
        assert each.loss == loss(each.model)
        assert each.model.get_submodule(each.group).weight.shape[0] == each.counts[each.group]
    last = series[-1]
    fresh = rebuild(Quarters(), last.spec)
    fresh.load_state_dict(last.model.state_dict())
    assert torch.equal(fresh.eval()(x), last.model(x))
    assert loss(trained()) == loss(model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"first": 0.05, "decay": 0.9}, r"save at most 50\.0%"),
        ({"first": 0.0}, r"first.*0"),
        ({"decay": 1.5}, r"decay.*1.5"),
        ({"multiple": 0}, r"multiple.*0"),
        ({"least": 16}, "fewest channels cost"),
    ],
)
def test_netadapt_refuses_what_it_cannot_reach_before_any_work(
    options: dict[str, float], message: str
) -> None:
    groups = channel_groups(trained(), pictures(1, 0)[0])
    cost = mac_cost(trained(), groups)

    def never(model: nn.Module) -> float:
        raise AssertionError

    with pytest.raises(PruningError, match=message):
        netadapt_channels(trained(), groups, cost, 0.3 * cost({}), never, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [math.nan, None, "low"])
def test_losses_and_costs_that_are_no_numbers_are_refused(value: Any) -> None:
    groups = channel_groups(trained(), pictures(1, 0)[0])
    with pytest.raises(PruningError, match=rf"loss of the network.*{value}"):
        netadapt_channels(trained(), groups, mac_cost(trained(), groups), 1e4, lambda model: value)
    with pytest.raises(PruningError, match=rf"cost.*{value}"):
        netadapt_channels(trained(), groups, lambda counts: value, 1e4, loss)


def test_an_interrupted_search_is_continued() -> None:
    model, (x, _) = trained(), pictures(8, 0)
    groups = channel_groups(model, x)
    cost = mac_cost(model, groups)

    def search(
        earlier: Sequence[AdaptedNetwork] = (),
        adapted: Callable[[AdaptedNetwork], object] = lambda network: None,
    ) -> list[AdaptedNetwork]:
        return netadapt_channels(
            model, groups, cost, 0.5 * cost({}), loss, tune=lambda m: train(m, 1), first=0.15, decay=0.9,
            multiple=2, series=earlier, adapted=adapted,
        )  # fmt: skip

    kept: list[AdaptedNetwork] = []

    def stop(network: AdaptedNetwork) -> None:
        kept.append(network)
        if len(kept) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(adapted=stop)
    on, whole = search(kept), search()
    assert on[:2] == kept
    assert len(on) > 2
    assert [(each.counts, each.loss, each.step, each.spec) for each in on] == [
        (each.counts, each.loss, each.step, each.spec) for each in whole
    ]
    assert torch.equal(on[-1].model(x), whole[-1].model(x))
    assert search(on) == on
