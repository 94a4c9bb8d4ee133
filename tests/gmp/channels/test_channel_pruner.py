"""Whole channels are pruned in training, and stay pruned in all that belongs to them."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from support.channel_networks import Coupled, drawn
from support.named import naming
from torch import nn

import gmp
from gmp.channels import ChannelPruner, channel_groups, narrow, score_channels
from gmp.errors import PruningError, PruningWarning

PICTURES = torch.randn(4, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def pruner_of(seed: int = 0, **options: object) -> tuple[nn.Module, ChannelPruner, torch.optim.Optimizer]:
    model = drawn(Coupled(), seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=0.1)
    return model, ChannelPruner(model, channel_groups(model, PICTURES), optimizer, **options), optimizer  # type: ignore[arg-type]


def test_a_schedule_prunes_channels_that_stay_zero_and_are_removed() -> None:
    model, pruner, optimizer = pruner_of()
    schedule = gmp.CubicSchedule(pruner, initial=0.1, final=0.5, begin=1, end=6, every=1, unit="step")
    model.train()
    for _ in range(12):
        optimizer.zero_grad()
        (model(PICTURES) ** 2).mean().backward()
        optimizer.step()
        schedule.step()
    assert pruner.sparsity == 0.5
    for name, parameter in model.named_parameters():
        mask = pruner.masks.get(name)
        if mask is not None:
            assert not parameter[~mask].any(), name
            assert not optimizer.state[parameter]["momentum_buffer"][~mask].any(), name
    pruner.finalize()
    found = narrow(model.eval(), pruner.groups)
    assert sum(map(len, found.kept.values())) == 9
    with torch.no_grad():
        assert torch.allclose(found.model(PICTURES), model(PICTURES), rtol=1e-10, atol=1e-10)


def test_norms_stay_zero_too() -> None:
    model, pruner, _ = pruner_of()
    pruner.keep({"stem": [1, 2], "pw": [0]})
    assert model.norm.weight.nonzero().flatten().tolist() == [1, 2]
    assert model.norm.bias.nonzero().flatten().tolist() == [1, 2]
    assert model.conv1.weight.flatten(2).any(dim=2).nonzero().tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]


def test_counts_are_exact_with_equal_scores() -> None:
    model = nn.Sequential(nn.Linear(4, 10), nn.Linear(10, 10), nn.Linear(10, 2))
    for parameter in model.parameters():
        nn.init.ones_(parameter)
    pruner = ChannelPruner(model, channel_groups(model, torch.zeros(1, 4)))
    for sparsity in (0.35, 0.5, 0.9):
        pruner.prune(sparsity)
        assert pruner.sparsity == pytest.approx(sparsity)
    assert pruner.max_sparsity == 0.9
    assert [int(each.sum()) for each in pruner.kept.values()] == [1, 1]
    with pytest.raises(PruningError, match=r"at most 0\.9"):
        pruner.prune(0.95)


@pytest.mark.parametrize("scope", ["global", "group"])
def test_multiples_are_left(scope: str) -> None:
    model = nn.Sequential(nn.Linear(4, 18), nn.ReLU(), nn.Linear(18, 16), nn.ReLU(), nn.Linear(16, 2))
    pruner = ChannelPruner(model, channel_groups(model, torch.zeros(1, 4)), scope=scope, multiple=4, least=3)
    pruner.prune(0.5)
    left = [int(each.sum()) for each in pruner.kept.values()]
    assert all(count % 4 == 0 for count in left if count < 16)
    assert 17 <= sum(left) < 21 + (scope == "group") * 4
    pruner.prune(pruner.max_sparsity)
    assert [int(each.sum()) for each in pruner.kept.values()] == [4, 4]


def test_a_step_without_effect_is_noticed() -> None:
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))
    groups = channel_groups(model, torch.zeros(1, 4))
    pruner = ChannelPruner(model, groups, multiple=8)
    pruner.prune(0.2)
    assert pruner.sparsity == 0
    with pytest.warns(PruningWarning, match=naming("0.1875 0")):
        pruner.finalize()
    exact = ChannelPruner(model, groups, multiple=8)
    exact.prune(0.25)
    exact.finalize()  # without a warning
    assert exact.sparsity == 0.25


def test_the_lowest_scores_go_first_and_costs_change_the_order() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2))
    groups = channel_groups(model, torch.zeros(1, 4))
    for score, power in (("l1", 1), ("l2", 2)):
        found = score_channels(model, groups, score)["2"]
        wanted = model[2].weight.detach().abs().pow(power).sum(dim=1).pow(1 / power)
        assert torch.allclose(found, wanted / wanted.mean())
    plain = ChannelPruner(copy.deepcopy(model), groups)
    plain.prune(0.25)
    scores = score_channels(model, groups)
    every = torch.cat(list(scores.values()))
    assert all(
        bool((scores[name][~kept] < every.sort().values[3]).all()) for name, kept in plain.kept.items()
    )
    priced = ChannelPruner(model, groups, cost=lambda counts: 1000 * counts["2"] + counts["0"])
    priced.prune(0.25)
    assert [int(each.sum()) for each in priced.kept.values()] == [6, 3]


def test_a_saved_pruner_goes_on() -> None:
    _, pruner, _ = pruner_of()
    pruner.prune(0.4)
    file = io.BytesIO()
    torch.save(pruner.state_dict(), file)
    file.seek(0)
    _, other, _ = pruner_of()
    other.load_state_dict(torch.load(file, weights_only=True))
    assert other.sparsity == pruner.sparsity
    assert all(torch.equal(other.kept[name], kept) for name, kept in pruner.kept.items())


def test_mistakes_are_refused() -> None:
    model, pruner, _ = pruner_of()
    with pytest.raises(PruningError, match="no channel of 'pw' would be left"):
        pruner.keep({"pw": []})
    with pytest.raises(PruningError, match=r"the sparsity.*1\.5"):
        pruner.prune(1.5)
    with pytest.raises(PruningError, match="scope"):
        ChannelPruner(model, pruner.groups, scope="layer")
    with pytest.raises(PruningError, match="l2"):
        ChannelPruner(model, pruner.groups, score="l22")
    with pytest.raises(PruningError, match="'side' has no norm"):
        ChannelPruner(model, pruner.groups, score="norm").prune(0.5)
    with pytest.raises(PruningError, match=r"cost.*None"):
        ChannelPruner(model, pruner.groups, cost=lambda counts: None).prune(0.5)  # type: ignore[arg-type, return-value]
    nn.init.constant_(model.pw.weight, float("nan"))
    with pytest.raises(PruningError, match="finite"):
        pruner.prune(0.5)
