"""A tight lower bound of a whole mapspace, and the mappings that it suggests.

Every choice of spatial factors and of what is kept is bounded on its own by a shortest path
(`kernels.shortest_paths`). The relaxation leaves out constraints on orders, factors of one dim that exclude
each other beyond the extents of tiles, accesses to metadata, networks, leakage while the arithmetic waits.
Where none of these matters it is the optimum of a dense layer whose tiles do not overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple, TypeVar

import numpy as np

from sparsim.mapper.bound_constants import SearchArrays
from sparsim.mapper.chain_arrays import (
    Choice,
    Price,
    access_price,
    cycle_prices,
    energy_price,
    list_choices,
    make_chain,
    make_chain_work,
)
from sparsim.mapper.factorisations import divisors
from sparsim.mapper.kernels.lower_bounds import ALMOST, BOUNDED, EXACT
from sparsim.mapper.kernels.shortest_paths import least_costs
from sparsim.mapper.tile_sizes import Tiles, list_tiles
from sparsim.model.arrays import BoundPack, ChainWork, Ints, Reals, SpacePack
from sparsim.model.lower import ints, reals
from sparsim.records.objective import ACCESSES

MOST_SPREADS = 100_000  # most choices of spatial factors
MOST_CHOICES = 1_000_000  # most choices of spatial factors and keeps
MOST_KEPT = 4_096  # most bypass choices alone: the setup of each takes a millisecond for every price
MOST_STATES = 4_000_000  # most states of one shortest path
MOST_STEPS = 250_000_000  # most states of all levels and paths, which take about ten seconds
STEPS_PER_US = 25.0  # approximate number of states per microsecond
CHOICE_US = 1000.0  # microseconds for the setup of one bypass choice
TURN = 32  # paths of one step
STARTS = 24  # mappings handed to a search
FASTEST = 4  # spatial factors for which the least words of every level are sought, too
SLACK = 1.005  # paths are traced up to this factor above the least

R = TypeVar("R")
Work = Generator[float, None, R]  # yields the work of each step, approximately in microseconds


class Start(NamedTuple):
    """A mapping that a shortest path represents."""

    spread: Ints  # (S, R) spatial factors
    loops: Ints  # (n, 3) in time, outermost first: level, dim, bound
    choice: int  # row of `Space.keep`


class Relaxation(NamedTuple):
    """No mapping is below `least` in the first objective. If that is the delay, none with `least` cycles is
    below `energy_pj`.
    """

    least: float
    energy_pj: float
    starts: tuple[Start, ...]


def relax(
    low: SearchArrays, bound: BoundPack, space: SpacePack, objective: str, go_on: Callable[[], bool],
    level: int = 0,
) -> Relaxation | None:  # fmt: skip
    """The bound of a mapspace in `objective`; None where it is too large, or accesses are not bounded.

    When `go_on`, called now and then, says no, the rest has a cheaper bound; None where that is missing, too.
    """
    relaxing = Relaxing(low, bound, space, objective, level)
    for _ in relaxing.steps():
        if not go_on():
            break
    return relaxing.found


class Relaxing:
    """The relaxation of a mapspace in steps; `found` is what is known after those made, if anything.

    Of accesses `found.energy_pj` says nothing.
    """

    def __init__(
        self, low: SearchArrays, bound: BoundPack, space: SpacePack, objective: str, level: int = 0
    ) -> None:
        self.found: Relaxation | None = None
        self._low, self._bound, self._space, self._objective = low, bound, space, objective
        self._level = level  # level whose accesses are the objective, if any

    def steps(self) -> Work[None]:
        """Yield the work of each step before it is made."""
        low, bound = self._low, self._bound
        spread = list_spreads(low, self._space)
        tiles = list_tiles(low.layer, low.density, exact=bool(bound.switch[EXACT]))
        if not bound.switch[BOUNDED] or spread is None or tiles is None or low.space.is_sampled:
            return
        paths = _Paths(low, bound, spread, tiles)
        number = len(paths.choices)
        if paths.states * paths.codes > MOST_STATES or number > MOST_KEPT:
            return
        if len(spread) * number > MOST_CHOICES:
            return
        yield from self._relax(paths)

    def _relax(self, paths: _Paths) -> Work[None]:
        low, spread, objective = paths.low, paths.spread, self._objective
        least, among, scale = 0.0, np.arange(len(spread)), np.ones(len(spread))
        if objective == "delay":
            need = yield from _least_cycles(paths)
            least = yield from _least_delay(paths, need)
            among = np.flatnonzero(need <= least)
        if objective == "edp":
            scale = yield from _least_cycles(paths)
        price, base = energy_price(low), _base(paths)
        counts_words = objective.startswith(ACCESSES)
        if counts_words:
            price, base = access_price(low, self._level), np.zeros(len(spread))
        values = yield from paths.begin(among, scale[among], price, base[among])
        starts: list[Start] = []
        told = 2 * paths.steps

        def tell() -> None:
            bound = values.least * ALMOST
            if counts_words:
                bound = np.ceil(bound)
            self.found = Relaxation(least if objective == "delay" else bound, bound, tuple(starts))

        tell()
        for work in paths.improve(values):
            if paths.steps >= told:  # report the best mappings so far, each time after twice the work
                starts, told = [*paths.starts(values)], 2 * paths.steps
                tell()
            yield work
        starts = [*paths.starts(values)]
        tell()
        for price in cycle_prices(low) if objective == "delay" else []:
            fastest = among[:FASTEST]
            words = yield from paths.find(fastest, np.ones(len(fastest)), price, np.zeros(len(fastest)))
            starts += paths.starts(words)
            tell()


class _Values(NamedTuple):
    """The bounds of every pair of a bypass choice and spatial factors."""

    price: Price
    base: Reals  # by spatial factors, like scale
    among: Ints
    scale: Reals
    bound: Reals
    found: Reals  # the same if a path was searched, else inf

    @property
    def least(self) -> float:
        return float(self.bound.min(initial=np.inf))


class _Paths:
    """Shortest paths for all spatial factors and bypass choices."""

    def __init__(self, low: SearchArrays, bound: BoundPack, spread: Ints, tiles: Tiles) -> None:
        self.low, self.bound, self.spread, self.tiles = low, bound, spread, tiles
        self.choices = list_choices(low, bound)
        n_data = len(low.layer.words)
        counts = (low.space.keep[:, :, None] >> np.arange(n_data) & 1).sum(axis=1)
        self.codes = int((counts + 1).prod(axis=1).max())
        self.states = int(np.prod([len(divisors(int(n))) for n in low.layer.bound]))
        self.work: ChainWork | None = None
        self.steps = 0

    def find(self, among: Ints, scale: Reals, price: Price, base: Reals) -> Work[_Values]:
        """Find the least (base + cost) * scale of every choice. When MOST_STEPS are used up, the rest keeps a
        value that is found directly.
        """
        values = yield from self.begin(among, scale, price, base)
        yield from self.improve(values)
        return values

    def begin(self, among: Ints, scale: Reals, price: Price, base: Reals) -> Work[_Values]:
        """Compute the values that are found directly."""
        bounds = yield from self.floors(among, scale, price, base)
        return _Values(price, base, among, scale, bounds, np.full(bounds.shape, np.inf))

    def improve(self, values: _Values) -> Work[None]:
        """Search paths where the bound is least, until none can be shorter than the shortest."""
        price, base, bounds, scale = values.price, values.base, values.bound, values.scale
        spread, limit = self.spread[values.among], np.inf
        for choice in np.argsort(bounds.min(axis=1, initial=np.inf), kind="stable").tolist():
            order = np.argsort(bounds[choice], kind="stable")
            first, turn = 0, 1
            while first < len(order) and bounds[choice, order[first]] < limit:
                if self.steps > MOST_STEPS:
                    break
                some = order[first : first + turn]
                steps = len(some) * self.states * len(self.low.arch.fan)
                yield steps / STEPS_PER_US
                out, _ = self._run(self.choices[choice], spread[some], scale[some], price, base[some], limit)
                self.steps += steps
                bounds[choice, some] = np.maximum(bounds[choice, some], out[:, 1])
                values.found[choice, some] = np.where(out[:, 1] < limit, out[:, 1], np.inf)
                limit = min(limit, SLACK * float(out[:, 1].min()))
                first, turn = first + turn, min(2 * turn, TURN)

    def floors(self, among: Ints, scale: Reals, price: Price, base: Reals) -> Work[Reals]:
        """Return only the values that are found directly."""
        spread, values = self.spread[among], []
        for choice in self.choices:
            yield CHOICE_US + len(spread)
            values.append(self._run(choice, spread, scale, price, base, -np.inf)[0][:, 0])
        return np.stack(values)

    def starts(self, values: _Values) -> Iterator[Start]:
        """Yield the mappings of the least values."""
        for best in np.argsort(values.found, axis=None, kind="stable")[:STARTS].tolist():
            number, i = divmod(best, values.found.shape[1])
            if values.found[number, i] == np.inf:
                return
            choice, spread = self.choices[number], self.spread[values.among[i]][None]
            _, loops = self._run(choice, spread, np.ones(1), values.price, np.zeros(1), np.inf, trace=True)
            yield Start(spread[0], loops, choice.number)

    def _run(
        self, choice: Choice, spread: Ints, scale: Reals, price: Price, base: Reals, limit: float,
        *, trace: bool = False,
    ) -> tuple[Reals, Ints]:  # fmt: skip
        """Return `least_costs` of one choice, and the loops of the last path."""
        chain = make_chain(self.low, self.bound, self.tiles, choice, price)
        if self.work is None:
            self.work = make_chain_work(self.low, chain, self.codes, self.states)
        shape = (len(choice.keep), self.codes, self.states) if trace else (0, 0, 0)
        path, loops, out = ints(*shape), ints(64 * chain.looped.size, 3), reals(len(spread), 2)
        number = least_costs(
            self.low.layer, chain, self.work, choice.keep, spread, scale, base, limit, out, path, loops
        )
        return out, loops[:number]


def _base(paths: _Paths) -> Reals:
    """Return the energy in pJ of the arithmetic, and of leakage in its time, for each choice of spatial
    factors.
    """
    busy, energy = paths.bound.compute.tolist()
    base: Reals = energy + paths.low.leak_pj * np.ceil(busy / paths.spread.prod(axis=(1, 2)))
    return base


def _least_cycles(paths: _Paths) -> Work[Reals]:
    """Return a lower bound of the cycles for each choice of spatial factors: of the arithmetic, or of one
    level's words if every word moves once.
    """
    arch, number = paths.low.arch, len(paths.spread)
    need: Reals = np.ceil(float(paths.bound.compute[0]) / paths.spread.prod(axis=(1, 2))) + arch.latency[0]
    for price in cycle_prices(paths.low):
        words = yield from paths.floors(np.arange(number), np.ones(number), price, np.zeros(number))
        need = np.maximum(need, _whole(words.min(axis=0), arch.latency[0]))
    return need


def _least_delay(paths: _Paths, need: Reals) -> Work[float]:
    """Return a lower bound of the cycles by the shortest paths for each level's words."""
    every, least = np.arange(len(need)), np.inf
    for done, i in enumerate(np.argsort(need, kind="stable")):
        if need[i] >= least or done == TURN:
            return float(min(need[i], least))
        words = [0.0]
        for price in cycle_prices(paths.low):
            found = yield from paths.find(every[i : i + 1], np.ones(1), price, np.zeros(1))
            words.append(found.least)
        cycles = _whole(np.array(words), paths.low.arch.latency[0])
        least = min(least, float(cycles.max(initial=need[i])))
    return float(least)


def _whole(cycles: Reals, latency: int) -> Reals:
    """Return cycles of a level as the model rounds them; a single one counts as none."""
    return np.where(cycles * ALMOST > 1, np.ceil(cycles * ALMOST) + latency, 0.0)


def list_spreads(low: SearchArrays, space: SpacePack) -> Ints | None:
    """(n, S, R): the spatial factors of every storage level that fit its fan-out; None if there are too many,
    or if factors do not multiply to the bounds.
    """
    tiling, factors = low.arch.tiling, low.space.factors
    spatial = np.flatnonzero(tiling[:, 1] == 1)
    fan = space.fan[spatial]
    if any((rows.prod(axis=1) != low.layer.bound[dim]).any() for dim, rows in enumerate(factors)):
        return None
    chosen = np.ones((1, len(spatial), 0), np.int64)
    used = np.ones((1, len(spatial), 3), np.int64)  # along X, along Y, in all
    for dim, rows in enumerate(factors):
        factor = np.unique(rows[:, spatial], axis=0)
        along = [np.where(space.axis[spatial, dim] == axis, factor, 1) for axis in (0, 1)]
        grown = used[:, None] * np.stack([*along, factor], axis=2)
        fits = (grown[..., :2] <= fan).all(axis=(2, 3)) & (grown[..., 2] <= fan.prod(axis=1)).all(axis=2)
        before, one = np.nonzero(fits)
        if len(before) > MOST_SPREADS:
            return None
        used = grown[before, one]
        chosen = np.concatenate([chosen[before], factor[one][:, :, None]], axis=2)
    share = (used[:, :, 2] / fan.prod(axis=1)).prod(axis=1)
    chosen = chosen[share >= low.space.min_parallelism * (1 - 1e-12)]
    spread = np.ones((len(chosen), len(low.arch.fan), len(factors)), np.int64)
    spread[:, tiling[spatial, 0]] = chosen
    return spread
