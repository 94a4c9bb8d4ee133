"""The axes of parameters: outputs, inputs and kernel positions, by the operation that uses a parameter.

One letter for each axis, in the order of the parameter:

  o  outputs           several such axes count as one
  i  inputs            likewise
  k  kernel positions  likewise
  g  groups            products of their own, such as experts

  "oi"    nn.Linear, recurrent layers, in_proj_weight of attention, Linear of PyG
  "oikk"  nn.Conv2d ("oik", "oikkk": Conv1d, Conv3d), also with groups
  "iokk"  nn.ConvTranspose2d
  "io"    nn.Embedding, Conv1D of transformers
  "oii"   nn.Bilinear
  "goi"   experts of transformers ("gio" where they are stored transposed)
"""

import sys
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.rnn import RNNBase, RNNCellBase

from gmp.errors import PruningError

LETTERS = "goik"

_TORCH: tuple[tuple[type[nn.Module], str], ...] = (
    (nn.Linear, "oi"),
    (RNNBase, "oi"),
    (RNNCellBase, "oi"),
    (nn.MultiheadAttention, "oi"),
    (nn.Embedding, "io"),
    (nn.EmbeddingBag, "io"),
    (nn.Bilinear, "oii"),
)
_OTHERS = (  # (Python module, class, axes); these modules are not imported
    ("transformers.pytorch_utils", "Conv1D", "io"),
    ("torch_geometric.nn.dense.linear", "Linear", "oi"),
    ("torch_geometric.nn.dense.linear", "HeteroLinear", "gio"),
)


# How layers of torch, transformers and PyG call the numbers of their outputs and inputs.
_OUTPUTS = ("out_features", "out_channels", "num_experts", "n_routed_experts")
_INPUTS = ("in_features", "in_channels", "hidden_size", "hidden_dim")


class Axes(NamedTuple):
    """The axes of a parameter: outputs, inputs, kernel positions and groups.

    Parameters
    ----------
    letters : str
        One letter per axis, as in the table of this module.
    groups : int, default 1
        Number of groups that lie one after the other along the axes of inputs.
    """

    letters: str
    groups: int = 1

    def shape(self, shape: torch.Size) -> tuple[int, int, int, int]:
        """Return the arranged shape of a parameter.

        Parameters
        ----------
        shape : torch.Size
            Shape of the parameter.

        Returns
        -------
        tuple of int
            Numbers of (groups, outputs, inputs, positions).
        """
        g, o, i, k = (
            torch.Size(n for n, letter in zip(shape, self.letters, strict=True) if letter == kind).numel()
            for kind in LETTERS
        )
        return g * self.groups, o, i // self.groups, k

    def arranged(self, values: Tensor) -> Tensor:
        """Arrange the values of a parameter by groups, outputs, inputs and positions.

        Parameters
        ----------
        values : Tensor
            Values in the shape of the parameter.

        Returns
        -------
        Tensor
            The values in the shape (groups, outputs, inputs, positions).
        """
        g, o, i, k = self.shape(values.shape)
        if self.groups == 1:
            return values.permute(self._order()).reshape(g, o, i, k)
        inputs_first = values.permute(self._order("giok"))
        return inputs_first.reshape(g, i, o, k).transpose(1, 2)

    def restored(self, values: Tensor, shape: torch.Size) -> Tensor:
        """Return arranged values in the shape of the parameter, the inverse of `arranged`.

        Parameters
        ----------
        values : Tensor
            Values in the shape (groups, outputs, inputs, positions).
        shape : torch.Size
            Shape of the parameter.

        Returns
        -------
        Tensor
            The values in this shape.
        """
        order = self._order() if self.groups == 1 else self._order("giok")
        if self.groups > 1:
            values = values.transpose(1, 2)
        back = sorted(range(len(order)), key=order.__getitem__)
        return values.reshape([shape[axis] for axis in order]).permute(back).contiguous()

    def _order(self, kinds: str = LETTERS) -> list[int]:
        return [axis for kind in kinds for axis, letter in enumerate(self.letters) if letter == kind]


def axes_of(module: nn.Module, key: str, weight: Tensor) -> Axes | None:
    """Find the axes of a parameter.

    Parameters
    ----------
    module : nn.Module
        Module that owns the parameter.
    key : str
        Name of the parameter within the module.
    weight : Tensor
        The parameter.

    Returns
    -------
    Axes or None
        The axes; None if they are not known.

    Notes
    -----
    Axes are known for layers of torch, transformers and PyG, and for modules with an attribute `weight_axes`
    such as {"weight": "kio"}. For other modules, different numbers of inputs and outputs, such as
    `in_features` and `out_features`, identify the last two axes, and the axes before these are groups.
    """
    found = _letters(module, key, weight)
    if found is None or len(found) != weight.dim():
        return Axes("o") if weight.dim() == 1 else None
    return Axes(found, module.groups if isinstance(module, _ConvTransposeNd) else 1)


def given_axes(axes: str | Axes, name: str, weight: Tensor) -> Axes:
    """Check axes that a user gave.

    Parameters
    ----------
    axes : str or Axes
        Letters as in the table of this module; `Axes` are returned unchanged.
    name : str
        Name of the parameter, for messages.
    weight : Tensor
        The parameter.

    Returns
    -------
    Axes
        The axes.

    Raises
    ------
    PruningError
        If the letters do not fit the weight.
    """
    if isinstance(axes, Axes):
        return axes
    if not isinstance(axes, str) or set(axes) - set(LETTERS) or len(axes) != weight.dim() or "o" not in axes:
        raise PruningError(
            f"axes of '{name}' must be {weight.dim()} of the letters g (groups), o (outputs), i (inputs) and "
            f"k (kernel positions), with an o among them, for its shape {tuple(weight.shape)}, got {axes!r}"
        )
    return Axes(axes)


def _letters(module: nn.Module, key: str, weight: Tensor) -> str | None:
    told = getattr(module, "weight_axes", None)
    if isinstance(told, Mapping) and key in told:
        return str(told[key])
    if isinstance(module, _ConvNd):
        return ("io" if module.transposed else "oi") + "k" * (weight.dim() - 2)
    for kind, letters in _TORCH:
        if isinstance(module, kind):
            return letters
    for place, name, letters in _OTHERS:
        other = getattr(sys.modules.get(place), name, None)
        if other is not None and isinstance(module, other):
            return letters
    if is_of_experts(module, key):
        return "gio" if module.is_transposed else "goi"
    return _by_sizes(module, weight)


def _by_sizes(module: nn.Module, weight: Tensor) -> str | None:
    out, into = (
        {size for name in names if isinstance(size := getattr(module, name, None), int)}
        for names in (_OUTPUTS, _INPUTS)
    )
    if weight.dim() < 2 or out & into:
        return None
    *groups, first, second = weight.shape
    matrix = "oi" if first in out and second in into else "io" if first in into and second in out else None
    return None if matrix is None else "g" * len(groups) + matrix


def is_of_experts(module: nn.Module, key: str) -> bool:
    """Return whether a parameter is a matrix of experts in the layout of transformers.

    Parameters
    ----------
    module : nn.Module
        Module that owns the parameter.
    key : str
        Name of the parameter within the module.

    Returns
    -------
    bool
        Whether the module has experts and the name is that of a projection.
    """
    return isinstance(getattr(module, "is_transposed", None), bool) and key.endswith("_proj")
