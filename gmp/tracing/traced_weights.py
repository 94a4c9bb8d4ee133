"""The parameters by which the layers of a trace multiply, with their axes, for a pruner."""

import torch
from torch import Tensor, nn

from gmp.parameter_names import named_modules, named_parameters
from gmp.tracing.trace import LayerTrace, Trace
from gmp.weight_axes import Axes, axes_of


def traced_weights(model: nn.Module, traced: Trace) -> dict[str, Axes | None]:
    """Return the parameters that the layers of a trace multiply activations by.

    Parameters
    ----------
    model : nn.Module
        Model that was traced.
    traced : Trace
        The trace.

    Returns
    -------
    dict of str to Axes or None
        Axes of each parameter by its name; None where layers use a parameter along different axes.

    Notes
    -----
    ``found = traced_weights(model, trace(model, batches))`` is what ``gmp.Pruner(model, targets=list(found),
    axes=found)`` prunes: every factor of a product, whatever its name is, and nothing else.
    """
    known = named_parameters(model)
    owners = {
        parameter: (module, key)
        for _, module in named_modules(model)
        for key, parameter in module._parameters.items()
        if parameter is not None
    }
    found: dict[str, set[Axes | None]] = {}
    for layer in traced.layers:
        if layer.view is not None and not layer.view.computed and layer.view.parameter in known:
            found.setdefault(layer.view.parameter, set()).add(_axes(layer, known[layer.view.parameter]))
    result: dict[str, Axes | None] = {}
    for name, axes in found.items():
        told = axes_of(*owners[known[name]], known[name])
        result[name] = told if told is not None else axes.pop() if len(axes) == 1 else None
    return result


def _axes(layer: LayerTrace, parameter: Tensor) -> Axes | None:
    """Infer the axes from outputs, inputs and positions of the elements at each index of the parameter."""
    assert layer.view is not None
    shape = layer.computation
    letters = ""
    for axis, size in enumerate(parameter.shape):
        index = torch.arange(size, device=parameter.device)
        index = index.reshape([-1 if other == axis else 1 for other in range(parameter.dim())])
        laid_out = torch.empty_like(parameter, dtype=torch.int64).copy_(index.expand(parameter.shape))
        part = layer.view.of(laid_out).reshape(shape.M, shape.C // shape.groups, -1)
        if (letter := _letter(part)) is None:
            return None
        letters += letter
    if shape.groups > 1 and letters.count("o") > 1:  # the first axis counts separate matrices
        letters = letters.replace("o", "g", 1)
    return Axes(letters)


def _letter(part: Tensor) -> str | None:
    """Return along which of outputs, inputs and positions an index changes; None if along several."""
    if bool((part == part[:, :1, :1]).all()):
        return "o" if len(part) == 1 or bool((part != part[0, 0, 0]).any()) else "g"
    if bool((part == part[:1, :, :1]).all()):
        return "i"
    return "k" if bool((part == part[:1, :1]).all()) else None
