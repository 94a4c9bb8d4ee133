"""Statistics of batch norms measured anew."""

from __future__ import annotations

import pytest
import torch
from support.named import names
from torch import nn

import gmp
from gmp.errors import TraceError


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 5), nn.BatchNorm1d(5, momentum=0.3)
    )


def batches(count=3):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(8, 4, generator=generator) * 2 + 1 for _ in range(count)]


def statistics(model):
    return [(m.running_mean.clone(), m.running_var.clone()) for m in model if isinstance(m, nn.BatchNorm1d)]


def by_hand(model, inputs):
    """Averages over batches of the means and unbiased variances in front of the two norms."""
    first, second = [], []
    for x in inputs:
        x = model[0](x)
        first.append((x.mean(0), x.var(0)))
        x = (x - x.mean(0)) / (x.var(0, unbiased=False) + model[1].eps).sqrt()
        x = model[3](x * model[1].weight + model[1].bias)  # no dropout
        second.append((x.mean(0), x.var(0)))
    return [
        tuple(torch.stack(values).mean(0) for values in zip(*pairs, strict=True)) for pairs in (first, second)
    ]


@pytest.mark.parametrize("wrapped", [lambda x: x, lambda x: (x, "label"), lambda x: [x]])
def test_averages_over_batches(wrapped):
    model = network()
    for x in batches():
        model(x * 5)  # old statistics that must go
    assert gmp.recalibrate_batch_norm(model, map(wrapped, batches())) == 2
    with torch.no_grad():
        expected = by_hand(model, batches())
    for mine, hand in zip(statistics(model), expected, strict=True):
        torch.testing.assert_close(mine, hand)


def test_limit():
    model, twin = network(), network()
    gmp.recalibrate_batch_norm(model, batches(3), limit=2)
    gmp.recalibrate_batch_norm(twin, batches(2))
    for mine, other in zip(statistics(model), statistics(twin), strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("training", [True, False])
def test_modes_momenta_and_weights_are_as_before(training):
    model = network().train(training)
    model[3].train(not training)
    weights = [p.clone() for p in model.parameters()]
    gmp.recalibrate_batch_norm(model, batches())
    assert [m.training for m in model] == [training, training, training, not training, training]
    assert [model[1].momentum, model[4].momentum] == [0.1, 0.3]
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))
    assert all(p.grad is None for p in model.parameters())


def test_a_failure_keeps_the_old_statistics():
    model = network()
    model(batches()[0])
    before = statistics(model)
    with pytest.raises(gmp.PruningError) as caught:
        gmp.recalibrate_batch_norm(model, [])
    assert names(caught.value, "batches batch")
    with pytest.raises(TraceError):
        gmp.recalibrate_batch_norm(model, [batches()[0], torch.ones(2, 3)])
    for old, new in zip(before, statistics(model), strict=True):
        assert torch.equal(old[0], new[0])
        assert torch.equal(old[1], new[1])
    assert model.training
    assert model[1].momentum == 0.1
    with pytest.raises(gmp.PruningError) as caught:
        gmp.recalibrate_batch_norm(model, torch.stack(batches()))
    assert names(caught.value, "batches tensor")


@pytest.mark.parametrize("limit", [0, 1.5, True])
def test_limits_that_are_no_counts(limit):
    with pytest.raises(gmp.PruningError) as caught:
        gmp.recalibrate_batch_norm(network(), batches(), limit=limit)
    assert names(caught.value, f"limit {limit}")


def test_without_norms_nothing_is_run():
    untracked = nn.BatchNorm1d(4, track_running_stats=False)
    assert gmp.recalibrate_batch_norm(nn.Sequential(nn.Linear(4, 4), untracked), ["not a tensor"]) == 0
