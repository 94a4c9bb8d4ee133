"""Figures of a network on several chips: speed and energy of each layer, and shares of time and energy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter, StrMethodFormatter

from sparsim.report import figure_style as style
from sparsim.report.chip_comparison import ComparedChip, comparison_document

_WIDTH = 0.8  # of the bars of a layer, together


@style.styled
def draw_comparison(chips: Sequence[ComparedChip]) -> Figure:
    """Draw speed and energy of each layer relative to the first chip, and shares of the time."""
    found = comparison_document(chips)
    base, labels = found["baseline"], list(found["chips"])
    names = [layer["layer"] for layer in found["chips"][base]["layers"]]
    figure = style.panels(max(7.0, 2.0 + 0.4 * len(names)), 8.4, 3, 1)
    panels = (
        ("speedup", f"Speed relative to {base}"),
        ("energy_gain", f"Energy of {base} over that of each chip"),
        ("time_share", "Share of the time of the network"),
    )
    for axes, (key, title) in zip(figure.axes, panels, strict=True):
        values = {label: [layer[key] for layer in chip["layers"]] for label, chip in found["chips"].items()}
        _grouped_bars(axes, names, values, bottom=0.0 if key == "time_share" else 1.0)
        axes.set_title(title)
    style.add_legend(figure, len(labels))
    return figure


@style.styled
def draw_energy_shares(chips: Sequence[ComparedChip]) -> Figure:
    """Draw the shares of the energy of every layer by component, a panel for each chip."""
    found = comparison_document(chips)["chips"]
    names = [layer["layer"] for layer in found[chips[0].label]["layers"]]
    groups = list(dict.fromkeys(group for chip in found.values() for group in chip["energy_shares"]))
    looks = style.part_styles(groups)
    figure = style.panels(max(7.0, 2.0 + 0.4 * len(names)), 1.0 + 2.6 * len(chips), len(chips), 1)
    for axes, (label, chip) in zip(figure.axes, found.items(), strict=True):
        bottom = np.zeros(len(names))
        for group in groups:
            shares = np.array([layer["energy_shares"].get(group, 0.0) for layer in chip["layers"]])
            axes.bar(range(len(names)), shares, bottom=bottom, width=_WIDTH, label=group, **looks[group])
            bottom += shares
        _label(axes, names)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_title(f"Energy by component on {label}")
    style.add_legend(figure, len(groups))
    return figure


def _grouped_bars(axes: Axes, names: Sequence[str], values: dict[str, list[float]], bottom: float) -> None:
    """Draw quotients upwards and downwards from 1, and shares from 0."""
    width = _WIDTH / len(values)
    for k, (label, heights) in enumerate(values.items()):
        places = np.arange(len(names)) + (k - (len(values) - 1) / 2) * width
        color = style.OKABE_ITO[k % len(style.OKABE_ITO)]
        axes.bar(places, np.array(heights) - bottom, width, bottom, label=label, color=color)
    _label(axes, names)
    if bottom:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g} x"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.axhline(bottom, color=style.INK, linewidth=1)
    else:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def _label(axes: Axes, names: Sequence[str]) -> None:
    style.label_layers(axes, names)
    axes.tick_params(axis="x", rotation=90 if len(names) > 10 else 0)
    axes.set_xlim(-0.6, len(names) - 0.4)
