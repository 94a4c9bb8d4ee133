"""Compressed sparse columns, against going through every column by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from msgspec.structs import replace
from naive.pe import stored
from support.published_pes import EYERISS_V2_PE

from sparsim.machines.eyeriss.pe.csc import column_entries
from sparsim.records.pe_spec import Spad

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=40))


@given(mask=MASKS, count_bits=st.integers(0, 4))
def test_columns_against_walking_down(mask: np.ndarray, count_bits: int) -> None:
    spads = {"iact_data": Spad(words=16, bits=99), "weight_data": Spad(words=96, bits=99)}
    pe = replace(EYERISS_V2_PE, count_bits=count_bits, **spads)
    nonzeros, pairs = column_entries(mask.T, count_bits)
    for i, column in enumerate(mask.T):
        assert (nonzeros[i], pairs[i]) == (column.sum(), len(stored(column.tolist(), pe)))


def test_by_hand() -> None:
    """Columns 0a0b, nothing, and c after seventeen zeros, which take an explicit zero."""
    mask = np.zeros((18, 3), np.bool_)
    mask[[1, 3], 0] = True
    mask[17, 2] = True
    nonzeros, pairs = column_entries(mask.T, 4)
    assert nonzeros.tolist() == [2, 0, 1]
    assert pairs.tolist() == [2, 0, 2]
