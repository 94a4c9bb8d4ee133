"""Products of two tensors as convolutions, whatever function computes them."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from torch import Tensor

from sparsim.files.traced_layers import Computation


class Product(NamedTuple):
    """The product that one call computes.

    runs : of the computation, for all samples
    inputs, weights, result : with samples along the first axis, and weights with elements in the order
        (M, C / groups, window)
    operand : the tensor that `weights` is a view or a copy of
    minor : the first axis of inputs and results counts samples fastest, as where sequences come first
    channels_last : of inputs and results, else they follow the samples
    """

    computation: Computation
    runs: int | Fraction
    inputs: Tensor
    weights: Tensor
    result: Tensor
    operand: Tensor
    minor: bool = False
    channels_last: bool = True


def _of_rows(C: int, M: int, rows: int, batch: int, groups: int = 1) -> tuple[Computation, int]:
    """Return a matrix product with so many rows, and its runs: one per sample, or one per row if rows do not
    belong to samples evenly.
    """
    even = rows > 0 and rows % batch == 0
    return Computation(C, M, (rows // batch if even else 1, 1), groups=groups), batch if even else rows


def gemm(inputs: Tensor, weights: Tensor, result: Tensor, batch: int, *, minor: bool = False) -> Product:
    """(rows, C) by (M, C) to (rows, M)."""
    computation, runs = _of_rows(weights.shape[1], weights.shape[0], inputs.shape[0], batch)
    return Product(computation, runs, inputs, weights, result, weights, minor)


def grouped(inputs: Tensor, weights: Tensor, result: Tensor, batch: int) -> Product:
    """(rows, G, C) by (G, M, C) to (rows, G, M)."""
    groups, M, C = weights.shape
    computation, runs = _of_rows(groups * C, groups * M, inputs.shape[0], batch, groups)
    return Product(computation, runs, inputs, weights, result, weights)


def of_activations(inputs: Tensor, weights: Tensor, result: Tensor, batch: int) -> Product:
    """(B, rows, C) by (B, M, C) to (B, rows, M), where B are samples and groups of each, such as heads."""
    matrices, rows, C = inputs.shape
    M = weights.shape[1]
    if matrices % batch == 0:
        groups = matrices // batch
        computation = Computation(groups * C, groups * M, (rows, 1), groups=groups)
        return Product(computation, batch, inputs, weights, result, weights)
    if matrices == 1:
        return gemm(inputs[0], weights[0], result[0], batch)
    return Product(Computation(C, M, (rows, 1)), matrices, inputs, weights, result, weights)


def linear(inputs: Tensor, weights: Tensor, result: Tensor, batch: int, samples_axis: int) -> Product:
    """A `Linear` on (B, ...), or on (S, B, ...) where the samples are not along the first axis."""
    shape = tuple(inputs.shape)
    if len(shape) > 1 and (axis := sample_axis(shape[:-1], batch, samples_axis)) == 0:
        *outer, inner = (shape[0] // batch, *shape[1:-1])
        computation = Computation(C=shape[-1], M=weights.shape[0], out=(inner, math.prod(outer)))
        return Product(computation, batch, inputs, weights, result, weights)
    minor = len(shape) > 2 and axis == 1
    flat, out = inputs.reshape(-1, shape[-1]), result.reshape(-1, result.shape[-1])
    return gemm(flat, weights, out, batch, minor=minor)


def sample_axis(shape: Sequence[int], batch: int, usual: int) -> int | None:
    """Return the axis with `batch` samples; the `usual` one is tried first."""
    for axis in (usual, 0, 1):
        if (
            axis < len(shape)
            and shape[axis]
            and shape[axis] % batch == 0
            and (not axis or shape[axis] == batch)
        ):
            return axis
    return None


def convolution(
    inputs: Tensor, weights: Tensor, result: Tensor, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Product:  # fmt: skip
    """(N, C, ...) by (M, C / groups, ...) to (N, M, ...), or without N."""
    axes = weights.dim() - 2
    if inputs.dim() == axes + 1:
        inputs, result = inputs[None], result[None]
    flat = (1,) if axes == 1 else ()  # a row of points is an image of width 1
    window = tuple(weights.shape[2:])
    stride, dilation = _each(stride, axes), _each(dilation, axes)
    if padding == "same":
        padding = tuple(d * (w - 1) // 2 for d, w in zip(dilation, window, strict=True))
    padding = _each(0 if padding == "valid" else padding, axes)
    computation = Computation(
        C=weights.shape[1] * groups, M=weights.shape[0], out=tuple(result.shape[2:]) + flat,
        window=window + flat, stride=stride + flat, dilation=dilation + flat,
        padding=padding + (0,) * len(flat), groups=groups,
    )  # fmt: skip
    return Product(computation, inputs.shape[0], inputs, weights, result, weights, channels_last=False)


def transposed_convolution(inputs: Tensor, weights: Tensor, result: Tensor, groups: int) -> Product:
    """(N, C, ...) by (C, M / groups, window) as a 1x1 convolution whose outputs are added where windows meet.

    Only multiplications by elements of the inputs are counted, not by the zeros inserted between them.
    """
    if inputs.dim() == weights.dim() - 1:
        inputs, result = inputs[None], result[None]
    columns = math.prod(weights.shape[1:])
    by_group = weights.reshape(groups, -1, columns).transpose(1, 2)
    flat = (1,) if weights.dim() == 3 else ()
    ones = (1,) * (weights.dim() - 2) + flat
    computation = Computation(
        C=weights.shape[0], M=groups * columns, out=tuple(inputs.shape[2:]) + flat,
        window=ones, stride=ones, dilation=ones, padding=(0,) * len(ones), groups=groups,
    )  # fmt: skip
    return Product(computation, inputs.shape[0], inputs, by_group, result, weights, channels_last=False)


def _each(value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * axes if len(values) == 1 else values
