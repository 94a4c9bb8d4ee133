"""Samplers choose different points of the space, the same ones for the same seed, and find a known front."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sparsim.sweep.axes import grid, grid_size
from sparsim.sweep.design_space import DesignSpace
from sparsim.sweep.design_space_loading import load_design_space
from sparsim.sweep.point_sequences import point_name
from sparsim.sweep.samplers import make_sampler
from sparsim.sweep.study_files import study_of
from sparsim.sweep.sweep_row import Point, Row

KINDS = ("random", "sobol", "halton", "latin-hypercube", "nsga2", "tpe")
DIGITS = [round(i / 20, 2) for i in range(21)]


def space_of(axes: dict[str, Any], seed: int = 0, **sampler: Any) -> DesignSpace:
    return load_design_space(
        study_of(
            {
                "base": "eyeriss_like_onchip",
                "workloads": {"net": {"source": "pointnet2_study_sparse", "layers": ["fc3"]}},
                "axes": axes,
                "objectives": ["energy", "cycles"],
                "sampler": sampler,
                "seed": seed,
            }
        )
    )


def zdt1(point: Point) -> Row:
    """Two objectives of which the front is known: all but the first axis at 0, f2 = 1 - sqrt(f1)."""
    x = [float(value) for value in point.values() if isinstance(value, int | float)]
    g = 1 + 9 * sum(x[1:]) / (len(x) - 1)
    metrics = {"energy_pj": x[0], "cycles": g * (1 - (x[0] / g) ** 0.5)}
    return Row("", "ok", metrics=metrics)


def drawn(space: DesignSpace, evaluate: Callable[[Point], Row] = zdt1) -> list[Point]:
    sampler, found = make_sampler(space), []
    while asked := sampler.ask(7):
        found += asked
        if sampler.is_adaptive:
            sampler.tell([evaluate(point) for point in asked])
    return found


AXES: dict[str, Any] = {
    "a": [1, 2, 3, 4],
    "b": {"values": [5, 6, 7], "when": "a > 1"},
    "c": {"range": [0, 9]},
}


@pytest.mark.parametrize("kind", KINDS)
def test_points_are_different_and_of_the_seed(kind: str) -> None:
    first = drawn(space_of(AXES, kind=kind, points=40))
    assert drawn(space_of(AXES, kind=kind, points=40)) == first
    assert drawn(space_of(AXES, seed=1, kind=kind, points=40)) != first
    names = set(map(point_name, first))
    assert len(names) == len(first) == 40
    assert names <= set(map(point_name, grid(space_of(AXES).axes)))
    assert {point["b"] for point in first if point["a"] == 1} <= {None}


@pytest.mark.parametrize("kind", KINDS)
def test_more_points_than_there_are_end_with_all(kind: str) -> None:
    axes = {"a": [1, 2], "b": [1, 2]}
    options = {"population": 4} if kind in ("nsga2", "tpe") else {}
    found = drawn(space_of(axes, kind=kind, points=50, **options))
    assert sorted(map(point_name, found)) == sorted(map(point_name, grid(space_of(axes).axes)))


def test_sequences_fill_the_space() -> None:
    """Each value of an axis of eight comes eight times among 64 points of a Sobol sequence."""
    axes = {"a": {"range": [0, 7]}, "b": {"range": [0, 7]}, "c": {"range": [0, 255]}}
    found = drawn(space_of(axes, kind="sobol", points=64))
    for name in ("a", "b"):
        assert np.bincount([int(point[name]) for point in found]).tolist() == [8] * 8  # type: ignore[arg-type]


def test_spaces_too_large_to_list_are_sampled() -> None:
    axes = {f"x{i}": {"range": [0, 999]} for i in range(6)}
    space = space_of(axes, kind="random", points=100)
    assert grid_size(space.axes) == 10**18
    assert len(drawn(space)) == 100


ZDT_AXES = {f"x{i}": DIGITS for i in range(4)}


def test_nsga2_finds_a_known_front() -> None:
    space = space_of(ZDT_AXES, kind="nsga2", points=800, population=40)
    found = drawn(space)
    values = np.array([list(zdt1(point).metrics.values()) for point in found])
    best = [values[values[:, 0] == x, 1].min() for x in DIGITS if (values[:, 0] == x).any()]
    exact = [1 - x**0.5 for x in DIGITS if (values[:, 0] == x).any()]
    assert len(best) >= 19
    assert np.mean(np.array(best) - exact < 0.01) > 0.75
    at_random = drawn(space_of(ZDT_AXES, kind="random", points=800))
    others = np.array([list(zdt1(point).metrics.values()) for point in at_random])
    assert sum(others[:, 1] - 1 + others[:, 0] ** 0.5 < 0.01) < 5


@pytest.mark.parametrize("kind", ["nsga2", "tpe"])
def test_generations_have_the_size_of_the_study(kind: str) -> None:
    sampler = make_sampler(space_of(ZDT_AXES, kind=kind, points=50, population=20))
    sizes = []
    while asked := sampler.ask(3):
        sizes.append(len(asked))
        sampler.tell(list(map(zdt1, asked)))
    assert sizes == [20, 20, 10]


@pytest.mark.parametrize("kind", ["nsga2", "tpe"])
def test_infeasible_and_failed_points_are_avoided(kind: str) -> None:
    """Half of the space breaks a limit or cannot be built, although its numbers would be the best."""

    def evaluate(point: Point) -> Row:
        if point["x1"] > 0.5:  # type: ignore[operator]
            return Row("", "infeasible", "limit", metrics={"energy_pj": -1.0, "cycles": -1.0})
        if point["x2"] > 0.7:  # type: ignore[operator]
            return Row("", "infeasible", "does not fit")
        if point["x3"] == 1.0:
            return Row("", "failed", "traceback")
        return zdt1(point)

    found = drawn(space_of(ZDT_AXES, kind=kind, points=120, population=20), evaluate)
    shares = [
        np.mean([evaluate(point).status == "ok" for point in part]) for part in (found[:20], found[-40:])
    ]
    assert shares[0] < 0.6
    assert shares[1] > 0.75
