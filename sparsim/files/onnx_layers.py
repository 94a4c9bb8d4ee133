"""Layers of an ONNX graph: the products that its nodes compute, and how often per sample.

A layer is named after its weight, without a last `.weight`, where the file kept the name that the weight has
in the network; else after the module that the name of the node tells (`/layer1/conv/Conv` is `layer1.conv`).
Weights that several nodes use have a layer for each: NAME, NAME.part2, ...
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from sparsim.errors import FormatError, SpecError
from sparsim.fileio.reading import reading
from sparsim.files.onnx_model import OnnxModel
from sparsim.files.onnx_shapes import STANDARD, Array, Shape
from sparsim.files.traced_layers import Computation, TracedLayer, whole

UNCLEAR = frozenset({"If", "LinearAttention", "Loop", "Scan", "SequenceMap"})
"""Standard operations that may multiply inside, in a way that is not counted."""
ELEMENTWISE = frozenset({
    "Add", "BatchNormalization", "Celu", "Clip", "Div", "Dropout", "Elu", "Gelu", "HardSigmoid", "HardSwish",
    "Identity", "LeakyRelu", "Mish", "Mul", "PRelu", "Relu", "Selu", "Sigmoid", "Softplus", "Softsign", "Sub",
    "Swish", "Tanh", "ThresholdedRelu",
})  # fmt: skip
"""Operations after a layer that are done element by element on its way to memory."""
RESHAPING = frozenset({"Flatten", "Reshape", "Squeeze", "Unsqueeze"})
QUANTIZED = {
    "ConvInteger": (0, 1, 3), "MatMulInteger": (0, 1, 3),
    "QLinearConv": (0, 3, 5), "QLinearMatMul": (0, 3, 5),
}  # fmt: skip
"""Places of the inputs, the weights and their zero point."""


@dataclass
class OnnxProduct:
    """One product of a node. `weight` is None where both operands are activations.

    `inputs`, `operand` (of activations) and `outputs` are the tensors whose zeros are the layer's, "" for
    those that stay inside of the node; `of` is what of the weight is meant.
    """

    node: Any
    computation: Computation
    runs: int
    inputs: str
    outputs: str
    weight: str | None
    zero: str = ""
    part: str = ""
    operand: str = ""
    of: Callable[[Array], Array] = field(default=lambda array: array)


@dataclass(frozen=True)
class OnnxLayers:
    """Layers, and for each the names of the tensors of inputs, of a second operand that is not a weight, and
    of outputs, "" if there is none. `gaps` are nodes whose products are not counted.
    """

    layers: tuple[TracedLayer, ...]
    tensors: tuple[tuple[str, str, str], ...]
    gaps: tuple[str, ...]


def layers_of(model: OnnxModel) -> OnnxLayers:
    """All products of the graph. Raises SpecError where there is none, or a shape is not known."""
    with reading(model.path, "an ONNX file", FormatError):
        return _layers_of(model)


def _layers_of(model: OnnxModel) -> OnnxLayers:
    products: list[OnnxProduct] = []
    gaps: list[str] = []
    for node in model.nodes:
        try:
            products.extend(_products(model, node))
        except _NotCountedError as error:
            gaps.append(f"{node.name or node.output[0]} ({node.op_type}: {error})")
    if not products:
        raise SpecError("has no product of matrices and no convolution", path=str(model.path))
    layers, used = [], dict[str, int]()
    for product in products:
        name, shape = _name(model, product), product.computation
        weights, density, unclear = shape.M * shape.C // shape.groups, None, ""
        if product.weight is not None:
            weights, density, unclear = _weights(model, product)
            gaps += [f"{name} (its zeros: {unclear})"] if unclear else []
        used[name] = used.get(name, 0) + 1
        name = name if used[name] == 1 else f"{name}.part{used[name]}"
        calls = whole(Fraction(product.runs, model.batch))
        layers.append(
            TracedLayer(
                name=name, computation=shape, calls=calls, weights=weights, weight_density=density,
                of_activations=product.weight is None,
            )
        )  # fmt: skip
    tensors = tuple((p.inputs, p.operand, _at_rest(model, p.outputs)) for p in products)
    return OnnxLayers(tuple(layers), tensors, tuple(gaps))


class _NotCountedError(Exception):
    """The products of a node are not counted; the message says why."""


def _products(model: OnnxModel, node: Any) -> Iterator[OnnxProduct]:
    if all(name in model.constants for name in filter(None, node.input)):
        return
    if node.domain not in STANDARD:
        raise _NotCountedError(f"an operation of {node.domain}")
    if node.op_type in ("Conv", "ConvInteger", "QLinearConv"):
        yield _convolution(model, node)
    elif node.op_type == "ConvTranspose":
        yield _transposed_convolution(model, node)
    elif node.op_type in ("Gemm", "MatMul", "MatMulInteger", "QLinearMatMul"):
        yield _matrices(model, node)
    elif node.op_type == "Einsum" and len(node.input) > 1:
        yield _einsum(model, node)
    elif node.op_type == "Attention":
        yield from _attention(model, node)
    elif node.op_type in ("GRU", "LSTM", "RNN"):
        yield from _recurrent(model, node)
    elif node.op_type in UNCLEAR:
        raise _NotCountedError("may multiply inside")


def _shape(model: OnnxModel, name: str) -> Shape:
    if name not in model.shapes:
        raise SpecError(
            f"the shape of '{name}' is known only when the network runs",
            path=str(model.path), hint="give --input NAME=SHAPE or --inputs FILE.npz",
        )  # fmt: skip
    return model.shapes[name]


def _attributes(node: Any) -> dict[str, Any]:
    import onnx

    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def _operands(node: Any) -> tuple[str, str, str]:
    """Return the tensors of inputs and weights, and of the zero point of the weights."""
    x, w, zero = QUANTIZED.get(node.op_type, (0, 1, -1))
    return node.input[x], node.input[w], node.input[zero] if 0 <= zero < len(node.input) else ""


def _rows(C: int, M: int, rows: int, batch: int, groups: int = 1) -> tuple[Computation, int]:
    """Return a matrix product with so many rows, and its runs: one per sample, or one per row if rows do not
    belong to samples evenly.
    """
    even = rows > 0 and rows % batch == 0
    return Computation(C, M, (rows // batch if even else 1, 1), groups=groups), batch if even else rows


def _convolution(model: OnnxModel, node: Any) -> OnnxProduct:
    x, w, zero = _operands(node)
    if w not in model.constants:
        raise _NotCountedError("its weights are computed")
    given, weights, out = _attributes(node), _shape(model, w), _shape(model, node.output[0])
    axes = len(weights) - 2
    flat = (1,) * (axes == 1)  # a row of points is an image of width 1
    ones = [1] * axes
    groups = given.get("group", 1)
    computation = Computation(
        C=weights[1] * groups, M=weights[0], out=out[2:] + flat, window=weights[2:] + flat,
        stride=tuple(given.get("strides") or ones) + flat,
        dilation=tuple(given.get("dilations") or ones) + flat, groups=groups,
    )  # fmt: skip
    return OnnxProduct(node, computation, out[0], x, node.output[0], w, zero)


def _transposed_convolution(model: OnnxModel, node: Any) -> OnnxProduct:
    """Return a 1x1 convolution whose outputs are added where windows overlap, without products with inserted
    zeros.
    """
    x, w, zero = _operands(node)
    if w not in model.constants:
        raise _NotCountedError("its weights are computed")
    weights, shape = _shape(model, w), _shape(model, x)
    groups = _attributes(node).get("group", 1)
    ones = (1,) * max(len(weights) - 2, 2)
    computation = Computation(
        C=weights[0], M=groups * math.prod(weights[1:]), out=shape[2:] + (1,) * (len(weights) == 3),
        window=ones, stride=ones, dilation=ones, groups=groups,
    )  # fmt: skip
    return OnnxProduct(node, computation, shape[0], x, node.output[0], w, zero)


def _matrices(model: OnnxModel, node: Any) -> OnnxProduct:
    """`MatMul` and `Gemm`: (..., rows, C) by (..., C, M)."""
    a, b, zero = _operands(node)
    left, right = _shape(model, a), _shape(model, b)
    given = _attributes(node)
    left = left[::-1] if given.get("transA") else (1, *left) if len(left) == 1 else left
    right = right[::-1] if given.get("transB") else (*right, 1) if len(right) == 1 else right
    out, batch = node.output[0], model.batch
    if b in model.constants and math.prod(right[:-2]) == 1:
        return OnnxProduct(node, *_linear(left, right[-1], batch), a, out, b, zero)
    if a in model.constants and math.prod(left[:-2]) == 1:
        rows = math.prod(right) // right[-2]
        return OnnxProduct(node, *_rows(right[-2], left[-2], rows, batch), b, out, a, zero)
    outer = np.broadcast_shapes(left[:-2], right[:-2])
    x, w = (b, a) if a in model.constants else (a, b)
    C, M, rows = left[-1], right[-1], left[-2]
    if x == b:
        M, rows = rows, M
    if w in model.constants:
        groups = math.prod(_shape(model, w)[:-2])
        computation, runs = _rows(groups * C, groups * M, rows * math.prod(outer) // groups, batch, groups)
        return OnnxProduct(node, computation, runs, x, out, w, zero)
    return OnnxProduct(node, *_of_activations(math.prod(outer), rows, C, M, batch), a, out, None, operand=b)


def _linear(left: Shape, M: int, batch: int) -> tuple[Computation, int]:
    """(B, ..., C) by (C, M): the last axis of rows is the height, those before it the width."""
    if left[0] % batch:
        return _rows(left[-1], M, math.prod(left[:-1]), batch)
    *outer, inner = (left[0] // batch, *left[1:-1])
    return Computation(left[-1], M, (inner, math.prod(outer))), batch


def _of_activations(matrices: int, rows: int, C: int, M: int, batch: int) -> tuple[Computation, int]:
    """(B, rows, C) by (B, C, M), where B are samples and groups of each, such as heads."""
    if matrices % batch:
        return Computation(C, M, (rows, 1)), matrices
    groups = matrices // batch
    return Computation(groups * C, groups * M, (rows, 1), groups=groups), batch


def _einsum(model: OnnxModel, node: Any) -> OnnxProduct:
    equation = _attributes(node)["equation"].decode().replace(" ", "")
    operands, _, result = equation.partition("->")
    labels = operands.split(",")
    if len(labels) != 2 or "." in equation or any(len(set(text)) != len(text) for text in labels):
        raise _NotCountedError(f"the equation {equation}")
    if "->" not in equation:
        result = "".join(sorted(label for label in set(operands) - {","} if operands.count(label) == 1))
    (a, left), (b, right) = zip(node.input, labels, strict=True)
    if a in model.constants:
        (a, left), (b, right) = (b, right), (a, left)
    sizes = dict(zip(left + right, _shape(model, a) + _shape(model, b), strict=True))
    if any(label not in result and (label in left) != (label in right) for label in sizes):
        raise _NotCountedError(f"the equation {equation} sums over an axis of one operand")

    def size(keep: Callable[[str], bool]) -> int:
        return math.prod(size for label, size in sizes.items() if keep(label))

    groups = size(lambda i: i in left and i in right and i in result)
    C, rows = size(lambda i: i not in result), size(lambda i: i not in right)
    M, out = size(lambda i: i not in left), node.output[0]
    if b not in model.constants:
        return OnnxProduct(node, *_of_activations(groups, rows, C, M, model.batch), a, out, None, operand=b)
    return OnnxProduct(node, *_rows(groups * C, groups * M, rows, model.batch, groups), a, out, b)


def _attention(model: OnnxModel, node: Any) -> Iterator[OnnxProduct]:
    """Queries by keys, and what becomes of these by values; heads share keys and values in groups."""
    if any(node.input[4:6]):
        raise _NotCountedError("with keys of the past")
    given, (q, k, v) = _attributes(node), node.input[:3]
    heads = given.get("q_num_heads"), given.get("kv_num_heads")

    def split(name: str, count: int | None) -> Shape:
        shape = _shape(model, name)
        return shape if count is None else (shape[0], count, shape[1], shape[2] // count)

    batch, groups, rows, size = split(q, heads[0])
    keys, width, out = split(k, heads[1])[2], split(v, heads[1])[3], node.output[0]
    of_scores = _of_activations(batch * groups, rows, size, keys, model.batch)
    yield OnnxProduct(node, *of_scores, q, "", None, operand=k, part="scores")
    of_values = _of_activations(batch * groups, rows, keys, width, model.batch)
    yield OnnxProduct(node, *of_values, "", out, None, operand=v, part="values")


def _recurrent(model: OnnxModel, node: Any) -> Iterator[OnnxProduct]:
    """W of all steps, and R of each, for every direction."""
    x, w, r = node.input[:3]
    if w not in model.constants or r not in model.constants:
        raise _NotCountedError("its weights are computed")
    rows = math.prod(_shape(model, x)[:2])
    hidden = next(filter(None, node.output))
    for direction in range(_shape(model, w)[0]):
        for weight, inputs, part in ((w, x, "W"), (r, hidden, "R")):
            _, M, C = _shape(model, weight)
            yield OnnxProduct(
                node, *_rows(C, M, rows, model.batch), inputs, hidden, weight,
                part=part + (".reverse" if direction else ""),
                of=lambda array, direction=direction: array[direction],  # type: ignore[misc]
            )  # fmt: skip


def _weights(model: OnnxModel, product: OnnxProduct) -> tuple[int, float | None, str]:
    """Return the numbers of elements and nonzeros of a weight, and why the latter is unknown."""
    assert product.weight is not None
    value = model.value(product.weight)
    if value is None:
        made = model.producers[product.weight].op_type
        return math.prod(_shape(model, product.weight)), None, f"the weight is made by {made}"
    zero = model.value(product.zero) if product.zero in model.constants else None
    value = product.of(value)
    if zero is not None:  # one, or one for each row or column
        along = value.shape.index(zero.size) if zero.size > 1 and zero.size in value.shape else 0
        shape = [1] * value.ndim
        shape[along if zero.size > 1 else 0] = zero.size
        value = value != zero.reshape(shape)
    return value.size, float(np.count_nonzero(value) / max(value.size, 1)), ""


def _name(model: OnnxModel, product: OnnxProduct) -> str:
    """Return the name of a layer, as described at the top of this module."""
    weight = "" if product.weight is None else model.root(product.weight)
    if weight and "::" not in weight and "." in weight:
        name = weight.removesuffix(".weight")
    else:
        name = _module(product.node.name) or weight or product.node.output[0]
    return f"{name}.{product.part}" if product.part else name


def _module(node_name: str) -> str:
    """`/layer1/layer1.0/conv1/Conv` -> `layer1.0.conv1`."""
    if not node_name.startswith("/"):
        return node_name
    path = ""
    for part in node_name.strip("/").split("/")[:-1]:
        path = part if not path or part.startswith(f"{path}.") else f"{path}.{part}"
    return path or node_name.strip("/")


def _reads_shape(node: Any) -> bool:
    return node is not None and node.op_type in ("Shape", "Size")


def _at_rest(model: OnnxModel, name: str) -> str:
    """Return the tensor that reaches memory, after elementwise nodes that are the only users of their
    input.
    """
    while True:
        readers = [reader for reader in model.consumers.get(name, []) if not _reads_shape(reader)]
        if len(readers) != 1 or readers[0] is None:
            return name
        node = readers[0]
        alone = all(part == name or part in model.constants for part in filter(None, node.input))
        before, after = model.shapes.get(name, ()), model.shapes.get(node.output[0], ())
        elementwise = node.op_type in ELEMENTWISE and alone and before == after
        reshaped = node.op_type in RESHAPING and node.input[0] == name
        if not (elementwise or reshaped) or math.prod(before) != math.prod(after):
            return name
        name = node.output[0]
