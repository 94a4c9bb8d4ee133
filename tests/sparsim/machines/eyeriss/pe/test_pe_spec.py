"""The records of PEs: published sizes, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from support.named import names
from support.published_pes import EYERISS_V1_5_PE, EYERISS_V1_PE, EYERISS_V2_PE

from sparsim.errors import SpecError
from sparsim.records.pe_spec import Spad


def test_published_sizes() -> None:
    """JETCAS section IV: spads of 3284 bits, 192 weights with counts; JSSC: filters of 224 weights."""
    names = ("iact_address", "iact_data", "weight_address", "weight_data", "psum")
    spads = [getattr(EYERISS_V2_PE, name) for name in names]
    assert sum(spad.words * spad.bits for spad in spads) == 3284
    assert EYERISS_V2_PE.weight_data.words * EYERISS_V2_PE.simd_width == 192
    assert (EYERISS_V2_PE.weight_data.words, EYERISS_V2_PE.weight_data.bits) == (96, 24)
    assert EYERISS_V2_PE.fill_cycles == 6
    assert EYERISS_V2_PE.accumulate_cycles == 2
    for pe in (EYERISS_V1_PE, EYERISS_V1_5_PE):
        assert (pe.weight_data.words, pe.iact_data.words, pe.psum.words) == (224, 12, 24)
        assert not pe.skips_zero_iacts
        assert not pe.skips_zero_weights
        assert pe.fill_cycles == 0
        assert pe.accumulate_cycles == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"simd_width": 0}, "PE eyeriss_v2 simd_width 0 1"),
        ({"lookahead_columns": 0}, "PE eyeriss_v2 lookahead_columns 0 1"),
        ({"accumulate_cycles": 3}, "PE eyeriss_v2 accumulate_cycles 3 2"),
        ({"pipeline_stages": -1}, "PE eyeriss_v2 pipeline_stages -1 0"),
        ({"psum": Spad()}, "PE eyeriss_v2 words psum 0 1"),
        ({"simd_width": 3}, "PE eyeriss_v2 weight_data 24 36"),
        ({"count_bits": 5}, "PE eyeriss_v2 iact_data 12 13"),
        (
            {"iact_address": Spad(words=9, bits=3)},
            "PE eyeriss_v2 iact_address 3 4",
        ),
        ({"weight_address": Spad()}, "PE eyeriss_v2 weight_address 0 1"),
        (
            {"skips_zero_weights": False, "weight_address": Spad(words=-1)},
            "PE eyeriss_v2 weight_address -1 0",
        ),
    ],
)
def test_what_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        replace(EYERISS_V2_PE, **changes)
    assert names(caught.value, message)


def test_plain_data() -> None:
    plain = EYERISS_V2_PE.to_dict()
    assert plain["weight_data"] == {"words": 96, "bits": 24}
    assert "source" in plain
