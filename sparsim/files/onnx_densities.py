"""Densities of the tensors of an ONNX graph, measured with onnxruntime on given samples."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from sparsim.errors import SpecError, near, require
from sparsim.files.onnx_layers import OnnxLayers
from sparsim.files.onnx_model import OnnxModel
from sparsim.files.onnx_shapes import Array
from sparsim.files.traced_layers import Measured, TracedLayer

TYPES = {
    "tensor(float)": "f4", "tensor(double)": "f8", "tensor(float16)": "f2", "tensor(int64)": "i8",
    "tensor(int32)": "i4", "tensor(int8)": "i1", "tensor(uint8)": "u1", "tensor(bool)": "?",
}  # fmt: skip


def samples_of(model: OnnxModel, arrays: Mapping[str, Array]) -> int:
    """How many samples `arrays`, by names of inputs, hold. Raises SpecError where they do not fit."""
    counts: dict[str, int] = {}
    for name in arrays:
        if name not in model.inputs:
            text = f"the array '{name}' belongs to no input"
            raise SpecError(text, path=str(model.path), hint=near(name, model.inputs))
    for name, shape in model.inputs.items():
        if name not in arrays:
            raise SpecError(f"there is no array for input '{name}'", path=str(model.path))
        seen = arrays[name].shape
        if not _by_sample(model, name):
            counts[name] = -1 if seen == shape else 0
        else:
            fits = len(seen) == len(shape) and seen[1:] == shape[1:] and seen[0] and not seen[0] % model.batch
            counts[name] = seen[0] if fits else 0
        if not counts[name]:
            text = f"the array for input '{name}' must have the shape {shape} of the input, got {seen}"
            raise SpecError(text, path=str(model.path))
    found = {count for count in counts.values() if count > 0}
    if len(found) > 1:
        raise SpecError(
            f"the arrays must hold the same number of samples, got {sorted(found)}", path=str(model.path)
        )
    return found.pop() if found else model.batch


def complete_shapes(model: OnnxModel, arrays: Mapping[str, Array]) -> None:
    """Add the shapes of tensors that inference could not tell, as the first samples in `arrays` have them."""
    names = {name for node in model.nodes for name in (*node.input, *node.output) if name}
    unknown = sorted(names - set(model.shapes))
    if unknown:
        found = next(_runs(model, arrays, unknown))
        model.shapes.update(
            (name, found[name].shape) for name in unknown if isinstance(found[name], np.ndarray)
        )


def _by_sample(model: OnnxModel, name: str) -> bool:
    return model.inputs[name][:1] == (model.batch,)


def measured(model: OnnxModel, found: OnnxLayers, arrays: Mapping[str, Array]) -> tuple[TracedLayer, ...]:
    """The layers with the densities of their operands and outputs over the samples in `arrays`.

    Raises SpecError where the arrays do not fit, and where a tensor has an element that is not a number.
    """
    names = list(dict.fromkeys(name for tensors in found.tensors for name in tensors if name))
    densities: dict[str, list[float]] = {name: [] for name in names}
    for tensors in _runs(model, arrays, [name for name in names if name not in model.inputs]):
        for name in names:
            densities[name] += _densities(model, name, tensors[name])
    over = {name: Measured(float(np.mean(d)), float(np.std(d))) for name, d in densities.items()}
    layers = []
    for layer, (inputs, operand, outputs) in zip(found.layers, found.tensors, strict=True):
        density = over[operand].mean if operand else layer.weight_density
        layers.append(
            replace(layer, weight_density=density, inputs=over.get(inputs), outputs=over.get(outputs))
        )
    return tuple(layers)


def _runs(model: OnnxModel, arrays: Mapping[str, Array], wanted: Sequence[str]) -> Iterator[dict[str, Array]]:
    """Yield inputs and `wanted` tensors, for as many samples at a time as the model takes."""
    runtime = require("onnxruntime", "measuring zeros of activations", "onnx")
    import onnx

    samples = samples_of(model, arrays)
    proto = model.whole()
    results = {output.name for output in proto.graph.output}
    for name in wanted:
        if name not in results:
            proto.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = runtime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        types = {given.name: given.type for given in session.get_inputs()}
        for begin in range(0, samples, model.batch):
            part = slice(begin, begin + model.batch)
            feeds = {
                name: np.ascontiguousarray(
                    arrays[name][part] if _by_sample(model, name) else arrays[name], TYPES.get(types[name])
                )
                for name in model.inputs
            }
            yield feeds | dict(zip(wanted, session.run(list(wanted), feeds), strict=True))
    except SpecError:
        raise
    except Exception as error:  # onnxruntime has a separate class for every kind of error
        reason = str(error).splitlines()[0][:200]
        raise SpecError(f"onnxruntime cannot run it: {reason}", path=str(model.path)) from error


def _densities(model: OnnxModel, name: str, tensor: Array) -> Iterable[float]:
    """Return the densities of each sample, if the samples are along the first axis."""
    if np.isnan(tensor).any():
        raise SpecError(f"'{name}' has an element that is not a number", path=str(model.path))
    split = tensor.ndim > 0 and tensor.shape[0] % model.batch == 0 and tensor.size
    rows = tensor.reshape(model.batch if split else 1, -1)
    shares = np.count_nonzero(rows, axis=1) / max(rows.shape[1], 1)
    return [float(share) for share in np.resize(shares, model.batch)]
