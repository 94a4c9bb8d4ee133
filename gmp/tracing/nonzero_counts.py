"""Nonzeros of tensors, sample by sample, and sums of them over the calls of a layer."""

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gmp.errors import TraceError
from gmp.nonzeros import count, count_rows
from gmp.tracing.computations import Product
from gmp.tracing.weight_views import WeightView
from sparsim.files.traced_layers import KernelMapCounts, Measured


class Counts(NamedTuple):
    """Nonzeros of each sample of a tensor, or of all of it.

    size : elements of one sample
    axis : along which the samples lie; None where they cannot be told apart
    """

    nonzeros: list[int]
    size: int
    axis: int | None


class Densities:
    """Densities of samples, one after the other, with their sizes where these differ."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self.sizes: list[int] = []

    def add(self, counts: Counts) -> None:
        self.values += [count / max(counts.size, 1) for count in counts.nonzeros]
        self.sizes += [counts.size] * len(counts.nonzeros)

    def measured(self) -> Measured:
        if len(set(self.sizes)) < 2 or not sum(self.sizes):
            return Measured(float(np.mean(self.values)), float(np.std(self.values)))
        mean = float(np.average(self.values, weights=self.sizes))
        squares = np.average((np.array(self.values) - mean) ** 2, weights=self.sizes)
        return Measured(mean, math.sqrt(squares))


class Tally:
    """Sums over all calls of one computation of a layer, which `module` runs."""

    def __init__(self, name: str, module: str, product: Product, view: WeightView | None) -> None:
        self.name, self.module, self.view = name, module, view
        self.runs: int | Fraction = 0
        self.inputs, self.outputs, self.operands = Densities(), Densities(), Densities()
        self.weights = product.weights.numel()
        self.kernel_map: KernelMapCounts | None = None
        self.weight_mask: NDArray[np.bool_] | None = None
        self.input_masks: list[NDArray[np.bool_]] = []
        if view is not None:
            if not torch.isfinite(product.weights).all():
                raise TraceError(f"layer {name}: weights are not finite")
            self.operands.add(Counts(count([product.weights]), self.weights, None))

    def add(self, product: Product, batch: int, mask_samples: int) -> Counts:
        """Count a call; returns the counts of its result."""
        self.runs += product.runs
        axis: int | None = 1 if product.minor else 0
        if product.runs % batch or product.inputs.shape[0] % batch or product.result.shape[0] % batch:
            axis = None
        if self.view is None:
            each = 0 if axis == 0 and product.weights.shape[0] % batch == 0 else None
            self.operands.add(self.count(product.weights, "weights", batch, each))
            self.weights = product.weights.numel() // (1 if each is None else batch)
        elif mask_samples and axis is not None and product.runs == batch:
            self._keep_masks(product, batch, axis, mask_samples)
        self.inputs.add(self.count(product.inputs, "inputs", batch, axis, rows=True))
        return self.count(product.result, "outputs", batch, axis, rows=True)

    def add_kernel_map(self, more: KernelMapCounts) -> None:
        """Add the kernel map of a call; the counts of several calls add up."""
        if self.kernel_map is not None:
            mine = self.kernel_map
            more = more._replace(
                inputs=mine.inputs + more.inputs,
                outputs=mine.outputs + more.outputs,
                pairs=tuple(a + b for a, b in zip(mine.pairs, more.pairs, strict=True)),
            )
        self.kernel_map = more

    def join(self, other: "Tally") -> None:
        """Add the calls of another tally with equal runs."""
        self.runs += other.runs
        for mine, more in ((self.inputs, other.inputs), (self.outputs, other.outputs)):
            mine.values += more.values
            mine.sizes += more.sizes

    def _keep_masks(self, product: Product, batch: int, axis: int, samples: int) -> None:
        """Keep the masks of the weights, and of inputs until there are `samples` of them, with the axes of a
        convolution.
        """
        shape, inputs, weights = product.computation, product.inputs, product.weights
        if self.weight_mask is None:
            mask = (weights != 0).reshape(shape.M, shape.C // shape.groups, *shape.window)
            self.weight_mask = mask.cpu().numpy()
        missing = samples - sum(map(len, self.input_masks))
        if missing > 0:
            mask = _by_sample(inputs, batch, axis, rows=True)[:missing] != 0
            if product.channels_last:  # (n, Q, P, C) -> (n, C, P, Q)
                mask = mask.reshape(len(mask), *reversed(shape.out), shape.C).transpose(1, 3)
            else:
                mask = mask.reshape(len(mask), shape.C, *inputs.shape[2:], *shape.window[inputs.dim() - 2 :])
            self.input_masks.append(mask.cpu().numpy())

    def count(self, tensor: Tensor, what: str, batch: int, axis: int | None, *, rows: bool = False) -> Counts:
        """Nonzeros; `rows`: samples along axis 1 are the faster part of the first axis.

        Raises TraceError where a layer with weights meets numbers that are not finite.
        """
        values = _stored(tensor)
        if self.view is not None and not _finite(values):
            raise TraceError(f"layer {self.name}: {what} are not finite")
        if axis is None or values is not tensor:
            return Counts(count([values]), tensor.numel(), None)
        parts = _by_sample(tensor, batch, axis, rows=rows)
        return Counts(count_rows(parts), tensor.numel() // batch, axis)


def _stored(tensor: Tensor) -> Tensor:
    """Return the stored elements of a sparse tensor, or all elements of a dense one."""
    if tensor.layout == torch.strided:
        return tensor
    return tensor._values() if tensor.layout == torch.sparse_coo else tensor.values()


def _finite(tensor: Tensor) -> bool:
    if tensor.is_complex() or not tensor.numel():
        return bool(tensor.isfinite().all())
    low, high = torch.aminmax(tensor)
    return math.isfinite(low) and math.isfinite(high)


def _by_sample(tensor: Tensor, batch: int, axis: int, *, rows: bool = False) -> Tensor:
    """Return a view of shape (batch, ...), also of tensors that are not contiguous."""
    if not axis:
        return tensor.reshape(batch, -1, *tensor.shape[1:])
    return tensor.unflatten(0, (-1, batch)).transpose(0, 1) if rows else tensor.transpose(0, 1)
