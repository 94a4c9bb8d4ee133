"""The analytic model against all masks of tiny layers, and against random masks of larger ones."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support.named import names
from support.published_pes import EYERISS_V2_PE
from support.small_pes import CONVS, IDEAL, TILINGS, mask_shapes, pes, random_masks

from sparsim.errors import SpecError
from sparsim.machines.eyeriss.pe.conv_tiling import Accesses, Conv, Tiling
from sparsim.machines.eyeriss.pe.cycle_simulator import run_array
from sparsim.machines.eyeriss.pe.pe_estimate import PEEstimate, estimate
from sparsim.machines.eyeriss.pe.pe_pass import squared_uses
from sparsim.machines.eyeriss.pe.simulator_comparison import compare
from sparsim.records.pe_spec import SparsePE

TINY = [
    (Conv(M=3, C=2, P=1, Q=2), Tiling(M0=2, C0=1, P0=1, Q0=2)),
    (Conv(M=2, S=2, Q=3), Tiling(M0=2, Q0=3)),
    (Conv(S=3, Q=2, U=2), Tiling(Q0=2)),
    (Conv(M=2, R=2, P=2), Tiling(M0=1, P0=2)),
    (Conv(G=2, M=1, Q=2), Tiling(Q0=1)),
]


def all_runs(
    pe: SparsePE, conv: Conv, tiling: Tiling, densities: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """(chance, counts) of every pair of masks: cycles, busy cycles, MACs, accesses."""
    shapes = mask_shapes(conv)
    chances, counts = [], []
    masks = [[np.array(bits).reshape(s) for bits in itertools.product([False, True], repeat=int(np.prod(s)))]
             for s in shapes]  # fmt: skip
    for pair in itertools.product(*masks):
        run = run_array(pe, conv, tiling, *pair, limited=False)
        chances.append(
            np.prod([np.where(x, d, 1.0 - d).prod() for x, d in zip(pair, densities, strict=True)])
        )
        counts.append([run.cycles, run.busy_cycles, run.macs, *run.accesses])
    return np.array(chances), np.array(counts)


@pytest.mark.parametrize(("conv", "tiling"), TINY)
@pytest.mark.parametrize(
    "pe", [IDEAL, replace(IDEAL, simd_width=1, count_bits=0)], ids=["v2", "explicit zeros"]
)
def test_means_of_all_masks(pe: SparsePE, conv: Conv, tiling: Tiling) -> None:
    """One PE, ideal fetching: exact."""
    chances, counts = all_runs(pe, conv, tiling, (0.6, 0.7))
    found = estimate(pe, conv, tiling, 0.6, 0.7)
    mean = chances @ counts
    assert [found.cycles, found.busy_cycles, found.macs, *found.accesses] == pytest.approx(mean.tolist())
    assert found.load_balance == 1.0
    assert found.simd_efficiency == pytest.approx(mean[2] / (mean[1] * pe.simd_width))


@settings(max_examples=60, deadline=None)
@given(pe=pes(), conv=CONVS, tiling=TILINGS)
def test_dense_tensors_are_exact(pe: SparsePE, conv: Conv, tiling: Tiling) -> None:
    """Nothing is random: every count, the balance and the slowest PE of every pass."""
    masks = [np.ones(shape, np.bool_) for shape in mask_shapes(conv)]
    run = run_array(pe, conv, tiling, *masks, limited=False)
    found = estimate(pe, conv, tiling, 1.0, 1.0)
    assert found.cycles == pytest.approx(run.cycles)
    assert [found.busy_cycles, found.macs, *found.accesses] == pytest.approx(
        [run.busy_cycles, run.macs, *run.accesses]
    )
    assert found.load_balance == pytest.approx(run.load_balance)
    assert found.passes == len(run.pe_cycles)


@settings(max_examples=60, deadline=None)
@given(pe=pes(st.just(0)), conv=CONVS, tiling=TILINGS, densities=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_one_pe_has_no_slowest(pe: SparsePE, conv: Conv, tiling: Tiling, densities: Any) -> None:
    """All cycles are busy ones, and the layer's share of nonzeros is all that matters without SIMD."""
    alone = Tiling(*tiling[:4])
    found = estimate(pe, conv, alone, *densities)
    assert found.cycles == pytest.approx(found.busy_cycles)
    assert found.load_balance == pytest.approx(1.0)
    spread = estimate(pe, conv, tiling, *densities)
    assert spread.busy_cycles == pytest.approx(found.busy_cycles)
    assert spread.cycles * np.prod(tiling[4:]) >= found.cycles * (1 - 1e-9)
    assert 0.0 <= spread.load_balance <= 1.0 + 1e-9


@settings(max_examples=40, deadline=None)
@given(
    pe=pes(), convs=st.lists(CONVS, min_size=2, max_size=5), tiling=TILINGS, density=st.floats(0, 1)
)  # fmt: skip
def test_many_at_once(pe: SparsePE, convs: list[Conv], tiling: Tiling, density: float) -> None:
    """Arrays of layers against one by one, and shapes that broadcast."""
    stacked = Conv(*(np.array(x)[:, None] for x in zip(*convs, strict=True)))
    found = estimate(pe, stacked, tiling, np.array([density, 0.5]), 0.3)
    assert found.cycles.shape == found.fits.shape == found.accesses.psum_reads.shape == (len(convs), 2)
    for i, conv in enumerate(convs):
        for j, d in enumerate((density, 0.5)):
            alone = estimate(pe, conv, tiling, d, 0.3)
            for name, value in zip(PEEstimate._fields, alone, strict=True):
                many = getattr(found, name)
                if isinstance(value, Accesses):
                    assert [x[i, j] for x in many] == pytest.approx([float(x) for x in value])
                else:
                    assert many[i, j] == pytest.approx(value, rel=1e-9, abs=1e-9), name


def simulate(
    pe: SparsePE, conv: Conv, tiling: Tiling, densities: tuple[float, float], draws: int
) -> tuple[float, float]:
    """(mean cycles, its standard error)."""
    rng = np.random.default_rng(0)
    runs = [
        run_array(pe, conv, tiling, *random_masks(conv, *densities, rng), limited=False) for _ in range(draws)
    ]
    cycles = np.array([run.cycles for run in runs])
    return float(cycles.mean()), float(cycles.std() / draws**0.5)


ARRAYS = [
    ("one 1x1", Conv(M=16, C=8, P=4, Q=8), Tiling(16, 8, 4, 8), 0.02),
    ("one 3x3", Conv(M=16, C=8, R=3, S=3, P=4, Q=8), Tiling(16, 4, 4, 8), 0.02),
    ("along M", Conv(M=64, C=8, P=4, Q=8), Tiling(16, 8, 4, 8, pes_m=4), 0.02),
    ("along C", Conv(M=16, C=32, P=4, Q=8), Tiling(16, 8, 4, 8, pes_c=4), 0.02),
    ("along P", Conv(M=16, C=8, P=8, Q=8), Tiling(16, 8, 1, 8, pes_p=8), 0.03),
    ("along all", Conv(M=48, C=32, P=8, Q=8), Tiling(16, 8, 1, 8, pes_m=3, pes_c=4, pes_p=8), 0.03),
    ("3x3", Conv(M=64, C=16, R=3, S=3, P=8, Q=8), Tiling(16, 4, 1, 8, 1, 4, 4, 3, 4), 0.05),
    ("rest", Conv(M=50, C=8, P=7, Q=8), Tiling(16, 8, 1, 8, pes_m=2, pes_p=4), 0.03),
]


@pytest.mark.parametrize(("conv", "tiling", "bound"), [x[1:] for x in ARRAYS], ids=[x[0] for x in ARRAYS])
@pytest.mark.parametrize("densities", [(0.6, 0.5), (0.3, 0.2)])
def test_random_masks(conv: Conv, tiling: Tiling, bound: float, densities: tuple[float, float]) -> None:
    """The slowest PE and the pipeline are approximations: within the bound, and four standard errors."""
    mean, error = simulate(EYERISS_V2_PE, conv, tiling, densities, 60)
    found = estimate(EYERISS_V2_PE, conv, tiling, *densities)
    assert abs(found.cycles - mean) < bound * mean + 4 * error


@pytest.mark.parametrize(
    ("tiling", "densities"),
    [
        (Tiling(16, 8, 2, 8, pes_m=4, pes_c=12, pes_p=4), (0.3, 0.15)),
        (Tiling(16, 8, 1, 8, pes_m=4, pes_p=8), (0.2, 0.3)),
    ],
)
def test_slowest_of_a_large_array(tiling: Tiling, densities: tuple[float, float]) -> None:
    """Few nonzeros: deviations are far from normal, and most of them are of pairs of weights and iacts."""
    conv = Conv(M=64, C=96, P=8, Q=8)
    mean, error = simulate(EYERISS_V2_PE, conv, tiling, densities, 100)
    assert error < 0.011 * mean
    assert estimate(EYERISS_V2_PE, conv, tiling, *densities).cycles == pytest.approx(mean, rel=0.025)


@pytest.mark.parametrize("densities", [(0.02, 0.2), (0.05, 0.2), (0.12, 0.2), (0.02, 0.6), (0.9999, 1.0)])
def test_slowest_with_strongly_skewed_cycles(densities: tuple[float, float]) -> None:
    """Few nonzero iacts in a small window, or few zeros: no expansion about a normal distribution holds."""
    conv, tiling = Conv(M=32, C=3, R=3, S=3, P=2, Q=16, U=2), Tiling(4, 3, pes_m=8, pes_r=3, pes_q=8)
    mean, error = simulate(EYERISS_V2_PE, conv, tiling, densities, 25)
    found = estimate(EYERISS_V2_PE, conv, tiling, *densities).cycles
    assert found == pytest.approx(mean, rel=0.06, abs=4 * error)


def test_fewer_nonzeros_hardly_ever_take_longer() -> None:
    conv, tiling = Conv(M=32, C=3, R=3, S=3, P=2, Q=16, U=2), Tiling(4, 3, pes_m=8, pes_r=3, pes_q=8)
    density = np.linspace(0.0, 1.0, 101)
    for other in (0.2, 0.6, 1.0):
        for pair in ((density, other), (other, density)):
            cycles = estimate(EYERISS_V2_PE, conv, tiling, *pair).cycles
            assert (np.diff(cycles) >= -0.03 * cycles[1:]).all()


@pytest.mark.parametrize("densities", [(0.6, 0.5), (0.1, 0.9)])
def test_depthwise_layers_are_certain(densities: tuple[float, float]) -> None:
    """An iact costs its cycle, zero or not, and a weight as well, if no psum has to be waited for."""
    conv, tiling = Conv(G=4, R=3, S=3, P=4, Q=6), Tiling(Q0=6)
    pe = replace(EYERISS_V2_PE, accumulate_cycles=1)
    masks = random_masks(conv, *densities, np.random.default_rng(0))
    found = estimate(pe, conv, tiling, *densities)
    assert found.cycles == pytest.approx(run_array(pe, conv, tiling, *masks).cycles)


@pytest.mark.parametrize("densities", [(1.0, 0.9), (0.6, 0.9), (0.7, 0.6), (0.5, 0.3)])
@pytest.mark.parametrize(
    ("conv", "tiling"),
    [
        (Conv(G=4, R=3, S=3, P=6, Q=6), Tiling(pes_r=3)),
        (Conv(M=2, C=8, P=6, Q=6), Tiling(M0=2, C0=8)),
        (Conv(M=4, C=8, P=6, Q=6), Tiling(M0=4, C0=8)),
        (Conv(M=16, C=8, P=6, Q=6), Tiling(M0=16, C0=8)),
        (Conv(M=8, C=8, S=3, P=6, Q=6), Tiling(M0=2, C0=4, pes_m=4, pes_c=2)),
    ],
    ids=["depthwise", "two filters", "four filters", "sixteen filters", "several PEs"],
)
def test_cycles_that_psums_cost(conv: Conv, tiling: Tiling, densities: tuple[float, float]) -> None:
    """Window by window, as chips are planned: how much slower PEs are whose sums cannot be used at once, by
    the twin on the same masks and by the estimate.
    """
    ratios = []
    for model in (
        lambda pe: simulate(pe, conv, tiling, densities, 30)[0],
        lambda pe: float(estimate(pe, conv, tiling, *densities).cycles),
    ):
        pes = (replace(EYERISS_V2_PE, pipeline_stages=1, accumulate_cycles=n) for n in (2, 1))
        ratios.append(np.divide(*(model(pe) for pe in pes)))
    assert ratios[1] == pytest.approx(ratios[0], rel=0.08)


def test_the_slowest_is_no_slower_than_dense() -> None:
    found = estimate(IDEAL, Conv(M=1024, P=1, Q=1), Tiling(pes_m=1024), 0.9, 0.5)
    assert found.cycles == 1.0


def test_error_bar() -> None:
    """Weights of one channel only: channels go together, and a model of densities sees a quarter of it."""
    conv, tiling = Conv(M=8, C=4, Q=6), Tiling(M0=8, C0=4, Q0=6)
    iacts, weights = (np.zeros(shape, np.bool_) for shape in mask_shapes(conv))
    iacts[:, 1], weights[:, :, 1] = True, True
    result = compare(IDEAL, conv, tiling, iacts, weights)
    assert result.actual.macs == 48
    assert result.analytic.macs == pytest.approx(12)
    busy = result.analytic.busy_cycles / result.actual.busy_cycles
    assert result.error == busy - 1 == result.analytic.cycles / 24 - 1
    assert result.balance_error == 0.0
    nothing = compare(IDEAL, conv, tiling, iacts & False, weights)
    assert nothing.error == nothing.actual.cycles == 0


@pytest.mark.parametrize(
    ("conv", "tiling", "densities", "message"),
    [
        (Conv(), Tiling(), (1.5, 0.5), "iact density 1.5 0 1"),
        (Conv(), Tiling(), (0.5, [0.5, float("nan")]), "weight density 0 1"),
        (Conv(M=[3, 0]), Tiling(), (0.5, 0.5), "M 0 1"),
        (Conv(), Tiling(C0=2.0), (0.5, 0.5), "C0"),
        (Conv(M=2000), Tiling(M0=1025), (0.5, 0.5), "tile 1024"),
    ],
)
def test_what_is_refused(conv: Conv, tiling: Tiling, densities: Any, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        estimate(EYERISS_V2_PE, conv, tiling, *densities)
    assert names(caught.value, message)


def test_squared_uses_of_windows():
    for width, step, windows in itertools.product(range(1, 8), range(1, 4), range(1, 8)):
        uses = np.zeros(width + step * windows, int)
        for n in range(windows):
            uses[n * step : n * step + width] += 1
        found = squared_uses(np.array([width]), np.array([step]), np.array([windows]))
        assert found.tolist() == [float((uses**2).sum())]
    assert squared_uses(np.array([2**40]), np.array([1]), np.array([2**40])) > 0  # in no time
