"""A trace as documents: a workload that `sparsim` reads, tables, and masks of the real zeros."""

import math
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from gmp.errors import TraceError
from gmp.network_coverage import Coverage
from gmp.tracing.computations import Computation
from gmp.tracing.trace import LayerTrace, Measured, Trace
from sparsim.fileio.json_and_csv import write_csv, write_json
from sparsim.fileio.writing import replacing, write_text
from sparsim.files.sparsim_yaml import dump
from sparsim.records import CONV, DENSE, Density, Layer, Workload
from sparsim.report.tables import Table

Provenance = Mapping[str, str | int | float | bool]
Mask = NDArray[np.bool_]
MOST_SAMPLES = 10**6  # of a trace, of which mean numbers of runs are fractions


def workload_of(
    traced: Trace,
    *,
    name: str,
    batch: int = 2,
    source: str = "",
    provenance: Provenance | None = None,
    masks: str | None = None,
) -> Workload:
    """The traced layers in the problem shape `CONV`, for `batch` samples at a time (dim N).

    A layer that runs several times a sample counts as that many samples, its weights being the same. Windows
    over three axes become channels along the depth, and runs of `batch` samples that are not whole in number
    are rounded; layers for which that is not the same have a note. With `masks`, a folder that `write_masks`
    filled, as the document will name it, densities of Weights and Inputs are `actual`. Raises TraceError
    beside masks for layers that have none: those over three axes, and those that do not run once a sample.
    """
    layers = tuple(_layer(row, batch, masks) for row in traced.layers)
    facts = _not_measured(traced.coverage) | dict(provenance or {})
    return Workload(name=name, source=source, provenance=facts, layers=layers)


def _not_measured(coverage: Coverage | None) -> dict[str, str | int | float | bool]:
    """For the provenance: the share of MACs that the layers lack, and whose they are; {} for none."""
    if coverage is None or not (coverage.uncovered_macs or coverage.unknown):
        return {}
    gaps = ", ".join(gap.label for gap in coverage.gaps if gap.macs or gap.macs is None)
    return {"uncovered_mac_share": coverage.uncovered_mac_share or 0.0, "not_measured": gaps}


def _layer(row: LayerTrace, batch: int, masks: str | None) -> Layer:
    if masks is not None:
        check_masked(row)
    shape, places, deep = _over_two_axes(row.computation)
    bounds, rounded = _bounds(shape, batch * places * Fraction(row.calls).limit_denominator(MOST_SAMPLES))
    if row.view is None:  # samples without common weights are groups
        bounds |= {"G": bounds["G"] * bounds["N"], "N": 1}
    coefficients = {
        "Wstride": shape.stride[-1], "Hstride": shape.stride[-2],
        "Wdilation": shape.dilation[-1], "Hdilation": shape.dilation[-2],
    }  # fmt: skip
    weights = Measured(row.weight_density, 0.0)
    densities = {
        "Weights": _density(weights, _mask_file(masks, row.name, "weights")),
        "Inputs": _density(row.inputs, _mask_file(masks, row.name, "inputs")),
        "Outputs": _density(row.outputs, None),
    }
    return Layer(
        name=row.name,
        shape=CONV,
        bounds=bounds,
        coefficients={key: value for key, value in coefficients.items() if value != CONV.coefficients[key]},
        densities={tensor: density for tensor, density in densities.items() if density != DENSE},
        note=", ".join(filter(None, (deep, rounded))),
    )


def _bounds(shape: Computation, runs: Fraction) -> tuple[dict[str, int], str]:
    """By dim, and a note where the number of runs is rounded; channels are those of one group."""
    height, width = _plane(shape.out)
    note, rows = "", runs * height * width
    if runs.denominator > 1 and rows.denominator == 1 and set(shape.window) == {1}:
        runs, height, width = Fraction(1), int(rows), 1
    elif runs.denominator > 1:
        whole = Fraction(max(1, round(runs)))
        note = f"{float(runs):g} runs costed as {whole}"
        runs = whole
    channels = {"M": shape.M // shape.groups, "C": shape.C // shape.groups}
    window = {"R": shape.window[-2], "S": shape.window[-1]}
    return {"G": shape.groups, "N": int(runs), **channels, **window, "P": height, "Q": width}, note


def _over_two_axes(shape: Computation) -> tuple[Computation, int, str]:
    """(the same over two axes, with so many runs in place of one, a note where it is not the same)."""
    if _is_flat(shape):
        return shape, 1, ""
    depth = shape.window[0]
    fields = (shape.window, shape.stride, shape.dilation, shape.padding)
    if set(shape.window[1:]) == {1} == set(shape.stride[1:]):  # a window over the depth alone: the height
        plane = (shape.out[0], math.prod(shape.out[1:]))
        window, stride, dilation, padding = ((x[0], x[-1]) for x in fields)
        return Computation(shape.C, shape.M, plane, window, stride, dilation, padding, shape.groups), 1, ""
    window, stride, dilation, padding = ((x[1], x[2]) for x in fields)
    channels, plane = shape.C * depth, (shape.out[1], shape.out[2])
    one = Computation(channels, shape.M, plane, window, stride, dilation, padding, shape.groups)
    return one, shape.out[0], "depth costed as GEMM" if depth > 1 else ""


def _is_flat(shape: Computation) -> bool:
    """Whether there are two axes, or depth and height are one since neither has a window or a stride."""
    return len(shape.out) < 3 or set(shape.window[:-1]) == {1} == set(shape.stride[:-1])


def check_masked(row: LayerTrace) -> None:
    """Raise TraceError unless the layer runs once a sample, over two axes."""
    if row.calls != 1:
        raise TraceError(
            f"layer {row.name} runs {row.calls:g} times a sample, masks are of layers that run once"
        )
    if not _is_flat(row.computation):
        raise TraceError(
            f"layer {row.name} has a window of {row.computation.window}, masks are of layers over two axes"
        )


def _density(measured: Measured, mask: str | None) -> Density:
    return Density(
        distribution="actual" if mask else DENSE.distribution,
        density=measured.mean, spread=measured.spread, mask=mask,
    )  # fmt: skip


def _mask_file(folder: str | None, layer: str, tensor: str) -> str | None:
    return None if folder is None else f"{folder}/{_file_name(layer, tensor)}"


def _file_name(layer: str, tensor: str) -> str:
    """Of a mask. Characters that names of files cannot hold, such as "/", are written as in a URL."""
    return f"{quote(layer, safe=' #()+,:=@[]')}.{tensor}.npy"


def write_masks(traced: Trace, folder: Path, batch: int) -> None:
    """Write LAYER.weights.npy (G, C, M, S, R) and LAYER.inputs.npy (N, G, C, width, height), True if nonzero.

    Inputs include the zeros of the padding. A "/" in the name of a layer is written as "%2F".

    Raises TraceError for layers that a workload cannot hold or that run more than once a sample, and for
    traces without masks of `batch` samples.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for row in traced.layers:
        check_masked(row)
        if row.input_mask is None or row.weight_mask is None or len(row.input_mask) < batch:
            raise TraceError(f"layer {row.name} was traced without masks of {batch} samples")
        masks = {
            "weights": weight_mask(row.computation, row.weight_mask),
            "inputs": input_mask(row.computation, row.input_mask[:batch]),
        }
        for tensor, mask in masks.items():
            with replacing(folder / _file_name(row.name, tensor)) as file:
                np.save(file, mask)


def weight_mask(shape: Computation, mask: Mask) -> Mask:
    """(G * M, C, ..., height, width) -> (G, C, M, width, height)."""
    groups = shape.groups
    mask = mask.reshape(groups, shape.M // groups, shape.C // groups, *_plane(shape.window))
    return mask.transpose(0, 2, 1, 4, 3)


def input_mask(shape: Computation, mask: Mask) -> Mask:
    """(N, G * C, ..., height, width) -> (N, G, C, width, height), padded, without what no window reaches."""
    groups = shape.groups
    mask = mask.reshape(len(mask), groups, shape.C // groups, *_plane(mask.shape[2:]))
    for axis, place in ((3, -2), (4, -1)):  # height, width
        reach = shape.stride[place] * (_plane(shape.out)[place] - 1)
        need = 1 + reach + shape.dilation[place] * (_plane(shape.window)[place] - 1)
        before = shape.padding[place]
        around = [(0, 0)] * 5
        around[axis] = (before, max(0, need - before - mask.shape[axis]))
        mask = np.pad(mask, around).take(range(need), axis)
    return mask.transpose(0, 1, 2, 4, 3)


def _plane(sizes: tuple[int, ...]) -> tuple[int, int]:
    """(height, width); a depth, which has no window, is one with the height."""
    return math.prod(sizes[:-1]), sizes[-1]


def table(traced: Trace) -> Table:
    """The trace for a terminal: one line a layer, densities as mean and spread between samples in percent."""
    rows = []
    for layer in traced.layers:
        row = layer.row()
        rows.append((
            layer.name, *(row[key] for key in ("C", "M", "groups", "P", "Q")), f"{row['R']} x {row['S']}",
            f"{layer.macs:,}", f"{layer.weight_density:.1%}"[:-1], _percent(layer.inputs),
            _percent(layer.outputs),
        ))  # fmt: skip
    head = "layer|C|M|groups|P|Q|R x S|MACs|weights %|inputs %|outputs %"
    total = ("total", *[""] * 6, f"{traced.macs:,}", "", "", "")
    notes = () if traced.coverage is None else traced.coverage.notes
    return Table(head.split("|"), rows, f"{traced.samples} samples", total=total, notes=notes)


def _percent(measured: Measured) -> str:
    return f"{100 * measured.mean:.1f} ±{100 * measured.spread:.1f}"


def write_workload(traced: Trace, workload: Workload, folder: Path) -> None:
    """Write workload.yaml, and the rows of the trace as trace.csv and trace.json, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "workload.yaml", dump(workload))
    rows = [layer.row() for layer in traced.layers]
    write_csv(folder / "trace.csv", rows)
    document: dict[str, Any] = {
        "name": workload.name, "source": workload.source, "provenance": workload.provenance,
        "samples": traced.samples, "macs": traced.macs,
        "coverage": None if traced.coverage is None else traced.coverage.plain(), "layers": rows,
    }  # fmt: skip
    write_json(folder / "trace.json", document)
