"""Search against listing everything; budgets, threads, seeds, interrupts, certificates."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from naive.search import list_mappings
from support.examples import ENERGY, accelerator, fixed, matmul
from support.named import names, naming
from support.small_searches import Search, searches

from pointnet.original.published_runs import DESIGNS, runs, study_mapspace
from sparsim.errors import EnergyTableError, MappingError, SparsimWarning, SpecError
from sparsim.files.sparsim_yaml import load_accelerator
from sparsim.mapper import exhaustive, portfolio
from sparsim.mapper.engine import Progress
from sparsim.mapper.indexed_mapspace import lower_mapspace
from sparsim.mapper.objective_arrays import values
from sparsim.mapper.search import search
from sparsim.mapper.search_result import SearchResult
from sparsim.model.evaluate import evaluate
from sparsim.records import (
    Accelerator,
    Architecture,
    Compute,
    Layer,
    LevelConstraint,
    Mapping,
    Mapspace,
    NestConstraint,
    Option,
    Rank,
    Saf,
    SparsePolicy,
    Storage,
    TensorFormat,
)

DRAWN = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
OBJECTIVES = [
    ("energy",), ("delay",), ("edp",), ("delay", "energy"), ("energy", "delay"), ("last-level-accesses",),
    ("ordered-accesses", "energy"),
]  # fmt: skip


def found(result, drawn=None):
    """The objectives of all mappings; of a drawn search accesses, if they are objectives, counted again."""
    rows = []
    for one in result.top:
        accesses = {}
        if drawn is not None and any(name.startswith("accesses-") for name in result.objective):
            again = evaluate(*drawn.case.given[:2], one.mapping, accounting=drawn.accounting)
            accesses = {f"accesses-{at.name}": float(at.accesses) for at in again.intensity.levels}
        row = tuple(values(result.objective, one.energy_pj, float(one.cycles), accesses).tolist())
        assert row == one.values[: len(row)]
        rows.append(row)
    return rows


@DRAWN
@given(searches(), st.sampled_from(OBJECTIVES))
def test_exhaustive_is_the_best_of_all(drawn: Search, objective: tuple[str, ...]) -> None:
    """Against a list with all positions of trivial loops, where no format sees them."""
    everything = drawn.case.policy is None
    listed = list_mappings(drawn.case, drawn.space, drawn.accounting, test_fan=True, unit_loops=everything)
    best = listed.values(drawn.named(objective))
    options = {"objective": objective, "method": "exhaustive", "accounting": drawn.accounting}
    if not best:
        with pytest.raises(MappingError, match=naming("no mapping")):
            search(*drawn.arguments, **options)
        return
    result = search(*drawn.arguments, **options)
    assert found(result, drawn) == best[:1]
    assert result.certificate.kind == "optimal"
    assert result.certificate.value == result.certificate.lower_bound == best[0][0]
    again = evaluate(*drawn.case.given[:2], result.best, accounting=drawn.accounting)
    assert (again.energy_pj, again.cycles) == (result.energy_pj, result.cycles)
    counts = result.statistics
    assert counts.arrangements == counts.evaluated + counts.arrangements_over_fan_out + (
        counts.arrangements_over_capacity + counts.arrangements_over_bound
    )


@DRAWN
@given(
    searches(), st.sampled_from(OBJECTIVES), st.sampled_from([1, 3]), st.integers(1, 40), st.integers(1, 9)
)
def test_turns_of_any_length_lose_nothing(
    drawn: Search, objective: tuple[str, ...], top: int, steps: int, room: int
) -> None:
    """An enumeration that stops in the middle goes on there, with limits that have become tighter."""
    options = {"objective": objective, "accounting": drawn.accounting, "top": top}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(portfolio, "is_proven", lambda *known: False)  # it would end them at different turns
        try:
            whole = search(*drawn.arguments, **options)
        except MappingError:
            assume(False)
        patch.setattr(exhaustive, "STEPS", steps)
        patch.setattr(exhaustive, "MOST_STEPS", steps)
        patch.setattr(exhaustive, "CANDIDATES", room)
        again = search(*drawn.arguments, **options)
    assert again.top == whole.top
    assert again.certificate.value == whole.certificate.value
    assert again.statistics.candidates == whole.statistics.candidates


@DRAWN
@given(searches(), st.sampled_from(OBJECTIVES), st.sampled_from([1, 3]), st.integers(0, 2**32), st.booleans())
def test_a_start_changes_no_result(
    drawn: Search, objective: tuple[str, ...], top: int, seed: int, best: bool
) -> None:
    """Good mappings, bad ones, and one of another layer, which is left out."""
    options: Any = {"objective": objective, "accounting": drawn.accounting}
    try:
        cold = search(*drawn.arguments, **options, top=top)
    except MappingError:
        assume(False)
    few = search(*drawn.arguments, **options, method="random", seed=seed, evaluations=4, top=4)
    start = [one.mapping for one in (*few.top, *(cold.top[:1] if best else ()))]
    warm = search(*drawn.arguments, **options, top=top, start=[Mapping(levels=()), *start])
    assert warm.top == cold.top
    assert replace(warm.certificate, statement="") == replace(cold.certificate, statement="")
    assert warm.statistics.candidates == cold.statistics.candidates


def test_a_start_that_is_all_a_budget_allows_is_the_result() -> None:
    best = search(*problem(), method="exhaustive")
    found = search(*problem(), evaluations=1, start=[best.best])
    assert found.top == best.top
    assert search(*problem(), evaluations=1).energy_pj != best.energy_pj


@DRAWN
@given(searches(), st.sampled_from(OBJECTIVES))
def test_top_is_the_start_of_the_sorted_list(drawn: Search, objective: tuple[str, ...]) -> None:
    listed = list_mappings(drawn.case, drawn.space, drawn.accounting, test_fan=True, unit_loops=False)
    best = listed.values(drawn.named(objective))
    assume(best)
    options = {"objective": objective, "method": "exhaustive", "accounting": drawn.accounting}
    assert found(search(*drawn.arguments, top=7, **options), drawn) == best[:7]


def problem() -> tuple[Accelerator, Layer]:
    """22.4's accelerator and matrix product with all factors, orders and splits free."""
    case = matmul(A=fixed(0.375), B=fixed(0.5))
    keep = tuple(LevelConstraint(level=name, keep=("A", "B", "Z")) for name in ("DRAM", "GLB", "spad"))
    return case.on(Mapspace(name="matmul", levels=keep)), case.layer


def plain(result: SearchResult) -> Any:
    """All of a result but the time."""
    counts = replace(result.statistics, cpu_s=0.0)
    return replace(result, statistics=counts)


@pytest.mark.parametrize("method", ["exhaustive", "random", "local"])
def test_results_do_not_depend_on_threads(method: str) -> None:
    first, second = (
        search(*problem(), method=method, top=5, seed=3, threads=n, evaluations=3000) for n in (1, 3)
    )
    assert plain(first) == plain(second)


def test_equal_seeds_are_equal_and_all_methods_stay_above_the_optimum() -> None:
    best = search(*problem(), method="exhaustive")
    assert best.certificate.kind == "optimal"
    for method in ("random", "local"):
        one, again, other = (
            search(*problem(), method=method, seed=seed, evaluations=300) for seed in (1, 1, 2)
        )
        assert plain(one) == plain(again)
        assert plain(one) != plain(other)
        for result in (one, other):
            assert found(result) >= found(best)
            assert result.certificate.kind == "gap"
            assert result.certificate.lower_bound <= found(best)[0][0]


def test_local_search_is_better_than_random_search_at_equal_cost() -> None:
    def value(method: str, seed: int) -> float:
        return found(search(*problem(), method=method, seed=seed, evaluations=60))[0][0]

    seeds = range(8)
    assert sum(value("local", s) for s in seeds) <= sum(value("random", s) for s in seeds)


def test_auto_is_exhaustive_in_small_spaces_and_local_in_large_ones() -> None:
    given, layer = problem()
    assert search(given, layer, evaluations=100).method == "exhaustive"
    large = replace(layer, bounds={"M": 5040, "N": 5040, "K": 5040})
    arch = accelerator((64, 64), GLB={"size_words": 10**9}, spad={"size_words": 10**9})
    roomy = replace(given, architecture=arch, policy=None)
    assert search(roomy, large, evaluations=100).method == "local"


@pytest.mark.parametrize("method", ["exhaustive", "random", "local"])
def test_no_more_evaluations_than_allowed(method: str) -> None:
    result = search(*problem(), method=method, evaluations=37)
    assert result.statistics.evaluated == 37
    assert result.certificate.kind == "gap"
    assert result.certificate.lower_bound <= result.certificate.value


def test_seconds_end_a_search_in_a_huge_space() -> None:
    given, layer = problem()
    free = replace(given, policy=None, mapspace=None)
    large = replace(layer, bounds={"M": 30030, "N": 30030, "K": 30030})
    for method in ("exhaustive", "random", "local"):
        result = search(free, large, method=method, seconds=0.2)
        assert result.certificate.kind == "gap"
        assert 0.0 <= result.certificate.gap < 1.0


@pytest.mark.parametrize("method", ["exhaustive", "random", "local"])
def test_an_interrupt_returns_the_best_so_far(method: str) -> None:
    seen: list[Progress] = []

    def interrupt(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) == 3:
            raise KeyboardInterrupt

    result = search(*problem(), method=method, progress=interrupt)
    assert len(seen) == 3
    assert result.certificate.kind == "gap"
    assert seen[-1].best == result.top[0]
    assert seen[-1].evaluated == result.statistics.evaluated
    values_seen = [one.best.energy_pj * one.best.cycles for one in seen if one.best]
    assert values_seen == sorted(values_seen, reverse=True)


def test_an_interrupt_before_there_is_a_mapping_interrupts(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not say that no mapping was found."""

    def interrupted(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sparsim.mapper.portfolio.guess_first", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search(*problem(), method="local")


@pytest.mark.filterwarnings("ignore::sparsim.errors.EnergyWarning")  # the table has no price of decompression
def test_spatial_skipping_searches_beyond_the_fan_out() -> None:
    """Factors that exceed a fan-out are no reason to reject there: skipping may leave fewer instances."""
    compressed = TensorFormat(level="GLB", dataspace="A", ranks=(Rank(format="UOP"), Rank(format="CP")))
    outside = TensorFormat(level="DRAM", dataspace="A", ranks=(*[Rank(format="UOP")] * 2, Rank(format="CP")))
    option = Option(target="B", condition_on=("A",))
    policy = SparsePolicy(
        formats=(outside, compressed), safs=(Saf(level="GLB", type="skipping-spatial", options=(option,)),)
    )
    decompressing = {"decompression_supported": True}
    arch = accelerator(DRAM=decompressing, GLB=decompressing, spad=decompressing)
    case = matmul(policy, arch, A=fixed(0.375), B=fixed(0.5))
    spad = NestConstraint(factors={"M": 1, "N": 1}, inner=("K", "M", "N"))
    levels = (
        LevelConstraint(level="DRAM", temporal=spad, keep=("A", "B", "Z")),
        LevelConstraint(
            level="GLB", keep=("A", "B", "Z"), temporal=NestConstraint(inner=("M", "N", "K")),
            spatial=NestConstraint(inner=("M", "N", "K"), split_x=3),
        ),
        LevelConstraint(level="spad", temporal=spad, keep=("A", "B", "Z")),
    )  # fmt: skip
    arguments = case.on(Mapspace(levels=levels)), case.layer
    listed = list_mappings(case, lower_mapspace(*arguments), "timeloop-3", test_fan=False, unit_loops=False)
    result = search(*arguments, objective=("delay", "energy"))
    assert found(result) == listed.values(("delay", "energy"))[:1]
    assert result.statistics.candidates_over_fan_out == 0


def test_too_many_choices_of_what_is_kept_are_sampled_and_nothing_is_claimed_of_the_rest() -> None:
    storage = tuple(Storage(name=f"L{i}", size_words=10**6) for i in range(12))
    arch = Architecture(storage=storage, compute=Compute(name="MAC"))
    levels = tuple(
        LevelConstraint(level=level.name, temporal=NestConstraint(factors={"M": 1, "N": 1, "K": 1}))
        for level in storage[1:]
    )
    chip = Accelerator(architecture=arch, mapspace=Mapspace(levels=levels))
    layer = matmul().layer
    with pytest.warns(SparsimWarning, match=naming("16384 3")):
        result = search(chip, layer, objective="energy", seed=3, evaluations=50)
    assert result.certificate.kind == "gap"
    assert result.certificate.lower_bound <= result.certificate.value
    assert result.sizes.bypasses == 2**33
    with pytest.warns(SparsimWarning):
        assert search(chip, layer, objective="energy", seed=3, evaluations=50).top == result.top


def test_what_the_reference_found_is_not_better() -> None:
    """23.4: its random search ends at 55.790 pJ per operation in 96 cycles."""
    case = matmul(SparsePolicy(compute_gating=True), A=fixed(0.375), B=fixed(0.5))
    layer = replace(case.layer, bounds={"M": 12, "N": 4, "K": 8})
    levels = (
        LevelConstraint(
            level="GLB", spatial=NestConstraint(factors={"N": 4}, inner=("K", "M", "N")), keep=("A",),
            bypass=("Z",),
        ),
        LevelConstraint(
            level="spad", keep=("A", "B", "Z"),
            temporal=NestConstraint(factors={"N": 1}, at_most={"M": 2}, inner=("K",)),
        ),
    )  # fmt: skip
    result = search(case.on(Mapspace(levels=levels)), layer, objective="edp")
    assert result.certificate.kind == "optimal"
    assert result.cycles * result.energy_pj <= 96 * 55.7905 * 384


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "speed"}, "speed"),
        ({"objective": ()}, "0"),
        ({"objective": ("edp", "edp")}, "2"),
        ({"method": "genetic"}, "genetic"),
        ({"accounting": "timeloop"}, "timeloop"),
        ({"evaluations": 0}, "evaluations 0"),
        ({"threads": 0}, "threads 0"),
        ({"top": 0}, "top 0"),
        ({"seconds": float("nan")}, "seconds"),
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=naming(message)):
        search(*problem(), **options)


def test_a_missing_energy_and_an_unknown_tensor_are_refused() -> None:
    given, layer = problem()
    table = replace(ENERGY, actions={k: v for k, v in ENERGY.actions.items() if k != "GLB"})
    with pytest.raises(EnergyTableError, match="GLB"):
        search(replace(given, energy=table), layer)
    saf = Saf(level="GLB", type="gating", options=(Option(target="X", condition_on=("A",)),))
    with pytest.raises(SpecError, match=naming("X")):
        search(replace(given, policy=SparsePolicy(safs=(saf,))), layer)


def test_a_space_without_a_valid_mapping_says_why() -> None:
    """The counts add up, and the constraint without which there are valid mappings is named."""
    case = matmul(None, accelerator(spad={"size_words": 2}))
    keep = LevelConstraint(level="spad", keep=("A", "B", "Z"))
    other = LevelConstraint(level="GLB", temporal=NestConstraint(outer=("M",)))
    for method in ("exhaustive", "random"):
        with pytest.raises(MappingError) as error:
            search(case.on(Mapspace(levels=(other, keep))), case.layer, method=method)
        counts = re.search(
            r"of (\d+) that were tried (\d+) exceed .* (\d+) a capacity, and (\d+) ", str(error.value)
        )
        assert counts is not None
        tried, *reasons = map(int, counts.groups())
        assert tried == sum(reasons) > 0
        assert names(error.value, "without keep A B Z spad")


def test_without_constraints_none_is_blamed() -> None:
    case = matmul(None, accelerator(DRAM={"size_words": 2}))
    with pytest.raises(MappingError, match=naming("level")):
        search(case.on(Mapspace()), case.layer, method="random", evaluations=10)


@pytest.mark.parametrize(("design", "number"), [("gating", 3), ("gating", 12), ("onchip", 1), ("onchip", 4)])
def test_no_published_mapping_is_better_than_the_optimum(design: str, number: int) -> None:
    study = replace(load_accelerator(DESIGNS[design]), mapspace=study_mapspace())
    for run in runs():
        if (run.design, run.variant, run.number) == (design, "sparse", number):
            best = search(study, run.layer, objective=("delay", "energy"))
            published = evaluate(study, run.layer, run.mapping)
            assert (best.cycles, best.energy_pj) <= (published.cycles, published.energy_pj)
            assert best.certificate.kind == "optimal"
