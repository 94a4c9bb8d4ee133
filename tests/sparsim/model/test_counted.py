"""Statistics of actual data against looking at every element."""

from __future__ import annotations

import collections
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from naive.counting import operations_by_state, tile_counts
from naive.nest import Problem
from support.small_nests import ODD, SLIDING, Case, dense_cases

from sparsim.model.counted_tiles import Counted
from sparsim.model.evaluate import evaluate
from sparsim.model.lower import lower_layer
from sparsim.records import Density, SparsePolicy
from sparsim.records.layer_counts import tensor_shape
from validation.random_cases import CONV, GEMM, GROUPED

SHAPES = (GEMM, SLIDING, CONV, GROUPED, ODD)


def masks_of(draw: Any, case: Case) -> dict[str, np.ndarray]:
    """A mask per operand."""
    operands = [d.name for d in case.layer.shape.dataspaces if not d.read_write]
    return {name: draw(arrays(np.bool_, tensor_shape(case.layer, name))) for name in operands}


@settings(max_examples=60, deadline=None)
@given(case=dense_cases(shapes=SHAPES), data=st.data())
def test_tiles_of_every_level(case: Case, data: st.DataObject) -> None:
    problem = Problem(case.arch, case.layer, case.mapping)
    layer = lower_layer(case.layer)
    v = data.draw(st.integers(0, 2))
    mask = data.draw(arrays(np.bool_, tensor_shape(case.layer, problem.names[v])))
    counted = Counted(layer, v, mask)
    for s in range(len(problem.levels)):
        extents = problem.inside(s)
        ext = list(extents.values())
        expected = tile_counts(problem, v, mask, extents)
        histogram = dict(zip(*(list(x) for x in counted.list_of(ext)), strict=True))
        assert histogram == {
            k: pytest.approx(n / len(expected)) for k, n in collections.Counter(expected).items()
        }


@settings(max_examples=40, deadline=None)
@given(case=dense_cases(shapes=SHAPES), data=st.data())
def test_gated_computes_are_those_with_a_zero(case: Case, data: st.DataObject) -> None:
    masks = masks_of(data.draw, case)
    problem = Problem(case.arch, case.layer, case.mapping)
    states = operations_by_state(problem, {problem.names.index(n): mask for n, mask in masks.items()})
    densities = dict.fromkeys(masks, Density(distribution="actual"))
    layer = type(case.layer)(
        shape=case.layer.shape, bounds=case.layer.bounds, coefficients=case.layer.coefficients,
        densities=densities,
    )  # fmt: skip
    policy = SparsePolicy(compute_gating=True)
    compute = evaluate(*case._replace(layer=layer, policy=policy, energy=None).given, masks=masks).compute
    both = states[True, True]
    assert (compute.actual, compute.gated) == (both, compute.algorithmic - both)
