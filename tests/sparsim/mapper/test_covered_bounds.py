"""The relaxation of all covered bounds of padded and imperfect dims beside an enumeration of everything."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support.examples import ENERGY, MATMUL, accelerator
from support.free_dataflows import free_dataflows

from sparsim.errors import SparsimError
from sparsim.mapper import covered_parts
from sparsim.mapper import search as search_module
from sparsim.mapper.cover_relaxation import CoverRelaxation
from sparsim.mapper.covered_parts import list_parts
from sparsim.mapper.engine import Engine, Problem
from sparsim.mapper.exhaustive import search_all
from sparsim.mapper.incumbents import Incumbents
from sparsim.mapper.indexed_mapspace import sizes
from sparsim.mapper.search import search
from sparsim.mapper.search_budget import Budget
from sparsim.records import Accelerator, Layer, Mapspace
from sparsim.records.divisibility import check_policies
from sparsim.records.objective import compared_by

OBJECTIVES = [("energy",), ("delay",), ("edp",), ("accesses-DRAM",), ("accesses-GLB",)]
KINDS = st.sampled_from(["padded", "padded", "imperfect"])
MOST_MAPPINGS = 2e5
CLOSE = 1 + 1e-12
PROVEN = 1e-9


@st.composite
def covered_problems(draw: Any) -> Problem:
    """Dense problems without constraints on factors and orders, with policies for some dims."""
    problem = draw(free_dataflows())
    accelerator, layer = replace(problem.accelerator, policy=None), problem.layer
    divisibility: dict[str, Any] = {}
    for dim, kind in draw(
        st.dictionaries(st.sampled_from(layer.shape.dims), KINDS, min_size=1, max_size=3)
    ).items():
        try:
            check_policies(accelerator.architecture, layer, None, divisibility | {dim: kind})
        except SparsimError:
            continue
        divisibility[dim] = kind
    assume(divisibility)
    mapspace = replace(
        accelerator.mapspace, divisibility=divisibility, most_padding=draw(st.sampled_from([0.0, 0.3, 0.5]))
    )
    bounds = layer.bounds | {dim: max(2, layer.bounds[dim]) for dim in divisibility}
    return problem._replace(
        accelerator=replace(accelerator, mapspace=mapspace), layer=replace(layer, bounds=bounds)
    )


def make_engines(problem: Problem, objective: tuple[str, ...]) -> list[Engine]:
    parts = list_parts(problem.accelerator, problem.layer)
    assume(sum(sizes(part.space).total for part in parts) <= MOST_MAPPINGS)
    return [
        Engine(
            problem._replace(layer=part.layer), part.space, compared_by(objective), top=1, threads=1,
            budget=Budget(None, None), progress=None, part=number,
        )
        for number, part in enumerate(parts)
    ]  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(covered_problems(), st.sampled_from(OBJECTIVES))
def test_no_mapping_of_any_covered_bounds_is_below_the_bound(
    problem: Problem, objective: tuple[str, ...]
) -> None:
    engines = make_engines(problem, objective)
    best = Incumbents(1, len(compared_by(objective)))
    for engine in engines:
        for _ in search_all(engine.sibling(best, None)):
            pass
    kept = Incumbents(1, len(compared_by(objective)))
    relaxation = CoverRelaxation(problem, engines, kept, None, lambda engine: engine)
    bounds = [relaxation.found.least for _ in relaxation.steps() if relaxation.found is not None]
    assert bounds == sorted(bounds)
    found = relaxation.found
    if not best.entries:
        assert not kept.entries
    elif found is not None:
        value, energy_pj = best.entries[0].values[0], best.entries[0].energy_pj
        assert found.least <= value * CLOSE
        if objective == ("delay",) and found.least == value:
            assert found.energy_pj <= energy_pj * CLOSE
        if kept.entries and kept.entries[0].values[0] - found.least <= PROVEN * value:
            assert kept.entries[0].values[0] == pytest.approx(value, rel=PROVEN)


@pytest.mark.parametrize("objective", ["energy", "edp", "delay"])
def test_bounds_that_are_not_listed_are_searched(objective: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four columns, over which neither 7 nor 5 can be spread."""
    mapspace = Mapspace(divisibility=dict.fromkeys("MN", "padded"), most_padding=0.5)
    chip = Accelerator(architecture=accelerator(), energy=ENERGY, mapspace=mapspace)
    bounds = {"M": 7, "N": 5, "K": 1}
    whole = search(chip, Layer(shape=MATMUL, bounds=bounds, name="listed"), objective=objective)
    for module in (covered_parts, search_module):
        monkeypatch.setattr(module, "MOST_PARTS", 1)
    monkeypatch.setattr(covered_parts, "LISTED", 1)
    layer = Layer(shape=MATMUL, bounds=bounds, name="not listed")
    assert len(list_parts(chip, layer)) == 1
    result = search(chip, layer, objective=objective)
    assert whole.certificate.kind == result.certificate.kind == "optimal"
    assert result.certificate.value == pytest.approx(whole.certificate.value, rel=PROVEN)
    assert result.top[0].covers or objective != "delay"
