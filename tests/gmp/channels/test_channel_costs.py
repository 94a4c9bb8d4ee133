"""Costs by numbers of channels are those of the narrowed networks."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from support.channel_networks import Coupled, drawn
from support.counted import counted_macs
from torch import nn

from gmp.channels import ChannelGroups, channel_groups, latency_cost, mac_cost, narrow, parameter_cost
from gmp.channels.channel_costs import narrowed_rows
from gmp.energy import hardware_cost
from gmp.errors import PruningError
from gmp.tracing.trace import trace
from gmp.tracing.traced_workload import workload_of
from pointnet.model import PointNet2
from pointnet.network_config import preset
from sparsim.hardware import load_hardware

PICTURES = torch.randn(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def narrowed(model: nn.Module, groups: ChannelGroups, counts: Mapping[str, int]) -> nn.Module:
    return narrow(model, groups, {name: range(count) for name, count in counts.items()}).model


def draws(groups: ChannelGroups, seed: int) -> dict[str, int]:
    draw = np.random.default_rng(seed)
    return {group.name: int(draw.integers(1, group.channels)) for group in groups}


@pytest.mark.parametrize("seed", range(4))
def test_parameters_and_macs(seed: int) -> None:
    model = drawn(Coupled(), seed)
    groups = channel_groups(model, PICTURES)
    counts = draws(groups, seed)
    small = narrowed(model, groups, counts)
    assert parameter_cost(model, groups)(counts) == sum(p.numel() for p in small.parameters())
    assert mac_cost(model, groups)(counts) == counted_macs(small, PICTURES) / len(PICTURES)
    assert mac_cost(model, groups)({}) == counted_macs(model, PICTURES) / len(PICTURES)


@pytest.mark.parametrize("delayed", [False, True])
def test_macs_of_points(delayed: bool) -> None:
    """With delayed aggregation a layer also runs with the weights of the coordinates alone."""
    model, clouds = PointNet2(preset("small", delayed=delayed)), torch.rand(1, 256, 3)
    groups = channel_groups(model, clouds)
    counts = draws(groups, 0)
    small = narrowed(model, groups, counts)
    assert mac_cost(model, groups)(counts) == trace(small, [clouds]).macs


def test_layers_on_hardware_are_those_of_the_narrowed_network() -> None:
    model = drawn(Coupled(), 0)
    groups = channel_groups(model, PICTURES)
    counts = {"stem": 4, "side": 1, "pw": 5}
    rows = narrowed_rows(model, groups)(counts).layers
    small = trace(narrowed(model, groups, counts), [PICTURES]).layers
    assert [row.computation for row in rows] == [row.computation for row in small]
    assert [row.weights for row in rows] == [row.weights for row in small]
    layers = workload_of(trace(model, [PICTURES]), name="net", batch=1).layers
    hardware = load_hardware("eie")
    plan = hardware.plan(layers)
    whole = plan(plan.densities)
    for quantity, values in (("energy_pj", whole.energy_pj), ("cycles", whole.cycles)):
        cost = hardware_cost(model, groups, hardware, quantity)  # type: ignore[arg-type]
        assert cost({}) == pytest.approx(values.sum())
        assert cost(counts) < cost({})


class PairTable:
    """Seconds that are what they multiply."""

    def total(self, channels: Mapping[str, tuple[int, int]] | None = None) -> float:
        return float(sum(a * b for a, b in (channels or {}).values()))


def test_latencies_are_looked_up_by_inputs_and_outputs() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 6), nn.Linear(6, 2))
    groups = channel_groups(model, torch.zeros(1, 4))
    cost = latency_cost(model, groups, PairTable())
    assert cost({}) == 4 * 8 + 8 * 6 + 6 * 2
    assert cost({"0": 3, "1": 5}) == 4 * 3 + 3 * 5 + 5 * 2


def test_mistakes_are_refused() -> None:
    model = drawn(Coupled(), 0)
    groups = channel_groups(model, PICTURES)
    cost = parameter_cost(copy.deepcopy(model), groups)
    for counts, message in (
        ({"stm": 1}, "stem"),
        ({"stem": 7}, "has 6 channels"),
        ({"stem": 0}, "whole number"),
    ):
        with pytest.raises(PruningError, match=message):
            cost(counts)
    with pytest.raises(PruningError, match="energy_pj or cycles"):
        hardware_cost(model, groups, "eie", "pj")  # type: ignore[arg-type]
