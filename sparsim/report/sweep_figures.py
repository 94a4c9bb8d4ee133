"""Figures of a sweep: the front, points by objectives and axes, energies along the front, and effects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from sparsim.errors import SpecError
from sparsim.report import figure_style as style
from sparsim.sweep.front_analysis import Reals, ranked_effects
from sparsim.sweep.pareto import non_dominated
from sparsim.sweep.study import Direction
from sparsim.sweep.sweep_tables import COMPONENT
from sparsim.sweep.sweep_view import SweepView, Unit, unit_of

REST, FRONT = style.GREY, style.RED
MOST_LABELS = 16  # most labels on a figure of the front
MOST_BARS = 30
MOST_COLUMNS = 6  # most columns of a scatter matrix
MOST_LINES = 2000  # most lines of parallel coordinates
MOST_AXES = 6  # most axes with panels of effects
MOST_VALUES = 8  # most values of an axis that are labelled one by one
Objectives = dict[str, Direction]


@style.styled
def draw_pareto(view: SweepView, objectives: Objectives) -> Figure:
    """Draw all points by the first two objectives, with their front as steps and the third objective as
    colour.

    With three objectives, points on the front of all three are coloured, and others are grey.
    """
    if len(objectives) < 2:
        raise SpecError("a picture of a front needs two objectives")
    (x_name, y_name), third = list(objectives)[:2], list(objectives)[2:3]
    rows, front = view.ok, view.front(objectives)
    x, y = _scaled(rows, x_name), _scaled(rows, y_name)
    figure = style.panels(7.4, 5.0)
    (axes,) = figure.axes
    axes.scatter(x[0], y[0], s=14, color=REST, linewidths=0, label="other points", zorder=2, rasterized=True)
    both = {name: objectives[name] for name in (x_name, y_name)}
    _draw_steps(axes, view, rows, both, x[1], y[1])
    fx, fy = front[x_name].to_numpy(float) / x[1].scale, front[y_name].to_numpy(float) / y[1].scale
    if third:
        colors, unit = _scaled(front, third[0])
        marks = axes.scatter(
            fx, fy, c=colors, cmap="viridis", s=60, edgecolors=style.INK, linewidths=0.7, zorder=4,
            label="front of all objectives",
        )  # fmt: skip
        figure.colorbar(marks, ax=axes, label=unit.label, pad=0.02)
    else:
        axes.scatter(
            fx, fy, color=style.BLUE, s=50, edgecolors=style.INK, linewidths=0.7, zorder=4, label="front"
        )
    _label_points(axes, front["point"].to_numpy(), fx, fy)
    _finish(axes, x[1], y[1])
    axes.set_title(f"{view.study.name}: {len(front)} of {len(rows)} evaluated points on the front")
    axes.legend(loc="best")
    return figure


def _draw_steps(axes: Axes, view: SweepView, rows: Any, both: Objectives, x: Unit, y: Unit) -> None:
    """Draw the front of two objectives as a staircase."""
    across, up = both
    found = rows[non_dominated(view.values(rows, both))].drop_duplicates([across, up]).sort_values(across)
    where: Any = "post" if both[across] == "min" else "pre"
    axes.step(
        found[across].to_numpy(float) / x.scale, found[up].to_numpy(float) / y.scale,
        where=where, color=FRONT, linewidth=1.6, zorder=3, label=f"front of {x.title} and {y.title}",
    )  # fmt: skip


def _label_points(axes: Axes, numbers: Any, x: Reals, y: Reals) -> None:
    """Label points with their numbers, spread over the front if there are many; one label per place."""
    places: dict[tuple[float, float], list[str]] = {}
    for number, across, up in zip(numbers, x.tolist(), y.tolist(), strict=True):
        places.setdefault((across, up), []).append(str(number))
    wide, high = max(np.ptp(x), 1e-300), max(np.ptp(y), 1e-300)
    shown: list[tuple[float, float]] = []
    for place, names in places.items():
        at = place[0] / wide, place[1] / high
        if len(shown) < MOST_LABELS and all(np.hypot(at[0] - a, at[1] - b) > 0.05 for a, b in shown):
            shown.append(at)
            text = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
            axes.annotate(text, place, xytext=(6, 6), textcoords="offset points", fontsize=8, zorder=5)


@style.styled
def draw_matrix(view: SweepView, objectives: Objectives) -> Figure:
    """Draw a scatter matrix of objectives and numeric axes, with the front on top."""
    numeric = [name for name in view.axes if view.frame[name].dtype.kind in "if"]
    names = [*objectives, *numeric][: max(MOST_COLUMNS, len(objectives))]
    rows, front = view.ok, view.front(objectives)
    size = max(2.0, min(2.6, 13 / len(names))) * len(names)
    title = f"{view.study.name}: evaluated points, the front in red"
    figure = style.panels(size, size, len(names), len(names), title=title)
    grid = np.array(figure.axes, object).reshape(len(names), len(names))
    for i, down in enumerate(names):
        for j, across in enumerate(names):
            axes = grid[i, j]
            (x, unit), (y, other) = _scaled(rows, across), _scaled(rows, down)
            if i == j:
                axes.hist(x[np.isfinite(x)], bins=20, color=style.SKY)
                axes.set_yticks([])
            else:
                axes.scatter(x, y, s=6, color=REST, linewidths=0, rasterized=True)
                axes.scatter(
                    front[across] / unit.scale, front[down] / other.scale, s=14, color=FRONT, linewidths=0
                )
            if i == len(names) - 1:
                axes.set_xlabel(unit.label, fontsize=9)
            if j == 0:
                axes.set_ylabel(other.label if i else f"points by {unit.title}", fontsize=9)
            axes.tick_params(labelsize=7, labelbottom=i == len(names) - 1, labelleft=j == 0 and i != j)
    return figure


@style.styled
def draw_parallel(view: SweepView, objectives: Objectives) -> Figure:
    """Draw a line per point across axes and objectives, coloured by the first objective; all points of the
    front are shown.
    """
    names = [*view.axes, *objectives]
    rows, front = view.ok, view.front(objectives)
    if len(rows) > MOST_LINES:  # the front, and an even selection of other points
        rows = rows.iloc[np.linspace(0, len(rows) - 1, MOST_LINES).astype(int)]
    figure = style.panels(max(8.0, 1.5 * len(names) + 1), 5.2)
    (axes,) = figure.axes
    places = {name: _places(view.ok[name], is_axis=name in view.axes) for name in names}
    first = next(iter(objectives))
    values, unit = _scaled(view.ok, first)
    norm = Normalize(float(np.nanmin(values)), float(np.nanmax(values)))
    for part, width, alpha in ((rows, 0.7, 0.25), (front, 1.8, 1.0)):
        y = np.column_stack([places[name][0](part[name]) for name in names])
        lines = [np.column_stack([np.arange(len(names)), line]) for line in y]
        shown = LineCollection(lines, cmap="viridis", norm=norm, linewidths=width, alpha=alpha)  # type: ignore[arg-type]
        shown.set_array(part[first].to_numpy(float) / unit.scale)
        axes.add_collection(shown)
    for k, name in enumerate(names):
        axes.axvline(k, color=style.INK, linewidth=0.8)
        for place, text in places[name][1]:
            axes.annotate(
                text, (k, place), xytext=(4, 0), textcoords="offset points", fontsize=8, va="center",
                bbox={"boxstyle": "round,pad=0.15", "fc": style.PAPER, "ec": "none", "alpha": 0.8},
            )  # fmt: skip
    titles = [unit_of(name, view.ok[name]).label if name in objectives else name for name in names]
    axes.set_xticks(range(len(names)), [title.replace(" (", "\n(") for title in titles], fontsize=9)
    axes.tick_params(length=0)
    axes.set(xlim=(-0.2, len(names) - 0.4), ylim=(-0.05, 1.05), yticks=[])
    axes.spines[:].set_visible(False)
    figure.colorbar(shown, ax=axes, label=unit.label, pad=0.02)
    axes.set_title(f"{view.study.name}: thick lines are the {len(front)} points of the front")
    return figure


def _places(values: Any, is_axis: bool) -> tuple[Callable[[Any], Reals], list[tuple[float, str]]]:
    """Return the positions of the values of a column and of the ticks between 0 and 1: evenly spaced for few
    values of an axis, otherwise by value.
    """
    known = list(dict.fromkeys(_listed(values)))
    if is_axis and (len(known) <= 2 * MOST_VALUES or values.dtype.kind not in "if"):
        is_number = all(isinstance(v, int | float) or v is None for v in known)
        ordered = sorted(known, key=(lambda v: (v is None, v or 0)) if is_number else str)
        at = {value: i / max(len(ordered) - 1, 1) for i, value in enumerate(ordered)}
        step = -(-len(ordered) // MOST_VALUES)
        ticks = [(at[value], _text(value)) for value in ordered[::step]]
        return lambda column: np.array([at[value] for value in _listed(column)]), ticks
    unit = unit_of(values.name, values)
    low, high = float(values.min()), float(values.max())
    span = high - low or 1.0
    digits = 4 + max(0, int(np.log10(max(abs(low), abs(high)) / span)) if high > low else 0)
    ticks = [
        (k / 4, f"{(low + k / 4 * span) / unit.scale:.{digits}g}") for k in range(5 if high > low else 1)
    ]
    return lambda column: (column.to_numpy(float) - low) / span, ticks


@style.styled
def draw_stack(view: SweepView, objectives: Objectives) -> Figure:
    """Draw energy by component of the points of the front, in the order of the first objective."""
    front = view.front(objectives)
    names = [name for name in view.components if front[name].fillna(0).to_numpy(float).any()]
    if not names:
        raise SpecError("the results have no energies by component")
    if len(front) > MOST_BARS:
        front = front.iloc[np.unique(np.linspace(0, len(front) - 1, MOST_BARS).astype(int))]
    names.sort(key=lambda name: (name == f"{COMPONENT}DRAM", -front[name].fillna(0).sum()))
    unit = unit_of("energy_pj", front[names].fillna(0).sum(axis=1))
    texts = [
        f"{row['point']}: " + ", ".join(_text(row[axis]) for axis in view.axes) for _, row in front.iterrows()
    ]
    figure = style.panels(max(7.5, 3.5 + 0.42 * len(front)), 6.0)
    (axes,) = figure.axes
    bottom = np.zeros(len(front))
    titles = [name.removeprefix(COMPONENT) for name in names]
    looks = style.part_styles(titles)
    for name, title in zip(names, titles, strict=True):
        height = front[name].fillna(0).to_numpy(float) / unit.scale
        axes.bar(range(len(front)), height, bottom=bottom, label=title, **looks[title])
        bottom += height
    turned: dict[str, Any] = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(len(front)), texts, fontsize=8, **(turned if len(front) > 4 else {}))
    axes.set_xlabel(f"point of the front: {', '.join(view.axes)}")
    axes.set_ylabel(unit.label)
    axes.grid(axis="y")
    first = next(iter(objectives))
    axes.set_title(f"{view.study.name}: energy along the front, best {unit_of(first, [0]).title} first")
    figure.legend(loc="outside right upper", reverse=True)
    return figure


@style.styled
def draw_effects(view: SweepView, objectives: Objectives) -> Figure:
    """Draw the mean of each objective by the values of each axis, the axes with the largest effects first."""
    rows = view.ok
    given = {axis: axis_values(rows, axis) for axis in view.axes}
    if not given:
        raise SpecError("no axis has several values")
    names = list(objectives)
    ranked = {name: ranked_effects(given, rows[name].to_numpy(float)) for name in names}
    columns = min(len(given), MOST_AXES)
    title = "Mean and 10th to 90th percentile by the values of each axis,\n"
    title += "and the share of the variance that the axis explains alone"
    size = max(6.0, 2.5 * columns + 0.8), 2.5 * len(names) + 0.6
    figure = style.panels(*size, len(names), columns, title=title, sharey="row")
    grid = np.array(figure.axes, object).reshape(len(names), columns)
    for line, name in zip(grid, names, strict=True):
        unit = unit_of(name, rows[name])
        for axes, found in zip(line, ranked[name][:columns], strict=True):
            at = np.arange(len(found.centres))
            low, high = found.lows / unit.scale, found.highs / unit.scale
            axes.vlines(at, low, high, color=style.SKY, linewidth=6, alpha=0.6)
            is_ordered = not any(isinstance(value, str) for value in found.centres)
            axes.plot(
                at, found.means / unit.scale, "o-" if is_ordered else "o", color=style.BLUE, markersize=4
            )
            texts = [f"{value:.3g}" if isinstance(value, float) else _text(value) for value in found.centres]
            step = -(-len(at) // MOST_VALUES)
            axes.set_xticks(
                at[::step],
                texts[::step],
                fontsize=8,
                rotation=30 if sum(map(len, texts)) > 20 or max(map(len, texts)) > 5 else 0,
            )
            axes.set_xlim(-0.4, len(at) - 0.6)
            axes.set_title(f"{found.axis}: {found.share:.0%}", fontsize=9)
            axes.grid()
            axes.tick_params(axis="y", labelsize=8)
        line[0].set_ylabel(unit.label, fontsize=9)
    return figure


KINDS: dict[str, Callable[[SweepView, Objectives], Figure]] = {
    "pareto": draw_pareto, "matrix": draw_matrix, "parallel": draw_parallel, "stack": draw_stack,
    "effects": draw_effects,
}  # fmt: skip


def axis_values(rows: Any, axis: str) -> list[object]:
    """Return the values of an axis; None where it has none."""
    return _listed(rows[axis])


def _listed(column: Any) -> list[Any]:
    return [None if missing else value for value, missing in zip(column.tolist(), column.isna(), strict=True)]


def _scaled(rows: Any, name: str) -> tuple[Reals, Unit]:
    values = rows[name].to_numpy(float)
    unit = unit_of(name, values)
    return values / unit.scale, unit


def _text(value: object) -> str:
    if value is None or value != value:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _finish(axes: Axes, x: Unit, y: Unit) -> None:
    axes.set_xlabel(x.label)
    axes.set_ylabel(y.label)
    axes.grid()
    axes.margins(0.06)
