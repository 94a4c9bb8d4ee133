"""The best row-stationary parameters of a layer: all of them in closed form, as arrays."""

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsim.errors import MappingError
from sparsim.machines.eyeriss.chip import Chip
from sparsim.machines.eyeriss.conv_dims import ConvDims, conv_dims
from sparsim.machines.eyeriss.row_stationary_counts import without_idle_sets
from sparsim.machines.eyeriss.row_stationary_sets import (
    SetCosts,
    Sets,
    banks_of,
    set_costs,
    set_nests,
    strips_of,
)
from sparsim.records import Layer, Mapping
from sparsim.records.objective import ObjectiveName, objective_value

USED = 2.0  # sets that use fewer places than the best by this factor are dropped
MOST_IMAGES = 6  # numbers of images of a pass that are tried

Ints = NDArray[np.int64]


def best_sets(chip: Chip, layer: Layer, objective: ObjectiveName) -> Sets:
    """Return the best parameters of a layer by the closed form. Raises MappingError if none fit.

    All output columns are in a pass if that fits, else as few parts as fit, a power of two.
    """
    dims = conv_dims(layer)
    columns = dims.bounds.get("Q", 1)
    for halvings in range(columns.bit_length() + 1):
        found = [_best_of_rows(chip, layer, dims, e, -(-columns // 2**halvings), objective)
                 for e in _output_rows(chip, dims)]  # fmt: skip
        best = min((each for each in found if each is not None), key=lambda each: each[0], default=None)
        if best is not None:
            return best[1]
    raise MappingError(
        f"layer {layer.name} does not fit chip {chip.name}: no mapping that was tried fits its memories"
    )


def planned_mapping(chip: Chip, layer: Layer, objective: ObjectiveName) -> Mapping:
    """Return the mapping of `best_sets`."""
    nests = set_nests(chip, layer, best_sets(chip, layer, objective))
    assert nests is not None  # only sets that have a place are tried
    return without_idle_sets(chip, layer, nests.mapping(0))


def _best_of_rows(
    chip: Chip, layer: Layer, dims: ConvDims, e: int, f: int, objective: ObjectiveName
) -> tuple[tuple[float, float], Sets] | None:
    """Return the best value and parameters of sets with `e` output rows and `f` columns; None if none fit."""
    sets = _candidates(chip, dims, e, f)
    costs: SetCosts = set_costs(chip, layer, sets)
    value = np.where(costs.fits, objective_value(objective, costs.energy, costs.cycles), np.inf)
    tie = np.broadcast_to(costs.cycles if objective == "energy" else costs.energy, value.shape)
    least = value.min(initial=np.inf)
    if not np.isfinite(least):
        return None
    equal = np.argwhere(value == least)
    at = tuple(min(equal.tolist(), key=lambda i: tie[tuple(i)]))
    chosen = (int(np.broadcast_to(number, value.shape)[at]) for number in sets)
    return (float(least), float(tie[at])), Sets(*chosen)


def _output_rows(chip: Chip, dims: ConvDims) -> list[int]:
    """Return all numbers of output rows of a set that divide them into other numbers of strips and fit the
    array. Its pieces are of equal size; a strip must not become so large by this that fewer are needed.
    """
    rows = dims.bounds.get("P", 1)
    parts = np.arange(1, rows + 1)
    tried = np.unique(-(-rows // parts))
    cut = strips_of(chip, dims, tried)
    on_array = cut.filter_rows * cut.pieces <= chip.spec.noc.axes["pe_rows"]
    as_many = -(-rows // (cut.pieces * cut.columns)) == -(-rows // tried)
    fit: list[int] = tried[on_array & as_many].tolist()
    return fit


def _candidates(chip: Chip, dims: ConvDims, e: int, f: int) -> Sets:
    """Return arrays of parameters along three axes: r, t and g; p and q; n. As many filters as the GLB holds
    with these have their psums there.
    """
    bound, pe, axes = dims.bounds, chip.spec.pe, chip.spec.noc.axes
    G, N, M, C, S, U = (*(bound.get(dim, 1) for dim in "GNMCS"), dims.stride)
    cut = strips_of(chip, dims, e)
    below = axes["pe_rows"] // (cut.filter_rows * cut.pieces)
    beside = axes["pe_columns"] // cut.columns if cut.pieces == 1 else 1
    g, r, t = (column[:, None, None] for column in _spread_sets(below, beside, G, C, M).T)
    p, q = np.meshgrid(
        np.arange(1, min(pe.psum.words, M) + 1), np.arange(1, min(pe.iact_data.words // S, C) + 1)
    )
    hold = p * q * S <= pe.weight_data.words * pe.simd_width
    p, q = p[hold][None, :, None], q[hold][None, :, None]
    n = np.unique([-(-N // 2**k) for k in range(MOST_IMAGES)])[None, None, :]
    at_once = p * t
    tile = n * g * q * r * ((e - 1) * U + cut.filter_rows) * ((f - 1) * U + S)
    room = _psum_words(chip, tile) // (n * g * e * f)
    passes = -(-M // at_once)
    blocks = -(-passes // np.clip(room // at_once, 1, passes))
    return Sets(-(-passes // blocks) * at_once, n, e, p, q, r, t, g, f)


def _psum_words(chip: Chip, iact_words: Any) -> Any:
    """Return the psums that fit beside words of iacts."""
    psum = next(level for level in chip.architecture.storage if level.name == "psum_glb")
    size = 2**62 if psum.size_words is None else psum.size_words
    if chip.spec.glb_banks is None:
        return size
    left = np.maximum(chip.spec.glb_banks.number - banks_of(chip, iact_words, 0), 0)
    return np.minimum(left * chip.spec.glb_banks.bank_bytes * 8 // psum.word_bits, size)


@functools.lru_cache(maxsize=64)
def _spread_sets(below: int, beside: int, groups: int, channels: int, filters: int) -> Ints:
    """Return (ways, 3): g, r and t of sets on `below` x `beside` places that use many of them. Sets for other
    channels are below each other, since psums move along columns.
    """
    most = (groups, channels, filters)
    ways = [np.array(_products(*pair)) for pair in ((below, most), (beside, (groups, 1, filters)))]
    spread = np.unique((ways[0][:, None] * ways[1][None]).reshape(-1, 3), axis=0)
    spread = spread[(spread <= most).all(axis=1)]
    used = spread.prod(axis=1)
    return np.ascontiguousarray(spread[used * USED >= used.max()])


def _products(places: int, most: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Return all g, r and t whose product is at most a number of places."""
    groups, channels, filters = most
    return [
        (g, r, t)
        for g in range(1, min(places, groups) + 1)
        for r in range(1, min(places // g, channels) + 1)
        for t in range(1, min(places // (g * r), filters) + 1)
    ]
