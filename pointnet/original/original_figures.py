"""The study's figures, one per quantity, as PNG and SVG."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pointnet.original.evaluated_runs import Outcome
from pointnet.original.original_tables import COMPONENTS, component_energy_pj
from pointnet.original.published_runs import DESIGN_TITLES, DESIGNS, VARIANTS
from sparsim.hardware.layer_costs import PJ_PER_UJ
from sparsim.model.result import Evaluation
from sparsim.report import figure_style as style

BAR = 0.38
COLORS = {"dense": style.GREY, "sparse": style.BLUE}
ON_CHIP = COMPONENTS[:-1]


class Quantity(NamedTuple):
    file: str
    column: str  # columns of the published table
    title: str
    axis: str
    value: Callable[[Evaluation], float]
    log: bool = True


QUANTITIES = (
    Quantity("energy", "energy_uj", "Energy per layer", "energy (uJ)", lambda e: e.energy_pj / PJ_PER_UJ),
    Quantity("cycles", "cycles", "Cycles per layer", "cycles", lambda e: e.cycles),
    Quantity("edp", "edp_j_cycles", "Energy-delay product per layer", "EDP (J cycles)",
             lambda e: e.edp_j_cycles),
    Quantity("utilization", "utilization", "Share of the 168 PEs in use", "utilisation",
             lambda e: e.utilization, log=False),
)  # fmt: skip


def write_figures(folder: Path, outcomes: list[Outcome]) -> None:
    """Write one figure per quantity and one of the energy by component."""
    figures = {quantity.file: _bars(quantity, outcomes) for quantity in QUANTITIES}
    figures["breakdown"] = _breakdown(outcomes)
    for name, figure in figures.items():
        for suffix in ("png", "svg"):
            style.write_figure(figure, folder / f"{name}.{suffix}")


@style.styled
def _bars(quantity: Quantity, outcomes: list[Outcome]) -> Figure:
    figure = _panels(quantity.title, rows=1)
    for axis, design in zip(figure.axes, DESIGNS, strict=True):
        for place, variant in zip((-BAR / 2, BAR / 2), VARIANTS, strict=True):
            chosen = [o for o in outcomes if (o.run.design, o.run.variant) == (design, variant)]
            x = [o.run.number + place for o in chosen]
            heights = [quantity.value(o.evaluation) for o in chosen]
            axis.bar(x, heights, BAR, color=COLORS[variant], label=variant)
            published = [float(o.run.published[quantity.column]) for o in chosen]
            label = "published" if variant == VARIANTS[-1] else None
            axis.plot(x, published, "_", color=style.INK, markersize=9, markeredgewidth=1.4, label=label)
        if quantity.log:
            axis.set_yscale("log")
        _dress(axis, design, outcomes)
    figure.axes[0].set_ylabel(quantity.axis)
    style.add_legend(figure, 3)
    return figure


@style.styled
def _breakdown(outcomes: list[Outcome]) -> Figure:
    """Draw the energy per algorithmic MAC, because the layers' energies differ by five orders of magnitude.
    The lower row is without DRAM.
    """
    figure = _panels("Energy by component, left bar dense, right bar sparse", rows=2)
    rows = figure.axes[: len(DESIGNS)], figure.axes[len(DESIGNS) :]
    looks = style.part_styles(COMPONENTS)
    for axes, names in zip(rows, (COMPONENTS, ON_CHIP), strict=True):
        for axis, design in zip(axes, DESIGNS, strict=True):
            chosen = [o for o in outcomes if o.run.design == design]
            x = [o.run.number + (-BAR / 2 if o.run.variant == "dense" else BAR / 2) for o in chosen]
            bottom = [0.0] * len(chosen)
            for name in names:
                heights = [_pj_per_mac(o.evaluation, name) for o in chosen]
                axis.bar(x, heights, BAR * 0.92, bottom=bottom, label=name, **looks[name])
                bottom = [b + h for b, h in zip(bottom, heights, strict=True)]
            _dress(axis, design, outcomes)
        axes[0].set_ylabel("pJ per algorithmic MAC" + ("" if "DRAM" in names else ", on chip"))
    style.add_legend(figure, len(COMPONENTS))
    return figure


def _pj_per_mac(evaluation: Evaluation, component: str) -> float:
    return component_energy_pj(evaluation)[component] / evaluation.algorithmic_computes


def _panels(title: str, rows: int) -> Figure:
    """Make a figure with one column per design; panels of a row share their scale."""
    title = f"{title} (PointNet++, 2 clouds, timeloop-2022)"
    return style.panels(11.0, 0.9 + 3.4 * rows, rows, len(DESIGNS), title=title, sharey="row")


def _dress(axis: Axes, design: str, outcomes: list[Outcome]) -> None:
    names = {o.run.number: o.run.layer.name.replace("mlp_convs.", "") for o in outcomes}
    style.label_layers(axis, [f"{number}\n{name}" for number, name in names.items()], list(names))
    axis.set(title=DESIGN_TITLES[design], xlabel="layer")
