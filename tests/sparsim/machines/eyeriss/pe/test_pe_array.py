"""The compiled twin against a PE that steps through its cycles, and against closed forms."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from msgspec.structs import replace
from naive import pe as naive
from support.named import names
from support.published_pes import EYERISS_V1_5_PE, EYERISS_V2_PE
from support.small_pes import IDEAL, Work, mask_shapes, random_masks, run_pe, works

from sparsim.errors import MappingError, SpecError
from sparsim.machines.eyeriss.pe.closed_forms import effectual_macs
from sparsim.machines.eyeriss.pe.conv_tiling import Conv, Tiling
from sparsim.machines.eyeriss.pe.cycle_simulator import run_array

ONE_MAC = replace(IDEAL, simd_width=1)


@settings(max_examples=100, deadline=None)
@given(work=works())
def test_against_stepping_through(work: Work) -> None:
    run = run_array(*work, limited=False)
    cycles, accesses = naive.run(*work)
    assert run.pe_cycles.tolist() == cycles
    assert run.accesses == accesses
    assert run.cycles == sum(map(max, cycles))
    assert run.busy_cycles * work.pe.simd_width == run.macs + run.gated_macs
    assert run.pass_cycles.tolist() == [max(p) for p in cycles]


@settings(max_examples=60, deadline=None)
@given(work=works())
def test_one_mac_without_pipeline_takes_every_effectual_product(work: Work) -> None:
    run = run_array(ONE_MAC, *work[1:], limited=False)
    assert run.busy_cycles == run.pe_cycles.sum() == effectual_macs(*work[3:], work.conv.U)
    assert run.gated_macs == 0


@settings(max_examples=60, deadline=None)
@given(work=works())
def test_a_pipeline_only_adds(work: Work) -> None:
    """Cycles where the MACs wait, fewer if more columns wait for them, and the filling of every pass."""
    ideal = run_array(replace(work.pe, pipeline_stages=0), *work[1:], limited=False)
    one = run_array(replace(work.pe, pipeline_stages=1, lookahead_columns=1), *work[1:], limited=False)
    deep = run_array(replace(work.pe, pipeline_stages=1, lookahead_columns=9), *work[1:], limited=False)
    assert (ideal.pe_cycles <= deep.pe_cycles).all()
    assert (deep.pe_cycles <= one.pe_cycles).all()
    assert one.accesses == ideal.accesses
    filled = run_array(replace(work.pe, pipeline_stages=7, lookahead_columns=9), *work[1:], limited=False)
    assert (filled.pe_cycles == np.where(deep.pe_cycles > 0, deep.pe_cycles + 6, 0)).all()


def test_empty_columns_hide_behind_long_ones_only() -> None:
    """Columns of 3, 1, 1, 0 and 1 cycles: the empty one is seen early if two columns may wait."""
    weights = np.zeros((3, 5, 1), np.bool_)
    weights[:, 0], weights[0, [1, 2, 4]] = True, True
    iacts = np.ones((5, 1), np.bool_)
    pe = replace(ONE_MAC, pipeline_stages=1, accumulate_cycles=1)
    cycles = [run_pe(replace(pe, lookahead_columns=n), iacts, weights).cycles for n in (1, 2)]
    assert cycles == [7, 6]
    assert run_pe(ONE_MAC, iacts, weights).cycles == 6


def test_depthwise_layers_have_no_cycles_to_skip() -> None:
    """JETCAS: segments of one iact, columns of one weight; v2 is slower than v1.5 by its pipeline: by filling
    it, and by a cycle for each MAC that adds to the psum of the one before.
    """
    conv, tiling = Conv(G=4, R=3, S=3, P=4, Q=6), Tiling(Q0=6)
    masks = random_masks(conv, 0.4, 0.7, np.random.default_rng(1))
    forwarding = replace(EYERISS_V2_PE, accumulate_cycles=1)
    sparse, dense = (run_array(pe, conv, tiling, *masks) for pe in (forwarding, EYERISS_V1_5_PE))
    assert dense.cycles == 4 * 3 * 3 * 4 * 6
    filling = EYERISS_V2_PE.fill_cycles * len(sparse.pass_cycles)
    assert sparse.cycles == dense.cycles + filling
    ones = [np.ones_like(mask) for mask in masks]
    waiting = run_array(EYERISS_V2_PE, conv, tiling, *ones)
    assert waiting.cycles == 4 * 3 * 4 * 6 * (3 + 2) + filling
    assert waiting.busy_cycles == dense.cycles
    assert sparse.cycles < run_array(EYERISS_V2_PE, conv, tiling, *masks).cycles < waiting.cycles


@pytest.mark.parametrize(
    ("weights", "cycles"),
    [
        ([[1, 1], [0, 0], [0, 0], [0, 0]], 1 + 1 + 1),  # filter 0 twice
        ([[1, 0], [0, 1], [0, 0], [0, 0]], 1 + 1),  # different filters
        (
            [[1, 0], [1, 0], [1, 1], [0, 0]],
            2 + 1 + 1,
        ),  # the second word has filter 2, which the next begins with
        ([[1, 1], [1, 1], [1, 1], [1, 1]], 2 + 2),  # other filters than in the last word
    ],
)
def test_a_column_waits_for_a_psum_of_the_word_before(weights: list[list[int]], cycles: int) -> None:
    """Two columns (of two channels) of four filters, two MACs, every iact is one."""
    pe = replace(EYERISS_V2_PE, pipeline_stages=1)
    mask = np.array(weights, np.bool_)[:, :, None]
    run = run_pe(pe, np.ones((2, 1), np.bool_), mask)
    assert run.cycles == cycles
    again = run_pe(pe, np.ones((2, 3), np.bool_), mask)
    assert again.cycles == 3 * cycles  # a new window waits for none


def test_a_dense_pe_gates_zero_iacts() -> None:
    conv, tiling = Conv(M=8, C=4, S=3, Q=5), Tiling(M0=8, C0=4, Q0=5)
    iacts, weights = random_masks(conv, 0.5, 0.5, np.random.default_rng(2))
    run = run_array(EYERISS_V1_5_PE, conv, tiling, iacts, weights)
    assert run.cycles == 8 * 4 * 3 * 5
    assert run.macs == effectual_macs(iacts, np.ones_like(weights))
    assert run.simd_efficiency == run.macs / run.cycles
    assert run.accesses.weight_data_reads == run.macs
    assert run.accesses.weight_address_reads == run.accesses.iact_address_reads == 0


def test_balance() -> None:
    """Four PEs along M: one has all of the weights, then nobody has any."""
    conv, tiling = Conv(M=8, C=2, Q=3), Tiling(M0=2, C0=1, Q0=3, pes_m=4)
    iacts, weights = np.ones((1, 2, 1, 3), np.bool_), np.zeros((1, 8, 2, 1, 1), np.bool_)
    weights[:, :2, 0] = True
    run = run_array(IDEAL, conv, tiling, iacts, weights)
    assert run.pe_cycles.tolist() == [[3, 0, 0, 0], [0, 0, 0, 0]]
    assert run.load_balance == 0.25
    assert run_array(IDEAL, conv, tiling, iacts, weights & False).load_balance == 1.0


def test_threads_do_not_disturb_each_other() -> None:
    rng = np.random.default_rng(3)
    conv, tiling = Conv(M=16, C=8, R=3, S=3, P=6, Q=6), Tiling(8, 4, 2, 3, pes_m=2, pes_r=3)
    masks = [random_masks(conv, 0.6, 0.5, rng) for _ in range(8)]
    alone = [run_array(EYERISS_V2_PE, conv, tiling, *m).pe_cycles.tolist() for m in masks]
    with ThreadPoolExecutor(4) as pool:
        runs = pool.map(lambda m: run_array(EYERISS_V2_PE, conv, tiling, *m).pe_cycles.tolist(), masks)
        assert list(runs) == alone


@pytest.mark.parametrize(
    ("conv", "tiling", "level", "message"),
    [
        (Conv(M=33), Tiling(M0=33), "psum", "PE eyeriss_v2 32 33"),
        (
            Conv(C=6, S=3), Tiling(C0=6), "iact_data",
            "iact_data PE eyeriss_v2 16 18",
        ),
        (
            Conv(S=10), Tiling(), "iact_address",
            "iact_address PE eyeriss_v2 9 10",
        ),
        (
            Conv(M=32, C=16), Tiling(M0=32, C0=8), "weight_data",
            "weight_data PE eyeriss_v2 96 128",
        ),
    ],
)  # fmt: skip
def test_tiles_that_do_not_fit(conv: Conv, tiling: Tiling, level: str, message: str) -> None:
    masks = [np.ones(shape, np.bool_) for shape in mask_shapes(conv)]
    with pytest.raises(MappingError) as caught:
        run_array(EYERISS_V2_PE, conv, tiling, *masks)
    assert names(caught.value, message)
    assert caught.value.level == level
    run_array(EYERISS_V2_PE, conv, tiling, *masks, limited=False)


def test_sparse_weights_fit_where_dense_ones_do_not() -> None:
    conv = Conv(M=32, C=8)
    iacts, weights = (np.ones(shape, np.bool_) for shape in mask_shapes(conv))
    weights[:, 24:] = False
    assert run_array(EYERISS_V2_PE, conv, Tiling(M0=32, C0=8), iacts, weights).macs == 24 * 8


@pytest.mark.parametrize(
    ("conv", "tiling", "message"),
    [
        (Conv(C=0), Tiling(), "C 0 1"),
        (Conv(), Tiling(M0=1.5), "M0"),
        (Conv(), Tiling(pes_p=-1), "pes_p -1 1"),
        (Conv(C=2), Tiling(), "mask 1 2"),
        (Conv(M=2), Tiling(), "mask 1 2"),
    ],
)
def test_what_is_refused(conv: Conv, tiling: Tiling, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        run_array(EYERISS_V2_PE, conv, tiling, np.ones((1,) * 4), np.ones((1,) * 5))
    assert names(caught.value, message)
