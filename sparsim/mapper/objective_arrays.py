"""Objectives as the kernels of the mapper know them."""

from collections.abc import Sequence

import numpy as np

from sparsim.mapper.kernels.lower_bounds import DELAY, EDP, ENERGY
from sparsim.model.arrays import Ints, Reals
from sparsim.records.objective import objective_value

_CODES = {"energy": ENERGY, "delay": DELAY, "edp": EDP}


def codes(names: Sequence[str]) -> Ints:
    """The numbers of objectives in the kernels."""
    return np.array([_CODES[name] for name in names], np.int64)


def values(names: Sequence[str], energy_pj: Reals, cycles: Reals) -> Reals:
    """(..., objectives) from energies and cycles of one shape."""
    return np.stack([objective_value(name, energy_pj, cycles) for name in names], axis=-1)
