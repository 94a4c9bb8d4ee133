"""View of the results of a sweep for tables and figures: evaluated points, objectives, fronts, and units."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sparsim.errors import FormatError, SpecError, near
from sparsim.sweep.expressions import compile_expression
from sparsim.sweep.front_analysis import Reals
from sparsim.sweep.pareto import non_dominated
from sparsim.sweep.results import STUDY, SweepResult
from sparsim.sweep.study import METRICS, SHORT_NAMES, WORKLOAD, Direction, Study
from sparsim.sweep.study_files import load_study
from sparsim.sweep.sweep_tables import COMPONENT


class Unit(NamedTuple):
    """How a column is shown.

    Attributes
    ----------
    title : str
    unit : str
        Empty for plain numbers.
    scale : float
        What values are divided by.
    """

    title: str
    unit: str
    scale: float

    @property
    def label(self) -> str:
        return f"{self.title} ({self.unit})" if self.unit else self.title


_ENERGY = ((1e12, "J"), (1e9, "mJ"), (1e6, "\u00b5J"), (1e3, "nJ"), (1.0, "pJ"))
_COUNTS = ((1e9, "billion cycles"), (1e6, "million cycles"), (1e3, "thousand cycles"), (1.0, "cycles"))
_TITLES = {
    "energy_pj": "energy", "cycles": "time", "edp_j_cycles": "energy-delay product", "area_mm2": "area",
    "pj_per_mac": "energy per MAC", "utilization": "utilization", "inferences_per_s": "inferences per second",
    "inferences_per_j": "inferences per joule", "gap": "gap",
}  # fmt: skip
_UNITS = {"edp_j_cycles": "J \u00d7 cycles", "area_mm2": "mm\u00b2", "pj_per_mac": "pJ"}


def unit_of(name: str, values: Any) -> Unit:
    """Return title, unit and scale of a column, according to the size of its values."""
    title = _TITLES.get(name, name)
    finite = np.asarray(values, float)
    finite = np.abs(finite[np.isfinite(finite)])
    largest = float(finite.max()) if len(finite) else 0.0
    if name == "energy_pj" or name.startswith(COMPONENT):
        scale, unit = next((each for each in _ENERGY if largest >= each[0]), _ENERGY[-1])
        return Unit(title, unit, scale)
    if name == "cycles":
        scale, unit = next((each for each in _COUNTS if largest >= 10 * each[0]), _COUNTS[-1])
        return Unit(title, unit, scale)
    if name in ("utilization", "gap"):
        return Unit(title, "%", 0.01)
    return Unit(title, _UNITS.get(name, ""), 1.0)


class SweepView:
    """The results in a folder.

    Parameters
    ----------
    folder : str or Path

    Attributes
    ----------
    study : Study
    frame : pandas.DataFrame
        A row per point, by the number of the point.
    axes : tuple of str
        Those that have several values.

    Raises
    ------
    FormatError
        If the folder holds no results, or they lack columns.
    """

    def __init__(self, folder: str | Path) -> None:
        self.result = SweepResult(folder)
        self.study: Study = load_study(self.result.folder / STUDY)
        self.frame = self.result.frame().set_index("point", drop=False)
        for name in (*self.study.axes, WORKLOAD, "status", "reason", "on_front"):
            if name not in self.frame:
                raise FormatError(f"has no column '{name}'", path=str(self.result.path))
        names = (*self.study.axes, WORKLOAD)
        self.axes = tuple(name for name in names if self.frame[name].nunique(dropna=False) > 1)

    @cached_property
    def ok(self) -> Any:
        """The rows of evaluated points that break no limit."""
        return self.frame[self.frame["status"] == "ok"]

    @property
    def objectives(self) -> dict[str, Direction]:
        """The objectives of the study."""
        return self.study.objectives

    @property
    def components(self) -> tuple[str, ...]:
        """Return the columns of energies by component."""
        return tuple(name for name in self.frame if name.startswith(COMPONENT))

    def named_objectives(self, names: Sequence[str]) -> dict[str, Direction]:
        """Objectives by their names or short names.

        Raises
        ------
        SpecError
            For names that are no columns of numbers.
        """
        known = (*METRICS, *self.study.attributes)
        found: dict[str, Direction] = {}
        for given in names:
            name = SHORT_NAMES.get(given, given)
            if name not in known:
                raise SpecError(f"unknown objective '{given}'", hint=near(given, (*known, *SHORT_NAMES)))
            if not len(self.ok[name].dropna()) or self.ok[name].dtype == object:
                raise SpecError(f"objective '{given}' has no numbers in these results")
            found[name] = self.objectives.get(name) or METRICS.get(name, "max")  # type: ignore[assignment]
        return found

    def values(self, rows: Any, objectives: dict[str, Direction]) -> Reals:
        """Return the objectives of rows, all of them minimised."""
        signs = [1.0 if way == "min" else -1.0 for way in objectives.values()]
        return np.asarray(rows[list(objectives)].to_numpy(float) * signs)

    def front(self, objectives: dict[str, Direction] | None = None, where: str = "") -> Any:
        """Return the rows on the front, sorted by the first objective: the front of the study, or of the rows
        for which a condition holds.
        """
        chosen = objectives or self.objectives
        rows = self.where(self.ok, where) if where else self.ok
        if where or chosen != self.objectives:
            rows = rows[non_dominated(self.values(rows, chosen))]
        else:
            rows = rows[rows["on_front"]]
        return rows.iloc[np.lexsort(self.values(rows, chosen).T[::-1])]

    @property
    def skipped(self) -> int:
        """Return points that were not evaluated, because bounds prove that they are not on the front."""
        return int(self.result.summary["evaluations_saved"])

    def where(self, rows: Any, text: str) -> Any:
        """Return the rows for which a condition on columns holds. Raises SpecError for invalid conditions."""
        known = [*self.frame.columns, *SHORT_NAMES]
        condition = compile_expression(text, known, "--where")
        short = {short: SHORT_NAMES.get(short, short) for short in condition.names}
        held = []
        for values in rows[list(set(short.values()))].to_dict("records"):
            named = {name: values[column] for name, column in short.items()}
            is_known = not any(value is None or value != value for value in named.values())
            held.append(is_known and bool(condition(named)))
        return rows[np.array(held, bool)]
