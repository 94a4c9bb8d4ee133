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
from sparsim.report.trace_report import trace_document, write_trace

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
    """Make a workload of the traced layers.

    Parameters
    ----------
    traced : Trace
        The trace.
    name : str
        Name of the workload.
    batch : int, default 2
        Samples that the hardware runs at a time.
    source : str, default ""
        Where the network comes from.
    provenance : mapping of str to str, int, float or bool, optional
        Further facts about the measurement. The share of MACs that was not measured is added to them.
    masks : str, optional
        Folder that `write_masks` filled, as the document will name it. Weights and inputs then have the
        density distribution "actual", except in products of activations.

    Returns
    -------
    Workload
        Layers in the problem shape `CONV` (see `sparsim.files.traced_layers.record_of`).

    Raises
    ------
    TraceError
        If `masks` is given and a layer has none: one over three axes, or one that does not run once a sample.
    """
    layers = tuple(record_of(row, batch, _masks(masks, row)) for row in traced.layers)
    facts = _not_measured(traced.coverage) | dict(provenance or {})
    return Workload(name=name, source=source, provenance=facts, layers=layers)


def _not_measured(coverage: Coverage | None) -> dict[str, str | int | float | bool]:
    """Return the share of MACs that is not in the layers, and its modules, for the provenance; {} if there is
    none.
    """
    if coverage is None or not (coverage.uncovered_macs or coverage.unknown):
        return {}
    gaps = ", ".join(gap.label for gap in coverage.gaps if gap.macs or gap.macs is None)
    return {"uncovered_mac_share": coverage.uncovered_mac_share or 0.0, "not_measured": gaps}


def check_masked(row: LayerTrace) -> None:
    """Check that a layer can have masks: it runs once a sample, over two axes.

    Parameters
    ----------
    row : LayerTrace
        The layer.

    Raises
    ------
    TraceError
        If it cannot.
    """
    if row.calls != 1:
        raise TraceError(
            f"layer {row.name} runs {row.calls:g} times per sample, but masks need a layer that runs once"
        )
    if not is_flat(row.computation):
        raise TraceError(
            f"layer {row.name} has a window of {row.computation.window}, but masks need one over two axes"
        )


def _masks(folder: str | None, row: LayerTrace) -> dict[str, str]:
    """Return the files of the masks that a document names, by tensor."""
    if folder is None or row.of_activations:
        return {}
    check_masked(row)
    return {tensor: f"{folder}/{_file_name(row.name, tensor.lower())}" for tensor in ("Weights", "Inputs")}


def _file_name(layer: str, tensor: str) -> str:
    """The file name of a mask.

    Characters that file names cannot hold, such as "/", are written as in a URL.
    """
    return f"{quote(layer, safe=' #()+,:=@[]')}.{tensor}.npy"


def write_masks(traced: Trace, folder: Path, batch: int) -> None:
    """Write masks of the weights and inputs of the traced layers.

    Parameters
    ----------
    traced : Trace
        Trace with masks (`mask_samples`) of at least `batch` samples.
    folder : Path
        Folder to write to, which is created if necessary.
    batch : int
        Number of samples whose inputs are written.

    Raises
    ------
    TraceError
        If a layer cannot have masks, or was traced without masks of `batch` samples.

    Notes
    -----
    Each layer has the files LAYER.weights.npy of shape (G, C, M, S, R) and LAYER.inputs.npy of shape (N, G,
    C, width, height), which are True where a value is not zero. Inputs include the zeros of the padding. A
    "/" in the name of a layer is written as "%2F". Products of activations have no masks.
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
    """Arrange the mask of a layer's weights as a workload needs it.

    Parameters
    ----------
    shape : Computation
        Shape of the layer.
    mask : array of bool, shape (G * M, C, ..., height, width)
        Mask of the weights.

    Returns
    -------
    array of bool, shape (G, C, M, width, height)
        The same mask with other axes.
    """
    groups = shape.groups
    mask = mask.reshape(groups, shape.M // groups, shape.C // groups, *plane(shape.window))
    return mask.transpose(0, 2, 1, 4, 3)


def input_mask(shape: Computation, mask: Mask) -> Mask:
    """Arrange the mask of a layer's inputs as a workload needs it.

    Parameters
    ----------
    shape : Computation
        Shape of the layer.
    mask : array of bool, shape (N, G * C, ..., height, width)
        Mask of the inputs.

    Returns
    -------
    array of bool, shape (N, G, C, width, height)
        The same mask with other axes, with the padding and without elements that no window reaches.
    """
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
    """Return a trace as a table for a terminal.

    Parameters
    ----------
    traced : Trace
        The trace.

    Returns
    -------
    Table
        Table with one row for each layer.
    """
    notes = () if traced.coverage is None else traced.coverage.notes
    return table_of(traced.layers, f"{traced.samples} samples", notes)


def write_workload(traced: Trace, workload: Workload, folder: Path) -> None:
    """Write a workload and its trace.

    Parameters
    ----------
    traced : Trace
        The trace.
    workload : Workload
        Workload of the trace.
    folder : Path
        Folder for workload.yaml, trace.csv and trace.json.
    """
    coverage = None if traced.coverage is None else traced.coverage.plain()
    document = trace_document(
        traced.layers, workload, samples=traced.samples, macs=traced.macs, coverage=coverage
    )
    write_trace(document, workload, folder)
