"""The best row-stationary mapping of a layer on a chip.

Spread and tile determine the time of PEs and network: all of them are estimated at once, and the best ones
are evaluated in full. The order of the passes, which determines the traffic between GLB and DRAM, is chosen
next.
"""

import bisect
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsim.errors import MappingError
from sparsim.machines.eyeriss.chip import Chip
from sparsim.machines.eyeriss.compression import OPERANDS, ROLES, is_compressed, stored_ways
from sparsim.machines.eyeriss.conv_dims import ConvDims, conv_dims
from sparsim.machines.eyeriss.cost_arrays import Costs, handing_over
from sparsim.machines.eyeriss.csc_words import words_per_nonzero
from sparsim.machines.eyeriss.given_parameters import row_stationary_mapping
from sparsim.machines.eyeriss.layer_cost import (
    ChipEvaluation,
    best_stored,
    check_spads,
    evaluate_stored,
    even_cycles,
    pe_estimate,
    relevant_dims,
    spads_fit,
    worked_share,
)
from sparsim.machines.eyeriss.layer_lowering import lowered, widest_window
from sparsim.machines.eyeriss.order_search import FittingOrders, fitting_orders
from sparsim.machines.eyeriss.pe.spad_capacity import SIGMAS
from sparsim.machines.eyeriss.row_stationary_search import planned_mapping
from sparsim.machines.eyeriss.row_stationary_spreads import Spreads, first_least, spreads
from sparsim.machines.eyeriss.weight_masks import tiles_of
from sparsim.records import Layer, Mapping
from sparsim.records.layer_counts import words
from sparsim.records.objective import OBJECTIVES, ObjectiveName
from sparsim.records.row_stationary import RowStationary

KEEP = 12  # candidates whose orders of passes are always evaluated
MOST_KEPT = 96  # most candidates that are evaluated because they might be faster than the best
ESTIMATED = 400  # candidates whose PEs are estimated
MOST_FILTERS = 8  # numbers of filters per PE that are tried

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]


class _Candidates(NamedTuple):
    row: Ints  # (n,) of the spreads
    tiles: Ints  # (n, 2) filters, channels
    cycles: Reals


def plan_layer(
    chip: Chip, layer: Layer, objective: ObjectiveName | None = None, parameters: RowStationary | None = None
) -> ChipEvaluation:
    """Find the best mapping and storage of a layer.

    A layer that the chip cannot run is planned as the one that it is lowered to.

    Parameters
    ----------
    chip : Chip
        The chip.
    layer : Layer
        A convolution.
    objective : str, optional
        What the plan minimises: cycles ("delay"), "energy" with DRAM, or their product ("edp"); by default
        the objective of the chip, which is "delay" unless its dataflow is "row-stationary".
    parameters : RowStationary, optional
        Parameters of the mapping, such as published ones, in place of the best ones.

    Returns
    -------
    ChipEvaluation

    Raises
    ------
    SpecError
        If the tensors are none of a convolution's.
    MappingError
        If nothing fits the chip, or if given parameters do not.
    """
    layer = lowered(chip, layer)
    if parameters is not None:
        stored, mapping = layer, row_stationary_mapping(chip, layer, parameters)
    else:
        stored, mapping = best_mapping(chip, layer, objective or chip.spec.objective)
    found = evaluate_stored(chip, stored, mapping)
    check_spads(chip, found)
    return found._replace(layer=layer)


def best_mapping(chip: Chip, layer: Layer, objective: ObjectiveName) -> tuple[Layer, Mapping]:
    """Return the layer as it is stored and its best mapping, without an evaluation."""
    if chip.spec.dataflow == "row-stationary":
        return layer, _best_of_sets(chip, layer, objective)
    possible = spreads(conv_dims(layer), chip.spec.noc.axes, chip.spec.spread)
    ways = stored_ways(chip, layer)
    found = [(stored, _best_mapping(chip, stored, possible, objective)) for stored in ways]
    fitting = [best._replace(stored=stored) for stored, best in found if best is not None]
    if not fitting:
        raise MappingError(
            f"layer {layer.name} does not fit chip {chip.name}: no mapping that was tried fits its memories"
        )
    best = best_stored(fitting, objective)
    return best.stored, best.mapping


def _best_of_sets(chip: Chip, layer: Layer, objective: ObjectiveName) -> Mapping:
    """Return the best mapping by the closed form; for the least energy, which there lacks the clock, the one
    of all objectives with the least by the model.
    """
    if objective != "energy":
        return planned_mapping(chip, layer, objective)
    found = dict.fromkeys(planned_mapping(chip, layer, each) for each in OBJECTIVES)
    return min(found, key=lambda mapping: evaluate_stored(chip, layer, mapping).value(objective))


class _Best(NamedTuple):
    stored: Layer
    mapping: Mapping
    costs: Costs  # the costs of one case

    @property
    def cycles(self) -> float:
        return float(self.costs.cycles[0])

    def value(self, objective: ObjectiveName) -> tuple[float, float]:
        return self.costs.values(objective)[0]


def _best_mapping(chip: Chip, layer: Layer, possible: Spreads, objective: ObjectiveName) -> _Best | None:
    """Return the best mapping of a layer that is stored as its densities say; None if no mapping fits.

    The first candidates are always evaluated, the others one by one while they might be faster than the best.
    """
    candidates = _candidates(chip, layer, possible)
    promising = first_least(candidates.cycles, MOST_KEPT)
    cycles = candidates.cycles[promising]
    best: _Best | None = None
    start, end = 0, min(KEEP, len(cycles))
    while start < end:
        some = promising[start:end]
        orders = fitting_orders(chip, layer, possible.factor[candidates.row[some]], candidates.tiles[some])
        least = [] if orders is None else orders.least.values(objective)
        if orders is not None and start == 0:
            best = _best_of(orders, least, range(len(least)), objective, best)
        elif orders is not None:
            for n in range(len(some)):
                if best is not None and cycles[start + n] >= best.cycles:
                    return best
                best = _best_of(
                    orders, least, np.flatnonzero(orders.candidate == n).tolist(), objective, best
                )
        start = end
        end = min(end + KEEP, len(cycles)) if best is None else int(np.searchsorted(cycles, best.cycles))
    return best


def _best_of(
    orders: FittingOrders,
    least: list[tuple[float, float]],
    rows: Iterable[int],
    objective: ObjectiveName,
    best: _Best | None,
) -> _Best | None:
    """The first of the best of `best` and `rows`, with the exact costs of those that may be it only; `least`:
    what each row's are at least.
    """
    found = -1
    most = best.value(objective) if best is not None else (math.inf, math.inf)
    for row in sorted(rows, key=lambda row: least[row]):
        if least[row] > most:
            break
        costs = orders.cost(row)
        value = costs.values(objective)[0]
        if value < most or (value == most and row < found):
            found, most = row, value
            best = _Best(orders.layer, orders.nests.mapping(row), costs)
    return best


def _candidates(chip: Chip, layer: Layer, possible: Spreads) -> _Candidates:
    """Return spreads with tiles that fit a PE, and their approximate times; only those with the least
    work.
    """
    dims, totals = conv_dims(layer), possible.total()
    rows, tiles = _tiles(chip, layer, dims, dict(zip(possible.dims, totals.T, strict=True)))
    if not len(rows):
        return _Candidates(rows, tiles, np.zeros(0))
    total = dict(zip(possible.dims, totals[rows].T, strict=True))
    ports = _port_cycles(chip, layer, possible, rows, _times(dims, total, tiles))
    work = even_cycles(chip, layer, total, (tiles[:, 0], tiles[:, 1]))
    order = first_least(_together(work, ports), ESTIMATED)
    rows, tiles = rows[order], tiles[order]
    total, ports = ({k: v[order] for k, v in x.items()} for x in (total, ports))
    pe = pe_estimate(chip, layer, total, (tiles[:, 0], tiles[:, 1]))
    good = spads_fit(pe)
    times = _times(dims, total, tiles)  # all outputs in one part
    alone = pe.cycles + handing_over(chip, pe, tiles[:, 0])
    for role in (role for role in OPERANDS if is_compressed(chip, layer, role)):
        ports[role] = ports[role] * words_per_nonzero(chip.spec.pe, pe, role)
    cycles = _together(alone + chip.spec.pe.fill_cycles * math.prod(times.values()), ports)
    return _Candidates(rows[good], tiles[good], cycles[good])


def _together(pe: Reals, ports: dict[str, Reals]) -> Reals:
    return np.maximum(pe + ports["weight"], np.maximum(ports["iact"], ports["psum"]))


def _times(dims: ConvDims, total: dict[str, Ints], tiles: Ints) -> dict[str, Ints]:
    """Return how often a PE gets another part of a dim, if its passes differ in the dim."""
    own = {"M": tiles[:, 0], "C": tiles[:, 1]}
    return {d: -(-dims.bounds[d] // (total[d] * own.get(d, 1))) for d in ("G", "M", "C", "R")}


def _tiles(chip: Chip, layer: Layer, dims: ConvDims, total: dict[str, Ints]) -> tuple[Ints, Ints]:
    """Return every spread with every number of filters that uses passes well, and as many channels as fit."""
    left = {d: -(-dims.bounds[d] // total[d]) for d in ("M", "C")}
    pe, columns = chip.spec.pe, dims.bounds["S"]
    density = worked_share(chip, layer, "weight")
    rows, tiles = [], []
    for m in np.unique(left["M"]).tolist():
        mine = np.flatnonzero(left["M"] == m)
        most = min(m, pe.psum.words)
        for filters in _shares(m, most, MOST_FILTERS):
            room = _most_channels(chip, layer, filters, columns, density)
            if room < 1:
                continue
            passes = -(-left["C"][mine] // room)
            rows.append(mine)
            tiles.append(np.stack([np.full_like(mine, filters), -(-left["C"][mine] // passes)], axis=1))
    if not rows:
        return np.zeros(0, np.int64), np.ones((0, 2), np.int64)
    return np.concatenate(rows), np.concatenate(tiles)


def _shares(number: int, most: int, count: int) -> list[int]:
    """Return the largest `count` sizes up to `most` of equal parts of `number`, ascending."""
    found: list[int] = []
    size = min(number, most)
    while size > 0 and len(found) < count:
        size = -(-number // -(-number // size))  # the same number of parts, as small as possible
        found.append(size)
        size -= 1
    return found[::-1]


def _most_channels(chip: Chip, layer: Layer, filters: int, columns: int, density: float) -> int:
    """Return the number of channels of `filters` weights that fit a PE, by the mask where there is one."""
    of_mask = tiles_of(chip, layer, filters)
    if of_mask is not None:
        return of_mask.channels
    return _most_columns(chip, filters, density) // columns


def _most_columns(chip: Chip, filters: int, density: float) -> int:
    """Return the number of columns of `filters` weights that fit a PE with high probability."""
    pe, most = chip.spec.pe, widest_window(chip)
    lanes = pe.simd_width

    def need(n: int) -> float:
        mean = n * (filters * density + (lanes - 1) / 2 * (density < 1.0)) / lanes
        return mean + SIGMAS * math.sqrt(n * filters * density * (1.0 - density)) / lanes

    return bisect.bisect_left(range(1, most + 1), True, key=lambda n: need(n) > pe.weight_data.words)


def _port_cycles(
    chip: Chip, layer: Layer, possible: Spreads, rows: Ints, times: dict[str, Ints]
) -> dict[str, Reals]:
    """Return the cycles of the busiest port into (psum: out of) PEs. Words that PEs of a router share pass
    once.
    """
    again: dict[str, Any] = {"weight": 1, "iact": times["M"], "psum": times["C"] * times["R"]}
    cycles = {}
    for role, dataspace in ROLES.items():
        network = chip.spec.noc.network(role)
        beyond = {"row": (3,), "column": (2,), "all": (2, 3)}[network.pe_side]
        relevant = relevant_dims(layer, dataspace)
        apart = np.ones(len(possible.factor), np.int64)
        for axis in (axis for axis in range(4) if axis not in beyond):
            for d in (d for d, dim in enumerate(possible.dims) if dim in relevant):
                apart *= possible.factor[:, axis, d]
        compressed = is_compressed(chip, layer, role)
        density = layer.density(dataspace).density if compressed else 1.0
        ports = network.routers_per_cluster if network.pe_side == "all" else 1
        rate = ports * network.words_per_port(compressed)
        cycles[role] = words(layer, dataspace) * density * again[role] / (apart[rows] * rate)
    return cycles
