"""Channels change places, the network stays what it is, and n:m keeps more of it."""

from __future__ import annotations

import copy

import pytest
import torch
from support.channel_networks import Coupled, drawn
from torch import Tensor, nn

import gmp
from gmp.channels import channel_groups, permute_channels
from gmp.errors import PruningError
from pointnet.model import PointNet2
from pointnet.network_config import Config, Scale, Stage

PICTURES = torch.randn(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def kept(weight: Tensor, n: int, m: int) -> float:
    """What n:m keeps of the absolute weights, input channels of a convolution at one position."""
    rows = weight.detach().abs().flatten(2).transpose(1, 2) if weight.dim() > 2 else weight.detach().abs()
    rows = nn.functional.pad(rows.reshape(-1, weight.shape[1]), (0, -weight.shape[1] % m))
    return float(rows.unflatten(1, (-1, m)).topk(n, dim=2).values.sum())


@pytest.mark.parametrize("pattern", ["2:4", "1:4", "2:3"])
def test_outputs_stay_and_more_is_kept(pattern: str) -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.PReLU(16), nn.Conv2d(16, 16, 3, groups=16),
        nn.Conv2d(16, 12, 3), nn.Flatten(), nn.Linear(48, 10), nn.Linear(10, 4),
    )  # fmt: skip
    drawn(model, 0)
    before, parameters = model(PICTURES), list(model.parameters())
    n, m = map(int, pattern.split(":"))
    old = {i: kept(model[i].weight, n, m) for i in (4, 7)}
    groups = channel_groups(model, PICTURES)
    found = permute_channels(model, groups, pattern)
    assert torch.allclose(model(PICTURES), before, rtol=1e-10, atol=1e-10)
    assert all(one is other for one, other in zip(parameters, model.parameters(), strict=True))
    assert [each.group for each in found] == ["0", "6"]  # "4" is flattened to 4 inputs a channel
    for each, i in zip(found, (4, 7), strict=True):
        total = float(model[i].weight.detach().abs().sum())
        assert each.before == pytest.approx(old[i] / total)
        assert each.after == pytest.approx(kept(model[i].weight, n, m) / total)
        assert each.before <= each.after <= each.unstructured
        assert 0 <= each.efficacy <= 1


def test_a_random_matrix_gains_a_third_of_the_gap() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 32), nn.Linear(32, 64))
    nn.init.normal_(model[1].weight)
    (found,) = permute_channels(model, channel_groups(model, torch.zeros(1, 4)))
    assert found.efficacy > 0.3
    gmp.one_shot(model, 0.5, targets="1", pattern="2:4")


def test_the_best_of_all_orders_of_a_small_layer() -> None:
    model = nn.Sequential(nn.Linear(2, 8, bias=False), nn.Linear(8, 3, bias=False))
    drawn(model, 4)
    (found,) = permute_channels(model, channel_groups(model, torch.zeros(1, 2, dtype=torch.float64)))
    weight = model[1].weight.detach()
    swaps = []
    for a in range(4):
        for b in range(4, 8):
            order = list(range(8))
            order[a], order[b] = order[b], order[a]
            swaps.append(kept(weight[:, order], 2, 4))
    assert max(swaps) <= kept(weight, 2, 4) * (1 + 1e-5)  # no swap is left that keeps more
    assert found.after >= found.before


def test_coordinates_and_sums_stay_where_they_are() -> None:
    stages = (Stage(8, (Scale(0.3, 4, (8, 12)),)), Stage(4, (Scale(0.6, 4, (8, 12)),)))
    points = PointNet2(Config(stages, pooled=(16, 24), head=(12,), points=32))
    clouds = torch.rand(2, 32, 3, dtype=torch.float64)
    for model, example in ((drawn(points, 0), clouds), (drawn(Coupled(), 1), PICTURES)):
        before, plain = model(example), copy.deepcopy(model)
        found = permute_channels(model, channel_groups(model, example))
        assert torch.allclose(model(example), before, rtol=1e-10, atol=1e-10)
        moved = [not torch.equal(*pair) for pair in zip(model.parameters(), plain.parameters(), strict=True)]
        assert any(each.after > each.before for each in found) == any(moved)
    assert "sa1.mlp_convs.1" in [
        each.group for each in permute_channels(points, channel_groups(points, clouds))
    ]


@pytest.mark.parametrize("pattern", ["1x1", "channel", "block(4,1)"])
def test_patterns_without_neighbours_are_refused(pattern: str) -> None:
    model = drawn(Coupled(), 0)
    with pytest.raises(PruningError, match="n:m"):
        permute_channels(model, channel_groups(model, PICTURES), pattern)
