"""Smooth interpolation of functions of two variables on a grid, by bicubic Hermite patches.

Values at the nodes are exact. Slopes at the nodes are those of Fritsch and Butland (SIAM J. Sci. Stat.
Comput. 5(2), 1984), which keep a function of one variable monotone where its nodes are; in two variables this
holds along the lines of the grid.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Reals = NDArray[np.float64]

# values and slopes (per cell) at 0 and 1 -> coefficients of 1, u, u^2, u^3
_HERMITE = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [-3, 3, -2, -1], [2, -2, 1, 1]], np.float64)


class Point(NamedTuple):
    """Values and derivatives of every function at its own point, (n, k)."""

    value: Reals
    by_x: Reals
    by_y: Reals


class Bicubic:
    """k functions of each of n pairs (x, y): `values` (n, k, nodes of x, nodes of y); nodes rise."""

    def __init__(self, x: ArrayLike, y: ArrayLike, values: ArrayLike) -> None:
        self.x, self.y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        f = np.asarray(values, np.float64)
        fx, fy = _slopes(self.x, f, axis=-2), _slopes(self.y, f, axis=-1)
        fxy = _slopes(self.y, fx, axis=-1)
        width, height = np.diff(self.x)[:, None, None, None], np.diff(self.y)[:, None, None]
        corners = np.empty((*f.shape[:2], len(self.x) - 1, len(self.y) - 1, 4, 4))
        for i, a in enumerate((slice(None, -1), slice(1, None))):
            for j, b in enumerate((slice(None, -1), slice(1, None))):
                corners[..., i, j] = f[..., a, b]
                corners[..., 2 + i, j] = fx[..., a, b] * width[..., 0, 0]
                corners[..., i, 2 + j] = fy[..., a, b] * height[..., 0, 0]
                corners[..., 2 + i, 2 + j] = fxy[..., a, b] * width[..., 0, 0] * height[..., 0, 0]
        self._coefficients = _HERMITE @ corners @ _HERMITE.T
        self._rows = np.arange(len(f))

    def __call__(self, x: Reals, y: Reals, rows: NDArray[np.int64] | None = None) -> Point:
        """Evaluate the functions `rows`, or all of them if it is None, at the points (n,), which must lie
        within the grid.
        """
        i, width, u = _cell(self.x, x)
        j, height, v = _cell(self.y, y)
        patch = self._coefficients[self._rows if rows is None else rows, :, i, j]  # (n, k, 4, 4)
        along = np.einsum("nkab,nb->nka", patch, _powers(v))
        value = np.einsum("nka,na->nk", along, _powers(u))
        by_x = np.einsum("nka,na->nk", along, _slope_powers(u)) / width[:, None]
        across = np.einsum("nkab,nb->nka", patch, _slope_powers(v))
        by_y = np.einsum("nka,na->nk", across, _powers(u)) / height[:, None]
        return Point(value, by_x, by_y)

    def values(self, x: Reals, y: Reals) -> Reals:
        """Return only the values, of all functions."""
        i, _, u = _cell(self.x, x)
        j, _, v = _cell(self.y, y)
        patch = self._coefficients[self._rows, :, i, j]
        return np.asarray(np.einsum("nkab,na,nb->nk", patch, _powers(u), _powers(v)))


def _cell(nodes: Reals, at: Reals) -> tuple[NDArray[np.int64], Reals, Reals]:
    """Return (cell, its width, position in it from 0 to 1)."""
    i = np.clip(np.searchsorted(nodes, at, side="right") - 1, 0, len(nodes) - 2)
    width = nodes[i + 1] - nodes[i]
    return i, width, (at - nodes[i]) / width


def _powers(u: Reals) -> Reals:
    return np.stack([np.ones_like(u), u, u * u, u * u * u], axis=-1)


def _slope_powers(u: Reals) -> Reals:
    return np.stack([np.zeros_like(u), np.ones_like(u), 2 * u, 3 * u * u], axis=-1)


def _slopes(nodes: Reals, values: Reals, axis: int) -> Reals:
    """Inside weighted harmonic means of the slopes of both cells, 0 at extrema; at the ends one-sided."""
    f = np.moveaxis(values, axis, -1)
    h = np.diff(nodes)
    d = np.diff(f) / h
    found = np.empty_like(f)
    left, right = d[..., :-1], d[..., 1:]
    a, b = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    same = left * right > 0
    safe_left, safe_right = np.where(same, left, 1.0), np.where(same, right, 1.0)
    found[..., 1:-1] = np.where(same, (a + b) / (a / safe_left + b / safe_right), 0.0)
    found[..., 0] = _end_slope(h[0], h[1], d[..., 0], d[..., 1])
    found[..., -1] = _end_slope(h[-1], h[-2], d[..., -1], d[..., -2])
    return np.moveaxis(found, -1, axis)


def _end_slope(h: float, next_h: float, d: Reals, next_d: Reals) -> Reals:
    """The slope of the parabola through three nodes, limited to the sign of the last cell and three times its
    slope.
    """
    slope = ((2 * h + next_h) * d - h * next_d) / (h + next_h)
    slope = np.where(slope * d <= 0, 0.0, slope)
    steep = (d * next_d < 0) & (np.abs(slope) > 3 * np.abs(d))
    return np.asarray(np.where(steep, 3 * d, slope))
