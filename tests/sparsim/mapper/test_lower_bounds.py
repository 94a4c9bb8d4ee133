"""Lower bounds are lower bounds, and what the enumeration rejects early is invalid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from naive.search import Listed, list_mappings
from support.examples import SKIP_B, accelerator, fixed, matmul, uniform
from support.small_policies import every_price
from support.small_searches import Search, losing_a_word, searches

from pointnet.original.published_runs import DESIGNS, runs, study_mapspace
from sparsim.files.sparsim_yaml import load_accelerator
from sparsim.mapper.engine import Engine, Problem
from sparsim.mapper.indexed_mapspace import lower_mapspace
from sparsim.mapper.kernels.candidates import assemble_candidates
from sparsim.mapper.kernels.enumeration import FAN_OUT, KEEPS, PASSED, ROWS, SPREAD, enumerate_candidates
from sparsim.mapper.kernels.lower_bounds import ACCESSES_OUT
from sparsim.mapper.objective_arrays import values
from sparsim.mapper.random_and_local import draw_random
from sparsim.mapper.search_budget import Budget
from sparsim.model import arrays as packs
from sparsim.model.arrays import MappingPack
from sparsim.model.evaluate import evaluate_pack
from sparsim.model.lower import ints, reals
from sparsim.records import LevelConstraint, Mapspace, Rank, SparsePolicy, TensorFormat

DRAWN = settings(max_examples=45, deadline=None, suppress_health_check=list(HealthCheck))
OBJECTIVES = [("energy",), ("delay",), ("edp",), ("delay", "energy"), ("ordered-accesses",)]


def make_engine(search: Search, objective: tuple[str, ...] = ("energy",)) -> Engine:
    problem = Problem(*search.arguments, search.accounting)
    budget = Budget(None, None)
    return Engine(problem, search.space, objective, top=1, threads=1, budget=budget, progress=None)


def enumerate_all(engine: Engine) -> tuple[dict[tuple[int, ...], np.ndarray], np.ndarray]:
    """(bounds of the candidates that pass, numbers rejected) when nothing is too slow or too expensive."""
    n_dims, n_decisions, number = len(engine.space.factors), len(engine.pack.decision), 100_000
    start = np.array([*[0] * (n_decisions + 1), -1])
    n_fields = ACCESSES_OUT + len(engine.low.arch.fan)
    out, values, rejected = ints(number, n_dims + 1), reals(number, n_fields), reals(4)
    n, done = enumerate_candidates(
        *engine.head, engine.make_work(), engine.codes, engine.limit, start, n_decisions, 1, 10**7, out,
        values, rejected,
    )  # fmt: skip
    assert done
    return {tuple(row): values[i] for i, row in enumerate(out[:n].tolist())}, rejected


def follow(engine: Engine, candidate: Sequence[int], limit: np.ndarray) -> bool:
    """Whether an enumeration with this limit comes to the candidate: no decision on the way is rejected."""
    pack, work, last = engine.pack, engine.make_work(), len(engine.pack.decision)
    room = ints(1, len(candidate)), reals(1, 2), reals(4)
    at = np.array([*[0] * (last + 1), -1])

    def go_on(steps: int) -> int:
        n, _ = enumerate_candidates(
            *engine.head, work, engine.codes, limit, at, last, 1, steps, *room
        )  # fmt: skip
        return int(n)

    go_on(0)  # begins, and decides nothing
    for r, (dim, kind) in enumerate(pack.decision.tolist()):
        first, end = pack.first_class[dim : dim + 2]
        cuts = pack.class_start[first : end + 1]
        (place,) = np.flatnonzero(pack.member[cuts[0] : cuts[-1]] == candidate[dim]) + cuts[0]
        number = int(np.searchsorted(cuts, place, side="right")) - 1
        at[r] = {SPREAD: number, ROWS: place - cuts[number], KEEPS: candidate[-1]}[kind]
    return go_on(last) == 1 and room[0][0].tolist() == list(candidate)


@DRAWN
@given(searches(), st.sampled_from(OBJECTIVES))
def test_no_decision_rejects_what_is_as_good_as_the_limit(search: Search, objective: tuple[str, ...]) -> None:
    objective = search.named(objective)
    engine = make_engine(search, objective)
    listed = list_mappings(search.case, search.space, search.accounting, test_fan=True, unit_loops=False)
    cycles = listed.result.cycles.astype(np.float64)
    found = values(objective, listed.result.energy_pj, cycles, listed.accesses)
    for i in np.flatnonzero(listed.result.status == packs.OK)[:60]:
        assert follow(engine, listed.candidate[i], found[i])


@DRAWN
@given(searches())
def test_no_valid_mapping_is_below_its_bound_or_rejected(search: Search) -> None:
    check_bounds(search)


def test_a_bound_counts_the_word_that_rounding_takes_from_fills() -> None:
    listed = check_bounds(losing_a_word())
    assert listed.result.energy_pj[listed.result.status == packs.OK].min() == 4 * 5 * 6


def leaking(search: Search) -> Search:
    """The same with leakage at all levels."""
    prices = every_price(search.case.arch)
    actions = {
        name: costs | {"leak": 2.5 * (i + 1)} for i, (name, costs) in enumerate(prices.actions.items())
    }
    return search._replace(
        case=search.case._replace(energy=replace(prices, actions=actions, rules="timeloop-4"))
    )


@pytest.mark.filterwarnings("ignore::sparsim.EnergyWarning")
@DRAWN
@given(searches(), st.sampled_from([("energy",), ("edp",)]))
def test_bounds_count_what_leaks_in_every_cycle(search: Search, objective: tuple[str, ...]) -> None:
    search = leaking(search)
    check_bounds(search)
    engine = make_engine(search, objective)
    for _ in engine.relax():
        pass
    listed = list_mappings(search.case, search.space, search.accounting, test_fan=True, unit_loops=False)
    found = listed.values(objective[:1])
    if found:
        assert engine.known.floor <= found[0][0]


@pytest.mark.filterwarnings("ignore::sparsim.EnergyWarning")
def test_leakage_raises_the_bound_of_a_space() -> None:
    silent = losing_a_word()
    search = leaking(silent)
    cycles, least = make_engine(search).part_least[:2]
    without = make_engine(search._replace(case=search.case._replace(energy=every_price(search.case.arch))))
    assert least == pytest.approx(without.part_least[1] + cycles * 2.5 * (1 + 2))


def check_bounds(search: Search) -> Listed:
    engine = make_engine(search)
    bounds, rejected = enumerate_all(engine)
    candidates = np.prod([*(len(f) for f in search.space.factors), len(search.space.keep)])
    assert len(bounds) + rejected[:3].sum() == candidates
    listed = list_mappings(search.case, search.space, search.accounting, test_fan=True, unit_loops=True)
    for i in np.flatnonzero(listed.result.status == packs.OK):
        least_cycles, least_energy, *least_accesses = bounds[listed.candidate[i]]
        assert (least_accesses <= listed.result.accesses[i]).all()
        assert (engine.part_least[ACCESSES_OUT:] <= listed.result.accesses[i]).all()
        assert least_cycles <= listed.result.cycles[i]
        assert least_energy <= listed.result.energy_pj[i]
        assert engine.part_least[0] <= listed.result.cycles[i]
        assert engine.part_least[1] <= listed.result.energy_pj[i]
    return listed


def sparse_problems() -> list[Problem]:
    """Tensors large enough that no rounding hides a wrong share; levels so small that formats decide."""
    found = []
    taking_all = [Rank(format=kind, flattened=(("M", "N", "K"),)) for kind in ("UOP", "UOP", "CP")]
    formats = tuple(
        TensorFormat(level=level, dataspace="A", ranks=tuple(taking_all[i:]))
        for i, level in enumerate(("DRAM", "GLB", "spad"))
    )
    policy = SparsePolicy(formats=formats, safs=(SKIP_B,), compute_gating=True)
    arch = accelerator(GLB={"size_words": 600, "metadata_depth": 10**5}, spad={"size_words": 20})
    keep = tuple(LevelConstraint(level=name, keep=("A", "B", "Z")) for name in ("DRAM", "GLB", "spad"))
    for a, b in ((fixed(0.1), fixed(0.5)), (fixed(0.6), fixed(0.02)), (uniform(0.3), fixed(0.4))):
        case = matmul(policy, arch, A=a, B=b)
        layer = replace(case.layer, bounds={"M": 64, "N": 16, "K": 48})
        found.append(Problem(case.on(Mapspace(levels=keep)), layer, "timeloop-3"))
    for design, variant, number in (("onchip", "sparse", 2), ("gating", "sparse", 5)):
        study = replace(load_accelerator(DESIGNS[design]), mapspace=study_mapspace())
        run = next(r for r in runs() if (r.design, r.variant, r.number) == (design, variant, number))
        found.append(Problem(study, run.layer, "timeloop-3"))
    return found


@pytest.mark.parametrize("problem", sparse_problems(), ids=["few A", "few B", "uniform", "on-chip", "gating"])
@pytest.mark.parametrize("objective", ["energy", "delay", "edp"])
def test_bounds_of_drawn_mappings_hold(problem: Problem, objective: str) -> None:
    """A mapping is not rejected where its own value is the limit."""
    space = lower_mapspace(problem.accelerator, problem.layer)
    engine = Engine(problem, space, (objective,), top=1, threads=1, budget=Budget(None, None), progress=None)
    candidates, draw = draw_random(engine, np.random.default_rng(1), 6000)
    work, rows, reason = engine.make_work(), engine.make_rows(6000), ints(6000)
    free = np.array([np.inf])
    assemble_candidates(*engine.head, work, engine.codes, free, candidates, draw, rows, reason)
    drawn = np.flatnonzero(reason != FAN_OUT)
    rows = MappingPack(*(field[drawn] for field in rows))
    result = evaluate_pack(problem.accelerator, problem.layer, rows, accounting=problem.accounting)
    valid = np.flatnonzero(result.status == packs.OK)
    assert len(valid) > 20
    assert set(reason[drawn[valid]]) == {PASSED}
    value = values((objective,), result.energy_pj, result.cycles.astype(np.float64))[:, 0]
    one, verdict = engine.make_rows(1), ints(1)
    for i in valid[:400]:
        at = slice(drawn[i], drawn[i] + 1)
        limit = value[i : i + 1].copy()
        assemble_candidates(*engine.head, work, engine.codes, limit, candidates[at], draw[at], one, verdict)
        assert verdict[0] == PASSED
        assert follow(engine, candidates[drawn[i]].tolist(), limit)
