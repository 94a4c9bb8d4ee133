"""Scores that know what a weight costs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.linear_cost import LinearCost
from support.named import naming
from support.traced import Run
from torch import nn
from torch.nn import functional as F

import gmp
from gmp.energy import EnergyMonitor, EnergyScore
from gmp.errors import PruningError
from gmp.tracing.trace import trace
from gmp.tracing.traced_workload import workload_of
from pointnet.model import PointNet2
from pointnet.network_config import Config, Scale, Stage
from sparsim.hardware import Costs, Slopes

X = torch.randn(4, 12, generator=torch.Generator().manual_seed(0))


class SquareCost(LinearCost):
    """Layer i takes (i + 1) * 1000 w^2 pJ and (i + 1) * 10 w cycles."""

    def _costs(self, densities):
        weights = densities[:, 0]
        return Costs(self.factor * 1000.0 * weights**2, self.factor * 10.0 * weights)

    def _slopes(self, densities):
        energy, cycles = np.zeros_like(densities), np.zeros_like(densities)
        energy[:, 0], cycles[:, 0] = self.factor * 2000.0 * densities[:, 0], self.factor * 10.0
        return Slopes(energy, cycles)


class FreeCost(LinearCost):
    """Zeros of weights save nothing."""

    def _slopes(self, densities):
        return Slopes(np.zeros_like(densities), np.zeros_like(densities))


def net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 3))


def watch(model: nn.Module, x: torch.Tensor = X, cost: type[LinearCost] = SquareCost) -> EnergyMonitor:
    layers = workload_of(trace(model, [x]), name="net", batch=1).layers
    return EnergyMonitor(model, cost(layers), x)


def naive_lamp(weight: torch.Tensor) -> np.ndarray:
    flat = weight.detach().double().flatten().tolist()
    order = sorted(range(len(flat)), key=lambda i: (abs(flat[i]), i))
    scores = np.zeros(len(flat))
    for rank, i in enumerate(order):
        rest = sum(flat[j] ** 2 for j in order[rank:])
        scores[i] = flat[i] ** 2 / rest if rest else 0.0
    return scores.reshape(weight.shape)


@settings(max_examples=25, deadline=None)
@given(values=st.lists(st.integers(-3, 3), min_size=1, max_size=12))
def test_lamp_as_written_in_the_paper(values):
    weight = torch.tensor([values], dtype=torch.float32)
    found = gmp.lamp("w", weight, None)
    np.testing.assert_allclose(found.numpy(), naive_lamp(weight), rtol=1e-12)
    assert found.max() == (1.0 if any(values) else 0.0)


@pytest.mark.filterwarnings("ignore::gmp.errors.PruningWarning")  # some layers lose all weights
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 99),
    alpha=st.sampled_from([0, 0.5, 1, 2.5]),
    steps=st.lists(st.floats(0.05, 0.95), min_size=1, max_size=3).map(sorted),
)
def test_the_lowest_score_per_cost_goes_at_every_step(seed, alpha, steps):
    model = net(seed)
    monitor = watch(model)
    pruner = gmp.Pruner(model, score=EnergyScore(monitor, "magnitude", alpha=alpha))
    weights = [model[i].weight for i in (0, 2, 4)]
    for sparsity in steps:
        pool = []
        slopes = [2000.0 * (i + 1) * float((w != 0).double().mean()) for i, w in enumerate(weights)]
        mean = sum(slopes) / sum(weight.numel() for weight in weights)
        for i, weight in enumerate(weights):
            price = max(slopes[i] / weight.numel() / mean, 0.001)
            pool += [(float(w) / price**alpha, i, j) for j, w in enumerate(weight.detach().abs().flatten())]
        pruner.prune(sparsity)
        zeros = {(i, int(j)) for i, w in enumerate(weights) for j in (w.flatten() == 0).nonzero()[:, 0]}
        assert len(zeros) == round(sparsity * len(pool))
        gone = [score for score, *place in pool if tuple(place) in zeros]
        kept = [score for score, *place in pool if tuple(place) not in zeros]
        assert max(gone) <= (1 + 1e-5) * min(kept)  # scores have single precision


@pytest.mark.parametrize("objective", ["energy", "delay", "edp"])
def test_prices_are_what_one_weight_less_saves(objective):
    """Of costs that are squares: half a weight more and half a weight less."""
    model = net()
    gmp.one_shot(model, 0.3)
    monitor = watch(model)
    score = EnergyScore(monitor, objective=objective)
    differences, found = [], []
    for i, name in enumerate(("0.weight", "2.weight", "4.weight")):
        totals = []
        for side in (-0.5, 0.5):
            densities = monitor.densities
            densities[i, 0] += side / monitor.sizes[i]
            energy, cycles = (float(values.sum()) for values in monitor.plan(densities))
            totals.append({"energy": energy, "delay": cycles, "edp": energy * cycles}[objective])
        differences.append(totals[1] - totals[0])
        prices = score.prices(name, model.get_parameter(name))
        assert prices.min() == prices.max()
        found.append(float(prices[0, 0]))
    np.testing.assert_allclose(np.array(found) / found[0], np.array(differences) / differences[0], rtol=2e-3)


def test_parts_and_shared_weights_cost_what_they_cost_everywhere():
    stages = (Stage(8, (Scale(0.6, 5, (6, 7)),)), Stage(3, (Scale(1.5, 4, (9,)),)))
    config = Config(stages, pooled=(11,), head=(10,), points=32, delayed=True)
    torch.manual_seed(0)
    parts, clouds = PointNet2(config).eval(), torch.rand(3, 32, 3)
    shared = nn.Linear(12, 12)
    twice = Run(lambda m, x: m.b(m.a(x).relu()), a=shared, b=shared)
    halves = Run(
        lambda m, x: F.linear(x, m.a.weight[:6]) * F.linear(x, m.a.weight[6:]), a=nn.Linear(12, 12)
    )  # two products of one shape
    for model, x in ((parts, clouds), (twice, X), (halves, X)):
        monitor = watch(model, x, LinearCost)
        before, savings, prices = monitor.update().energy_pj, [], []
        for target in gmp.select(model, nn.Linear):
            for place in (0, target.weight.numel() - 1):
                flat = target.weight.detach().flatten()
                prices.append(float(EnergyScore(monitor).prices(target.name, target.weight).flatten()[place]))
                kept = float(flat[place])
                with torch.no_grad():
                    target.weight.view(-1)[place] = 0.0
                    savings.append(before - monitor.update().energy_pj)
                    target.weight.view(-1)[place] = kept
        np.testing.assert_allclose(np.array(prices) / prices[0], np.array(savings) / savings[0], rtol=1e-6)


def test_less_energy_at_equal_sparsity():
    energies = []
    for score in ("lamp", "aware"):
        model = net()
        monitor = watch(model)
        gmp.one_shot(model, 0.7, score=EnergyScore(monitor) if score == "aware" else score)
        assert model[4].weight.count_nonzero() > 0
        energies.append(monitor.update().energy_pj)
    assert energies[1] < 0.95 * energies[0]


@pytest.mark.parametrize("alpha", [-0.1, float("nan"), float("inf"), True, "1"])
def test_a_wrong_alpha(alpha):
    with pytest.raises(PruningError, match=naming("alpha 0")):
        EnergyScore(watch(net()), alpha=alpha)


def test_other_mistakes():
    model = net()
    with pytest.raises(PruningError, match=naming("enrgy")):
        EnergyScore(watch(model), objective="enrgy")
    with pytest.raises(PruningError, match=naming("lmap lamp")):
        EnergyScore(watch(model), "lmap")
    with pytest.raises(PruningError, match=naming("movement")):
        EnergyScore(watch(model), "movement")
    with pytest.raises(PruningError, match=naming("linear weights energy")):
        gmp.one_shot(model, 0.5, score=EnergyScore(watch(model, cost=FreeCost)))


def test_a_weight_of_no_layer():
    model = Run(lambda m, x: m.b(m.a(x)), a=nn.Linear(12, 3), b=nn.LayerNorm(3))
    score = EnergyScore(watch(model))
    with pytest.raises(PruningError, match=naming("b.weight")):
        gmp.one_shot(model, 0.5, targets=["a", "b"], score=score)
    gmp.one_shot(model, 0.5, score=score)
    with pytest.raises(PruningError, match=naming("a.wieght a.weight")):
        score.prices("a.wieght", model.a.weight.detach())
