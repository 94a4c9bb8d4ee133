"""What a network computes and how many zeros it moves, measured while it runs.

A layer is one product of weights and inputs: `Linear`, `Conv1d`, `Conv2d` or `Conv3d`, as a module, or as a
function on the weights of one or on a slice of them. Its output density is that of the tensor which reaches
memory: after the batch-norm, activation and (idle) dropout that follow it element by element.
"""

import math
import threading
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gmp.errors import TraceError
from gmp.network_coverage import Coverage, coverage_of
from gmp.tracing.nonzero_recorder import LAYERS, Computation, Recorder, Tally, WeightView
from sparsim.errors import near

# A trace puts hooks on the model and switches it to eval mode; two at once would leave it there.
one_trace_at_a_time = threading.RLock()


class Measured(NamedTuple):
    """A density: mean over samples, and standard deviation between them."""

    mean: float
    spread: float


@dataclass(frozen=True)
class LayerTrace:
    """One layer. `calls` and `macs` are per sample; `macs` counts all calls. `view`: whose weights it uses.

    Masks are True at nonzeros and None if not asked for: `weight_mask` (M, C / groups, height, width) and
    `input_mask` (first samples, C, height, width), or with a depth before the height.
    """

    name: str
    computation: Computation
    calls: int | float
    weights: int
    weight_density: float
    inputs: Measured
    outputs: Measured
    view: WeightView
    weight_mask: NDArray[np.bool_] | None = field(default=None, repr=False, compare=False)
    input_mask: NDArray[np.bool_] | None = field(default=None, repr=False, compare=False)

    @property
    def macs(self) -> int | float:
        return self.calls * self.computation.macs

    def row(self) -> dict[str, str | int | float]:
        """Plain values by the name of a column; R and P are heights, S and Q widths."""
        shape = self.computation
        return {
            "name": self.name,
            "C": shape.C, "M": shape.M, "R": shape.window[-2], "S": shape.window[-1],
            "P": math.prod(shape.out[:-1]), "Q": shape.out[-1],
            "groups": shape.groups, "calls": self.calls, "macs": self.macs, "weights": self.weights,
            "weights_density": self.weight_density,
            "inputs_density": self.inputs.mean, "inputs_spread": self.inputs.spread,
            "outputs_density": self.outputs.mean, "outputs_spread": self.outputs.spread,
        }  # fmt: skip


@dataclass(frozen=True)
class Trace:
    """All layers, in the order in which they first ran; `samples` went through each.

    `coverage`: how much of the network they are; None if that was not counted.
    """

    layers: tuple[LayerTrace, ...]
    samples: int
    coverage: Coverage | None = field(default=None, compare=False)

    @property
    def macs(self) -> int | float:
        """Per sample."""
        return sum(layer.macs for layer in self.layers)


def trace(
    model: nn.Module,
    batches: Iterable[Tensor | Sequence[Any]],
    *,
    names: Sequence[str] | None = None,
    mask_samples: int = 0,
    coverage: bool = True,
) -> Trace:
    """Run `model` in eval mode on batches (B, ...), or tuples that begin with one, and measure its layers.

    Only layers in `names`, if given. A layer that also runs with other shapes, or as a function on a slice of
    its weights, has a row for each: NAME, NAME.part2, ... Products of two activations are no layers.
    With `mask_samples` the rows keep masks of the weights and of that many samples' inputs. With `coverage`
    the operations of the first batch that belong to no layer are counted too.

    Warns if these, without layers that `names` leaves out, are a large part of all
    (see `gmp.network_coverage`). Raises TraceError for unknown names, no batch, batches without a tensor,
    layers that did not run, numbers that are not finite, and layers whose first axis does not hold the
    samples.
    """
    if isinstance(batches, Tensor):
        raise TraceError("batches is one tensor, a list or loader of such is needed")
    with one_trace_at_a_time:
        found = _trace(model, batches, names, mask_samples, coverage)
    if found.coverage is not None:
        found.coverage.warn()
    return found


def _trace(
    model: nn.Module,
    batches: Iterable[Tensor | Sequence[Any]],
    names: Sequence[str] | None,
    mask_samples: int,
    coverage: bool,
) -> Trace:
    wanted = _wanted(model, names)
    recorder = Recorder(model, wanted, mask_samples, coverage=coverage)
    training = {module: module.training for module in model.modules()}
    samples = 0
    try:
        with ExitStack() as stack, torch.no_grad():
            for handle in recorder.hooks(model):
                stack.callback(handle.remove)
            model.eval()
            for batch in batches:
                inputs = _inputs(batch)
                recorder.begin(len(inputs))
                with recorder:
                    model(inputs)
                recorder.finish()
                samples += len(inputs)
    finally:
        for module, mode in training.items():
            module.training = mode
    if not samples:
        raise TraceError("no batch was given, at least one sample is needed")
    rows = tuple(_rows(recorder, wanted, samples))
    macs = sum(row.macs for row in rows)
    if recorder.uncounted is None:
        return Trace(rows, samples)
    rest: dict[str, int | float | None] = {
        name: _whole(count / recorder.counted) for name, count in recorder.uncounted.macs.items()
    }
    rest |= dict.fromkeys(recorder.uncounted.unknown)
    weights = [p for layer in recorder.modules.values() for p in layer.parameters() if p.dim() > 1]
    left_out = set[int]() if names is None else parameters_of_layers(model)
    found = coverage_of(model, weights, "measured", left_out=left_out, covered_macs=macs, macs=rest)
    return Trace(rows, samples, found)


def parameters_of_layers(model: nn.Module) -> set[int]:
    """Identities of what could be measured: if it is not, it was left out on purpose."""
    layers = [module for module in model.modules() if isinstance(module, LAYERS)]
    return {id(parameter) for layer in layers for parameter in layer.parameters()}


def _inputs(batch: Tensor | Sequence[Any]) -> Tensor:
    first = batch[0] if isinstance(batch, tuple | list) and batch else batch
    if not isinstance(first, Tensor):
        raise TraceError(f"a batch begins with a {type(first).__name__}, a tensor of samples is needed")
    return first


def _wanted(model: nn.Module, names: Sequence[str] | None) -> list[str]:
    """Names of the layers that must run."""
    layers = {name: module for name, module in model.named_modules() if isinstance(module, LAYERS)}
    known = list(layers)
    if not known:
        raise TraceError(f"{type(model).__name__} has no Linear or Conv layer")
    if isinstance(names, str) or (names is not None and not len(names)):
        raise TraceError(f"names is {names!r}, a list of names of layers is needed")
    others = dict(model.named_modules())
    for name in names or ():
        if name not in known and name in others:
            kind = type(others[name]).__name__
            raise TraceError(f"'{name}' is a {kind}, measured are Linear and Conv layers")
        if name not in known:
            raise TraceError(f"no layer '{name}' in {type(model).__name__}", hint=near(name, known))
    wanted = known if names is None else list(names)
    for name in wanted:
        if nn.parameter.is_lazy(layers[name].weight):
            raise TraceError(f"layer {name} has no shape yet, run one batch through the model first")
    return wanted


def _rows(recorder: Recorder, wanted: Sequence[str], samples: int) -> Iterable[LayerTrace]:
    """One for each computation, those of one layer together, what its module computed first."""
    ran: dict[str, list[tuple[Computation, Tally]]] = {}
    for (computation, _, view), tally in recorder.tallies.items():
        ran.setdefault(view.layer, []).append((computation, tally))
    for name in wanted:
        if name not in ran:
            raise TraceError(f"layer {name} did not run (name the layers to measure to leave it out)")
    for name, parts in ran.items():
        parts.sort(key=lambda part: not part[1].as_module)
        for i, (computation, tally) in enumerate(parts, start=1):
            yield LayerTrace(
                name=name if i == 1 else f"{name}.part{i}",
                computation=computation,
                calls=_whole(len(tally.inputs) / samples),
                weights=tally.weights,
                weight_density=tally.weight_density,
                inputs=_measured(tally.inputs),
                outputs=_measured(tally.outputs),
                view=tally.view,
                weight_mask=tally.weight_mask,
                input_mask=np.concatenate(tally.input_masks) if tally.input_masks else None,
            )


def _whole(number: float) -> int | float:
    return int(number) if number.is_integer() else number


def _measured(densities: list[float]) -> Measured:
    return Measured(float(np.mean(densities)), float(np.std(densities)))
