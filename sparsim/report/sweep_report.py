"""The HTML report of a sweep: the best designs, the price of each step along the front, the effects of
axes.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from sparsim.errors import SpecError
from sparsim.report import sweep_figures
from sparsim.report.figure_style import inline_svg
from sparsim.report.sweep_rows import number, point_table, step_table, text
from sparsim.report.tables import Table
from sparsim.report.web_page import render
from sparsim.sweep.front_analysis import hypervolume, knee, ranked_effects, reference_point
from sparsim.sweep.sweep_view import SweepView, unit_of

MOST_ROWS = 40  # most rows of the front and of the steps
MOST_REASONS = 20
PICTURES = {
    "pareto": "All evaluated points, and those of the front with their numbers.",
    "stack": "Energy of the points of the front by component.",
    "effects": "Means of each objective by the values of each axis, the axes that matter most first.",
    "parallel": "All points, a line each across axes and objectives.",
    "matrix": "Objectives and axes of numbers, each against each.",
}
"""What each kind of picture shows."""


def report_page(view: SweepView) -> str:
    """The results of a sweep as one HTML file that needs no other.

    Raises
    ------
    SpecError
        If no point has results.
    """
    if view.ok.empty:
        raise SpecError("no point has results to report", path=str(view.result.path))
    front, summary = view.front(), view.result.summary
    titles = [unit_of(name, [0.0]).title for name in view.objectives]
    return render(
        "sparsim.report", "sweep_report.html.jinja",
        name=view.study.name, points=summary["points"], on_front=len(front), objectives=", ".join(titles),
        first=titles[0], numbers=_numbers(view, front), knee=_knee(view, front), best=_best(view),
        more=len(front) > MOST_ROWS, front=point_table(view, front.head(MOST_ROWS), view.objectives),
        steps=step_table(view, view.objectives, MOST_ROWS), effects=_effects(view),
        certificate=_certificate(view, front), counts=_counts(summary), reasons=_reasons(view),
        pictures=_pictures(view), captions=PICTURES, method=_method(view), axes=_axes(view),
        versions=", ".join(f"{name} {text}" for name, text in summary["versions"].items()),
    )  # fmt: skip


def _numbers(view: SweepView, front: Any) -> list[tuple[str, str]]:
    """Return the answer in three numbers: the size of the front, and the best values of the first two
    objectives.
    """
    found = [(f"{len(front)} of {view.result.summary['points']:,}", "points are on the front")]
    for name, best in list(view.result.summary["best"].items())[:2]:
        unit = unit_of(name, view.ok[name])
        value = f"{number(best['value'], unit.scale)} {unit.unit}".strip()
        found.append((value, f"best {unit.title}, of point {best['point']}"))
    return found


def _knee(view: SweepView, front: Any) -> int | None:
    if len(front) < 3:
        return None
    return int(front["point"].iloc[knee(view.values(front, view.objectives))])


def _best(view: SweepView) -> list[str]:
    found = []
    for name, best in view.result.summary["best"].items():
        unit = unit_of(name, view.ok[name])
        axes = ", ".join(f"{axis} {text(best['axes'][axis])}" for axis in view.axes)
        value = f"{number(best['value'], unit.scale)} {unit.unit}".strip()
        found.append(f"Best {unit.title}: point {best['point']} with {value} ({axes}).")
    return found


def _effects(view: SweepView) -> Table | None:
    """Return shares of variance by axis and objective, the axis with the largest sum first."""
    if not view.axes or len(view.ok) < 2:
        return None
    given = {axis: sweep_figures.axis_values(view.ok, axis) for axis in view.axes}
    shares = {
        name: {found.axis: found.share for found in ranked_effects(given, view.ok[name].to_numpy(float))}
        for name in view.objectives
    }
    order = sorted(view.axes, key=lambda axis: -sum(share[axis] for share in shares.values()))
    head = ["axis", *(unit_of(name, [0.0]).title for name in shares)]
    return Table(head, [[axis, *(f"{share[axis]:.0%}" for share in shares.values())] for axis in order])


def _certificate(view: SweepView, front: Any) -> str:
    statement = str(view.result.summary["certificate"]["statement"])
    if len(view.objectives) in (2, 3) and len(front):
        values = view.values(front, view.objectives)
        reference = reference_point(values)
        box = float((reference - values.min(axis=0)).prod())
        statement += (
            f". Its hypervolume is {hypervolume(values, reference) / box:.1%} of the box between the best of"
            " all objectives and a tenth of the front's span beyond the worst"
        )
    return statement


def _counts(summary: dict[str, Any]) -> Table:
    rows = [[name, f"{number:,}"] for name, number in summary["counts"].items() if number or name == "ok"]
    names = {
        "ok": "evaluated", "dominated": "dominated by proof", "pending": "not evaluated yet",
    }  # fmt: skip
    rows = [[names.get(name, name), number] for name, number in rows]
    rows.append(["evaluations saved by proof", f"{summary['evaluations_saved']:,}"])
    return Table(["points", "number"], rows)


def _reasons(view: SweepView) -> Table:
    rows = view.frame[view.frame["status"].isin(["infeasible", "failed"])]
    said = zip(rows["status"], rows["reason"], strict=True)
    counted = Counter((status, (reason.strip().split("\n") or [""])[-1][:200]) for status, reason in said)
    return Table(
        ["status", "reason", "points"],
        [[*reason, f"{number:,}"] for reason, number in counted.most_common(MOST_REASONS)],
        text=(0, 1),
    )


def _pictures(view: SweepView) -> dict[str, str]:
    """Return the figures for which there are enough data, by kind."""
    found: dict[str, str] = {}
    best = " ".join(_best(view))
    for kind, shown in PICTURES.items():
        try:
            figure = sweep_figures.KINDS[kind](view, view.objectives)
        except SpecError:  # for example, a single objective has no front to draw
            continue
        found[kind] = inline_svg(figure, f"Sweep {view.study.name}. {shown} {best}")
    return found


def _method(view: SweepView) -> str:
    study = view.study
    search, sampler = study.search, study.sampler
    drawn = "the whole grid" if sampler.kind == "grid" else f"{sampler.points} points by {sampler.kind}"
    objective = search.objective if isinstance(search.objective, str) else ", then ".join(search.objective)
    if search.mappings is not None:
        mapped = "with the mappings that the study gives"
    else:
        mapped = f"each layer mapped for {objective} by method {search.method}"
    return (
        f"The study evaluates {drawn}, seed {study.seed}, {mapped}. "
        f"Filters: {'; '.join(study.filters) or 'none'}. Limits: {'; '.join(study.limits) or 'none'}."
    )


def _axes(view: SweepView) -> Table:
    rows = []
    for name in (*view.study.axes, "workload"):
        values = list(dict.fromkeys(view.frame[name].dropna()))
        shown = ", ".join(text(value) for value in values[:12]) + (", ..." if len(values) > 12 else "")
        rows.append([name, f"{len(values)}", shown])
    return Table(["axis", "values", "which"], rows, text=(0, 2))
