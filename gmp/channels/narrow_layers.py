"""Layers whose channels can be removed: the axes of their channels, and the removal.

Convolutions, transposed ones, and linear layers have outputs and inputs. Batch and instance norms and PReLU
have one number for each channel of what they are given. Of a convolution in groups, depthwise ones among
them, whole groups are removed, their inputs with their outputs.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

Role = Literal["outputs", "inputs", "each"]


def has_outputs(module: nn.Module) -> bool:
    """Return whether a layer makes channels that can be removed."""
    if type(module).forward not in _FORWARDS or "weight" not in module._parameters:
        return False  # other computations, parametrizations and lazy layers
    if isinstance(module, _ConvTransposeNd):
        return module.groups == 1
    return isinstance(module, nn.Linear | _ConvNd)


def is_each(module: nn.Module) -> bool:
    """Return whether a layer has one number for each input channel."""
    if isinstance(module, _NormBase):
        return True
    return isinstance(module, nn.PReLU) and module.num_parameters > 1


def is_grouped(module: nn.Module) -> bool:
    """Return whether inputs of a layer reach only some of its outputs."""
    return isinstance(module, _ConvNd) and module.groups > 1


def channel_axis(module: nn.Module, values: Tensor) -> int:
    """Return the axis of the channels in the inputs and outputs of a layer."""
    if isinstance(module, nn.Linear):
        return values.dim() - 1
    if isinstance(module, _ConvNd):
        return values.dim() - len(module.kernel_size) - 1
    return min(1, values.dim() - 1)


def output_axis(module: nn.Module) -> int:
    """Return the axis of the outputs in the weight of a layer."""
    return 1 if isinstance(module, _ConvTransposeNd) else 0


def channels_of(module: nn.Module, role: Role) -> int:
    """Return the number of outputs, inputs or channels of a layer."""
    name = {
        "outputs": "out_features" if isinstance(module, nn.Linear) else "out_channels",
        "inputs": "in_features" if isinstance(module, nn.Linear) else "in_channels",
        "each": "num_parameters" if isinstance(module, nn.PReLU) else "num_features",
    }[role]
    return int(getattr(module, name))


def axis_of_parameter(module: nn.Module, key: str, role: Role) -> int | None:
    """Return the axis of a parameter or buffer with the channels of this role; None if it has none."""
    values = getattr(module, key)
    if role == "each":
        return 0 if values.dim() == 1 else None
    if key == "bias":
        return 0 if role == "outputs" else None
    if role == "outputs":
        return output_axis(module)
    return None if is_grouped(module) else 1 - output_axis(module)


def keep_channels(module: nn.Module, role: Role, kept: Sequence[int]) -> dict[str, tuple[int, Tensor]]:
    """Remove all channels of a layer but those that are `kept`, in place.

    Returns the axis along which each parameter was cut, and the indices that are left.
    """
    index = torch.as_tensor(kept, dtype=torch.int64)
    cut: dict[str, tuple[int, Tensor]] = {}
    own = (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
    for key, values in own:
        if (axis := axis_of_parameter(module, key, role)) is None:
            continue
        left = values.detach().index_select(axis, index.to(values.device))
        if isinstance(values, nn.Parameter):
            setattr(module, key, nn.Parameter(left, requires_grad=values.requires_grad))
            cut[key] = axis, index
        else:
            setattr(module, key, left)
    _set_channels(module, role, len(index))
    return cut


def _set_channels(module: nn.Module, role: Role, count: int) -> None:
    if role == "inputs" and is_grouped(module):
        assert isinstance(module, _ConvNd)
        module.groups = module.groups * count // module.in_channels
    name = {"outputs": ("out_features", "out_channels"), "inputs": ("in_features", "in_channels"),
            "each": ("num_features", "num_parameters")}[role]  # fmt: skip
    for each in name:
        if hasattr(module, each):
            setattr(module, each, count)


_FORWARDS = {
    kind.forward
    for kind in (
        nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d
    )
}  # fmt: skip
