"""Counts of accesses of DRAM and GLB under a row-stationary mapping, in place of the model's.

In a set PEs along a diagonal get the same row of iacts in one transfer. The model sends a row once for each
pair of a filter row and an output row, and pads the last strip. All accesses of PEs are the model's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from msgspec.structs import replace

from sparsim.errors import MappingError
from sparsim.machines.eyeriss.chip import (
    DRAM,
    IACT_GLB,
    IACT_REG,
    LEVELS,
    PSUM_GLB,
    PSUM_SPAD,
    SPREAD_AT,
    WEIGHT_SPAD,
    Chip,
)
from sparsim.machines.eyeriss.conv_dims import IACTS, PSUMS, WEIGHTS, conv_dims
from sparsim.machines.eyeriss.cost_arrays import Ints, Reals
from sparsim.machines.eyeriss.row_stationary_sets import Sets, check_banks, set_nests, strips_of, traffic_of
from sparsim.model.arrays import BLOCK, DATA_ACTIONS, FILL, READ, UPDATE
from sparsim.model.lower import lower_arch
from sparsim.model.result import Access, Evaluation
from sparsim.records import Layer, Mapping

_OUTER = (DRAM, PSUM_GLB, IACT_GLB)
_ROWS = {name: LEVELS[::-1].index(name) for name in _OUTER}

Form = dict[tuple[str, str], int]


def with_sets(chip: Chip, layer: Layer, mapping: Mapping, counts: tuple[Ints, Reals]) -> tuple[Ints, Reals]:
    """Return counts and energies as `costs_of` takes them, with those of the sets of a row-stationary chip;
    counts of other chips as they are.

    Raises MappingError if the mapping of a row-stationary chip is not one of sets, or does not fit its banks.
    """
    if chip.spec.dataflow != "row-stationary":
        return counts
    dims, sets = conv_dims(layer), sets_of(chip, layer, mapping)
    check_banks(chip, layer, sets)
    moved = traffic_of(dims, strips_of(chip, dims, sets.e), sets)
    names = [dataspace.name for dataspace in layer.shape.dataspaces]
    accesses = {
        (DRAM, WEIGHTS, READ): moved.weights, (DRAM, IACTS, READ): moved.fetched,
        (DRAM, PSUMS, UPDATE): moved.outputs, (IACT_GLB, IACTS, FILL): moved.fetched,
        (IACT_GLB, IACTS, READ): moved.iacts, (PSUM_GLB, PSUMS, READ): moved.psums,
        (PSUM_GLB, PSUMS, UPDATE): moved.psums,
    }  # fmt: skip
    actual, level_pj = counts[0].copy(), counts[1].copy()
    price = _word_pj(chip)
    for name, row in _ROWS.items():
        actual[:, row], level_pj[:, row + 1] = 0, 0.0  # the arithmetic comes first
        for (level, tensor, action), words in accesses.items():
            if level == name:
                actual[:, row, names.index(tensor), action] = round(float(words))
                level_pj[:, row + 1] += float(words) * price[name][action]
    return actual, level_pj


def corrected(chip: Chip, found: Evaluation, counts: tuple[Ints, Reals]) -> Evaluation:
    """Return an evaluation with the accesses and energies of DRAM and GLB in `counts`, of one case."""
    if chip.spec.dataflow != "row-stationary":
        return found
    names = [tensor.dataspace for tensor in found.storage[-1].tensors]
    price, storage = _word_pj(chip), []
    for level in found.storage:
        if level.name in _ROWS:
            tensors = []
            for tensor in level.tensors:
                words = counts[0][0, _ROWS[level.name], names.index(tensor.dataspace)].tolist()
                reads, fills, updates = (Access(algorithmic=n, actual=n, gated=0, skipped=0) for n in words)
                pj = math.fsum(n * pj for n, pj in zip(words, price[level.name], strict=True))
                tensors.append(replace(tensor, reads=reads, fills=fills, updates=updates, energy_pj=pj))
            level = replace(
                level, tensors=tuple(tensors), energy_pj=float(counts[1][0, _ROWS[level.name] + 1])
            )
        storage.append(level)
    more = math.fsum(new.energy_pj - old.energy_pj for new, old in zip(storage, found.storage, strict=True))
    return replace(found, storage=tuple(storage), energy_pj=found.energy_pj + more)


def sets_of(chip: Chip, layer: Layer, mapping: Mapping) -> Sets:
    """Return the row-stationary parameters of a mapping. Raises MappingError if it has none."""
    sets, again = _sets_and_mapping(chip, layer, mapping)
    if again is None or _form(again) != _form(mapping):
        raise MappingError(
            f"the mapping of layer {layer.name} must be one of sets of PEs on {chip.name}, whose dataflow is "
            "row-stationary, got other loops"
        )
    return sets


def without_idle_sets(chip: Chip, layer: Layer, mapping: Mapping) -> Mapping:
    """Return a mapping of sets with no more sets than have work, so that `sets_of` finds its parameters.

    A mapping has factors as small as its bounds allow, which can leave fewer sets than it was made for, on
    fewer rows and columns.
    """
    while True:
        _, again = _sets_and_mapping(chip, layer, mapping)
        if again is None or _form(again) == _form(mapping):
            return mapping
        mapping = again


def _sets_and_mapping(chip: Chip, layer: Layer, mapping: Mapping) -> tuple[Sets, Mapping | None]:
    """Return the parameters that the factors of a mapping describe, and the mapping of these parameters."""
    form = _form(mapping)
    bound = conv_dims(layer).bounds
    p, q = (_product(form, dim, (PSUM_SPAD, IACT_REG)) for dim in "MC")
    g, r, t = (form.get(("PEs", dim), 1) for dim in "GCM")
    sets = Sets(
        m=form.get((PSUM_GLB, "M"), 1) * p * t, n=form.get((WEIGHT_SPAD, "N"), 1),
        e=-(-bound.get("P", 1) // form.get((DRAM, "P"), 1)), p=p, q=q, r=r, t=t, g=g,
        f=form.get((WEIGHT_SPAD, "Q"), 1),
    )  # fmt: skip
    nests = set_nests(chip, layer, sets)
    return sets, nests.mapping(0) if nests is not None else None


def _form(mapping: Mapping) -> Form:
    """Return the factors of dims by level; those along the axes of the array together, as those of "PEs"."""
    found: Form = {}
    for level in mapping.levels:
        spatial = level.spatial.factors if level.spatial is not None else {}
        place = "PEs" if level.level in SPREAD_AT else level.level
        for where, factors in ((level.level, level.temporal.factors), (place, spatial)):
            for dim, factor in factors.items():
                if factor > 1:
                    found[where, dim] = found.get((where, dim), 1) * factor
    return found


def _product(form: Form, dim: str, levels: tuple[str, ...]) -> int:
    return math.prod(form.get((level, dim), 1) for level in levels)


def _word_pj(chip: Chip) -> dict[str, Any]:
    """Return the energies of a read, a fill and an update of a word of DRAM and GLB."""
    arch = lower_arch(chip.accelerator)
    return {
        name: np.asarray(arch.energy[row, DATA_ACTIONS : DATA_ACTIONS + 3] / arch.width[row, BLOCK]).tolist()
        for name, row in _ROWS.items()
    }
