"""The table of a sweep, with one row per point, written to Parquet block by block."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sparsim.errors import SpecError, require
from sparsim.fileio.writing import replacing
from sparsim.sweep.design_space import DesignSpace
from sparsim.sweep.point_list import PointList
from sparsim.sweep.point_states import INFEASIBLE, OK, PENDING, STATUS, PointStates
from sparsim.sweep.row_store import RowStore, decode_row
from sparsim.sweep.study import METRICS, WORKLOAD
from sparsim.sweep.sweep_row import Row

BLOCK = 16384  # rows of a row group
FIXED = ("point", "key", "status", "reason", "on_front", *METRICS, "bound_energy_pj", "bound_cycles")
COMPONENT = "component_pj."


def check_columns(space: DesignSpace) -> None:
    """Refuse axes and derived values whose names the table needs for other columns."""
    for name in (*(axis.name for axis in space.axes), *_derived(space), *space.study.attributes):
        if name in FIXED or name.startswith(COMPONENT):
            raise SpecError(
                f"'{name}' is already a column of the results; choose another name",
                path=f"sweep {space.study.name}",
            )


def write_table(
    path: Path, space: DesignSpace, points: PointList, store: RowStore, states: PointStates
) -> None:
    """Write the table of all points that are not pending, in their order.

    Equal rows give equal files.
    """
    pyarrow = require("pyarrow", "a sweep", "sweep")
    parquet = require("pyarrow.parquet", "a sweep", "sweep")
    schema = _schema(space, points, states, pyarrow)
    with replacing(path) as file, parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for start in range(0, len(points), BLOCK):
            block = _Block(space, points, store, states, start)
            if block.numbers.size:
                arrays = [_array(block.column(field.name), field.type, pyarrow) for field in schema]
                writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema), row_group_size=BLOCK)


class _Block:
    """Some points and their rows, as columns."""

    def __init__(
        self, space: DesignSpace, points: PointList, store: RowStore, states: PointStates, start: int
    ) -> None:
        codes = states.codes[start : start + BLOCK]
        self.numbers = start + np.flatnonzero(codes != PENDING)
        self._space, self._states = space, states
        self._points = points.points(self.numbers)
        self._keys = points.keys[self.numbers].tolist()
        is_shown = np.isin(codes[self.numbers - start], [OK, INFEASIBLE, STATUS.index("failed")])
        self._rows = _read(store, np.where(is_shown, states.rows[self.numbers], -1))
        self._bounds = _read(store, states.bounds[self.numbers])
        self._reasons = [
            self._reason(points, int(i), row) for i, row in zip(self.numbers, self._rows, strict=True)
        ]
        names = _derived(space)
        self._derived = [space.values(point) for point in self._points] if names else []

    def column(self, name: str) -> list[Any]:
        """Return the values of a column."""
        if name == "point":
            return self.numbers.tolist()
        if name == "key":
            return [f"{high:016x}{low:016x}" for high, low in self._keys]
        if name == "status":
            return [STATUS[code] for code in self._states.codes[self.numbers]]
        if name == "reason":
            return self._reasons
        if name == "on_front":
            return self._states.on_front[self.numbers].tolist()
        if name.startswith(COMPONENT):
            component = name.removeprefix(COMPONENT)
            return [row.components.get(component) if row else None for row in self._rows]
        if name in ("bound_energy_pj", "bound_cycles"):
            return [row.bounds.get(name.removeprefix("bound_")) if row else None for row in self._bounds]
        if name in METRICS:
            return [self._metric(name, *rows) for rows in zip(self._rows, self._bounds, strict=True)]
        if name in self._points[0]:
            return [plain_value(point[name]) for point in self._points]
        if name in self._space.study.attributes:
            networks = self._space.networks
            return [networks[str(point[WORKLOAD])].attributes.get(name) for point in self._points]
        return [plain_value(values.get(name)) for values in self._derived]

    def _reason(self, points: PointList, i: int, row: Row | None) -> str:
        if refusal := points.refusal(i):
            return refusal
        if STATUS[self._states.codes[i]] == "dominated":
            return "its bounds are dominated by a point on the front"
        if limit := self._states.limits.get(i):
            return f"limit: {limit}"
        return row.reason if row else ""

    @staticmethod
    def _metric(name: str, row: Row | None, bound: Row | None) -> float | None:
        if row is not None and name in row.metrics:
            return row.metrics[name]
        return bound.metrics.get(name) if bound is not None else None


def _read(store: RowStore, numbers: Any) -> list[Row | None]:
    lines = store.lines(number for number in numbers.tolist() if number >= 0)
    return [decode_row(next(lines)) if number >= 0 else None for number in numbers.tolist()]


def _schema(space: DesignSpace, points: PointList, states: PointStates, pyarrow: Any) -> Any:
    """Return the columns: axes, derived values and attributes with the types of their values, then those of
    every study.
    """
    columns = {"point": pyarrow.int64()}
    for axis in space.axes:
        columns[axis.name] = _type(map(plain_value, axis.values), pyarrow)
    if derived := _derived(space):
        kinds: dict[str, set[type]] = {name: set() for name in derived}
        for start in range(0, len(points), BLOCK):
            for point in points.points(slice(start, start + BLOCK)):
                values = space.values(point)
                for name in derived:
                    kinds[name].add(type(plain_value(values.get(name))))
        columns |= {name: _type((kind() for kind in kinds[name]), pyarrow) for name in derived}
    for name in space.study.attributes:
        given = (
            network.attributes[name] for network in space.networks.values() if name in network.attributes
        )
        columns[name] = _type((float(x) if isinstance(x, int) else x for x in given), pyarrow)
    columns |= {"status": pyarrow.string(), "reason": pyarrow.string(), "on_front": pyarrow.bool_()}
    numbers = (*METRICS, "bound_energy_pj", "bound_cycles", *(COMPONENT + name for name in states.components))
    columns |= dict.fromkeys(numbers, pyarrow.float64())
    columns["key"] = pyarrow.string()
    return pyarrow.schema(list(columns.items()))


def _derived(space: DesignSpace) -> tuple[str, ...]:
    return tuple(each.name for each in space.derived if not each.is_field)


def _type(values: Iterator[Any] | Any, pyarrow: Any) -> Any:
    kinds = {type(value) for value in values} - {type(None)}
    if kinds <= {bool} and kinds:
        return pyarrow.bool_()
    if kinds <= {int} and kinds:
        return pyarrow.int64()
    return pyarrow.float64() if kinds <= {int, float} else pyarrow.string()


def _array(values: list[Any], kind: Any, pyarrow: Any) -> Any:
    if kind == pyarrow.string():  # also for axes with both numbers and texts
        values = [value if value is None or isinstance(value, str) else str(value) for value in values]
    return pyarrow.array(values, kind)


def plain_value(value: Any) -> Any:
    """Return lists as text, and other values unchanged."""
    return json.dumps(value) if isinstance(value, list | tuple) else value
