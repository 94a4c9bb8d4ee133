"""Operations and words of a layer, against loops that visit each of them."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.named import names

from sparsim.errors import SpecError
from sparsim.records import CONV, Density, Layer, effectual_macs, is_depthwise, macs, tensor_shape, words

convolutions = st.builds(
    Layer,
    shape=st.just(CONV),
    bounds=st.fixed_dictionaries({dim: st.integers(1, 3) for dim in CONV.dims}),
    coefficients=st.fixed_dictionaries({name: st.integers(1, 3) for name in CONV.coefficients}),
)


@given(convolutions)
def test_counts_are_those_of_the_loop_nest(layer):
    """Boxes from 0 to the last coordinate that the loops reach."""
    step = layer.coefficients
    last = {name: [0] * len(tensor_shape(layer, name)) for name in ("Weights", "Inputs", "Outputs")}
    operations = 0
    for g, n, m, c, r, s, p, q in itertools.product(*(range(layer.bounds[dim]) for dim in "GNMCRSPQ")):
        x = s * step["Wdilation"] + q * step["Wstride"]
        y = r * step["Hdilation"] + p * step["Hstride"]
        operations += 1
        for name, at in (
            ("Weights", (g, c, m, s, r)),
            ("Inputs", (n, g, c, x, y)),
            ("Outputs", (n, g, m, p, q)),
        ):
            last[name] = [max(pair) for pair in zip(last[name], at, strict=True)]
    assert macs(layer) == operations
    for name, corner in last.items():
        assert tensor_shape(layer, name) == tuple(one + 1 for one in corner)
        assert words(layer, name) == math.prod(one + 1 for one in corner)


def conv(**bounds: int) -> Layer:
    return Layer(shape=CONV, bounds=dict.fromkeys(CONV.dims, 1) | bounds)


def test_depthwise():
    assert is_depthwise(conv(G=4, R=3, S=3))
    assert is_depthwise(conv(G=4, M=2))  # two outputs a channel
    assert not is_depthwise(conv(G=4, C=2))
    assert not is_depthwise(conv(C=4))
    assert not is_depthwise(conv())


def dense_and(**densities: Density) -> Layer:
    return Layer(shape=CONV, bounds=dict.fromkeys(CONV.dims, 2), densities=densities)


def test_effectual_operations_need_two_nonzeros():
    weights, inputs = Density(density=0.5), Density(distribution="hypergeometric", density=0.25)
    assert effectual_macs(dense_and()) == macs(dense_and()) == 256
    assert effectual_macs(dense_and(Weights=weights, Inputs=inputs)) == 32
    assert effectual_macs(dense_and(Inputs=inputs, Outputs=Density(density=0.1))) == 64
    assert effectual_macs(dense_and(Outputs=Density(distribution="banded", band_width=1))) == 256


@pytest.mark.parametrize(
    "density", [Density(distribution="banded"), Density(distribution="actual", mask="m")]
)
def test_effectual_operations_are_unknown_where_zeros_have_places(density):
    assert effectual_macs(dense_and(Inputs=density)) is None


def test_words_of_an_unknown_dataspace():
    with pytest.raises(SpecError) as error:
        words(conv(), "Input")
    assert names(error.value, "Input Inputs")
