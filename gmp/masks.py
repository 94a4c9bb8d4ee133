"""Masks of weights, and their packed form in saved states."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gmp.errors import PruningError
from gmp.nonzeros import count
from gmp.parameter_names import named_parameters, renamed
from sparsim.errors import near


class Mask:
    """The mask of one weight: `live` is False where it is pruned, and `zeros` counts these elements.

    A mask holds no reference to its weight, so that hooks of the weight can refer to it without a cycle.

    Parameters
    ----------
    live : Tensor
        Bool tensor of the weight's shape, False where the weight is pruned.
    dtype : torch.dtype
        Type of the weight.
    """

    def __init__(self, live: Tensor, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.set(live, *count([live]))

    def set(self, live: Tensor, nonzeros: int) -> None:
        """Replace the mask.

        Parameters
        ----------
        live : Tensor
            The new mask.
        nonzeros : int
            Number of True elements in it.
        """
        self.live, self.zeros = live, live.numel() - nonzeros
        self._factor = live.to(self.dtype)

    @torch.no_grad()
    def hide(self, values: Tensor) -> None:
        """Set the pruned elements of a tensor to zero, in place.

        Parameters
        ----------
        values : Tensor
            Tensor of the weight's shape, such as the weight or its gradient.

        Notes
        -----
        The tensor is multiplied by the mask, which takes a tenth of the time of `masked_fill_`.
        """
        if not self.zeros:
            return
        if self._factor.device != values.device:
            self.live = self.live.to(values.device)
            self._factor = self.live.to(self.dtype)
        values.mul_(self._factor)


def pack(live: Tensor) -> dict[str, Any]:
    """Pack a mask for a saved state.

    Parameters
    ----------
    live : Tensor
        Bool tensor.

    Returns
    -------
    dict
        The sizes as "shape", and a uint8 tensor as "bits" with eight weights per byte, the first one in the
        highest bit.
    """
    return {"shape": list(live.shape), "bits": torch.from_numpy(np.packbits(live.cpu().numpy()))}


def unpack(name: str, saved: Any) -> Tensor:
    """Unpack a mask of a saved state.

    Parameters
    ----------
    name : str
        Name of the parameter, for messages.
    saved : Tensor or mapping
        A result of `pack`, or a bool tensor, which is returned unchanged.

    Returns
    -------
    Tensor
        The mask as a bool tensor.

    Raises
    ------
    PruningError
        If `saved` is neither, or its bits do not fit its shape.
    """
    if isinstance(saved, Tensor) and saved.dtype == torch.bool:
        return saved
    if not isinstance(saved, Mapping) or set(saved) != {"shape", "bits"}:
        raise PruningError(f"the mask of '{name}' must be a bool tensor or a saved mask")
    shape, bits = torch.Size(saved["shape"]), saved["bits"].cpu().numpy()
    need = -(-shape.numel() // 8)
    if len(bits) != need:
        raise PruningError(
            f"the saved mask of '{name}' must have {need} bytes for shape {tuple(shape)}, has {len(bits)}"
        )
    live = np.unpackbits(bits, count=shape.numel()).astype(bool)
    return torch.from_numpy(live).reshape(shape)


def fit(name: str, live: Tensor, weight: Tensor) -> Tensor:
    """Move a mask to the device of its weight.

    Parameters
    ----------
    name : str
        Name of the parameter, for messages.
    live : Tensor
        The mask.
    weight : Tensor
        The weight.

    Returns
    -------
    Tensor
        The mask on the device of the weight.

    Raises
    ------
    PruningError
        If the shapes differ.
    """
    if live.shape != weight.shape:
        raise PruningError(
            f"the mask of '{name}' must have the shape {tuple(weight.shape)} of the weight, got "
            f"{tuple(live.shape)}"
        )
    return live.to(weight.device)


@torch.no_grad()
def apply_masks(model: nn.Module, masks: Mapping[str, Any]) -> None:
    """Set the pruned weights of a model to zero, once; nothing stays attached to the model.

    Parameters
    ----------
    model : nn.Module
        Model whose parameters are changed in place.
    masks : mapping of str to Tensor or mapping
        Mask of each parameter by its name, from `Pruner.masks` (bool tensors of the parameter's shape, False
        where the weight is pruned) or from ``Pruner.state_dict()["masks"]`` (packed masks).

    Raises
    ------
    PruningError
        If a name is unknown or a mask has another shape than its parameter. The model is unchanged then.
    """
    weights = named_parameters(model)
    masks = renamed(masks, weights)
    for name in masks:
        if name not in weights:
            raise PruningError(f"the model has no parameter '{name}'", hint=near(name, weights))
    lives = {name: fit(name, unpack(name, saved), weights[name]) for name, saved in masks.items()}
    for name, live in lives.items():
        weights[name].masked_fill_(~live, 0)
