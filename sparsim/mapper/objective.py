"""What a search minimises: metrics in order, compared exactly, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparsim.errors import SpecError, near
from sparsim.mapper.kernels.candidates import DELAY, EDP, ENERGY
from sparsim.model.arrays import Ints, Reals

METRICS = {"energy": ENERGY, "delay": DELAY, "edp": EDP}
UNITS = {"energy": "pJ", "delay": "cycles", "edp": "pJ x cycles"}

Objective = str | Sequence[str]


def metrics_of(objective: Objective) -> tuple[str, ...]:
    """The names of an objective. Raises SpecError for unknown, repeated or missing ones."""
    names = (objective,) if isinstance(objective, str) else tuple(objective)
    for name in names:
        if name not in METRICS:
            raise SpecError(f"unknown metric '{name}'", path="objective", hint=near(str(name), METRICS))
    if not names or len(set(names)) < len(names):
        raise SpecError(f"{len(names)} metrics, needed are one or more, each once", path="objective")
    return names


def codes(names: Sequence[str]) -> Ints:
    """The metrics' numbers in the kernels."""
    return np.array([METRICS[name] for name in names], np.int64)


def values(names: Sequence[str], energy_pj: Reals, cycles: Reals) -> Reals:
    """(..., metrics) from energies and cycles of one shape."""
    one = {"energy": energy_pj, "delay": cycles, "edp": energy_pj * cycles}
    return np.stack([one[name] for name in names], axis=-1)
