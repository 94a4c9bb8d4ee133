"""A tight lower bound of a whole mapspace, and the mappings that it suggests.

Every choice of spatial factors and of what is kept is bounded on its own by a shortest path
(`kernels.shortest_paths`); choices are bounded best first, and split by the sizes of tiles where these
decide on prices. docs/background/optimality.md explains why no mapping is below the bound.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np

from sparsim.mapper.bound_constants import SearchArrays
from sparsim.mapper.chain_arrays import Choice, Price, access_price, energy_price
from sparsim.mapper.equivalent_dims import merge_dims
from sparsim.mapper.kernels.lower_bounds import BOUNDED, EXACT
from sparsim.mapper.path_search import CLOSE, Branches, Counts, Paths, Start
from sparsim.mapper.spatial_factors import join_spreads
from sparsim.mapper.tile_sizes import list_tiles
from sparsim.model.arrays import BoundPack, Ints, Reals, SpacePack
from sparsim.records.objective import ACCESSES

MOST_SPREADS = 100_000  # most choices of spatial factors
MOST_CHOICES = 1_000_000  # most choices of spatial factors and keeps
MOST_KEPT = 4_096  # most bypass choices alone: the setup of each takes a millisecond for every price
MOST_STATES = 4_000_000  # most states of one shortest path
FASTEST = 400  # spatial factors whose least cycles are sought
MOST_TURNS = 64  # steps of the search for the least cycles of one level
NEAR = 0.5  # share of the cycles from which on a level's words may be what takes longest
CYCLES_US = 2e4  # approximate time for each of them

R = TypeVar("R")
Work = Generator[float, None, R]  # yields the work of each step, approximately in microseconds


class Relaxation(NamedTuple):
    """No mapping is below `least` in the first objective. If that is the delay, none with `least` cycles is
    below `energy_pj`.
    """

    least: float
    energy_pj: float
    starts: tuple[Start, ...]
    counts: Counts = Counts(0, 0, 0)


class Trial(NamedTuple):
    """How a relaxation has mappings evaluated."""

    evaluate: Callable[[list[Start]], object]
    best: Callable[[], tuple[float, float, float]]  # value of the first objective, pJ, cycles of the best


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

    Of accesses `found.energy_pj` says nothing. With a `trial`, choices are split until the best mapping found
    reaches the bound, or nothing is left to split. `only`: spatial factors (S, R) and a row of `Space.keep`,
    if other choices are not looked at.
    """

    def __init__(
        self, low: SearchArrays, bound: BoundPack, space: SpacePack, objective: str, level: int = 0,
        trial: Trial | None = None, only: tuple[Ints, int] | None = None,
    ) -> None:  # fmt: skip
        self.found: Relaxation | None = None
        self._low, self._bound, self._space, self._objective = low, bound, space, objective
        self._level, self._trial, self._only = level, trial, only

    def steps(self) -> Work[None]:
        """Yield the work of each step before it is made."""
        low, bound = self._low, self._bound
        if not bound.switch[BOUNDED] or low.space.is_sampled or len(low.space.keep) > MOST_KEPT:
            return
        spread = list_spreads(low, self._space) if self._only is None else self._only[0][None]
        dims = merge_dims(low.layer, low.space.factors)
        tiles = list_tiles(dims.layer, low.density, exact=bool(bound.switch[EXACT]))
        if spread is None or tiles is None or not len(spread):
            return
        paths = Paths(low, bound, spread, dims, tiles)
        if self._only is not None:
            paths.choices = paths.chains.choices(self._only[1])
        number = len(paths.choices)
        if paths.states * paths.codes * paths.sets > MOST_STATES or number > MOST_KEPT:
            return
        if len(paths.spread) * number > MOST_CHOICES:
            return
        yield from self._relax(paths)

    def _relax(self, paths: Paths) -> Work[None]:
        low, objective = paths.low, self._objective
        number = len(paths.spread)
        least, among, scale = 0.0, np.arange(number), np.ones(number)
        need = paths.units_cycles()[None]
        if objective in ("delay", "edp"):
            need = yield from _least_cycles(paths)
        if objective == "delay":
            least, cycles = yield from _least_delay(paths, need)
            among = np.flatnonzero(cycles <= least)
        if objective == "edp":
            scale = need.max(axis=0)
        price, base = energy_price(low), paths.base()
        counts_words = objective.startswith(ACCESSES)
        if counts_words:
            price, base = access_price(low, self._level), np.zeros(number)
        branches = Branches(paths, price, base, scale, among, self._goal(least))
        if objective == "edp":
            branches.trade = partial(_traded, paths, price, base)
            branches.rescale = lambda i, enough: _cycles_of(paths, i, need[1:, i], enough)
        yield from branches.begin()
        self._tell(branches, least)
        evaluated: Start | None = None
        while not branches.is_done:
            yield branches.work
            branches.step()
            start = branches.start
            if self._trial is not None and start is not None and start is not evaluated:
                self._trial.evaluate([start])
                evaluated = start
            self._tell(branches, least)

    def _goal(self, least: float) -> Callable[[], float]:
        """Return a function of the best value so far, of those that the bound is compared with."""
        trial = self._trial
        if trial is None:
            return lambda: np.inf

        def best() -> float:
            value, energy_pj, cycles = trial.best()
            if self._objective == "delay":
                return energy_pj if cycles <= least else np.inf
            return value

        return best

    def _tell(self, branches: Branches, least: float) -> None:
        bound = branches.least * CLOSE
        if self._objective.startswith(ACCESSES):
            bound = float(np.ceil(bound))
        starts = () if self._trial is not None else tuple(branches.starts)
        first = least if self._objective == "delay" else bound
        self.found = Relaxation(first, bound, starts, branches.counts)


def _least_cycles(paths: Paths) -> Work[Reals]:
    """Return lower bounds of the cycles (1 + limits, n) for each choice of spatial factors: of the
    arithmetic, and of each level's words if every word moves once.
    """
    need = [paths.units_cycles()]
    for price in paths.cycle_prices:
        words = yield from paths.floors(np.arange(len(paths.spread)), price)
        need.append(_whole(words, paths.low.arch.latency[0]))
    return np.stack(need)


def _least_delay(paths: Paths, need: Reals) -> Work[tuple[float, Reals]]:
    """Return a lower bound of the cycles by the shortest paths for each level's words, of all spatial factors
    and of each; `need` is what `_least_cycles` returns.
    """
    least, cycles = np.inf, need.max(axis=0)
    for done, i in enumerate(np.argsort(cycles, kind="stable").tolist()):
        if cycles[i] >= least or done == FASTEST:
            return float(min(cycles[i], least)), cycles
        yield CYCLES_US
        cycles[i] = max(cycles[i], _cycles_of(paths, i, need[1:, i], least))
        least = min(least, float(cycles[i]))
    return float(least), cycles


def _cycles_of(paths: Paths, spread: int, need: Reals, enough: float) -> float:
    """Return a lower bound of the cycles of mappings with given spatial factors, for each level's words; no
    more than a little above `enough`. `need` has the bounds that are known, by the limits of levels.
    """
    one, number = np.ones(len(paths.spread)), np.array([spread])
    cycles = max(float(paths.units_cycles()[spread]), float(need.max(initial=0.0)))
    for j in np.argsort(-need, kind="stable").tolist():
        if cycles >= enough or need[j] < NEAR * cycles:
            return cycles
        search = Branches(paths, paths.cycle_prices[j], 0.0 * one, one, number, lambda: np.inf)
        for _ in search.begin():
            pass
        for _ in range(MOST_TURNS):
            if cycles >= enough or search.is_done:
                break
            search.step()
            cycles = max(cycles, float(_whole(np.array([search.least]), paths.low.arch.latency[0])[0]))
    return cycles


def _traded(
    paths: Paths, price: Price, base: Reals, spread: int, choice: Choice, energy: float, cycles: float,
    goal: float,
) -> float:  # fmt: skip
    """Return a lower bound of the EDP of a class whose mapping with the least energy has more than the least
    cycles.

    With a weight on the cycles of a level's words, energy plus weighted cycles have a bound, too. The three
    bounds leave a region with two corners, and the EDP is least in one of them. The weight is that of the
    chord between the points of the hyperbola of the goal with the least energy and with the least cycles.
    """
    most_pj, most_cycles, best = goal / cycles, goal / energy, 0.0
    if most_pj <= energy or most_cycles <= cycles:
        return goal
    weight = (most_pj - energy) / (most_cycles - cycles)
    chord = most_pj + weight * cycles
    for more in paths.cycle_prices:
        search = Branches(
            paths, price._replace(more=more, weight=weight), base, np.ones(len(base)), np.array([spread]),
            lambda: chord,
        )  # fmt: skip
        search.begin_with(choice)
        for _ in range(MOST_TURNS):
            if search.is_done:
                break
            search.step()
        sum_pj = min(search.least, chord)
        corner = max(sum_pj - weight * cycles, energy) * cycles
        other = energy * max((sum_pj - energy) / weight, cycles)
        best = max(best, min(corner, other))
    return best * CLOSE


def _whole(cycles: Reals, latency: int) -> Reals:
    """Return cycles of a level as the model rounds them; a single one counts as none."""
    return np.where(cycles * CLOSE > 1, np.ceil(cycles * CLOSE) + latency, 0.0)


def list_spreads(low: SearchArrays, space: SpacePack) -> Ints | None:
    """(n, S, R): the spatial factors of every storage level that fit its fan-out; None if there are too many,
    or if factors do not multiply to the bounds.
    """
    factors = low.space.factors
    if any((rows.prod(axis=1) != low.layer.bound[dim]).any() for dim, rows in enumerate(factors)):
        return None
    spatial = np.flatnonzero(low.arch.tiling[:, 1] == 1)
    return join_spreads(low, space, (np.unique(rows[:, spatial], axis=0) for rows in factors), MOST_SPREADS)
