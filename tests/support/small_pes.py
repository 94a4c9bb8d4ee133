"""Small PEs, layers, tilings and masks for Hypothesis."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from msgspec.structs import replace

from sparsim.machines.eyeriss.pe.conv_tiling import Conv, Tiling
from sparsim.machines.eyeriss.pe.cycle_simulator import ArrayRun, run_array
from sparsim.records.pe_spec import Spad, SparsePE
from support.published_pes import EYERISS_V2_PE

IDEAL = replace(EYERISS_V2_PE, name="ideal", pipeline_stages=0)


class Work(NamedTuple):
    pe: SparsePE
    conv: Conv
    tiling: Tiling
    iacts: np.ndarray
    weights: np.ndarray


def mask_shapes(conv: Conv) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of iacts and of weights."""
    rows, columns = (conv.P - 1) * conv.U + conv.R, (conv.Q - 1) * conv.U + conv.S
    return (conv.G, conv.C, rows, columns), (conv.G, conv.M, conv.C, conv.R, conv.S)


STAGES = st.integers(0, 4)


def pes(stages: st.SearchStrategy[int] = STAGES) -> st.SearchStrategy[SparsePE]:
    return st.builds(
        lambda **changes: replace(
            EYERISS_V2_PE, iact_data=Spad(words=16, bits=16), weight_data=Spad(words=96, bits=64), **changes
        ),
        simd_width=st.integers(1, 3),
        count_bits=st.integers(0, 4),
        skips_zero_iacts=st.booleans(),
        skips_zero_weights=st.booleans(),
        pipeline_stages=stages,
        lookahead_columns=st.integers(1, 3),
        accumulate_cycles=st.integers(1, 2),
    )


CONVS = st.builds(
    Conv, G=st.integers(1, 2), M=st.integers(1, 6), C=st.integers(1, 4), R=st.integers(1, 3),
    S=st.integers(1, 4), P=st.integers(1, 3), Q=st.integers(1, 4), U=st.integers(1, 3),
)  # fmt: skip
TILINGS = st.builds(
    Tiling, M0=st.integers(1, 7), C0=st.integers(1, 4), P0=st.integers(1, 3), Q0=st.integers(1, 4),
    pes_g=st.integers(1, 2), pes_m=st.integers(1, 3), pes_c=st.integers(1, 2), pes_r=st.integers(1, 2),
    pes_p=st.integers(1, 2), pes_q=st.integers(1, 3),
)  # fmt: skip


@st.composite
def works(draw: st.DrawFn) -> Work:
    conv = draw(CONVS)
    iacts, weights = (draw(arrays(np.bool_, shape)) for shape in mask_shapes(conv))
    return Work(draw(pes()), conv, draw(TILINGS), iacts, weights)


def random_masks(
    conv: Conv, iact_density: float, weight_density: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    iacts, weights = mask_shapes(conv)
    return rng.random(iacts) < iact_density, rng.random(weights) < weight_density


def run_pe(pe: SparsePE, iacts: np.ndarray, weights: np.ndarray, stride: int = 1) -> ArrayRun:
    """One pass of one PE: `iacts` (C0, columns), `weights` (M0, C0, S)."""
    (c, columns), (m, _, s) = iacts.shape, weights.shape
    conv = Conv(M=m, C=c, S=s, Q=(columns - s) // stride + 1, U=stride)
    tiling = Tiling(M0=conv.M, C0=conv.C, Q0=conv.Q)
    return run_array(pe, conv, tiling, iacts[None, :, None], weights[None, :, :, None])
