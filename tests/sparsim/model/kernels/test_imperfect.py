"""Dense traffic of nests whose last tiles are cut short, against every iteration that exists."""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from naive.imperfect import Cut, totals
from naive.nest import Problem
from support.small_nests import POINTWISE, Case, dense_cases

from sparsim.model import arrays as packs
from sparsim.model.arrays import NestPack
from sparsim.model.evaluate import evaluate, evaluate_batch
from sparsim.model.kernel_calls import analyse
from sparsim.model.lower import ACCOUNTING, lower_arch, lower_layer, lower_mappings, lower_policy
from sparsim.model.workspace import make_nest, most_children
from sparsim.records.divisibility import covered, factors_of
from validation.random_cases import GEMM


class CutCase(NamedTuple):
    """A case with imperfect dims, and the same with the covered bounds as if they were the layer's."""

    case: Case
    whole: Case


@st.composite
def cut_cases(draw: Any, *, flags: bool = True) -> CutCase:
    """Any bounds that the factors of a drawn mapping cover tightly; links are off."""
    whole = draw(dense_cases(shapes=(GEMM, POINTWISE), flags=flags))
    tensors = tuple(d.name for d in whole.layer.shape.dataspaces)
    levels = tuple(msgspec.structs.replace(m, no_link_transfer=tensors) for m in whole.mapping.levels)
    whole = whole._replace(mapping=msgspec.structs.replace(whole.mapping, levels=levels))
    bounds = {}
    for dim, bound in whole.layer.bounds.items():
        least = max((bound // f * (f - 1) + 1 for f in factors_of(whole.mapping, dim) if f > 1), default=1)
        bounds[dim] = draw(st.integers(least, bound))
    imperfect = {dim: "imperfect" for dim in bounds if bounds[dim] < whole.layer.bounds[dim]}
    assume(imperfect)
    layer = msgspec.structs.replace(whole.layer, bounds=bounds)
    mapping = msgspec.structs.replace(whole.mapping, divisibility=imperfect)
    return CutCase(whole._replace(layer=layer, mapping=mapping), whole)


def analysed(case: Case, hops: bool) -> NestPack:
    layer = covered(case.layer, case.mapping)
    arch, pack = lower_arch(case.on()), lower_layer(layer)
    policy = lower_policy(case.on(), layer.shape)
    mappings = lower_mappings(case.on(), layer.shape, [case.mapping])
    nest = make_nest(arch, pack, policy, most_children(arch, pack, mappings))
    status = analyse(arch, pack, policy, mappings, ACCOUNTING["count-all"], hops, nest)
    assert status == packs.OK
    return nest


def is_exact(cut: Cut, s: int, v: int) -> bool:
    """Whether no loop that moves a tile of v into level s has its iterations cut down to one: then such a
    loop returns to its beginning in every iteration of the loops outside.
    """
    loops = cut.problem.loops
    for m, loop in enumerate(loops):
        if loop.level > s and loop.kind == "t" and loop.bound > 1 and cut.problem.relevant(v, loop.dim):
            left = (cut.real[loop.dim] - 1) // cut.strides[m] % loop.bound
            spread = any(o.dim == loop.dim and o.kind != "t" and o.bound > 1 for o in loops[:m])
            if left < (2 if spread else 1):  # the last instance may have an iteration less
                return False
    return True


def agree(count: float, words: int, instances: int, exact: bool) -> bool:
    """`count` is an average over instances, rounded; where it is not exact it is no less."""
    difference = count - words / instances
    return difference >= -0.5 - 1e-9 and (not exact or difference <= 0.5 + 1e-9)


@pytest.mark.parametrize("hops", [True, False])
@settings(max_examples=30, deadline=None)
@given(pair=cut_cases())
def test_agrees_with_every_iteration_that_exists(hops: bool, pair: CutCase) -> None:
    case, whole = pair
    cut = Cut(Problem(whole.arch, whole.layer, whole.mapping), case.layer.bounds)
    nest = analysed(case, hops)
    assert nest.ops[packs.OPS] == math.prod(case.layer.bounds.values())
    assert nest.ops[packs.STEPS] == cut.steps()
    for s, v in itertools.product(range(len(case.arch.storage)), range(3)):
        if not cut.problem.kept(s, v):
            continue
        expected, instances = totals(cut, s, v), int(nest.space[s + 1].prod())
        child = cut.problem.child(s, v)
        sent, arriving = nest.flow[s, v, packs.CONTENT], nest.flow[s, v, packs.SHARE]
        assert agree(sent, expected.sent, instances, child < 0 or is_exact(cut, child, v))
        if cut.problem.parent(s, v) >= 0:
            assert agree(arriving, expected.arriving, instances, is_exact(cut, s, v))
        assert agree(nest.part[s, v], expected.seen, instances, True)


ACCOUNTINGS = ["timeloop-3", "timeloop-2022", "count-all", "count-drains"]


@settings(max_examples=30, deadline=None)
@given(pair=cut_cases(), accounting=st.sampled_from(ACCOUNTINGS))
def test_imperfect_is_never_more_than_all_that_is_covered(pair: CutCase, accounting: Any) -> None:
    case, whole = pair
    less, more = evaluate(*case.given, accounting=accounting), evaluate(*whole.given, accounting=accounting)
    assert less.algorithmic_computes == less.useful_computes == math.prod(case.layer.bounds.values())
    assert less.cycles <= more.cycles
    assert less.compute.energy_pj < more.compute.energy_pj or not more.compute.energy_pj
    used = less.utilization * less.cycles * less.compute.instances
    assert used == pytest.approx(less.algorithmic_computes)
    batch = evaluate_batch(*case.given[:2], [case.mapping, case.mapping], accounting=accounting)
    assert batch.energy_pj.tolist() == [less.energy_pj] * 2
    assert batch.cycles.tolist() == [less.cycles] * 2
