"""What fits a PE, against adding up columns and against drawn weights."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace
from support.published_pes import EYERISS_V1_5_PE, EYERISS_V2_PE
from support.small_pes import IDEAL

from sparsim.machines.eyeriss.pe.conv_tiling import Conv, Tiling
from sparsim.machines.eyeriss.pe.pe_estimate import estimate
from sparsim.machines.eyeriss.pe.random_columns import column_words
from sparsim.machines.eyeriss.pe.spad_capacity import weight_overflow
from sparsim.records.pe_spec import Spad


def test_overflow() -> None:
    """Five words; against the distribution of the sum, added up column by column."""
    pe = replace(IDEAL, weight_data=Spad(words=5, bits=24))
    m, columns, density = np.array([3, 6, 6, 4]), np.array([4, 2, 3, 1]), np.array([0.5, 0.9, 0.4, 1.0])
    expected = []
    for i in range(4):
        words = column_words(pe, m[i : i + 1], density[i : i + 1])[0]
        total = np.ones(1)
        for _ in range(columns[i]):
            total = np.convolve(total, words)
        expected.append(total[6:].sum())
    found = weight_overflow(pe, m, columns, density)
    assert found == pytest.approx(expected, abs=1e-12)
    assert found[3] == 0.0


def test_what_fits() -> None:
    conv = Conv(M=64, C=64, S=3)
    tiling = Tiling(M0=np.array([32, 33, 32, 16]), C0=np.array([5, 5, 6, 4]))
    found = estimate(EYERISS_V2_PE, conv, tiling, 0.5, 0.9)
    assert found.fits.tolist() == [True, False, False, True]
    assert found.weight_overflow[0] > 0.999
    assert found.weight_overflow[3] == 0.0
    rng = np.random.default_rng(0)
    words = -(-(rng.random((2000, 12, 32)) < 0.48).sum(axis=2) // 2)
    share = (words.sum(axis=1) > 96).mean()
    one = estimate(EYERISS_V2_PE, conv, Tiling(M0=32, C0=4), 0.5, 0.48)
    assert one.weight_overflow == pytest.approx(share, abs=0.04)
    dense = estimate(EYERISS_V1_5_PE, conv, Tiling(M0=np.array([18, 19]), C0=4), 0.5, 0.9)
    assert dense.fits.tolist() == [True, False]
    assert dense.weight_overflow.tolist() == pytest.approx([0.0, 1.0])
