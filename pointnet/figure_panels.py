"""What figures of networks have in common: panels whose horizontal axis is the layers, and files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # files only, no display

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from sparsim.fileio.writing import replacing

_METADATA: dict[str, dict[str, str | None]] = {"png": {}, "svg": {"Date": None}}  # equal runs, equal files


def panels(
    title: str, rows: int, columns: int = 1, *, height: float = 2.7, share_rows: bool = False
) -> Figure:
    """A figure of rows x columns axes; with `share_rows` the panels of a row have one scale."""
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
    figure = plt.figure(figsize=(11.0, 0.9 + height * rows), layout=layout)
    figure.suptitle(title, fontsize=12)
    for axis in figure.subplots(rows, columns, squeeze=False, sharey="row" if share_rows else False).flat:
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def label_layers(axis: Axes, places: Sequence[int], labels: Sequence[str], title: str) -> None:
    """Name the layers along the horizontal axis."""
    axis.set_title(title, fontsize=11)
    axis.set_xticks(places, labels, fontsize=8)
    axis.tick_params(axis="x", length=0)
    axis.set_xlabel("layer")
    axis.grid(axis="y", color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)


def add_legend(figure: Figure, columns: int) -> None:
    """Below all panels, of what the first one shows."""
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=columns,
        frameon=False, fontsize=9,
    )  # fmt: skip


def save(figures: Mapping[str, Figure], folder: Path, *suffixes: str, dpi: int) -> list[str]:
    """Write each figure as NAME.SUFFIX for each suffix and close it; returns the names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        for suffix in suffixes:
            with replacing(folder / f"{name}.{suffix}") as file:
                figure.savefig(file, format=suffix, dpi=dpi, metadata=_METADATA[suffix])
        plt.close(figure)
    return list(figures)
