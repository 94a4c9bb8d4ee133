"""Evaluation of all orders of passes of candidates at once: which of them fit, and lower bounds of their
costs.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsim.machines.eyeriss.chip import DRAM, IACT_GLB, LEVELS, PSUM_GLB, Chip
from sparsim.machines.eyeriss.compression import ROLES
from sparsim.machines.eyeriss.conv_dims import CONV_DIMS, conv_dims
from sparsim.machines.eyeriss.cost_arrays import Costs, Ports, costs_of
from sparsim.machines.eyeriss.layer_cost import (
    delivery_of,
    mean_densities,
    pe_estimate,
    ports_of,
    spads_fit,
)
from sparsim.machines.eyeriss.pe.conv_tiling import Accesses
from sparsim.machines.eyeriss.pe.pe_estimate import PEEstimate
from sparsim.machines.eyeriss.row_stationary_nest import Nests, Order, divisibility, make_nests
from sparsim.model.batch_counts import BatchCounts, count_batch, distinct_rows
from sparsim.model.consistency import check
from sparsim.records import Layer

Ints = NDArray[np.int64]
MOST_TILES = 2**20  # numbers of parts into which the outputs may be divided
# factor on an estimate for many tilings, to be below the one for a single tiling, which is rounded
# differently
SURELY = 1 - 1e-9
_PLACES = [(f, c) for f in (DRAM, PSUM_GLB) for c in (IACT_GLB, PSUM_GLB)]
_GLBS = [LEVELS[::-1].index(level) for level in (PSUM_GLB, IACT_GLB)]


class FittingOrders(NamedTuple):
    """Nests that fit the chip, candidate by candidate, each once, and bounds of their costs from below."""

    chip: Chip
    layer: Layer
    candidate: Ints  # (n,)
    nests: Nests
    counts: BatchCounts
    ports: dict[str, Ports]
    least: Costs

    def cost(self, i: int) -> Costs:
        """Return the costs of nest `i`, the numbers of `evaluate_stored`."""
        one = slice(i, i + 1)
        nest = self.nests.take(one)
        spread = dict(zip(CONV_DIMS, nest.spread[0].prod(axis=0).tolist(), strict=True))
        filters, channels = nest.tile[0].tolist()
        pe = pe_estimate(self.chip, self.layer, spread, (filters, channels))
        ports = {role: Ports(*(field[one] for field in each)) for role, each in self.ports.items()}
        counts = self.counts.actual[one], self.counts.level_pj[one]
        return costs_of(self.chip, self.layer, counts, ports, pe, filters, nest.passes)


def fitting_orders(chip: Chip, layer: Layer, spread: Ints, tiles: Ints) -> FittingOrders | None:
    """The orders that fit, for candidates with this spread (k, axes, dims) and these filters and channels
    per PE (k, 2); None if no order fits.

    The outputs are divided into as few parts as the GLB allows, a power of two.
    """
    mean = mean_densities(layer)
    dims, lanes = conv_dims(layer), chip.spec.pe.simd_width
    found: list[tuple[Ints, Nests, BatchCounts]] = []
    left, parts = np.arange(len(spread)), 1
    while len(left) and parts <= MOST_TILES:
        candidate = np.repeat(left, len(_PLACES))
        orders = [Order(*places, parts) for places in _PLACES] * len(left)
        nests = make_nests(dims, spread[candidate], tiles[candidate], lanes, orders)
        if parts == 1:
            mean.kept("checked", (chip.accelerator,), partial(_check, chip, mean, nests))
        counts = _count(chip, mean, nests)
        fits = counts.status == 0
        found.append((candidate[fits], nests.take(fits), counts.take(fits)))
        # fewer outputs may fit a GLB
        again = (~fits & np.isin(counts.level, _GLBS)).reshape(len(left), -1).any(axis=1)
        left = left[again & ~fits.reshape(len(left), -1).any(axis=1)]
        parts *= 2
    candidate = np.concatenate([each for each, _, _ in found])
    factor = np.concatenate([nests.factor for _, nests, _ in found])
    rows = np.lexsort((np.arange(len(candidate)), candidate))
    if not len(rows):
        return None
    rows = rows[distinct_rows(factor[rows])[0]]
    counts = BatchCounts(
        *(np.concatenate(field)[rows] for field in zip(*(c for _, _, c in found), strict=True))
    )
    nests, candidate = Nests(dims, factor[rows]), candidate[rows]
    pe = _estimate(chip, layer, nests)
    good = spads_fit(pe)  # tiles with whole words of filters may be larger than those of the candidates
    if not good.any():
        return None
    if not good.all():
        candidate, nests, counts = candidate[good], nests.take(good), counts.take(good)
        pe = _estimate(chip, layer, nests)
    ports = _ports(chip, layer, nests)
    least = _least(chip, layer, nests, counts, ports, pe)
    return FittingOrders(chip, layer, candidate, nests, counts, ports, least)


def _check(chip: Chip, layer: Layer, nests: Nests) -> None:
    """Raise an error if all nests of a layer are invalid."""
    check(chip.accelerator, layer, nests.mapping(0))


def _count(chip: Chip, layer: Layer, nests: Nests) -> BatchCounts:
    densities = np.array([[layer.density(d.name).density for d in layer.shape.dataspaces]])
    pack = nests.pack(chip.accelerator)
    return count_batch(chip.accelerator, layer, pack, divisibility(nests.dims), densities)


def _least(
    chip: Chip, layer: Layer, nests: Nests, counts: BatchCounts, ports: dict[str, Ports], pe: PEEstimate
) -> Costs:
    """Return costs that are too low by a billionth at most."""
    accesses = Accesses(*(number * SURELY for number in pe.accesses))
    least = pe._replace(
        cycles=pe.cycles * SURELY,
        busy_cycles=pe.busy_cycles * SURELY,
        accesses=accesses._replace(iact_data_writes=pe.accesses.iact_data_writes),  # costs divide by these
    )
    filters = nests.tile[:, 0]
    return costs_of(chip, layer, (counts.actual, counts.level_pj), ports, least, filters, nests.passes)


def _estimate(chip: Chip, layer: Layer, nests: Nests) -> PEEstimate:
    """Estimate all nests, and equal tilings only once."""
    tilings = np.concatenate([nests.spread.prod(axis=1), nests.tile], axis=1)
    first, row = distinct_rows(tilings)
    *spreads, filters, channels = tilings[first].T
    pe = pe_estimate(chip, layer, dict(zip(CONV_DIMS, spreads, strict=True)), (filters, channels))
    accesses = Accesses(*(number[row] for number in pe.accesses))
    return PEEstimate._make([*(field[row] for field in pe[:-1]), accesses])


def _ports(chip: Chip, layer: Layer, nests: Nests) -> dict[str, Ports]:
    """Return the deliveries in all nests, computed once for equal spreads."""
    first, row = distinct_rows(nests.spread)
    loops = [nests.loops(i) for i in first.tolist()]
    found = {}
    for role in ROLES:
        density = layer.density(ROLES[role]).density
        ports = [ports_of(chip, role, delivery_of(chip, layer, role, each), density) for each in loops]
        found[role] = Ports(*(np.array(field)[row] for field in zip(*ports, strict=True)))
    return found
