"""Recorder of all torch functions and operations while a network runs, which counts the nonzeros that
products read and write.
"""

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._ops import HigherOrderOperator
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils.weak import WeakTensorKeyDictionary

from gmp.errors import TraceError
from gmp.parameter_names import joined, named_modules
from gmp.tracing import computations
from gmp.tracing.aten_products import HIDDEN, HIDDEN_LIBRARIES, PRODUCTS, by_expert, product_of
from gmp.tracing.computations import Product, sample_axis
from gmp.tracing.declared_products import DeclaredProduct, DeclaresProducts
from gmp.tracing.function_names import (
    CHOICES,
    ELEMENTWISE,
    QUIET,
    RECURRENT,
    REWRITTEN,
    SAME_VALUES,
    TIME_FIRST,
    plain_name,
)  # fmt: skip
from gmp.tracing.nonzero_counts import Counts, Tally
from gmp.tracing.origins import Origins, Source, public_name
from gmp.tracing.weight_views import WeightView, storage_of, strided_like
from sparsim.files.traced_layers import Computation, KernelMapCounts

_WITH_WEIGHTS = {"linear", "conv1d", "conv2d", "conv3d"}  # products that are recorded as functions
_COMPILING = {"torch._dynamo", "torch.nn.attention.flex_attention"}  # modules that compile code when used
_ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")


class _Call:
    """The state of a call: the tensor that its output becomes on the way to memory."""

    def __init__(self, number: int, tally: Tally, counts: Counts) -> None:
        self.number, self.tally, self.counts = number, tally, counts
        self.in_memory = False

    def follow(self, counts: Counts) -> None:
        if not self.in_memory:
            self.counts = counts

    def store(self, counts: Counts) -> None:
        """Record that a reader that is not elementwise reads the tensor with these counts from memory."""
        self.follow(counts)
        self.in_memory = True


class _Value(NamedTuple):
    """A tensor that is derived elementwise from a call's output."""

    call: _Call
    counts: Counts


class _Operations(TorchDispatchMode):
    """A dispatch mode that passes operations to a recorder, including those inside functions and scripted
    modules.
    """

    supports_higher_order_operators = True  # such as flex_attention, which are not decomposed

    @classmethod
    def _should_skip_dynamo(cls) -> bool:  # skipping it would import the compiler, which takes two seconds
        return False

    def __init__(self, recorder: "Recorder") -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self._recorder.operation(func, args, kwargs or {}, result)
        return result


@cache
def _hidden_operations() -> type[_Operations]:
    """The operations that the compiler leaves alone; marking them imports the compiler."""

    class Hidden(_Operations):
        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            return True

        def __torch_dispatch__(self, *args: Any) -> Any:
            return super().__torch_dispatch__(*args)

    return Hidden


class Recorder(TorchFunctionMode):
    """Records products, and follows their results until they reach memory.

    wanted : names of layers or modules whose products are measured; None: all
    left_out : MACs of other products by module;  unclear : modules with operations that have no formula
    """

    def __init__(self, model: nn.Module, wanted: Sequence[str] | None, mask_samples: int) -> None:
        super().__init__()
        self.wanted, self.mask_samples = wanted, mask_samples
        # functions are recorded in this thread only, but hooks run in all threads
        self.thread = threading.get_ident()
        self.batch, self.axis = 0, 0
        self.tallies: dict[tuple[str, Computation, bool, WeightView | None], Tally] = {}
        self.left_out: dict[str, int | float] = {}
        self.unclear: set[str] = set()
        self.origins = Origins(model)
        self._root = type(model).__name__
        self._modules: list[tuple[str, nn.Module]] = [("", model)]  # running modules, the innermost last
        self._calls: list[_Call] = []
        self._values: Any = WeakTensorKeyDictionary()  # values of live tensors
        self._inside: list[tuple[Tensor, _Value]] = []  # results of products inside the running function
        self._seen = self._time_first = (
            # for the running function: whether its product is counted, and whether time is its first axis
            False
        )
        self._declaring = 0  # running modules that declare what they compute

    def hooks(self, model: nn.Module) -> Iterable[Any]:
        for name, module in named_modules(model, remove_duplicate=True):
            if isinstance(module, torch.jit.ScriptModule):
                continue  # this module supports no hooks
            yield module.register_forward_pre_hook(self._enter(name))
            yield module.register_forward_hook(self._leave, always_call=True)

    def _enter(self, name: str) -> Callable[..., None]:
        def enter(module: nn.Module, *_: Any) -> None:
            if threading.get_ident() == self.thread:
                self._modules.append((name, module))
                self._declaring += isinstance(module, DeclaresProducts)

        return enter

    def _leave(self, module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        if threading.get_ident() != self.thread:
            return
        if isinstance(module, DeclaresProducts):
            self._declaring -= 1
            if output is not None and not self._declaring:
                with _disable_current_modes():
                    for declared in module.declared_products(arguments, output):
                        if (read := self._values.get(declared.inputs)) is not None:
                            read.call.store(read.counts)
                        self.origins.used.add(self._source_name(declared.weights))
                        self._record(_as_product(declared), declared.result, declared.kernel_map)
        self._modules.pop()

    def _source_name(self, weights: Tensor) -> str:
        origin = self.origins.weights_of(weights)
        return "" if origin is None or origin.source is None else origin.source.name

    @contextmanager
    def watching(self, batch: int, axis: int) -> Iterator[None]:
        """Watch one batch of `samples` samples, which lie along this axis unless a tensor says otherwise."""
        if not batch:
            raise TraceError("a batch must hold at least one sample, got an empty one")
        self.batch, self.axis = batch, axis
        self.origins.forget()
        operations = _Operations if _COMPILING.isdisjoint(sys.modules) else _hidden_operations()
        with operations(self), self:
            yield
        for call in self._calls:
            call.tally.outputs.add(call.counts)
        self._calls.clear()
        self._values.clear()

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = plain_name(func)
        if name in QUIET:
            return func(*args, **kwargs)
        given = dict(zip(_ARGUMENTS, args, strict=False)) | kwargs if name in _WITH_WEIGHTS else {}
        self._seen = bool(given) and not self._declaring and self._has_weights(given)
        self._time_first = name in TIME_FIRST
        self._inside.clear()
        if name in RECURRENT:
            with _steps_apart():
                result = func(*args, **kwargs)
        else:
            result = REWRITTEN.get(name, func)(*args, **kwargs)
        with _disable_current_modes():
            self._follow(name, args, kwargs, args[0] if name == "setitem" else result)
            if self._seen:
                self._record(self._product(name, given, result), result)
        for tensor in tensors_of([result]) if self._inside else ():
            for product, value in self._inside:
                if storage_of(product) == storage_of(tensor) and product.numel() == tensor.numel():
                    self._values[tensor] = value
        self._seen = self._time_first = False
        return result

    def operation(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any], result: Any) -> None:
        """Record an operation below all functions."""
        name = plain_name(func)
        tensors = list(tensors_of([*args, *kwargs.values()]))
        if self._declaring:
            pass
        elif not self._seen and name in PRODUCTS:
            product = product_of(name, args, result, self.origins, self.batch, minor=self._time_first)
            value = self._record(product, result) if product is not None else None
            if value is not None:
                self._inside.append((result, value))
        elif not self._seen and (name in HIDDEN or func.namespace not in ("aten", "prims", "prim")):
            opaque = isinstance(func, HigherOrderOperator) or func.namespace in HIDDEN_LIBRARIES
            self._hidden(tensors, everywhere=opaque or name in HIDDEN)
        self.origins.note(name, func, tensors, tensors_of([result]))

    def _hidden(self, tensors: Iterable[Tensor], *, everywhere: bool) -> None:
        """Record an operation with unknown products, by its matrices or its module."""
        origins = [origin for t in tensors if t.dim() > 1 and (origin := self.origins.weights_of(t))]
        names = {origin.source.name.rpartition(".")[0] for origin in origins if origin.source is not None}
        self.unclear |= names or ({self._modules[-1][0]} if everywhere else set())

    def _has_weights(self, given: dict[str, Any]) -> bool:
        wrapped = torch._C._functorch.is_functorch_wrapped_tensor
        inputs, weight = given["input"], given["weight"]
        if wrapped(inputs) or wrapped(weight):  # for example inside vmap
            return False
        return self.origins.weights_of(weight) is not None and inputs.layout == torch.strided

    def _product(self, name: str, given: dict[str, Any], result: Tensor) -> Product:
        inputs, weight = given.pop("input"), given.pop("weight")
        if name == "linear":
            return computations.linear(inputs, weight, result, self.batch, self.axis)
        given.pop("bias", None)
        return computations.convolution(inputs, weight, result, **given)

    def _record(
        self, product: Product, result: Tensor, kernel_map: KernelMapCounts | None = None
    ) -> _Value | None:
        """Count a product. Returns None if it is not wanted."""
        module = self._modules[-1][0]
        view, name = None, module or self._root
        # A product of a by b or by b transposed: in attention both have the same shape if samples are square.
        as_module = product.weights.layout == torch.strided and product.weights.stride(-1) == 1
        origin = self.origins.weights_of(product.operand)
        if origin is not None and origin.source is not None:
            product, view = _viewed(product, self.origins.view_of(product.weights, origin), origin.source)
            module, name, as_module = self._owner(view.parameter, origin.source.tensor)
        if self.wanted is not None and name not in self.wanted and module not in self.wanted:
            macs = float(product.runs * product.computation.macs)
            self.left_out[module] = self.left_out.get(module, 0) + macs
            return None
        key = (name, product.computation, as_module, view)
        tally = self.tallies.get(key)
        if tally is None:
            tally = self.tallies[key] = Tally(name, module, product, view)
        call = _Call(len(self._calls), tally, tally.add(product, self.batch, self.mask_samples))
        if kernel_map is not None:
            tally.add_kernel_map(kernel_map)
        self._calls.append(call)
        value = self._values[result] = _Value(call, call.counts)
        return value

    def _owner(self, parameter: str, tensor: Tensor) -> tuple[str, str, bool]:
        """Return the module of a layer, the layer's name, and whether the module itself runs.

        This is the running module if it has the parameter, which others may share.
        """
        module, _, key = parameter.rpartition(".")
        running, holder = self._modules[-1]
        own = next((k for k, p in holder.named_parameters(recurse=False) if p is tensor), None)
        if own is not None:
            module, key = running, public_name(own)
        name = module if key == "weight" else joined(module, key)
        return module, name, running == module

    def _follow(self, name: str, args: Sequence[Any], kwargs: dict[str, Any], result: Any) -> None:
        """Replace values by the results of elementwise functions of them.

        Where outputs of several calls meet, the last one can become the result before it is written; the
        others had to wait in memory.
        """
        parents = [t for t in tensors_of([*args, *kwargs.values()]) if t in self._values]
        if not parents or not any(t.is_floating_point() for t in tensors_of([result])):
            return  # sizes, comparisons and similar functions read no elements
        if name.endswith("_like") or name.startswith("new_"):
            return
        values: list[_Value] = [self._values[parent] for parent in parents]
        becomes = [
            isinstance(result, Tensor) and _becomes(name, t, result, self._values[t], self.batch)
            for t in parents
        ]
        followed = [value for value, same in zip(values, becomes, strict=True) if same]
        last = max(followed, key=lambda value: value.call.number, default=None)
        counts = None
        if last is not None:
            tally = last.call.tally
            counts = last.counts
            if name in ELEMENTWISE:
                counts = tally.count(result, "outputs", self.batch, _axis(result, counts.axis, self.batch))
        for value, same in zip(values, becomes, strict=True):
            if not same or counts is None or (last and value.call is not last.call):
                value.call.store(value.counts)
        if last is not None and counts is not None:
            last.call.follow(counts)
            self._values[result] = _Value(last.call, counts)


def _as_product(declared: DeclaredProduct) -> Product:
    """Return the product with one run per row, because samples cannot be distinguished."""
    computation = Computation(declared.in_channels, declared.out_channels, (1, 1))
    inputs, result = declared.inputs[None], declared.result[None]
    return Product(computation, declared.rows, inputs, declared.weights, result, declared.weights)


def _viewed(product: Product, view: WeightView, source: Source) -> tuple[Product, WeightView]:
    """The product and its weights. Where these are one of the matrices of a parameter, as of an expert, it
    becomes that of all of them, over which the rows are spread evenly.
    """
    whole, weights = source.tensor, product.weights
    if whole.dim() != 3 or weights.dim() != 2 or len(view.steps) != 1 or not whole.is_contiguous():
        return product, view
    size, stride, offset = view.steps[0]
    if weights.numel() * whole.shape[0] != whole.numel() or offset % whole.stride(0):
        return product, view
    begin = weights.storage_offset() - offset
    every = weights.as_strided((whole.shape[0], *size), (whole.stride(0), *stride), begin)
    steps = (strided_like(every, whole),)
    return by_expert(product, every), WeightView(
        view.parameter, () if steps[0] == strided_like(whole, whole) else steps
    )


def _axis(tensor: Tensor, axis: int | None, batch: int) -> int | None:
    """Return the axis of the samples in a result, given their `axis` in the tensor that it was made from."""
    return axis if axis == 0 else sample_axis(tensor.shape, batch, 1) if axis == 1 else None


def _becomes(name: str, parent: Tensor, result: Tensor, value: _Value, batch: int) -> bool:
    """Return whether each element of `result` is computed from the same element of `parent`, sample by
    sample.
    """
    axis = value.counts.axis
    if result.numel() != parent.numel() or not result.dim() or (axis == 0 and result.shape[0] % batch):
        return False
    if name in SAME_VALUES:
        same = result.untyped_storage().data_ptr() == parent.untyped_storage().data_ptr()
        first_stays = result.shape[0] == parent.shape[0] and result.stride(0) == parent.stride(0)
        moves = axis == 0 and name in ("permute", "transpose", "movedim", "swapaxes")
        return (same or name != "getitem") and (first_stays or not moves)
    if name == "setitem" and parent is not result:
        return False
    choice = name in CHOICES or value.call.tally.view is None  # softmax reads infinities
    return name in ELEMENTWISE and (not choice or bool(result.isfinite().all()))


@contextmanager
def _steps_apart() -> Iterator[None]:
    """Run recurrent layers as matrix products, which kernels for all steps at once would hide."""
    before = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        with torch.backends.cudnn.flags(enabled=False):
            yield
    finally:
        torch._C._set_mkldnn_enabled(before)


def tensors_of(values: Iterable[Any]) -> Iterable[Tensor]:
    """Yield the tensors among arguments, including those in lists."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from tensors_of(value)
