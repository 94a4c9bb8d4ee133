"""Rounds of pruning and training, with learning rates and weights rewound."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

import gmp
from gmp.errors import PruningError


def network() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))
    return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, pruner: gmp.Pruner | None, count: int) -> None:
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, count)
    draw = torch.Generator().manual_seed(1)
    for _ in range(count):
        x = torch.randn(16, 8, generator=draw)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), (x[:, 0] > 0).long()).backward()
        optimizer.step()
        schedule.step()
        if pruner is not None:
            pruner.apply()


@pytest.mark.parametrize(("rate", "lr"), [("rewind", 0.1), ("tenth", 0.01)])
def test_rounds_prune_by_equal_shares_with_rates_set_anew(rate: str, lr: float) -> None:
    model, optimizer = network()
    pruner = gmp.Pruner(model, optimizer, scope="layer")
    seen: list[float] = []

    def train() -> int:
        seen.append(optimizer.param_groups[0]["lr"])
        steps(model, optimizer, pruner, 4)
        return len(seen)

    found = gmp.prune_iteratively(pruner, 0.875, 3, train, rate=rate)  # type: ignore[arg-type]
    assert [each.sparsity for each in found] == pytest.approx([0.5, 0.75, 0.875], abs=0.004)
    assert [each.outcome for each in found] == [1, 2, 3]
    assert seen == pytest.approx([lr] * 3)
    assert sum(int((p == 0).sum()) for p in (model[0].weight, model[3].weight)) == round(0.875 * 160)


def test_weights_go_back_bit_for_bit_after_more_steps() -> None:
    model, optimizer = network()
    steps(model, optimizer, None, 3)
    point = gmp.RewindPoint(model, optimizer)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    momentum = optimizer.state[model[0].weight]["momentum_buffer"].clone()
    steps(model, optimizer, None, 10)
    pruner = gmp.Pruner(model, optimizer)
    found: list[dict[str, torch.Tensor]] = []

    def train() -> None:
        found.append({name: value.clone() for name, value in model.state_dict().items()})
        kept = pruner.masks["0.weight"]
        buffer = optimizer.state[model[0].weight]["momentum_buffer"]
        assert torch.equal(buffer, momentum * kept)
        steps(model, optimizer, pruner, 10)

    gmp.prune_iteratively(pruner, 0.75, 2, train, weights=point)
    for now, name in itertools.product(found, state):
        if name in pruner.masks:
            assert torch.equal(now[name][now[name] != 0], state[name][now[name] != 0])
        else:
            assert torch.equal(now[name], state[name])


def test_whole_channels_go_in_rounds_too() -> None:
    model, optimizer = network()
    pruner = gmp.ChannelPruner(model, gmp.channel_groups(model.eval(), torch.zeros(1, 8)), optimizer)
    found = gmp.prune_iteratively(pruner, 0.75, 2, lambda: steps(model.train(), optimizer, pruner, 2))
    assert [each.sparsity for each in found] == [0.5, 0.75]
    pruner.finalize()
    assert gmp.narrow(model.eval(), pruner.groups).model[0].weight.shape == (4, 8)


def test_mistakes_are_refused_before_any_work() -> None:
    model, optimizer = network()
    pruner = gmp.Pruner(model, optimizer)
    before = model[0].weight.clone()
    for sparsity, rounds, rate, message in (
        (1.5, 2, "rewind", "sparsity"), (0.5, 0, "rewind", "rounds"), (0.5, 2, "half", "rewind")
    ):  # fmt: skip
        with pytest.raises(PruningError, match=message):
            gmp.prune_iteratively(pruner, sparsity, rounds, lambda: None, rate=rate)  # type: ignore[arg-type]
    with pytest.raises(PruningError, match="no optimizer"):
        gmp.prune_iteratively(gmp.Pruner(model), 0.5, 2, lambda: None)
    assert torch.equal(model[0].weight, before)
    with pytest.raises(PruningError, match="nan in round 1"):
        gmp.prune_iteratively(pruner, 0.5, 2, lambda: float("nan"))
