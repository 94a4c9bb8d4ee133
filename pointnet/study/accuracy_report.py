"""Reports on a comparison of pruned networks, as tables and as HTML."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from gmp.tracing.trace import Trace, trace
from pointnet.data import Dataset
from pointnet.study.number_texts import interval, percent, signed
from pointnet.study.pruning_comparison import CONTROL, Row
from pointnet.trace_clouds import variant
from pointnet.training.stored_weights import load_model
from sparsim.report import figure_style as style
from sparsim.report.tables import Table
from sparsim.report.web_page import render

FAMILIES = {
    "gradual": (style.BLUE, "o-"), "gradual, 2:4": (style.GREEN, "D"), "one-shot": (style.RED, "x--"),
    "one-shot, recalibrated": (style.ORANGE, "s--"), "one-shot, 2:4": (style.PINK, "X"),
    "one-shot, 2:4, recalibrated": (style.SKY, "P"),
}  # fmt: skip
"""How variants were pruned, and how they are drawn."""
TRACED_AT_ONCE = 32  # clouds in a batch; no result depends on it


def accuracy_table(rows: Sequence[Row]) -> Table:
    cells = []
    for row in rows:
        low, high = row.score.interval()
        cells.append((
            row.variant, row.epochs, f"{row.sparsity:.2%}", f"{row.score.accuracy:.2%}",
            f"{low:.1%} to {high:.1%}", f"{row.score.class_accuracy:.2%}", f"{row.cpu_s:.1f}",
        ))  # fmt: skip
    head = ("variant", "epochs", "sparsity", "accuracy", "95 % interval", "class accuracy", "CPU s")
    return Table(head, cells, "accuracy on the test clouds")


def traces(folder: Path, variants: Sequence[str], data: Dataset, device: str) -> dict[str, Trace]:
    """Return the densities of finished variants of the comparison in `folder`, over all test clouds."""
    found = {}
    for name in variants:
        model = variant(load_model(folder / name, device).model, delayed=False)
        clouds = torch.from_numpy(data.test.points[:, : model.config.points]).to(device)
        found[name] = trace(model, clouds.split(TRACED_AT_ONCE))
    return found


def density_table(traced: Mapping[str, Trace]) -> Table:
    """Return, per layer, the densities of weights and of inputs (mean and spread over clouds) of each
    variant.
    """
    rows = []
    for layers in zip(*(found.layers for found in traced.values()), strict=True):
        weights = [f"{layer.weight_density:.3f}" for layer in layers]
        inputs = [f"{layer.inputs.mean:.3f} ± {layer.inputs.spread:.3f}" for layer in layers]
        rows.append([layers[0].name, *weights, *inputs])
    head = ["layer", *(f"{name}: {what}" for what in ("weights", "inputs") for name in traced)]
    return Table(head, rows, "nonzero fractions")


def plain(rows: Sequence[Row], traced: Mapping[str, Trace]) -> dict[str, Any]:
    """Return the content of both tables for JSON."""
    return {
        "variants": [
            {
                "variant": row.variant, "epochs": row.epochs, "sparsity": row.sparsity,
                "accuracy": row.score.accuracy, "interval_95": row.score.interval(),
                "class_accuracy": row.score.class_accuracy, "cpu_s": row.cpu_s,
            }
            for row in rows
        ],
        "densities": {name: [layer.row() for layer in found.layers] for name, found in traced.items()},
    }  # fmt: skip


def report_page(rows: Sequence[Row], densities: Table, facts: Mapping[str, str], pruned: str) -> str:
    """Return the comparison as one HTML file. `pruned` is the variant that represents the pruned ones."""
    by_name = {row.variant: row for row in rows}
    control, chosen = by_name[CONTROL], by_name[pruned]
    figure = _accuracy_figure(rows, control)
    said = "; ".join(f"{row.variant}: {row.score.accuracy:.2%}" for row in rows)
    return render(
        "pointnet.study", "accuracy_report.html.jinja", control=control, chosen=chosen, facts=facts,
        most=max((row for row in rows if not _is_told_from(row, control)), key=lambda row: row.sparsity),
        figure=style.inline_svg(figure, f"Accuracy by fraction of zeros. {said}."),
        accuracy=accuracy_table(rows), densities=densities, percent=percent, interval=interval, signed=signed,
    )  # fmt: skip


def _family(variant: str) -> str | None:
    """Return how a variant was pruned; None if it was not."""
    if not variant.startswith(("gmp-", "one-shot-")):
        return None
    words = ["gradual" if variant.startswith("gmp-") else "one-shot"]
    words += ["2:4"] if "2to4" in variant else []
    return ", ".join(words + (["recalibrated"] if variant.endswith("recalibrated") else []))


def _is_told_from(row: Row, control: Row) -> bool:
    """Return whether the intervals of two accuracies do not overlap."""
    (low, high), (least, most) = row.score.interval(), control.score.interval()
    return high < least or low > most


@style.styled
def _accuracy_figure(rows: Sequence[Row], control: Row) -> Figure:
    figure = style.panels(5.6, 4.4)
    (axes,) = figure.axes
    low, high = (100 * bound for bound in control.score.interval())
    axes.axhspan(low, high, color=style.GREY, alpha=0.25, linewidth=0)
    axes.axhline(100 * control.score.accuracy, color=style.GREY, label="unpruned (control)")
    for family, (color, mark) in FAMILIES.items():
        found = sorted((row for row in rows if _family(row.variant) == family), key=lambda row: row.sparsity)
        if not found:
            continue
        x = [100 * row.sparsity for row in found]
        axes.plot(x, [100 * row.score.accuracy for row in found], mark, color=color, ms=5, label=family)
        for at, row in zip(x, found, strict=True):
            low, high = row.score.interval()
            style.error_bar(axes, at, 100 * low, 100 * high, color)
    for row in rows:
        if row.variant not in ("dense", CONTROL) and _family(row.variant) is None:
            at, height = 100 * row.sparsity, 100 * row.score.accuracy
            axes.plot([at], [height], "*", color=style.GREY, ms=7)
            axes.annotate(row.variant, (at, height), (-4, 4), textcoords="offset points", ha="right")
    axes.set(xlabel="zeros among the weights (%)", ylabel="accuracy (%)", ylim=(0, 100))
    axes.grid()
    style.add_legend(figure, 2)
    return figure
