"""NetAdapt: one layer at a time to an energy."""

from __future__ import annotations

import pytest
import torch
from support.linear_cost import LinearCost
from support.named import naming
from torch import nn

import gmp
from gmp.energy import EnergyMonitor, netadapt
from gmp.energy.netadapt import _kept
from gmp.errors import PruningError
from gmp.tracing.trace import trace
from gmp.tracing.traced_workload import workload_of

X = torch.randn(6, 10, generator=torch.Generator().manual_seed(0))


def watched(**options) -> tuple[nn.Sequential, EnergyMonitor]:
    """The weights of the three layers take 1000, 2000 and 3000 pJ, the activations what they take."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 30), nn.ReLU(), nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 4))
    layers = workload_of(trace(model, [X]), name="net", batch=1).layers
    return model, EnergyMonitor(model, LinearCost(layers), X, **options)


def zeros(model: nn.Module) -> list[int]:
    return [int((model[i].weight == 0).sum()) for i in (0, 2, 4)]


def test_every_step_saves_what_it_has_to_where_the_loss_is_least():
    model, monitor = watched()
    dense = monitor.update().energy_pj
    monitor.target_energy_pj = 0.55 * dense
    before = {name: value.clone() for name, value in model.state_dict().items()}
    tuned = []
    done = netadapt(
        model, monitor, lambda m: 5.0 * zeros(m)[1] + sum(zeros(m)), tune=tuned.append, first=0.1, decay=0.9
    )
    steps = [reading.energy_pj for reading in monitor.history[1:]]  # the first is of `dense` above
    assert [row.energy_pj for row in done] == steps[1:]
    step, goals = 0.1 * dense, []
    for energy in steps[:-1]:
        goals.append(max(0.55 * dense, energy - step))
        step *= 0.9
    assert all(after <= goal for after, goal in zip(steps[1:], goals, strict=True))
    assert steps[-2] > 0.55 * dense >= steps[-1]
    # the last layer saves most with the fewest zeros, until it has nothing left to save
    assert {row.name for row in done} <= {"0.weight", "4.weight"}
    assert done[0].name == "4.weight"
    assert zeros(model)[1] == 0
    assert len(tuned) > len(done)
    assert all(copy is not model for copy in tuned)
    for i in (0, 2, 4):  # by magnitude, and nothing else changed
        weight, old = model[i].weight.detach(), before[f"{i}.weight"]
        kept = weight != 0
        assert torch.equal(weight[kept], old[kept])
        if not kept.all():
            assert old[~kept].abs().max() <= old[kept].abs().min()


@pytest.mark.parametrize("spare", [0.051, 0.3001, 0.9007, 3.1])
def test_as_many_weights_stay_as_the_budget_allows(spare):
    """One after the other tried."""
    model, monitor = watched()
    gmp.one_shot(model, 0.4, targets="2")
    now = monitor.update().energy_pj
    for i, name in enumerate(("0.weight", "2.weight", "4.weight")):
        size, budget = monitor.sizes[i], now - 1000.0 * spare
        densities, found = monitor.densities, None
        for kept in range(1, int(model[2 * i].weight.count_nonzero())):
            densities[i, 0] = kept / size
            if monitor.plan(densities).energy_pj.sum() <= budget:
                found = kept
        assert _kept(monitor, gmp.select(model, name)[0], budget) == found


def test_training_goes_on_with_these_zeros():
    model, monitor = watched()
    monitor.target_energy_pj = 0.6 * monitor.update().energy_pj
    labels = torch.arange(6) % 4

    def tune(candidate):
        optimizer = torch.optim.SGD(candidate.parameters(), 0.1)
        pruner = gmp.Pruner(candidate, optimizer)
        nn.functional.cross_entropy(candidate(X), labels).backward()
        optimizer.step()
        pruner.apply()
        pruner.finalize()

    def loss(candidate):
        with torch.no_grad():
            return float(nn.functional.cross_entropy(candidate(X), labels))

    start = loss(model)
    done = netadapt(model, monitor, loss, tune=tune, ignore="0", first=0.2)
    assert done[-1].loss == pytest.approx(loss(model))
    assert done[-1].loss < start
    assert zeros(model)[0] == 0
    assert monitor.reached
    pruner = gmp.Pruner(model)
    assert pruner.sparsity == pytest.approx(sum(zeros(model)) / sum(monitor.sizes))
    monitor.target_energy_pj = 2 * done[-1].energy_pj
    assert netadapt(model, monitor, loss) == []


def test_mistakes():
    model, monitor = watched()
    with pytest.raises(PruningError, match=naming("target_energy_pj")):
        netadapt(model, monitor, lambda m: 0.0)
    monitor.target_energy_pj = 1.0
    with pytest.raises(PruningError, match=naming("first 1.5 0 1")):
        netadapt(model, monitor, lambda m: 0.0, first=1.5)
    with pytest.raises(PruningError, match=naming("decay 0")):
        netadapt(model, monitor, lambda m: 0.0, decay=0)
    with pytest.raises(PruningError, match=naming("0.weight")):
        netadapt(model, monitor, lambda m: float("nan"))
    with pytest.raises(PruningError, match="energy"):
        netadapt(model, monitor, lambda m: 0.0, first=0.5)
    monitor.pruner = gmp.Pruner(model)
    with pytest.raises(PruningError, match=naming("monitor pruner")):
        netadapt(model, monitor, lambda m: 0.0)


def test_a_tune_that_revives_weights_is_found_out():
    model, monitor = watched()
    monitor.target_energy_pj = 0.5 * monitor.update().energy_pj

    def revive(candidate):
        with torch.no_grad():
            for i in (0, 2, 4):
                candidate[i].weight.fill_(0.5)

    with pytest.raises(PruningError, match=naming("tune weights")):
        netadapt(model, monitor, lambda m: 0.0, tune=revive)
