"""Which part of a parameter the weights of a layer are."""

from typing import NamedTuple

import torch
from torch import Tensor

Strided = tuple[tuple[int, ...], tuple[int, ...], int]  # size, stride, and offset from the first element


class WeightView(NamedTuple):
    """The weights of a layer, as views of a parameter.

    parameter : its name, as in `model.named_parameters()`; or that of an attribute that is computed from
        parameters, such as the `weight` of a parametrized module, or of a buffer
    steps : strided views that lead from the parameter to the weights, each of a contiguous copy of the one
        before. Elements of the last one have the order (M, C / groups, window); () is the parameter as it is
    computed : the weights were computed from more than this parameter, whose zeros do not tell theirs
    """

    parameter: str
    steps: tuple[Strided, ...] = ()
    computed: bool = False

    def of(self, tensor: Tensor) -> Tensor:
        """The same part of a tensor that is laid out like the parameter, say of its mask."""
        for i, (size, stride, offset) in enumerate(self.steps):
            if i:
                tensor = tensor.contiguous()
            tensor = tensor.as_strided(size, stride, tensor.storage_offset() + offset)
        return tensor

    def positions(self, tensor: Tensor) -> Tensor:
        """Where the weights lie in a tensor like the parameter: indices of its elements in memory order."""
        span = sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True)) + 1
        places = torch.arange(span, device=tensor.device)
        return self.of(places.as_strided(tensor.shape, tensor.stride())).flatten()


def strided_like(tensor: Tensor, whole: Tensor) -> Strided:
    """Where `tensor` lies in the storage that it shares with `whole`."""
    offset = int(tensor.storage_offset() - whole.storage_offset())
    return tuple(tensor.shape), tuple(tensor.stride()), offset


def storage_of(tensor: Tensor) -> int:
    """Identity of its memory; 0 for tensors without one of their own, such as sparse ones and wrappers."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):
        return 0
