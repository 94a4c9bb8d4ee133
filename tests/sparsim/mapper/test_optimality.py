"""Certificates beside an enumeration of everything that uses no relaxation, for free dataflows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support.free_dataflows import free_dataflows

from pointnet.original.published_runs import DESIGNS, runs, study_mapspace
from sparsim.errors import MappingError, SparsimError
from sparsim.files.sparsim_yaml import load_accelerator
from sparsim.mapper.covered_parts import Part, list_parts
from sparsim.mapper.engine import Engine, Problem
from sparsim.mapper.exhaustive import search_all
from sparsim.mapper.incumbents import Entry, Incumbents
from sparsim.mapper.indexed_mapspace import sizes
from sparsim.mapper.search import search
from sparsim.mapper.search_budget import Budget
from sparsim.mapper.uneven_tiles import even_tiles, with_uneven_tiles
from sparsim.records import (
    Accelerator,
    Architecture,
    Compute,
    Dataspace,
    Layer,
    LevelConstraint,
    Mapspace,
    Shape,
    Storage,
)
from sparsim.records.objective import compared_by

OBJECTIVES = [("energy",), ("delay",), ("edp",), ("delay", "energy"), ("energy", "delay"), ("accesses-DRAM",)]
MOST_MAPPINGS = 3e7
MOST_STEPS = 300  # steps of a relaxation
PROVEN = 1e-9


def settled(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))


def small_parts(problem: Problem) -> list[Part]:
    try:
        parts = list_parts(problem.accelerator, problem.layer)
    except SparsimError:
        assume(False)
    assume(sum(sizes(part.space).total for part in parts) <= MOST_MAPPINGS)
    return parts


def make_engine(problem: Problem, part: Part, objective: tuple[str, ...]) -> Engine:
    return Engine(
        problem._replace(layer=part.layer), part.space, compared_by(objective), top=1, threads=1,
        budget=Budget(None, None), progress=None,
    )  # fmt: skip


def best_of_all(problem: Problem, parts: list[Part], objective: tuple[str, ...]) -> Entry | None:
    kept = Incumbents(1, len(compared_by(objective)))
    for part in parts:
        engine = make_engine(problem, part, objective).sibling(kept, None)
        for _ in search_all(engine):
            pass
    return kept.entries[0] if kept.entries else None


@settled(150)
@given(free_dataflows(), st.sampled_from(OBJECTIVES))
def test_a_relaxation_proves_what_an_enumeration_finds(problem: Problem, objective: tuple[str, ...]) -> None:
    check_relaxation(problem, objective)


@settled(60)
@given(free_dataflows(), st.sampled_from(OBJECTIVES), st.sampled_from([("GLB",), ("spad",), ("GLB", "spad")]))
def test_a_relaxation_proves_the_best_uneven_tiles(
    problem: Problem, objective: tuple[str, ...], levels: tuple[str, ...]
) -> None:
    accelerator, layer, _ = problem
    check_relaxation(
        problem._replace(accelerator=with_uneven_tiles(accelerator, layer.shape, levels)), objective
    )


def check_relaxation(problem: Problem, objective: tuple[str, ...]) -> None:
    """The bound grows, is below the best mapping of an enumeration, and is reached by that alone."""
    parts = small_parts(problem)
    best, engine = best_of_all(problem, parts, objective), make_engine(problem, parts[0], objective)
    bounds = []
    for _, _ in zip(range(MOST_STEPS), engine.relax(), strict=False):
        bounds.append(engine.known.floor)
    assert bounds == sorted(bounds)
    relaxed, kept = engine.known.relaxed, engine.kept.entries
    if best is None:
        assert not kept
    elif relaxed is not None:
        assert relaxed.least <= best.values[0]
        if objective[0] == "delay" and best.cycles == relaxed.least:
            assert relaxed.energy_pj <= best.energy_pj
        if kept and kept[0].values[0] - relaxed.least <= PROVEN * kept[0].values[0]:
            assert kept[0].values[0] == pytest.approx(best.values[0], rel=PROVEN)


@settled(40)
@given(free_dataflows(), st.sampled_from(OBJECTIVES), st.sampled_from(["padded", "imperfect", None]))
def test_what_auto_calls_optimal_is_the_best_of_all(
    problem: Problem, objective: tuple[str, ...], policy: Any
) -> None:
    accelerator = problem.accelerator
    if policy is not None and accelerator.mapspace is not None:
        space = replace(accelerator.mapspace, divisibility={"M": policy})
        problem = problem._replace(accelerator=replace(accelerator, mapspace=space))
    best = best_of_all(problem, small_parts(problem), objective)
    try:
        found = search(*problem[:2], objective=objective, accounting=problem.accounting, evaluations=300)
    except MappingError:
        assert best is None
        return
    assert best is not None
    proof = found.certificate
    assert proof.lower_bound <= best.values[0]
    if proof.kind == "optimal":
        assert proof.value == pytest.approx(best.values[0], rel=PROVEN)


def free_problem(design: str, variant: str, number: int) -> tuple[Accelerator, Layer]:
    """The levels that keep each tensor are the study's, and all else is free."""
    levels = (
        LevelConstraint(level=at.level, keep=at.keep, bypass=at.bypass) for at in study_mapspace().levels
    )
    preset = load_accelerator(DESIGNS[design])
    layer = next(run.layer for run in runs() if run[:3] == (design, variant, number))
    return replace(preset, mapspace=Mapspace(levels=tuple(levels))), layer


@pytest.mark.parametrize(
    ("variant", "number", "objective"),
    [
        ("dense", 9, "energy"),
        ("sparse", 9, "edp"),
        ("sparse", 4, "energy"),
        ("sparse", 12, ("delay", "energy")),
    ],
)
def test_free_dataflows_of_the_study_are_proven(variant: str, number: int, objective: Any) -> None:
    found = search(*free_problem("onchip", variant, number), objective=objective, evaluations=400)
    assert found.certificate.kind == "optimal"
    assert found.certificate.gap <= PROVEN


PRODUCT = Shape(
    name="product",
    dims=("M", "C", "N"),
    dataspaces=(
        Dataspace(name="A", projection=("M", "C")),
        Dataspace(name="B", projection=("C", "N")),
        Dataspace(name="Z", projection=("M", "N"), read_write=True),
    ),
)


@st.composite
def dense_products(draw: Any) -> Problem:
    """Products of matrices on small memories, whose tiles are uneven."""
    bounds = {dim: draw(st.sampled_from([2, 3, 4, 5, 6])) for dim in PRODUCT.dims}
    mesh = draw(st.sampled_from([(1, 1), (2, 2), (3, 1)]))
    words = {"word_bits": 8, "block_size": draw(st.sampled_from([1, 1, 2]))}
    buffer = Storage(name="GLB", size_words=draw(st.sampled_from([7, 12, 20, 40])), mesh=mesh, **words)
    arch = Architecture(
        storage=(Storage(name="DRAM", technology="DRAM", **words), buffer),
        compute=Compute(name="MAC"),
    )
    keep = draw(st.sampled_from([(), ("A", "B", "Z"), ("A", "Z")]))
    mapspace = Mapspace(levels=(LevelConstraint(level="GLB", keep=keep),))
    layer = Layer(name="layer", shape=PRODUCT, bounds=bounds)
    accelerator = with_uneven_tiles(Accelerator(architecture=arch, mapspace=mapspace), layer.shape)
    return Problem(accelerator, layer, draw(st.sampled_from(["timeloop-3", "count-drains"])))


@settled(15)
@given(dense_products(), st.sampled_from(OBJECTIVES), st.sampled_from(["padded", "imperfect"]))
def test_uneven_tiles_of_covered_dims_are_bounded(
    problem: Problem, objective: tuple[str, ...], policy: Any
) -> None:
    accelerator = problem.accelerator
    assert accelerator.mapspace is not None
    space = replace(accelerator.mapspace, divisibility={"M": policy}, most_padding=0.2)
    problem = problem._replace(accelerator=replace(accelerator, mapspace=space))
    best = best_of_all(problem, list_parts(*problem[:2]), objective)
    found = search(*problem[:2], objective=objective, accounting=problem.accounting, evaluations=200)
    assert best is not None
    assert found.certificate.lower_bound <= best.values[0]
    if found.certificate.kind == "optimal":
        assert found.certificate.value == pytest.approx(best.values[0], rel=PROVEN)


@settled(60)
@given(dense_products(), st.sampled_from(OBJECTIVES))
def test_uneven_tiles_of_dense_layers_are_proven(problem: Problem, objective: tuple[str, ...]) -> None:
    (part,) = list_parts(*problem[:2])
    best, engine = best_of_all(problem, [part], objective), make_engine(problem, part, objective)
    for _ in engine.relax():
        pass
    assert best is not None
    assert engine.kept.entries[0].values[0] == pytest.approx(best.values[0], rel=PROVEN)
    assert best.values[0] * (1 - PROVEN) <= engine.known.floor <= best.values[0]
    even = problem._replace(accelerator=even_tiles(problem.accelerator, problem.layer.shape))
    together = best_of_all(even, list_parts(*even[:2]), objective)
    assert together is not None
    assert best.values[0] <= together.values[0] * (1 + PROVEN)
