"""Compact list of the points that a sweep has asked for, with 20 to 50 bytes each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsim.sweep.axes import AxisValues
from sparsim.sweep.design_space import DesignSpace
from sparsim.sweep.row_store import Keys, keys_of
from sparsim.sweep.sweep_row import Point

NO_VALUE = np.uint32(0xFFFFFFFF)


class PointList:
    """Points in the order in which they were asked for, each once.

    Parameters
    ----------
    space : DesignSpace
    is_unique : bool
        Whether no point is added twice; otherwise points that are there already are left out.
    """

    def __init__(self, space: DesignSpace, is_unique: bool) -> None:
        self._axes = space.axes
        self._codes_of = [_codes_of(axis) for axis in space.axes]
        self._filters = ["", *(f"filter: {expression.text}" for expression in space.filters)]
        self._codes = np.empty((1024, len(space.axes)), np.uint32)
        self._keys = np.empty((1024, 2), np.uint64)
        self._refusals = np.empty(1024, np.uint16)
        self._size = 0
        self._seen: set[bytes] | None = None if is_unique else set()

    def __len__(self) -> int:
        return self._size

    @property
    def keys(self) -> Keys:
        return self._keys[: self._size]

    @property
    def is_refused(self) -> NDArray[np.bool_]:
        return self._refusals[: self._size] > 0

    def refusal(self, i: int) -> str:
        """Return the filter that a point does not pass, or ""."""
        return self._filters[self._refusals[i]]

    def add(self, points: Sequence[Point], keys: Sequence[str], refusals: Sequence[str]) -> None:
        """Add points with their keys and the filters that they do not pass."""
        end = self._size + len(points)
        if end > len(self._codes):
            room = max(end, 2 * len(self._codes))
            self._codes, self._keys, self._refusals = (
                np.resize(array, (room, *array.shape[1:]))
                for array in (self._codes, self._keys, self._refusals)
            )
        self._codes[self._size : end] = self.encode(points)
        self._keys[self._size : end] = keys_of(keys)
        self._refusals[self._size : end] = [self._filters.index(text) for text in refusals]
        self._size = end

    def new(self, points: Sequence[Point]) -> list[Point]:
        """Return the points that are not in the list."""
        if self._seen is None:
            return list(points)
        found = []
        for point, code in zip(points, self.encode(points), strict=True):
            if (name := code.tobytes()) not in self._seen:
                self._seen.add(name)
                found.append(point)
        return found

    def points(self, numbers: Any) -> list[Point]:
        """Return the points at the given positions, a slice or an array."""
        columns = []
        for axis, codes in zip(self._axes, self._codes[: self._size][numbers].T.tolist(), strict=True):
            values, none = axis.values, int(NO_VALUE)
            columns.append([None if code == none else values[code] for code in codes])
        names = [axis.name for axis in self._axes]
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]

    def encode(self, points: Sequence[Point]) -> NDArray[np.uint32]:
        """Return the position of each value among those of its axis, (points, axes)."""
        found = np.empty((len(points), len(self._axes)), np.uint32)
        for column, (axis, codes) in enumerate(zip(self._axes, self._codes_of, strict=True)):
            name = axis.name
            found[:, column] = [codes[_name(point[name])] for point in points]
        return found


def _codes_of(axis: AxisValues) -> dict[Any, Any]:
    return {None: NO_VALUE, **{_name(value): i for i, value in enumerate(axis.values)}}


def _name(value: Any) -> Any:
    """Return a hashable key of a value, because 1, 1.0 and True are different values of an axis, and lists
    are not hashable.
    """
    return value if type(value) in (int, str) or value is None else repr(value).encode("utf-8", "replace")
