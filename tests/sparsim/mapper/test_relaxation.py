"""The bound of a whole mapspace: below every valid mapping, and no further than what it leaves out."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace
from naive.search import list_mappings
from support.examples import ENERGY, accelerator, loops, mapping, matmul
from support.named import naming
from support.small_searches import Search, losing_a_word, searches

from pointnet.original.published_runs import DESIGNS, runs, study_mapspace
from sparsim.errors import MappingError
from sparsim.files.sparsim_yaml import load_accelerator
from sparsim.mapper import relaxation
from sparsim.mapper.engine import Engine, Problem
from sparsim.mapper.equivalent_dims import merge_dims
from sparsim.mapper.indexed_mapspace import lower_mapspace
from sparsim.mapper.kernels.candidates import assemble_candidates
from sparsim.mapper.kernels.enumeration import PASSED
from sparsim.mapper.kernels.lower_bounds import ACCESSES
from sparsim.mapper.relaxation import Relaxation, list_spreads, relax
from sparsim.mapper.relaxed_mappings import arrange
from sparsim.mapper.search import search
from sparsim.mapper.search_budget import Budget
from sparsim.mapper.tile_prices import Prices, TileTables
from sparsim.mapper.tile_sizes import list_tiles
from sparsim.model import arrays as packs
from sparsim.model.evaluate import evaluate
from sparsim.model.lower import ints
from sparsim.records import (
    CONV,
    Density,
    EnergyTable,
    Layer,
    LevelConstraint,
    Mapspace,
    Option,
    Rank,
    Saf,
    SparsePolicy,
    TensorFormat,
)

DRAWN = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
ACCOUNTINGS = ("timeloop-3", "timeloop-2022", "count-all", "count-drains")


def make_engine(problem: Problem, objective: str) -> Engine:
    budget, space = Budget(None, None), lower_mapspace(problem.accelerator, problem.layer)
    return Engine(problem, space, (objective,), top=1, threads=1, budget=budget, progress=None)


def relaxed(engine: Engine, objective: str) -> Relaxation | None:
    level = max(int(engine.codes[0]) - ACCESSES, 0)
    return relax(engine.low, engine.bound, engine.pack, objective, lambda: True, level)


@DRAWN
@given(searches())
def test_no_valid_mapping_is_below_the_bound(search: Search) -> None:
    check_bound(search)


def test_the_bound_counts_the_word_that_rounding_takes_from_fills() -> None:
    accesses = {"accesses-DRAM", "accesses-spad"}
    assert check_bound(losing_a_word()) == {"energy", "delay", "edp"} | accesses


def check_bound(search: Search) -> set[str]:
    """Returns the objectives that have a bound."""
    bounded = set()
    listed = list_mappings(search.case, search.space, search.accounting, test_fan=True, unit_loops=False)
    valid = listed.result.status == packs.OK
    energy, cycles = listed.result.energy_pj[valid], listed.result.cycles[valid]
    values = {"energy": energy, "delay": cycles, "edp": energy * cycles}
    values |= {name: counts[valid] for name, counts in listed.accesses.items()}
    for objective, value in values.items():
        found = relaxed(make_engine(Problem(*search.arguments, search.accounting), objective), objective)
        if found is None:
            continue
        bounded.add(objective)
        assert (value >= found.least).all()
        if objective == "delay":
            assert (energy[cycles <= found.least] >= found.energy_pj).all()
    return bounded


@pytest.mark.parametrize("accounting", ACCOUNTINGS)
@pytest.mark.parametrize("objective", ["energy", "delay", "edp", "accesses-DRAM", "accesses-GLB"])
def test_the_bound_of_a_dense_layer_is_reached(objective: str, accounting: str) -> None:
    """Dataflow, keeps and factors all free; no larger number would be a bound."""
    case = matmul(None, accelerator(GLB={"size_words": 24}, spad={"size_words": 6}))
    mapspace = Mapspace(levels=(LevelConstraint(level="GLB", keep=("A",)),))
    problem = Problem(case.on(mapspace), case.layer, accounting)
    best = search(*problem[:2], objective=objective, accounting=accounting, method="exhaustive")
    assert best.certificate.kind == "optimal"
    found = relaxed(make_engine(problem, objective), objective)
    assert found is not None
    assert found.least == pytest.approx(best.certificate.value, rel=1e-6)


FREE = Mapspace(  # what is kept where as in the study, and nothing else
    levels=tuple(
        LevelConstraint(level=at.level, keep=at.keep, bypass=at.bypass) for at in study_mapspace().levels
    )
)


def study_problem(design: str, variant: str, number: int, mapspace: Mapspace = FREE) -> Problem:
    preset = load_accelerator(DESIGNS[design])
    run = next(r for r in runs() if r[:3] == (design, variant, number))
    return Problem(replace(preset, mapspace=mapspace), run.layer, "timeloop-3")


@pytest.mark.parametrize(
    ("case", "objective", "gap"),
    [
        (("gating", "dense", 7), "energy", 1e-4),
        (("onchip", "dense", 7), "energy", 0.01),  # metadata
        (("onchip", "sparse", 7), "energy", 0.03),
        (("onchip", "sparse", 10), "edp", 0.01),
        (("onchip", "dense", 11), "delay", 0.0),
    ],
)
def test_a_free_dataflow_is_searched_from_where_the_bound_points(case, objective: str, gap: float) -> None:
    """The certificate would hide a bound above its mapping: look at the bound itself."""
    problem = study_problem(*case)
    found = relaxed(make_engine(problem, objective), objective)
    best = search(*problem[:2], objective=objective, evaluations=150)
    value = best.certificate.value
    assert found is not None
    assert found.least <= value <= found.least / (1 - gap)
    assert best.certificate.lower_bound == found.least
    assert "chain of tiles" in best.certificate.statement


def test_starts_are_the_mappings_behind_the_bound() -> None:
    problem = study_problem("gating", "dense", 8)
    engine = make_engine(problem, "energy")
    found = relaxed(engine, "energy")
    candidates, numbers = arrange(engine.low, engine.pack, found.starts)
    assert len(candidates) == len(found.starts) > 1
    rows, reason = engine.make_rows(len(candidates)), ints(len(candidates))
    assemble_candidates(
        *engine.head, engine.make_work(), engine.codes, engine.limit, candidates, numbers, rows, reason
    )
    assert (reason == PASSED).all()
    spatial = engine.low.arch.tiling[:, 1] == 1
    for i, start in enumerate(found.starts):
        assert (rows.factor[i][spatial] == start.spread[engine.low.arch.tiling[spatial, 0]]).all()
    assert engine.evaluate(rows, candidates, numbers)[0, 0] == pytest.approx(found.least, rel=1e-3)


def test_spatial_factors_are_all_that_fit() -> None:
    case = matmul(None, accelerator(mesh=(4, 2)))
    problem = Problem(case.on(Mapspace(min_parallelism=0.5)), case.layer, "timeloop-3")
    engine = make_engine(problem, "energy")
    spread = list_spreads(engine.low, engine.pack)
    bounds = [problem.layer.bounds[dim] for dim in problem.layer.shape.dims]
    divisors = [[n for n in range(1, bound + 1) if bound % n == 0] for bound in bounds]
    fitting = {factors for factors in product(*divisors) if prod(factors) >= 4 and _lies_on(factors, 4, 2)}
    assert {tuple(row) for row in spread[:, 1].tolist()} == fitting
    assert len(spread) == len(fitting)
    assert (spread[:, [0, 2]] == 1).all()


def _lies_on(factors: tuple[int, ...], x: int, y: int) -> bool:
    """Whether every factor lies along one axis."""
    sides = product((True, False), repeat=len(factors))
    return any(
        prod(f for f, on in zip(factors, side, strict=True) if on) <= x
        and prod(f for f, on in zip(factors, side, strict=True) if not on) <= y
        for side in sides
    )


def test_what_is_not_looked_at_keeps_its_cheap_bound() -> None:
    problem = study_problem("gating", "dense", 7)
    engine = make_engine(problem, "energy")
    answers = iter([True, *[False] * 10**6])  # time for the only choice of what is kept
    floor = relax(engine.low, engine.bound, engine.pack, "energy", lambda: next(answers))
    assert floor.starts == ()
    assert 0 < floor.least < relaxed(engine, "energy").least
    assert relax(engine.low, engine.bound, engine.pack, "energy", lambda: False) is None


def test_a_space_too_large_has_the_simple_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relaxation, "MOST_SPREADS", 10)
    problem = study_problem("gating", "dense", 12)
    best = search(*problem[:2], objective="energy", evaluations=20)
    assert "words that must move" in best.certificate.statement
    assert 0 < best.certificate.lower_bound < best.energy_pj


def test_a_small_layer_with_every_choice_of_what_is_kept_is_not_looked_at() -> None:
    """Few factors, and 32,768 ways to keep or bypass."""
    layer = Layer(name="head", shape=CONV, bounds=dict.fromkeys(CONV.dims, 1) | {"M": 2, "C": 8})
    problem = Problem(load_accelerator("eyeriss_like_gating"), layer, "timeloop-3")
    engine = make_engine(problem, "edp")
    assert len(list_spreads(engine.low, engine.pack)) * len(engine.low.space.keep) < relaxation.MOST_CHOICES
    looked = iter(())
    assert relax(engine.low, engine.bound, engine.pack, "edp", lambda: next(looked)) is None


def test_the_bound_takes_half_of_the_seconds_at_most() -> None:
    problem = study_problem("gating", "dense", 5)  # takes several
    best = search(*problem[:2], objective="energy", seconds=1.0)
    assert best.certificate.lower_bound < best.energy_pj
    assert best.statistics.evaluated > 0


def test_an_enumeration_that_is_cut_short_has_the_bound() -> None:
    problem = study_problem("gating", "dense", 7, study_mapspace())
    whole = search(*problem[:2], objective="energy")
    part = search(*problem[:2], objective="energy", evaluations=3)
    assert (whole.certificate.kind, part.certificate.kind) == ("optimal", "gap")
    assert "chain of tiles" in part.certificate.statement
    assert 0.7 * whole.energy_pj < part.certificate.lower_bound <= whole.energy_pj


def coded_matmul(level: str, spad_words: int = 24, **glb: float) -> Problem:
    """A is coded at all levels, by ranks that take every loop, and decides on reads of B at `level`; all is
    kept everywhere.
    """
    kinds = ("UOP", "UOP", "CP")
    ranks = [Rank(format=kind, flattened=(("M", "N", "K"),)) for kind in kinds]
    formats = tuple(
        TensorFormat(level=name, dataspace="A", ranks=tuple(ranks[i:]))
        for i, name in enumerate(("DRAM", "GLB", "spad"))
    )
    saf = Saf(level=level, type="skipping", options=(Option(target="B", condition_on=("A",)),))
    arch = accelerator(
        mesh=(1, 1), GLB={"size_words": 800, "metadata_depth": 10**5, "block_size": 1, **glb},
        spad={"size_words": spad_words, "metadata_depth": 10**5},
    )  # fmt: skip
    case = matmul(SparsePolicy(formats=formats, safs=(saf,)), arch, A=Density(density=0.25))
    keep = tuple(LevelConstraint(level=name, keep=("A", "B", "Z")) for name in ("DRAM", "GLB", "spad"))
    layer = replace(case.layer, bounds={"M": 64, "N": 32, "K": 64})
    actions = {
        name: {action: 0.0 if "metadata" in action else pj for action, pj in prices.items()}
        for name, prices in ENERGY.actions.items()
    }
    priced = case._replace(energy=EnergyTable(actions=actions))
    return Problem(priced.on(Mapspace(levels=keep)), layer, "timeloop-3")


@pytest.mark.parametrize(
    ("level", "limits"),
    [("spad", {}), ("GLB", {}), ("spad", {"size_words": 150}), ("spad", {"metadata_depth": 137})],
    ids=["skip at spad", "skip at GLB", "few words", "few bits"],
)
def test_formats_and_skipping_leave_it_below_what_is_found(level: str, limits: dict[str, int]) -> None:
    problem = coded_matmul(level, **limits)
    found = relaxed(make_engine(problem, "energy"), "energy")
    best = search(*problem[:2], objective="energy", method="local", evaluations=600)
    assert 0.84 * best.energy_pj < found.least <= best.energy_pj


def test_least_metadata_are_those_of_the_least_tile_inside() -> None:
    """The model says how many bits do not fit where there is no room for any."""
    problem = coded_matmul("spad", 200, metadata_depth=1, size_words=4096)
    engine = make_engine(coded_matmul("spad", 200, metadata_depth=10**6, size_words=4096), "energy")
    dims = merge_dims(engine.low.layer, engine.space.factors)
    tiles = list_tiles(dims.layer, engine.low.density, exact=False)
    tables = TileTables(engine.low, dims.layer, tiles, engine.space.keep[0])
    allowed = np.ones((3, *tiles.size.shape), bool)
    allowed[0, 0] = tiles.size[0] > 1
    free = Prices(np.zeros((3, 3)), np.zeros(3), 1, False)
    extents = np.ones((3, len(dims.groups), 7), bool)
    bits = tables.rows(allowed, extents, [free] * 3)[1][1, 0]
    m, k = problem.layer.bounds["M"], problem.layer.bounds["K"]
    smallest = {}
    for size, inside in product((16, 64), (2, 4, 8, 16, 32, 64)):
        if inside > size:
            continue
        in_glb = size // inside
        rows, columns = min(in_glb, k), in_glb // min(in_glb, k)
        nest = mapping(
            in_spad=loops("M", M=inside), in_glb=loops("KM", K=rows, M=columns),
            in_dram=loops("NKM", N=32, K=k // rows, M=m // inside // columns),
        )  # fmt: skip
        with pytest.raises(MappingError, match=naming("GLB")) as caught:
            evaluate(problem.accelerator, problem.layer, nest)
        found = int(str(caught.value).split()[0])
        smallest[size] = min(smallest.get(size, found), found)
    for size, found in smallest.items():
        assert found == bits[tiles.size[0] == size][0]
