"""The search for the best mapping of a layer in a mapspace, with a certificate."""

import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal

from msgspec.structs import replace

from sparsim.errors import EmptyMapspaceError, MappingError, SparsimWarning, SpecError, near, warn_of_energies
from sparsim.mapper.certificate import certify
from sparsim.mapper.covered_parts import (
    MOST_PARTS,
    Part,
    count_combinations,
    list_parts,
    sizes_of_all,
)
from sparsim.mapper.engine import Problem, Progress
from sparsim.mapper.given_mappings import fitting_rows
from sparsim.mapper.indexed_mapspace import Sizes
from sparsim.mapper.portfolio import DRAW, MEMBERS, Portfolio
from sparsim.mapper.search_budget import Budget
from sparsim.mapper.search_result import SearchResult
from sparsim.mapper.uneven_tiles import even_tiles
from sparsim.mapper.what_to_relax import what_to_relax
from sparsim.model.arrays import MappingPack
from sparsim.model.consistency import check_search, require_accelerator
from sparsim.model.lower import ACCOUNTING
from sparsim.records import Accelerator, Layer, Mapping, Mapspace
from sparsim.records.accounting import Accounting
from sparsim.records.number_limits import as_real, check_whole, rounded
from sparsim.records.objective import Objective, compared_by, objective_names

METHODS = ("auto", "exhaustive", "random", "local")
MOST_CANDIDATES = 10**9  # most candidates that "auto" enumerates
MOST_MAPPINGS = 10**11
MOST_THREADS = 1024
MOST_TOP = 100_000
EVEN_SHARE = 0.25  # of the time for mappings with even tiles
AT_ONCE_S = 1e-3  # time that is left after Ctrl-C in their search

Method = Literal["auto", "exhaustive", "random", "local"]


def search(
    accelerator: Accelerator,
    layer: Layer,
    *,
    objective: Objective = "edp",
    method: Method = "auto",
    evaluations: int | None = None,
    seconds: float | None = None,
    gap: float = 0.0,
    seed: int = 0,
    threads: int = 1,
    top: int = 1,
    accounting: Accounting = "timeloop-3",
    progress: Callable[[Progress], None] | None = None,
    start: Sequence[Mapping] = (),
) -> SearchResult:
    """Search the best mapping of a layer that the accelerator's mapspace allows.

    Parameters
    ----------
    accelerator : Accelerator
        Its mapspace limits the mappings; without one all of them are searched.
    layer : Layer
        What the mapping is for.
    objective : str or sequence of str, default "edp"
        What is minimised: "energy", "delay" (cycles), "edp" (their product), or several of them, which are
        compared exactly and in this order. Accesses are objectives, too: "accesses-NAME" stands for those of
        a storage level, "last-level-accesses" for those of the outermost one, and "ordered-accesses" for
        those of all levels from outside.
    method : str, default "auto"
        "exhaustive" proves the optimum, "random" and "local" try mappings, and "auto" runs them side by side.
        Without a budget "auto" enumerates a mapspace to its end only if that is small enough.
    evaluations : int, optional
        Mappings that each method may evaluate before the search ends; no limit by default. Random and local
        search draw 100 mappings for each evaluation allowed, or 100,000 in all without a limit.
    seconds : float, optional
        CPU time after which the search ends; no limit by default. The first valid mapping is looked for
        whatever the budget, and compilation does not count.
    gap : float, default 0.0
        How far the first objective of the best mapping may be above the optimum, as a share of its value. The
        search ends as soon as it has proven that. With 0 it ends when the optimum is proven.
    seed : int, default 0
        Seed of random and local search, and of samples.
    threads : int, default 1
        Number of threads. The result does not depend on it.
    top : int, default 1
        How many mappings to return.
    accounting : str, default "timeloop-3"
        The convention by which accesses are counted and energies charged: "timeloop-3", "timeloop-4",
        "timeloop-4-2024", "timeloop-2022", "count-all" or "count-drains" (see the glossary).
    progress : callable, optional
        Called with a `Progress` now and then.
    start : sequence of Mapping, default ()
        Mappings, for instance of a similar design, that are evaluated first. Those that do not fit are left
        out. They save time; where the mapspace is enumerated to its end the result is the same without them.

    Returns
    -------
    SearchResult
        The best mappings, a certificate of how far the best one may be from the optimum, and what was tried.
        When a budget or Ctrl-C ends the search, it holds the best mappings so far with the proven gap.

    Raises
    ------
    SpecError
        If an argument is wrong, or if the records do not fit together.
    EmptyMapspaceError
        If the constraints leave no factors, or no level that keeps a dataspace.
    MappingError
        If no valid mapping was found.
    KeyboardInterrupt
        If Ctrl-C ends the search before there is a mapping.

    Warns
    -----
    EnergyWarning
        If energies are given that are not used, or are missing.
    SparsimWarning
        If there are too many choices of what is kept to list them, so that a sample is searched.

    Notes
    -----
    If levels share a memory, mappings with even tiles are searched first, and the best one is a start. With
    "delay" alone the lower energy wins between equals. After that the first mapping of the mapspace
    wins, unless the search ends because it has reached its lower bound. Of dims in the mapspace's
    `divisibility` all covered bounds are searched, and between equals the one with less padding wins. Loops
    of bound 1 among the free dims of a level stand innermost, in the order of the shape.

    Examples
    --------
    >>> import sparsim
    >>> accelerator = sparsim.load_accelerator("eyeriss_like_onchip")
    >>> layer = sparsim.gemm(16, 8, 32, densities={"Weights": 0.5})
    >>> result = sparsim.search(accelerator, layer, objective="energy", evaluations=100)
    >>> result.certificate.value == result.energy_pj
    True
    """
    require_accelerator(accelerator)
    levels = [level.name for level in accelerator.architecture.storage]
    objectives = objective_names(objective, levels)
    _check_choices(method, accounting)
    _check_numbers(evaluations, threads, top, seed, seconds, gap)
    mapspace = accelerator.mapspace or Mapspace()
    parts = list_parts(accelerator, layer, seed)
    warn_of_energies(check_search(accelerator, layer))
    number, combinations = sizes_of_all(accelerator, layer, parts), count_combinations(mapspace, layer)
    sample = _sample(parts)
    if sample:
        warnings.warn(f"{sample}, drawn with seed {seed}", SparsimWarning, stacklevel=2)
    small = not sample and _is_small(number)
    budget = Budget(evaluations, seconds, gap)

    def run(rows: list[MappingPack]) -> Portfolio:
        portfolio = Portfolio(
            Problem(accelerator, layer, accounting), parts, combinations <= MOST_PARTS,
            compared_by(objectives), _members(method, small, evaluations, seconds), small=small, seed=seed,
            top=top, threads=threads, budget=budget, progress=progress, start=rows,
        )  # fmt: skip
        portfolio.run()
        return portfolio

    even = None
    if any(level.memory for level in accelerator.architecture.storage):
        even = _search_even(
            accelerator, layer, objective=objectives, method=method, evaluations=evaluations, seconds=seconds,
            gap=gap, seed=seed, threads=threads, accounting=accounting, progress=progress, start=start,
        )  # fmt: skip
    if even is not None:
        start = (*start, even.best)
        if even.interrupted:
            budget = budget._replace(seconds=AT_ONCE_S)
        elif seconds is not None:
            budget = budget._replace(seconds=seconds * (1 - EVEN_SHARE))
    rows = fitting_rows(accelerator, layer, start)
    portfolio = run(rows)
    if rows and small and budget == Budget(None, None) and not (portfolio.complete or portfolio.interrupted):
        # it ended at the lower bound, where `rows` determines which of equal mappings is found
        portfolio = run([])
    if not portfolio.kept.entries:
        if portfolio.interrupted:
            raise KeyboardInterrupt
        raise MappingError(_nothing(portfolio, Problem(accelerator, layer, accounting)))
    statistics, found = portfolio.statistics(), portfolio.parts[0].found
    certificate = certify(
        objectives, portfolio.kept, portfolio.bounded, portfolio.whole, mapspace.name, portfolio.complete,
        statistics, portfolio.passed(),
    )  # fmt: skip
    if combinations > MOST_PARTS and portfolio.whole.relaxed is None:
        left_out = f"{len(parts)} of {combinations} combinations of covered bounds are searched, those with "
        left_out += "the least padding"
        warnings.warn(left_out, SparsimWarning, stacklevel=2)
        sample = "; ".join(filter(None, (left_out, sample)))
    if sample:
        certificate = replace(certificate, statement=f"{certificate.statement}; {sample}")
    if method == "auto":
        method = "exhaustive" if small else "local"
    return SearchResult(
        objective=objectives,
        method=method,
        top=tuple(found(entry) for entry in portfolio.kept.entries),
        certificate=certificate,
        statistics=statistics,
        sizes=number,
        interrupted=portfolio.interrupted or (even is not None and even.interrupted),
    )


def _check_choices(method: str, accounting: str) -> None:
    if method not in METHODS:
        raise SpecError(f"unknown method '{method}'", path="search", hint=near(method, METHODS))
    if accounting not in ACCOUNTING:
        raise SpecError(f"unknown accounting '{accounting}'", hint=near(accounting, ACCOUNTING))


def _check_numbers(
    evaluations: int | None, threads: int, top: int, seed: int, seconds: float | None, gap: float
) -> None:
    check_whole("search", "evaluations", evaluations, 1)
    check_whole("search", "threads", threads, 1, MOST_THREADS)
    check_whole("search", "top", top, 1, MOST_TOP)
    check_whole("search", "seed", seed)
    if seconds is not None and not as_real("search", "seconds", seconds) > 0:
        raise SpecError(f"seconds must be greater than 0, got {seconds}", path="search")
    if not 0 <= as_real("search", "gap", gap) < 1:
        raise SpecError(f"gap must be at least 0 and below 1, got {gap}", path="search")


def _search_even(
    accelerator: Accelerator, layer: Layer, *, seconds: float | None, **options: Any
) -> SearchResult | None:
    """Search the mappings whose tensors lie together in a memory of several levels, from the best of which
    the search continues.
    """
    even = even_tiles(accelerator, layer.shape)
    if even == accelerator:
        return None
    with warnings.catch_warnings(), suppress(MappingError, EmptyMapspaceError):
        warnings.simplefilter("ignore", SparsimWarning)
        return search(even, layer, seconds=None if seconds is None else seconds * EVEN_SHARE, **options)
    return None


def _sample(parts: Sequence[Part]) -> str:
    """Return the note for mapspaces of which only a sample of the bypass choices is listed."""
    space = parts[0].space
    if not space.is_sampled:
        return ""
    return f"{len(space.keep)} of {rounded(space.bypasses)} choices of what each level keeps are tried"


def _is_small(number: Sizes) -> bool:
    return number.factorisations * number.bypasses <= MOST_CANDIDATES and number.total <= MOST_MAPPINGS


def _members(method: Method, small: bool, evaluations: int | None, seconds: float | None) -> tuple[str, ...]:
    """Return the methods that `method` represents. With "auto", random search is used with a budget of
    evaluations, but takes no time from the others otherwise.
    """
    draws = method != "auto" or evaluations is not None or (not small and seconds is None)
    return tuple(name for name in MEMBERS[method] if draws or name != DRAW)


def _nothing(portfolio: Portfolio, problem: Problem) -> str:
    seen = portfolio.statistics()
    fan = seen.candidates_over_fan_out + seen.arrangements_over_fan_out
    room = seen.candidates_over_capacity + seen.arrangements_over_capacity
    mapspace = problem.accelerator.mapspace or Mapspace()
    where = f"for layer {problem.layer.name} in mapspace '{mapspace.name}'"
    if portfolio.late and not seen.evaluated:
        return f"the time limit was reached before any mapping was evaluated {where}"
    kind = "no mapping is valid" if portfolio.complete else "no valid mapping was found"
    counts = (
        f"of {fan + room + seen.evaluated} that were tried {fan} exceed the fan-out, {room} a capacity, and "
        f"{seen.evaluated} were evaluated and are invalid"
    )
    return f"{kind} {where}: {counts}; {what_to_relax(problem, mapspace)}"
