"""What a monitor can be given: workloads, layers by name, recipes, hardware; and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from support.linear_cost import LinearCost
from support.monitored import X, cost_of, net, traced, train, watch
from support.named import names, naming
from support.traced import Run
from torch import nn

import gmp
from gmp.energy import EnergyMonitor
from gmp.errors import PruningError, TraceError
from gmp.tracing.trace import trace
from gmp.tracing.traced_workload import workload_of
from sparsim.errors import MappingError
from sparsim.files.sparsim_yaml import load_accelerator


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def test_a_workload_in_place_of_an_example():
    model = net()
    workload = workload_of(trace(model, [X]), name="net", batch=1)
    pruner = gmp.Pruner(model)
    monitor = EnergyMonitor(model, LinearCost(workload.layers), workload, pruner=pruner)
    pruner.prune(0.5)
    assert monitor.densities.tolist() == [[row[0], *known[1:]] for row, known in zip(
        traced(model), LinearCost(workload.layers).densities.tolist(), strict=True
    )]  # fmt: skip
    with pytest.raises(PruningError, match=naming("example batches")):
        monitor.measure()
    monitor.measure([X[:2]])
    assert monitor.densities.tolist() == traced(model, X[:2])


def test_a_workload_of_the_layers_that_run():
    """One of them has a name that looks like a part of another."""
    used = nn.ModuleDict({"part2": nn.Linear(4, 3)})
    model = Run(lambda m, x: m.used["part2"](x).relu(), used=used, aux=nn.Linear(4, 2))
    x = torch.randn(6, 4)
    workload = workload_of(trace(model, [x], names=["used.part2"]), name="net", batch=1)
    monitor = EnergyMonitor(model, LinearCost(workload.layers), workload)
    with torch.no_grad():
        used["part2"].bias.fill_(-9.0)
        used["part2"].weight[0] = 0.0
    monitor.measure([x])
    assert monitor.densities.tolist() == [[2 / 3, 1.0, 0.0]]


def test_layers_that_never_run_are_left_out_by_name():
    model = Run(lambda m, x: m.b(m.a(x).relu()), a=nn.Linear(4, 3), b=nn.Linear(3, 2), aux=nn.Linear(4, 2))
    x = torch.randn(6, 4)
    workload = workload_of(trace(model, [x], names=["a", "b"]), name="net", batch=1)
    with pytest.raises(TraceError, match=naming("layer aux")):
        EnergyMonitor(model, LinearCost(workload.layers), x, names=["a", "aux"])
    assert "aux (Linear) did not run" in EnergyMonitor(model, LinearCost(workload.layers), x).coverage.notes
    monitor = EnergyMonitor(model, LinearCost(workload.layers), x, names=["a", "b"], measure_every=1)
    before = monitor.update().densities
    with torch.no_grad():
        model.a.bias.fill_(-99.0)
    assert (monitor.update().densities - before)[:, 1].tolist() == [0.0, -before[1, 1]]
    with pytest.raises(PruningError, match=naming("names workload")):
        EnergyMonitor(model, LinearCost(workload.layers), workload, names=["a"])


def test_experts_that_do_not_run_keep_their_densities():
    """Each sample goes to one of two layers, all of the later ones to the first."""

    def run(model, x):
        found = x.new_zeros(len(x), 3)
        for expert, chosen in ((model.a, x[:, 0] > 0), (model.b, x[:, 0] <= 0)):
            if chosen.any():
                found[chosen] = expert(x[chosen])
        return found

    model = Run(run, a=nn.Linear(4, 3), b=nn.Linear(4, 3))
    x = torch.randn(8, 4)
    x[:, 1] *= x[:, 0] > 0
    workload = workload_of(trace(model, [x]), name="net", batch=1)
    monitor = EnergyMonitor(model, LinearCost(workload.layers), x)
    before = monitor.densities
    assert before[:, 1].tolist() == [1.0, 0.75]
    monitor.measure(torch.rand(8, 4).clamp(min=0.1) * torch.tensor([1.0, 1.0, 0.0, 0.0]))
    assert monitor.densities[:, 1].tolist() == [0.5, 0.75]
    model.run = lambda model, x: x @ x.T
    with pytest.raises(PruningError, match=naming("Run a b")):
        monitor.measure(x)


def test_a_recipes_masks(tmp_path):
    """They come and go while it runs."""
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    file = tmp_path / "recipe.yaml"
    file.write_text(
        "modifiers:\n- !GlobalMagnitudePruningModifier {start_epoch: 1.0, end_epoch: 2.0,\n"
        "  update_frequency: 1.0, init_sparsity: 0.5, final_sparsity: 0.8, params: __ALL_PRUNABLE__}\n"
    )
    running = gmp.load_recipe(file).attach(model, optimizer, steps_per_epoch=1)
    monitor = watch(model, running)
    shares = []
    train(model, 3, lambda: (running.step(), shares.append(monitor.densities[:, 0].tolist())), optimizer)
    assert monitor.prunable.all()
    assert shares[-1] == [row[0] for row in traced(model)]
    assert max(shares[-1]) < 1


def test_planning_again_takes_the_densities_of_now():
    model = net()
    pruner = gmp.Pruner(model)
    monitor = watch(model, pruner)
    pruner.prune(0.5)
    monitor.replan()
    assert monitor.plan.planned.tolist() == monitor.densities.tolist()


def test_on_an_accelerator_from_the_model_alone(tmp_path):
    """Shapes, mappings and densities by themselves; the batch counts."""
    from pointnet.original.published_runs import study_mapspace

    hardware = replace(load_accelerator("eyeriss_like_gating"), mapspace=study_mapspace())
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    x = torch.randn(6, 4)
    one, four = (EnergyMonitor(model, hardware, x, batch=batch, folder=tmp_path).update() for batch in (1, 4))
    assert one.energy_pj < four.energy_pj < 4 * one.energy_pj  # weights are fetched for all
    assert one.names == ("0", "2")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_cycles": 0}, "target_cycles 0"),
        ({"target_energy_pj": float("nan")}, "target_energy_pj 0"),
        ({"measure_every": 0}, "measure_every 0"),
        ({"batch": 1.5}, "batch 1.5"),
        ({"target_cycles": "9"}, "target_cycles 9 0"),
        ({"batch": 3}, "layer 0 N 3 1"),
        ({"mesure_every": 2}, "mesure_every"),
    ],
)
def test_refused(options, message):
    with pytest.raises(PruningError) as error:
        watch(net(), **options)
    assert names(error.value, message)


def test_what_does_not_fit_together(tmp_path):
    model = net()
    monitor = watch(model)
    for call in (
        monitor.table,
        lambda: monitor.plot(tmp_path / "x.png"),
        lambda: monitor.to_csv(tmp_path / "x"),
    ):
        with pytest.raises(PruningError, match=r"update\(\)"):
            call()
    other = nn.Sequential(nn.Linear(4, 4))
    with pytest.raises(PruningError, match=naming("plan 0 5 8")):
        EnergyMonitor(model, cost_of(other, torch.ones(2, 4)), X)
    with pytest.raises(PruningError, match=naming("example eyeriss_v2")):
        EnergyMonitor(model, X, "eyeriss_v2")  # type: ignore[arg-type]
    workload = workload_of(
        trace(Run(lambda m, x: m.head(x), head=nn.Linear(4, 4)), [torch.ones(2, 4)]), name="x"
    )
    with pytest.raises(PruningError, match=naming("head")):
        EnergyMonitor(model, LinearCost(workload.layers), workload)
    with pytest.raises(PruningError, match=naming("measure_every")):
        EnergyMonitor(other, "any", workload_of(trace(other, [torch.ones(2, 4)]), name="x"), measure_every=2)
    monitor.update()
    with pytest.raises(PruningError, match=naming("readings.csv readings")):
        monitor.to_csv(tmp_path / "no folder" / "readings.csv")
    with pytest.raises(PruningError, match=naming("plot.svg plot")):
        monitor.plot(tmp_path / "no folder" / "plot.svg")
    with pytest.raises(PruningError, match=naming("plot.abc abc")):
        monitor.plot(tmp_path / "plot.abc")


def test_a_cost_that_cannot_be_is_not_read():
    class Full(LinearCost):
        def _costs(self, densities):
            raise MappingError("layer 0 does not fit")

    model = net()
    monitor = EnergyMonitor(model, Full(cost_of(model).layers), X)
    with pytest.raises(MappingError):
        monitor.update()
    assert monitor.history == []
    assert np.isfinite(monitor.densities).all()
