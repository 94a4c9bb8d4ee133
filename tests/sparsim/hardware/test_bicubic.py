"""Interpolation on a grid: nodes, slopes, what it reproduces and what it never does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsim.hardware.bicubic import Bicubic

X, Y = np.array([0.0, 0.1, 0.25, 0.6, 1.0]), np.array([0.0, 0.3, 0.5, 1.0])


def random_values(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (3, 2, len(X), len(Y)))


def test_nodes_are_exact():
    values = random_values(0)
    surface = Bicubic(X, Y, values)
    for i, x in enumerate(X):
        for j, y in enumerate(Y):
            found = surface(np.full(3, x), np.full(3, y)).value
            assert found == pytest.approx(values[:, :, i, j], abs=1e-14)


def test_every_function_is_read_at_its_own_point():
    values = random_values(1)
    x, y = np.array([0.05, 0.4, 0.95]), np.array([0.9, 0.31, 0.02])
    together = Bicubic(X, Y, values)(x, y)
    for k in range(3):
        alone = Bicubic(X, Y, values[k : k + 1])(x[k : k + 1], y[k : k + 1])
        for one, all_of_them in zip(alone, together, strict=True):
            assert one[0] == pytest.approx(all_of_them[k], abs=1e-14)


def test_what_is_linear_in_both_variables_is_exact_with_its_slopes():
    a, b = np.meshgrid(X, Y, indexing="ij")
    surface = Bicubic(X, Y, (2 + 3 * a - b + 5 * a * b)[None, None])
    rng = np.random.default_rng(2)
    for x, y in rng.uniform(0, 1, (20, 2)):
        found = surface(np.array([x]), np.array([y]))
        expected = (2 + 3 * x - y + 5 * x * y, 3 + 5 * y, -1 + 5 * x)
        assert [part.item() for part in found] == pytest.approx(expected, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_derivatives_are_those_of_the_values(seed, x, y):
    surface, step = Bicubic(X, Y, random_values(seed)), 1e-6
    if min(np.abs(X - x).min(), np.abs(Y - y).min()) < 2 * step:
        return
    at = [np.full(3, z) for z in (x, y)]
    found = surface(*at)
    for axis, slope in enumerate(found[1:]):
        ends = [surface(*(z + side * step * (k == axis) for k, z in enumerate(at))).value for side in (1, -1)]
        assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 1), st.integers(0, len(Y) - 1))
def test_between_two_nodes_of_a_line_nothing_is_outside_of_their_values(seed, x, j):
    values = random_values(seed)
    found = Bicubic(X, Y, values)(np.full(3, x), np.full(3, Y[j])).value
    i = min(int(np.searchsorted(X, x, side="right")) - 1, len(X) - 2)
    ends = values[:, :, i : i + 2, j]
    assert (found >= ends.min(axis=-1) - 1e-12).all()
    assert (found <= ends.max(axis=-1) + 1e-12).all()
