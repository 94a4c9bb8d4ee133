"""Loops of bound 1 that take places along X where `split_x` is fixed, against listing everything."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from naive.search import list_mappings
from support.examples import MATMUL, accelerator, matmul
from support.named import naming
from support.small_searches import MOST_MAPPINGS, Search

from sparsim.errors import MappingError
from sparsim.mapper.engine import Engine, Problem
from sparsim.mapper.exhaustive import _arrangements
from sparsim.mapper.indexed_mapspace import lower_mapspace, sizes
from sparsim.mapper.objective_arrays import values
from sparsim.mapper.search import search
from sparsim.mapper.search_budget import Budget
from sparsim.model.evaluate import evaluate
from sparsim.records import Layer, LevelConstraint, Mapspace, NestConstraint, Shape
from validation.random_cases import GROUPED

DRAWN = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
OBJECTIVES = [("energy",), ("delay",), ("delay", "energy")]
METHODS = ("exhaustive", "random", "local")
MOST_DIFFERENT = 100  # mappings that differ in more than places of loops of bound 1


def fixed_split(
    mesh: tuple[int, int], shape: Shape, bounds: dict[str, int], spatial: NestConstraint, least: float = 0.0
) -> Search:
    """Factors over DRAM, the mesh and the spads are free, with fixed orders in time."""
    order = NestConstraint(inner=shape.dims)
    data = tuple(tensor.name for tensor in shape.dataspaces)
    mapspace = Mapspace(
        levels=(
            LevelConstraint(level="DRAM", temporal=order, keep=data),
            LevelConstraint(
                level="GLB", temporal=NestConstraint(inner=shape.dims, default_at_most=1), spatial=spatial,
                keep=data,
            ),
            LevelConstraint(level="spad", keep=data),
        ),
        min_parallelism=least,
    )  # fmt: skip
    arch = accelerator(mesh, GLB={"read_bandwidth": None, "write_bandwidth": None})
    case = matmul(None, arch)._replace(layer=Layer(name="layer", shape=shape, bounds=bounds))
    return Search(case, mapspace, lower_mapspace(case.on(mapspace), case.layer), "timeloop-3")


@st.composite
def fixed_splits(draw: Any) -> Search:
    """Many of the dims have the bound 1; parts of the spatial order may be fixed, too."""
    mesh = draw(st.tuples(st.integers(2, 4), st.integers(2, 4)))
    shape = draw(st.sampled_from([MATMUL, MATMUL, GROUPED]))
    bounds = {dim: draw(st.sampled_from([1, 1, 2, 3, 4, 6])) for dim in shape.dims}
    order = tuple(draw(st.permutations(shape.dims)))
    inner, outer = draw(st.integers(0, 1)), draw(st.integers(0, 1))
    split = draw(st.integers(0, len(order)))
    spatial = NestConstraint(inner=order[:inner], outer=order[len(order) - outer :], split_x=split)
    drawn = fixed_split(mesh, shape, bounds, spatial, draw(st.sampled_from([0.0, 0.0, 0.3, 0.5, 1.0])))
    assume(1 < sizes(drawn.space).total <= 4 * MOST_MAPPINGS)
    return drawn


COLUMN = fixed_split((3, 2), MATMUL, {"M": 3, "N": 1, "K": 1}, NestConstraint(split_x=2))
BUSY_COLUMN = fixed_split((3, 2), MATMUL, {"M": 3, "N": 1, "K": 1}, NestConstraint(split_x=2), 0.3)


def options(drawn: Search, objective: tuple[str, ...]) -> dict[str, Any]:
    return {"objective": objective, "accounting": drawn.accounting}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("drawn", [COLUMN, BUSY_COLUMN], ids=["any", "busy"])
def test_a_dim_lies_along_x_among_loops_of_bound_1(drawn: Search, method: str) -> None:
    """Two of three loops run along X: M is one of them if one of the others is not."""
    result = search(*drawn.arguments, **options(drawn, ("delay",)), method=method)
    assert result.cycles == 1
    again = evaluate(*drawn.arguments, result.best)
    assert (again.cycles, again.energy_pj) == (result.cycles, result.energy_pj)
    assert (
        search(*drawn.arguments, **options(drawn, ("delay",)), evaluations=1, start=[result.best]).cycles == 1
    )


@DRAWN
@given(fixed_splits(), st.sampled_from(OBJECTIVES))
@example(COLUMN, ("delay",))
@example(BUSY_COLUMN, ("energy",))
def test_all_methods_find_the_best_of_all(drawn: Search, objective: tuple[str, ...]) -> None:
    """All find it where they try everything, or many more mappings than there are."""
    few = list_mappings(drawn.case, drawn.space, drawn.accounting, test_fan=True, unit_loops=False)
    assume(len(few.candidate) <= MOST_DIFFERENT)
    listed = list_mappings(drawn.case, drawn.space, drawn.accounting, test_fan=True, unit_loops=True)
    best = listed.values(objective)
    for method in METHODS:
        arguments = {**options(drawn, objective), "method": method}
        if method in ("random", "local"):
            arguments["evaluations"] = 20 * MOST_DIFFERENT
        if not best:
            with pytest.raises(MappingError, match=naming("no mapping")):
                search(*drawn.arguments, **arguments)
            continue
        result = search(*drawn.arguments, **arguments)
        found = tuple(values(objective, result.energy_pj, float(result.cycles)).tolist())
        assert found == best[0]
        again = evaluate(*drawn.arguments, result.best)
        assert (again.energy_pj, again.cycles) == (result.energy_pj, result.cycles)
        warm = search(*drawn.arguments, **options(drawn, objective), evaluations=1, start=[result.best])
        assert warm.top[0].mapping == result.best


@DRAWN
@given(fixed_splits())
def test_equal_arrangements_are_tried_once(drawn: Search) -> None:
    """As many as there are lists of loops without those of bound 1, each with its axis."""
    listed = list_mappings(drawn.case, drawn.space, drawn.accounting, test_fan=False, unit_loops=True)
    seen: dict[tuple[int, ...], set[Any]] = {}
    for candidate, factor, order, split in zip(listed.candidate, *listed.pack[:3], strict=True):
        found = [
            (t, int(d), i < split[t])
            for t, row in enumerate(order) for i, d in enumerate(row) if factor[t, d] > 1
        ]  # fmt: skip
        seen.setdefault(candidate, set()).add(tuple(found))
    assume(seen)
    engine = Engine(
        Problem(*drawn.arguments, drawn.accounting), drawn.space, ("energy",), top=1, threads=1,
        budget=Budget(None, None), progress=None,
    )  # fmt: skip
    candidates, work = np.array([*seen], np.int64), engine.make_work()
    counts = _arrangements(engine, candidates)
    assert counts.prod(axis=1).tolist() == [len(each) for each in seen.values()]
    numbers = np.stack([counts - 1, counts]).reshape(2, len(counts), -1, 2)
    for each in numbers:  # they become remainders by the numbers that the kernel counts
        engine.try_numbers(work, candidates, each)
    assert (numbers[0] == counts.reshape(numbers[0].shape) - 1).all()
    assert (numbers[1] == 0).all()
