"""Closed forms against counting, and against published numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from support.named import naming
from support.small_pes import CONVS, mask_shapes

from sparsim.errors import SpecError
from sparsim.machines.eyeriss.pe.closed_forms import dstc, effectual_macs, full_lanes, structured_cycles
from sparsim.machines.eyeriss.pe.conv_tiling import Conv
from validation.sparse_pe_page import DSTC, TENSOR_CORE


@settings(max_examples=60, deadline=None)
@given(conv=CONVS, data=st.data())
def test_effectual_macs(conv: Conv, data: st.DataObject) -> None:
    iacts, weights = (data.draw(arrays(np.bool_, shape)) for shape in mask_shapes(conv))
    products = 0
    for g, m, c, r, s, e, f in itertools.product(*map(range, conv[:7])):
        products += bool(weights[g, m, c, r, s] and iacts[g, c, e * conv.U + r, f * conv.U + s])
    assert effectual_macs(iacts, weights, conv.U) == products


@pytest.mark.parametrize(("density", "length", "lanes"), [(0.3, 6, 2), (0.8, 5, 4), (0.0, 4, 4), (1.0, 6, 4)])
def test_full_lanes(density: float, length: int, lanes: int) -> None:
    expected = 0.0
    for bits in itertools.product([0, 1], repeat=length):
        n = sum(bits)
        if n:
            expected += density**n * (1 - density) ** (length - n) * n / (lanes * -(-n // lanes))
    assert full_lanes(density, length, lanes) == pytest.approx(expected)


@pytest.mark.parametrize(("a", "b", "busy", "published"), DSTC)
def test_dstc(a: float, b: float, busy: float, published: float) -> None:
    """Busy MACs to the two published decimals; latency as far from the hardware's as Sparseloop's is."""
    found, latency = dstc(a, b)
    assert f"{found:.2f}" == f"{busy:.2f}"
    assert abs(latency / published - 1) < 0.19


def test_dstc_on_average() -> None:
    """7.6 % mean error of the ten points, as the artifact's own formula has it."""
    errors = [abs(dstc(a, b)[1] / published - 1) for a, b, _, published in DSTC]
    assert np.mean(errors) == pytest.approx(0.076, abs=0.01)


@pytest.mark.parametrize(("m", "k", "n", "dense", "sparse"), TENSOR_CORE)
def test_structured_sparsity(m: int, k: int, n: int, dense: int, sparse: int) -> None:
    assert structured_cycles(m * k * n, 1024, 1.0) == dense
    for density in (0.25, 1 / 3, 0.5):
        assert structured_cycles(m * k * n, 1024, density) == sparse
    assert structured_cycles(m * k * n, 1024, 0.51) == dense


def test_density_is_checked() -> None:
    with pytest.raises(SpecError, match=naming("vector density -0.1 0 1")):
        full_lanes(np.array([0.5, -0.1]), 32, 8)
