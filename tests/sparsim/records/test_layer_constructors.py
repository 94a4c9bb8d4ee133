"""Layers by the arguments of a torch layer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.named import naming
from torch import nn

from gmp.tracing.trace import trace
from gmp.tracing.traced_workload import workload_of
from sparsim import Density, SpecError, conv2d, depthwise, gemm, macs
from sparsim.records import is_depthwise

pairs = st.integers(1, 3) | st.tuples(st.integers(1, 3), st.integers(1, 3))


@given(
    channels=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    window=pairs, stride=pairs, dilation=pairs,
    padding=st.integers(0, 2) | st.tuples(st.integers(0, 2), st.integers(0, 2)),
    groups=st.integers(1, 3), size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_a_convolution_is_the_one_that_torch_traces(
    channels: tuple[int, int], window: Any, stride: Any, padding: Any, dilation: Any, groups: int,
    size: tuple[int, int],
) -> None:  # fmt: skip
    ins, outs = (groups * n for n in channels)
    module = nn.Conv2d(ins, outs, window, stride, padding, dilation, groups)
    try:
        module(torch.ones(1, ins, *size))
    except RuntimeError:  # the window is larger than the input
        with pytest.raises(SpecError, match="window"):
            conv2d(ins, outs, window, stride, padding, dilation, groups, height=size[0], width=size[1])
        assume(False)
    (traced,) = workload_of(trace(module, [torch.ones(1, ins, *size)]), name="net", batch=2).layers
    ours = conv2d(
        ins, outs, window, stride, padding, dilation, groups, height=size[0], width=size[1], batch=2,
        densities=traced.densities, name=traced.name,
    )  # fmt: skip
    assert ours == traced


def test_a_depthwise_convolution_and_a_matrix_product() -> None:
    layer = depthwise(8, 3, padding=1, height=4, width=6, multiplier=2, densities={"Inputs": 0.5})
    assert is_depthwise(layer)
    assert (macs(layer), layer.density("Inputs")) == (8 * 2 * 9 * 24, Density(density=0.5))
    product = gemm(6, 5, 4, densities={"Weights": Density(distribution="hypergeometric", density=0.3)})
    assert macs(product) == 6 * 5 * 4
    assert product.density("Weights").distribution == "hypergeometric"


@pytest.mark.parametrize(
    ("make", "message", "hint"),
    [
        (lambda: conv2d(3, 4, 3, groups=2, height=8, width=8), "in_channels groups 2 3", ""),
        (lambda: conv2d(0, 4, 3, height=8, width=8), "in_channels 0", ""),
        (lambda: conv2d(3, 4, (3, 3, 3), height=8, width=8), "kernel_size 3", ""),
        (lambda: conv2d(3, 4, 3, 0, height=8, width=8), "stride 0", ""),
        (lambda: conv2d(3, 4, 3, height=8, width=2), "3 2", ""),
        (lambda: conv2d(3, 4, 3, height=8.5, width=8), "height 8.5", ""),  # type: ignore[arg-type]
        (lambda: gemm(4, 0, 4), "n 0", ""),
        (lambda: gemm(4, 4, 4, densities={"weights": 0.5}), "weights", "did you mean 'Weights'?"),
        (lambda: gemm(4, 4, 4, densities={"Weights": 1.5}), "density 1.5", ""),
    ],
)
def test_wrong_arguments_are_refused(make: Any, message: str, hint: str) -> None:
    with pytest.raises(SpecError, match=naming(message)) as error:
        make()
    assert error.value.hint == hint
