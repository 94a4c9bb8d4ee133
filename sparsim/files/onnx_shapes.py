"""Shapes of the tensors of an ONNX graph, as far as they can be inferred without running it.

Inference by the library comes first. Where it cannot follow, small integers that only depend on shapes are
computed, as programs do that export a network with dimensions of any size, and it is asked again.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsim.fileio.reading import bounded_memory

Array = NDArray[Any]
Shape = tuple[int, ...]

SMALL = 1024  # most elements of a constant that may be a shape
ROUNDS = 8  # most rounds of computing and inferring; each layer of a network may need one
INFERENCE_MEMORY = 2 << 30  # bytes; damaged graphs may declare any number of dimensions
STANDARD = ("", "ai.onnx")
FOLDED = frozenset({
    "Add", "Cast", "Concat", "Constant", "DequantizeLinear", "Div", "Flatten", "Gather", "Identity", "Mul",
    "Neg", "QuantizeLinear", "Reshape", "Slice", "Split", "Squeeze", "Sub", "Transpose", "Unsqueeze",
})  # fmt: skip
"""Operations on constants that are computed, such as the transposition of a weight."""
OF_SHAPES = FOLDED | {
    "And", "Ceil", "ConstantOfShape", "Equal", "Expand", "Floor", "Greater", "Less", "Max", "Min", "Mod",
    "Not", "Or", "Range", "ReduceProd", "Where",
}  # fmt: skip


def known_shapes(proto: Any) -> dict[str, Shape]:
    """Return the shapes of all tensors with known dimensions. The inputs must have sizes."""
    light = _without_large_constants(proto)
    found: dict[str, Shape] = {tensor.name: tuple(tensor.dims) for tensor in proto.graph.initializer}
    with bounded_memory(INFERENCE_MEMORY):
        for _ in range(ROUNDS):
            _infer(light, found)
            complete = all(name in found for node in light.graph.node for name in node.output if name)
            if complete or not _fold(light, found):
                break
    return found


def computed(node: Any, values: Mapping[str, Any], opsets: Any) -> Array | None:
    """Return the single output of a node for values of its inputs; None if the library cannot compute it."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    inputs = [onnx.helper.make_empty_tensor_value_info(part) for part in values]
    output = onnx.helper.make_empty_tensor_value_info(node.output[0])
    graph = onnx.helper.make_graph([node], "constant", inputs, [output])
    version = next((opset.version for opset in opsets if opset.domain in STANDARD), 1)
    if node.op_type in ("DequantizeLinear", "QuantizeLinear"):
        version = max(version, 21)  # the first equivalent version that the evaluator knows
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", version)])
    try:
        (found,) = ReferenceEvaluator(model).run([node.output[0]], dict(values))
    except Exception:  # the evaluator raises various errors for unsupported nodes
        return None
    return np.asarray(found)


def _without_large_constants(proto: Any) -> Any:
    import onnx

    light = onnx.ModelProto()
    light.CopyFrom(proto)
    del light.graph.initializer[:]
    del light.graph.value_info[:]
    given = {i.name for i in light.graph.input}
    for tensor in proto.graph.initializer:
        if math.prod(tensor.dims) <= SMALL and tensor.data_location != onnx.TensorProto.EXTERNAL:
            light.graph.initializer.append(tensor)
        elif tensor.name not in given:
            info = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            light.graph.input.append(info)
    for output in light.graph.output:  # stored sizes may be those of another batch
        output.type.tensor_type.ClearField("shape")
    return light


def _infer(light: Any, found: dict[str, Shape]) -> None:
    import onnx

    graph = onnx.shape_inference.infer_shapes(light, data_prop=True).graph
    for info in (*graph.input, *graph.value_info, *graph.output):
        kind = info.type.tensor_type
        if kind.HasField("shape") and all(dim.HasField("dim_value") for dim in kind.shape.dim):
            found.setdefault(info.name, tuple(dim.dim_value for dim in kind.shape.dim))


def _fold(light: Any, shapes: Mapping[str, Shape]) -> bool:
    """Replace nodes whose small results are known by constants. Returns whether there were any."""
    import onnx

    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in light.graph.initializer}
    kept, made = [], []
    for node in light.graph.node:
        value = _small_value(node, values, shapes, light.opset_import)
        if value is None:
            kept.append(node)
        else:
            values[node.output[0]] = value
            made.append(onnx.numpy_helper.from_array(value, node.output[0]))
    del light.graph.node[:]
    light.graph.node.extend(kept)
    light.graph.initializer.extend(made)
    return bool(made)


def _small_value(
    node: Any, values: Mapping[str, Array], shapes: Mapping[str, Shape], opsets: Any
) -> Array | None:
    if len(node.output) != 1 or node.domain not in STANDARD:
        return None
    if node.op_type == "Shape":
        ends = {attribute.name: attribute.i for attribute in node.attribute}
        shape = shapes.get(node.input[0])
        return (
            None if shape is None else np.array(shape[slice(ends.get("start", 0), ends.get("end"))], np.int64)
        )
    names = list(filter(None, node.input))
    if node.op_type not in OF_SHAPES or not all(name in values for name in names):
        return None
    given = {name: values[name] for name in names}
    if not _is_small(node.op_type, list(given.values())):
        return None
    value = computed(node, given, opsets)
    return value if value is not None and value.size <= SMALL else None


def _is_small(kind: str, given: list[Array]) -> bool:
    """Return whether the result will have few elements, without computing it."""
    if kind == "Range":
        begin, limit, step = (float(each) for each in given)
        return step != 0 and abs((limit - begin) / step) <= SMALL
    sizes = [each.size for each in given]
    if kind in ("ConstantOfShape", "Expand"):
        sizes.append(math.prod(int(size) for size in given[-1].ravel()))
    return math.prod(max(size, 1) for size in sizes) <= SMALL**2
