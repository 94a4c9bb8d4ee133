"""Figures of the study's report: energies, cycles, areas and accuracies of networks on designs."""

import math
from collections.abc import Callable, Iterable, Mapping
from itertools import cycle
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pointnet.study.design_costs import ACTIVATIONS, BOTH, DENSE, TITLES, VARIANTS, WEIGHTS
from pointnet.study.findings import Findings
from pointnet.study.number_texts import signed
from pointnet.study.pruning_comparison import CONTROL
from pointnet.study.savings import Saved, savings
from sparsim.hardware import LayerCost, NetworkCost
from sparsim.hardware.layer_costs import PJ_PER_UJ, UM2_PER_MM2
from sparsim.report import figure_style as style
from sparsim.report.machine_comparison import draw_comparison

NETWORK_COLORS = (style.GREY, style.BLUE, style.ORANGE)  # of the networks that are compared
MARKS = dict(
    zip(
        VARIANTS,
        ((style.GREY, "x"), (style.ORANGE, "s"), (style.GREEN, "^"), (style.PINK, "D"), (style.BLUE, "o")),
        strict=True,
    )
)
TITLES_OF_TOTALS = {
    "energy": ("Energy of one inference (µJ)", "µJ"), "cycles": ("Cycles of one inference", "cycles"),
}  # fmt: skip
GROUPS = {
    "arithmetic": style.BLUE, "memories of PEs": style.ORANGE, "global buffer": style.GREEN,
    "network, clock, control": style.PINK, "DRAM": style.GREY,
}  # fmt: skip
LEAST_ACCURACY = 10.0  # smallest span of the axis of accuracies in percent
WIDE = 9.6  # width in inches of figures with a place for each layer
Value = Callable[[LayerCost], float]
LAYER_QUANTITIES: dict[str, tuple[str, str, Value, bool]] = {
    "energy": ("Energy per layer, DRAM included", "energy (µJ)", lambda x: x.total_pj / PJ_PER_UJ, True),
    "cycles": ("Cycles per layer", "cycles", lambda x: x.cycles, True),
    "edp": ("Energy-delay product per layer", "EDP (J cycles)", lambda x: x.edp_j_cycles, True),
    "pj_per_mac": ("Energy per algorithmic MAC", "pJ per MAC", lambda x: x.pj_per_mac, True),
    "utilization": ("Used slots for MACs", "utilisation (%)", lambda x: 100 * x.utilization, False),
}  # fmt: skip


class Drawn(NamedTuple):
    """A figure, and a description of what it shows."""

    figure: Figure
    text: str


def draw_all(found: Findings) -> dict[str, Drawn]:
    """Return the figures by name."""
    drawn = {f"answer-{quantity}": _answer(found, quantity) for quantity in ("energy", "cycles")}
    drawn["parts"] = _parts(found)
    saves = {design: savings(costs) for design, costs in found.costs.items()}
    lowest = min(
        100 * min(row[:3]) for both in saves.values() for rows in both.values() for row in rows.values()
    )
    drawn |= {f"savings-{design}": _savings(design, both, lowest) for design, both in saves.items()}
    drawn["accuracy"] = _accuracy(found)
    drawn |= {name: _layers(found, *quantity) for name, quantity in LAYER_QUANTITIES.items()}
    drawn |= {f"components-{design}": _components(design, costs) for design, costs in found.costs.items()}
    drawn["area"] = _areas(found)
    drawn["machines"] = Drawn(*draw_comparison(found.machines, found.compared[0].title))
    return drawn


def total(cost: NetworkCost, quantity: str) -> float:
    return cost.cycles if quantity == "cycles" else cost.energy_uj


@style.styled
def _answer(found: Findings, quantity: str) -> Drawn:
    """Draw a bar per network on each design, with the spread over clouds and the change to the first one."""
    title, unit = TITLES_OF_TOTALS[quantity]
    figure = style.panels(4.7, 3.9)
    (axes,) = figure.axes
    width, said = 0.8 / len(found.compared), []
    for place, (each, color) in enumerate(zip(found.compared, NETWORK_COLORS, strict=False)):
        for x, (design, costs) in enumerate(found.costs.items()):
            at = x + (place - (len(found.compared) - 1) / 2) * width
            height, base = total(costs[each.variant], quantity), total(costs[DENSE], quantity)
            low, high = found.clouds[design][each.variant].range_of(quantity)
            axes.bar(at, height, 0.92 * width, color=color, label="" if x else each.title)
            style.error_bar(axes, at, low, high)
            if place:
                _write_change(axes, at, max(height, high), height / base - 1)
            said.append(f"{TITLES[design]}, {each.title}: {height:,.6g} {unit}")
    axes.set_xticks(range(len(found.costs)), [TITLES[design].replace(" ", "\n", 1) for design in found.costs])
    axes.tick_params(axis="x", length=0)
    axes.set(title=title, ylim=(0, 1.25 * axes.get_ylim()[1]))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="y")
    style.add_legend(figure, 3)
    return Drawn(figure, f"Bar chart. {title}. {'; '.join(said)}.")


def _write_change(axes: Axes, x: float, y: float, change: float) -> None:
    """Write a change above a bar."""
    axes.annotate(
        signed(100 * change, "%"), (x, y), xytext=(0, 6), textcoords="offset points", ha="center",
        rotation=90, fontsize=8.5,
    )  # fmt: skip


@style.styled
def _parts(found: Findings) -> Drawn:
    """Draw the energy of one inference by groups of components: a panel per design, a bar per network."""
    networks, said = found.compared, []
    height = 1.1 + len(found.costs) * (0.4 + 0.32 * len(networks))
    figure = style.panels(5.8, height, len(found.costs), sharex=True)
    for axes, (design, costs) in zip(figure.axes, found.costs.items(), strict=True):
        left = [0.0] * len(networks)
        for group, color in GROUPS.items():
            widths = [_of_group(costs[each.variant], group) for each in networks]
            axes.barh([each.title for each in networks], widths, 0.75, left=left, label=group, color=color)
            left = [a + b for a, b in zip(left, widths, strict=True)]
            said += [
                f"{TITLES[design]}, {each.title}, {group}: {width:.2f} µJ"
                for each, width in zip(networks, widths, strict=True)
            ]
        axes.invert_yaxis()
        axes.set_title(TITLES[design])
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
    figure.axes[-1].set_xlabel("energy of one inference (µJ)")
    style.add_legend(figure, 3)
    return Drawn(figure, f"Energy by component. {'; '.join(said)}.")


def _of_group(cost: NetworkCost | LayerCost, group: str) -> float:
    """Return the energy of a group in µJ."""
    layers = cost.layers if isinstance(cost, NetworkCost) else (cost,)
    energies = (item for layer in layers for item in layer.energy_pj.items())
    return math.fsum(pj for name, pj in energies if group_of(name) == group) / PJ_PER_UJ


def group_of(component: str) -> str:
    """Return the one of `GROUPS` that a component of any of the designs belongs to."""
    if component.startswith("MAC"):
        return "arithmetic"
    if component.endswith(("spad", "spads", "reg")):
        return "memories of PEs"
    if component.endswith("glb"):
        return "global buffer"
    return "DRAM" if component == "DRAM" else "network, clock, control"


@style.styled
def _savings(design: str, saves: Mapping[str, Mapping[str, Saved]], lowest: float) -> Drawn:
    """Draw what zeros of weights and activations save of the baseline, by layer and in total.

    `lowest` is the lowest value of all designs in percent, so that all figures have one scale.
    """
    figure = style.panels(WIDE, 4.6, len(saves), sharex=True)
    for axes, (quantity, rows) in zip(figure.axes, saves.items(), strict=True):
        _draw_savings(axes, rows)
        title = f"{quantity.capitalize()} saved on {TITLES[design]}"
        axes.set(title=title, ylabel="saved (%)", ylim=(min(-10, 1.1 * lowest), 105))
        axes.spines["bottom"].set_visible(False)
    style.add_legend(figure, 3)
    said = "; ".join(
        f"{quantity}, {name}: {100 * row.total:.1f} %"
        for quantity, rows in saves.items()
        for name, row in rows.items()
    )
    return Drawn(figure, f"Saved by pruning on {TITLES[design]}. {said}.")


def _draw_savings(axes: Axes, rows: Mapping[str, Saved]) -> None:
    x = range(len(rows))
    for place, name in ((-0.2, WEIGHTS), (0.2, ACTIVATIONS)):
        heights = [100 * getattr(row, name) for row in rows.values()]
        axes.bar([i + place for i in x], heights, 0.4, color=MARKS[name][0], label=f"due to {name}")
    totals = [100 * row.total for row in rows.values()]
    axes.plot(x, totals, "_", color=style.INK, ms=18, mew=2, label="in total")
    axes.axhline(0, color=style.INK, linewidth=0.6)
    style.label_layers(axes, _short(rows))


@style.styled
def _accuracy(found: Findings) -> Drawn:
    """Draw accuracy against the share of the unpruned energy: a panel per design, a point per network."""
    figure = style.panels(WIDE, 3.6, 1, len(found.costs), sharey=True)
    points = {CONTROL: DENSE, **{name: name for name in found.names_of_pruned}}
    said, lowest = [], 100.0
    for axes, (design, costs) in zip(figure.axes, found.costs.items(), strict=True):
        looks = zip(cycle((style.GREY, *style.OKABE_ITO)), cycle("oDs^vPX*"))
        for (name, variant), (color, mark) in zip(points.items(), looks, strict=False):
            network, share = found.networks[name], 100 * costs[variant].energy_uj / costs[DENSE].energy_uj
            low, high = (100 * bound for bound in network.interval)
            style.error_bar(axes, share, low, high, color)
            label = f"{name} ({network.sparsity:.0%} zeros)"
            axes.plot(share, 100 * network.accuracy, mark, color=color, label=label)
            lowest = min(lowest, low)
            said.append(f"{TITLES[design]}, {name}: {share:.1f} % energy, {network.accuracy:.1%} accuracy")
        axes.set(title=TITLES[design], xlabel="energy (% of unpruned)")
        axes.set_xlim(0, 1.08 * axes.get_xlim()[1])
        axes.grid()
    figure.axes[0].set(ylabel="accuracy (%)", ylim=(min(lowest - 1, 100 - LEAST_ACCURACY), 100))
    style.add_legend(figure, 3)
    return Drawn(figure, f"Accuracy against energy. {'; '.join(said)}.")


@style.styled
def _layers(found: Findings, title: str, unit: str, value: Value, log: bool) -> Drawn:
    """Draw a panel per design with a mark per layer and variant."""
    figure = style.panels(WIDE, 0.9 + 2.3 * len(found.costs), len(found.costs), title=title)
    for axes, (design, costs) in zip(figure.axes, found.costs.items(), strict=True):
        for place, variant in enumerate(VARIANTS):
            layers, (color, mark) = costs[variant].layers, MARKS[variant]
            x = [i + 0.14 * (place - (len(VARIANTS) - 1) / 2) for i in range(len(layers))]
            axes.plot(x, [value(layer) for layer in layers], mark, color=color, ms=5, label=variant)
        if log:
            axes.set_yscale("log")
        else:
            axes.set_ylim(0, 105)
        style.label_layers(axes, _short(layer.layer for layer in costs[BOTH].layers))
        axes.set(title=TITLES[design], ylabel=unit)
    style.add_legend(figure, len(VARIANTS))
    return Drawn(figure, f"{title}, for each design and variant. The tables hold the numbers.")


@style.styled
def _components(design: str, costs: Mapping[str, NetworkCost]) -> Drawn:
    """Draw the stacked energy of all layers, DRAM included, with a panel per variant on one scale."""
    shown = {DENSE: "unpruned network (dense)", BOTH: "pruned network (both)"}
    figure = style.panels(WIDE, 6.0, len(shown), sharey=True)
    for axes, (variant, title) in zip(figure.axes, shown.items(), strict=True):
        layers = costs[variant].layers
        bottom = [0.0] * len(layers)
        for group, color in GROUPS.items():
            heights = [_of_group(layer, group) for layer in layers]
            axes.bar(range(len(layers)), heights, 0.7, bottom=bottom, label=group, color=color)
            bottom = [b + h for b, h in zip(bottom, heights, strict=True)]
        style.label_layers(axes, _short(layer.layer for layer in layers))
        axes.set(title=f"{TITLES[design]}, {title}", ylabel="energy (µJ)")
    style.add_legend(figure, len(GROUPS))
    return Drawn(figure, f"Energy by component and layer on {TITLES[design]}, unpruned and pruned.")


@style.styled
def _areas(found: Findings) -> Drawn:
    figure = style.panels(WIDE, 3.4, 1, len(found.costs))
    said = []
    for axes, (design, costs) in zip(figure.axes, found.costs.items(), strict=True):
        areas = {name: um2 / UM2_PER_MM2 for name, um2 in costs[BOTH].area_um2.items()}
        bars = axes.barh(list(areas), list(areas.values()), color=style.BLUE)
        axes.bar_label(bars, fmt="%.3f", fontsize=8, padding=2)
        axes.invert_yaxis()
        said.append(f"{TITLES[design]}: {sum(areas.values()):.3f} mm²")
        axes.set(
            title=f"{TITLES[design]}\n{sum(areas.values()):.2f} mm²", xlabel="area (mm²)",
            xlim=(0, 1.25 * max(areas.values())),
        )  # fmt: skip
    return Drawn(figure, f"Area by component. {'; '.join(said)}.")


def _short(names: Iterable[str]) -> list[str]:
    return [name.replace(".mlp_convs.", "\n") for name in names]
