"""Pruning to an energy: what is needed, and where a schedule stops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.linear_cost import LinearCost
from support.named import names, naming
from torch import nn

import gmp
from gmp.energy import BudgetSchedule, EnergyMonitor, sparsity_for
from gmp.errors import PruningError
from gmp.tracing.trace import trace
from gmp.tracing.traced_workload import workload_of

X = torch.randn(4, 20, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def watched(scope: str = "layer", width: int = 40, **targets: float) -> tuple[gmp.Pruner, EnergyMonitor]:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(20, 50), nn.ReLU(), nn.Linear(50, width), nn.ReLU(), nn.Linear(width, 5)
    )  # fmt: skip
    pruner = gmp.Pruner(model, scope=scope, ignore="4")
    layers = workload_of(trace(model, [X]), name="net", batch=1).layers
    return pruner, EnergyMonitor(model, LinearCost(layers), X, pruner=pruner, **targets)


@settings(max_examples=25, deadline=None)
@given(start=st.floats(0, 0.5), cycles=st.floats(35, 59))
def test_the_least_sparsity_by_hand(start, cycles):
    """10 (1 + 2) cycles of weights that can go, 30 of the last layer."""
    pruner, monitor = watched(target_cycles=cycles)
    pruner.prune(start)
    expected = 1 - (cycles - 30) / 30
    assert sparsity_for(monitor, uniform=True) == pytest.approx(expected, abs=1e-6)
    assert sparsity_for(monitor) == pytest.approx(max(expected, pruner.sparsity), abs=2e-3)


def test_proportions_are_kept_or_not():
    pruner, monitor = watched("global", target_cycles=40.0)
    pruner.prune(0.6)
    first, second, _ = monitor.densities[:, 0]
    assert abs(first - second) > 0.05
    kept = sparsity_for(monitor)
    assert (10 * first + 20 * second) * (1 - kept) / (1 - pruner.sparsity) == pytest.approx(10, rel=1e-4)
    even = sparsity_for(monitor, uniform=True)
    assert even == pytest.approx(1 - 1 / 3, abs=1e-4)


def test_what_is_met_already_needs_nothing_more():
    pruner, monitor = watched(target_cycles=59.0)
    pruner.prune(0.5)
    assert sparsity_for(monitor) == pytest.approx(pruner.sparsity)


def test_of_two_targets_both_are_met():
    _, both = watched(target_cycles=45.0, target_energy_pj=4200.0)
    _, cycles = watched(target_cycles=45.0)
    _, energy = watched(target_energy_pj=4200.0)
    assert sparsity_for(both) == max(sparsity_for(cycles), sparsity_for(energy))


def run(pruner: gmp.Pruner, monitor: EnergyMonitor, steps: int = 12) -> tuple[BudgetSchedule, list[float]]:
    schedule = BudgetSchedule(
        gmp.LinearSchedule(pruner, initial=0.1, final=0.9, begin=2, end=10, every=2, unit="step"), monitor
    )
    seen = []
    for _ in range(steps):
        schedule.step()
        seen.append(pruner.sparsity)
    return schedule, seen


def test_pruning_stops_at_the_budget_and_not_far_beyond():
    pruner, monitor = watched(target_cycles=47.0)
    schedule, seen = run(pruner, monitor)
    assert schedule.reached
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1 - 17 / 30, abs=0.01)  # the schedule asks for 0.5 then
    assert [reading.step for reading in monitor.history] == [2, 4, 6]
    assert 46.9 < monitor.history[-1].cycles <= 47.0


def test_nothing_is_pruned_for_a_budget_that_is_met_already():
    pruner, monitor = watched(target_cycles=60.0)
    schedule, seen = run(pruner, monitor)
    assert schedule.reached
    assert set(seen) == {0.0}
    assert len(monitor.history) == 1


def test_a_budget_is_met_although_weights_are_whole():
    """What is needed is never just a whole number of weights."""
    for target in np.linspace(35, 46, 12) + 0.3898:
        pruner, monitor = watched("global", target_cycles=float(target))
        schedule, _ = run(pruner, monitor)
        assert schedule.reached


def test_a_global_score_gets_there_too():
    pruner, monitor = watched("global", target_cycles=45.0)
    schedule, seen = run(pruner, monitor)
    assert schedule.reached
    assert 42.0 < monitor.history[-1].cycles <= 45.0
    assert seen[-1] < 0.9


@pytest.mark.parametrize("cycles", [36.0, 40.0, 44.0, 48.0])
def test_layers_that_share_zeros_unlike_before(cycles):
    """The layer of cheap weights loses them first: of those more have to go."""
    pruner, monitor = watched("global", width=20, target_cycles=cycles)
    with torch.no_grad():
        monitor.model[0].weight.mul_(0.01)
    schedule = BudgetSchedule(gmp.ConstantSchedule(pruner, final=0.95, begin=2, unit="step"), monitor)
    schedule.step()
    with pytest.warns(gmp.PruningWarning, match=naming("0.weight")):
        schedule.step()
    schedule.step()
    assert schedule.reached
    assert cycles - 0.5 < monitor.history[-1].cycles <= cycles
    assert pruner.sparsity < 0.95
    assert [reading.step for reading in monitor.history] == [2]


def test_a_schedule_can_end_short_of_the_budget():
    pruner, monitor = watched(target_cycles=30.5)
    with pytest.warns(gmp.PruningWarning, match=naming("targets")) as told:
        schedule, seen = run(pruner, monitor)
    assert not schedule.reached
    assert seen[-1] == pytest.approx(0.9, abs=1e-3)
    assert len(monitor.history) == 5
    (sentence,) = {str(warning.message) for warning in told}
    assert names(sentence, "cycles 30.5")
    assert pruner.report().notes[0] == pruner.warnings[0] == sentence


def test_a_budget_that_no_sparsity_meets():
    pruner, monitor = watched(target_cycles=29.0)
    with pytest.raises(PruningError) as error:
        sparsity_for(monitor)
    assert names(error.value, "targets linear pJ 30 cycles")
    with pytest.warns(gmp.PruningWarning, match=naming("targets")):
        assert run(pruner, monitor)[1][-1] == pytest.approx(0.9, abs=1e-3)  # as far as the schedule goes


def test_a_resumed_run_goes_on_where_it_was():
    pruner, monitor = watched(target_cycles=45.0)
    schedule, _ = run(pruner, monitor, steps=5)
    state = schedule.state_dict()
    rest = [(schedule.step(), pruner.sparsity) for _ in range(6)]

    other, other_monitor = watched(target_cycles=45.0)
    resumed, _ = run(other, other_monitor, steps=0)
    resumed.load_state_dict(state)
    assert [(resumed.step(), other.sparsity) for _ in range(6)] == rest
    assert resumed.reached
    with pytest.raises(PruningError, match=naming("state budget reached schedule")):
        resumed.load_state_dict({})


def test_what_does_not_fit_together():
    pruner, monitor = watched()
    schedule = gmp.ConstantSchedule(pruner, final=0.5, unit="step")
    with pytest.raises(PruningError, match=naming("target_energy_pj target_cycles")):
        BudgetSchedule(schedule, monitor)
    _, other = watched(target_cycles=40.0)
    with pytest.raises(PruningError, match="pruner"):
        BudgetSchedule(schedule, other)
    other.pruner = gmp.Pruner(nn.Sequential(pruner.model))
    other_schedule = gmp.ConstantSchedule(other.pruner, final=0.5, unit="step")
    for call in (lambda: sparsity_for(other), lambda: BudgetSchedule(other_schedule, other)):
        with pytest.raises(PruningError, match=naming("pruner mask layer monitor model")):
            call()
    other.pruner = None
    with pytest.raises(PruningError, match=naming("monitor pruner")):
        sparsity_for(other)
