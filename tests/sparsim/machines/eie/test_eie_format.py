"""Relative-indexed CSC: the examples of EIE's paper, round trips, and the entries to expect."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive.eie import entries_of

from sparsim.errors import SpecError
from sparsim.machines.eie.relative_csc import decode, encode, stored_weights
from sparsim.machines.eie.slices import slice_entries


def test_the_column_of_the_paper() -> None:
    (found,) = encode(np.array([[0, 0, 1, 2, *[0] * 18, 3, 0, 0]]).T, 1, 4)
    assert found.values.tolist() == [1, 2, 0, 3]
    assert found.zeros.tolist() == [2, 0, 15, 2]
    assert found.pointers.tolist() == [0, 4]


def test_the_pointers_of_the_paper() -> None:
    """Of PE 0 in the example of 16 rows, 8 columns and 4 PEs."""
    number = [3, 1, 2, 0, 2, 2, 1, 2]
    weights = np.zeros((16, 8), int)
    for column, nonzeros in enumerate(number):
        weights[0 : 4 * nonzeros : 4, column] = 1
    found = encode(weights, 4, 4)
    assert np.diff(found[0].pointers).tolist() == number
    assert found[0].pointers.tolist() == [0, 3, 4, 6, 6, 8, 10, 11, 13]
    assert all(len(pe.values) == 0 for pe in found[1:])


@given(
    rows=st.integers(1, 60), columns=st.integers(1, 4), pes=st.integers(1, 5), bits=st.integers(1, 4),
    density=st.floats(0.0, 1.0), seed=st.integers(0, 1000),
)  # fmt: skip
def test_weights_come_back(rows, columns, pes, bits, density, seed) -> None:
    rng = np.random.default_rng(seed)
    weights = np.where(rng.random((rows, columns)) < density, rng.integers(1, 9, (rows, columns)), 0)
    found = encode(weights, pes, bits)
    assert (decode(found, rows) == weights).all()
    counted = stored_weights(weights != 0, pes, bits)
    for k, pe in enumerate(found):
        assert np.diff(pe.pointers).tolist() == counted.entries[:, k].tolist()
        assert pe.pointers[:-1].tolist() == counted.starts[:, k].tolist()
        assert (pe.zeros < 2**bits).all()
        expected = [
            entry for c in range(columns) for entry in entries_of(weights[k::pes, c].tolist(), 2**bits)
        ]
        assert list(zip(pe.values.tolist(), pe.zeros.tolist(), strict=True)) == expected
    assert counted.nonzeros.tolist() == (weights != 0).sum(axis=0).tolist()


@pytest.mark.parametrize(("pes", "bits"), [(0, 4), (2, 0)])
def test_formats_without_room_are_refused(pes: int, bits: int) -> None:
    with pytest.raises(SpecError, match="at least 1"):
        stored_weights(np.ones((2, 2), bool), pes, bits)


@pytest.mark.parametrize(("rows", "pes", "gap"), [(7, 1, 2), (7, 2, 2), (10, 3, 4), (5, 8, 16)])
def test_expected_entries_are_those_of_all_masks(rows: int, pes: int, gap: int) -> None:
    density = 0.3
    mean = square = empty = nonzeros = 0.0
    for mask in itertools.product((0, 1), repeat=rows):
        chance = np.prod([density if bit else 1.0 - density for bit in mask])
        for k in range(pes):
            entries = len(entries_of(mask[k::pes], gap))
            mean += chance * entries / pes
            square += chance * entries**2 / pes
            empty += chance * (entries == 0) / pes
            nonzeros += chance * sum(mask[k::pes]) / pes
    found = slice_entries(rows, pes, density, gap)
    assert found == pytest.approx((mean, square, empty, nonzeros))
    assert found.cycles == pytest.approx(mean + empty)


@pytest.mark.parametrize(
    ("rows", "density", "padding"),
    [
        (4096, 0.09, 1.193), (1000, 0.25, 1.0), (4096, 0.04, 1.561), (600, 0.1, 1.0), (8791, 0.11, 1.158),
        (2400, 0.1, 1.111),
    ],
)  # fmt: skip
def test_padding_of_the_nine_layers(rows: int, density: float, padding: float) -> None:
    """1 + (1/R) sum over PEs and k of (n - 16 k) q^(16 k), which random masks have on average."""
    found = slice_entries(rows, 64, density, 16).padding
    lengths = [len(range(k, rows, 64)) for k in range(64)]
    more = sum((n - k) * (1.0 - density) ** k for n in lengths for k in range(16, n, 16))
    assert found == pytest.approx(1.0 + more / rows)
    assert found == pytest.approx(padding, abs=6e-4)


def test_slices_of_nothing_and_of_everything() -> None:
    assert slice_entries(10, 4, 0.0, 16) == (0.0, 0.0, 1.0, 0.0)
    assert slice_entries(8, 4, 1.0, 16) == pytest.approx((2.0, 4.0, 0.0, 2.0))
    assert slice_entries(2, 4, 1.0, 16) == pytest.approx((0.5, 0.5, 0.5, 0.5))
