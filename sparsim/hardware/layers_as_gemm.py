"""Conversion of layers for which an accelerator has no mapping to ones with as many MACs for which it may
have one.

A window may be larger than a mapspace spreads it, and formats may have no ranks for groups. (What the chips
of the Eyeriss family cannot run is in `sparsim.machines.eyeriss.layer_lowering`.)
"""

from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from sparsim.records import CONV, Layer


class LoweredLayer(NamedTuple):
    """The layer that is mapped in place of another one, and how often it runs."""

    layer: Layer
    runs: int = 1


def lowered_layers(layer: Layer) -> Iterator[LoweredLayer]:
    """Yield the layer itself, the layer with its window as GEMM, with one group at a time, and with both."""
    yield LoweredLayer(layer)
    if layer.shape != CONV:
        return
    has_window, groups = layer.bounds["R"] * layer.bounds["S"] > 1, layer.bounds["G"]
    if has_window:
        yield LoweredLayer(_as_gemm(layer))
    if groups > 1:
        yield LoweredLayer(_one_group(layer), groups)
    if has_window and groups > 1:
        yield LoweredLayer(_one_group(_as_gemm(layer)), groups)


def _as_gemm(layer: Layer) -> Layer:
    """Return the layer with the positions of a window as channels."""
    b = layer.bounds
    bounds = b | {"C": b["C"] * b["R"] * b["S"], "R": 1, "S": 1}
    return replace(layer, bounds=bounds, coefficients={}, note=_noted(layer, "window costed as GEMM"))


def _one_group(layer: Layer) -> Layer:
    note = f"{layer.bounds['G']} groups costed one after the other"
    return replace(layer, bounds=layer.bounds | {"G": 1}, note=_noted(layer, note))


def _noted(layer: Layer, note: str) -> str:
    return ", ".join(filter(None, (layer.note, note)))
