"""Traced layers as a table, and as the output files of a trace."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sparsim.fileio.json_and_csv import write_csv, write_json
from sparsim.fileio.writing import write_text
from sparsim.files.sparsim_yaml import dump
from sparsim.files.traced_layers import Measured, TracedLayer
from sparsim.records import Workload
from sparsim.report.tables import Table


def table(layers: Sequence[TracedLayer], title: str, notes: Sequence[str]) -> Table:
    """Return a table with a row per layer, and densities as mean and spread between samples in percent."""
    rows = []
    for layer in layers:
        row = layer.row()
        rows.append((
            layer.name, *(row[key] for key in ("C", "M", "groups", "P", "Q")), f"{row['R']} x {row['S']}",
            f"{layer.macs:,}", "-" if layer.weight_density is None else f"{layer.weight_density:.1%}"[:-1],
            _percent(layer.inputs), _percent(layer.outputs),
        ))  # fmt: skip
    head = "layer|C|M|groups|P|Q|R x S|MACs|weights %|inputs %|outputs %"
    total = ("total", *[""] * 6, f"{sum(layer.macs for layer in layers):,}", "", "", "")
    return Table(head.split("|"), rows, title, total=total, notes=notes)


def _percent(measured: Measured | None) -> str:
    return "-" if measured is None else f"{100 * measured.mean:.1f} ±{100 * measured.spread:.1f}"


def trace_document(layers: Sequence[TracedLayer], workload: Workload, **facts: Any) -> dict[str, Any]:
    """Return the content of trace.json: the head of the workload, `facts`, and a row for each layer."""
    head = {"name": workload.name, "source": workload.source, "provenance": workload.provenance}
    return {**head, **facts, "layers": [layer.row() for layer in layers]}


def write_trace(document: dict[str, Any], workload: Workload, folder: Path) -> None:
    """Write workload.yaml, and a document of `trace_document` as trace.json and its rows as trace.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "workload.yaml", dump(workload))
    write_csv(folder / "trace.csv", document["layers"])
    write_json(folder / "trace.json", document)
