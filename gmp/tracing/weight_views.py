"""Views that lead from a parameter to the weights of a layer, which may be only a part of it."""

from typing import NamedTuple

import torch
from torch import Tensor

Strided = tuple[tuple[int, ...], tuple[int, ...], int]  # size, stride, and offset from the first element


class WeightView(NamedTuple):
    """The weights of a layer as views of a parameter.

    Parameters
    ----------
    parameter : str
        Name of the parameter, as in ``model.named_parameters()``, of a buffer, or of an attribute that is
        computed from parameters, such as the ``weight`` of a parametrized module.
    steps : tuple of (size, stride, offset), default ()
        Strided views that lead from the parameter to the weights, each of a contiguous copy of the previous
        one. The elements of the last view have the order (M, C / groups, window). () is the parameter itself.
    computed : bool, default False
        Whether the weights are computed from more than this parameter, so that its zeros do not determine
        theirs.
    """

    parameter: str
    steps: tuple[Strided, ...] = ()
    computed: bool = False

    def of(self, tensor: Tensor) -> Tensor:
        """Return the same part of a tensor that has the layout of the parameter, such as its mask.

        Parameters
        ----------
        tensor : Tensor
            Tensor with the shape and strides of the parameter.

        Returns
        -------
        Tensor
            The elements that belong to the weights.
        """
        for i, (size, stride, offset) in enumerate(self.steps):
            if i:
                tensor = tensor.contiguous()
            tensor = tensor.as_strided(size, stride, tensor.storage_offset() + offset)
        return tensor

    def positions(self, tensor: Tensor) -> Tensor:
        """Return the positions of the weights in a tensor that has the layout of the parameter.

        Parameters
        ----------
        tensor : Tensor
            Tensor with the shape and strides of the parameter.

        Returns
        -------
        Tensor
            Indices of the elements in memory order, one-dimensional, of type int64.
        """
        span = sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True)) + 1
        places = torch.arange(span, device=tensor.device)
        return self.of(places.as_strided(tensor.shape, tensor.stride())).flatten()


def strided_like(tensor: Tensor, whole: Tensor) -> Strided:
    """Describe a tensor as a view of the storage that it shares with another one.

    Parameters
    ----------
    tensor : Tensor
        The view.
    whole : Tensor
        The tensor whose first element the offset is counted from.

    Returns
    -------
    tuple of (tuple of int, tuple of int, int)
        Size, stride and offset.
    """
    offset = int(tensor.storage_offset() - whole.storage_offset())
    return tuple(tensor.shape), tuple(tensor.stride()), offset


def storage_of(tensor: Tensor) -> int:
    """Return the identity of the memory of a tensor.

    Parameters
    ----------
    tensor : Tensor
        Any tensor.

    Returns
    -------
    int
        Address of the memory; 0 for tensors without memory of their own, such as sparse tensors and wrappers.
    """
    try:
        return tensor.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):
        return 0
