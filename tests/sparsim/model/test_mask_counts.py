"""Counts on masks against a walk through the loop nest, element by element."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from naive.actual import Walk
from naive.nest import Problem
from naive.ranks import RefusedError
from support.small_nests import POINTWISE, Case, accelerators, mapped_layers
from support.small_policies import every_price, formats_of, limited

from sparsim.errors import MappingError
from sparsim.model.evaluate import evaluate
from sparsim.model.result import Evaluation, TensorTraffic
from sparsim.records import Density, Mapping, Option, Saf, Shape, SparsePolicy
from sparsim.records.layer_counts import tensor_shape
from validation.random_cases import CONV, GEMM, GROUPED

Masks = dict[str, np.ndarray]
compared = 0  # fields, for a report by hand


@st.composite
def masked_cases(draw: Any, shapes: tuple[Shape, ...] = (GEMM, POINTWISE)) -> tuple[Case, Masks]:
    """Any formats and rules with one option each; no link transfers, strides and dilations of 1."""
    arch = draw(accelerators())
    arch = msgspec.structs.replace(arch, storage=tuple(limited(draw, s, roomy=True) for s in arch.storage))
    layer, mapping = draw(mapped_layers(arch, shapes, flags=False))
    layer = msgspec.structs.replace(layer, coefficients={})
    names = tuple(d.name for d in layer.shape.dataspaces)
    levels = tuple(
        msgspec.structs.replace(level, no_link_transfer=names if level.spatial else ())
        for level in mapping.levels
    )
    mapping = Mapping(levels=levels)
    operands = [d.name for d in layer.shape.dataspaces if not d.read_write]
    masked = [*operands, *draw(st.sampled_from([(), names[-1:]]))]
    formatted = [name for name in masked if draw(st.booleans())]
    case = Case(arch, layer, None, None, mapping)
    leaders = st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True).map(tuple)
    saf = st.builds(
        Saf,
        level=st.sampled_from([level.name for level in arch.storage]),
        type=st.sampled_from(["gating", "skipping"]),
        options=st.builds(Option, target=st.sampled_from(names), condition_on=leaders).map(lambda o: (o,)),
    )
    spatial = st.builds(
        Saf, level=st.sampled_from([level.name for level in arch.storage]), type=st.just("skipping-spatial"),
        options=st.builds(
            Option, target=st.sampled_from(names), condition_on=st.sampled_from(names).map(lambda n: (n,))
        ).map(lambda o: (o,)),
    ).map(lambda saf: (saf,))  # fmt: skip
    policy = SparsePolicy(
        formats=tuple(f for name in formatted for f in formats_of(draw, case, name)),
        safs=tuple(draw(st.lists(saf, max_size=4))) + (draw(spatial) if draw(st.booleans()) else ()),
        compute_gating=draw(st.booleans()),
        compute_skipping=draw(st.booleans()),
    )
    assume(policy.active)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    masks = {name: _mask(rng, tensor_shape(layer, name)) for name in masked}
    densities = dict.fromkeys(masked, Density(distribution="actual"))
    layer = msgspec.structs.replace(layer, densities=densities)
    return Case(arch, layer, policy, every_price(arch), mapping), masks


def _mask(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Zeros that cluster: whole rows are empty, and what is left is thinned out."""
    mask = rng.random(shape) < rng.choice([0.2, 0.5, 0.9])
    axis = int(rng.integers(len(shape)))
    rows = rng.random(shape[axis]) < rng.choice([0.3, 0.7, 1.0])
    return mask & np.expand_dims(rows, [i for i in range(len(shape)) if i != axis])


def outcomes(traffic: TensorTraffic) -> dict[str, Any]:
    accesses = [traffic.reads, traffic.fills, traffic.updates]
    words = [traffic.format_reads, traffic.format_fills, traffic.format_updates]
    return {
        "dense": [access.algorithmic for access in accesses],
        "actual": [access.actual for access in accesses],
        "left out": [access.gated + access.skipped for access in accesses],
        "format": [[[u.metadata, u.payload] for u in access.actual[::-1]] for access in words],
        "average": traffic.instances_average,
    }


def check(case: Case, masks: Masks, accounting: str) -> Evaluation:
    global compared
    problem = Problem(case.arch, case.layer, case.mapping)
    assert case.policy is not None
    try:
        result = evaluate(*case.given, accounting=accounting, masks=masks)  # type: ignore[arg-type]
    except MappingError:
        assume(False)
        raise
    walk = Walk(problem, case.policy, masks)
    for s, level in enumerate(result.storage):
        for traffic in level.tensors:
            v = problem.names.index(traffic.dataspace)
            found = walk.tensor(s, v, accounting)
            seen = outcomes(traffic)
            assert seen["dense"] == found.dense
            assert seen["actual"] == found.data["actual"]
            assert seen["left out"] == found.data["left out"]
            assert seen["average"] == float(found.average)
            assert seen["format"] == found.format.get("actual", [[]] * 3)
            rows = zip(traffic.format_words[::-1], walk.widths(s, v), strict=True)
            bits = sum(n.metadata * w[0] + n.payload * w[1] for n, w in rows)
            assert bits == found.fullest_bits
            compared += 11 + 6 * len(traffic.format_words)
    compute = result.compute
    assert (compute.actual, compute.gated, compute.skipped) == walk.computes()
    compared += 3
    return result


MANY_REFUSED = [HealthCheck.filter_too_much]  # formats and rules that do not fit the mapping


@settings(max_examples=30, deadline=None, suppress_health_check=MANY_REFUSED)
@given(
    drawn=masked_cases(),
    accounting=st.sampled_from(["timeloop-3", "timeloop-2022", "count-all", "count-drains"]),
)
def test_every_count_is_that_of_the_walk(drawn: tuple[Case, Masks], accounting: str) -> None:
    try:
        check(*drawn, accounting)
    except RefusedError:
        assume(False)


@settings(max_examples=15, deadline=None, suppress_health_check=MANY_REFUSED)
@given(drawn=masked_cases((CONV, GROUPED)))
def test_operations_of_windows_are_those_of_the_walk(drawn: tuple[Case, Masks]) -> None:
    """Larger strides and dilations would leave words in a tile that no operation touches."""
    case, masks = drawn
    assert case.policy is not None
    try:
        compute = evaluate(*case.given, masks=masks).compute
        walk = Walk(Problem(case.arch, case.layer, case.mapping), case.policy, masks)
    except (MappingError, RefusedError):
        assume(False)
        raise
    assert (compute.actual, compute.gated, compute.skipped) == walk.computes()
