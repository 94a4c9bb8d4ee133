"""Fronts against comparing each point with each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsim.sweep.pareto import is_dominated, non_dominated


def brute_force(values: np.ndarray) -> list[bool]:
    return [
        not any((other <= row).all() and (other < row).any() for other in values) and not np.isnan(row).any()
        for row in values
    ]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 200), k=st.integers(1, 5), levels=st.integers(2, 40))
def test_front_is_that_of_all_comparisons(seed: int, n: int, k: int, levels: int) -> None:
    values = np.random.default_rng(seed).integers(0, levels, (n, k)).astype(float)
    values[values == levels - 1] = np.inf
    assert non_dominated(values).tolist() == brute_force(values)


@pytest.mark.parametrize("k", [2, 3, 4])
def test_large_fronts(k: int) -> None:
    """All on a simplex, where nothing dominates anything, and others above it."""
    rng = np.random.default_rng(k)
    front = rng.dirichlet(np.ones(k), 3000)
    above = front[:1000] + rng.random((1000, k)) * 0.1
    values = np.concatenate([front, above, front[:10]])
    order = rng.permutation(len(values))
    found = np.empty(len(values), bool)
    found[order] = non_dominated(values[order])
    assert found[:3000].all()
    assert found[4000:].all()  # equal ones stay
    assert not found[3000:4000].any()


def test_rows_without_a_number_and_without_columns() -> None:
    assert non_dominated(np.array([[np.nan, 0.0], [1.0, 1.0]])).tolist() == [False, True]
    assert non_dominated(np.empty((3, 0))).tolist() == [True] * 3
    assert non_dominated(np.empty((0, 2))).tolist() == []


def test_equal_rows_do_not_dominate() -> None:
    rows = np.array([[1.0, 2.0], [1.0, 3.0]])
    assert is_dominated(rows, rows[:1]).tolist() == [False, True]
    assert is_dominated(rows, rows[:0]).tolist() == [False, False]


def test_against_moocore() -> None:
    moocore = pytest.importorskip("moocore")
    values = np.random.default_rng(1).random((20_000, 4)).round(2)
    expected = moocore.is_nondominated(values, keep_weakly=True)
    assert (non_dominated(values) == expected).all()
