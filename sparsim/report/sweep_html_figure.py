"""Parallel coordinates of a sweep as an interactive page, on which ranges on axes select points."""

from __future__ import annotations

from typing import Any

from sparsim.errors import require
from sparsim.sweep.study import Direction
from sparsim.sweep.sweep_view import SweepView, unit_of


def parallel_page(view: SweepView, objectives: dict[str, Direction]) -> str:
    """Return a self-contained page. Raises MissingLibraryError if plotly is not installed."""
    graphs: Any = require("plotly.graph_objects", "an interactive page", "sweep")
    rows = view.ok
    dimensions = []
    for name in (*view.axes, *objectives):
        column = rows[name]
        if column.dtype.kind in "if":
            unit = unit_of(name, column) if name in objectives else None
            label, scale = (unit.label, unit.scale) if unit else (name, 1.0)
            dimensions.append({"label": label, "values": (column / scale).tolist()})
        else:
            codes, texts = column.factorize()
            dimensions.append(
                {"label": name, "values": codes.tolist(), "tickvals": list(range(len(texts))),
                 "ticktext": [str(each) for each in texts]}
            )  # fmt: skip
    first = next(iter(objectives))
    unit = unit_of(first, rows[first])
    line = {
        "color": (rows[first] / unit.scale).tolist(), "colorscale": "Viridis", "showscale": True,
        "colorbar": {"title": {"text": unit.label}},
    }  # fmt: skip
    figure = graphs.Figure(graphs.Parcoords(line=line, dimensions=dimensions))
    figure.update_layout(title=f"{view.study.name}: drag along an axis to choose points", margin={"t": 110})
    page: str = figure.to_html(include_plotlyjs=True, full_html=True)
    return page
