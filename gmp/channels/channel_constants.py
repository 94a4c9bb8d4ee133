"""Constant outputs of pruned channels, and the compensation of their removal.

A channel whose weights are zero is a constant c, which results from its bias and norm.

Its removal changes the outputs of a layer that uses it by W c. This is added to the bias of the layer; to the
running mean of the norm that follows, if the layer has no bias and nothing else uses its output; or else to a
new bias of the layer. At the border of zero padding a convolution has zeros in place of the constant, which
no bias can represent.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.utils._pytree import tree_leaves

from gmp.channels.channel_probe import Run, evaluating
from gmp.channels.narrow_layers import channel_axis
from gmp.parameter_names import module_called, named_modules


class Constants(NamedTuple):
    """The constant values of removed inputs of a layer. With `exact` they are the same everywhere, so that a
    bias can replace them.
    """

    values: Tensor
    exact: bool


def constants_of(model: nn.Module, inputs: Mapping[str, Tensor], run_copies: Run) -> dict[str, Constants]:
    """Return the values of `inputs` of layers (indices by the layer's name) in a network whose removed
    channels are zero.
    """
    found: dict[str, Constants] = {}

    def watch(name: str, index: Tensor) -> Callable[..., None]:
        def note(module: nn.Module, given: tuple[Any, ...]) -> None:
            x = given[0]
            rows = x.movedim(channel_axis(module, x), -1).reshape(-1, x.shape[channel_axis(module, x)])
            rows = rows[:, index.to(x.device)]
            values = rows.median(dim=0).values
            exact = bool((rows == values).all()) and (not bool(values.any()) or _is_unpadded(module))
            if name in found:
                exact = exact and found[name].exact and torch.equal(found[name].values, values)
            found[name] = Constants(values, exact)

        return note

    handles = [
        module_called(model, name).register_forward_pre_hook(watch(name, index))
        for name, index in inputs.items()
    ]
    try:
        with evaluating(model):
            run_copies(model, 1)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _is_unpadded(module: nn.Module) -> bool:
    """Return whether no output of a layer depends on padding."""
    if isinstance(module, _ConvTransposeNd):
        return False
    if not isinstance(module, _ConvNd) or module.padding_mode != "zeros":
        return True
    if isinstance(module.padding, str):
        return module.padding == "valid" or not any(k > 1 for k in module.kernel_size)
    return not any(module.padding)


@torch.no_grad()
def fold(model: nn.Module, inputs: Mapping[str, Tensor], run_copies: Run) -> tuple[list[str], list[str]]:
    """Compensate for `inputs` that will be removed, in place.

    Returns the layers that received a bias, and those whose results differ at the border of their padding.
    """
    used = {name: index for name, index in inputs.items() if _uses(module_called(model, name), index)}
    constants = constants_of(model, used, run_copies)
    lost = {
        name: _lost(module_called(model, name), inputs[name], found.values)
        for name, found in constants.items()
        if bool(found.values.any())
    }
    norms = _following_norms(model, [name for name in lost if _bias(model, name) is None], run_copies)
    added = []
    for name, amount in lost.items():
        module, bias = module_called(model, name), _bias(model, name)
        if bias is not None:
            bias += amount
        elif name in norms:
            mean = norms[name].running_mean
            assert mean is not None
            mean -= amount
        else:
            weight = module.weight
            assert isinstance(weight, Tensor)
            module.register_parameter("bias", nn.Parameter(amount, requires_grad=weight.requires_grad))
            added.append(name)
    return added, [name for name, found in constants.items() if not found.exact]


def _bias(model: nn.Module, name: str) -> Tensor | None:
    bias = module_called(model, name).bias
    assert bias is None or isinstance(bias, Tensor)
    return bias


def _uses(module: nn.Module, index: Tensor) -> bool:
    """Return whether a layer has a nonzero weight for any of these inputs."""
    return bool(_weights_of(module, index).any())


def _weights_of(module: nn.Module, index: Tensor) -> Tensor:
    """Return the weights of inputs of a layer, outputs first."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    if isinstance(module, _ConvTransposeNd):
        weight = weight.transpose(0, 1)
    return weight[:, index.to(weight.device)]


def _lost(module: nn.Module, index: Tensor, values: Tensor) -> Tensor:
    """Return what these inputs contribute to each output of a layer, (outputs,)."""
    part = _weights_of(module, index)
    return part.flatten(2).sum(dim=2) @ values if part.dim() > 2 else part @ values


def _following_norms(model: nn.Module, names: list[str], run_copies: Run) -> dict[str, _NormBase]:
    """Return the norms with running means that follow these layers and are the only users of their
    outputs.
    """
    if not names:
        return {}
    made: dict[str, list[Tensor]] = {name: [] for name in names}
    given: list[tuple[_NormBase, Tensor]] = []
    handles = [
        module_called(model, name).register_forward_hook(
            lambda module, inputs, output, name=name: made[name].append(output.clone())
        )
        for name in names
    ]
    for _, module in named_modules(model, remove_duplicate=True):
        if isinstance(module, _NormBase) and module.running_mean is not None:
            handles.append(
                module.register_forward_pre_hook(
                    lambda module, inputs: given.append((module, inputs[0].clone()))
                )
            )
    try:
        with evaluating(model):
            run_copies(model, 1)
    finally:
        for handle in handles:
            handle.remove()
    found = {}
    for name, outputs in made.items():
        fitting = [norm for norm, x in given if len(outputs) == 1 and _same(outputs[0], x)]
        if len(fitting) == 1 and _sees_all(model, name, fitting[0], run_copies):
            found[name] = fitting[0]
    return found


def _same(output: Tensor, given: Tensor) -> bool:
    return output.numel() == given.numel() and torch.equal(output.reshape(-1), given.reshape(-1))


def _sees_all(model: nn.Module, name: str, norm: nn.Module, run_copies: Run) -> bool:
    """Return whether only a norm uses the outputs of a layer: NaN in them, hidden from the norm, then appears
    nowhere.
    """
    handles = [
        module_called(model, name).register_forward_hook(
            lambda module, inputs, output: torch.full_like(output, torch.nan)
        ),
        norm.register_forward_pre_hook(lambda module, inputs: (torch.zeros_like(inputs[0]), *inputs[1:])),
    ]
    try:
        with evaluating(model):
            output = run_copies(model, 1)
    finally:
        for handle in handles:
            handle.remove()
    return not any(isinstance(each, Tensor) and bool(each.isnan().any()) for each in tree_leaves(output))
