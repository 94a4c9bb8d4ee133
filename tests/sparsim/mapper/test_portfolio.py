"""`auto` beside the methods it consists of, more budget beside less, and what is returned in no time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from naive.search import list_mappings
from support.examples import accelerator, fixed, matmul
from support.named import naming
from support.small_searches import Search, searches

from sparsim.errors import MappingError, SpecError
from sparsim.mapper import network_search as network
from sparsim.mapper import portfolio
from sparsim.mapper.certificate import better_of
from sparsim.mapper.network_search import search_network
from sparsim.mapper.objective_arrays import values
from sparsim.mapper.search import search
from sparsim.mapper.search_budget import Clock
from sparsim.mapper.search_result import SearchResult
from sparsim.model.evaluate import evaluate
from sparsim.records import Accelerator, Layer, LevelConstraint, Mapspace

DRAWN = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
OBJECTIVES = [("energy",), ("delay",), ("edp",), ("delay", "energy")]
METHODS = ("exhaustive", "local", "random")


def value(result: SearchResult) -> tuple[float, ...]:
    return tuple(values(result.objective, result.energy_pj, float(result.cycles)).tolist())


def problem(bound: int = 12, **options: Any) -> tuple[Accelerator, Layer]:
    case = matmul(A=fixed(0.375), B=fixed(0.5))
    layer = replace(case.layer, bounds={"M": bound, "N": 4, "K": 8})
    keep = tuple(LevelConstraint(level=name, keep=("A", "B", "Z")) for name in ("DRAM", "GLB", "spad"))
    return case.on(Mapspace(levels=keep, **options)), layer


@DRAWN
@given(searches(), st.sampled_from(OBJECTIVES), st.integers(1, 60), st.integers(0, 3))
def test_auto_is_no_worse_than_any_method(
    drawn: Search, objective: tuple[str, ...], evaluations: int, seed: int
) -> None:
    """In value and in gap; and all of them find a valid mapping wherever there is one."""
    options: Any = {"objective": objective, "accounting": drawn.accounting, "seed": seed}
    listed = list_mappings(drawn.case, drawn.space, drawn.accounting, test_fan=True, unit_loops=False)
    if not listed.values(objective):
        for method in ("auto", *METHODS):
            with pytest.raises(MappingError, match=naming("no mapping")):
                search(*drawn.arguments, **options, method=method, evaluations=evaluations)
        return
    auto = search(*drawn.arguments, **options, evaluations=evaluations)
    for method in METHODS:
        other = search(*drawn.arguments, **options, method=method, evaluations=evaluations)
        assert value(auto) <= value(other)
        assert auto.certificate.gap <= other.certificate.gap
        assert auto.certificate.lower_bound <= listed.values(objective)[0][0]


@pytest.mark.parametrize("objective", ["energy", "edp"])
@pytest.mark.parametrize("divisibility", [{}, {"M": "padded"}])
def test_more_evaluations_are_no_worse_and_auto_is_best_at_each(objective: str, divisibility: Any) -> None:
    case = problem(14, divisibility=divisibility, most_padding=0.2)
    before: SearchResult | None = None
    for evaluations in (1, 2, 5, 30, 200):
        auto = search(*case, objective=objective, evaluations=evaluations)
        for method in METHODS:
            other = search(*case, objective=objective, method=method, evaluations=evaluations)
            assert value(auto) <= value(other)
            assert auto.certificate.gap <= other.certificate.gap
        if before is not None:
            assert value(auto) <= value(before)
            assert auto.certificate.gap <= before.certificate.gap
        before = auto


@DRAWN
@given(
    st.sampled_from(["auto", *METHODS]),
    searches(),
    st.lists(st.integers(1, 80), min_size=2, max_size=4),
)
def test_no_method_is_worse_with_more_evaluations(method: Any, drawn: Search, evaluations: list[int]) -> None:
    options: Any = {"objective": "edp", "accounting": drawn.accounting, "method": method}
    found = []
    for number in sorted(evaluations):
        try:
            found.append(value(search(*drawn.arguments, **options, evaluations=number)))
        except MappingError:
            return
    assert found == sorted(found, reverse=True)


class Steps(Clock):
    """Every look at the clock is a second."""

    looks = 0

    @property
    def counted(self) -> float:
        self.looks += 1
        return float(self.looks)


@pytest.mark.parametrize("objective", ["energy", "edp"])
def test_more_seconds_continue_the_same_search(objective: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that counts steps shows what a real one hides: longer searches begin like shorter ones."""
    monkeypatch.setattr(portfolio, "Clock", Steps)
    small, layer = problem()
    large = replace(small, architecture=accelerator((8, 8)), policy=None)
    huge = replace(layer, bounds={"M": 5040, "N": 720, "K": 5040})
    found = [search(large, huge, objective=objective, seconds=seconds) for seconds in (1, 8, 12, 20, 35, 60)]
    assert [value(one) for one in found] == sorted((value(one) for one in found), reverse=True)
    gaps = [one.certificate.gap for one in found]
    assert gaps == sorted(gaps, reverse=True)
    assert found[-1].statistics.evaluated > found[0].statistics.evaluated


@pytest.mark.parametrize("budget", [{"evaluations": 1}, {"seconds": 1e-3}, {"seconds": 1e-9}])
@pytest.mark.parametrize("method", ["auto", *METHODS])
def test_there_is_a_mapping_whatever_the_budget(method: Any, budget: Any) -> None:
    result = search(*problem(), method=method, **budget)
    again = evaluate(*problem(), result.best)
    assert (again.energy_pj, again.cycles) == (result.energy_pj, result.cycles)


def test_the_only_valid_mapping_is_found_with_one_evaluation() -> None:
    """Where guesses fail all of the space is gone through."""
    whole = search(*problem(), objective="delay", method="exhaustive")
    best = search(*problem(min_parallelism=1.0), objective="delay", evaluations=1)
    assert best.cycles >= whole.cycles


def test_time_that_is_over_before_an_evaluation_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not say that no mapping is valid."""
    monkeypatch.setattr(portfolio, "guess_first", lambda engine, seed: iter(()))
    monkeypatch.setattr(portfolio, "FIRST_US", -1.0)
    monkeypatch.setattr(portfolio, "Clock", Steps)
    with pytest.raises(MappingError, match="time limit"):
        search(*problem(), seconds=1e-9)


def test_compiling_takes_no_seconds() -> None:
    clock = Clock()
    before = clock.counted
    with clock.leave_out_compilation():
        clock._compiling.on_start(None)  # type: ignore[arg-type]
        clock._compiling.on_end(None)  # type: ignore[arg-type]
        clock._compiling._duration = 1000.0
    assert clock.counted < before - 900
    with clock.left_out():
        clock._compiling._duration = 900.0  # 100 seconds pass
    assert clock.counted < before - 900


def test_a_gap_of_rounding_is_optimal() -> None:
    """The bound of a dense layer is reached, but for what it is lowered by against rounding."""
    case = matmul(None, accelerator(GLB={"size_words": 24}, spad={"size_words": 6}))
    mapspace = Mapspace(levels=(LevelConstraint(level="GLB", keep=("A",)),))
    arguments = case.on(mapspace), case.layer
    best = search(*arguments, objective="energy", method="exhaustive")
    local = search(*arguments, objective="energy", method="local", evaluations=300)
    assert local.energy_pj == pytest.approx(best.energy_pj, rel=1e-9)
    assert local.certificate.kind == "optimal"
    assert 0.0 <= local.certificate.gap <= 1e-9
    several = search(*arguments, objective=("energy", "delay"), method="local", evaluations=300)
    assert several.certificate.kind == "gap"  # it does not know the delay


def test_a_longer_search_does_not_forget_what_a_shorter_one_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine more seconds may be worth less."""
    given, layer = problem()
    good, bad = (search(given, layer, objective="energy", method="local", evaluations=n) for n in (400, 2))
    assert good.energy_pj < bad.energy_pj
    answers = [good, bad, bad]
    monkeypatch.setattr(network, "search", lambda *_, **__: answers.pop(0))
    cache = network.MappingCache()
    options: Any = {"objective": "energy", "method": "local", "cache": cache}
    for seconds in (1.0, 2.0):
        (found,) = search_network(given, [layer], **options, seconds=seconds)
        assert found.energy_pj == good.energy_pj
        assert found.certificate.gap <= good.certificate.gap
    (found,) = search_network(given, [layer], **options, evaluations=2)
    assert found.energy_pj == bad.energy_pj


def test_the_better_of_two_has_the_higher_bound() -> None:
    case = problem()
    good, bad = (search(*case, objective="energy", method="local", evaluations=n) for n in (400, 2))
    lower = (good.certificate.lower_bound + good.energy_pj) / 2
    proof = replace(bad.certificate, lower_bound=lower)
    best = better_of(replace(bad, certificate=proof), good)
    assert best.best == good.best
    assert best.certificate.lower_bound == lower
    assert best.certificate.gap == pytest.approx(1 - lower / good.energy_pj)


def test_a_search_ends_at_a_gap_that_is_small_enough() -> None:
    small, layer = problem()
    large = replace(small, architecture=accelerator((8, 8)), policy=None)
    huge = replace(layer, bounds={"M": 5040, "N": 720, "K": 5040})
    whole = search(large, huge, objective="energy", method="local", evaluations=300)
    result = search(large, huge, objective="energy", method="local", evaluations=300, gap=0.9)
    assert result.certificate.gap <= 0.9
    assert result.statistics.evaluated < whole.statistics.evaluated
    assert result.certificate.value >= whole.certificate.lower_bound
    with pytest.raises(SpecError, match=naming("gap 1.0")):
        search(large, huge, gap=1.0)
