"""Objectives in the form that the kernels of the mapper use."""

from collections.abc import Mapping, Sequence

import numpy as np

from sparsim.mapper.kernels.lower_bounds import ACCESSES, DELAY, EDP, ENERGY
from sparsim.model.arrays import Ints, Reals
from sparsim.records import Architecture, objective
from sparsim.records.objective import objective_value

_CODES = {"energy": ENERGY, "delay": DELAY, "edp": EDP}


def access_names(arch: Architecture) -> tuple[str, ...]:
    """Return the objectives that are accesses of a storage level, innermost first."""
    return tuple(objective.ACCESSES + level.name for level in arch.storage[::-1])


def codes(names: Sequence[str], arch: Architecture) -> Ints:
    """Return the numbers of objectives in the kernels."""
    accesses = access_names(arch)
    return np.array(
        [_CODES[name] if name in _CODES else ACCESSES + accesses.index(name) for name in names], np.int64
    )


def values(
    names: Sequence[str], energy_pj: Reals, cycles: Reals, accesses: Mapping[str, Reals] | None = None
) -> Reals:
    """Return (..., objectives) from energies, cycles and accesses of one shape."""
    return np.stack([objective_value(name, energy_pj, cycles, accesses=accesses) for name in names], axis=-1)


def accesses_by_name(arch: Architecture, accesses: Reals) -> dict[str, Reals]:
    """Return accesses (..., levels) by the names of the objectives."""
    return {name: accesses[..., s] for s, name in enumerate(access_names(arch))}
