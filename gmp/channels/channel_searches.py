"""Searches for the number of channels that each group keeps within a budget, without an agent.

All searches use the same limit: the number of channels of a group is limited so that the budget is still
sufficient for the fewest channels of the remaining groups. The limit uses the exact cost of the whole
network, so no network exceeds the budget for any cost function.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gmp.allocation import allocate
from gmp.channels.channel_candidates import ChannelCandidates
from gmp.channels.channel_costs import ChannelCost, checked_cost
from gmp.errors import PruningError
from gmp.number_checks import above_zero

Counts = dict[str, int]


class ChannelChoice(NamedTuple):
    """Numbers of channels that a search has found.

    Parameters
    ----------
    method : str
        Name of the search.
    counts : dict of str to int
        Number of channels left in each group.
    cost : float
        Cost of the network, at most the budget.
    loss : float
        Its loss.
    evaluations : int
        Number of networks that this search evaluated and no earlier search had evaluated.
    cpu_s : float
        CPU seconds of the search.
    """

    method: str
    counts: Counts
    cost: float
    loss: float
    evaluations: int
    cpu_s: float


class BudgetWall:
    """Numbers of channels that a budget allows.

    Raises PruningError if the budget is below the cost of the fewest channels, or not below that of all.
    """

    def __init__(self, levels: Mapping[str, Sequence[int]], cost: ChannelCost, budget: float) -> None:
        self.levels = {name: list(each) for name, each in levels.items()}
        self.cost, self.budget = checked_cost(cost), above_zero(budget, "the budget")
        self.fewest = {name: each[0] for name, each in self.levels.items()}
        self.all = {name: each[-1] for name, each in self.levels.items()}
        self.least, self.most = self.cost(self.fewest), self.cost(self.all)
        if self.least > self.budget:
            raise PruningError(f"the budget is {budget:.6g}, and the fewest channels cost {self.least:.6g}")
        if self.most <= self.budget:
            raise PruningError(f"the budget is {budget:.6g}, and all channels cost only {self.most:.6g}")

    def within(self, counts: Mapping[str, int]) -> bool:
        """Return whether a network costs no more than the budget."""
        return self.cost(counts) <= self.budget

    def most_for(self, name: str, decided: Counts) -> int:
        """Return the most channels of a group, given the decided groups, with which the others can have their
        fewest.
        """
        levels = self.levels[name]
        low, high = 0, len(levels) - 1
        while low < high:  # costs rise with the number
            middle = (low + high + 1) // 2
            if self.within({**self.fewest, **decided, name: levels[middle]}):
                low = middle
            else:
                high = middle - 1
        return levels[low]

    def walk(self, choose: Callable[[str, Counts], float]) -> Counts | None:
        """Decide group by group; `choose` returns a fraction between a group's fewest channels and all.

        Returns None if the cost, which need not be monotone, exceeds the budget in the end.
        """
        decided: Counts = {}
        for name, levels in self.levels.items():
            wanted = levels[0] + choose(name, decided) * (levels[-1] - levels[0])
            nearest = min(levels, key=lambda level: abs(level - wanted))
            decided[name] = min(nearest, self.most_for(name, decided))
        return decided if self.within(decided) else None


class Search:
    """A running search, which counts its evaluations and its time, and keeps the best network."""

    def __init__(self, method: str, candidates: ChannelCandidates, wall: BudgetWall) -> None:
        self.method, self._candidates, self._wall = method, candidates, wall
        self._before, self._started = candidates.evaluations, time.process_time()
        self._best: tuple[float, Counts] | None = None

    def loss(self, counts: Counts) -> float:
        """Return the loss of a network within the budget."""
        loss = self._candidates.loss(counts)
        if self._best is None or loss < self._best[0]:
            self._best = loss, dict(counts)
        return loss

    def done(self) -> ChannelChoice:
        """Return the best network."""
        assert self._best is not None
        loss, counts = self._best
        return ChannelChoice(
            self.method, counts, self._wall.cost(counts), loss, self._candidates.evaluations - self._before,
            time.process_time() - self._started,
        )  # fmt: skip


def uniform(candidates: ChannelCandidates, wall: BudgetWall) -> ChannelChoice:
    """Find the largest common share of channels in all groups that the budget allows."""
    search = Search("uniform", candidates, wall)
    best = dict(wall.fewest)
    for share in np.linspace(0, 1, 257):
        counts = {
            name: max((n for n in levels if n <= share * levels[-1]), default=levels[0])
            for name, levels in wall.levels.items()
        }
        if wall.within(counts):
            best = counts
    search.loss(best)
    return search.done()


def random_search(
    candidates: ChannelCandidates, wall: BudgetWall, evaluations: int, seed: int
) -> ChannelChoice:
    """Find the best of some networks that are drawn uniformly within the budget, groups in random order."""
    search, draw = Search("random", candidates, wall), np.random.default_rng(seed)
    for _ in range(evaluations):
        counts = wall.walk(lambda name, decided: draw.uniform())
        search.loss(dict(wall.fewest) if counts is None else counts)
    return search.done()


def table_search(candidates: ChannelCandidates, wall: BudgetWall) -> ChannelChoice:
    """Minimise the sum of the losses of groups that are reduced one at a time, made monotone
    (`gmp.allocate`).
    """
    search = Search("table", candidates, wall)
    falling = {name: levels[::-1] for name, levels in wall.levels.items()}
    errors = {
        name: np.maximum.accumulate([candidates.loss({name: count}) for count in levels])
        for name, levels in falling.items()
    }
    found = allocate(
        {name: (each - each[0]).tolist() for name, each in errors.items()},
        lambda levels: wall.cost({name: falling[name][i] for name, i in levels.items()}),
        wall.budget,
    )
    search.loss({name: falling[name][i] for name, i in found.levels.items()})
    return search.done()


def greedy_search(candidates: ChannelCandidates, wall: BudgetWall) -> ChannelChoice:
    """Repeatedly reduce the group with the least loss per saving by one level, until the budget is met."""
    search, counts = Search("greedy", candidates, wall), dict(wall.all)
    while not wall.within(counts):
        now, cost, steps = candidates.loss(counts), wall.cost(counts), []
        for name, levels in wall.levels.items():
            if counts[name] > levels[0]:
                fewer = {**counts, name: levels[levels.index(counts[name]) - 1]}
                if (saved := cost - wall.cost(fewer)) > 0:
                    steps.append((max(0.0, candidates.loss(fewer) - now) / saved, -saved, name, fewer))
        counts = min(steps)[3] if steps else dict(wall.fewest)
    search.loss(counts)
    return search.done()
