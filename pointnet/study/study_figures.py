"""Figures of the study's report, as PNG: energies, cycles, areas, accuracies of networks on designs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pointnet.figure_panels import add_legend, label_layers, panels, save
from pointnet.study.design_costs import BOTH, DENSE, TITLES, VARIANTS
from pointnet.study.pruning_comparison import CONTROL
from pointnet.study.savings import Saved
from pointnet.study.study_networks import Network
from sparsim.hardware import LayerCost, NetworkCost
from sparsim.hardware.layer_costs import PJ_PER_UJ, UM2_PER_MM2

Costs = Mapping[str, Mapping[str, NetworkCost]]  # design, variant
Saves = Mapping[str, Mapping[str, Mapping[str, Saved]]]  # design, quantity, layer
COLORS = dict(zip(VARIANTS, ("#c9ced6", "#6b7686", "#e8a33d", "#3f9b7a", "#1f6fb4"), strict=True))
PALETTE = "tab20"
DRAM_COLOR = "#9aa1ab"  # everywhere the same, and unlike what is on chip
LEAST_SAVED = 5.0  # percent that a panel of savings spans at least: next to nothing shall look like it
DPI = 120
QUANTITIES: dict[str, tuple[str, str, Callable[[LayerCost], float], bool]] = {
    "energy": ("Energy per layer, DRAM included", "energy (uJ)", lambda x: x.total_pj / PJ_PER_UJ, True),
    "cycles": ("Cycles per layer", "cycles", lambda x: x.cycles, True),
    "edp": ("Energy-delay product per layer", "EDP (J cycles)", lambda x: x.edp_j_cycles, True),
    "pj_per_mac": ("Energy per algorithmic MAC", "pJ per MAC", lambda x: x.pj_per_mac, True),
    "utilization": (
        "Share of the slots for MACs that have one",
        "utilisation (%)",
        lambda x: 100 * x.utilization,
        False,
    ),
}


def write_figures(
    folder: Path, costs: Costs, networks: Mapping[str, Network], pruned: Sequence[str], shown: Saves
) -> list[str]:
    """All figures; returns their names without suffix. `pruned`: networks of the accuracy figure beside the
    control, their variants being named alike. `shown`: savings per layer, by design."""
    figures = {name: _layers(costs, *quantity) for name, quantity in QUANTITIES.items()}
    figures |= {f"components-{design}": _components(design, found) for design, found in costs.items()}
    figures |= {f"savings-{design}": _savings(design, saves) for design, saves in shown.items()}
    figures["area"] = _areas(costs)
    figures["accuracy"] = _accuracy(costs, networks, pruned)
    return save(figures, folder, "png", dpi=DPI)


def _layers(costs: Costs, title: str, unit: str, value: Callable[[LayerCost], float], log: bool) -> Figure:
    """A panel per design, a group of bars per layer, a bar per variant."""
    figure = panels(title, len(costs))
    bar = 0.8 / len(VARIANTS)
    for axis, (design, found) in zip(figure.axes, costs.items(), strict=True):
        for place, variant in enumerate(VARIANTS):
            layers = found[variant].layers
            x = [i + (place - (len(VARIANTS) - 1) / 2) * bar for i in range(len(layers))]
            axis.bar(x, [value(layer) for layer in layers], bar, color=COLORS[variant], label=variant)
        if log:
            axis.set_yscale("log")
        _dress(axis, [layer.layer for layer in found[BOTH].layers], TITLES[design], unit)
    add_legend(figure, len(VARIANTS))
    return figure


def _components(design: str, found: Mapping[str, NetworkCost]) -> Figure:
    """Stacked energy per layer, a panel per variant: all layers, DRAM included, on one scale."""
    shown = (DENSE, BOTH)
    figure = panels(f"Energy by component per layer, {TITLES[design]}", len(shown), height=3.0)
    names = list(found[BOTH].layers[0].energy_pj)
    palette = plt.get_cmap(PALETTE)
    top = 0.0
    for axis, variant in zip(figure.axes, shown, strict=True):
        layers = found[variant].layers
        bottom = [0.0] * len(layers)
        for i, name in enumerate(names):
            heights = [layer.energy_pj[name] / PJ_PER_UJ for layer in layers]
            color = DRAM_COLOR if name == "DRAM" else palette(i)
            axis.bar(range(len(layers)), heights, 0.7, bottom=bottom, color=color, label=name)
            bottom = [b + h for b, h in zip(bottom, heights, strict=True)]
        top = max(top, *bottom)
        title = "unpruned network (dense)" if variant == DENSE else "pruned network (both)"
        _dress(axis, [layer.layer for layer in layers], title, "energy (uJ)")
    for axis in figure.axes:
        axis.set_ylim(0, 1.05 * top)
    add_legend(figure, 7)
    return figure


def _savings(design: str, saves: Mapping[str, Mapping[str, Saved]]) -> Figure:
    """Per layer and for all: what weights and activations take off the honest dense baseline."""
    figure = panels(f"Saved by pruning, against the honest dense baseline, {TITLES[design]}", len(saves))
    for axis, (quantity, rows) in zip(figure.axes, saves.items(), strict=True):
        x = range(len(rows))
        parts = {"weights": COLORS["weights"], "activations": COLORS["activations"]}
        for place, (name, color) in zip((-0.2, 0.2), parts.items(), strict=True):
            heights = [100 * getattr(row, name) for row in rows.values()]
            axis.bar([i + place for i in x], heights, 0.4, color=color, label=f"due to {name}")
        axis.plot(x, [100 * row.total for row in rows.values()], "_k", ms=18, mew=2, label="in total")
        axis.axhline(0, color="black", linewidth=0.6)
        low, high = axis.get_ylim()
        axis.set_ylim(min(low, -LEAST_SAVED), max(high, LEAST_SAVED))
        _dress(axis, list(rows), quantity, "saved (%)")
    add_legend(figure, 3)
    return figure


def _areas(costs: Costs) -> Figure:
    figure = panels("Area of all instances by component", 1, len(costs), height=3.2)
    for axis, (design, found) in zip(figure.axes, costs.items(), strict=True):
        areas = {name: um2 / UM2_PER_MM2 for name, um2 in found[BOTH].area_um2.items()}
        bars = axis.barh(list(areas), list(areas.values()), color="#1f6fb4")
        axis.bar_label(bars, fmt="%.3f", fontsize=8, padding=2)
        axis.invert_yaxis()
        axis.set_xlim(0, 1.25 * max(areas.values()))
        axis.set_title(f"{TITLES[design]}: {sum(areas.values()):.2f} mm2", fontsize=11)
        axis.set_xlabel("area (mm2)")
    return figure


def _accuracy(costs: Costs, networks: Mapping[str, Network], pruned: Sequence[str]) -> Figure:
    """A panel per design, a point per network, with the 95 % interval."""
    figure = panels("Accuracy on test clouds against energy per inference", 1, len(costs), height=3.4)
    for axis, (design, found) in zip(figure.axes, costs.items(), strict=True):
        points = {CONTROL: DENSE, **{name: name for name in pruned}}
        for name, variant in points.items():
            network, energy = networks[name], found[variant].energy_uj
            low, high = network.interval
            error = [[100 * (network.accuracy - low)], [100 * (high - network.accuracy)]]
            label = f"{name} ({network.sparsity:.0%} zeros)"
            axis.errorbar(energy, 100 * network.accuracy, error, fmt="o", capsize=3, label=label)
        energies = [found[variant].energy_uj for variant in points.values()]
        spread = 1 - min(energies) / max(energies)
        axis.margins(x=0.15)
        axis.locator_params(axis="x", nbins=4)
        axis.set_title(f"{TITLES[design]}: energies up to {100 * spread:.1f} % apart", fontsize=11)
        axis.set_xlabel("energy per inference (uJ)")
        axis.grid(color="#dddddd", linewidth=0.6)
    figure.axes[0].set_ylabel("accuracy (%)")
    add_legend(figure, 6)
    return figure


def _dress(axis: Axes, names: Sequence[str], title: str, unit: str) -> None:
    labels = [name.replace(".mlp_convs.", "\n") for name in names]
    label_layers(axis, range(len(names)), labels, title)
    axis.set_ylabel(unit)
