"""Compiled kernels for several processes that run tests at the same time."""

from __future__ import annotations

import fcntl

from sparsim import Frozen, evaluate, evaluate_batch, search
from sparsim.records import Mapspace
from support.examples import matmul


def compile_kernels() -> None:
    """Compile the kernels of model and mapper, or load them; where another process does so, wait for it."""
    case = matmul()
    accelerator = case.on(Mapspace())
    with open(__file__) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        evaluate(accelerator, case.layer, case.mapping)
        evaluate_batch(accelerator, case.layer, [case.mapping])
        Frozen(accelerator, [case.layer], [case.mapping])([[0.5, 0.5, 1.0]])
        for method in ("exhaustive", "local"):
            search(accelerator, case.layer, evaluations=10, method=method)
