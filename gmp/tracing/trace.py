"""Traces of networks: the products that they compute and the zeros that they move, measured in a run.

A layer is one product of a parameter, or of a part of it, and inputs, whatever module or function computes
it; or of two activations, as in attention. Its output density is that of the tensor which reaches memory:
after the batch-norm, activation and (idle) dropout that follow it element by element.
"""

import math
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gmp.errors import TraceError
from gmp.example_batches import Forward, batches_of, run, samples_of
from gmp.network_coverage import Coverage, coverage_of
from gmp.parameter_names import named_modules, named_parameters, names_by_parameter
from gmp.plain_kernels import plain_kernels
from gmp.tracing.nonzero_counts import Tally
from gmp.tracing.nonzero_recorder import Recorder
from gmp.tracing.origins import public_name
from gmp.tracing.weight_views import WeightView
from sparsim.errors import near
from sparsim.files.traced_layers import Computation, KernelMapCounts, Measured, TracedLayer, whole

# A trace puts hooks on the model and switches it to eval mode; two at the same time would leave it in eval
# mode.
one_trace_at_a_time = threading.RLock()


@dataclass(frozen=True, kw_only=True)
class LayerTrace(TracedLayer):
    """One traced layer.

    Parameters
    ----------
    name : str
        Name of the layer.
    computation : Computation
        Shape of one run of the layer.
    calls : int or float
        Number of runs per sample; not an integer if some samples have more runs than others.
    weights : int
        Number of weights, or of elements of the second operand of a product of two activations.
    of_activations : bool, default False
        Whether both operands are activations.
    kernel_map : KernelMapCounts or None, default None
        Sizes of the kernel map of a sparse convolution, per sample; None for other layers.
    module : str
        Name of the module that runs the layer.
    weight_density : float
        Nonzero fraction of the weights, or of the second operand of a product of two activations.
    inputs : Measured
        Nonzero fraction of the inputs: mean over the samples and standard deviation between them.
    outputs : Measured
        Nonzero fraction of the outputs, likewise.
    view : WeightView or None
        Parameter that the weights are, and the part of it that is used; None if both operands are
        activations.
    input_densities : tuple of float, default ()
        Nonzero fraction of the inputs of each sample and call, in the order of the calls; of each call where
        the samples cannot be told apart.
    output_densities : tuple of float, default ()
        Nonzero fraction of the outputs, likewise.
    weight_mask : array of bool, default None
        True where a weight is not zero, of shape (M, C / groups, height, width), or with a depth before the
        height. None if masks were not asked for, for layers without weights, and for layers that do not run
        once a sample.
    input_mask : array of bool, default None
        True where an input is not zero, of shape (first samples, C, height, width), or with a depth before
        the height. None in the same cases.

    Notes
    -----
    Rows that do not belong to samples evenly, such as those of the
    experts of a mixture, count as one run each.
    """

    module: str
    weight_density: float
    inputs: Measured
    outputs: Measured
    view: WeightView | None
    input_densities: tuple[float, ...] = field(default=(), repr=False, compare=False)
    output_densities: tuple[float, ...] = field(default=(), repr=False, compare=False)
    weight_mask: NDArray[np.bool_] | None = field(default=None, repr=False, compare=False)
    input_mask: NDArray[np.bool_] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Trace:
    """All layers of a traced network.

    Parameters
    ----------
    layers : tuple of LayerTrace
        Layers in the order in which they first ran.
    samples : int
        Number of samples that went through each layer.
    coverage : Coverage, default None
        How much of the network the layers are; None if that was not counted.
    """

    layers: tuple[LayerTrace, ...]
    samples: int
    coverage: Coverage | None = field(default=None, compare=False)

    @property
    def macs(self) -> int | float:
        """Multiplications per sample, whether or not an operand is zero."""
        return sum(layer.macs for layer in self.layers)


def trace(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    names: Sequence[str] | None = None,
    mask_samples: int = 0,
    coverage: bool = True,
    forward: Forward | None = None,
    samples: int | None = None,
) -> Trace:
    """Run a model in evaluation mode on batches, and measure its layers.

    Parameters
    ----------
    model : nn.Module
        Model to measure. It is not changed and keeps its training mode.
    batches : iterable of Tensor, tuple or mapping
        Batches: tensors of shape (B, ...), tuples that begin with the inputs, or mappings of inputs by name.
        `gmp.example_batches` describes which parts of a batch the model is given.
    names : sequence of str, optional
        Names of layers or modules to measure, each of which has to run; by default all layers.
    mask_samples : int, default 0
        Number of samples whose inputs are kept as masks, together with masks of the weights; 0 keeps no
        masks.
    coverage : bool, default True
        Whether to count parameters and operations that belong to no layer too.
    forward : callable, optional
        Called as ``forward(model, batch)`` in place of the model, for batches of any other kind.
    samples : int, optional
        Number of samples of a batch, where the first axis of its first tensor does not tell it.

    Returns
    -------
    Trace
        One row for each layer.

    Raises
    ------
    TraceError
        If a name is unknown, if there is no batch or one that does not fit the model, if a layer in `names`
        did not run, if the model multiplies nothing, or if a number is not finite.

    Warns
    -----
    CoverageWarning
        If a large part of the network is in no layer, apart from layers that `names` leaves out
        (see `gmp.network_coverage`).

    Notes
    -----
    A layer is one product of a parameter, or of a part of it, and inputs, or of two activations, as in
    attention. It has the name of its module, and of its parameter if that is not called `weight`; a product
    of two activations has the name of the module that runs it. A layer that also runs with other shapes, or
    with another part of its weights, has one row for each: NAME, NAME.part2, and so on. The output density is
    that of the tensor that reaches memory, after the batch norm, activation and dropout that follow element
    by element.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from gmp.tracing.trace import trace
    >>> model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> traced = trace(model, [torch.ones(3, 8)])
    >>> [(layer.name, layer.macs) for layer in traced.layers]
    [('0', 32), ('2', 8)]
    >>> traced.samples
    3
    """
    if isinstance(batches, Tensor | Mapping):
        kind = "tensor" if isinstance(batches, Tensor) else type(batches).__name__
        raise TraceError(f"batches must be a list or loader of batches, got one {kind}")
    if isinstance(batches, tuple):  # a tuple may be one batch of several inputs
        batches = batches_of(model, batches)
    with one_trace_at_a_time:
        recorder, count = _recorded(model, batches, names, mask_samples, forward, samples)
    rows = tuple(_rows(recorder, count))
    _check_ran(model, rows, names, recorder.unclear)
    found = Trace(rows, count, _coverage(model, recorder, rows, count) if coverage else None)
    if found.coverage is not None:
        found.coverage.warn()
    return found


def _recorded(
    model: nn.Module, batches: Iterable[Any], names: Sequence[str] | None, mask_samples: int,
    forward: Forward | None, samples: int | None,
) -> tuple[Recorder, int]:  # fmt: skip
    """Return the recorder after all batches, and the number of their samples."""
    _check(model, names)
    recorder, count = Recorder(model, names, mask_samples), 0
    training = {module: module.training for module in model.modules()}
    try:
        with ExitStack() as stack, torch.no_grad():
            stack.enter_context(plain_kernels())
            for handle in recorder.hooks(model):
                stack.callback(handle.remove)
            with suppress(NotImplementedError):  # exported programs keep the mode in which they were exported
                model.eval()
            for batch in batches:
                each, axis = samples_of(model, batch, forward, samples)
                with recorder.watching(each, axis):
                    run(model, batch, forward, during="the trace")
                count += each
    finally:
        for module, mode in training.items():
            module.training = mode
    if not count:
        raise TraceError("batches is empty; at least one sample is needed")
    return recorder, count


def _check(model: nn.Module, names: Sequence[str] | None) -> None:
    """Check that all parameters have a shape, and that names are those of parameters, modules or layers."""
    for name, parameter in named_parameters(model).items():
        if nn.parameter.is_lazy(parameter):
            layer = name.removesuffix(".weight")
            raise TraceError(f"layer {layer} has no shape yet; run one batch through the model first")
    if names is None:
        return
    if isinstance(names, str) or not len(names):
        raise TraceError(f"names must be a list of names of layers, got {names!r}")
    parameters = named_parameters(model)
    layers = [name.removesuffix(".weight") for name, parameter in parameters.items() if parameter.dim() > 1]
    known = {*layers, *parameters, *dict(named_modules(model)), type(model).__name__}
    for name in names:
        if name not in known:
            raise TraceError(f"{type(model).__name__} has no layer '{name}'", hint=near(name, layers))


def _check_ran(
    model: nn.Module, rows: Sequence[LayerTrace], names: Sequence[str] | None, unclear: set[str]
) -> None:
    if not rows and names is None and not unclear:
        raise TraceError(f"{type(model).__name__} has no layers: no product of two tensors was seen")
    for name in names or ():
        if not any(name in (row.module, re.sub(r"\.part[0-9]+$", "", row.name)) for row in rows):
            raise TraceError(f"layer {name} did not run (leave it out of names)")


def _rows(recorder: Recorder, samples: int) -> Iterable[LayerTrace]:
    """Yield a row for each computation, grouped by layer, with the first computation of its module first."""
    ran: dict[str, list[tuple[Computation, bool, Tally]]] = {}
    for (name, computation, as_module, _), tally in recorder.tallies.items():
        ran.setdefault(name, []).append((computation, as_module, tally))
    for name, parts in ran.items():
        parts.sort(key=lambda part: part[2].view is not None and not part[1])
        for i, (computation, tally) in enumerate(_joined(parts, samples), start=1):
            masks = tally.input_masks if tally.runs == samples else []
            yield LayerTrace(
                name=name if i == 1 else f"{name}.part{i}",
                module=tally.module,
                computation=computation,
                calls=whole(tally.runs / samples),
                weights=tally.weights,
                weight_density=tally.operands.measured().mean,
                inputs=tally.inputs.measured(),
                outputs=tally.outputs.measured(),
                of_activations=tally.view is None,
                view=tally.view,
                kernel_map=None if tally.kernel_map is None else _per_sample(tally.kernel_map, samples),
                input_densities=tuple(tally.inputs.values),
                output_densities=tuple(tally.outputs.values),
                weight_mask=tally.weight_mask,
                input_mask=np.concatenate(masks) if masks else None,
            )


def _per_sample(total: KernelMapCounts, samples: int) -> KernelMapCounts:
    pairs = tuple(whole(count / samples) for count in total.pairs)
    inputs, outputs = (whole(count / samples) for count in (total.inputs, total.outputs))
    return total._replace(inputs=inputs, outputs=outputs, pairs=pairs)


def _joined(
    parts: Sequence[tuple[Computation, bool, Tally]], samples: int
) -> Iterable[tuple[Computation, Tally]]:
    """Combine products with the same weights whose numbers of rows differ between batches to products of one
    row.
    """
    done: set[int] = set()
    for computation, _, tally in parts:
        if id(tally) in done:
            continue
        alike = [
            other for other in parts
            if other[2].view == tally.view and other[0]._replace(out=()) == computation._replace(out=())
        ]  # fmt: skip
        whole = all(other.runs % samples == 0 for _, _, other in alike)
        if len(alike) == 1 or whole or tally.view is None or math.prod(computation.window) > 1:
            yield computation, tally
            continue
        for shape, _, other in alike:
            done.add(id(other))
            other.runs *= math.prod(shape.out)
            if other is not tally:
                tally.join(other)
        yield computation._replace(out=(1,) * len(computation.out)), tally


def _coverage(model: nn.Module, recorder: Recorder, rows: Sequence[LayerTrace], samples: int) -> Coverage:
    """Return the coverage: parameters of layers are covered, and those that were looked up or added without a
    product.
    """
    parameters = {names[0]: parameter for parameter, names in names_by_parameter(model).items()}
    measured = {row.view.parameter for row in rows if row.view is not None}
    measured |= {name for name in parameters if public_name(name) in measured}
    rest: dict[str, int | float | None] = {
        name: whole(Fraction(macs) / samples) for name, macs in recorder.left_out.items()
    }
    covered, idle, unclear = [], set[str](), recorder.unclear
    for name, parameter in parameters.items():
        module = name.rpartition(".")[0]
        if name not in recorder.origins.used and parameter.dim() > 1:
            idle.add(module)
        elif name in measured or (parameter.dim() > 1 and module not in rest and module not in unclear):
            covered.append(parameter)
    rest = dict.fromkeys(unclear) | dict.fromkeys(idle, 0) | rest
    left_out = set[int]() if recorder.wanted is None else {id(p) for p in parameters.values()}
    macs = sum(row.macs for row in rows)
    return coverage_of(model, covered, "measured", left_out=left_out, covered_macs=macs, macs=rest)
