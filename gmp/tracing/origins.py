"""Tracking of tensors that are computed from parameters only, through views, copies and arithmetic."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gmp.parameter_names import joined, named_modules
from gmp.tracing.weight_views import Strided, WeightView, storage_of, strided_like

# Operations that replace zeros by other values.
_SUMS = {
    "add",
    "sub",
    "rsub",
    "addmm",
    "addcmul",
    "addcdiv",
    "baddbmm",
    "lerp",
    "where",
    "maximum",
    "minimum",
}
_COPIES = {"to_copy", "clone", "copy"}
# operations that select among the matrices of a parameter, such as experts
_CHOICES = {"index", "index_select", "gather"}


class Origin(NamedTuple):
    """The origin of a tensor. A `source` of None means constants only.

    steps : views of contiguous copies that lead to the memory of the tensor, like those of `WeightView`
    repeats : how often all of it was copied, one after the other
    """

    source: "Source | None" = None
    steps: tuple[Strided, ...] = ()
    repeats: int = 1
    computed: bool = False


class Source(NamedTuple):
    """A parameter, or another tensor that a module holds."""

    name: str
    tensor: Tensor
    is_parameter: bool


CONSTANT = Origin()


class Origins:
    """The origins of all storages, as long as every operation is passed to `note`.

    Unknown storages are activations: inputs, or results of inputs.
    """

    def __init__(self, model: nn.Module) -> None:
        self.sources: dict[int, list[Source]] = {}  # by storage
        self.used: set[str] = set()  # names of sources
        self._constants: set[int] = set()  # storages of indices and masks
        for source in _sources(model):
            if source.tensor.dtype in (torch.bool, torch.int32, torch.int64):
                self._constants.add(storage_of(source.tensor))
            else:
                self.sources.setdefault(storage_of(source.tensor), []).append(source)
        self._made: dict[int, Origin | None] = {}  # by storage; None stands for an activation

    def forget(self) -> None:
        """Forget the tensors computed from parameters and inputs."""
        self._made.clear()

    def of(self, tensor: Tensor) -> Origin | None:
        """Return the origin of a tensor; None for activations."""
        place = storage_of(tensor)
        if not place:
            return None
        if place in self._made:
            return self._made[place]
        here = self.sources.get(place, ())
        for source in here:
            begin = source.tensor.storage_offset()
            if begin <= tensor.storage_offset() < begin + max(1, source.tensor.numel()):
                return Origin(source)
        return CONSTANT if place in self._constants else None

    def weights_of(self, tensor: Tensor) -> Origin | None:
        """Return the same as `of`, but None for constants."""
        found = self.of(tensor)
        return None if found is None or found.source is None else found

    def view_of(self, weights: Tensor, origin: Origin) -> WeightView:
        """Return `weights` as a view of the parameter that they are made of."""
        assert origin.source is not None
        name, whole, _ = origin.source
        public = public_name(name)
        if public != name or origin.computed:
            return WeightView(public, computed=public == name)
        if origin.steps:
            last = (tuple(weights.shape), tuple(weights.stride()), int(weights.storage_offset()))
            return WeightView(name, (*origin.steps, last))
        if storage_of(weights) != storage_of(whole):
            return WeightView(name)
        last = strided_like(weights, whole)
        return WeightView(name, () if last == strided_like(whole, whole) else (last,))

    def note(self, name: str, func: Any, tensors: Sequence[Tensor], results: Iterable[Tensor]) -> None:
        """Record that the operation `func`, called `name`, computed `results` from `tensors`."""
        if getattr(func, "is_view", False) or name in ("unsafe_view", "reshape_alias"):
            return
        origins = [self.of(tensor) for tensor in tensors]
        self.used.update(o.source.name for o in origins if o is not None and o.source is not None)
        for result in results:
            if place := storage_of(result):
                self._made[place] = _made(name, func, tensors, origins, result)


def _made(
    name: str, func: Any, tensors: Sequence[Tensor], origins: Sequence[Origin | None], result: Tensor
) -> Origin | None:
    """Return the origin of `result`."""
    named = [(o.source, o, t) for o, t in zip(origins, tensors, strict=True) if o is not None and o.source]
    if any(origin is None for origin in origins):
        if named and named[0][2] is tensors[0] and name in _CHOICES and tensors[0].dim() > 2:
            return Origin(named[0][0], computed=True)
        return None
    if not named:
        return CONSTANT
    named.sort(key=lambda found: not found[0].is_parameter)
    source, origin, tensor = next((found for found in named if found[2].numel() == result.numel()), named[0])
    if any(storage_of(result) == storage_of(t) for t in tensors):
        into = storage_of(tensor) == storage_of(result)
        return origin if into else Origin(source, computed=True)
    others = [found for found in named if found[0] is not source]
    masked = any(
        found[2].numel() == result.numel() for found in others
    )  # multiplied by a mask that is learned or stored
    changed = origin.computed or masked or (bool(others) and name in _SUMS)
    if changed or not (name in _COPIES or torch.Tag.pointwise in getattr(func, "tags", ())):
        return Origin(source, computed=True)
    return _copied(source, origin, tensor, result)


def _copied(source: Source, origin: Origin, tensor: Tensor, result: Tensor) -> Origin:
    """Record that each element of `result` is a copy of one of `tensor`, which may be repeated."""
    if math.prod(result.shape) < tensor.numel() or result.dim() < tensor.dim():
        return Origin(source, computed=True)
    strides = tuple(result.stride())
    order = sorted(range(result.dim()), key=lambda axis: (-strides[axis], axis))
    if not result.permute(order).is_contiguous():
        return Origin(source, computed=True)
    seen = tensor.expand(result.shape).permute(order)
    start = 0 if origin.steps else int(source.tensor.storage_offset())
    size, stride = tuple(seen.shape), tuple(seen.stride())
    leading = next((i for i, (n, s) in enumerate(zip(size, stride, strict=True)) if s and n > 1), len(size))
    repeats = origin.repeats * math.prod(size[:leading])
    step = (size[leading:], stride[leading:], int(seen.storage_offset()) - start)
    return Origin(source, (*origin.steps, step), repeats)


def public_name(name: str) -> str:
    """Return the name of the attribute that is computed from a parameter.

    `fc.parametrizations.weight.original`, the `fc.weight_orig` of torch's pruning and the `fc.weight_v` of
    its weight norm all make `fc.weight`.
    """
    parts = name.split(".")
    if len(parts) > 2 and parts[-3] == "parametrizations":
        return ".".join((*parts[:-3], parts[-2]))
    for ending in ("_orig", "_v"):
        if parts[-1] == "weight" + ending:
            return name.removesuffix(ending)
    return name


def _sources(model: nn.Module) -> Iterable[Source]:
    """Yield parameters, buffers and other tensors that are attributes of modules, under their first
    names.
    """
    seen = set[int]()
    for kind in ("_parameters", "_buffers", "__dict__"):
        for name, module in named_modules(model, remove_duplicate=True):
            for key, value in getattr(module, kind).items():
                if isinstance(value, Tensor) and not nn.parameter.is_lazy(value) and id(value) not in seen:
                    seen.add(id(value))
                    yield Source(joined(name, key), value, is_parameter=kind == "_parameters")
