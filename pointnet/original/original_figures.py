"""The study's figures, one per metric, as PNG and SVG."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")  # files only, no display

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from pointnet.original.evaluated_runs import Outcome
from pointnet.original.original_tables import COMPONENTS, component_energy_pj
from pointnet.original.published_runs import DESIGN_TITLES, DESIGNS, VARIANTS
from pointnet.units import PJ_PER_UJ
from sparsim.fileio.writing import replacing
from sparsim.model.result import Evaluation

BAR = 0.38
VARIANT_COLORS = {"dense": "#8a94a6", "sparse": "#1f6fb4"}
COMPONENT_COLORS = dict(
    zip(COMPONENTS, ("#1b1b1b", "#7b5ea7", "#c2659c", "#e8a33d", "#3f9b7a", "#2f6db3"), strict=True)
)
ON_CHIP = COMPONENTS[:-1]


class Metric(NamedTuple):
    file: str
    column: str  # of the published table
    title: str
    axis: str
    value: Callable[[Evaluation], float]
    log: bool = True


METRICS = (
    Metric("energy", "energy_uj", "Energy per layer", "energy (uJ)", lambda e: e.energy_pj / PJ_PER_UJ),
    Metric("cycles", "cycles", "Cycles per layer", "cycles", lambda e: e.cycles),
    Metric(
        "edp", "edp_j_cycles", "Energy-delay product per layer", "EDP (J cycles)", lambda e: e.edp_j_cycles
    ),
    Metric(
        "utilization",
        "utilization",
        "Share of the 168 PEs in use",
        "utilisation",
        lambda e: e.utilization,
        log=False,
    ),
)


def write_figures(folder: Path, outcomes: list[Outcome]) -> list[str]:
    """One figure per metric and one of the energy by component; returns their names without suffix."""
    figures = {metric.file: _bars(metric, outcomes) for metric in METRICS}
    figures["breakdown"] = _breakdown(outcomes)
    for name, figure in figures.items():
        for suffix in ("png", "svg"):
            with replacing(folder / f"{name}.{suffix}") as file:
                figure.savefig(file, format=suffix, dpi=150, metadata=_METADATA[suffix])
        plt.close(figure)
    return list(figures)


_METADATA: dict[str, dict[str, str | None]] = {"png": {}, "svg": {"Date": None}}  # equal runs, equal files


def _bars(metric: Metric, outcomes: list[Outcome]) -> Figure:
    figure, (axes,) = _panels(metric.title, rows=1)
    for axis, design in zip(axes, DESIGNS, strict=True):
        for place, variant in zip((-BAR / 2, BAR / 2), VARIANTS, strict=True):
            chosen = [o for o in outcomes if (o.run.design, o.run.variant) == (design, variant)]
            x = [o.run.number + place for o in chosen]
            heights = [metric.value(o.evaluation) for o in chosen]
            axis.bar(x, heights, BAR, color=VARIANT_COLORS[variant], label=variant)
            published = [float(o.run.published[metric.column]) for o in chosen]
            label = "published" if variant == VARIANTS[-1] else None
            axis.plot(x, published, "_", color="black", markersize=9, markeredgewidth=1.4, label=label)
        if metric.log:
            axis.set_yscale("log")
        _dress(axis, design, outcomes)
    axes[0].set_ylabel(metric.axis)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def _breakdown(outcomes: list[Outcome]) -> Figure:
    """Per algorithmic MAC: the layers' energies lie five decades apart. The lower row leaves DRAM out."""
    figure, rows = _panels("Energy by component, left bar dense, right bar sparse", rows=2)
    for axes, names in zip(rows, (COMPONENTS, ON_CHIP), strict=True):
        for axis, design in zip(axes, DESIGNS, strict=True):
            chosen = [o for o in outcomes if o.run.design == design]
            x = [o.run.number + (-BAR / 2 if o.run.variant == "dense" else BAR / 2) for o in chosen]
            bottom = [0.0] * len(chosen)
            for name in names:
                heights = [_pj_per_mac(o.evaluation, name) for o in chosen]
                axis.bar(x, heights, BAR * 0.92, bottom=bottom, color=COMPONENT_COLORS[name], label=name)
                bottom = [b + h for b, h in zip(bottom, heights, strict=True)]
            _dress(axis, design, outcomes)
        axes[0].set_ylabel("pJ per algorithmic MAC" + ("" if "DRAM" in names else ", on chip"))
    handles, labels = rows[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(COMPONENTS), frameon=False)
    return figure


def _pj_per_mac(evaluation: Evaluation, component: str) -> float:
    return component_energy_pj(evaluation)[component] / evaluation.algorithmic_computes


def _panels(title: str, rows: int) -> tuple[Figure, list[list[Axes]]]:
    """A figure with one column per design; panels of a row share their scale."""
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    figure = plt.figure(figsize=(11, 1.2 + 3.4 * rows), layout=layout)
    axes = figure.subplots(rows, len(DESIGNS), sharey="row", squeeze=False)
    figure.suptitle(f"{title} (PointNet++, 2 clouds, timeloop-2022)", fontsize=12)
    return figure, axes.tolist()


def _dress(axis: Axes, design: str, outcomes: list[Outcome]) -> None:
    names = {o.run.number: o.run.layer.name.replace("mlp_convs.", "") for o in outcomes}
    axis.set_title(DESIGN_TITLES[design], fontsize=11)
    axis.set_xticks(list(names), [f"{number}\n{name}" for number, name in names.items()], fontsize=8)
    axis.tick_params(axis="x", length=0)
    axis.set_xlabel("layer")
    axis.grid(axis="y", color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
