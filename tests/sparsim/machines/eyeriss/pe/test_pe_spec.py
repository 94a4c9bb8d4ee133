"""The records of PEs: published sizes, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
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
    for pe in (EYERISS_V1_PE, EYERISS_V1_5_PE):
        assert (pe.weight_data.words, pe.iact_data.words, pe.psum.words) == (224, 12, 24)
        assert not pe.skips_zero_iacts
        assert not pe.skips_zero_weights
        assert pe.fill_cycles == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"simd_width": 0}, "PE eyeriss_v2: simd_width is 0, allowed is 1 and more"),
        ({"lookahead_columns": 0}, "PE eyeriss_v2: lookahead_columns is 0, allowed is 1 and more"),
        ({"pipeline_stages": -1}, "PE eyeriss_v2: pipeline_stages is -1, allowed is 0 and more"),
        ({"psum": Spad()}, "PE eyeriss_v2: words of psum is 0, allowed is 1 and more"),
        ({"simd_width": 3}, "PE eyeriss_v2: bits of weight_data is 24, allowed is 36 and more"),
        ({"count_bits": 5}, "PE eyeriss_v2: bits of iact_data is 12, allowed is 13 and more"),
        (
            {"iact_address": Spad(words=9, bits=3)},
            "PE eyeriss_v2: bits of iact_address is 3, allowed is 4 and more",
        ),
        ({"weight_address": Spad()}, "PE eyeriss_v2: words of weight_address is 0, allowed is 1 and more"),
        (
            {"skips_zero_weights": False, "weight_address": Spad(words=-1)},
            "PE eyeriss_v2: words of weight_address is -1, allowed is 0 and more",
        ),
    ],
)
def test_what_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        replace(EYERISS_V2_PE, **changes)
    assert str(caught.value) == message


def test_plain_data() -> None:
    plain = EYERISS_V2_PE.to_dict()
    assert plain["weight_data"] == {"words": 96, "bits": 24}
    assert "source" in plain
