"""NetAdapt (Yang et al. 2018): channels of one group at a time, until a network meets a budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import nn

from gmp.channels.channel_costs import ChannelCost, checked_cost
from gmp.channels.channel_groups import channel_groups
from gmp.channels.channel_probe import evaluating
from gmp.channels.channel_records import ChannelGroups
from gmp.channels.channel_scores import ChannelScore, score_channels
from gmp.channels.narrowing import Narrowed, Spec, narrow
from gmp.errors import PruningError
from gmp.number_checks import above_zero, fraction, returned, whole

SMALLEST = 1e-4  # share of the initial cost; a smaller saving is no progress


@dataclass(frozen=True, eq=False)
class AdaptedNetwork:
    """The network after one iteration of `netadapt_channels`.

    Parameters
    ----------
    group : str
        Name of the group that lost channels.
    counts : dict of str to int
        Number of channels left in each group.
    cost : float
        Cost of the network.
    loss : float
        Its loss after tuning.
    model : nn.Module
        The network, narrowed.
    spec : dict
        What `rebuild` needs to give a fresh network its shapes.
    step : float
        Saving that the next iteration tries first.
    """

    group: str
    counts: dict[str, int]
    cost: float
    loss: float
    model: nn.Module
    spec: Spec
    step: float


def netadapt_channels(
    model: nn.Module,
    groups: ChannelGroups,
    cost: ChannelCost,
    budget: float,
    loss: Callable[[nn.Module], float],
    *,
    tune: Callable[[nn.Module], object] = lambda model: None,
    tuned: int = 3,
    first: float = 0.05,
    decay: float = 0.96,
    score: str | ChannelScore = "l2",
    multiple: int = 1,
    least: int = 1,
    after: Spec | None = None,
    series: Sequence[AdaptedNetwork] = (),
    adapted: Callable[[AdaptedNetwork], object] = lambda network: None,
) -> list[AdaptedNetwork]:
    """Remove channels of one group at a time until a network costs no more than a budget.

    Parameters
    ----------
    model : nn.Module
        The network, which is not changed.
    groups : ChannelGroups
        Its groups.
    cost : callable
        Cost by the number of channels left in each group: parameters, MACs, measured seconds, energy or
        cycles.
    budget : float
        Cost that the last network must not exceed.
    loss : callable
        Called as ``loss(model)`` with each candidate in evaluation mode. Returns its loss on data that are
        held back from training and test; lower is better.
    tune : callable, default lambda model: None
        Called as ``tune(model)`` with the best candidates, to train them for some steps. No masks are needed,
        because the channels are removed.
    tuned : int, default 3
        Number of candidates of each iteration that are tuned: those with the least loss per saving before
        tuning.
    first : float, default 0.05
        Fraction of the cost at the start that the first iteration has to save, above 0 and up to 1.
    decay : float, default 0.96
        Factor from the saving of one iteration to that of the next, above 0 and up to 1.
    score : str or callable, default "l2"
        Score of the channels of a group, as in `score_channels`; those with the highest scores stay.
    multiple : int, default 1
        Numbers of remaining channels are multiples of this.
    least : int, default 1
        Smallest number of channels of each group.
    after : dict, optional
        The `spec` of the narrowing that made this network, if there was one, as in `narrow`.
    series : sequence of AdaptedNetwork, default ()
        Networks of an interrupted search with the same arguments, which is continued after the last of them.
    adapted : callable, default lambda network: None
        Called with each new network of the series, for example to store it.

    Returns
    -------
    list of AdaptedNetwork
        The network after each iteration; each is smaller than the one before.

    Raises
    ------
    PruningError
        If options do not fit; if all iterations together cannot save enough, or the budget is below the cost
        of the fewest channels, before anything is done; if a loss or a cost is not a finite number; or if no
        group alone can save more.

    Notes
    -----
    Iteration i has to save first * decay^i of the initial cost, so all iterations together save at most
    first / (1 - decay) of it. The candidates of an iteration are one network for each group, in which this
    group loses as many channels as the saving needs. The candidate with the least loss per saving is kept,
    where a loss that falls counts as zero; of equal candidates the one that saves most is kept.
    """
    budget, steps = above_zero(budget, "the budget"), (whole(multiple, "multiple"), whole(least, "least"))
    cost, tuned = checked_cost(cost), whole(tuned, "tuned")
    counts = {group.name: group.channels for group in groups}
    start = now = cost(counts)
    first, decay = _positive(first, "first"), _positive(decay, "decay")
    _check_reach(cost, counts, budget, first, decay, steps)
    found, step = list(series), first * start
    if found:
        last = found[-1]
        step, model = last.step, last.model
        state = _State(model, _groups(model, groups), last.counts, last.cost, last.loss, last.spec)
    else:
        state = _State(model, groups, counts, now, _loss(loss, model, "of the network"), after)
    while state.cost > budget:
        target = max(budget, state.cost - step)
        best = _best(state, cost, target, loss, tune, tuned, score, steps)
        if best is None:
            step /= 2
            if step < SMALLEST * start:
                raise PruningError(f"no group alone takes the cost from {state.cost:.6g} to less")
            continue
        group, narrowed, state = best
        step *= decay
        found.append(
            AdaptedNetwork(group, state.counts, state.cost, state.loss, narrowed.model, narrowed.spec, step)
        )
        adapted(found[-1])
    return found


@dataclass(frozen=True, eq=False)
class _State:
    """An intermediate network. `groups` are its groups, and `spec` describes the channels removed so far."""

    model: nn.Module
    groups: ChannelGroups
    counts: dict[str, int]
    cost: float
    loss: float
    spec: Spec | None


def _check_reach(
    cost: ChannelCost,
    counts: dict[str, int],
    budget: float,
    first: float,
    decay: float,
    steps: tuple[int, int],
) -> None:
    start, least = cost(counts), cost({name: _fewest(count, steps) for name, count in counts.items()})
    if least > budget:
        raise PruningError(f"the budget is {budget:.6g}, and the fewest channels cost {least:.6g}")
    needed, reach = 1 - budget / start, first / (1 - decay) if decay < 1 else math.inf
    if needed > reach:
        raise PruningError(
            f"the budget needs {needed:.1%} of the cost to be saved, and steps of {first:g} that shrink by "
            f"{decay:g} save at most {reach:.1%}: raise first or decay"
        )


class _Candidate(NamedTuple):
    rank: tuple[float, float]
    group: str
    counts: dict[str, int]
    narrowed: Narrowed
    loss: float


def _best(
    state: _State, cost: ChannelCost, target: float, loss: Callable[[nn.Module], float],
    tune: Callable[[nn.Module], object], tuned: int, score: str | ChannelScore, steps: tuple[int, int],
) -> tuple[str, Narrowed, _State] | None:  # fmt: skip
    """Return the best network with one group reduced to meet the target; None if no group can."""

    def judged(group: str, counts: dict[str, int], narrowed: Narrowed) -> _Candidate:
        value = _loss(loss, narrowed.model, f"with fewer channels of '{group}'")
        return _Candidate(_rank(state, value, cost(counts)), group, counts, narrowed, value)

    scores, tried = score_channels(state.model, state.groups, score), list[_Candidate]()
    for group in state.groups:
        count = _count(state, cost, group.name, target, steps)
        if count is not None:
            left = sorted(scores[group.name].argsort(descending=True, stable=True)[:count].tolist())
            narrowed = narrow(state.model, state.groups, {group.name: left}, after=state.spec)
            tried.append(judged(group.name, {**state.counts, group.name: count}, narrowed))
    if not tried:
        return None
    ranked = []
    for each in sorted(tried, key=lambda each: each.rank)[:tuned]:
        tune(each.narrowed.model)
        ranked.append(judged(each.group, each.counts, each.narrowed))
    best = min(ranked, key=lambda each: each.rank)
    model = best.narrowed.model
    now = _State(
        model, _groups(model, state.groups), best.counts, cost(best.counts), best.loss, best.narrowed.spec
    )
    return best.group, best.narrowed, now


def _groups(model: nn.Module, before: ChannelGroups) -> ChannelGroups:
    """Return the groups of a narrower network. What was fixed or ignored stays so."""
    ignored = [name for group in before.fixed for name in group.layers("outputs")]
    return channel_groups(model, before.example, ignore=ignored, forward=before.forward)


def _loss(loss: Callable[[nn.Module], float], model: nn.Module, what: str) -> float:
    with evaluating(model):
        return returned(loss(model), f"the loss {what}")


def _rank(state: _State, loss: float, cost: float) -> tuple[float, float]:
    """Return the loss per saving, and the saving, as the rank of a network."""
    saved = state.cost - cost
    return max(0.0, loss - state.loss) / saved, -saved


def _count(state: _State, cost: ChannelCost, name: str, target: float, steps: tuple[int, int]) -> int | None:
    """Return the largest number of channels of a group that meets the target; None if the fewest do not, or
    save nothing.
    """
    multiple, _ = steps
    fewest = _fewest(state.counts[name], steps)
    levels = [n for n in range(fewest, state.counts[name]) if n % multiple == 0 or n == fewest]
    low, high = 0, len(levels)
    while low < high:  # bisection, because costs rise with the number
        middle = (low + high) // 2
        if cost({**state.counts, name: levels[middle]}) <= target:
            low = middle + 1
        else:
            high = middle
    return levels[low - 1] if low else None


def _fewest(count: int, steps: tuple[int, int]) -> int:
    multiple, least = steps
    return min(count, -(-least // multiple) * multiple)


def _positive(value: float, what: str) -> float:
    if fraction(value, what) == 0:
        raise PruningError(f"{what} is 0; it must be more")
    return float(value)
