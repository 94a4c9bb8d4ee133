"""Second moments of the inputs of a linear layer or convolution, gathered while calibration data run.

A layer is y = W x with W of shape (groups, outputs, columns). Columns are ordered (kernel position, input
channel), so that the m inputs of an n:m group lie side by side. The moments are X^T X, (groups, columns,
columns) in double precision, over all samples, positions and calls.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from gmp.errors import PruningError
from gmp.example_batches import Forward, run


def is_supported(module: nn.Module, key: str) -> bool:
    """Return whether the weight `key` of the module multiplies the module's input like the layers supported
    here.
    """
    kind = isinstance(module, nn.Linear) or (
        isinstance(module, _ConvNd) and not isinstance(module, _ConvTransposeNd)
    )
    # attention uses its projection without calling it
    return kind and key == "weight" and type(module).__name__ != "NonDynamicallyQuantizableLinear"


def matrix_of(module: nn.Module, weight: Tensor) -> Tensor:
    """Return the weight as (groups, outputs, columns)."""
    groups = module.groups if isinstance(module, _ConvNd) else 1
    outputs, inputs, *_ = weight.shape
    grouped = weight.reshape(groups, outputs // groups, inputs, -1)  # type: ignore[operator, arg-type]
    return grouped.transpose(2, 3).reshape(groups, outputs // groups, -1)  # type: ignore[operator]


def weight_of(matrix: Tensor, like: Tensor) -> Tensor:
    """The inverse of `matrix_of`, with the shape of `like`."""
    groups, outputs, _ = matrix.shape
    inputs = like.shape[1]
    return matrix.reshape(groups, outputs, -1, inputs).transpose(2, 3).reshape(like.shape)


def columns_of(module: nn.Module, x: Tensor) -> Tensor:
    """Return the inputs of each product, (groups, rows, columns)."""
    if isinstance(module, nn.Linear):
        return x.reshape(1, -1, x.shape[-1])
    assert isinstance(module, _ConvNd)
    dims = len(module.kernel_size)
    if x.dim() == dims + 1:
        x = x[None]
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    x = functional.pad(x, module._reversed_padding_repeated_twice, mode=mode)
    for axis, (size, stride, dilation) in enumerate(
        zip(module.kernel_size, module.stride, module.dilation, strict=True), start=2
    ):
        x = x.unfold(axis, dilation * (size - 1) + 1, stride)[..., ::dilation]
    samples, channels, *rest = x.shape
    places, positions = torch.Size(rest[:dims]).numel(), torch.Size(rest[dims:]).numel()
    x = x.reshape(samples, module.groups, channels // module.groups, places, positions)
    return x.permute(1, 0, 3, 4, 2).reshape(module.groups, samples * places, -1)


class Moments:
    """X^T X of a layer, of all calls; `rows` counts the products.

    Parameters
    ----------
    modules : list of nn.Module
        Modules that share the weight.
    """

    def __init__(self, modules: list[nn.Module]) -> None:
        self._modules = modules
        self.rows = 0
        self.total: Tensor | None = None

    def gather(self, model: nn.Module, batches: Iterable[Any], forward: Forward | None) -> Tensor:
        """Run the batches with hooks on these modules only, which are always removed."""
        handles = [module.register_forward_pre_hook(self._add) for module in self._modules]
        try:
            for batch in batches:
                run(model, batch, forward, during="the calibration")
        finally:
            for handle in handles:
                handle.remove()
        if self.total is None:
            raise PruningError("the layer did not run on the calibration data")
        if not bool(self.total.isfinite().all()):
            raise PruningError("the squares of the inputs on the calibration data are too large")
        return self.total

    def _add(self, module: nn.Module, args: tuple[Tensor, ...]) -> None:
        x = columns_of(module, args[0].detach())
        if not torch.isfinite(x).all():
            raise PruningError("the inputs of the layer on the calibration data are not finite")
        moments = (x.transpose(1, 2) @ x).double()
        self.rows += x.shape[1]
        self.total = moments if self.total is None else self.total + moments
