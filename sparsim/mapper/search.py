"""`search`: the best mapping of a layer in a mapspace, and what is proven about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from sparsim.errors import MappingError, SpecError, near, warn_of_energies
from sparsim.evaluation import Accounting
from sparsim.lower import ACCOUNTING
from sparsim.mapper.engine import Budget, BudgetError, Engine, Problem, Progress
from sparsim.mapper.exhaustive import search_all
from sparsim.mapper.objective import UNITS, Objective, metrics_of
from sparsim.mapper.parts import Part, list_parts, total_sizes
from sparsim.mapper.result import Certificate, SearchResult
from sparsim.mapper.sampling import search_local, search_random
from sparsim.mapper.space import Sizes, sizes
from sparsim.spec import Architecture, EnergyTable, Layer, Mapspace, SparsePolicy
from sparsim.spec.check import check_search
from sparsim.spec.limits import as_real, check_whole

METHODS = ("auto", "exhaustive", "random", "local")
MOST_CANDIDATES = 10**9  # that "auto" enumerates
MOST_MAPPINGS = 10**11
MOST_THREADS = 1024
MOST_TOP = 100_000
WARM_UP = 4000  # mappings that a local search tries before the enumeration
TRIES = 100_000  # mappings that random and local search draw without a budget
TRIES_PER_EVALUATION = 100  # that they draw for each mapping they may evaluate

ARTICLES = {"energy": "an", "delay": "a", "edp": "an"}

Method = Literal["auto", "exhaustive", "random", "local"]


def search(
    arch: Architecture,
    layer: Layer,
    policy: SparsePolicy | None,
    energy: EnergyTable | None,
    mapspace: Mapspace,
    *,
    objective: Objective = "edp",
    method: Method = "auto",
    evaluations: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    threads: int = 1,
    top: int = 1,
    accounting: Accounting = "timeloop-3",
    progress: Callable[[Progress], None] | None = None,
) -> SearchResult:
    """The best mapping of `layer` on `arch` that `mapspace` allows, with a certificate.

    `objective`: "energy", "delay", "edp", or several of them, compared exactly and in this order; between
    equals the first in the mapspace wins. `method`: "exhaustive" proves the optimum, "random" and "local" try
    mappings, "auto" is exhaustive where the space is small enough, else local. `evaluations` and `seconds`
    end the search early, as Ctrl-C does once there is a mapping; the best so far is returned with the proven
    gap. Random and local search draw 100 mappings for each evaluation allowed, or 100000 without a budget.
    `top`: how many mappings to return. Of dims in the mapspace's `divisibility` all covered bounds are
    searched, and between equals less padding wins. Loops of bound 1 among the free dims of a level stand
    innermost, in the shape's order.

    The result depends on `seed` (random, local), not on `threads`. Energies that are given in vain or missing
    are an EnergyWarning. Raises SpecError for wrong arguments,
    EmptyMapspaceError if the constraints leave no factors, MappingError if no valid mapping was found.
    """
    metrics = metrics_of(objective)
    if method not in METHODS:
        raise SpecError(f"unknown method '{method}'", path="search", hint=near(method, METHODS))
    if accounting not in ACCOUNTING:
        raise SpecError(f"unknown accounting '{accounting}'", hint=near(accounting, ACCOUNTING))
    check_whole("search", "evaluations", evaluations, 1)
    check_whole("search", "threads", threads, 1, MOST_THREADS)
    check_whole("search", "top", top, 1, MOST_TOP)
    check_whole("search", "seed", seed)
    if seconds is not None and not as_real("search", "seconds", seconds) > 0:
        raise SpecError(f"seconds is {seconds}, allowed is more than 0", path="search")
    parts = list_parts(arch, layer, mapspace)
    warn_of_energies(check_search(arch, layer, policy, energy, mapspace))
    number = total_sizes(parts)
    if method == "auto":
        method = "exhaustive" if _is_small(number) else "local"
    engine = Engine(
        Problem(arch, parts[0].layer, policy, energy, accounting), parts[0].space, metrics,
        top=top, threads=threads, budget=Budget(evaluations, seconds), progress=progress,
    )  # fmt: skip
    complete = _search_parts(engine, parts, method, seed)
    if not engine.best:
        if engine.interrupted:
            raise KeyboardInterrupt
        raise MappingError(_nothing(engine, mapspace, layer, complete))
    return SearchResult(
        objective=metrics,
        method=method,
        top=tuple(engine.found(entry) for entry in engine.best),
        certificate=_certificate(engine, mapspace, complete),
        statistics=engine.statistics(),
        sizes=number,
        interrupted=engine.interrupted,
    )


def _is_small(number: Sizes) -> bool:
    return number.factorisations * number.bypasses <= MOST_CANDIDATES and number.total <= MOST_MAPPINGS


def _search_parts(engine: Engine, parts: list[Part], method: str, seed: int) -> bool:
    """Search part after part, with the best so far as the limit; whether all of the space is accounted for.

    Random and local search share their budgets among the parts.
    """
    budget, tries, complete = engine.budget, _tries(engine.budget), True
    for i, part in enumerate(parts):
        if i > 0:
            _enter(engine, part)
        if method == "exhaustive":
            done = engine.cannot_win() or _run(engine, method, seed, None)
        else:
            engine.budget = budget.share((i + 1) / len(parts))
            done = _run(engine, method, seed, None if tries is None else -(-tries // len(parts)))
        if not done and engine.relaxed is None and budget.seconds is None and not engine.interrupted:
            engine.relax()
        complete = complete and done
    return complete


def _enter(engine: Engine, part: Part) -> None:
    """Go on with `part`; also after Ctrl-C, as its lower bound counts."""
    problem = engine.problem._replace(layer=part.layer)
    try:
        engine.enter(problem, part.space)
    except KeyboardInterrupt:
        engine.interrupted = True
        engine.enter(problem, part.space)


def _run(engine: Engine, method: str, seed: int, tries: int | None) -> bool:
    """Run one method in one part; whether all of the part is accounted for."""
    if engine.interrupted:
        return False
    try:
        if method == "exhaustive":
            search_local(engine, seed, min(WARM_UP, sizes(engine.space).total))
            search_all(engine)
            return True
        engine.relax()
        (search_random if method == "random" else search_local)(engine, seed, tries)
    except BudgetError:
        pass
    except KeyboardInterrupt:
        engine.interrupted = True
    return False


def _tries(budget: Budget) -> int | None:
    """Draws of random and local search: most are rejected before they are evaluated."""
    if budget.evaluations is not None:
        return TRIES_PER_EVALUATION * budget.evaluations
    return TRIES if budget.seconds is None else None


def _certificate(engine: Engine, mapspace: Mapspace, complete: bool) -> Certificate:
    metric, value = engine.metrics[0], engine.best[0].values[0]
    seen = engine.statistics()
    if complete:
        return Certificate(
            kind="optimal", metric=metric, value=value, lower_bound=value, gap=0.0,
            statement=f"no mapping in mapspace '{mapspace.name}' is better in {', '.join(engine.metrics)}: "
            f"of {seen.candidates} candidates {seen.candidates_over_fan_out} exceed the fan-out, "
            f"{seen.candidates_over_capacity} a capacity, {seen.candidates_over_bound} the best by their "
            f"lower bound, and all arrangements of the other {engine.passed} were bounded or evaluated",
        )  # fmt: skip
    lower = min(*engine.floors, value)
    gap = (value - lower) / value if value else 0.0
    counted = "operations, units and words that must move"
    if all(engine.relaxations):
        counted = (
            "the cheapest chain of tiles for every choice of spatial factors and keeps, without metadata"
        )
    then = ""
    if engine.relaxed and len(engine.relaxations) == 1 and metric == "delay" and lower == value:
        then = f"; none with that delay has an energy below {engine.relaxed.energy_pj:g} pJ"
    return Certificate(
        kind="gap", metric=metric, value=value, lower_bound=lower, gap=gap,
        statement=f"no mapping in mapspace '{mapspace.name}' has {ARTICLES[metric]} {metric} below "
        f"{lower:g} {UNITS[metric]}, "
        f"by {counted}{then}; the best of {engine.evaluated} evaluated is {100 * gap:.3g}% of its {metric} "
        "above that",
    )  # fmt: skip


def _nothing(engine: Engine, mapspace: Mapspace, layer: Layer, complete: bool) -> str:
    seen = engine.statistics()
    fan = seen.candidates_over_fan_out + seen.arrangements_over_fan_out
    room = seen.candidates_over_capacity + seen.arrangements_over_capacity
    kind = "no mapping is valid" if complete else "no valid mapping was found"
    return (
        f"{kind} for layer {layer.name} in mapspace '{mapspace.name}': {fan} exceed the fan-out, {room} a "
        f"capacity, {seen.evaluated - seen.valid} of {seen.evaluated} evaluated are invalid"
    )
