"""Search for the inputs of later layers that an output channel reaches, by sending NaN through a network.

The network runs once in eval mode for each layer with outputs, on pairs of copies of one sample. In one copy
of pair j the channels are NaN whose number has the bit j, and in the other copy those without this bit. Hooks
record which inputs of other layers are NaN in which copies, and replace NaN by zeros, so that only the next
layers are found. An input that depends on one channel is NaN in exactly one copy of each pair, and its
pattern is the number of the channel. An input that depends on several channels is taken to depend on all
channels that its pattern allows, so an error can join channels but cannot separate them.

This works with any control flow, sums, concatenations, gathers and maxima. Comparisons hide a NaN;
dependencies that are missed for this reason are detected when a group is tried
(`gmp.channels.channel_groups`).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from gmp.channels.narrow_layers import channel_axis, channels_of, has_outputs, is_each, is_grouped
from gmp.errors import PruningError
from gmp.example_batches import Forward, batches_of, run, samples_of
from gmp.parameter_names import named_modules
from gmp.plain_kernels import plain_kernels

Run = Callable[[nn.Module, int], Any]


@dataclass
class Reached:
    """The inputs and outputs that the channels of one layer reach.

    inputs : {layer: bool (channels, inputs of this layer)}
    opaque : {layer that cannot be narrowed: bool (channels,)}
    output : bool (channels,), whether they reach the output of the network
    ran : whether the layer ran
    """

    channels: int
    inputs: dict[str, Tensor] = field(default_factory=dict)
    opaque: dict[str, Tensor] = field(default_factory=dict)
    output: Tensor | None = None
    ran: bool = False


def runner(model: nn.Module, example: Any, forward: Forward | None) -> Run:
    """Return a function that runs a model in eval mode on copies of the first sample of an example."""
    batch = batches_of(model, example)[0]
    count, axis = samples_of(model, batch, forward, None)

    def run_copies(model: nn.Module, copies: int) -> Any:
        def copied(value: Any) -> Any:
            if not isinstance(value, Tensor) or value.dim() <= axis or value.shape[axis] != count:
                return value
            first = value.narrow(axis, 0, 1)
            return first.expand(*(copies if i == axis else -1 for i in range(value.dim()))).contiguous()

        return run(model, tree_map(copied, batch), forward, during="the search for channels")

    return run_copies


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Run in eval mode without gradients, and restore modes and the state of random numbers afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    try:
        model.eval()
        with torch.no_grad(), torch.random.fork_rng(devices=list(devices)):
            yield
    finally:
        for module, training in modes:
            module.training = training


def check_numbers(model: nn.Module, run_copies: Run) -> None:
    """Refuse a network with NaN in its outputs, in which those of the probe could not be told apart."""
    with evaluating(model):
        outputs = tree_leaves(run_copies(model, 1))
    if any(isinstance(value, Tensor) and bool(value.isnan().any()) for value in outputs):
        raise PruningError(
            "the outputs of the network for the example have nan; its weights and the example must be numbers"
        )


def probe(model: nn.Module, run_copies: Run) -> dict[str, Reached]:
    """Return what the outputs of each layer reach, by the names of the layers. Raises what the model
    raises.
    """
    modules = dict(named_modules(model, remove_duplicate=True))
    layers = {name: module for name, module in modules.items() if has_outputs(module)}
    watched = {name: module for name, module in modules.items() if name in layers or is_each(module)}
    inside = _insides(modules, watched)
    opaque = {
        name: module
        for name, module in modules.items()
        if name not in watched and name and any(True for _ in module.parameters(recurse=False))
        and not inside[name]
    }  # fmt: skip
    with evaluating(model), plain_kernels():  # fast kernels may lose a NaN
        return {
            name: _Pass(model, name, module, watched, opaque).run(run_copies)
            for name, module in layers.items()
        }


def _insides(modules: Mapping[str, nn.Module], watched: Mapping[str, nn.Module]) -> dict[str, bool]:
    """Return, for each module, whether it runs other layers, that is, is more than one computation.

    `nn.MultiheadAttention` does not call the layer inside it.
    """
    return {
        name: not isinstance(module, nn.MultiheadAttention)
        and any(other.startswith(f"{name}.") for other in watched)
        for name, module in modules.items()
    }


class _Pass:
    """One pass of the network with NaN in the outputs of one layer."""

    def __init__(
        self, model: nn.Module, name: str, module: nn.Module, watched: Mapping[str, nn.Module],
        opaque: Mapping[str, nn.Module],
    ) -> None:  # fmt: skip
        self.model, self.name, self.module = model, name, module
        self.watched, self.opaque = watched, opaque
        channels = channels_of(module, "outputs")
        bits = max(1, (channels - 1).bit_length())
        numbers = torch.arange(channels)[:, None] >> torch.arange(bits)
        ones = (numbers & 1).bool()  # (channels, bits)
        self.codes = torch.cat([ones, ~ones], dim=1).t()  # (copies, channels): which are NaN
        self.found = Reached(channels)

    def run(self, run_copies: Run) -> Reached:
        handles = [self.module.register_forward_hook(self._poison)]
        handles += [
            module.register_forward_pre_hook(self._watch(name)) for name, module in self.watched.items()
        ]
        handles += [
            module.register_forward_pre_hook(self._refuse(name), with_kwargs=True)
            for name, module in self.opaque.items()
        ]
        try:
            output = run_copies(self.model, len(self.codes))
        finally:
            for handle in handles:
                handle.remove()
        self.found.output = torch.zeros(self.found.channels, dtype=torch.bool)
        for value in tree_leaves(output):
            if isinstance(value, Tensor) and (seen := self._tainted(value)) is not None:
                self.found.output |= self._channels(seen.flatten(1).any(dim=1)[:, None])[:, 0]
        return self.found

    def _poison(self, module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        self.found.ran = True
        shape = [1] * output.dim()
        shape[channel_axis(module, output)] = self.found.channels
        shape[0] = len(self.codes)
        times, rest = divmod(output.shape[0], len(self.codes))  # layers may have several rows per sample
        if rest or output.dim() < 2:  # samples cannot be distinguished
            return torch.full_like(output, torch.nan)
        codes = self.codes.to(output.device).repeat_interleave(times, dim=0)
        shape[0] = len(codes)
        return output.masked_fill(codes.reshape(shape), torch.nan)

    def _watch(self, name: str) -> Callable[..., Any]:
        module = self.watched[name]
        passes = is_each(module) or is_grouped(module)

        def note(module: nn.Module, inputs: tuple[Any, ...]) -> Any:
            seen = self._tainted(inputs[0]) if inputs else None
            if seen is None:
                return None
            axis = channel_axis(module, seen)
            rows = seen.movedim(axis, -1).reshape(len(self.codes), -1, seen.shape[axis]).any(dim=1)
            reached = self._channels(rows)
            self.found.inputs[name] = self.found.inputs.get(name, False) | reached
            return None if passes else (torch.nan_to_num(inputs[0]), *inputs[1:])

        return note

    def _refuse(self, name: str) -> Callable[..., Any]:
        def note(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
            for value in tree_leaves((inputs, named)):
                if isinstance(value, Tensor) and (seen := self._tainted(value)) is not None:
                    reached = self._channels(seen.flatten(1).any(dim=1)[:, None])[:, 0]
                    self.found.opaque[name] = self.found.opaque.get(name, False) | reached
            return tree_map(
                lambda v: torch.nan_to_num(v) if isinstance(v, Tensor) and v.is_floating_point() else v,
                (inputs, named),
            )

        return note

    def _tainted(self, values: Tensor) -> Tensor | None:
        """Return where values are NaN, with one row per copy of the sample; None if they are NaN nowhere."""
        if not values.is_floating_point():
            return None
        seen = values.isnan()
        if not bool(seen.any()):
            return None
        copies = len(self.codes)
        if seen.shape[0] == copies:
            return seen
        if seen.shape[0] % copies == 0:
            return seen.reshape(copies, -1, *seen.shape[1:]).any(dim=1)
        return torch.ones(
            copies, *seen.shape[1:], dtype=torch.bool
        )  # the rows do not belong to samples, so all channels are possible

    def _channels(self, rows: Tensor) -> Tensor:
        """bool (channels, features): the channels that a pattern of NaN (copies, features) allows."""
        rows = rows.cpu()
        impossible = self.codes.t().float() @ (~rows).float()  # copies with the channel and without NaN
        return (impossible == 0) & rows.any(dim=0)
