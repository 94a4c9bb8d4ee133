"""Compressed sparse columns: there and back, against going through every column by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from msgspec.structs import replace
from naive.pe import stored

from sparsim.errors import SpecError
from sparsim.machines.eyeriss.pe.csc import column_entries, decode_csc, encode_csc
from sparsim.machines.eyeriss.pe.published_pes import EYERISS_V2_PE
from sparsim.records.pe_spec import Spad

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=40))


@given(mask=MASKS, count_bits=st.integers(0, 4), per_word=st.integers(1, 3))
def test_round_trip(mask: np.ndarray, count_bits: int, per_word: int) -> None:
    csc = encode_csc(mask, count_bits, per_word)
    assert (decode_csc(csc) == mask).all()
    assert ((csc.zeros >= 0) & (csc.zeros < 1 << count_bits)).all()
    assert csc.nonzero.sum() == mask.sum()
    assert csc.address[0] == 0
    assert csc.address[-1] * per_word == len(csc.zeros) == len(csc.nonzero)


@given(mask=MASKS, count_bits=st.integers(0, 4), per_word=st.integers(1, 3))
def test_columns_against_walking_down(mask: np.ndarray, count_bits: int, per_word: int) -> None:
    spads = {"iact_data": Spad(words=16, bits=99), "weight_data": Spad(words=96, bits=99)}
    pe = replace(EYERISS_V2_PE, count_bits=count_bits, **spads)
    csc = encode_csc(mask, count_bits, per_word)
    nonzeros, pairs = column_entries(mask.T, count_bits)
    for i, column in enumerate(mask.T):
        entries = stored(column.tolist(), pe)
        assert (nonzeros[i], pairs[i]) == (column.sum(), len(entries))
        words = -(-len(entries) // per_word)
        assert csc.address[i + 1] - csc.address[i] == words
        kept = csc.nonzero[csc.address[i] * per_word : csc.address[i + 1] * per_word].tolist()
        assert kept == entries + [False] * (words * per_word - len(entries))


def test_by_hand() -> None:
    """Columns 0a0b, nothing, and c after seventeen zeros; two pairs per word."""
    mask = np.zeros((18, 3), np.bool_)
    mask[[1, 3], 0] = True
    mask[17, 2] = True
    csc = encode_csc(mask, 4, 2)
    assert csc.zeros.tolist() == [1, 1, 15, 1]
    assert csc.nonzero.tolist() == [True, True, False, True]
    assert csc.address.tolist() == [0, 1, 1, 2]  # an empty column repeats the address
    assert csc.data_bits(8, 4) == 48
    assert csc.address_bits(7) == 21


def test_odd_columns_fill_their_word() -> None:
    csc = encode_csc(np.array([[True, False], [False, True], [True, False]]), 4, 2)
    assert csc.zeros.tolist() == [0, 1, 1, 0]
    assert csc.nonzero.tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    ("shape", "fields", "message"),
    [
        ((2, 2, 2), (4, 1), "csc: the mask has 3 axes, needed are 2: rows, columns"),
        ((2, 2), (-1, 1), "csc: count_bits is -1 and per_word 1, allowed are 0 and 1 and more"),
        ((2, 2), (4, 0), "csc: count_bits is 4 and per_word 0, allowed are 0 and 1 and more"),
    ],
)
def test_what_is_refused(shape: tuple[int, ...], fields: tuple[int, int], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        encode_csc(np.ones(shape, np.bool_), *fields)
    assert str(caught.value) == message
