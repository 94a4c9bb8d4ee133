"""Ordered factorisations: all of them, each once, in the order of 17.2."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive.mapspace import divisors as naive_divisors
from naive.mapspace import split

from sparsim.mapper import random_and_local
from sparsim.mapper.factorisations import count_factorisations, divisors, factorisations


@st.composite
def limited(draw):
    bound, n_tiling = draw(st.integers(1, 72)), draw(st.integers(1, 4))
    limits = [
        sorted(draw(st.tuples(st.integers(1, 4), st.integers(1, 72)))) if draw(st.booleans()) else (1, bound)
        for _ in range(n_tiling)
    ]
    return bound, [low for low, _ in limits], [high for _, high in limits]


@given(limited())
def test_every_product_between_the_limits_and_no_other(case):
    bound, low, high = case
    ranges = [range(least, min(most, bound) + 1) for least, most in zip(low, high, strict=True)]
    divided = [[f for f in factors if bound % f == 0] for factors in ranges]
    wanted = {row for row in itertools.product(*divided) if math.prod(row) == bound}
    rows = [tuple(row) for row in factorisations(bound, low, high).tolist()]
    assert set(rows) == wanted
    assert len(rows) == len(wanted) == count_factorisations(bound, low, high)


@given(st.integers(1, 300), st.integers(1, 4))
def test_order_is_that_of_the_recursion(bound, n_tiling):
    rows = factorisations(bound, [1] * n_tiling, [bound] * n_tiling)
    assert rows.tolist() == split(bound, n_tiling, naive_divisors(bound))


@given(st.integers(1, 500))
def test_divisors(n):
    assert sorted(divisors(n)) == [i for i in range(1, n + 1) if n % i == 0]


@pytest.mark.parametrize(("power", "n_tiling"), [(10, 8), (20, 3)])
def test_powers_of_two_are_compositions_of_their_exponent(power, n_tiling):
    bound = 2**power
    number = math.comb(power + n_tiling - 1, n_tiling - 1)
    assert count_factorisations(bound, [1] * n_tiling, [bound] * n_tiling) == number
    assert len(factorisations(bound, [1] * n_tiling, [bound] * n_tiling)) == number


def test_nothing_left_is_an_empty_list():
    assert factorisations(6, [4, 1], [5, 6]).shape == (0, 2)


def test_near_factorisations_are_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = factorisations(48, [1] * 5, [48, 4, 48, 48, 6])
    for one in range(0, len(rows), 7):
        near = np.flatnonzero((rows != rows[one]).sum(axis=1) == 2)
        for most in (10, 10**6):
            monkeypatch.setattr(random_and_local, "MANY_ROWS", most)
            assert random_and_local.NearRows(rows).of(one).tolist() == near.tolist()
