"""Products among the operations that torch dispatches below all functions and modules."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from torch import Tensor

from gmp.tracing.computations import (
    Product,
    convolution,
    gemm,
    grouped,
    of_activations,
    transposed_convolution,
)  # fmt: skip
from gmp.tracing.origins import Origins
from sparsim.files.traced_layers import Computation

_SECOND = {  # with the position of the first operand
    "addmm": 1, "addmv": 1, "dot": 0, "int_mm": 0, "mm": 0, "mv": 0, "sparse_addmm": 1, "sparse_mm": 0,
}  # fmt: skip
_BATCHED = {"bmm": 0, "baddbmm": 1, "addbmm": 1}
PRODUCTS = {*_SECOND, *_BATCHED, "convolution", "grouped_mm"}

# Operations that compute products and are not decomposed, and libraries of such operations.
HIDDEN_LIBRARIES = {"mkldnn_prepacked", "onednn", "quantized"}
HIDDEN = {
    "cudnn_rnn", "efficient_attention_forward", "flash_attention_forward", "scaled_mm",
    "scaled_dot_product_cudnn_attention", "scaled_dot_product_efficient_attention",
    "scaled_dot_product_flash_attention", "scaled_dot_product_flash_attention_for_cpu", "trilinear",
    "miopen_rnn", "mkldnn_linear", "mkldnn_rnn_layer",
}  # fmt: skip


def product_of(
    name: str, args: Sequence[Any], result: Tensor, origins: Origins, batch: int, *, minor: bool
) -> Product | None:
    """Return the product that an operation of PRODUCTS computes, or None. With `minor` samples vary fastest
    along the rows.
    """
    if name in _SECOND:
        first, second = args[_SECOND[name] : _SECOND[name] + 2]
        return _of_matrices(first, second, result, origins, batch, minor=minor)
    if name in _BATCHED:
        first, second = args[_BATCHED[name] : _BATCHED[name] + 2]
        if name == "addbmm":
            result = result.expand(first.shape[0], *result.shape)
        return _of_batches(first, second, result, origins, batch)
    if name == "grouped_mm":
        return _of_experts(args[0], args[1], result)
    inputs, weights, _, stride, padding, dilation, transposed, _, groups = args[:9]
    if transposed:
        return transposed_convolution(inputs, weights, result, groups)
    if origins.weights_of(weights) is None and inputs.shape[0] == 1 and groups % batch == 0:
        inputs, weights, result = (  # groups of samples, each with its own filters
            t.reshape(batch, -1, *t.shape[2:]) for t in (inputs, weights, result)
        )
        weights, groups = weights.view(-1, *args[1].shape[1:]), groups // batch
        each = convolution(
            inputs, weights[: len(weights) // batch], result, stride=stride, padding=padding,
            dilation=dilation, groups=groups,
        )  # fmt: skip
        return each._replace(weights=weights)
    return convolution(
        inputs, weights, result, stride=stride, padding=padding, dilation=dilation, groups=groups
    )


def _of_matrices(
    first: Tensor, second: Tensor, result: Tensor, origins: Origins, batch: int, *, minor: bool
) -> Product:
    """Return a product of (rows, C) by (C, M), either of which may be a vector."""
    a = first if first.dim() == 2 else first[None]
    b = second if second.dim() == 2 else second[:, None]
    result = result.reshape(a.shape[0], b.shape[1])
    if _first_is_weights(first, second, origins):
        return gemm(b.t(), a, result.t(), batch, minor=minor)
    return gemm(a, b.t(), result, batch, minor=minor)


def _of_batches(first: Tensor, second: Tensor, result: Tensor, origins: Origins, batch: int) -> Product:
    """Return a product of (b, rows, C) by (b, C, M)."""
    inputs, weights = first, second.transpose(1, 2)
    if _first_is_weights(first, second, origins):
        inputs, weights, result = weights, first, result.transpose(1, 2)
    origin = origins.weights_of(weights)
    if origin is None:
        return of_activations(inputs, weights, result, batch)
    matrices, rows, C = inputs.shape
    repeats = matrices if weights.stride(0) == 0 else origin.repeats
    if matrices % repeats:
        repeats = 1
    weights = weights[: matrices // repeats]
    if len(weights) == 1:
        return gemm(inputs.reshape(-1, C), weights[0], result.reshape(-1, result.shape[2]), batch)
    inputs, result = (  # (repeats, groups, rows, ...) to (repeats * rows, groups, ...)
        t.reshape(repeats, -1, rows, t.shape[2]).transpose(1, 2).flatten(0, 1) for t in (inputs, result)
    )
    return grouped(inputs, weights, result, batch)


def _of_experts(inputs: Tensor, weights: Tensor, result: Tensor) -> Product | None:
    """Return a product of (rows, C) by (experts, C, M) in which each row uses one expert; rows are divided
    evenly among them.
    """
    if inputs.dim() != 2 or weights.dim() != 3:
        return None
    return by_expert(gemm(inputs, weights[0].t(), result, 1), weights.transpose(1, 2))


def by_expert(product: Product, weights: Tensor) -> Product:
    """Return a product in which each row uses one of the matrices (experts, M, C); rows are divided evenly
    among them.
    """
    experts, M, C = weights.shape
    rows = Fraction(product.runs * math.prod(product.computation.out)) / experts
    computation = Computation(C * experts, M * experts, (1, 1), groups=experts)
    return product._replace(computation=computation, runs=rows, weights=weights)


def _first_is_weights(first: Tensor, second: Tensor, origins: Origins) -> bool:
    """Return whether the first operand is the weights. If both or none are parameters, it is the second
    operand.
    """
    a, b = (origins.weights_of(tensor) for tensor in (first, second))
    if a is None or a.source is None:
        return False
    return b is None or b.source is None or (a.source.is_parameter and not b.source.is_parameter)
