"""Readable tables of a sweep: axis values, objectives in suitable units, and steps along a front."""

from __future__ import annotations

from typing import Any

from sparsim.report.tables import Table
from sparsim.sweep.front_analysis import steps
from sparsim.sweep.study import Direction
from sparsim.sweep.sweep_view import SweepView, unit_of

Objectives = dict[str, Direction]


def point_table(view: SweepView, rows: Any, objectives: Objectives, *, with_status: bool = False) -> Table:
    """Return a row per point: its number, the axes that vary, and the objectives."""
    axes, numbers = list(view.axes), list(objectives)
    units = {name: unit_of(name, rows[name]) for name in numbers}
    head = ["point", *axes, *(units[name].label for name in numbers)]
    cells = [
        [
            str(row["point"]), *(text(row[name]) for name in axes),
            *(number(row[name], units[name].scale) for name in numbers),
            *([row["status"], row["reason"].strip().split("\n")[-1]] if with_status else []),
        ]
        for row in rows.to_dict("records")
    ]  # fmt: skip
    left = {1 + i for i, name in enumerate(axes) if rows[name].dtype.kind not in "if"}
    if with_status:
        head += ["status", "reason"]
        left |= {len(head) - 2, len(head) - 1}
    return Table(head, cells, text=left)


def step_table(view: SweepView, objectives: Objectives, most: int) -> Table:
    """Return the first `most` steps along the front in words; of points with equal objectives only the first
    is a step. The price is the cost per unit of the objective that improves most.
    """
    front = view.front(objectives).drop_duplicates(list(objectives))
    rows = front.to_dict("records")
    units = {name: unit_of(name, front[name]) for name in objectives}
    found = []
    for k, step in enumerate(steps(view.values(front, objectives))[:most]):
        before, after = rows[k], rows[k + 1]
        changes = [
            f"{name} {text(before[name])} \u2192 {text(after[name])}"
            for name in view.axes
            if text(before[name]) != text(after[name])
        ]
        better: list[str] = []
        worse: list[str] = []
        for name, gain, relative in zip(objectives, step.gains, step.relative, strict=True):
            if gain:
                difference = abs(gain) / units[name].scale
                unit = f" {units[name].unit}" if units[name].unit else ""
                share = f" ({abs(relative):.1%})" if relative else ""
                way = "better" if gain > 0 else "worse"
                text_ = f"{units[name].title} {way} by {difference:.4g}{unit}{share}"
                (better if gain > 0 else worse).append(text_)
        found.append((
            f"{before['point']} \u2192 {after['point']}", "; ".join(changes) or "nothing that varies",
            "; ".join(better), "; ".join(worse) or "nothing", _price(step, list(objectives), units) or "-",
        ))  # fmt: skip
    head = ("step", "what changes", "what it buys", "what it costs", "price")
    return Table(head, found, text=range(len(head)))


def _price(step: Any, names: list[str], units: dict[str, Any]) -> str:
    """Return the price per unit of the objective that improves most, relative to its value."""
    best = int(step.relative.argmax())
    if step.gains[best] <= 0:
        return ""
    gain = step.gains[best] / units[names[best]].scale
    paid = [
        f"{-cost / units[name].scale / gain:.3g} {units[name].unit} of {units[name].title}".replace("  ", " ")
        for name, cost in zip(names, step.gains, strict=True)
        if cost < 0
    ]
    per = units[names[best]]
    return f"{' and '.join(paid)} per {per.unit or 'unit'} of {per.title}" if paid else ""


def number(value: Any, scale: float) -> str:
    return "-" if value is None or value != value else f"{value / scale:,.5g}"


def text(value: Any) -> str:
    if value is None or value != value:
        return "-"
    return f"{value:.5g}" if isinstance(value, float) else str(value)
