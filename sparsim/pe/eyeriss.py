"""The PEs of Eyeriss v1, v1.5 and v2, as records with the source of each value."""

from __future__ import annotations

from sparsim.pe.spec import Spad, SparsePE

_JSSC = "Chen et al., JSSC 52(1), 2017"
_JETCAS = "Chen et al., JETCAS 9(2), 2019"


def _dense(name: str, note: str) -> SparsePE:
    """Zero iacts gate the weight spad, the MAC and the psum spad, and take their cycle."""
    return SparsePE(
        name=name,
        simd_width=1,
        value_bits=8,
        count_bits=0,
        iact_data=Spad(words=12, bits=8),
        weight_data=Spad(words=224, bits=8),
        psum=Spad(words=24, bits=20),
        source=f"words of the spads and gating: {_JSSC}; 8-bit values, 20-bit psums: {_JETCAS}; {note}; "
        "its short pipeline is not counted",
    )


EYERISS_V1_PE = _dense("eyeriss_v1", "v1 scaled to the size of v2")
EYERISS_V1_5_PE = _dense("eyeriss_v1_5", "v1.5 has the PE of v1 on the network of v2")
EYERISS_V2_PE = SparsePE(
    name="eyeriss_v2",
    simd_width=2,
    value_bits=8,
    count_bits=4,
    iact_address=Spad(words=9, bits=4),
    iact_data=Spad(words=16, bits=12),
    weight_address=Spad(words=16, bits=7),
    weight_data=Spad(words=96, bits=24),  # 192 pairs of a value and a count
    psum=Spad(words=32, bits=20),
    skips_zero_iacts=True,
    skips_zero_weights=True,
    pipeline_stages=7,  # 2 fetch iacts, 3 fetch weights, 2 multiply and accumulate
    lookahead_columns=2,
    source=f"{_JETCAS}: spads, CSC, SIMD, stages; assumed: two columns wait, one per stage between the "
    "address and the data of weights",
)
