"""Sees every torch function while a network runs, and counts what its layers read and write."""

import math
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from gmp.errors import TraceError
from gmp.tracing.uncounted_macs import Uncounted, tensors_of

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)

# Functions by name, without leading and trailing underscores: F.relu, torch.relu, x.relu_() are all "relu".
_PRODUCTS = {"linear": 0, "conv1d": 1, "conv2d": 2, "conv3d": 3}  # and their windowed axes
_ELEMENTWISE = {
    "abs", "add", "addcdiv", "addcmul", "alpha_dropout", "batch_norm", "bfloat16", "ceil", "celu",
    "clamp", "clamp_max", "clamp_min", "clip", "div", "double", "dropout", "dropout1d", "dropout2d",
    "dropout3d", "elu", "erf", "exp", "feature_alpha_dropout", "feature_dropout", "float", "floor",
    "gelu", "half", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "iadd", "imul", "isub",
    "itruediv", "leaky_relu", "lerp", "log_sigmoid", "masked_fill", "max", "maximum", "min", "minimum",
    "mish", "mul", "nan_to_num", "neg", "pow", "prelu", "radd", "rdiv", "relu", "relu6", "rmul",
    "round", "rpow", "rrelu", "rsub", "selu", "setitem", "sigmoid", "sign", "silu", "softplus",
    "softshrink", "softsign", "sqrt", "square", "sub", "tanh", "tanhshrink", "threshold", "to",
    "truediv", "trunc", "type", "type_as", "where",
}  # fmt: skip
_CHOICES = ("masked_fill", "setitem", "where")  # not followed where they put infinities: softmax reads those
_SAME_VALUES = {
    "clone", "contiguous", "cpu", "cuda", "detach", "expand", "expand_as", "flatten", "getitem",
    "movedim", "permute", "requires_grad", "reshape", "reshape_as", "squeeze", "swapaxes", "transpose",
    "unflatten", "unsqueeze", "view", "view_as",
}  # fmt: skip
_ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")


class Computation(NamedTuple):
    """One product for one sample. Tuples have the axes (height, width), or (depth, height, width).

    A `Linear` on (B, S, K, C) is a 1x1 convolution of height K and width S: P = K, Q = S.
    """

    C: int
    M: int
    out: tuple[int, ...]
    window: tuple[int, ...] = (1, 1)
    stride: tuple[int, ...] = (1, 1)
    dilation: tuple[int, ...] = (1, 1)
    padding: tuple[int, ...] = (0, 0)  # before the first element
    groups: int = 1

    @property
    def macs(self) -> int:
        """Multiplications, whether or not an operand is zero."""
        return self.M * (self.C // self.groups) * math.prod(self.window) * math.prod(self.out)


class WeightView(NamedTuple):
    """The weights of one product: all of `layer`, or the part at (size, stride, offset) in storage."""

    layer: str
    part: tuple[tuple[int, ...], tuple[int, ...], int] | None

    def of(self, tensor: Tensor) -> Tensor:
        """The same part of a tensor that is laid out like the layer's weight, say its mask."""
        if self.part is None:
            return tensor
        size, stride, offset = self.part
        return tensor.as_strided(size, stride, tensor.storage_offset() + offset)


class _Counts(NamedTuple):
    """Nonzeros of each sample of a tensor."""

    nonzeros: list[int]
    size: int  # elements of one sample

    def densities(self) -> list[float]:
        return [count / self.size for count in self.nonzeros]


class Tally:
    """Sums over all calls of one computation of one layer."""

    def __init__(self, layer: str, weight: Tensor, as_module: bool, view: WeightView) -> None:
        if not torch.isfinite(weight).all():
            raise TraceError(f"layer {layer}: weights that are not finite")
        self.layer, self.view = layer, view
        self.weights = weight.numel()
        self.weight_density = int(torch.count_nonzero(weight)) / max(self.weights, 1)
        self.as_module = as_module
        self.inputs: list[float] = []
        self.outputs: list[float] = []
        self.weight_mask: NDArray[np.bool_] | None = None
        self.input_masks: list[NDArray[np.bool_]] = []

    def keep_masks(
        self, shape: Computation, weight: Tensor, inputs: Tensor, batch: int, samples: int
    ) -> None:
        """Of the weights, and of inputs until `samples` are there, with the axes of a convolution."""
        if self.weight_mask is None:
            self.weight_mask = (weight != 0).reshape(*weight.shape[:2], *shape.window).cpu().numpy()
        missing = samples - sum(map(len, self.input_masks))
        if missing > 0:
            mask = _by_sample(inputs, batch)[:missing] != 0
            if weight.dim() == 2:  # (n, Q, P, C) -> (n, C, P, Q)
                mask = mask.reshape(len(mask), *reversed(shape.out), shape.C).transpose(1, 3)
            else:
                mask = mask.reshape(len(mask), shape.C, *inputs.shape[2:], *shape.window[inputs.dim() - 2 :])
            self.input_masks.append(mask.cpu().numpy())


class _Call:
    """Call `number`: what is known of the tensor that its output becomes on the way to memory."""

    def __init__(self, number: int, tally: Tally, counts: _Counts) -> None:
        self.number, self.tally, self.counts = number, tally, counts
        self.in_memory = False

    def follow(self, counts: _Counts) -> None:
        if not self.in_memory:
            self.counts = counts

    def store(self, counts: _Counts) -> None:
        """A reader that is not elementwise takes the tensor with these counts from memory."""
        self.follow(counts)
        self.in_memory = True


class _Value(NamedTuple):
    """A tensor that a call's output has become."""

    call: _Call
    counts: _Counts


class Recorder(TorchFunctionMode):
    """Sees every torch function: notes products, and follows their results until they reach memory."""

    def __init__(
        self, model: nn.Module, wanted: Sequence[str], mask_samples: int, *, coverage: bool = True
    ) -> None:
        super().__init__()
        self.mask_samples = mask_samples
        self.thread = threading.get_ident()  # functions are seen in this thread only, hooks run in all
        self.batch = 0
        self.tallies: dict[tuple[Computation, bool, WeightView], Tally] = {}
        self.running: list[str | None] = []  # None: a layer that is not wanted
        self.calls: list[_Call] = []
        self.values: Any = WeakTensorKeyDictionary()  # of tensors that are still alive
        self.modules = {name: model.get_submodule(name) for name in wanted}
        self.counted = 0  # samples of which what belongs to no layer was counted: those of the first batch
        self.uncounted: Uncounted | None = None
        if coverage:
            self.uncounted = Uncounted(model, self.modules.values(), _ELEMENTWISE | _SAME_VALUES)
        # functions on a layer's weights, or on a slice of them, belong to the layer
        self.owners = {
            module.weight.untyped_storage().data_ptr(): name
            for name, module in self.modules.items()
            if isinstance(module.weight, Tensor)
        }

    def hooks(self, model: nn.Module) -> Iterable[Any]:
        names = {module: name for name, module in self.modules.items()}
        for module in model.modules():
            if isinstance(module, LAYERS):
                yield module.register_forward_pre_hook(self._enter(names.get(module)))
                yield module.register_forward_hook(self._leave, always_call=True)
        if self.uncounted is not None:
            yield from self.uncounted.hooks(model)

    def _enter(self, name: str | None) -> Callable[..., None]:
        def enter(*_: Any) -> None:
            if threading.get_ident() == self.thread:
                self.running.append(name)

        return enter

    def _leave(self, *_: Any) -> None:
        if threading.get_ident() == self.thread:
            self.running.pop()

    def begin(self, batch: int) -> None:
        if not batch:
            raise TraceError("a batch is empty, at least one sample is needed")
        self.batch = batch

    def finish(self) -> None:
        self.counted = self.counted or self.batch
        for call in self.calls:
            call.tally.outputs += call.counts.densities()
        self.calls.clear()
        self.values.clear()

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "").strip("_")
        given = dict(zip(_ARGUMENTS, args, strict=False)) | kwargs if name in _PRODUCTS else {}
        owner = self._owner(given["weight"]) if given else None
        if owner is None and self.uncounted is not None and not self.counted:
            result = self.uncounted.run(name, func, args, kwargs)
        else:
            result = func(*args, **kwargs)
        self._follow(name, args, kwargs, args[0] if name == "setitem" else result)
        if owner is not None:
            self._product(name, owner, given, result)
        return result

    def _owner(self, weight: Tensor) -> str | None:
        """The layer that a product with `weight` belongs to."""
        return self.running[-1] if self.running else self.owners.get(weight.untyped_storage().data_ptr())

    def _product(self, kind: str, owner: str, given: dict[str, Any], result: Tensor) -> None:
        inputs, weight = given["input"], given["weight"]
        computation = _computation(owner, kind, given, result, self.batch)
        view = _view(owner, weight, self.modules[owner].weight)
        key = (computation, bool(self.running), view)
        tally = self.tallies.get(key)
        if tally is None:
            tally = self.tallies[key] = Tally(owner, weight, bool(self.running), view)
        if self.mask_samples:
            tally.keep_masks(computation, weight, inputs, self.batch, self.mask_samples)
        tally.inputs += self._count(inputs, owner, "inputs").densities()
        call = _Call(len(self.calls), tally, self._count(result, owner, "outputs"))
        self.calls.append(call)
        self.values[result] = _Value(call, call.counts)

    def _follow(self, name: str, args: Sequence[Any], kwargs: dict[str, Any], result: Any) -> None:
        """Results of elementwise functions take the place of what they were made of.

        Where outputs of several calls meet, the last one can become the result before it is written; the
        others had to wait in memory.
        """
        parents = [t for t in tensors_of([*args, *kwargs.values()]) if t in self.values]
        if not parents or not any(t.is_floating_point() for t in tensors_of([result])):
            return  # sizes, comparisons and the like read nothing
        if name.endswith("_like") or name.startswith("new_"):
            return
        values: list[_Value] = [self.values[parent] for parent in parents]
        becomes = [isinstance(result, Tensor) and _becomes(name, t, result, self.batch) for t in parents]
        followed = [value for value, same in zip(values, becomes, strict=True) if same]
        last = max(followed, key=lambda value: value.call.number, default=None)
        for value, same in zip(values, becomes, strict=True):
            if not same or (last and value.call is not last.call):
                value.call.store(value.counts)
        if last:
            counts = last.counts
            if name in _ELEMENTWISE:
                counts = self._count(result, last.call.tally.layer, "outputs")
            last.call.follow(counts)
            self.values[result] = _Value(last.call, counts)

    def _count(self, tensor: Tensor, layer: str, what: str) -> _Counts:
        low, high = torch.aminmax(tensor)
        if not (math.isfinite(low) and math.isfinite(high)):
            raise TraceError(f"layer {layer}: {what} that are not finite")
        # numpy counts booleans seven times as fast as torch, on the CPU
        nonzeros = [int(np.count_nonzero((one != 0).cpu())) for one in _by_sample(tensor, self.batch)]
        return _Counts(nonzeros, tensor.numel() // self.batch)


def _view(layer: str, used: Tensor, whole: Tensor | nn.Module) -> WeightView:
    """All of the weights if they are used as they are, or were computed from others."""
    assert isinstance(whole, Tensor)
    if used is whole or used.untyped_storage().data_ptr() != whole.untyped_storage().data_ptr():
        return WeightView(layer, None)
    offset = int(used.storage_offset() - whole.storage_offset())
    return WeightView(layer, (tuple(used.shape), used.stride(), offset))


def _computation(owner: str, kind: str, given: dict[str, Any], result: Tensor, batch: int) -> Computation:
    inputs, weight = given["input"], given["weight"]
    seen = tuple(inputs.shape)
    axes = _PRODUCTS[kind]
    if inputs.dim() < 2 or (axes and inputs.dim() != axes + 2) or seen[0] % batch:
        raise TraceError(f"layer {owner}: inputs of shape {seen}, the first axis must hold {batch} samples")
    if not axes:
        *outer, inner = (seen[0] // batch, *seen[1:-1])
        return Computation(C=weight.shape[1], M=weight.shape[0], out=(inner, math.prod(outer)))
    if seen[0] != batch:
        raise TraceError(f"layer {owner}: inputs of shape {seen} are not {batch} samples")
    groups = given.get("groups", 1)
    flat = (1,) if axes == 1 else ()  # a row of points is an image of width 1
    window = tuple(weight.shape[2:])
    stride = _each(given.get("stride", 1), axes)
    dilation = _each(given.get("dilation", 1), axes)
    padding = given.get("padding", 0)
    if padding == "same":
        padding = tuple(d * (w - 1) // 2 for d, w in zip(dilation, window, strict=True))
    padding = _each(0 if padding == "valid" else padding, axes)
    return Computation(
        C=weight.shape[1] * groups, M=weight.shape[0], out=tuple(result.shape[2:]) + flat,
        window=window + flat, stride=stride + flat, dilation=dilation + flat,
        padding=padding + (0,) * len(flat), groups=groups,
    )  # fmt: skip


def _each(value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * axes if len(values) == 1 else values


def _becomes(name: str, parent: Tensor, result: Tensor, batch: int) -> bool:
    """Whether each element of `result` is made of the same element of `parent`, sample by sample."""
    if result.numel() != parent.numel() or not result.dim() or result.shape[0] % batch:
        return False
    if name in _SAME_VALUES:
        same = result.untyped_storage().data_ptr() == parent.untyped_storage().data_ptr()
        first_stays = result.shape[0] == parent.shape[0] and result.stride(0) == parent.stride(0)
        moves = name in ("permute", "transpose", "movedim", "swapaxes")
        return (same or name != "getitem") and (first_stays or not moves)
    if name == "setitem" and parent is not result:
        return False
    return name in _ELEMENTWISE and (name not in _CHOICES or bool(result.isfinite().all()))


def _by_sample(tensor: Tensor, batch: int) -> Tensor:
    """(batch, rest of the first axis, ...): a view, also of tensors that are not contiguous."""
    return tensor.view(batch, -1, *tensor.shape[1:])
