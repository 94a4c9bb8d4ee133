"""Threads, forked workers and pickled copies get the numbers that a single thread gets."""

from __future__ import annotations

import multiprocessing
import pickle
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import networkx as nx
import numpy as np
import pytest
from msgspec.structs import replace
from support.examples import matmul, uniform
from support.published_nocs import eyeriss_v2_noc

from sparsim import Frozen, evaluate, evaluate_batch, search
from sparsim.errors import MappingError
from sparsim.machines.eyeriss.noc import build_graph
from sparsim.machines.eyeriss.pe.random_columns import explicit_zeros
from sparsim.model import frozen as evaluation
from sparsim.records import Mapspace

THREADS = 4
DENSITIES = (0.2, 0.3, 0.5, 0.9)
CASES = [matmul(A=uniform(d)) for d in DENSITIES]


def network(layers: int = 200) -> Frozen:
    """Large enough that calls of several threads overlap."""
    case = CASES[0]
    return Frozen(case.on(), [case.layer] * layers, [case.mapping] * layers)


NETWORK = network()


def frozen(i: int) -> Any:
    shape = NETWORK._kinds.shape
    values = np.full(shape, DENSITIES[i])
    values[:, 0] = np.linspace(0.1, 1.0, shape[0])
    return [field.tolist() for field in NETWORK(values)]


def one(i: int) -> Any:
    return evaluate(*CASES[i].given)


def batch(i: int) -> Any:
    accelerator, layer, mapping = CASES[i].given
    return [field.tolist() for field in evaluate_batch(accelerator, layer, [mapping] * 200, threads=2)]


def searched(i: int) -> Any:
    found = search(CASES[i].on(Mapspace()), CASES[i].layer, evaluations=10, method="local", seed=i, threads=2)
    return found.best, found.certificate.value, found.certificate.lower_bound


WAYS = {"Frozen": frozen, "evaluate": one, "evaluate_batch": batch, "search": searched}
REPEATS = {"Frozen": 200, "evaluate": 20, "evaluate_batch": 10, "search": 1}


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Python lets another thread run after every few instructions."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.usefixtures("quick_switches")
def test_threads_get_the_numbers_of_one(way: str) -> None:
    ask, repeats = WAYS[way], REPEATS[way]
    alone = [ask(i) for i in range(len(CASES))]
    assert len({repr(answer) for answer in alone}) == len(CASES)

    def wrong(first: int) -> int:
        asked = [(first + k) % len(CASES) for k in range(repeats)]
        return sum(ask(i) != alone[i] for i in asked)

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(wrong, range(THREADS))) == 0


def arrays_of(arguments: Any) -> list[np.ndarray[Any, Any]]:
    if isinstance(arguments, np.ndarray):
        return [arguments]
    return [a for part in arguments for a in arrays_of(part)] if isinstance(arguments, tuple) else []


def test_calls_at_the_same_time_share_nothing_that_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one call's kernel writes to is out of reach of the other call, whenever threads switch."""
    kernel, both_inside, turn = evaluation.run_network, threading.Barrier(2, timeout=60), threading.Lock()
    seen: list[tuple[list[Any], list[Any]]] = []

    def watched(*arguments: Any) -> None:
        both_inside.wait()
        with turn:
            arrays = arrays_of(arguments)
            before = [array.copy() for array in arrays]
            kernel(*arguments)
            changed = [not np.array_equal(*pair, equal_nan=True) for pair in zip(arrays, before, strict=True)]
            seen.append((arrays, [a for a, is_other in zip(arrays, changed, strict=True) if is_other]))
        both_inside.wait()

    shared = network(2)
    shape = shared._kinds.shape
    inputs = [np.full(shape, 0.6), np.full(shape, 0.4)]
    monkeypatch.setattr(evaluation, "run_network", watched)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(shared, inputs))
    (arrays, written), (other_arrays, other_written) = seen
    assert written
    assert other_written
    assert not any(np.shares_memory(a, b) for a in written for b in other_arrays if a.size and b.size)
    assert not any(np.shares_memory(a, b) for a in other_written for b in arrays if a.size and b.size)


@pytest.mark.usefixtures("quick_switches")
def test_each_thread_gets_its_own_error() -> None:
    """The layer and the amounts in a message are those of the call."""
    case = matmul(A=uniform(0.5))
    spad = case.arch.storage[-1]
    arch = replace(case.arch, storage=(*case.arch.storage[:-1], replace(spad, size_words=12)))
    shared = Frozen(case._replace(arch=arch).on(), [case.layer] * 50, [case.mapping] * 50)
    shape = shared._kinds.shape

    def outcome(density: float) -> str:
        try:
            return repr(shared(np.full(shape, density)).energy_pj.tolist())
        except MappingError as error:
            return str(error)

    asked = [0.05, 0.3, 0.8, 1.0]
    alone = [outcome(d) for d in asked]
    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(outcome, asked * 50)) == alone * 50


@pytest.mark.parametrize("way", WAYS)
def test_forked_workers_get_the_numbers_of_their_parent(way: str) -> None:
    """Kernels, caches and workspaces that were used before the fork stay usable after it."""
    alone = [WAYS[way](i) for i in range(len(CASES))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads, from Python 3.12
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map(WAYS[way], range(len(CASES)), chunksize=1) == alone


def test_a_worker_forked_during_calls_of_other_threads_gets_the_same_numbers() -> None:
    alone, stop = frozen(1), threading.Event()

    def keep_calling() -> None:
        while not stop.is_set():
            frozen(0)

    with ThreadPoolExecutor(2) as threads, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for _ in range(2):
            threads.submit(keep_calling)
        try:
            with multiprocessing.get_context("fork").Pool(2) as pool:
                assert pool.map(frozen, [1] * 8, chunksize=1) == [alone] * 8
        finally:
            stop.set()


def test_a_pickled_copy_gives_the_same_numbers() -> None:
    values = np.full(NETWORK._kinds.shape, 0.3)
    copy = pickle.loads(pickle.dumps(NETWORK))
    assert copy(values).energy_pj.tolist() == NETWORK(values).energy_pj.tolist()


NOC = eyeriss_v2_noc()
CHANGES: dict[str, Callable[[], object]] = {
    "array": lambda: explicit_zeros(4, 2).fill(0.0),
    "graph": lambda: build_graph(NOC, NOC.networks[0]).clear(),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_a_cache_hands_out_cannot_be_changed(what: str) -> None:
    with pytest.raises((ValueError, nx.NetworkXError)):
        CHANGES[what]()
