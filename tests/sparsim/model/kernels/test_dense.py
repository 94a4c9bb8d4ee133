"""Dense traffic against its twins: simulated states with point sets, and every single iteration."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from naive.nest import Problem
from naive.traffic import Traffic, dense_traffic
from naive.walk import counts
from support.small_nests import POINTWISE, SLIDING, Case, dense_cases

from sparsim.model import arrays as packs
from sparsim.model.arrays import NestPack
from sparsim.model.kernel_calls import analyse
from sparsim.model.lower import ACCOUNTING, lower_arch, lower_layer, lower_mappings, lower_policy
from sparsim.model.workspace import make_nest, most_children
from sparsim.records import Architecture, Compute, Layer, LevelMapping, Mapping, Nest, Storage
from validation.random_cases import GEMM


def analysed(case: Case, accounting: str, hops: bool = True) -> tuple[int, NestPack]:
    """(status, nest) of the kernel."""
    arch, layer = lower_arch(case.on()), lower_layer(case.layer)
    policy = lower_policy(case.on(), case.layer.shape)
    mappings = lower_mappings(case.on(), case.layer.shape, [case.mapping])
    nest = make_nest(arch, layer, policy, most_children(arch, layer, mappings))
    return analyse(arch, layer, policy, mappings, ACCOUNTING[accounting], hops, nest), nest


def buckets(nest: NestPack, s: int, v: int) -> dict[tuple[int, int], float]:
    rows = nest.bucket[s, v, : nest.n_bucket[s, v]].tolist()
    return {(int(row[packs.B_MULTICAST]), int(row[packs.B_SCATTER])): row[packs.B_ACCESSES] for row in rows}


@pytest.mark.parametrize("accounting", ACCOUNTING)
@settings(max_examples=60, deadline=None)
@given(case=dense_cases())
def test_agrees_with_the_walk_over_states(accounting: str, case: Case) -> None:
    check_states(accounting, case)


def check_states(accounting: str, case: Case) -> dict[tuple[int, int], Traffic]:
    """Returns the traffic of the twin."""
    problem = Problem(case.arch, case.layer, case.mapping)
    twin = dense_traffic(problem, accounting)
    status, nest = analysed(case, accounting)
    if any(t.reads < 0 or t.fills < 0 for t in twin.values()):
        assert status == packs.BAD_NEGATIVE_FILLS
        return twin
    assert status == packs.OK
    for (s, v), t in twin.items():
        seen: Any = {
            "buckets": buckets(nest, s, v), "fanout": nest.fanout[s, v], "part": nest.part[s, v],
            "flow": nest.flow[s, v].tolist(), "counts": nest.counts[s, v, :3].tolist(),
        }  # fmt: skip
        kept = problem.kept(s, v)
        expected = {
            "buckets": {key: accesses for key, (accesses, _) in t.buckets.items()},
            "fanout": t.fanout,
            "part": t.part,
            "flow": [t.content if kept else 0.0, t.share, t.peer, t.link],
            "counts": [t.reads, t.fills, t.updates],
        }
        assert seen == expected, (s, problem.names[v])
        hops = nest.bucket[s, v, : nest.n_bucket[s, v], packs.B_HOPS].tolist()
        assert hops == [h for _, (_, h) in sorted(t.buckets.items())]
    return twin


@pytest.mark.parametrize("accounting", ACCOUNTING)
@pytest.mark.parametrize("spread", [(3, 2), (3, 3), (5, 3), (6, 2)])
def test_fills_are_truncated_after_every_bucket_was_divided(spread: tuple[int, int], accounting: str) -> None:
    """A neighbourhood of spatial windows: in some of it the sum of the shares is a rounding below a whole
    number of words, and one word fewer is filled.
    """
    lost = 0
    options = itertools.product((1, 2, 3), (1, 2), (2, 3), (1, 8), (("P", "R"), ("R", "P")))
    for dilation, stride, steps, k, order in options:
        twin = check_states(accounting, spatial_windows(*spread, dilation, stride, steps, k, order))
        root, children = twin[1, 1], spread[0] * spread[1]
        exact = Fraction(int(root.link), children)
        for (m, _), (accesses, _) in root.buckets.items():
            exact += Fraction(int(accesses) * m, children)
        assert int(exact) - twin[0, 1].fills in (0, 1)
        lost += int(exact) - twin[0, 1].fills
    assert lost > 0


def spatial_windows(
    r: int, p: int, dilation: int, stride: int, steps: int, k: int, order: tuple[str, str]
) -> Case:
    """Windows over r x p children, `steps` of them along P and `k` channels of results in time."""
    mesh = (8, 8)
    arch = Architecture(
        storage=(
            Storage(name="DRAM", technology="DRAM"),
            Storage(name="spad", mesh=mesh, size_words=100),
        ),
        compute=Compute(name="MAC", mesh=mesh),
    )
    in_time = Nest(factors={"P": steps, "K": k}, order=("K", "P", "R"))
    spatial = Nest(factors={"R": r, "P": p}, order=("K", *order), split_x=1)
    levels = (
        LevelMapping(level="DRAM", temporal=in_time, spatial=spatial),
        LevelMapping(level="spad"),
    )
    values = {"dilation": dilation, "stride": stride}
    layer = Layer(name="windows", shape=SLIDING, bounds={"K": k, "P": p * steps, "R": r}, coefficients=values)
    return Case(arch, layer, None, None, Mapping(levels=levels))


@settings(max_examples=100, deadline=None)
@given(case=dense_cases())
def test_counts_do_not_depend_on_whether_hops_are_wanted(case: Case) -> None:
    (status, nest), (quick_status, quick) = analysed(case, "timeloop-3"), analysed(case, "timeloop-3", False)
    assert status == quick_status
    if status == packs.OK:
        assert nest.counts.tolist() == quick.counts.tolist()
        assert nest.part.tolist() == quick.part.tolist()


PLAIN = (GEMM, POINTWISE)


@pytest.mark.parametrize("accounting", ACCOUNTING)
@settings(max_examples=40, deadline=None)
@given(case=dense_cases(shapes=PLAIN, flags=False))
def test_agrees_with_every_single_iteration_where_there_are_no_windows(accounting: str, case: Case) -> None:
    case = case._replace(mapping=without_links(case))
    problem = Problem(case.arch, case.layer, case.mapping)
    status, nest = analysed(case, accounting)
    assert status == packs.OK
    for s, v in itertools.product(range(len(problem.levels)), range(len(problem.names))):
        if problem.kept(s, v):
            assert nest.counts[s, v, :3].tolist() == counts(problem, s, v, accounting)


def without_links(case: Case) -> Mapping:
    tensors = tuple(d.name for d in case.layer.shape.dataspaces)
    return Mapping(
        levels=tuple(msgspec.structs.replace(m, no_link_transfer=tensors) for m in case.mapping.levels)
    )
