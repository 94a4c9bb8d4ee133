"""Compressed sparse columns, against going through every column by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from msgspec.structs import replace
from naive.pe import stored
from support.published_pes import EYERISS_V2_PE

from sparsim.machines.eyeriss.pe.csc import compressed_columns
from sparsim.records.pe_spec import Spad

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=40))


@given(mask=MASKS, count_bits=st.integers(0, 4))
def test_columns_against_walking_down(mask: np.ndarray, count_bits: int) -> None:
    spads = {"iact_data": Spad(words=16, bits=99), "weight_data": Spad(words=96, bits=99)}
    pe = replace(EYERISS_V2_PE, count_bits=count_bits, **spads)
    found = compressed_columns(mask.T, count_bits, 3)
    for i, column in enumerate(mask.T):
        entries = stored(column.tolist(), pe)
        assert (found.nonzeros[i], found.pairs[i]) == (column.sum(), len(entries))
        words = [entries[at : at + 3] for at in range(0, len(entries), 3)] or [[]]
        for word, filters in zip((words[0], words[-1]), found.filters[i].tolist(), strict=True):
            assert [f for f in filters if f >= 0] == [f for f in word if f is not None]


def test_by_hand() -> None:
    """Columns 0a0b, nothing, and c after seventeen zeros, which take an explicit zero."""
    mask = np.zeros((18, 3), np.bool_)
    mask[[1, 3], 0] = True
    mask[17, 2] = True
    found = compressed_columns(mask.T, 4, 2)
    assert found.nonzeros.tolist() == [2, 0, 1]
    assert found.pairs.tolist() == [2, 0, 2]
    assert found.filters.tolist() == [[[1, 3], [1, 3]], [[-1, -1], [-1, -1]], [[-1, 17], [-1, 17]]]
