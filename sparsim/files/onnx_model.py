"""ONNX files: nodes, shapes and constants, read without running the network.

Weights outside of the file are read from its folder or below, nowhere else. Functions of the model are
expanded; the contents of `If`, `Loop` and `Scan` are ignored.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sparsim.errors import FormatError, SpecError, near, require
from sparsim.fileio.reading import check_size, reading, refusal
from sparsim.files.onnx_shapes import FOLDED, SMALL, STANDARD, Array, Shape, computed, known_shapes


@dataclass
class OnnxModel:
    """A graph. `shapes` are those of tensors as far as known, `batch` the first axis of the first input."""

    path: Path
    proto: Any
    shapes: dict[str, Shape]
    batch: int
    inputs: dict[str, Shape]
    _initializers: dict[str, Any]
    _values: dict[str, Array | None] = field(default_factory=dict)

    @property
    def nodes(self) -> list[Any]:
        return list(self.proto.graph.node)

    @cached_property
    def producers(self) -> dict[str, Any]:
        """{tensor: node that makes it}."""
        return {name: node for node in self.nodes for name in node.output if name}

    @cached_property
    def consumers(self) -> dict[str, list[Any]]:
        """{tensor: nodes that read it}; a result of the graph is read by None."""
        found: dict[str, list[Any]] = {}
        for node in self.nodes:
            for name in filter(None, node.input):
                found.setdefault(name, []).append(node)
        for output in self.proto.graph.output:
            found.setdefault(output.name, []).append(None)
        return found

    @cached_property
    def constants(self) -> set[str]:
        """Return the tensors that depend on no input."""
        found = set(self._initializers)
        for node in self.nodes:
            if not any(attribute.HasField("g") for attribute in node.attribute) and all(
                name in found for name in filter(None, node.input)
            ):
                found.update(filter(None, node.output))
        return found

    def root(self, name: str) -> str:
        """Return the largest initializer from which a constant is made."""
        node = self.producers.get(name)
        parts = [] if node is None else [part for part in node.input if part in self.constants]
        roots = map(self.root, parts)
        return max(roots, key=lambda part: math.prod(self.shapes.get(part, ())), default=name)

    def value(self, name: str) -> Array | None:
        """Return a constant; None if it results from operations that are not computed here."""
        if name not in self._values:
            self._values[name] = self._value(name)
        return self._values[name]

    def _value(self, name: str) -> Array | None:
        if name in self._initializers:
            return self._array(self._initializers[name])
        node = self.producers[name]
        if node.op_type not in FOLDED or node.domain not in STANDARD:
            return None
        values = {part: self.value(part) for part in filter(None, node.input)}
        if any(value is None for value in values.values()):
            return None
        held = sum(value.size for value in values.values() if value is not None)
        if node.op_type != "Constant" and math.prod(self.shapes.get(name, (1 << 62,))) > 4 * held + SMALL:
            return None
        return computed(node, values, self.proto.opset_import)

    def _array(self, tensor: Any) -> Array:
        import onnx

        with reading(self.path, "an ONNX file", FormatError):
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                tensor = _with_external_data(self.path, tensor)
            return np.asarray(onnx.numpy_helper.to_array(tensor))

    def whole(self) -> Any:
        """Return the model with all data included, for a program that runs it."""
        import onnx

        proto = onnx.ModelProto()
        proto.CopyFrom(self.proto)
        for tensor in proto.graph.initializer:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                tensor.CopyFrom(_with_external_data(self.path, tensor))
        return proto


def read_onnx(
    path: str | Path,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Shape] | None = None,
    samples: Mapping[str, Array] | None = None,
) -> OnnxModel:
    """The graph of an ONNX file, with shapes inferred from those of its inputs.

    `dims` gives sizes of dimensions by name, `shapes` those of whole inputs, `samples` those of the other
    axes of arrays of samples. A first dimension without a size is 1, a sample. Raises FormatError for a file
    that is no ONNX model or is cut off, SpecError for names that are not there and dimensions without a size.
    """
    onnx = require("onnx", f"reading {path}", "onnx")
    path = Path(path)
    with reading(path, "an ONNX file", FormatError):
        proto = onnx.load_model(path, load_external_data=False)
        if not proto.graph.node:
            raise refusal(path, "is not an ONNX model: it has no node", FormatError)
        if proto.graph.sparse_initializer:
            raise refusal(path, "has sparse initializers, which are not read", FormatError)
        if proto.functions:
            from onnx.inliner import inline_local_functions

            proto = inline_local_functions(proto)
        initializers = {tensor.name: tensor for tensor in proto.graph.initializer}
        inputs = _set_inputs(path, proto, initializers, dict(dims or {}), dict(shapes or {}), samples or {})
        known = known_shapes(proto)
        first = next(iter(inputs.values()), (1,))
        return OnnxModel(path, proto, known, first[0] if first else 1, inputs, initializers)


def _set_inputs(
    path: Path,
    proto: Any,
    initializers: Mapping[str, Any],
    dims: dict[str, int],
    shapes: dict[str, Shape],
    samples: Mapping[str, Array],
) -> dict[str, Shape]:
    """Write the sizes of all dimensions of the inputs into the model."""
    inputs = {i.name: i for i in proto.graph.input if i.name not in initializers}
    axes = {name: i.type.tensor_type.shape.dim for name, i in inputs.items()}
    _check_names(path, "input", shapes, inputs)
    _check_names(
        path, "dimension", dims, {d.dim_param: None for a in axes.values() for d in a if d.dim_param}
    )
    for name, given in inputs.items():
        if not given.type.HasField("tensor_type"):
            raise SpecError(f"input '{name}' is not a tensor", path=str(path))
        shape = shapes.get(name)
        if shape is not None and given.type.tensor_type.HasField("shape") and len(shape) != len(axes[name]):
            raise SpecError(f"input '{name}' has {len(axes[name])} axes, got {len(shape)}", path=str(path))
        if shape is not None and not given.type.tensor_type.HasField("shape"):
            for _ in shape:
                axes[name].add()
        for axis, dim in enumerate(axes[name]):
            if shape is not None:
                if dim.HasField("dim_value") and dim.dim_value != shape[axis]:
                    text = f"axis {axis} of input '{name}' must be {dim.dim_value}, got {shape[axis]}"
                    raise SpecError(text, path=str(path))
                dims.setdefault(dim.dim_param, shape[axis])
                dim.dim_value = shape[axis]
            elif dim.dim_param in dims and dim.dim_param:
                dim.dim_value = dims[dim.dim_param]
            elif axis and not dim.dim_value and name in samples and samples[name].ndim == len(axes[name]):
                dim.dim_value = samples[name].shape[axis]
            elif axis == 0 and not dim.dim_value:
                dims.setdefault(dim.dim_param, 1)
                dim.dim_value = 1
    found = {name: tuple(dim.dim_value for dim in axis) for name, axis in axes.items()}
    for name, shape in found.items():
        if 0 in shape:
            missing = [dim.dim_param or f"axis {i}" for i, dim in enumerate(axes[name]) if not dim.dim_value]
            raise SpecError(
                f"input '{name}' has no size for {', '.join(missing)}",
                path=str(path), hint=f"give --dim NAME=SIZE or --input {name}=SHAPE",
            )  # fmt: skip
    return found


def _check_names(path: Path, what: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    for name in given:
        if name not in known:
            raise SpecError(f"the model has no {what} '{name}'", path=str(path), hint=near(name, known))


def _with_external_data(path: Path, tensor: Any) -> Any:
    """Return a copy of a tensor with the data of its file, below the folder of the model."""
    import onnx

    facts = {entry.key: entry.value for entry in tensor.external_data}
    folder = path.resolve().parent
    place = (folder / facts.get("location", "")).resolve()
    if not place.is_relative_to(folder) or not place.is_file():
        raise refusal(
            path,
            f"the data of '{tensor.name}' are in '{facts.get('location')}', not in a file below its folder",
        )
    offset, size = int(facts.get("offset", 0)), place.stat().st_size
    length = int(facts.get("length", size - offset))
    check_size(path, f"the data of '{tensor.name}'", max(offset, 0) + length, size)
    with place.open("rb") as file:
        file.seek(offset)
        data = file.read(length)
    filled = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims, raw_data=data)
    return filled
