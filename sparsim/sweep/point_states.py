"""The states of all points, read from the store; they do not depend on the order of evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsim.sweep.design_space import DesignSpace
from sparsim.sweep.objective_values import Objectives, skipping_is_on
from sparsim.sweep.pareto import Flags, Reals, is_dominated, non_dominated
from sparsim.sweep.point_list import PointList
from sparsim.sweep.row_store import BOUND, FAILED, FINAL, Keys, Numbers, RowStore, decode_row
from sparsim.sweep.sweep_row import Point, Row

PENDING, OK, DOMINATED, INFEASIBLE, FAILURE = range(5)
STATUS = ("pending", "ok", "dominated", "infeasible", "failed")
BLOCK = 8192


class PointStates(NamedTuple):
    """The states of all points of a sweep, (n,) each.

    Attributes
    ----------
    codes : array of int
        Positions in `STATUS`.
    rows, bounds : array of int
        The numbers of their rows in the store, -1 where there is none.
    is_evaluated : array of bool
        Whether there is any row but that of the bounds.
    values : array of float, (n, objectives)
        The objectives, all made small; nan where a point has none.
    gaps : array of float
        What a better mapping could save at most; nan where nothing is known.
    limits : dict of int to str
        The limit that a point breaks.
    on_front : array of bool
    components : tuple of str
        All components of evaluated points.
    """

    codes: NDArray[np.uint8]
    rows: Numbers
    bounds: Numbers
    is_evaluated: Flags
    values: Reals
    gaps: Reals
    limits: dict[int, str]
    on_front: Flags
    components: tuple[str, ...]


def final_rows(store: RowStore, keys: Keys, budgets: int) -> tuple[Numbers, NDArray[np.int64]]:
    """Return the final row of each point, -1 if there is none yet, and the next budget, `budgets` if there is
    a final row. A row is final if larger budgets do not change it.
    """
    found = np.full(len(keys), -1, np.int64)
    following = np.zeros(len(keys), np.int64)
    for budget in range(budgets):
        open_ = np.flatnonzero((found < 0) & (following == budget))
        numbers = store.find(keys[open_], budget)
        is_last = np.isin(store.letters(numbers), list(FINAL | FAILED)) | (budget + 1 == budgets)
        found[open_] = np.where(is_last, numbers, -1)
        following[open_] = np.where(numbers < 0, budget, np.where(is_last, budgets, budget + 1))
    return found, following


class _Judge:
    """Fills in the states block by block."""

    def __init__(
        self, points: PointList, store: RowStore, objectives: Objectives, space: DesignSpace
    ) -> None:
        n, width = len(points), len(objectives.names)
        self.points, self.store, self.objectives = points, store, objectives
        self.budgets = len(space.study.search.budgets)
        self.skips = skipping_is_on(space, objectives)
        self.states = PointStates(
            np.full(n, PENDING, np.uint8), np.full(n, -1, np.int64), np.full(n, -1, np.int64),
            np.zeros(n, np.bool_), np.full((n, width), np.nan), np.full(n, np.nan), {}, np.zeros(n, np.bool_),
            (),
        )  # fmt: skip
        self.best_cases = np.full((n, width), -np.inf)
        self.name_sets: dict[tuple[str, ...], int] = {}
        self.names = np.full(n, -1, np.int32)

    def read(self, start: int) -> None:
        """Fill in the states of a block of points that do not depend on other points."""
        stop = min(start + BLOCK, len(self.points))
        states, keys = self.states, self.points.keys[start:stop]
        refused = self.points.is_refused[start:stop]
        rows, _ = final_rows(self.store, keys, self.budgets)
        bounds = self.store.find(keys, BOUND) if self.skips else np.full(len(keys), -1, np.int64)
        rows[refused] = bounds[refused] = -1
        states.rows[start:stop], states.bounds[start:stop] = rows, bounds
        for budget in range(self.budgets):
            states.is_evaluated[start:stop] |= self.store.find(keys, budget) >= 0
        states.codes[start:stop][refused] = INFEASIBLE
        numbers = start + np.flatnonzero(bounds >= 0)
        for i, row, point in self._rows_at(states.bounds, numbers):
            self._read_bound(i, row, point)
        numbers = start + np.flatnonzero((rows >= 0) & (states.codes[start:stop] == PENDING))
        for i, row, point in self._rows_at(states.rows, numbers):
            self._read_row(i, row, point)

    def _rows_at(self, rows: Numbers, numbers: Numbers) -> Iterator[tuple[int, Row, Point]]:
        lines = self.store.lines(rows[numbers].tolist())
        for i, line, point in zip(numbers.tolist(), lines, self.points.points(numbers), strict=True):
            yield i, decode_row(line), point

    def _read_bound(self, i: int, row: Row, point: Point) -> None:
        if row.status == "infeasible":
            self.states.codes[i], self.states.rows[i] = INFEASIBLE, self.states.bounds[i]
        elif row.status == "bound":
            if limit := self.objectives.broken_exact_limit(row.metrics, point):
                self.states.codes[i], self.states.limits[i] = INFEASIBLE, limit
                self.states.rows[i] = self.states.bounds[i]
            else:
                self.best_cases[i] = self.objectives.best_case(row, point)

    def _read_row(self, i: int, row: Row, point: Point) -> None:
        self.states.codes[i] = STATUS.index(row.status)
        if row.status != "ok":
            return
        self.states.values[i] = self.objectives.values(row.metrics, point)
        self.states.gaps[i] = row.metrics.get("gap", np.nan)
        self.names[i] = self.name_sets.setdefault(tuple(row.components), len(self.name_sets))
        if limit := self.objectives.broken_limit(row.metrics, point):
            self.states.codes[i], self.states.limits[i] = INFEASIBLE, limit

    def compare(self) -> PointStates:
        """Return the states of points by comparison with others."""
        states = self.states
        ok = np.flatnonzero(states.codes == OK)
        ok = ok[non_dominated(states.values[ok])]
        states.on_front[ok] = True
        if self.skips:
            is_dominated_ = is_dominated(self.best_cases, states.values[ok])
            states.codes[is_dominated_] = DOMINATED
        shown = (states.codes == OK) | ((states.codes == INFEASIBLE) & (self.names >= 0))
        visible = set(np.unique(self.names[shown]).tolist())
        components = {name for names, i in self.name_sets.items() if i in visible for name in names}
        return states._replace(components=tuple(sorted(components)))


def judge(points: PointList, store: RowStore, objectives: Objectives, space: DesignSpace) -> PointStates:
    """Return the state of every point, from its rows and those of all others."""
    judge_ = _Judge(points, store, objectives, space)
    for start in range(0, len(points), BLOCK):
        judge_.read(start)
    return judge_.compare()
