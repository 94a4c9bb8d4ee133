"""The common style of all figures: colours, sizes, and files for paper, screens and dark mode.

Data have the colours of Okabe and Ito, which colour-blind people can tell apart, or of viridis. Text and axes
have the colour `INK`, and what covers lines has `PAPER`; in SVG both follow the page, light or dark.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

from sparsim.fileio.writing import replacing

BLUE, ORANGE, GREEN, PINK, SKY, RED, YELLOW = OKABE_ITO = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442",
)  # fmt: skip
GREY = "#8a8f98"  # baselines of coloured data; DRAM
GRID = "#8a8f9860"
INK, PAPER = "#24292e", "#fffffe"  # colours that nothing else uses, because they are replaced in SVG
DPI = 150

_ALONE = "<style>:root{color:#24292e;--paper:#fff;background:var(--paper)}" + (
    "@media(prefers-color-scheme:dark){:root{color:#d5d9de;--paper:#16191d}}</style>"
)

styled = rc_context({
    "axes.axisbelow": True, "axes.edgecolor": INK, "axes.labelcolor": INK, "axes.labelsize": 10,
    "axes.prop_cycle": cycler(color=OKABE_ITO), "axes.spines.right": False, "axes.spines.top": False,
    "axes.titlecolor": INK, "axes.titlelocation": "left", "axes.titlesize": 11, "axes.titleweight": "bold",
    "figure.titlesize": 11, "figure.titleweight": "bold", "font.size": 10,
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"], "grid.color": GRID, "grid.linewidth": 0.6,
    "hatch.color": PAPER, "legend.fontsize": 9, "legend.frameon": False, "text.color": INK,
    "xtick.color": INK, "xtick.labelsize": 9, "ytick.color": INK, "ytick.labelsize": 9,
})  # fmt: skip
"""A decorator of the functions that draw figures."""


def panels(
    width: float, height: float, rows: int = 1, columns: int = 1, *, title: str = "", **options: Any
) -> Figure:
    """Make a figure of rows x columns axes, with its size in inches; `options` are those of
    `Figure.subplots`.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    figure.subplots(rows, columns, squeeze=False, **options)
    return figure


def label_layers(axes: Axes, names: Sequence[str], places: Sequence[int] | None = None) -> None:
    """Name the layers of a network along the horizontal axis."""
    axes.set_xticks(places or range(len(names)), names, fontsize=8)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y")


def error_bar(axes: Axes, x: float, low: float, high: float, color: str = INK) -> None:
    """Draw a vertical line with caps from `low` to `high`."""
    axes.errorbar(x, (low + high) / 2, (high - low) / 2, fmt="none", ecolor=color, elinewidth=1.1, capsize=3)


def add_legend(figure: Figure, columns: int) -> None:
    """Add a legend of the first panel below all panels."""
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=columns)


def part_styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return drawing styles for the parts of a whole, the largest first: at most seven have colours, and
    others are hatched.

    DRAM is always grey.
    """
    colors = iter(OKABE_ITO)
    found: dict[str, dict[str, Any]] = {}
    for i, name in enumerate(name for name in names if name != "DRAM"):
        color = next(colors, OKABE_ITO[i % len(OKABE_ITO)])
        found[name] = {"color": color, "hatch": ("", "///", "...")[min(i // len(OKABE_ITO), 2)]}
    return {name: found.get(name, {"color": GREY, "hatch": ""}) | {"linewidth": 0} for name in names}


def write_figure(figure: Figure, path: Path, dpi: int = DPI) -> None:
    """Write a figure as .svg, which follows the light or dark mode of the viewer, or as .png on white."""
    with replacing(path) as file:
        if path.suffix == ".svg":
            file.write(standalone(_svg(figure)).encode())
        else:
            figure.savefig(file, format=path.suffix[1:] or None, dpi=dpi, facecolor="white")


def inline_svg(figure: Figure, text: str) -> str:
    """Return a figure as an element of a page, with `text` as its alternative text."""
    return _svg(figure).replace("<svg ", f'<svg role="img" aria-label="{escape(text)}" ', 1)


def standalone(svg: str) -> str:
    """Return the content of a file that shows the figure of a page by itself."""
    start, _, rest = svg.partition(">")
    return f"{start}>{_ALONE}{rest}\n"


def _svg(figure: Figure) -> str:
    """Return the figure as one SVG element; equal figures give equal texts."""
    file = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "sparsim"}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg ") :].rstrip()
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r' height="[\d.]+pt"', "", text, count=1)  # the width and the view box determine the height
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # ids must be different, because a page contains many figures
    text = re.sub(r"\n\s*", "\n", text)
    return text.replace(INK, "currentColor").replace(PAPER, "var(--paper, white)")
