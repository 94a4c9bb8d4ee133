"""Knees, hypervolumes, steps and main effects, against counting and cases that are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsim.errors import SpecError
from sparsim.sweep.front_analysis import (
    effect,
    hypervolume,
    knee,
    ranked_effects,
    reference_point,
    steps,
)
from sparsim.sweep.pareto import non_dominated

points = st.integers(2, 3).flatmap(
    lambda k: st.lists(st.tuples(*[st.integers(0, 6)] * k), min_size=1, max_size=12)
)


@given(points)
@settings(max_examples=60, deadline=None)
def test_hypervolume_counts_the_cubes_that_are_dominated(given: list[tuple[int, ...]]) -> None:
    values = np.array(given, float)
    width = values.shape[1]
    reference = np.full(width, 6.0)
    cubes = np.stack(np.meshgrid(*[np.arange(6)] * width, indexing="ij"), axis=-1).reshape(-1, width)
    counted = (values <= cubes[:, None]).all(axis=2).any(axis=1).sum()
    assert hypervolume(values, reference) == pytest.approx(counted)


def test_hypervolume_of_other_numbers_of_objectives_is_refused() -> None:
    with pytest.raises(SpecError, match="objectives"):
        hypervolume(np.zeros((3, 4)), np.ones(4))


def test_the_reference_point_is_dominated_by_the_whole_front() -> None:
    values = np.array([[1.0, 5.0, -2.0], [2.0, 3.0, -2.0]])
    assert (values < reference_point(values)).all()
    assert hypervolume(values, reference_point(values)) > 0


def test_the_knee_is_the_point_that_bends() -> None:
    values = np.array([[0.0, 10.0], [1.0, 2.0], [2.0, 1.5], [8.0, 0.0]])
    assert non_dominated(values).all()
    assert knee(values) == 1
    assert knee(values * [1e9, 1e-3]) == 1


def test_steps_say_what_is_gained_and_given() -> None:
    (step,) = steps(np.array([[10.0, 4.0, -0.5], [15.0, 1.0, -0.6]]))
    assert step.gains == pytest.approx([-5.0, 3.0, 0.1])
    assert step.relative == pytest.approx([-0.5, 0.75, 0.2])


def test_main_effects_have_the_shares_of_the_variance() -> None:
    """Of y = 3 a + b on a full grid: 9 var(a) and var(b)."""
    a, b = (array.ravel() for array in np.meshgrid(np.arange(4), np.arange(4)))
    objective = 3.0 * a + b
    names = {"b": [f"b{x}" for x in b], "a": a.tolist(), "c": [None] * 16}
    found = ranked_effects(names, objective)
    assert [each.axis for each in found] == ["a", "b", "c"]
    assert [each.share for each in found] == pytest.approx([0.9, 0.1, 0.0])
    assert found[0].centres == (0, 1, 2, 3)
    assert found[0].means == pytest.approx([1.5, 4.5, 7.5, 10.5])
    assert found[1].centres == ("b0", "b1", "b2", "b3")
    assert found[1].counts.tolist() == [4, 4, 4, 4]


def test_many_values_of_an_axis_are_put_into_bins() -> None:
    values = np.random.default_rng(0).random(500)
    found = effect("x", values.tolist(), 2 * values)
    assert len(found.centres) == 8
    assert found.means == pytest.approx(2 * np.array(found.centres))
    assert 0.95 < found.share < 1
