"""Penalties on scales reach exact zeros, and slimming counts exactly."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.channel_networks import Block, drawn
from torch import nn

from gmp.channels import ChannelGroups, ChannelPenalty, channel_groups, narrow, slim
from gmp.errors import PruningError, PruningWarning

PICTURES = torch.randn(6, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def network(seed: int = 0) -> tuple[nn.Module, ChannelGroups]:
    model = drawn(nn.Sequential(Block(3, 8, 1), Block(8, 8, 2), nn.Flatten(), nn.Linear(128, 3)), seed)
    return model, channel_groups(model, PICTURES)


def scales(model: nn.Module) -> torch.Tensor:
    return torch.cat([m.weight.detach() for m in model.modules() if isinstance(m, nn.BatchNorm2d)])


@pytest.mark.parametrize("make", [torch.optim.Adam, torch.optim.SGD])
def test_scales_reach_exact_zeros_under_any_optimizer(make: Any) -> None:
    model, groups = network()
    model.train()
    optimizer = make(model.parameters(), lr=0.01)
    penalty = ChannelPenalty(model, groups, optimizer, strength=2.0)
    before = scales(model)
    for _ in range(20):
        optimizer.zero_grad()
        (1e-3 * model(PICTURES).square().mean()).backward()
        optimizer.step()
        penalty.step()
        penalty.step()  # no step of the optimizer in between
    found = scales(model)
    assert 0 < int((found == 0).sum()) < len(found)
    if make is torch.optim.SGD:  # almost without a gradient
        wanted = before.sign() * (before.abs() - 20 * 0.01 * 2.0).clamp(min=0)
        assert torch.allclose(found, wanted, atol=0.02)
    penalty.close()


@pytest.mark.parametrize("penalty", ["l1", "l2", "group"])
@pytest.mark.parametrize("on", ["norms", "weights"])
def test_one_step_of_each_penalty(penalty: Any, on: Any) -> None:
    model, groups = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    conv, norm = model[0].conv1, model[0].bn1
    old = (norm if on == "norms" else conv).weight.detach().clone()
    ChannelPenalty(model, groups, optimizer, strength=0.4, penalty=penalty, on=on).step()
    new = (norm if on == "norms" else conv).weight.detach()
    if penalty == "l2":
        wanted = old / 1.2
    elif penalty == "l1" or on == "norms":  # one norm for each channel of this group
        wanted = old.sign() * (old.abs() - 0.2).clamp(min=0)
    else:
        wanted = old * (1 - 0.2 / old.flatten(1).norm(dim=1)).clamp(min=0)[:, None, None, None]
    assert torch.allclose(new, wanted)
    other = (conv if on == "norms" else norm).weight
    assert torch.equal(other, network()[0][0].get_submodule("conv1" if on == "norms" else "bn1").weight)


def test_a_group_of_two_norms_falls_together() -> None:
    model, groups = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    pair = [model[0].bn2.weight, model[0].down[1].weight]
    old = torch.stack([each.detach().clone() for each in pair])
    ChannelPenalty(model, groups, optimizer, strength=1.0, penalty="group").step()
    wanted = old * (1 - 0.5 / old.norm(dim=0)).clamp(min=0)
    assert torch.allclose(torch.stack([each.detach() for each in pair]), wanted)


@pytest.mark.parametrize("share", [0.0, 0.31, 0.6, 0.875])
def test_exact_counts_and_equal_outputs(share: float) -> None:
    model, groups = network()
    found = slim(model, groups, share)
    total = sum(group.channels for group in groups)
    assert total - sum(found.kept.values()) == round(share * total)
    assert min(found.kept.values()) >= 1
    if share:
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.bias.abs_().neg_()  # constants behind a ReLU are zero, so that padding is exact
                    module.bias[module.weight != 0] = 0.5
        small = narrow(model, groups)
        assert {name: len(kept) for name, kept in small.kept.items()} == found.kept
        with torch.no_grad():
            assert torch.allclose(small.model(PICTURES), model(PICTURES), rtol=1e-10, atol=1e-10)


def test_equal_scales_leave_each_group_a_channel() -> None:
    model, groups = network()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
    found = slim(model, groups, 0.8)
    assert sum(found.kept.values()) == 32 - round(0.8 * 32)
    assert "0.conv1" in found.held
    with pytest.raises(PruningError, match="28 can go"):
        slim(model, groups, 0.9)


def test_mistakes_are_refused() -> None:
    model, groups = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for options, message in (
        ({"strength": 0}, "strength"),
        ({"strength": 1, "penalty": "l3"}, "l1, l2 or group"),
        ({"strength": 1, "on": "scales"}, "norms or weights"),
    ):
        with pytest.raises(PruningError, match=message):
            ChannelPenalty(model, groups, optimizer, **options)
    with pytest.warns(PruningWarning, match="raise strength"):
        ChannelPenalty(model, groups, optimizer, strength=1e-3, steps=100)
    other = torch.optim.SGD(network()[0].parameters(), lr=0.1)
    with pytest.raises(PruningError, match="does not hold"):
        ChannelPenalty(model, groups, other, strength=1)
    plain = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    with pytest.raises(PruningError, match="no group has norms"):
        slim(plain, channel_groups(plain, torch.zeros(1, 4)), 0.5)
