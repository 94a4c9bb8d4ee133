"""The weights of layers in a model that is trained: what they are now, and how many of them are zero."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gmp.errors import PruningError
from gmp.nonzeros import count
from gmp.parameter_names import joined, module_called, named_modules, named_parameters
from gmp.tracing.weight_views import WeightView
from sparsim.errors import near

_PART = r"\.part[0-9]+$"  # ending of the names of further computations of a layer


class _Seen(NamedTuple):
    """The mask from which the density of a weight was counted."""

    mask: Tensor
    version: int
    density: float


class LayerWeights:
    """The weights of the layers of a model, which may be moved and have its parameters replaced.

    Parameters
    ----------
    model : nn.Module
        The model.
    views : sequence of WeightView or None
        The part of a parameter that each layer uses; None for layers without weights.

    Attributes
    ----------
    are_parameters : ndarray of bool
        (layers,) whether the zeros of a parameter are those of the weights.
    """

    def __init__(self, model: nn.Module, views: Sequence[WeightView | None]) -> None:
        self._model, self._views = model, tuple(views)
        self._holders = [None if view is None else _holder(model, view) for view in views]
        self._seen: dict[int, _Seen] = {}
        self.are_parameters: NDArray[np.bool_] = np.array(
            [view is not None and not view.computed for view in views]
        )

    def __iter__(self) -> Iterator[Tensor | None]:
        return (self._weight(i) for i in range(len(self._holders)))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of weights of each layer; 0 for layers without weights."""
        pairs = zip(self, self._views, strict=True)
        return tuple(0 if w is None or view is None else view.of(w).numel() for w, view in pairs)

    def uses(self, name: str, parameter: Tensor | None = None) -> list[tuple[int, WeightView]]:
        """Find the layers that use a parameter, as `EnergyMonitor.uses` does."""
        known = named_parameters(self._model)
        if parameter is None or not any(parameter is other for other in known.values()):
            parameter = known.get(name)
        found = [
            (i, view)
            for i, view in enumerate(self._views)
            if view is not None and self.are_parameters[i] and self._weight(i) is parameter
        ]
        if not found:
            text = f"the monitor has seen no layer that uses '{name}'"
            if parameter is not None:
                raise PruningError(text + "; ignore it")
            raise PruningError(text, hint=near(name, known))
        return found

    def densities(self, masks: Mapping[Tensor, Tensor]) -> dict[int, float]:
        """Count the nonzero fraction of the weights by layer.

        Parameters
        ----------
        masks : mapping of Tensor to Tensor
            Masks by parameter; of other parameters the zeros are counted.

        Returns
        -------
        dict of int to float
            Density by index of the layer, for layers whose weights are a parameter or a part of one.

        Notes
        -----
        Masks are counted when they have changed, weights always, because fused optimizers and `.data` change
        them unnoticed.
        """
        found: dict[int, float] = {}
        parts: dict[int, Tensor] = {}
        of_masks: dict[int, Tensor] = {}
        for i in np.flatnonzero(self.are_parameters).tolist():
            weight, view = self._weight(i), self._views[i]
            assert weight is not None
            assert view is not None
            mask, seen = masks.get(weight), self._seen.get(i)
            if mask is None:
                parts[i] = view.of(weight.detach())
            elif seen is None or seen.mask is not mask or seen.version != mask._version:
                parts[i], of_masks[i] = view.of(_laid_out_like(weight, mask)), mask
            else:
                found[i] = seen.density
        for (i, part), nonzeros in zip(parts.items(), count(list(parts.values())), strict=True):
            found[i] = nonzeros / part.numel()
            if i in of_masks:
                self._seen[i] = _Seen(of_masks[i], of_masks[i]._version, found[i])
        return found

    def _weight(self, i: int) -> Tensor | None:
        """The current weight of a layer; looking it up can compute it, if it is parametrized.

        None for layers without weights.
        """
        holder = self._holders[i]
        if holder is None:
            return None
        weight = getattr(*holder)
        assert isinstance(weight, Tensor)
        return weight


def _laid_out_like(weight: Tensor, mask: Tensor) -> Tensor:
    """Return a mask with the memory layout of the weights. Weights may be transposed in memory, and loaded
    masks are not, while parts are defined by positions in memory.
    """
    if mask.stride() == weight.stride():
        return mask
    return torch.empty_like(weight, dtype=mask.dtype).copy_(mask)


def _holder(model: nn.Module, view: WeightView) -> tuple[nn.Module, str]:
    """Return the module and the attribute that contain the weights of a view."""
    name, _, key = view.parameter.rpartition(".")
    return module_called(model, name), key


def _layer_called(model: nn.Module, name: str) -> str:
    """Return the name without the ending of a further computation, which may also occur in names of
    modules.
    """
    known = name in dict(named_modules(model)) or name in named_parameters(model)
    return name if known else re.sub(_PART, "", name)


def weight_called(model: nn.Module, layer: str) -> WeightView | None:
    """The whole parameter or module that a layer of a workload belongs to, even if the layer uses only a part
    of the weights. None for products of activations, whose name is that of a module without a weight.
    """
    modules, parameters = dict(named_modules(model)), named_parameters(model)
    name = _layer_called(model, layer)
    if name in parameters:
        return WeightView(name)
    module = modules.get(name)
    if isinstance(getattr(module, "weight", None), Tensor):
        return WeightView(joined(name, "weight"))
    if module is None and name != type(model).__name__:
        hint = near(name, (key for key, module in modules.items() if hasattr(module, "weight")))
        raise PruningError(f"layer '{layer}' of the workload has no weight in the model", hint=hint)
    return None
