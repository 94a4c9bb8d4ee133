"""A trace as documents: a workload that `sparsim` reads, tables, and masks of the real zeros."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from gmp.errors import TraceError
from gmp.network_coverage import Coverage
from gmp.tracing.trace import LayerTrace, Trace
from sparsim.fileio.writing import replacing
from sparsim.files.traced_layers import Computation, is_flat, plane, record_of
from sparsim.records import Workload
from sparsim.report.tables import Table
from sparsim.report.trace_report import table as table_of
from sparsim.report.trace_report import write_trace

Provenance = Mapping[str, str | int | float | bool]
Mask = NDArray[np.bool_]


def workload_of(
    traced: Trace,
    *,
    name: str,
    batch: int = 2,
    source: str = "",
    provenance: Provenance | None = None,
    masks: str | None = None,
) -> Workload:
    """The traced layers in the problem shape `CONV`, for `batch` samples at a time (see `record_of`).

    With `masks`, a folder that `write_masks` filled, as the document will name it, densities of Weights and
    Inputs are `actual`, but for products of activations. Raises TraceError beside masks for layers that have
    none: those over three axes, and those that do not run once a sample.
    """
    layers = tuple(record_of(row, batch, _masks(masks, row)) for row in traced.layers)
    facts = _not_measured(traced.coverage) | dict(provenance or {})
    return Workload(name=name, source=source, provenance=facts, layers=layers)


def _not_measured(coverage: Coverage | None) -> dict[str, str | int | float | bool]:
    """For the provenance: the share of MACs that the layers lack, and whose they are; {} for none."""
    if coverage is None or not (coverage.uncovered_macs or coverage.unknown):
        return {}
    gaps = ", ".join(gap.label for gap in coverage.gaps if gap.macs or gap.macs is None)
    return {"uncovered_mac_share": coverage.uncovered_mac_share or 0.0, "not_measured": gaps}


def check_masked(row: LayerTrace) -> None:
    """Raise TraceError unless the layer runs once a sample, over two axes."""
    if row.calls != 1:
        raise TraceError(
            f"layer {row.name} runs {row.calls:g} times a sample, masks are of layers that run once"
        )
    if not is_flat(row.computation):
        raise TraceError(
            f"layer {row.name} has a window of {row.computation.window}, masks are of layers over two axes"
        )


def _masks(folder: str | None, row: LayerTrace) -> dict[str, str]:
    """The files of the masks that a document names, by tensor."""
    if folder is None or row.of_activations:
        return {}
    check_masked(row)
    return {tensor: f"{folder}/{_file_name(row.name, tensor.lower())}" for tensor in ("Weights", "Inputs")}


def _file_name(layer: str, tensor: str) -> str:
    """Of a mask. Characters that names of files cannot hold, such as "/", are written as in a URL."""
    return f"{quote(layer, safe=' #()+,:=@[]')}.{tensor}.npy"


def write_masks(traced: Trace, folder: Path, batch: int) -> None:
    """Write LAYER.weights.npy (G, C, M, S, R) and LAYER.inputs.npy (N, G, C, width, height), True if nonzero.

    Inputs include the zeros of the padding. A "/" in the name of a layer is written as "%2F". Products of
    activations have no masks.

    Raises TraceError for layers that a workload cannot hold or that run more than once a sample, and for
    traces without masks of `batch` samples.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for row in traced.layers:
        if row.of_activations:
            continue
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
    mask = mask.reshape(groups, shape.M // groups, shape.C // groups, *plane(shape.window))
    return mask.transpose(0, 2, 1, 4, 3)


def input_mask(shape: Computation, mask: Mask) -> Mask:
    """(N, G * C, ..., height, width) -> (N, G, C, width, height), padded, without what no window reaches."""
    groups = shape.groups
    mask = mask.reshape(len(mask), groups, shape.C // groups, *plane(mask.shape[2:]))
    for axis, place in ((3, -2), (4, -1)):  # height, width
        reach = shape.stride[place] * (plane(shape.out)[place] - 1)
        need = 1 + reach + shape.dilation[place] * (plane(shape.window)[place] - 1)
        before = shape.padding[place]
        around = [(0, 0)] * 5
        around[axis] = (before, max(0, need - before - mask.shape[axis]))
        mask = np.pad(mask, around).take(range(need), axis)
    return mask.transpose(0, 1, 2, 4, 3)


def table(traced: Trace) -> Table:
    """The trace for a terminal."""
    notes = () if traced.coverage is None else traced.coverage.notes
    return table_of(traced.layers, f"{traced.samples} samples", notes)


def write_workload(traced: Trace, workload: Workload, folder: Path) -> None:
    """Write workload.yaml, and the rows of the trace as trace.csv and trace.json, into `folder`."""
    coverage = None if traced.coverage is None else traced.coverage.plain()
    write_trace(traced.layers, workload, folder, samples=traced.samples, macs=traced.macs, coverage=coverage)
