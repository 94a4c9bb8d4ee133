"""Best-first search over the covered bounds of padded and imperfect dims, bounded by classes of mappings.

Every mapping is in one class: its spatial factors and a choice of what is kept. A class is bounded for all
covered bounds at once, then for each of them in rising order, and only those whose bound is below the best
mapping are looked at on their own.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from itertools import count
from typing import NamedTuple

import numpy as np

from sparsim.mapper.bound_constants import SearchArrays
from sparsim.mapper.chain_arrays import access_price, energy_price
from sparsim.mapper.cover_classes import (
    IMPERFECT,
    PADDED,
    CoverClasses,
    CoveredDims,
    list_covering_spreads,
)
from sparsim.mapper.path_search import CLOSE, Counts
from sparsim.mapper.relaxation import Relaxation, Work
from sparsim.model import arrays as packs
from sparsim.model.arrays import Ints, LayerPack, Reals, SpacePack
from sparsim.model.lower import ints
from sparsim.records.objective import ACCESSES

MOST_KEPT = 64  # most choices of what is kept
FLOOR_US, LOOK_US = 1.0, 1e4  # approximate work of bounding a class, of looking at covered bounds
STATES = (800, 12_000)  # most states of the shortest paths of a class, one after the other
PATH_US = (2e3, 1e4)  # approximate work of each

Values = tuple[float, ...]  # lower bounds of the objectives


class _Node(NamedTuple):
    """A class, from some number of repetitions on."""

    bound: Values
    number: int  # decides between equals
    paths: int  # how many shortest paths it is bounded by
    choice: int
    spread: int
    times: tuple[int, ...]
    extra_pj: float  # by how much the shortest path is above the cost of moving every word once
    last: int  # the first dim whose repetitions may grow


class CoverSearch:
    """The relaxation of all covered bounds in steps; `found` is what is known after those made.

    `open_class` bounds the mappings of one class with given covered bounds, and has one evaluated; `try_path`
    has mappings evaluated that are like a path. `goal` returns the values of the best mapping.
    """

    def __init__(
        self, low: SearchArrays, layer: LayerPack, space: SpacePack, dims: CoveredDims, objective: str,
        level: int, goal: Callable[[], Values], open_class: Callable[[Ints, Ints, int], Values | None],
        try_path: Callable[[Ints, Ints, int], object],
    ) -> None:  # fmt: skip
        self.found: Relaxation | None = None
        self._low, self._dims, self._objective = low, dims, objective
        self._goal, self._open_class, self._try_path = goal, open_class, try_path
        self._space, self._layer = space, layer
        self._price = access_price(low, level) if objective.startswith(ACCESSES) else energy_price(low)
        self._number, self._open = count(), list[_Node]()
        self._stuck: list[Values] = []
        self._least: Values = (math.inf,)  # of all bounds by shortest paths
        self._searched = self._opened = self._classes_number = 0
        self._spread = self._times = self._most = ints(0, 0)
        self._choices: list[CoverClasses] = []

    def steps(self) -> Work[None]:
        """Yield the work of each step before it is made."""
        spread = list_covering_spreads(self._low, self._space, self._dims)
        if spread is None or not len(spread):
            return
        self._spread = spread
        total = spread.prod(axis=1)
        self._times, self._most = -(-self._dims.least // total), self._dims.most // total
        yield FLOOR_US * len(spread) * len(self._low.space.keep)
        self._begin()
        self._tell()
        while self._open and self._open[0].bound < self._lowered(self._goal()):
            node = heapq.heappop(self._open)
            yield PATH_US[node.paths] if node.paths < len(STATES) else LOOK_US
            if node.paths < len(STATES):
                self._search(node)
            else:
                self._look_at(node)
            self._tell()
        self._tell()

    @property
    def is_done(self) -> bool:
        return self.found is not None and not (self._open and self._open[0].bound < self._goal())

    def _lowered(self, values: Values) -> Values:
        return (*values[:-1], values[-1] * CLOSE)

    def _begin(self) -> None:
        """Bound all classes by the cost of moving every word once."""
        for choice, keep in enumerate(self._low.space.keep):
            classes = CoverClasses(self._low, self._layer, self._dims, self._price, keep)
            self._choices.append(classes)
            pj = self._floors(choice, self._spread, self._times)
            for i, bound in enumerate(self._values(pj, self._times)):
                times = tuple(self._times[i].tolist())
                self._open.append(_Node(bound, next(self._number), 0, choice, i, times, 0.0, 0))
        self._classes_number = len(self._open)
        heapq.heapify(self._open)

    def _floors(self, choice: int, spread: Ints, times: Ints) -> Reals:
        """Return (n,): the least energy, or accesses, of classes if every word moves once."""
        found = self._choices[choice].words(spread, times)
        return found.certain + found.floor.sum(axis=1) + self._base(spread, times)

    def _base(self, spread: Ints, times: Ints) -> Reals:
        """Return (n,): the energy of the arithmetic and of leakage."""
        if self._objective.startswith(ACCESSES):
            return np.zeros(len(times))
        covered = np.where(self._dims.kind == IMPERFECT, self._dims.least, times * spread.prod(axis=1))
        pj = float(self._low.arch.compute_energy[packs.RANDOM])
        base: Reals = covered.astype(np.float64).prod(axis=1) * pj
        return base + self._low.leak_pj * times.astype(np.float64).prod(axis=1)

    def _values(self, pj: Reals, times: Ints) -> list[Values]:
        """Return the objectives by which classes are compared."""
        cycles = self._cycles(times)
        if self._objective == "delay":
            return list(zip(cycles.tolist(), pj.tolist(), strict=True))
        if self._objective == "edp":
            return [(value,) for value in (pj * cycles).tolist()]
        return [(value,) for value in pj.tolist()]

    def _cycles(self, times: Ints) -> Reals:
        found: Reals = times.astype(np.float64).prod(axis=1) + float(self._low.arch.latency[0])
        return found

    def _search(self, node: _Node) -> None:
        """Bound a class by a shortest path."""
        spread, times = self._spread[node.spread], np.array(node.times)
        base = float(self._base(spread[None], times[None])[0])
        goal, cycles = self._goal(), self._cycles(times[None])[0]
        limit = goal[-1]
        if self._objective == "edp":
            limit = goal[0] / cycles
        if self._objective == "delay" and cycles < goal[0]:
            limit = math.inf
        self._searched += node.paths == 0
        detail = node.paths if goal[0] < math.inf else len(STATES) - 1
        cost, _ = self._choices[node.choice].path(spread, times, limit - base, STATES[detail])
        if cost + base >= limit:  # also where nothing fits
            return
        floor = float(self._floors(node.choice, spread[None], times[None])[0])
        pj = max(cost + base, floor)
        bound = max(node.bound, self._values(np.array([pj]), times[None])[0])
        found = node._replace(bound=bound, number=next(self._number), paths=detail + 1, extra_pj=pj - floor)
        if found.paths == len(STATES) and bound < self._least:
            self._least = bound
            self._look_at(found)  # its mappings are likely to be good, and limit the other searches
        else:
            heapq.heappush(self._open, found)

    def _look_at(self, node: _Node) -> None:
        """Look at the least covered bounds of a node on their own, and make nodes of the larger ones."""
        for dim in range(node.last, len(node.times)):
            if self._dims.kind[dim] == PADDED and node.times[dim] < self._most[node.spread, dim]:
                more = list(node.times)
                more[dim] += 1
                heapq.heappush(self._open, self._larger(node, tuple(more), dim))
        spread = self._spread[node.spread]
        if (self._dims.kind == IMPERFECT).any():
            times = np.array(node.times)
            _, loops = self._choices[node.choice].path(spread, times, math.inf, STATES[-1], trace=True)
            self._try_path(spread, loops, node.choice)
            self._stuck.append(node.bound)
            return
        self._opened += 1
        covered = np.array(node.times) * spread.prod(axis=0)
        found = self._open_class(covered, spread, node.choice)
        if found is not None:
            self._stuck.append(max(found, node.bound))

    def _larger(self, node: _Node, times: tuple[int, ...], last: int) -> _Node:
        at, spread = np.array([times]), self._spread[node.spread][None]
        floor = self._floors(node.choice, spread, at)
        if (self._price.block == 1).all():
            pj = floor + node.extra_pj * CLOSE
        else:
            before = self._floors(node.choice, spread, np.array([node.times]))
            pj = np.maximum(floor, before + node.extra_pj)
            node = node._replace(extra_pj=float((pj - floor)[0]))
        bound = max(node.bound, self._values(pj, at)[0])
        return node._replace(bound=bound, number=next(self._number), times=times, last=last)

    def _tell(self) -> None:
        least = min([*self._stuck, *(node.bound for node in self._open[:1]), self._goal()])
        self._stuck = [min(self._stuck)] if self._stuck else []
        value, energy = least[0], least[-1] * CLOSE
        if self._objective != "delay":
            value = energy
        if self._objective.startswith(ACCESSES):
            value = float(np.ceil(value))
        self.found = Relaxation(value, energy, (), Counts(self._classes_number, self._searched, self._opened))
