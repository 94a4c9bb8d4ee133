"""A search returns no mapping that its constraints forbid, and breaks ties of delay by energy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support.examples import fixed, matmul
from support.small_mapspaces import Problem, problems

from sparsim.errors import EmptyMapspaceError, MappingError, SpecError
from sparsim.mapper.search import search
from sparsim.records import LevelConstraint, Mapping, Mapspace, Nest, NestConstraint

DRAWN = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@DRAWN
@given(problems(), st.sampled_from(("exhaustive", "random", "local")), st.integers(0, 99))
def test_the_mapping_found_obeys_all_constraints(problem: Problem, method: str, seed: int) -> None:
    try:
        result = search(*problem, method=method, seed=seed, evaluations=50, top=3)
    except (EmptyMapspaceError, MappingError, SpecError):
        assume(False)
    mapspace = problem.accelerator.mapspace or Mapspace()
    for one in result.top:
        violated = [text for level in mapspace.levels for text in violations(one.mapping, level, problem)]
        assert violated == []


def violations(mapping: Mapping, said: LevelConstraint, problem: Problem) -> Iterator[str]:
    """What `mapping` does at a level although it is forbidden there."""
    level = next(level for level in mapping.levels if level.level == said.level)
    yield from (f"{name} is bypassed" for name in said.keep if name in level.bypass)
    yield from (f"{name} is kept" for name in said.bypass if name not in level.bypass)
    for flag in ("no_link_transfer", "no_multicast_no_reduction", "no_temporal_reuse"):
        if set(getattr(level, flag)) != set(getattr(said, flag)):
            yield flag
    yield from nest_violations(level.temporal, said.temporal, problem)
    if said.spatial is not None:
        yield from nest_violations(level.spatial or Nest(), said.spatial, problem)


def nest_violations(nest: Nest, said: NestConstraint, problem: Problem) -> Iterator[str]:
    for dim, bound in problem.layer.bounds.items():
        factor = nest.factors.get(dim, 1)
        if dim in said.factors and factor != (said.factors[dim] or bound):
            yield f"{dim}={factor}"
        if dim not in said.factors and factor > said.at_most.get(dim, said.default_at_most or factor):
            yield f"{dim} is more"
        if dim not in said.factors and factor < said.at_least.get(dim, said.default_at_least or 1):
            yield f"{dim} is less"
    order = [dim for dim in nest.order if nest.factors.get(dim, 1) > 1]
    for part, found in ((said.outer, order), (said.inner[::-1], order[::-1])):
        fixed_loops = [dim for dim in part if dim in order]
        if found[: len(fixed_loops)] != fixed_loops:
            yield f"order {order}"


def test_ties_of_delay_go_to_the_lower_energy() -> None:
    """Whatever the method, and also where the fastest mapping is found at once."""
    case = matmul(A=fixed(0.375), B=fixed(0.5))
    keep = tuple(LevelConstraint(level=name, keep=("A", "B", "Z")) for name in ("DRAM", "GLB", "spad"))
    on = case.on(Mapspace(levels=keep)), case.layer
    fastest = search(*on, objective="delay")
    assert fastest.objective == ("delay",)
    assert fastest.certificate.kind == "optimal"
    exact = search(*on, objective=("delay", "energy"), method="exhaustive")
    assert (fastest.cycles, fastest.energy_pj) == (exact.cycles, exact.energy_pj)
    few = search(*on, objective="delay", method="random", evaluations=60, top=60).top
    assert few == tuple(sorted(few, key=lambda one: (one.cycles, one.energy_pj)))


def test_too_few_ranks_say_how_many_are_needed() -> None:
    from sparsim.model.evaluate import evaluate
    from sparsim.records import LevelMapping, Rank, SparsePolicy, TensorFormat

    policy = SparsePolicy(formats=(TensorFormat(level="DRAM", dataspace="A", ranks=(Rank(format="UOP"),)),))
    case = matmul(policy, A=fixed(0.5), B=fixed(1.0))
    loops = Nest(factors=dict(case.layer.bounds), order=tuple(case.layer.bounds))
    mapping = Mapping(levels=(LevelMapping(level="DRAM", temporal=loops),))
    with pytest.raises(MappingError) as error:
        evaluate(case.on(Mapspace()), case.layer, mapping)
    assert (error.value.have, error.value.need) == (1, 2)
