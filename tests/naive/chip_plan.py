"""Planning and tabulating on a chip as one would write it down: a whole evaluation for every candidate."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from msgspec.structs import replace

from sparsim.errors import MappingError
from sparsim.machines.eyeriss import Chip, ChipEvaluation
from sparsim.machines.eyeriss.chip import DRAM, IACT_GLB, PSUM_GLB
from sparsim.machines.eyeriss.compression import plainly, stored_ways
from sparsim.machines.eyeriss.conv_dims import conv_dims
from sparsim.machines.eyeriss.layer_cost import best_stored, evaluate_stored, tile_of
from sparsim.machines.eyeriss.pe.conv_tiling import Tiling
from sparsim.machines.eyeriss.pe.pe_estimate import estimate
from sparsim.machines.eyeriss.plan_layer import KEEP, MOST_KEPT, _candidates
from sparsim.machines.eyeriss.row_stationary_nest import Order, make_nests
from sparsim.machines.eyeriss.row_stationary_spreads import spreads
from sparsim.records import Density, Layer, Mapping


def plan(chip: Chip, layer: Layer, objective: str) -> ChipEvaluation:
    """Every order of passes of every candidate, one after the other."""
    found = [_best_mapping(chip, stored, objective) for stored in stored_ways(chip, layer)]
    return best_stored([each for each in found if each is not None], objective)._replace(layer=layer)


def _best_mapping(chip: Chip, layer: Layer, objective: str) -> ChipEvaluation | None:
    possible = spreads(conv_dims(layer), chip.spec.noc.axes, chip.spec.spread)
    candidates = _candidates(chip, layer, possible)
    best = None
    for n, i in enumerate(np.argsort(candidates.cycles, kind="stable")[:MOST_KEPT]):
        if n >= KEEP and best is not None and candidates.cycles[i] >= best.cycles:
            break
        for found in _all_orders(chip, layer, possible.factor[candidates.row[i]], candidates.tiles[i]):
            if best is None or found.value(objective) < best.value(objective):
                best = found
    return best


def _all_orders(chip: Chip, layer: Layer, spread: np.ndarray, tile: np.ndarray) -> list[ChipEvaluation]:
    """In as few parts as fit, a power of two."""
    for parts in (2**n for n in range(21)):
        found, too_small = [], False
        for places in itertools.product((DRAM, PSUM_GLB), (IACT_GLB, PSUM_GLB)):
            mapping = make_nests(
                conv_dims(layer), spread[None], tile[None], chip.spec.pe.simd_width, [Order(*places, parts)]
            ).mapping(0)
            try:
                found.append(evaluate_stored(chip, layer, mapping))
            except MappingError as error:
                too_small = too_small or error.level in (PSUM_GLB, IACT_GLB)
        if found or not too_small:
            return found
    return []


def costs(
    chip: Chip,
    layer: Layer,
    mapping: Mapping,
    plain: Sequence[str],
    compressible: Sequence[str],
    weights: float,
    inputs: float,
) -> tuple[float, float] | None:
    """Energy with DRAM and cycles at densities of weights and inputs; None where the mapping does not fit."""
    most = {n: 0.9999 if n in compressible and n not in plain else 1.0 for n in ("Weights", "Inputs")}
    least = 0.001 if "Weights" in compressible else 0.0
    for shift in (1.0, 0.99, 0.98):
        densities = {
            "Weights": Density(density=min(max(weights, least), most["Weights"])),
            "Inputs": Density(density=min(inputs * shift, most["Inputs"])),
        }
        if (
            "Weights" in compressible
            and "Weights" not in plain
            and _overflows(chip, layer, mapping, densities)
        ):
            continue
        try:
            found = evaluate_stored(chip, plainly(replace(layer, densities=densities), tuple(plain)), mapping)
        except MappingError:
            continue
        return found.chip_pj + found.dram_pj, float(found.cycles)
    return None


def _overflows(chip: Chip, layer: Layer, mapping: Mapping, densities: dict[str, Density]) -> bool:
    """Whether a tile has more words of weights than its spad in more than 2.9 of ten million cases."""
    (filters, channels), density = tile_of(mapping), densities["Weights"].density
    conv, tiling = conv_dims(layer).conv(), Tiling(M0=filters, C0=channels)
    return float(estimate(chip.spec.pe, conv, tiling, 1.0, density).weight_overflow) > 2.9e-7


def limit(fits: Callable[[float], bool]) -> float:
    """The highest density that fits, by halving twelve times."""
    if fits(1.0):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
