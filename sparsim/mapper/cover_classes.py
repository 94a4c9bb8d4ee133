"""Classes of mappings of padded and imperfect dims: spatial factors, and least repetitions in time.

The bound of a class holds for all covered bounds. It takes microseconds if every word moves once, and
milliseconds by a shortest path over extents that need not divide anything. docs/background/optimality.md
explains why no mapping is below it.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from sparsim.mapper.bound_constants import SearchArrays
from sparsim.mapper.chain_arrays import Price
from sparsim.mapper.factorisations import divisors
from sparsim.mapper.kernels.covering_paths import (
    ALMOST,
    DRAINS,
    FILLS,
    READS,
    UPDATES,
    least_covering_cost,
)
from sparsim.mapper.spatial_factors import join_spreads
from sparsim.model import arrays as packs
from sparsim.model.arrays import CoveringPack, Ints, LayerPack, Reals, SpacePack
from sparsim.model.lower import ints, reals

PERFECT, PADDED, IMPERFECT = 0, 1, 2
MOST_SPREADS = 50_000  # most spatial factors
RATIOS = (1.0, 1.05, 1.1, 1.15, 1.2, 1.3, 1.4, 1.5, 1.75, 2.0, 3.0, 5.0, 10.0, 100.0)


class CoveredDims(NamedTuple):
    """The dims of a layer, with the bounds that the factors may cover."""

    kind: Ints  # (R,) PERFECT, PADDED or IMPERFECT
    least: Ints  # (R,) the bounds of the layer
    most: Ints  # (R,)
    low: Ints  # (T, R) least factors
    high: Ints  # (T, R) largest factors


class Delivery(NamedTuple):
    """What a level, or the arithmetic (-1), receives from the next one that keeps a dataspace."""

    child: int
    parent: int
    of: int


class Words(NamedTuple):
    """Words of the deliveries of classes (n, J, ...) in the form of a CoveringPack, and their least costs."""

    words: Reals
    free: Reals
    price: Reals
    floor: Reals  # (n, J)
    certain: Reals  # (n,) cost of the deliveries that every mapping has equally


def list_covering_spreads(low: SearchArrays, space: SpacePack, dims: CoveredDims) -> Ints | None:
    """(n, S, R): the spatial factors of all covered bounds that fit the fan-out; None if too many."""
    spatial = np.flatnonzero(low.arch.tiling[:, 1] == 1)
    room = space.fan[spatial].prod(axis=1)
    factors = (
        np.unique(rows[:, spatial], axis=0)
        if dims.kind[dim] == PERFECT
        else _covering_factors(dims, dim, spatial, room)
        for dim, rows in enumerate(low.space.factors)
    )
    return join_spreads(low, space, factors, MOST_SPREADS, most_tried=100 * MOST_SPREADS)


def _covering_factors(dims: CoveredDims, dim: int, spatial: Ints, fan: Ints) -> Ints:
    """Return (n, spatial levels): the spatial factors of a dim that covered bounds and fan-out allow."""
    factor, least = np.ones((1, 0), np.int64), int(dims.least[dim])
    for t, most in zip(spatial.tolist(), fan.tolist(), strict=True):
        own = np.arange(int(dims.low[t, dim]), min(int(dims.high[t, dim]), most) + 1)
        factor = np.hstack([np.repeat(factor, len(own), axis=0), np.tile(own, len(factor))[:, None]])
        product = factor.prod(axis=1)
        factor = factor[-(-least // product) * product <= dims.most[dim]]
    if dims.kind[dim] == IMPERFECT:  # no factor could be lowered
        product = factor.prod(axis=1)
        covered = (-(-least // product) * product)[:, None]
        factor = factor[((factor == 1) | (covered // factor * (factor - 1) < least)).all(axis=1)]
    return factor


class CoverClasses:
    """Bounds of the classes with given spatial factors, for one choice of what is kept."""

    def __init__(
        self, low: SearchArrays, layer: LayerPack, dims: CoveredDims, price: Price, keep: Ints
    ) -> None:  # fmt: skip
        self.low, self.layer, self.dims, self.price, self.keep = low, layer, dims, price, keep
        kept = [[s for s in range(len(keep)) if keep[s] >> v & 1] for v in range(len(layer.words))]
        self.deliveries = [
            Delivery(child, parent, v)
            for v, levels in enumerate(kept) if layer.plain[v]
            for child, parent in zip([-1, *levels[:-1]], levels, strict=True)
        ]  # fmt: skip
        self._mine = layer.relevant[:, None] >> np.arange(len(dims.kind)) & 1
        outermost = low.arch.first_tiling[1:] - 1
        self._looped = np.ascontiguousarray(dims.high[outermost] > 1, np.int64)

    def words(self, spread: Ints, times: Ints) -> Words:
        """Return the words of classes with spatial factors (n, S, R) that are repeated `times` (n, R)."""
        low, dims = self.low, self.dims
        below = np.cumprod(spread, axis=1)
        own = np.where(dims.kind == IMPERFECT, dims.least / below[:, -1], times)
        children = spread.prod(axis=2)
        inside = np.cumprod(children[:, ::-1], axis=1)[:, ::-1]
        instances = np.concatenate([inside[:, 1:], np.ones((len(spread), 1), np.int64)], axis=1)
        paid = np.minimum(instances, self.price.most)  # (n, S)
        cut = bool((dims.kind == IMPERFECT).any())
        number = len(self.deliveries)
        words, free, price = (reals(len(spread), number, n) for n in (2, 2, 4))
        floor, certain = reals(len(spread), number), reals(len(spread))
        access = self.price.access[:, packs.RANDOM] / self.price.block[:, None]
        for j, (child, parent, v) in enumerate(self.deliveries):
            mine, writes = self._mine[v] == 1, bool(self.layer.read_write[v])
            groups = np.where(mine, spread, 1).prod(axis=2)
            alone = low.space.flags[:, packs.NO_MULTICAST] >> v & 1 == 1
            copies = np.where(alone, children, groups)[:, child + 1 : parent + 1].prod(axis=1)
            arriving = own if child < 0 else own * below[:, child]
            everything = child < 0 and not (children[:, 0] > 1).any()
            words[:, j, 0] = np.where(mine | everything, arriving, 1.0).prod(axis=1)
            words[:, j, 1] = words[:, j, 0] * copies
            price[:, j, READS] = access[parent, packs.READ] * paid[:, parent]
            if child >= 0:
                price[:, j, FILLS] = access[child, packs.FILL] * paid[:, child]
            if writes:
                self._charge_writes(j, own * below.swapaxes(0, 1), access, paid, free, price)
            least = np.ones((2, len(spread)))
            if cut and not everything:
                least = np.stack([
                    np.where(mine, 1.0, self._least_times(spread, below, level)).prod(axis=1)
                    for level in (max(child, 0), parent)
                ])  # fmt: skip
            fills, reads = np.floor(words[:, j].T * least * ALMOST + 0.5)
            floor[:, j] = price[:, j, UPDATES] * reads + price[:, j, DRAINS] * fills
            floor[:, j] += price[:, j, FILLS] * np.maximum(fills - free[:, j, FILLS], 0.0)
            floor[:, j] += price[:, j, READS] * np.maximum(reads - free[:, j, READS], 0.0)
            if everything:
                certain += floor[:, j]
                price[:, j] = floor[:, j] = 0.0
        return Words(words, free, price, floor, certain)

    def _charge_writes(
        self, j: int, own: Reals, access: Reals, paid: Ints, free: Reals, price: Reals
    ) -> None:  # fmt: skip
        """Add updates, and what the accounting leaves out, to delivery j; `own` (S, n, R): words by dim."""
        child, parent, v = self.deliveries[j]
        accounting, mine = self.low.accounting, self._mine[v] == 1
        part = np.floor(np.where(mine, own, 1.0).prod(axis=2) / ALMOST + 0.5)
        price[:, j, UPDATES] = access[parent, packs.UPDATE] * paid[:, parent]
        if accounting != packs.COUNT_ALL:
            free[:, j, READS] = part[parent]
        if child >= 0 and accounting in packs.FREE_FIRST_FILL:
            free[:, j, FILLS] = part[child]
        if child >= 0 and accounting == packs.COUNT_DRAINS:
            price[:, j, DRAINS] = access[child, packs.READ] * paid[:, child]

    def _longest(self, spread: Ints) -> Ints:
        """Return (n, R): how often imperfect dims are repeated in time at most, because none of their spatial
        factors (n, S, R) could be lowered.
        """
        dims, product, largest = self.dims, spread.prod(axis=1), spread.max(axis=1)
        most = -(-dims.least * largest // (np.maximum(largest - 1, 1) * product)) - 1
        most = np.where(largest > 1, np.minimum(most, dims.most // product), dims.most // product)
        return np.maximum(most, -(-dims.least // product))

    def _least_times(self, spread: Ints, below: Ints, level: int) -> Reals:
        """Return (n, R): how often a dim is repeated outside a level at least, on average."""
        dims = self.dims
        found = np.ceil(dims.least / (self._longest(spread) * below[:, level]))
        found /= below[:, -1] // below[:, level]
        return np.where(dims.kind == IMPERFECT, found, 1.0)

    def path(
        self, spread: Ints, times: Ints, limit: float, most_states: int, *, trace: bool = False
    ) -> tuple[float, Ints]:  # fmt: skip
        """Return the least cost of the deliveries of one class below `limit`, else `limit`.

        With `trace`, the steps of the path (n, 3) are returned, too: level, dim and extent in time, outermost
        first. Extents are further apart where a path would have more states.
        """
        found = self.words(spread[None], times[None])
        waits = np.flatnonzero(found.price[0].any(axis=1))
        below = np.cumprod(spread, axis=0)
        grids = self._grids(times, most_states)
        pack = self._pack(found, waits, below, grids, self._longest(spread[None])[0])
        certain = float(found.certain[0])
        shape = (len(self.keep), *pack.value.shape) if trace else (0, 0, 0)
        loops = ints(int(pack.number.sum()) if trace else 0, 3)
        cost, number = least_covering_cost(self.layer, pack, self.keep, limit - certain, ints(*shape), loops)
        return float(cost) + certain, loops[:number]

    def _grids(self, times: Ints, most_states: int) -> list[_Grid]:
        for ratio in RATIOS:
            grids = [
                _divisor_grid(int(n)) if kind == PERFECT else _covering_grid(int(n), ratio)
                for n, kind in zip(times, self.dims.kind, strict=True)
            ]
            if math.prod(len(grid.extent) for grid in grids) <= most_states:
                break
        return grids

    def _pack(
        self, found: Words, waits: Ints, below: Ints, grids: list[_Grid], longest: Ints
    ) -> CoveringPack:  # fmt: skip
        low, plain = self.low, np.ascontiguousarray
        n_dims, n_data, number = len(grids), len(self.layer.words), len(waits)
        sizes = np.array([len(grid.extent) for grid in grids], np.int64)
        states, most = int(sizes.prod()), int(sizes.max())
        extent = np.ones((n_dims, most), np.int64)
        step = ints(n_dims, most, max(grid.step.shape[1] for grid in grids))
        sent, arriving = np.ones((2, number, n_dims, most))
        for d, grid in enumerate(grids):
            extent[d, : sizes[d]], step[d, : sizes[d], : grid.step.shape[1]] = grid.extent, grid.step
            for i, j in enumerate(waits.tolist()):
                child, parent, v = self.deliveries[j]
                if self._mine[v, d]:
                    continue
                for out, level in ((arriving, child), (sent, parent)):
                    out[i, d, : sizes[d]] = self._repetitions(d, grid, below[:, d], level, int(longest[d]))
        weight, radix = np.ones((2, n_data), np.int64)
        queue, codes = ints(n_data, max(number, 1)), 1
        of = np.array([self.deliveries[j].of for j in waits], np.int64)
        for v in range(n_data):
            own = np.flatnonzero(of == v)
            queue[v, : len(own)] = own
            weight[v], radix[v] = codes, len(own) + 1
            codes *= len(own) + 1
        size = low.arch.limit[:, packs.SIZE]
        return CoveringPack(
            number=sizes, stride=np.cumprod([1, *sizes[:-1]]).astype(np.int64), extent=extent, step=step,
            below=plain(below, np.int64), looped=self._looped,
            room=np.where(size >= 0, np.floor(np.minimum(size, 2.0**62)), -1).astype(np.int64),
            child=np.array([self.deliveries[j].child for j in waits], np.int64), of=of,
            words=plain(found.words[0, waits]), free=plain(found.free[0, waits]),
            price=plain(found.price[0, waits]), floor=plain(found.floor[0, waits]),
            arriving=arriving, sent=sent, queue=queue, weight=weight, radix=radix, opened=ints(n_data),
            shift=ints(len(self.keep)),
            digit=ints(n_dims), ext=ints(n_dims),
            leave=ints(states), live=ints(codes), rest=reals(codes), cost=reals(number, states),
            value=reals(codes, states),
        )  # fmt: skip

    def _repetitions(self, d: int, grid: _Grid, below: Ints, level: int, longest: int) -> Reals:
        """Return (E,): how often what is inside an extent is repeated at least, by dim d, which does not move
        it; of imperfect dims as an average over the instances of a level.
        """
        if self.dims.kind[d] != IMPERFECT:
            return grid.outside.astype(np.float64)
        least, inside = int(self.dims.least[d]), int(below[level]) if level >= 0 else 1
        last = np.append(grid.last[:-1], longest)
        times: Reals = np.ceil(least / (last * inside)) / (below[-1] // inside)
        return times


class _Grid(NamedTuple):
    """Extents of the temporal loops of a dim."""

    extent: Ints  # (E,) ascending
    last: Ints  # (E,) largest extent that each stands for
    outside: Ints  # (E,) how often it is repeated at least
    step: Ints  # (E, P) places of the next extents


@lru_cache(maxsize=4096)
def _covering_grid(times: int, ratio: float) -> _Grid:
    """Return the extents of a dim that is repeated at least `times`: the least of those that are repeated
    equally often, apart by about a `ratio`.
    """
    extent = [1]
    while extent[-1] < times:
        here = extent[-1]
        there = -(-times // (-(-times // here) - 1))
        far = int(here * ratio)
        if here < far < times:
            there = max(there, -(-times // -(-times // far)))
        extent.append(min(there, times) if here > 1 else 2)
    first = np.array(extent, np.int64)
    last = np.append(first[1:] - 1, times)
    step = np.arange(1, len(first) + 1, dtype=np.int64)[:, None]
    step[-1] = 0
    return _Grid(first, last, -(-times // last), step)


@lru_cache(maxsize=4096)
def _divisor_grid(times: int) -> _Grid:
    """Return the divisors of `times`."""
    extent = sorted(divisors(times))
    primes = [n for n in extent if len(divisors(n)) == 2]
    place = {n: i for i, n in enumerate(extent)}
    step = np.array([[place.get(n * p, 0) for p in primes] or [0] for n in extent], np.int64)
    first = np.array(extent, np.int64)
    return _Grid(first, first, times // first, step)
