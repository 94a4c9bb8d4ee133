"""Hypergeometric probabilities against exact fractions: every one is the nearest double."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from naive.density import Uniform, hypergeometric, none_of
from numba import njit

from sparsim.model.kernels import tile_densities as density
from sparsim.model.kernels import tile_formats as formats
from sparsim.model.kernels.pipeline import EntryCompiler

compiled = njit(pipeline_class=EntryCompiler)  # calls what only kernels call


@compiled
def kernel_list(total: int, nonzeros: int, points: int, k: Any, p: Any, lo: Any) -> int:
    return density.hypergeometric_list(total, nonzeros, points, k, p, lo)


@compiled
def kernel_miss(total: int, points: int, nonzeros: int) -> float:
    return density.miss_chance(total, points, nonzeros)[0]


@compiled
def kernel_least(total: int, nonzeros: int, points: int) -> int:
    return density._hypergeometric_least(total, nonzeros, points)


@st.composite
def tiles(draw: Any, largest: int = 3000) -> tuple[int, int, int]:
    """(words of the tensor, nonzeros of the tensor, words of the tile)."""
    total = draw(st.integers(1, largest))
    return total, draw(st.integers(0, total)), draw(st.integers(1, total))


def probabilities(total: int, nonzeros: int, points: int) -> dict[int, float]:
    room = int(min(total, 10 * math.sqrt(total) + 400)) + 2  # what `make_scratch` provides
    k, p, lo = np.zeros(room, np.int64), np.zeros(room), np.zeros(room)
    n = kernel_list(total, nonzeros, points, k, p, lo)
    return dict(zip(k[:n].tolist(), p[:n].tolist(), strict=True))


@settings(max_examples=100, deadline=None)
@given(tile=tiles())
@example(tile=(104_729, 30_000, 900))
@example(tile=(3_000_000, 40, 2_000))
@example(tile=(500, 500, 77))
@example(tile=(500, 0, 77))
def test_probabilities_are_correctly_rounded(tile: tuple[int, int, int]) -> None:
    exact = hypergeometric(*tile)
    found = probabilities(*tile)
    assert found == {k: float(exact[k]) for k in found}
    assert all(p < 1e-40 for k, p in exact.items() if k not in found)


@settings(max_examples=150, deadline=None)
@given(tile=tiles())
@example(tile=(64, 13, 4))
@example(tile=(5, 0, 9))
def test_chances_of_empty_tiles_are_correctly_rounded(tile: tuple[int, int, int]) -> None:
    total, nonzeros, points = tile
    exact, found = float(none_of(total, nonzeros, points)), kernel_miss(total, points, nonzeros)
    assert found == (exact if exact > 1e-280 else pytest.approx(exact, abs=1e-280))


def test_values_of_the_specification() -> None:
    """23.6."""
    assert kernel_miss(64, 4, 13) == 0.3933104177683765
    assert kernel_miss(64, 1, 13) == 0.796875


@settings(max_examples=150, deadline=None)
@given(tile=tiles(100))
def test_least_occupancy_wraps_like_the_reference(tile: tuple[int, int, int]) -> None:
    total, nonzeros, points = tile
    uniform = Uniform(1.0, total)
    uniform.nonzeros = nonzeros
    expected, found = uniform.least(points), kernel_least(total, nonzeros, points)
    assert found == (expected if expected < 9e18 else -1)


def test_probabilities_sum_to_one() -> None:
    assert sum(map(Fraction, probabilities(5000, 1234, 800).values())) == pytest.approx(1, abs=1e-15)


def test_small_tile_limits_are_those_of_the_specification() -> None:
    from naive.cost import BLOCKS

    @compiled
    def limit(block: int, tenth: int) -> int:
        return formats._small_tile_limit(block, tenth)

    assert {b: tuple(limit(b, i) for i in range(10)) for b in BLOCKS} == BLOCKS
    assert limit(3, 0) == -1
