"""Conversion of layers to ones that a row-stationary chip can run, with the same number of MACs, and a note
if they differ.

A chip runs convolutions over two axes without dilation, with one stride for both and windows that are no
wider than the spads of a PE. Of other layers

* an axis with dilation d becomes d / gcd(d, stride) interleaved convolutions without dilation, each of which
  reads every d-th input, as if they were samples; where these would differ in their outputs it becomes GEMM,
* an axis becomes GEMM by taking its window for channels, so that inputs come once for each place in a window:
  of windows too wide for a PE the width, of unequal strides that with the smaller window,
* dims that are none of a convolution's become its samples, channels, filters or groups, by the tensors that
  they belong to.
"""

import math
from typing import NamedTuple

from sparsim.errors import SpecError
from sparsim.machines.eyeriss.chip import Chip
from sparsim.machines.eyeriss.conv_dims import CONV_DIMS, IACTS, PSUMS, WEIGHTS, check_tensors
from sparsim.machines.eyeriss.weight_masks import counted, in_conv_order
from sparsim.records import CONV, Layer

_AXES = {"height": ("R", "P"), "width": ("S", "Q")}  # dims of the window and of the outputs
_ROLES = {  # dims of CONV for all dims of these tensors
    (WEIGHTS, IACTS, PSUMS): "G", (IACTS, PSUMS): "N", (WEIGHTS, PSUMS): "M", (WEIGHTS, IACTS): "C",
}  # fmt: skip


class _Axis(NamedTuple):
    """Bounds of the window and of the outputs along the height or the width."""

    name: str
    window: int = 1
    outputs: int = 1
    stride: int = 1
    dilation: int = 1


class _Parts(NamedTuple):
    """A layer as a convolution: bounds of the dims G, N, M and C, its two axes, what its dims become, and
    notes on the conversion.
    """

    bounds: dict[str, int]
    axes: tuple[_Axis, ...]
    dims: dict[str, str]
    notes: tuple[str, ...] = ()

    def times(self, dim: str, factor: int) -> dict[str, int]:
        return self.bounds | {dim: self.bounds[dim] * factor}

    def put(self, axis: _Axis) -> tuple[_Axis, ...]:
        return tuple(axis if old.name == axis.name else old for old in self.axes)


def lowered(chip: Chip, layer: Layer) -> Layer:
    """Return the layer in the shape CONV as the chip runs it: the layer itself if possible.

    Densities are carried over, those of masks as their share of nonzeros. Raises SpecError for tensors that
    are none of a convolution's, and for densities that are no fractions.
    """
    check_tensors(layer)
    layer = counted(chip, layer)
    parts = given = _parts(layer)
    for name in _AXES:
        parts = _without_dilation(parts, name)
    widest = next(axis for axis in parts.axes if axis.name == "width")
    if widest.window > widest_window(chip):
        parts = _as_gemm(parts, widest)
    if len({axis.stride for axis in parts.axes if axis.outputs > 1}) > 1:
        parts = _one_stride(parts)
    if layer.shape == CONV and parts == given:
        return layer
    strides = {axis.stride for axis in parts.axes if axis.outputs > 1} or {axis.stride for axis in parts.axes}
    bounds = dict(parts.bounds)
    for axis in parts.axes:
        bounds |= dict(zip(_AXES[axis.name], (axis.window, axis.outputs), strict=True))
    bounds = {dim: bounds[dim] for dim in CONV_DIMS}
    return Layer(
        name=layer.name,
        shape=CONV,
        bounds=bounds,
        coefficients=dict.fromkeys((name for name in CONV.coefficients if "stride" in name), max(strides)),
        densities=in_conv_order(layer, parts.dims, bounds),
        note=", ".join(filter(None, (layer.note, *parts.notes))),
    )


def widest_window(chip: Chip) -> int:
    """Return the most columns of a window of one channel that a PE holds."""
    pe = chip.spec.pe
    columns = pe.weight_address.words if pe.skips_zero_weights else pe.iact_data.words
    return min(pe.iact_data.words, columns)


def _parts(layer: Layer) -> _Parts:
    """Classify dims: those that slide along an axis, and all others by their tensors."""
    shape = layer.shape
    tensors = {d.name: {dim for side in d.terms() for dim, _ in side} for d in shape.dataspaces}
    roles = {}
    for dim in shape.dims:
        role = _ROLES.get(tuple(name for name in (WEIGHTS, IACTS, PSUMS) if dim in tensors[name]))
        if role is None and layer.bounds[dim] > 1:
            raise SpecError(
                f"dim '{dim}' must be used by two or three tensors on a row-stationary chip, got one",
                path=f"layer {layer.name}",
            )
        roles[dim] = role or "N"
    coefficient = {**shape.coefficients, **layer.coefficients}
    axes = {name: _Axis(name) for name in _AXES}
    notes, sliding = [], set()
    for side in next(d for d in shape.dataspaces if d.name == IACTS).terms():
        by = {dim: 1 if name is None else coefficient[name] for dim, name in side}
        found = next((name for name, dims in _AXES.items() if set(by) <= set(dims)), None)
        if found is not None and all(
            roles[dim] == role for dim, role in zip(_AXES[found], "CN", strict=True) if dim in by
        ):
            window, outputs = _AXES[found]
            wide, out = (layer.bounds[dim] if dim in by else 1 for dim in (window, outputs))
            axes[found] = _Axis(found, wide, out, by.get(outputs, 1), by.get(window, 1))
            sliding |= set(by)
        elif sum(layer.bounds[dim] > 1 for dim in by) > 1:
            notes.append(f"{' and '.join(by)} costed as GEMM")
    bounds = dict.fromkeys("GNMC", 1)
    for dim in shape.dims:
        if dim not in sliding:
            bounds[roles[dim]] *= layer.bounds[dim]
    return _Parts(bounds, tuple(axes.values()), roles | {dim: dim for dim in sliding}, tuple(notes))


def _without_dilation(parts: _Parts, name: str) -> _Parts:
    axis = next(axis for axis in parts.axes if axis.name == name)
    if axis.dilation == 1:
        return parts
    if 1 in (axis.window, axis.outputs):  # the inputs in between are not read
        return parts._replace(axes=parts.put(axis._replace(dilation=1)))
    common = math.gcd(axis.dilation, axis.stride)
    phases = axis.dilation // common
    if axis.outputs % phases:
        return _as_gemm(parts, axis)
    one = axis._replace(outputs=axis.outputs // phases, stride=axis.stride // common, dilation=1)
    number = f"{phases} interleaved convolutions" if phases > 1 else "a convolution"
    note = f"{name} costed as {number} without dilation"
    return _Parts(parts.times("N", phases), parts.put(one), parts.dims, (*parts.notes, note))


def _as_gemm(parts: _Parts, axis: _Axis) -> _Parts:
    """Return the layer with the window of an axis as channels; its outputs then move by one input."""
    one = _Axis(axis.name, outputs=axis.outputs)
    note = f"{axis.name} costed as GEMM"
    dims = parts.dims | {_AXES[axis.name][0]: "C"}
    return _Parts(parts.times("C", axis.window), parts.put(one), dims, (*parts.notes, note))


def _one_stride(parts: _Parts) -> _Parts:
    """Return the layer with the axis of the smaller window as GEMM, whose outputs become samples."""
    smaller = min(parts.axes, key=lambda axis: axis.window)
    if smaller.window > 1 or smaller.stride > 1:
        parts = _as_gemm(parts, smaller)
    return parts._replace(bounds=parts.times("N", smaller.outputs), axes=parts.put(_Axis(smaller.name)))
