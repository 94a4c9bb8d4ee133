"""Threads and data loader workers that share a cost or a monitor get the numbers of a single thread."""

from __future__ import annotations

import copy
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from support.monitored import X, net, traced, watch
from support.traced import Run
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

import gmp
from gmp.tracing.trace import trace
from pointnet.original.published_runs import runs
from sparsim.files.sparsim_yaml import load_accelerator
from sparsim.hardware import AcceleratorPlan, MappedAccelerator

THREADS = 4
DENSITIES = (0.25, 0.3, 0.35, 0.4)
STUDY = [run for run in runs() if (run.design, run.variant) == ("onchip", "sparse")]


@pytest.fixture(scope="module")
def cost() -> AcceleratorPlan:
    many = [run for run in STUDY for _ in range(5)]  # so that calls of several threads overlap
    return AcceleratorPlan(
        MappedAccelerator(load_accelerator("eyeriss_like_onchip")),
        [run.layer for run in many],
        [run.mapping for run in many],
    )


@pytest.fixture(autouse=True)
def busy():
    """One thread of torch in each of ours, which let others run after every few instructions."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Costs(Dataset[Tensor]):
    """What a network costs with one density in all places: its item number i is DENSITIES[i]."""

    def __init__(self, cost: AcceleratorPlan) -> None:
        self.cost = cost

    def __len__(self) -> int:
        return len(DENSITIES)

    def __getitem__(self, i: int) -> Tensor:
        values = np.full((len(self.cost.layers), 3), DENSITIES[i])
        found = [*self.cost(values), *self.cost.slopes(values)]
        return torch.from_numpy(np.concatenate([part.ravel() for part in found]))


def test_a_cost_that_threads_share(cost):
    costs = Costs(cost)
    alone = [costs[i] for i in range(len(costs))]

    def wrong(first: int) -> int:
        asked = [(first + k) % len(costs) for k in range(40)]
        return sum(not torch.equal(costs[i], alone[i]) for i in asked)

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(wrong, range(THREADS))) == 0


@pytest.mark.parametrize("workers", [0, 2])
def test_a_cost_in_the_workers_of_a_data_loader(cost, workers):
    alone = torch.stack([Costs(cost)[i] for i in range(len(DENSITIES))])
    context = "fork" if workers else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads, from Python 3.12
        loader = DataLoader(Costs(cost), batch_size=1, num_workers=workers, multiprocessing_context=context)
        assert torch.equal(torch.cat(list(loader)), alone)


@pytest.mark.parametrize("measure_every", [None, 1])
def test_threads_that_update_one_monitor(measure_every):
    """Every reading has a step of its own and the same numbers, and the model is left as it was."""
    model = net().train()
    pruner = gmp.Pruner(model)
    monitor = watch(model, pruner, measure_every=measure_every)
    pruner.prune(0.5)
    monitor.measure()
    expected = copy.deepcopy(monitor).update()
    random = torch.get_rng_state()

    def update(_: int) -> None:
        for _ in range(5 if measure_every else 50):
            found = monitor.update()
            assert found.densities.tolist() == expected.densities.tolist()
            assert (found.energy_pj, found.cycles) == (expected.energy_pj, expected.cycles)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(update, range(THREADS)))
    assert [reading.step for reading in monitor.history] == list(range(len(monitor.history)))
    assert all(module.training for module in model.modules())
    assert torch.equal(torch.get_rng_state(), random)


def test_densities_of_activations_change_all_at_once():
    """A thread sees those of the one measurement or of the other."""
    model = net()
    monitor = watch(model)
    batches = [X, (X - X.mean()).relu()]
    allowed = []
    for batch in batches:
        monitor.measure([batch])
        allowed.append(monitor.densities.tolist())
    assert allowed[0] != allowed[1]
    stop = threading.Event()

    def measure() -> None:
        try:
            for k in range(10):
                monitor.measure([batches[k % 2]])
        finally:
            stop.set()

    with ThreadPoolExecutor(2) as pool:
        measuring = pool.submit(measure)
        while not stop.is_set():
            assert monitor.densities.tolist() in allowed
        measuring.result()


class Slow(nn.Linear):
    """Waits inside of its forward pass, where it runs in a thread of its own."""

    def __init__(self, *sizes: int) -> None:
        super().__init__(*sizes)
        self.entered, self.leave = threading.Event(), threading.Event()

    def forward(self, x: Tensor) -> Tensor:
        if threading.current_thread() is not threading.main_thread():
            self.entered.set()
            self.leave.wait(60)
        return super().forward(x)


def beside_another_thread(m: Run, x: Tensor) -> Tensor:
    """The product of `a` is computed while another thread is within `b`."""
    m.b.entered.clear()
    m.b.leave.clear()
    other = threading.Thread(target=m.b, args=(torch.zeros(2, 5),))
    other.start()
    assert m.b.entered.wait(60)
    y = F.linear(x, m.a.weight)
    m.b.leave.set()
    other.join()
    return m.b(y)


def test_a_trace_takes_no_notice_of_what_other_threads_compute():
    torch.manual_seed(0)
    model, x = Run(beside_another_thread, a=nn.Linear(6, 5), b=Slow(5, 4)), torch.randn(3, 6).relu()
    alone = Run(lambda m, x: m.b(F.linear(x, m.a.weight)), a=model.a, b=model.b)
    assert trace(model, [x]) == trace(alone, [x])


def test_traces_of_one_model_by_several_threads():
    model = net().train()
    alone = traced(model)
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(lambda _: traced(model), range(8)))
    assert found == [alone] * 8
    assert all(module.training for module in model.modules())
