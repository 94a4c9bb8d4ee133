"""Layers of a traced network from any source, and their conversion to the records of a workload."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import NamedTuple

from sparsim.records import CONV, DENSE, Density, KernelMapSizes, Layer

MOST_SAMPLES = 10**6  # most samples of a trace; mean numbers of runs are fractions of them


class Computation(NamedTuple):
    """One run of a product. Tuples have the axes (height, width), or (depth, height, width).

    A product of matrices is a 1x1 convolution of width 1 whose rows are the height; a `Linear` on
    (B, S, K, C) has the height K and the width S: P = K, Q = S.
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


class Measured(NamedTuple):
    """A density: mean over samples, and standard deviation between them."""

    mean: float
    spread: float


class KernelMapCounts(NamedTuple):
    """Mean sizes of a kernel map per sample; see `sparsim.records.KernelMapSizes`."""

    name: str
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    inputs: int | float
    outputs: int | float
    pairs: tuple[int | float, ...]


@dataclass(frozen=True, kw_only=True)
class TracedLayer:
    """One layer. `calls` and `macs` are per sample; `macs` counts all calls.

    calls : not whole where some samples have more runs than others
    weights : how many elements
    weight_density, inputs, outputs : None where they were not measured
    of_activations : whether both operands are activations. The second one then stands for the weights, and
        each sample has its own
    kernel_map : of sparse convolutions, whose runs are one for each pair
    """

    name: str
    computation: Computation
    calls: int | float
    weights: int
    weight_density: float | None
    inputs: Measured | None = None
    outputs: Measured | None = None
    of_activations: bool = False
    kernel_map: KernelMapCounts | None = None

    @property
    def macs(self) -> int | float:
        return whole(round(self.calls * self.computation.macs, 6))

    def row(self) -> dict[str, str | int | float | None]:
        """Plain values by the name of a column; R and P are heights, S and Q widths."""
        shape = self.computation
        inputs, outputs = (given or (None, None) for given in (self.inputs, self.outputs))
        return {
            "name": self.name,
            "C": shape.C, "M": shape.M, "R": shape.window[-2], "S": shape.window[-1],
            "P": math.prod(shape.out[:-1]), "Q": shape.out[-1],
            "groups": shape.groups, "calls": self.calls, "macs": self.macs, "weights": self.weights,
            "weights_density": self.weight_density,
            "inputs_density": inputs[0], "inputs_spread": inputs[1],
            "outputs_density": outputs[0], "outputs_spread": outputs[1],
        }  # fmt: skip


def whole(number: float | Fraction) -> int | float:
    """Return an int if the number is whole."""
    return int(number) if number == int(number) else float(number)


def record_of(layer: TracedLayer, batch: int, masks: Mapping[str, str] | None = None) -> Layer:
    """The layer in the problem shape `CONV`, for `batch` samples at a time (dim N).

    A layer that runs several times a sample counts as that many samples, its weights being the same. Windows
    over three axes become channels along the depth, and runs of `batch` samples that are not whole in number
    are rounded; layers for which that is not the same have a note. Tensors in `masks` have the density
    `actual` and that file.
    """
    shape, places, deep = _over_two_axes(layer.computation)
    kernel_map = None if layer.kernel_map is None else _sizes(layer.kernel_map, batch)
    runs = batch * places * _exact(layer.calls)
    if kernel_map is not None:  # one run with a row for each pair
        shape, runs = shape._replace(out=(kernel_map.total, 1)), Fraction(1)
        deep = f"words of weights are those of one of {len(kernel_map.pairs)} offsets"
    bounds, rounded = _bounds(shape, runs)
    if layer.of_activations:  # samples without common weights are groups
        bounds |= {"G": bounds["G"] * bounds["N"], "N": 1}
    coefficients = {
        "Wstride": shape.stride[-1], "Hstride": shape.stride[-2],
        "Wdilation": shape.dilation[-1], "Hdilation": shape.dilation[-2],
    }  # fmt: skip
    weights = None if layer.weight_density is None else Measured(layer.weight_density, 0.0)
    measured = {"Weights": weights, "Inputs": layer.inputs, "Outputs": layer.outputs}
    densities = {
        tensor: Density(
            distribution="actual" if masks and tensor in masks else DENSE.distribution,
            density=found.mean, spread=found.spread, mask=masks.get(tensor) if masks else None,
        )
        for tensor, found in measured.items() if found
    }  # fmt: skip
    return Layer(
        name=layer.name,
        shape=CONV,
        bounds=bounds,
        coefficients={key: value for key, value in coefficients.items() if value != CONV.coefficients[key]},
        densities={tensor: density for tensor, density in densities.items() if density != DENSE},
        kernel_map=kernel_map,
        note=", ".join(filter(None, (deep, rounded))),
    )


def _sizes(counts: KernelMapCounts, batch: int) -> KernelMapSizes:
    """The sizes for `batch` samples, rounded; sums of pairs are rounded, so that their total is too."""
    ends = [round(batch * n) for n in accumulate(map(_exact, counts.pairs))]
    return KernelMapSizes(
        name=counts.name, kernel_size=counts.kernel_size, stride=counts.stride,
        inputs=max(1, round(batch * _exact(counts.inputs))),
        outputs=max(1, round(batch * _exact(counts.outputs))),
        pairs=tuple(end - begin for begin, end in pairwise([0, *ends])),
    )  # fmt: skip


def _exact(mean: float) -> Fraction:
    """Return a mean number per sample as a fraction."""
    return Fraction(mean).limit_denominator(MOST_SAMPLES)


def _bounds(shape: Computation, runs: Fraction) -> tuple[dict[str, int], str]:
    """Bounds by dim, and a note if the number of runs is rounded; channels are those of one group."""
    height, width = plane(shape.out)
    note, rows = "", runs * height * width
    if runs.denominator > 1 and rows.denominator == 1 and set(shape.window) == {1}:
        runs, height, width = Fraction(1), int(rows), 1
    elif runs.denominator > 1:
        costed = Fraction(max(1, round(runs)))
        note = f"{float(runs):g} runs costed as {costed}"
        runs = costed
    channels = {"M": shape.M // shape.groups, "C": shape.C // shape.groups}
    window = {"R": shape.window[-2], "S": shape.window[-1]}
    return {"G": shape.groups, "N": int(runs), **channels, **window, "P": height, "Q": width}, note


def _over_two_axes(shape: Computation) -> tuple[Computation, int, str]:
    """(the same over two axes, with so many runs in place of one, a note where it is not the same)."""
    if is_flat(shape):
        return shape, 1, ""
    depth = shape.window[0]
    fields = (shape.window, shape.stride, shape.dilation, shape.padding)
    if set(shape.window[1:]) == {1} == set(shape.stride[1:]):  # a window over the depth alone: the height
        over = (shape.out[0], math.prod(shape.out[1:]))
        window, stride, dilation, padding = ((x[0], x[-1]) for x in fields)
        return Computation(shape.C, shape.M, over, window, stride, dilation, padding, shape.groups), 1, ""
    window, stride, dilation, padding = ((x[1], x[2]) for x in fields)
    channels, over = shape.C * depth, (shape.out[1], shape.out[2])
    one = Computation(channels, shape.M, over, window, stride, dilation, padding, shape.groups)
    return one, shape.out[0], "depth costed as GEMM" if depth > 1 else ""


def is_flat(shape: Computation) -> bool:
    """Whether there are two axes, or depth and height are one since neither has a window or a stride."""
    return len(shape.out) < 3 or set(shape.window[:-1]) == {1} == set(shape.stride[:-1])


def plane(sizes: tuple[int, ...]) -> tuple[int, int]:
    """(height, width); a depth, which has no window, is one with the height."""
    return math.prod(sizes[:-1]), sizes[-1]
