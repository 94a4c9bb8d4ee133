"""Search over padded and imperfect dims against listing all covered bounds; bounds of what is cut short."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from naive.search import Listed, list_mappings
from support.examples import ENERGY, MATMUL, accelerator
from support.named import naming
from support.small_searches import Search, searches

from sparsim.errors import EmptyMapspaceError, MappingError, SparsimWarning, SpecError
from sparsim.mapper.covered_parts import (
    Part,
    count_combinations,
    list_parts,
    sizes_of_all,
    total_sizes,
)
from sparsim.mapper.engine import Engine, Problem
from sparsim.mapper.kernels.enumeration import enumerate_candidates
from sparsim.mapper.layer_bound import bound_layer
from sparsim.mapper.mapping_cache import MappingCache
from sparsim.mapper.network_search import search_network
from sparsim.mapper.objective_arrays import values
from sparsim.mapper.search import search
from sparsim.mapper.search_budget import Budget
from sparsim.model import arrays as packs
from sparsim.model.evaluate import evaluate
from sparsim.model.lower import ints, reals
from sparsim.records import (
    Accelerator,
    Layer,
    LevelConstraint,
    Mapspace,
    NestConstraint,
    Rank,
    SparsePolicy,
    TensorFormat,
)
from sparsim.records.divisibility import check_policies, covers_of

DRAWN = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
OBJECTIVES = [("energy",), ("delay",), ("edp",), ("delay", "energy")]


class Drawn(NamedTuple):
    search: Search
    accelerator: Accelerator  # that of the search with another mapspace
    parts: list[Part]

    def listed(self) -> list[Listed]:
        """Of every part."""
        case, accounting = self.search.case, self.search.accounting
        return [
            list_mappings(
                case._replace(layer=part.layer), part.space, accounting, test_fan=True, unit_loops=False
            )
            for part in self.parts
        ]


@st.composite
def divided(draw: Any) -> Drawn:
    """A mapspace that can be listed, with policies for one or two dims."""
    drawn = draw(searches())
    arch, layer, policy = drawn.case[:3]
    divisibility = {}
    for dim in draw(st.lists(st.sampled_from(layer.shape.dims), min_size=1, max_size=2, unique=True)):
        kind = draw(st.sampled_from(["imperfect", "imperfect", "padded"]))
        try:
            check_policies(arch, layer, policy, divisibility | {dim: kind})
        except SpecError:
            continue
        divisibility[dim] = kind
    assume(divisibility)
    mapspace = replace(drawn.mapspace, divisibility=divisibility, most_padding=0.4)
    accelerator = drawn.case.on(mapspace)
    parts = list_parts(accelerator, layer)
    assume(len(parts) > 1)
    assume(total_sizes(parts).total <= 500)
    return Drawn(drawn, accelerator, parts)


@DRAWN
@given(divided(), st.sampled_from(OBJECTIVES))
def test_the_best_of_all_covered_bounds_is_found(drawn: Drawn, objective: tuple[str, ...]) -> None:
    case, accounting = drawn.search.case, drawn.search.accounting
    best = [(one, i) for i, part in enumerate(drawn.listed()) for one in part.values(objective)[:2]]
    options = {"objective": objective, "method": "exhaustive", "accounting": accounting}
    if not best:
        with pytest.raises(MappingError, match=naming("no mapping")):
            search(drawn.accelerator, case.layer, **options)
        return
    result = search(drawn.accelerator, case.layer, **options, top=2)
    expected = sorted(best)[:2]
    found = [tuple(values(objective, one.energy_pj, float(one.cycles)).tolist()) for one in result.top]
    assert found == [one for one, _ in expected]
    assert [one.covers for one in result.top] == [covers_of(drawn.parts[i].layer) for _, i in expected]
    assert result.certificate.kind == "optimal"
    assert result.sizes == total_sizes(drawn.parts)
    seen = result.statistics
    over = seen.candidates_over_fan_out + seen.candidates_over_capacity + seen.candidates_over_bound
    assert over <= seen.candidates == result.sizes.factorisations * result.sizes.bypasses
    last = result.top[-1].mapping
    assert search(drawn.accelerator, case.layer, **options, top=2, start=[last]).top == result.top
    for one in result.top:
        again = evaluate(drawn.accelerator, case.layer, one.mapping, accounting=accounting)
        assert (again.energy_pj, again.cycles, again.covers) == (one.energy_pj, one.cycles, one.covers)
        assert one.mapping.divisibility == {cover.dim: cover.policy for cover in one.covers}


@DRAWN
@given(divided())
def test_no_valid_mapping_of_any_part_is_below_its_bound(drawn: Drawn) -> None:
    for part, listed in zip(drawn.parts, drawn.listed(), strict=True):
        problem = Problem(drawn.accelerator, part.layer, drawn.search.accounting)
        engine = Engine(
            problem, part.space, ("energy",), top=1, threads=1, budget=Budget(None, None), progress=None
        )
        n_dims, n_decisions, room = len(part.space.factors), len(engine.pack.decision), 5000
        start = np.array([*[0] * (n_decisions + 1), -1])
        out, bounds = ints(room, n_dims + 1), reals(room, len(engine.part_least))
        n, done = enumerate_candidates(
            *engine.head, engine.make_work(), engine.codes, engine.limit, start, n_decisions, 1, 10**6,
            out, bounds, reals(4),
        )  # fmt: skip
        assert done
        of = {tuple(row): bounds[i] for i, row in enumerate(out[:n].tolist())}
        for i in np.flatnonzero(listed.result.status == packs.OK):
            least_cycles, least_energy, *least_accesses = of[listed.candidate[i]]
            assert (engine.part_least[2:] <= listed.result.accesses[i]).all()
            assert (least_accesses <= listed.result.accesses[i]).all()
            assert engine.part_least[0] <= least_cycles <= listed.result.cycles[i]
            assert max(engine.part_least[1], least_energy) <= listed.result.energy_pj[i]


# ---- which factors there are


def small(mapspace: Mapspace) -> Accelerator:
    return Accelerator(architecture=accelerator(), energy=ENERGY, mapspace=mapspace)


@pytest.mark.parametrize("kind", ["padded", "imperfect"])
def test_factors_are_all_that_cover_the_bound(kind: str) -> None:
    layer = Layer(shape=MATMUL, bounds={"M": 1, "N": 11, "K": 1})
    mapspace = Mapspace(divisibility={"N": kind}, most_padding=0.3)
    rows = [row for part in list_parts(small(mapspace), layer) for row in part.space.factors[1]]
    expected = set()
    for row in itertools.product(range(1, 15), repeat=4):
        lowered = [math.prod(row) // f * (f - 1) for f in row if f > 1]
        if 11 <= math.prod(row) <= 14 and (kind == "padded" or math.prod(row) == 11 or max(lowered) < 11):
            expected.add(row)
    assert len(rows) == len(expected)
    assert {tuple(row.tolist()) for row in rows} == expected


def test_a_named_dim_may_always_be_covered_by_one_more() -> None:
    layer = Layer(shape=MATMUL, bounds={"M": 3, "N": 1, "K": 1})
    parts = list_parts(small(Mapspace(divisibility={"M": "padded"})), layer)
    assert [part.layer.bounds["M"] for part in parts] == [3, 4]


def test_constraints_hold_for_the_covered_bound() -> None:
    """Four columns for 7: only 8 can be spread over them; where all else is fixed nothing is left."""
    layer = Layer(shape=MATMUL, bounds={"M": 7, "N": 1, "K": 1})
    spread = LevelConstraint(level="GLB", spatial=NestConstraint(factors={"M": 4}))
    mapspace = Mapspace(levels=(spread,), divisibility={"M": "padded"}, most_padding=0.2)
    (part,) = list_parts(small(mapspace), layer)
    assert part.layer.bounds["M"] == 8
    spread = LevelConstraint(level="GLB", spatial=NestConstraint(factors={"M": 5}))
    with pytest.raises(EmptyMapspaceError, match=naming("M 7")):
        list_parts(small(replace(mapspace, levels=(spread,))), layer)


MANY = Mapspace(divisibility={"M": "padded", "N": "imperfect"})
BIG = Layer(shape=MATMUL, bounds={"M": 500, "N": 500, "K": 1})


def test_of_many_combinations_those_with_the_least_padding_are_listed() -> None:
    assert count_combinations(MANY, BIG) == 63 * 63
    parts = list_parts(small(MANY), BIG)
    points = [math.prod(part.layer.bounds.values()) for part in parts]
    assert len(parts) == 256
    assert points == sorted(points)
    assert points[-1] < 500 * 562
    padded = replace(MANY, divisibility=dict.fromkeys("MN", "padded"))
    assert sizes_of_all(small(padded), BIG, parts).factorisations == math.prod(
        total_sizes(list_parts(small(replace(padded, divisibility={dim: "padded"})), one)).factorisations
        for dim, one in (
            ("M", replace(BIG, bounds=BIG.bounds | {"N": 1})),
            ("N", replace(BIG, bounds=BIG.bounds | {"M": 1})),
        )
    )
    with pytest.raises(SpecError, match=naming("2048 3969")):
        bound_layer(small(MANY), BIG)


def test_what_is_left_out_is_said() -> None:
    formats = (TensorFormat(level="GLB", dataspace="A", ranks=(Rank(format="CP"),)),)
    sparse = replace(small(MANY), policy=SparsePolicy(formats=formats))
    with pytest.warns(SparsimWarning, match=naming("256 3969")):
        result = search(sparse, BIG, objective="energy", seconds=0.01)
    assert (result.certificate.kind, result.certificate.lower_bound) == ("gap", 0.0)
    assert "256 of 3969" in result.certificate.statement


# ---- budgets and interrupts

SEVEN_ROWS = Layer(shape=MATMUL, bounds={"M": 7, "N": 4, "K": 8})


@pytest.mark.parametrize("at", [1, 2])
def test_ctrl_c_keeps_the_best_and_a_bound_on_all_parts(at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also between two parts."""
    fixed_n = LevelConstraint(level="spad", temporal=NestConstraint(factors={"N": 1, "K": 8}))
    mapspace = Mapspace(levels=(fixed_n,), divisibility={"M": "imperfect"}, most_padding=0.3)
    calls = iter(range(10))
    real = Engine.__init__

    def enter(engine: Engine, *arguments: Any, **options: Any) -> None:
        real(engine, *arguments, **options)
        if next(calls) == at:
            raise KeyboardInterrupt

    options: Any = {"objective": ("energy",), "method": "exhaustive"}
    whole = search(small(mapspace), SEVEN_ROWS, **options)
    monkeypatch.setattr(Engine, "__init__", enter)
    result = search(small(mapspace), SEVEN_ROWS, **options)
    assert result.interrupted
    assert result.certificate.kind == "gap"
    assert result.certificate.lower_bound <= whole.energy_pj <= result.energy_pj


def test_a_kept_result_still_names_what_is_covered(tmp_path: Path) -> None:
    spread = LevelConstraint(level="GLB", spatial=NestConstraint(factors={"M": 4}))
    mapspace = Mapspace(levels=(spread,), divisibility={"M": "imperfect"})
    first, second = (
        search_network(small(mapspace), [SEVEN_ROWS], cache=MappingCache(tmp_path)) for _ in range(2)
    )
    assert first[0].top == second[0].top
    assert [cover.covered for cover in second[0].top[0].covers] == [8]


@pytest.mark.parametrize("method", ["random", "local"])
def test_sampling_looks_at_every_part_and_keeps_its_budget(method: Any) -> None:
    keep = tuple(LevelConstraint(level=name, keep=("A", "B", "Z")) for name in ("DRAM", "GLB", "spad"))
    mapspace = Mapspace(levels=keep, divisibility={"M": "padded"})
    options: Any = {"objective": ("delay",), "method": method, "evaluations": 400, "seed": 3}
    result = search(small(mapspace), SEVEN_ROWS, **options)
    assert result.statistics.evaluated <= 400
    assert result.certificate.lower_bound <= result.cycles
    assert (result.certificate.kind == "optimal") == (result.certificate.gap <= 1e-9)
    assert search(small(mapspace), SEVEN_ROWS, **options).top == result.top
    alone = []
    for bound in (7, 8):
        perfect = replace(SEVEN_ROWS, bounds={"M": bound, "N": 4, "K": 8})
        alone.append(search(small(Mapspace(levels=keep)), perfect, objective=("delay",)).cycles)
    assert result.cycles == min(alone)
