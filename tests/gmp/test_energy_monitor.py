"""The monitor sees what a trace of the same model sees, and the model does not see the monitor."""

from __future__ import annotations

import copy
import csv

import pytest
import torch
from support.monitored import X, cost_of, net, traced, train, watch
from support.named import naming
from support.traced import Run
from torch import Tensor, nn
from torch.nn import functional as F

import gmp
from gmp import nonzeros
from gmp.energy import EnergyMonitor
from gmp.errors import PruningError
from pointnet.model import PointNet2
from pointnet.network_config import Config, Scale, Stage


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.mark.parametrize("masks", [True, False])
def test_densities_are_those_of_a_trace(masks):
    model = net()
    pruner = gmp.Pruner(model, ignore="8")
    monitor = watch(model, pruner if masks else None)
    assert monitor.densities.tolist() == traced(model)
    assert monitor.densities[:, 0].tolist() == [1, 1, 1]
    pruner.prune(0.5)
    train(model, 2, pruner.apply)
    before = monitor.densities
    assert before[:, 0].tolist() == [row[0] for row in traced(model)]
    assert before[:, 1:].tolist() != [row[1:] for row in traced(model)]
    monitor.measure()
    assert monitor.densities.tolist() == traced(model)
    assert monitor.prunable.tolist() == ([True, True, False] if masks else [False] * 3)


def test_parts_of_weights_are_counted_as_parts():
    """Delayed aggregation multiplies the centres with the first columns of a stage's weights."""
    stages = Stage(8, (Scale(0.6, 5, (6, 7)),)), Stage(3, (Scale(1.5, 4, (9,)),))
    config = Config(stages, pooled=(11,), head=(10,), points=32, delayed=True)
    model, clouds = PointNet2(config).eval(), torch.rand(3, 32, 3)
    pruner = gmp.Pruner(model)
    monitor = EnergyMonitor(model, cost_of(model, clouds), clouds, pruner=pruner)
    assert any(name.endswith(".part2") for name in monitor.plan.names)
    pruner.prune(0.6)
    monitor.measure()
    assert monitor.densities.tolist() == traced(model, clouds)


def test_parts_of_weights_that_lie_transposed_in_memory():
    model = Run(lambda m, x: m.a(x) + F.linear(x[:, :2], m.a.weight[:, :2]), a=nn.Linear(6, 5))
    model.a.weight = nn.Parameter(torch.randn(6, 5).T)
    x = torch.randn(3, 6)
    pruner = gmp.Pruner(model)
    monitor = EnergyMonitor(model, cost_of(model, x), x, pruner=pruner)
    pruner.prune(0.5)
    expected = [row[0] for row in traced(model, x)]
    assert len(set(expected)) == 2
    assert monitor.densities[:, 0].tolist() == expected
    pruner.load_state_dict(pruner.state_dict())
    assert monitor.densities[:, 0].tolist() == expected


def test_shared_and_computed_weights():
    shared = nn.Linear(4, 4)
    model = Run(lambda m, x: m.b(m.a(x).relu()), a=shared, b=shared)
    pruner = gmp.Pruner(model)
    x = torch.randn(3, 4)
    monitor = EnergyMonitor(model, cost_of(model, x), x, pruner=pruner)
    pruner.prune(0.5)
    assert monitor.densities[:, 0].tolist() == [0.5] * len(monitor.plan.names)

    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)))
    monitor = EnergyMonitor(model, cost_of(model, x), x)
    model[0].parametrizations.weight.original0.data[:2] = 0
    assert monitor.densities[0, 0] == 0.5


def test_training_is_the_same_with_and_without():
    first = net()
    second, cost = copy.deepcopy(first), cost_of(first)
    states = []
    for model in (first, second):
        torch.manual_seed(5)
        pruner = gmp.Pruner(model)
        monitor = None
        if model is second:
            monitor = EnergyMonitor(model, cost, X, pruner=pruner, measure_every=2)

        def after(pruner=pruner, monitor=monitor) -> None:
            pruner.prune(min(0.9, pruner.sparsity + 0.2))
            if monitor is not None:
                monitor.update()

        train(model, 5, after)
        states.append({**model.state_dict(), "random": torch.get_rng_state()})
        assert all(module.training for module in model.modules())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert len(monitor.history) == 5
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in second.modules())


def test_masks_are_counted_when_they_have_changed_only(monkeypatch):
    counted: list[tuple[int, ...]] = []

    def count(tensors: list[Tensor]) -> list[int]:
        counted.extend(tuple(tensor.shape) for tensor in tensors)
        return [int((tensor != 0).sum()) for tensor in tensors]

    monkeypatch.setattr("gmp.energy.layer_weights.count", count)
    model = net()
    pruner = gmp.Pruner(model, ignore="0")
    monitor = watch(model, pruner)
    monitor.update()
    assert len(counted) == 3
    train(model, 1, pruner.apply)  # masks stay, the weights without a mask move
    monitor.update()
    assert counted[3:] == [(6, 2, 3, 3)]
    pruner.prune(0.1)
    monitor.update()
    assert counted[4:] == [(6, 2, 3, 3), (8, 96), (4, 8)]


@pytest.mark.parametrize("change", ["data", "new data", "numpy", "fused"])
def test_zeros_that_torch_does_not_tell_of_are_seen(change):
    """None of these counts as a change of the tensor."""
    model = net()
    weight = model[5].weight
    monitor = watch(model)
    monitor.update()
    version = weight._version
    if change == "data":
        weight.data[:2] = 0
    elif change == "new data":
        weight.data = weight.data * (torch.arange(8) > 1)[:, None]
    elif change == "numpy":
        weight.detach().numpy()[:2] = 0
    else:  # steps of 1 from where that leads to 0
        weight.grad = torch.zeros(8, 96)
        weight.grad[:2] = weight.detach()[:2]
        torch.optim.SGD([weight], lr=1.0, fused=True).step()
    assert weight._version == version
    assert monitor.update().densities[1, 0] == 0.75


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.bool])
def test_nonzeros_are_counted_in_pieces_whatever_lies_in_memory(dtype, monkeypatch):
    monkeypatch.setattr("gmp.nonzeros.PIECE", 7)
    weight = torch.randn(6, 5, 3)
    weight[weight.abs() < 0.5] = 0.0
    weight[0] = -0.0
    weight = weight.to(dtype)
    views = (weight, weight.transpose(0, 2), weight[:, 1:4:2], weight[:, :, 0].expand(2, 6, 5))
    for view in views:
        assert nonzeros.count([view]) == [int(torch.count_nonzero(view))]


def test_parameters_may_be_replaced_and_monitors_copied():
    model = net()
    pruner = gmp.Pruner(model, ignore="0")
    monitor = watch(model, pruner)
    copied = copy.deepcopy(monitor)
    model.load_state_dict({k: v.clone() for k, v in model.state_dict().items()}, assign=True)
    for one in (monitor, copied):
        one.pruner.prune(0.5)
        assert one.prunable.tolist() == [False, True, True]
        assert one.densities[:, 0].tolist() == [row[0] for row in traced(one.model)]
        assert [i for i, _ in one.uses("5.weight")] == [1]


def test_a_monitors_table_says_what_is_costed_in_place_of_a_layer(tmp_path):
    model = nn.Sequential(nn.Conv1d(4, 8, 3), nn.ReLU(), nn.Conv1d(8, 8, 3, dilation=2))
    told: list[str] = []
    monitor = EnergyMonitor(model, "eyeriss_v2", torch.randn(2, 4, 20), folder=tmp_path, progress=told.append)
    assert told == ["0", "2"]
    assert monitor.update().energy_pj > 0
    assert "2: height costed as 2 interleaved convolutions without dilation" in monitor.table().notes


def test_readings_by_hand(tmp_path):
    model = net()
    pruner = gmp.Pruner(model)
    seen = []
    monitor = watch(model, pruner, log=seen.append)
    monitor.update()
    pruner.prune(0.75)
    reading = monitor.update(step=40)
    assert seen == monitor.history
    assert [r.step for r in monitor.history] == [0, 40]
    monitor.update()
    assert monitor.history.pop().step == 41
    energy = [(i + 1) * (1000 * w + 100 * x + 10 * y) for i, (w, x, y) in enumerate(monitor.densities)]
    cycles = [(i + 1) * 10 * w for i, (w, _, _) in enumerate(monitor.densities)]
    assert reading.layer_energy_pj == pytest.approx(energy)
    assert reading.energy_pj == pytest.approx(sum(energy))
    assert reading.cycles == pytest.approx(sum(cycles))
    assert reading.edp == pytest.approx(sum(energy) * 1e-12 * sum(cycles))
    assert reading.scalars()["energy_pj/5"] == pytest.approx(energy[1])
    assert not reading.reached

    monitor.to_csv(tmp_path / "readings.csv")
    with open(tmp_path / "readings.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 4
    assert [row["layer"] for row in rows[4:]] == ["0", "5", "8", "total"]
    assert float(rows[5]["energy_pj"]) == reading.layer_energy_pj[1]
    assert float(rows[5]["weights_density"]) == monitor.densities[1, 0]
    assert float(rows[7]["edp"]) == reading.edp
    assert rows[7]["inputs_density"] == ""

    monitor.plot(tmp_path / "plot.svg")
    drawn = (tmp_path / "plot.svg").read_text(encoding="utf-8")
    assert drawn.startswith("<svg")
    total = monitor.table().total
    assert (total[0], total[-1]) == ("total", f"{sum(cycles):,.0f}")


def test_targets_are_met_when_all_are():
    model = net()
    pruner = gmp.Pruner(model)
    monitor = watch(model, pruner, target_energy_pj=5000.0, target_cycles=40.0)
    assert not monitor.reached
    assert not monitor.update().reached
    assert monitor.meets(5000.0, 40.0)
    assert not monitor.meets(5000.0, 40.1)
    assert not monitor.meets(5000.1, 40.0)
    pruner.prune(0.8)
    assert monitor.update().reached
    assert monitor.reached


@pytest.mark.parametrize("name", ["target_energy_pj", "target_cycles"])
def test_targets_are_checked_when_they_are_set(name):
    monitor = watch(net())
    setattr(monitor, name, 5000)
    for value in (0, -1.0, float("nan"), "5", True):
        with pytest.raises(PruningError, match=naming(name)):
            setattr(monitor, name, value)
    assert getattr(monitor, name) == 5000.0
    setattr(monitor, name, None)
    assert not monitor.meets(0.0, 0.0)


def test_activations_are_measured_every_so_often():
    model = net()
    monitor = watch(model, measure_every=3)
    start = [row[1:] for row in traced(model)]
    seen = []

    def after() -> None:
        seen.append((monitor.update().densities[:, 1:].tolist(), [row[1:] for row in traced(model)]))

    train(model, 4, after)
    assert [found for found, _ in seen] == [start, start, start, seen[3][1]]
    assert seen[3][1] != start


def test_resumed_readings_are_those_of_an_unbroken_run(tmp_path):
    def run(model: nn.Module, monitor: EnergyMonitor, steps: range) -> None:
        for step in steps:
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(
                        0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(step))
                    )
            monitor.update()

    model = net()
    begun = copy.deepcopy(model.state_dict())
    whole = watch(model, measure_every=3)
    run(model, whole, range(8))
    model.load_state_dict(begun)
    first = watch(model, measure_every=3)
    run(model, first, range(5))  # two updates after it measured
    torch.save({"model": model.state_dict(), "monitor": first.state_dict()}, tmp_path / "run.pt")

    state = torch.load(tmp_path / "run.pt", weights_only=True)
    other = net()
    other.load_state_dict(state["model"])
    second = watch(other, measure_every=3)
    second.load_state_dict(state["monitor"])
    run(other, second, range(5, 8))
    assert [r.rows() for r in second.history] == [r.rows() for r in whole.history]
    assert [r.reached for r in second.history] == [r.reached for r in whole.history]


def test_states_of_other_things_are_refused():
    monitor = watch(net())
    with pytest.raises(PruningError, match=naming("state monitor layers readings")):
        monitor.load_state_dict({"activations": []})
    with pytest.raises(PruningError, match=naming("state 0 5 8")):
        monitor.load_state_dict(monitor.state_dict() | {"layers": ["0"]})
    with pytest.raises(PruningError, match=naming("3 1")):
        monitor.load_state_dict(monitor.state_dict() | {"activations": [[1.0]] * 3})


def test_states_of_version_0_1_are_read():
    """They have the densities of inputs and outputs only."""
    monitor = watch(net())
    monitor.load_state_dict(monitor.state_dict() | {"activations": [[0.5, 0.25]] * 3})
    assert monitor.densities[:, 1:].tolist() == [[0.5, 0.25]] * 3
