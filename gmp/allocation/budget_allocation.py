"""Allocation of levels to layers: the least sum of errors with costs within a budget."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gmp.allocation.coupled_costs import Cost, greedy, lagrange
from gmp.allocation.knapsack import solve
from gmp.errors import PruningError
from gmp.number_checks import at_least_zero, is_number
from sparsim.errors import near

Reals = NDArray[np.float64]
Values = Sequence[float] | Reals
CoupledCost = Callable[[Mapping[str, int]], float]

METHODS = ("dp", "greedy", "lagrange")


class Allocation(NamedTuple):
    """Levels of all layers.

    Parameters
    ----------
    levels : dict of str to int
        Index of the level of each layer.
    error : float
        Sum of the errors of these levels.
    cost : float
        What the levels cost together, at most `budget`.
    budget : float
        The budget.
    optimal : bool
        Whether it is proved that no other levels within the budget have a smaller error.
    """

    levels: dict[str, int]
    error: float
    cost: float
    budget: float
    optimal: bool


def allocate(
    errors: Mapping[str, Values],
    costs: Mapping[str, Values] | CoupledCost,
    budget: float,
    *,
    method: str | None = None,
) -> Allocation:
    """Choose the level of each layer so that the sum of errors is least and the costs are within a budget.

    Parameters
    ----------
    errors : mapping of str to sequence of float
        Error of each level of each layer, such as the increase of the loss. A level with the error infinity
        is never chosen.
    costs : mapping of str to sequence of float, or callable
        Cost of each level of each layer: weights, MACs, seconds, pJ or cycles. Or a function of the levels of
        all layers, a mapping of str to int, for costs that are no sums over layers. Levels then run from the
        dense layer to the one that is pruned most.
    budget : float
        Largest sum of the costs.
    method : str, optional
        "dp", dynamic programming, is exact and needs tables of costs. "greedy" takes the step with the least
        error for its saving until the budget is met. "lagrange" minimises error + price * cost one layer
        after the other and bisects the price. Without it tables are solved by "dp", functions by "greedy".

    Returns
    -------
    Allocation
        The levels.

    Raises
    ------
    PruningError
        If layers or numbers of levels of errors and costs differ, if a number is not finite, or if even the
        cheapest levels exceed the budget.

    Notes
    -----
    This is a multiple-choice knapsack problem. SPDY (Frantar and Alistarh 2022) solves it by dynamic
    programming over 10,000 steps of the budget; here the states keep their costs as they are, so that the
    budget holds exactly. With more than 20,000 states that no other one beats, the best ones of ranges of
    cost are kept, and the result is not `optimal`.

    Examples
    --------
    >>> from gmp import allocate
    >>> found = allocate({"a": [0, 1, 5], "b": [0, 2, 3]}, {"a": [9, 5, 1], "b": [9, 5, 1]}, budget=10)
    >>> found.levels, found.error, found.cost
    ({'a': 1, 'b': 1}, 3.0, 10.0)
    """
    method = method or ("greedy" if callable(costs) else "dp")
    if method not in METHODS:
        raise PruningError(f"unknown method {method!r} of allocation", hint=near(str(method), METHODS))
    budget = at_least_zero(budget, "the budget")
    for name, given in (("errors", errors), ("costs", costs)):
        if not isinstance(given, Mapping) and not (name == "costs" and callable(given)):
            raise PruningError(f"{name} must be lists of numbers by the names of layers, got {given!r}")
    if not errors:
        raise PruningError("there are no layers to allocate a budget to")
    tables = {name: _numbers(values, f"errors of '{name}'") for name, values in errors.items()}
    allowed = {name: np.flatnonzero(values < np.inf) for name, values in tables.items()}
    if closed := [name for name, levels in allowed.items() if not len(levels)]:
        raise PruningError(f"all errors of '{closed[0]}' are infinite")
    lost = [tables[name][levels] for name, levels in allowed.items()]

    def shown(chosen: Sequence[int]) -> dict[str, int]:
        each = zip(allowed.items(), chosen, strict=True)
        return {name: int(levels[i]) for (name, levels), i in each}

    search = {"greedy": greedy, "lagrange": lagrange}.get(method)
    if callable(costs):
        if search is None:
            raise PruningError("the method 'dp' needs a table of costs for each layer, not a function of all")
        cost = _once_each(costs, shown)
        _check_floor(budget, cost(tuple(len(e) - 1 for e in lost)))
        chosen, optimal = search(lost, cost, budget), False
    else:
        prices = _cost_tables(tables, costs)
        each_cost = [prices[name][levels] for name, levels in allowed.items()]
        cost = partial(_summed, each_cost)
        _check_floor(budget, sum(float(c.min()) for c in each_cost))
        if search is None:
            chosen, optimal = solve(lost, each_cost, budget)
        else:
            chosen, optimal = _sorted_search(search, lost, each_cost, budget), False
    return Allocation(shown(chosen), _summed(lost, chosen), cost(tuple(chosen)), budget, optimal)


def _once_each(function: CoupledCost, shown: Callable[[Sequence[int]], dict[str, int]]) -> Cost:
    """Return the cost of levels by their indices, with each cost computed once."""

    @cache
    def cost(chosen: tuple[int, ...]) -> float:
        value = function(shown(chosen))
        if not is_number(value):
            raise PruningError(f"the cost of levels {shown(chosen)} is {value}")
        return float(value)

    return cost


def _check_floor(budget: float, least: float) -> None:
    if least > budget:
        raise PruningError(
            f"the budget is {budget:.6g}, and the cheapest levels of all layers cost {least:.6g}"
        )


def _summed(values: Sequence[Reals], chosen: Sequence[int]) -> float:
    return sum((float(each[i]) for each, i in zip(values, chosen, strict=True)), 0.0)


def _sorted_search(
    search: Callable[[Sequence[Reals], Cost, float], list[int]],
    lost: list[Reals],
    costs: list[Reals],
    budget: float,
) -> list[int]:
    """Run a search with the levels of each layer in the order of falling costs."""
    orders = [np.argsort(-c, kind="stable") for c in costs]
    ordered = [e[order] for e, order in zip(lost, orders, strict=True)]

    prices = [c[order] for c, order in zip(costs, orders, strict=True)]
    found = search(ordered, partial(_summed, prices), budget)
    return [int(order[i]) for order, i in zip(orders, found, strict=True)]


def _cost_tables(errors: Mapping[str, Reals], costs: Mapping[str, Values]) -> dict[str, Reals]:
    if set(costs) != set(errors):
        odd = sorted(set(costs) ^ set(errors))[0]
        where = "costs" if odd in costs else "errors"
        raise PruningError(f"'{odd}' has {where} only; errors and costs must name the same layers")
    found = {name: _numbers(costs[name], f"costs of '{name}'") for name in errors}
    for name, values in found.items():
        if len(values) != len(errors[name]):
            raise PruningError(
                f"'{name}' must have one error and one cost for every level, has {len(errors[name])} errors "
                f"and {len(values)} costs"
            )
        if not np.isfinite(values).all() or (values < 0).any():
            raise PruningError(f"the costs of '{name}' must be finite and at least 0, got {values.tolist()}")
    return found


def _numbers(values: Values, what: str) -> Reals:
    try:
        found = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise PruningError(f"{what} must be one number for each level, got {values!r}") from None
    if found.ndim != 1 or not len(found):
        raise PruningError(f"{what} must be one number for each level, got shape {found.shape}")
    if np.isnan(found).any() or (found == -np.inf).any():
        raise PruningError(f"{what} must not be nan or -inf, got {found.tolist()}")
    return found
