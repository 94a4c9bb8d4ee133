"""The best row-stationary mapping of a layer on a chip.

Spread and tile decide how long PEs and network take: all of them are estimated at once, the best looked at
closely. Then the order of the passes, which decides what moves between GLB and DRAM.
"""

from __future__ import annotations

import bisect
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsim.errors import MappingError
from sparsim.machines.eyeriss.chip import IACT_GLB, PSUM_GLB, Chip
from sparsim.machines.eyeriss.compression import ROLES, is_compressed, stored_ways
from sparsim.machines.eyeriss.conv_dims import ConvDims, as_conv, conv_dims
from sparsim.machines.eyeriss.layer_cost import (
    ChipEvaluation,
    Metric,
    best_stored,
    evaluate_stored,
    even_cycles,
    handing_over,
    pe_estimate,
    relevant_dims,
    worked_share,
)
from sparsim.machines.eyeriss.row_stationary_nest import ORDERS, Order, Tile, make_mapping
from sparsim.machines.eyeriss.row_stationary_spreads import Spreads, spreads
from sparsim.records import Layer
from sparsim.records.layer_counts import words

KEEP = 12  # candidates whose orders of passes are evaluated in any case
MOST_KEPT = 96  # and as many as might be faster than the best
ESTIMATED = 400  # candidates whose PEs are estimated
MOST_FILTERS = 8  # numbers of filters per PE that are tried
OVERFLOW = 0.01  # chance of too many nonzero weights for the spad that a tile may have
MOST_TILES = 2**20  # parts in which the outputs may be done

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]


class _Candidates(NamedTuple):
    spread: Spreads
    row: Ints  # (n,) of the spreads
    tiles: Ints  # (n, 2) filters, channels
    cycles: Reals


def plan_layer(chip: Chip, layer: Layer, metric: Metric = "delay") -> ChipEvaluation:
    """The best mapping and storage found, by `metric`: cycles, energy with DRAM, or their product.

    Raises SpecError for a layer that is no convolution, MappingError if nothing fits the chip.
    """
    layer = as_conv(layer)
    found = [_best_mapping(chip, stored, metric) for stored in stored_ways(chip, layer)]
    fitting = [each for each in found if each is not None]
    if not fitting:
        raise MappingError(f"layer {layer.name} fits chip {chip.name} in no way that was tried")
    return best_stored(fitting, metric)._replace(layer=layer)


def _best_mapping(chip: Chip, layer: Layer, metric: Metric) -> ChipEvaluation | None:
    """Of a layer that is stored as it says; None if nothing fits."""
    dims = conv_dims(layer)
    candidates = _candidates(chip, layer, dims)
    best: ChipEvaluation | None = None
    for n, i in enumerate(np.argsort(candidates.cycles, kind="stable")[:MOST_KEPT]):
        if n >= KEEP and best is not None and candidates.cycles[i] >= best.cycles:
            break
        found = _best_order(chip, layer, dims, candidates, int(i), metric)
        if found is not None and (best is None or found.value(metric) < best.value(metric)):
            best = found
    return best


def _candidates(chip: Chip, layer: Layer, dims: ConvDims) -> _Candidates:
    """Spreads with tiles that fit a PE, and about how long they take; those with the least work only."""
    found = spreads(dims, chip.spec.noc.axes, chip.spec.spread)
    rows, tiles = _tiles(chip, layer, dims, found)
    if not len(rows):
        return _Candidates(found, rows, tiles, np.zeros(0))
    total = dict(zip(found.dims, found.total()[rows].T, strict=True))
    ports = _port_cycles(chip, layer, dims, found, rows, tiles)
    work = even_cycles(chip, layer, total, (tiles[:, 0], tiles[:, 1]))
    order = np.argsort(_together(work, ports), kind="stable")[:ESTIMATED]
    rows, tiles = rows[order], tiles[order]
    total, ports = ({k: v[order] for k, v in x.items()} for x in (total, ports))
    pe = pe_estimate(chip, layer, total, (tiles[:, 0], tiles[:, 1]))
    good = pe.fits & (pe.weight_overflow <= OVERFLOW)
    times = _times(dims, total, tiles)  # all outputs in one part
    alone = pe.cycles + handing_over(chip, pe, (tiles[:, 0], tiles[:, 1]))
    cycles = _together(alone + chip.spec.pe.fill_cycles * math.prod(times.values()), ports)
    return _Candidates(found, rows[good], tiles[good], cycles[good])


def _together(pe: Reals, ports: dict[str, Reals]) -> Reals:
    return np.maximum(pe + ports["weight"], np.maximum(ports["iact"], ports["psum"]))


def _times(dims: ConvDims, total: dict[str, Ints], tiles: Ints) -> dict[str, Any]:
    """How often a PE gets another part of a dim, where its passes differ in the dim."""
    own = {"M": tiles[:, 0], "C": tiles[:, 1]}
    return {d: -(-dims.bounds.get(d, 1) // (total.get(d, 1) * own.get(d, 1))) for d in ("G", "M", "C", "R")}


def _tiles(chip: Chip, layer: Layer, dims: ConvDims, found: Spreads) -> tuple[Ints, Ints]:
    """Every spread with every number of filters that uses passes well, and as many channels as then fit."""
    total = dict(zip(found.dims, found.total().T, strict=True))
    one = np.ones(len(found.factor), np.int64)
    left = {d: -(-dims.bounds.get(d, 1) // total.get(d, one)) for d in ("M", "C")}
    pe, columns = chip.spec.pe, dims.bounds.get("S", 1)
    density = worked_share(chip, layer, "weight")
    rows, tiles = [], []
    for m in np.unique(left["M"]).tolist():
        mine = np.flatnonzero(left["M"] == m)
        most = min(m, pe.psum.words)
        for filters in _shares(m, most, MOST_FILTERS):
            room = _most_columns(chip, filters, density) // columns
            if room < 1:
                continue
            passes = -(-left["C"][mine] // room)
            rows.append(mine)
            tiles.append(np.stack([np.full_like(mine, filters), -(-left["C"][mine] // passes)], axis=1))
    if not rows:
        return one[:0], np.ones((0, 2), np.int64)
    return np.concatenate(rows), np.concatenate(tiles)


def _shares(number: int, most: int, count: int) -> list[int]:
    """The largest `count` sizes up to `most` of equal parts that `number` is divided into, ascending."""
    found: list[int] = []
    size = min(number, most)
    while size > 0 and len(found) < count:
        size = -(-number // -(-number // size))  # as many parts, no larger than needed
        found.append(size)
        size -= 1
    return found[::-1]


def _most_columns(chip: Chip, filters: int, density: float) -> int:
    """Columns of `filters` weights that fit a PE with high probability (two and a third deviations)."""
    pe = chip.spec.pe
    most = pe.iact_data.words
    if pe.skips_zero_weights:
        most = min(most, pe.weight_address.words)
    lanes = pe.simd_width

    def need(n: int) -> float:
        mean = n * (filters * density + (lanes - 1) / 2 * (density < 1.0)) / lanes
        return mean + 2.33 * math.sqrt(n * filters * density * (1.0 - density)) / lanes

    return bisect.bisect_left(range(1, most + 1), True, key=lambda n: need(n) > pe.weight_data.words)


def _port_cycles(
    chip: Chip, layer: Layer, dims: ConvDims, found: Spreads, rows: Ints, tiles: Ints
) -> dict[str, Reals]:
    """Cycles that the busiest port into (psum: out of) PEs needs. What PEs of a router share passes once."""
    total = dict(zip(found.dims, found.total()[rows].T, strict=True))
    times = _times(dims, total, tiles)
    again = {"weight": 1, "iact": times["M"], "psum": times["C"] * times["R"]}
    cycles = {}
    for role, dataspace in ROLES.items():
        network = chip.spec.noc.network(role)
        beyond = {"row": (3,), "column": (2,), "all": (2, 3)}[network.pe_side]
        own = [axis for axis in range(4) if axis not in beyond]
        relevant = [d for d in found.dims if d in relevant_dims(layer, dataspace)]
        columns = [found.dims.index(d) for d in relevant]
        apart = found.factor[rows][:, own][:, :, columns].prod(axis=(1, 2))
        compressed = is_compressed(chip, layer, role)
        density = layer.density(dataspace).density if compressed else 1.0
        ports = network.routers_per_cluster if network.pe_side == "all" else 1
        rate = ports * network.words_per_port(compressed)
        cycles[role] = words(layer, dataspace) * density * again[role] / (apart * rate)
    return cycles


def _best_order(
    chip: Chip, layer: Layer, dims: ConvDims, candidates: _Candidates, i: int, metric: Metric
) -> ChipEvaluation | None:
    """The best order of passes for one candidate; None where none fits the GLB."""
    loops = candidates.spread.loops(int(candidates.row[i]))
    tile = Tile(*candidates.tiles[i].tolist())
    best: ChipEvaluation | None = None
    tiles, too_small = 1, True
    while best is None and too_small and tiles <= MOST_TILES:
        too_small = False
        for filters_at, channels_at in ORDERS:
            order = Order(filters_at, channels_at, tiles)
            mapping = make_mapping(dims, loops, tile, chip.spec.pe.simd_width, order)
            try:
                found = evaluate_stored(chip, layer, mapping)
            except MappingError as error:
                too_small = too_small or error.level in (PSUM_GLB, IACT_GLB)  # fewer outputs may fit
                continue
            if best is None or found.value(metric) < best.value(metric):
                best = found
        tiles *= 2
    return best
