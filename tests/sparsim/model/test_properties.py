"""What must hold for any case: no-ops, sums, linearity, orders that do not matter, orders that do."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.small_nests import POINTWISE, SLIDING, Case, dense_cases
from support.small_policies import every_price, sparse_cases

from sparsim.errors import MappingError
from sparsim.model.evaluate import evaluate
from sparsim.model.result import Access, Evaluation, TensorTraffic
from sparsim.records import Dataspace, Density, EnergyTable, Mapping, Nest, Shape, SparsePolicy
from sparsim.records.energy_table import STORAGE_ACTIONS
from validation.random_cases import CONV, GEMM, GROUPED

replace = msgspec.structs.replace


def evaluated(case: Case, **options: Any) -> Evaluation:
    """Invalid mappings are left out."""
    try:
        return evaluate(*case.given, **options)
    except MappingError:
        assume(False)
        raise


def tensors(result: Evaluation) -> list[tuple[int, TensorTraffic]]:
    return [(s, tensor) for s, level in enumerate(result.storage) for tensor in level.tensors]


def kinds(tensor: TensorTraffic) -> tuple[Access, Access, Access]:
    return tensor.reads, tensor.fills, tensor.updates


def same(one: Evaluation, other: Evaluation) -> bool:
    """Equal in every number; nan equals nan."""
    return repr(one) == repr(other)


# density 1


def data_is_all_that_costs(case: Case) -> EnergyTable:
    """The case's prices with metadata, decompression and compression for free."""
    assert case.energy is not None
    free = {action: 0.0 for action in STORAGE_ACTIONS if "metadata" in action or "compression" in action}
    return replace(
        case.energy,
        actions={
            name: {**prices, **{action: 0.0 for action in free if action in prices}}
            for name, prices in case.energy.actions.items()
        },
    )


@settings(max_examples=30, deadline=None)
@given(case=sparse_cases(roomy=True))
def test_without_zeros_every_policy_is_a_no_op(case: Case) -> None:
    case = case._replace(layer=replace(case.layer, densities={}), energy=data_is_all_that_costs(case))
    sparse, dense = evaluated(case), evaluate(*case._replace(policy=None).given)
    assert (sparse.energy_pj, sparse.cycles) == (dense.energy_pj, dense.cycles)
    assert (sparse.compute.actual, sparse.compute.gated, sparse.compute.skipped) == (
        dense.compute.algorithmic,
        0,
        0,
    )
    for (_, found), (_, expected) in zip(tensors(sparse), tensors(dense), strict=True):
        assert kinds(found) == kinds(expected)
        assert found.tile_density == 1.0
        assert found.utilized_words == found.tile_words


@settings(max_examples=25, deadline=None)
@given(case=sparse_cases(roomy=True))
def test_without_zeros_uniform_tensors_are_structured_ones(case: Case) -> None:
    """But for formats, where the reference takes full tiles for possibly empty ones (model 9.5)."""
    assert case.policy is not None
    policy = replace(case.policy, formats=())
    assume(policy.active)
    full = {d.name: Density(distribution="hypergeometric") for d in case.layer.shape.dataspaces}
    uniform = evaluated(case._replace(layer=replace(case.layer, densities=full), policy=policy))
    structured = evaluated(case._replace(layer=replace(case.layer, densities={}), policy=policy))
    assert uniform.energy_pj == structured.energy_pj
    assert [kinds(t) for _, t in tensors(uniform)] == [kinds(t) for _, t in tensors(structured)]


# sums


@settings(max_examples=30, deadline=None)
@given(case=sparse_cases())
def test_actual_gated_and_skipped_are_all(case: Case) -> None:
    """Where no format drops accesses, and no entry further out removes them unseen (model 11)."""
    assert case.policy is not None
    result = evaluated(case)
    formatted = {(f.level, f.dataspace) for f in case.policy.formats}
    inward = [level.name for level in result.storage]
    for s, tensor in tensors(result):
        targeted = [
            inward.index(saf.level)
            for saf in case.policy.safs
            if any(option.target == tensor.dataspace for option in saf.options)
        ]
        keepers = [q for q, other in tensors(result) if other.dataspace == tensor.dataspace]
        holders = [next((q for q in keepers if q >= level), -1) for level in targeted]
        if (inward[s], tensor.dataspace) in formatted or any(holder > s for holder in holders):
            continue
        for access in kinds(tensor):
            assert access.actual + access.gated + access.skipped == access.algorithmic
        assert tensor.fills.gated == tensor.fills.skipped == 0


@settings(max_examples=25, deadline=None)
@given(case=sparse_cases())
def test_computes_are_all_where_no_operand_is_absent(case: Case) -> None:
    assert case.policy is not None
    policy = replace(case.policy, formats=(), safs=(), compute_gating=True)
    compute = evaluated(case._replace(policy=policy)).compute
    assert compute.actual + compute.gated + compute.skipped == compute.algorithmic


@settings(max_examples=25, deadline=None)
@given(case=sparse_cases())
def test_energies_add_up(case: Case) -> None:
    result = evaluated(case)
    levels = [result.compute.energy_pj, *(level.energy_pj for level in result.storage)]
    assert result.energy_pj == pytest.approx(sum(levels), rel=1e-12)
    for level in result.storage:
        parts = [t.energy_pj + t.addr_gen_energy_pj for t in level.tensors]
        assert level.energy_pj == pytest.approx(sum(parts), rel=1e-12)
        for tensor in level.tensors:
            assert tensor.energy_pj == pytest.approx(sum(tensor.energy_by_action_pj.values()), rel=1e-12)


# energy is linear in the table


def with_prices(case: Case, change: Callable[[str, str, float], float]) -> Case:
    assert case.energy is not None
    actions = {
        component: {action: change(component, action, pj) for action, pj in prices.items()}
        for component, prices in case.energy.actions.items()
    }
    storage = tuple(replace(level, addr_gen_energy_pj=None) for level in case.arch.storage)
    return case._replace(
        arch=replace(case.arch, storage=storage), energy=replace(case.energy, actions=actions)
    )


@settings(max_examples=25, deadline=None)
@given(case=sparse_cases(), power=st.integers(-8, 8))
def test_energy_scales_with_the_table(case: Case, power: int) -> None:
    one = evaluated(with_prices(case, lambda *price: price[2]))
    scaled = evaluate(*with_prices(case, lambda *price: price[2] * 2.0**power).given)
    assert scaled.energy_pj == one.energy_pj * 2.0**power
    assert scaled.cycles == one.cycles


@settings(max_examples=25, deadline=None)
@given(case=sparse_cases(), seed=st.randoms(use_true_random=False))
def test_energy_of_two_tables_is_the_sum(case: Case, seed: Any) -> None:
    assert case.policy is not None
    single = tuple(replace(saf, options=saf.options[:1]) for saf in case.policy.safs)  # others: a choice
    case = case._replace(policy=replace(case.policy, safs=single))
    other: dict[tuple[str, str], float] = {}
    a = with_prices(case, lambda *price: price[2])
    b = with_prices(case, lambda *price: other.setdefault(price[:2], seed.uniform(0, 10)))
    both = with_prices(case, lambda *price: price[2] + other[price[:2]])
    expected = evaluated(a).energy_pj + evaluate(*b.given).energy_pj
    assert evaluate(*both.given).energy_pj == pytest.approx(expected, rel=1e-12)


# orders and spellings that do not matter


def shuffled(draw: Any, items: dict[str, Any]) -> dict[str, Any]:
    return {key: items[key] for key in draw(st.permutations(list(items)))}


@settings(max_examples=30, deadline=None)
@given(case=sparse_cases(), data=st.data())
def test_order_of_entries_does_not_matter(case: Case, data: st.DataObject) -> None:
    """Of levels, factors, bounds, densities, formats, prices, and of SAFs of different levels."""
    assert case.policy is not None
    assert case.energy is not None
    nests = [
        replace(level, temporal=replace(level.temporal, factors=shuffled(data.draw, level.temporal.factors)))
        for level in data.draw(st.permutations(case.mapping.levels))
    ]
    order = data.draw(st.permutations(sorted({saf.level for saf in case.policy.safs})))
    policy = replace(
        case.policy,
        formats=tuple(data.draw(st.permutations(case.policy.formats))),
        safs=tuple(sorted(case.policy.safs, key=lambda saf: order.index(saf.level))),
    )
    layer = replace(
        case.layer,
        bounds=shuffled(data.draw, case.layer.bounds),
        densities=shuffled(data.draw, case.layer.densities),
    )
    energy = replace(case.energy, actions=shuffled(data.draw, case.energy.actions))
    other = Case(case.arch, layer, policy, energy, Mapping(levels=tuple(nests)))
    assert same(evaluated(case), evaluate(*other.given))


def unit_loops_elsewhere(draw: Any, nest: Nest) -> Nest:
    """The same loops, trivial ones at other places or, with their factor, left out."""
    moved = draw(st.permutations(nest.order))
    telling = [dim for dim in nest.order if nest.factors.get(dim, 1) > 1]
    order = [telling.pop(0) if nest.factors.get(dim, 1) > 1 else dim for dim in moved]
    factors = {dim: n for dim, n in nest.factors.items() if n > 1 or draw(st.booleans())}
    return replace(nest, order=tuple(order), factors=factors)


@settings(max_examples=30, deadline=None)
@given(case=dense_cases(), data=st.data())
def test_unit_loops_are_neutral(case: Case, data: st.DataObject) -> None:
    levels = tuple(
        replace(level, temporal=unit_loops_elsewhere(data.draw, level.temporal))
        for level in case.mapping.levels
    )
    assert same(evaluated(case), evaluate(*case._replace(mapping=Mapping(levels=levels)).given))


@settings(max_examples=25, deadline=None)
@given(case=dense_cases())
def test_dims_of_bound_one_are_neutral(case: Case) -> None:
    shape = case.layer.shape
    wider = Shape(
        name=shape.name,
        dims=("#", *shape.dims),
        coefficients=shape.coefficients,
        dataspaces=tuple(
            Dataspace(name=d.name, projection=(*d.projection, "#"), read_write=d.read_write)
            for d in shape.dataspaces
        ),
    )
    layer = replace(case.layer, shape=wider, bounds={**case.layer.bounds, "#": 1})
    levels = tuple(
        level
        if level.spatial is None
        else replace(level, spatial=replace(level.spatial, order=("#", *level.spatial.order)))
        for level in case.mapping.levels
    )
    found = evaluated(case._replace(layer=layer, mapping=Mapping(levels=levels)))
    assert same(found, evaluate(*case.given))


@settings(max_examples=25, deadline=None)
@given(case=dense_cases())
def test_an_empty_policy_changes_the_report_only(case: Case) -> None:
    dense, sparse = evaluated(case), evaluated(case._replace(policy=SparsePolicy()))
    assert (sparse.energy_pj, sparse.cycles) == (dense.energy_pj, dense.cycles)


# orders that do matter


@settings(max_examples=30, deadline=None)
@given(case=sparse_cases() | dense_cases(shapes=(GEMM, CONV, GROUPED, SLIDING, POINTWISE)))
def test_conventions_count_more_and_more(case: Case) -> None:
    case = case._replace(energy=every_price(case.arch))
    elide, first_fills, everything = (
        evaluated(case, accounting=name) for name in ("timeloop-3", "timeloop-2022", "count-all")
    )
    assert elide.energy_pj <= first_fills.energy_pj <= everything.energy_pj
    assert elide.cycles <= first_fills.cycles <= everything.cycles
    for (_, a), (_, b), (_, c) in zip(*map(tensors, (elide, first_fills, everything)), strict=True):
        for x, y, z in zip(*map(kinds, (a, b, c)), strict=True):
            assert x.algorithmic <= y.algorithmic <= z.algorithmic


@settings(max_examples=30, deadline=None)
@given(case=sparse_cases() | dense_cases(shapes=(GEMM, CONV, GROUPED, SLIDING, POINTWISE)))
def test_drains_add_reads_of_results_below_other_levels_that_keep_them(case: Case) -> None:
    case = case._replace(energy=every_price(case.arch))
    free, charged = evaluated(case), evaluated(case, accounting="count-drains")
    assert free.energy_pj <= charged.energy_pj
    assert free.cycles <= charged.cycles
    results = {d.name for d in case.layer.shape.dataspaces if d.read_write}
    outermost = {tensor.dataspace: s for s, tensor in tensors(free)}
    for (s, a), (_, b) in zip(tensors(free), tensors(charged), strict=True):
        assert (a.fills, a.updates, a.temporal_reductions) == (b.fills, b.updates, b.temporal_reductions)
        drained = b.reads.algorithmic - a.reads.algorithmic
        if a.dataspace in results and s != outermost[a.dataspace]:
            assert drained >= a.fills.algorithmic
        else:
            assert (drained, a.reads) == (0, b.reads)


@settings(max_examples=25, deadline=None)
@given(case=dense_cases())
def test_computes_are_the_product_of_bounds(case: Case) -> None:
    result = evaluated(case)
    assert result.algorithmic_computes == math.prod(case.layer.bounds.values())
    assert result.cycles >= result.algorithmic_computes / result.compute.instances
