"""Rank matching against the pseudo-code with lists: fiber lengths and tiles below every rank."""

from __future__ import annotations

from hypothesis import given, settings
from naive.nest import Problem
from naive.ranks import RefusedError, formats, match_ranks
from support.small_nests import Case
from support.small_policies import sparse_cases

from sparsim.model import arrays as packs
from sparsim.model.kernel_calls import analyse
from sparsim.model.lower import lower_arch, lower_layer, lower_mappings, lower_policy
from sparsim.model.workspace import make_nest, most_children

REFUSALS = (packs.BAD_RANK_COUNT, packs.BAD_RANK_ALIGNMENT)
OTHER_REASONS = (
    packs.BAD_NEGATIVE_FILLS, packs.BAD_INSTANCES, packs.BAD_NO_COMPRESSION, packs.BAD_NO_DECOMPRESSION,
    packs.BAD_MORE_CHILD_RANKS, packs.BAD_UNCOMPRESSED_PARENT,
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(case=sparse_cases())
def test_agrees_with_the_pseudo_code(case: Case) -> None:
    arch, layer = lower_arch(case.on()), lower_layer(case.layer)
    policy = lower_policy(case.on(), case.layer.shape)
    mappings = lower_mappings(case.on(), case.layer.shape, [case.mapping])
    nest = make_nest(arch, layer, policy, most_children(arch, layer, mappings))
    status = analyse(arch, layer, policy, mappings, 0, False, nest)
    if status in OTHER_REASONS:
        return
    assert case.policy is not None
    problem = Problem(case.arch, case.layer, case.mapping)
    try:
        expected = match_ranks(problem, case.policy)
    except RefusedError:
        assert status in REFUSALS
        return
    assert status not in REFUSALS
    for (s, v), form in formats(problem, case.policy).items():
        n = len(form.ranks)
        if problem.kept(s, v):
            assert nest.fiber[s, v, :n].tolist() == expected[s, v].fiber
            assert nest.sub[s, v, : n + 1].tolist() == expected[s, v].sub
