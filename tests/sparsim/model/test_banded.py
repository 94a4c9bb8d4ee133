"""Banded matrices against the matrix itself, where the reference's rule is no more than counting.

That is where tiles divide the matrix, columns of tiles divide rows of tiles (then all row groups between the
two ends look alike), and the band leaves the two ends apart.
"""

from __future__ import annotations

import collections
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import MATMUL, matmul

from sparsim.model.banded_density import Banded
from sparsim.model.evaluate import evaluate
from sparsim.model.lower import lower_layer
from sparsim.records import Density, Layer


def banded(edge: int, half_width: int) -> Banded:
    layer = Layer(shape=MATMUL, bounds={"M": edge, "N": 1, "K": edge})
    return Banded(lower_layer(layer), 0, edge, half_width)


def matrix(edge: int, half_width: int) -> np.ndarray:
    rows, columns = np.indices((edge, edge))
    return abs(rows - columns) <= half_width


@st.composite
def grids(draw: Any) -> tuple[int, int, int, int]:
    """(edge, half width, rows and columns of a tile)."""
    columns = draw(st.integers(1, 4))
    rows = columns * draw(st.integers(1, 4))
    groups = draw(st.integers(1, 6))
    warm_up = draw(st.integers(0, groups // 2))
    half_width = rows * warm_up - draw(st.integers(0, rows - 1)) if warm_up else 0
    return rows * groups, half_width, rows, columns


@settings(max_examples=300, deadline=None)
@given(grid=grids())
def test_occupancies(grid: tuple[int, int, int, int]) -> None:
    edge, half_width, rows, columns = grid
    tiles = matrix(edge, half_width).reshape(edge // rows, rows, edge // columns, columns).sum(axis=(1, 3))
    expected = collections.Counter(tiles.ravel().tolist())
    found = banded(edge, half_width).occupancies(rows, columns)
    assert {k: p for k, p in found.items() if p} == {
        k: pytest.approx(n / tiles.size) for k, n in expected.items()
    }
    assert 0 in found
    k, p, most = banded(edge, half_width).list_of((rows, columns))
    assert most == max(expected)
    assert p.sum() == pytest.approx(1.0)
    assert k.tolist() == sorted(expected)


@settings(max_examples=200, deadline=None)
@given(grid=grids(), data=st.data())
def test_empty_parts_of_the_first_tile(grid: tuple[int, int, int, int], data: st.DataObject) -> None:
    edge, half_width, rows, columns = grid
    divisors = [[d for d in range(1, n + 1) if n % d == 0] for n in (rows, columns)]
    part_rows, part_columns = (data.draw(st.sampled_from(d)) for d in divisors)
    tile = matrix(edge, half_width)[:rows, :columns]
    parts = tile.reshape(rows // part_rows, part_rows, columns // part_columns, part_columns).sum(axis=(1, 3))
    found = banded(edge, half_width).empty_within((rows, columns), (part_rows, part_columns), int(tile.sum()))
    assert found == pytest.approx((parts == 0).mean())


@given(edge=st.integers(1, 30), data=st.data())
def test_point_density(edge: int, data: st.DataObject) -> None:
    half_width = data.draw(st.integers(0, edge - 1))
    assert banded(edge, half_width).point_density == pytest.approx(matrix(edge, half_width).mean())


def test_band_wider_than_the_matrix_follows_the_reference() -> None:
    """The formula goes on past the corner: (4 + 2 * (3 + 2 + 1 + 0 - 1)) / 16 for a full matrix."""
    assert banded(4, 5).point_density == 14 / 16


def test_tiles_beyond_the_matrix_are_the_matrix() -> None:
    assert banded(4, 1).box([9, 1, 2]) == (4, 2)


def test_counts_of_a_diagonal_matrix() -> None:
    """Of 8 x 8 words 8 are nonzero: every tile of 1 x 4 has one or none."""
    result = evaluate(*matmul(A=Density(distribution="banded", band_width=0)).given)
    spad = next(t for t in result.level("spad").tensors if t.dataspace == "A")
    dram = next(t for t in result.level("DRAM").tensors if t.dataspace == "A")
    assert dram.reads.actual == 8
    assert spad.tile_density == 0.25
    assert spad.instances_average == 4 * 0.5
    assert result.compute.actual + result.compute.gated == 8 * 4
    assert math.isclose(dram.tile_density, 1 / 8)
