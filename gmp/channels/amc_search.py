"""AMC (He et al. 2018): an agent that learns how many channels each group keeps, compared with other
searches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import nn

from gmp.channels.channel_candidates import ChannelCandidates
from gmp.channels.channel_costs import ChannelCost
from gmp.channels.channel_searches import (
    BudgetWall,
    ChannelChoice,
    Counts,
    Search,
    greedy_search,
    random_search,
    table_search,
    uniform,
)
from gmp.channels.ddpg_agent import DdpgAgent
from gmp.channels.narrow_layers import channels_of
from gmp.number_checks import seed_number, whole
from gmp.parameter_names import module_called
from sparsim.report.tables import Table

# standard deviation of the noise after the warm-up, and its factor from episode to episode
SIGMA, FALLING = 0.5, 0.95
WARM_UP = 1 / 3  # share of the episodes with random actions
REMEMBERED = 100  # episodes
UPDATES = 10  # of the agent after each episode


@dataclass(frozen=True)
class AmcReport:
    """Results of the agent and of the searches that it is compared with.

    Parameters
    ----------
    choices : tuple of ChannelChoice
        The best network of each method: "uniform", "table", "greedy", "random" and "amc".
    budget : float
        The budget.
    dense_loss : float
        Loss of the network with all channels.
    dense_cost : float
        Its cost.
    losses : tuple of float
        Loss of each episode of the agent; its warm-up comes first.
    costs : tuple of float
        Cost of each episode.
    """

    choices: tuple[ChannelChoice, ...]
    budget: float
    dense_loss: float
    dense_cost: float
    losses: tuple[float, ...]
    costs: tuple[float, ...]

    @property
    def best(self) -> ChannelChoice:
        """The choice with the lowest loss."""
        return min(self.choices, key=lambda choice: choice.loss)

    def __getitem__(self, method: str) -> ChannelChoice:
        return {choice.method: choice for choice in self.choices}[method]

    def table(self) -> Table:
        """Return the methods side by side as a table for a terminal.

        Returns
        -------
        Table
            A row for each method: share of the cost, loss, channels left, evaluations and CPU seconds.
        """
        rows = [
            (each.method, f"{each.cost / self.dense_cost:.1%}", f"{each.loss:.4g}",
             " ".join(map(str, each.counts.values())), each.evaluations, f"{each.cpu_s:.1f}")
            for each in self.choices
        ]  # fmt: skip
        note = f"the whole network has a loss of {self.dense_loss:.4g}, the budget is {self.budget:.4g}"
        return Table(
            ["method", "cost", "loss", "channels", "evaluations", "CPU s"], rows, notes=[note], text=(0, 3)
        )


def amc(
    candidates: ChannelCandidates,
    cost: ChannelCost,
    budget: float,
    *,
    episodes: int = 300,
    seed: int = 0,
    progress: Callable[[str], object] = lambda text: None,
) -> AmcReport:
    """Search the numbers of channels within a budget by an agent, and by methods that need none.

    Parameters
    ----------
    candidates : ChannelCandidates
        Networks that the searches evaluate, with their losses.
    cost : callable
        Cost by the number of channels left in each group: parameters, MACs, measured seconds, energy or
        cycles.
    budget : float
        Largest cost.
    episodes : int, default 300
        Number of networks that the agent evaluates; in the first third its actions are random.
    seed : int, default 0
        Seed of the agent and of the random search.
    progress : callable, optional
        Called with a short text after each method and each tenth of the episodes.

    Returns
    -------
    AmcReport
        The best network of each method.

    Raises
    ------
    PruningError
        If `episodes` is not a positive integer or `seed` is negative, if even the fewest channels cost more
        than the budget or all channels cost no more, or if a loss or a cost is not a finite number.

    Notes
    -----
    The agent decides group after group. It is a DDPG agent (Lillicrap et al. 2015) as in AMC, with three
    differences. It acts on groups instead of layers. Its action is limited to what the budget allows at the
    cost of the rounded numbers, so no network exceeds the budget. Its reward is the negative loss, which is
    smoother than an accuracy. The random search makes as many evaluations under the same limit. On small
    networks the agent is rarely better than it, so compare the rows of the table before you use the agent.
    """
    episodes, seed = whole(episodes, "episodes"), seed_number(seed)
    wall = BudgetWall(candidates.levels, cost, budget)
    choices = []
    for method in (uniform, table_search, greedy_search):
        choices.append(method(candidates, wall))
        progress(choices[-1].method)
    choices.append(random_search(candidates, wall, episodes, seed))
    progress("random")
    choice, losses, costs = _agent_search(candidates, wall, episodes, seed, progress)
    choices.append(choice)
    return AmcReport(tuple(choices), wall.budget, candidates.loss({}), wall.most, tuple(losses), tuple(costs))


def _agent_search(
    candidates: ChannelCandidates,
    wall: BudgetWall,
    episodes: int,
    seed: int,
    progress: Callable[[str], object],
) -> tuple[ChannelChoice, list[float], list[float]]:
    search, draw = Search("amc", candidates, wall), np.random.default_rng([seed, 1])
    states = _States(candidates.model, candidates, wall)
    agent = DdpgAgent(states.size, REMEMBERED * len(wall.levels), draw)
    warm_up, losses, costs = max(1, round(WARM_UP * episodes)), [], []
    for episode in range(episodes):
        sigma = SIGMA * FALLING ** (episode - warm_up) if episode >= warm_up else None
        steps, counts = _episode(agent, states, wall, sigma, draw)
        losses.append(search.loss(counts))
        costs.append(wall.cost(counts))
        agent.remember(steps, -losses[-1])
        if sigma is not None:
            agent.learn(UPDATES)
        if (episode + 1) % max(1, episodes // 10) == 0:
            progress(f"amc: episode {episode + 1} of {episodes}")
    return search.done(), losses, costs


def _episode(
    agent: DdpgAgent, states: _States, wall: BudgetWall, sigma: float | None, draw: np.random.Generator
) -> tuple[list[tuple[list[float], float]], Counts]:
    """Run an episode. Returns the states, the actions within the budget, and the channels. Actions are random
    without `sigma`.
    """
    seen: list[list[float]] = []

    def choose(name: str, decided: Counts) -> float:
        seen.append(states(name, decided))
        return float(draw.uniform()) if sigma is None else agent.act(seen[-1], sigma)

    counts = wall.walk(choose) or dict(wall.fewest)
    taken = [_fraction(wall, name, count) for name, count in counts.items()]
    return list(zip(seen, taken, strict=True)), counts


def _fraction(wall: BudgetWall, name: str, count: int) -> float:
    low, high = wall.fewest[name], wall.all[name]
    return (count - low) / (high - low) if high > low else 1.0


class _States:
    """The observations of the agent before it decides on a group; all numbers are from 0 to 1."""

    def __init__(self, model: nn.Module, candidates: ChannelCandidates, wall: BudgetWall) -> None:
        self._wall = wall
        rows = []
        for i, group in enumerate(candidates.groups):
            layers = [module_called(model, name) for name in group.layers("outputs")]
            users = [module_called(model, name) for name in group.layers("inputs")]
            alone = wall.most - wall.cost({**wall.all, group.name: wall.fewest[group.name]})
            rows.append([
                i, group.channels, sum(channels_of(layer, "inputs") for layer in layers),
                sum(channels_of(user, "outputs") for user in users),
                max(_side(layer, "kernel_size") for layer in layers),
                max(_side(layer, "stride") for layer in layers), len(layers), alone,
            ])  # fmt: skip
        table = np.array(rows, np.float64)
        span = np.ptp(table, axis=0)
        scaled = (table - table.min(axis=0)) / np.where(span > 0, span, 1)
        self._static = {
            group.name: row.tolist() for group, row in zip(candidates.groups, scaled, strict=True)
        }
        self.size = table.shape[1] + 3

    def __call__(self, name: str, decided: Counts) -> list[float]:
        wall = self._wall
        now = wall.cost({**wall.all, **decided})
        rest = now - wall.cost({**wall.fewest, **decided})
        last = _fraction(wall, *list(decided.items())[-1]) if decided else 1.0
        return [*self._static[name], 1 - now / wall.most, rest / wall.most, last]


def _side(layer: nn.Module, key: str) -> int:
    sides = getattr(layer, key, 1)
    return max(sides) if isinstance(sides, tuple) else int(sides)
