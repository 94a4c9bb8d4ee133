"""Random columns against counting all of them, and against long simulations."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support.published_pes import EYERISS_V2_PE
from support.small_pes import IDEAL

from sparsim.machines.eyeriss.pe.csc import compressed_columns
from sparsim.machines.eyeriss.pe.random_columns import (
    binomial,
    column_words,
    explicit_zeros,
    largest_of,
    stalls,
    unhidden,
)
from sparsim.records.pe_spec import Spad, SparsePE


def all_columns(m: int) -> np.ndarray:
    return np.array(list(itertools.product([False, True], repeat=m)))


def with_counts(bits: int, simd_width: int = 1) -> SparsePE:
    spads = {"iact_data": Spad(words=16, bits=12), "weight_data": Spad(words=5, bits=48)}
    return replace(IDEAL, count_bits=bits, simd_width=simd_width, **spads)


def chance(columns: np.ndarray, density: float) -> np.ndarray:
    """Of each column."""
    found: np.ndarray = np.where(columns, density, 1.0 - density).prod(axis=1)
    return found


@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_nonzeros_are_binomial(density: float) -> None:
    columns = all_columns(7)
    expected = np.bincount(columns.sum(axis=1), chance(columns, density))
    assert binomial(7, np.array([density]))[0] == pytest.approx(expected)


@pytest.mark.parametrize(("m", "bits"), [(1, 0), (7, 0), (9, 1), (10, 2), (12, 3)])
def test_explicit_zeros(m: int, bits: int) -> None:
    nonzeros, entries, _ = compressed_columns(all_columns(m), bits, 1)
    found = explicit_zeros(m, 1 << bits)
    counted = np.zeros_like(found)
    np.add.at(counted, (nonzeros, entries - nonzeros), 1.0)
    assert found == pytest.approx(counted / counted.sum(axis=1, keepdims=True))


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    bits=st.integers(0, 3),
    simd_width=st.integers(1, 3),
    density=st.sampled_from([0.0, 0.2, 0.75, 1.0]),
)
def test_words_of_columns(sizes: list[int], bits: int, simd_width: int, density: float) -> None:
    found = column_words(with_counts(bits, simd_width), np.array(sizes), np.full(len(sizes), density))
    for row, m in zip(found, sizes, strict=True):
        columns = all_columns(m)
        words = -(-compressed_columns(columns, bits, 1).pairs // simd_width)
        expected = np.bincount(words, chance(columns, density), len(row))
        assert row == pytest.approx(expected)


def test_columns_of_dense_weights() -> None:
    pe = replace(EYERISS_V2_PE, skips_zero_weights=False)
    assert column_words(pe, np.array([3, 4]), np.array([0.1, 0.1])).tolist() == [[0, 0, 1], [0, 0, 1]]


@pytest.mark.parametrize("density", [0.0, 0.2, 0.75, 1.0])
@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_columns_that_need_a_psum_of_the_one_before(lanes: int, density: float) -> None:
    """All pairs of columns of up to five weights; counts are long enough."""
    pe = replace(with_counts(3, lanes), pipeline_stages=1, accumulate_cycles=2)
    sizes = np.arange(1, 6)
    found = stalls(pe, sizes, np.full(5, density))
    for m, stall in zip(sizes.tolist(), found.tolist(), strict=True):
        columns = all_columns(m)[1:]
        share = chance(columns, density)
        ends = compressed_columns(columns, 3, lanes).filters
        met = (ends[:, None, 1, :, None] == ends[None, :, 0, None, :]) & (ends[:, None, 1, :, None] >= 0)
        expected = share @ met.any(axis=(2, 3)) @ share / max(share.sum(), 1e-9) ** 2
        assert stall == pytest.approx(expected)
    assert not stalls(replace(pe, accumulate_cycles=1), sizes, np.full(5, density)).any()
    dense = stalls(replace(pe, skips_zero_weights=False), sizes, np.full(5, density))
    assert dense.tolist() == (sizes <= lanes).tolist()


def waits(words: np.ndarray, empty: float, lookahead: int, rng: np.random.Generator) -> float:
    """Share of the fruitless tries during which the MACs wait, simulated."""
    handed_over, free, began, wait, fruitless = -1, 1, [0] * lookahead, 0, 0
    for i in range(40_000):
        tries = int(rng.geometric(1.0 - empty))
        fruitless += tries - 1
        handed_over = max(handed_over + tries, began[i % lookahead])
        begins = max(handed_over + 1, free)
        wait += begins - free
        began[i % lookahead], free = begins, begins + int(words[i])
    return wait / fruitless


@pytest.mark.parametrize("lookahead", [1, 2, 4])
@pytest.mark.parametrize("empty", [0.3, 0.7])
def test_what_the_pipeline_does_not_hide(lookahead: int, empty: float) -> None:
    rng = np.random.default_rng(0)
    share = np.array([0.2, 0.4, 0.1, 0.3])  # of empty columns, and of those that take 1, 2, 3 cycles
    words = rng.choice([1, 2, 3], 40_000, p=share[1:] / 0.8)
    pe = replace(EYERISS_V2_PE, lookahead_columns=lookahead)
    found = unhidden(pe, share[None], np.array([empty]))[0]
    assert found == pytest.approx(waits(words, empty, lookahead, rng), rel=0.03, abs=0.004)


def test_pipeline_without_anything_to_do() -> None:
    nothing, short = np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])
    assert unhidden(EYERISS_V2_PE, nothing, np.array([1.0])).tolist() == [1.0]
    assert unhidden(EYERISS_V2_PE, short, np.array([0.4])).tolist() == pytest.approx([1.0])  # always in time
    assert unhidden(EYERISS_V2_PE, short, np.array([0.0])).tolist() == [0.0]
    assert unhidden(IDEAL, short, np.array([0.4])).tolist() == [0.0]


def test_largest_of_normals() -> None:
    """One is its own largest; for two and three there are closed forms."""
    mean, square = largest_of(np.array([[1, 2], [3, 192]]))
    assert mean[0].tolist() == pytest.approx([0.0, 1 / math.sqrt(math.pi)], abs=1e-5)
    assert mean[1, 0] == pytest.approx(1.5 / math.sqrt(math.pi), abs=1e-5)
    assert square[0].tolist() == pytest.approx([1.0, 1.0], abs=1e-4)
    assert square[1, 0] == pytest.approx(1.0 + math.sqrt(3) / (2 * math.pi), abs=1e-4)
    sample = np.random.default_rng(0).standard_normal((20_000, 192)).max(axis=1)
    assert mean[1, 1] == pytest.approx(sample.mean(), abs=0.01)
    assert square[1, 1] == pytest.approx((sample**2).mean(), abs=0.06)
