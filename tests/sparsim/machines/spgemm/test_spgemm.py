"""Products of sparse matrices: counts against slow twins, times against TeAAL's."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import naive.spgemm as naive
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sparsim import gemm, load_hardware
from sparsim.errors import SpecError
from sparsim.files.sparsim_yaml import load_preset
from sparsim.machines.spgemm import (
    SparseMatrix,
    extensor_counts,
    extensor_expected,
    extensor_times,
    gamma_counts,
    gamma_expected,
    gamma_times,
    outerspace_counts,
    outerspace_expected,
    outerspace_times,
    sigma_counts,
    sigma_cycles,
    sigma_expected,
    sparse_product,
)
from sparsim.machines.spgemm.gamma import _next_uses
from sparsim.machines.spgemm.kernels.row_products import missed_lines
from sparsim.records.spgemm_specs import ExtensorSpec, GammaSpec, OuterspaceSpec, SigmaSpec

sys.path.insert(0, str(Path(__file__).parents[4] / "benchmarks"))
from spgemm_published import all_exact, published_times

SIGMA = SigmaSpec(name="sigma", clock_mhz=500.0, multipliers=6, slab=3, load_words=2)
GAMMA = GammaSpec(name="gamma", clock_mhz=1000.0, dram_gib_per_s=128.0, radix=2, cache_kib=1 / 16)
OUTERSPACE = OuterspaceSpec(name="outerspace", clock_mhz=1500.0, dram_gib_per_s=128.0, cache_kib=1 / 32)
EXTENSOR = ExtensorSpec(name="extensor", clock_mhz=1000.0, dram_gib_per_s=68.256, tile=2, tiles=(2, 2, 2))


def matrix(rows: int, columns: int, density: float, seed: int) -> np.ndarray:
    found = np.random.default_rng(seed).random((rows, columns)) < density
    found[0, 0] = True
    return found


SHAPES = st.tuples(st.integers(1, 7), st.integers(1, 9), st.integers(1, 7))
DENSITIES = st.tuples(st.sampled_from([0.1, 0.4, 1.0]), st.sampled_from([0.1, 0.4, 1.0]))


def pair(
    shape: tuple[int, int, int], densities: tuple[float, float], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    (rows, inner, columns), (a, b) = shape, densities
    return matrix(rows, inner, a, seed), matrix(inner, columns, b, seed + 1)


@settings(max_examples=60, deadline=None)
@given(SHAPES, DENSITIES, st.integers(0, 10**6), st.integers(1, 9))
def test_counts_are_those_of_the_slow_twin(
    shape: tuple[int, int, int], densities: tuple[float, float], seed: int, block: int
) -> None:
    a, b = pair(shape, densities, seed)
    found = sparse_product(SparseMatrix.of(a), SparseMatrix.of(b), block)
    columns = zip(found.elements, found.fibers, found.outputs, found.partials, strict=True)
    assert list(columns) == naive.row_counts(a, b, block)
    assert found.nonzeros == np.count_nonzero(a.astype(int) @ b.astype(int))
    counts = gamma_counts(GAMMA, found)
    lists = [[int(n) for n in b[row].sum(axis=1) if n] for row in a]
    assert counts.merge_swaps == sum(naive.swaps(each, GAMMA.radix) for each in lists)
    assert sigma_counts(SIGMA, found.a, b.shape[1]).passes == naive.sigma_passes(
        a, SIGMA.slab, SIGMA.multipliers
    )
    sizes = sum(naive.fiber_bytes(int(n)) for n in a.sum(axis=1))
    assert counts.a_bytes == sizes + 8 * ((len(a) + 1) // 2)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=25),
    st.lists(st.integers(0, 6), min_size=5, max_size=5),
    st.integers(0, 12),
)
def test_the_cache_misses_as_often_as_one_of_single_lines(
    accesses: list[int], lines: list[int], capacity: int
) -> None:
    order = np.array(accesses)
    nothing, heap = np.zeros((2, 5), np.int64), np.zeros((2, order.size), np.int64)
    found = missed_lines(order, _next_uses(order), np.array(lines), capacity, *nothing, *heap)
    assert found == naive.missed_lines(accesses, lines, capacity)


def test_a_matrix_times_itself_or_its_transpose() -> None:
    square, wide = matrix(5, 5, 0.5, 1), matrix(3, 5, 0.5, 2)
    assert sparse_product(SparseMatrix.of(square)).nonzeros == np.count_nonzero(square.astype(int) @ square)
    found = sparse_product(SparseMatrix.of(wide, "wide"))
    assert found.name == "wide x wide^T"
    assert found.nonzeros == np.count_nonzero(wide.astype(int) @ wide.T)


def test_published_rows_have_the_printed_digits() -> None:
    """Of ExTensor where DRAM limits it: the intersections of poisson3Da take longer."""
    assert all_exact("sigma")
    assert all_exact("gamma")
    assert all_exact("outerspace")
    others = {row.workload: row.ours / row.printed for row in published_times() if not row.exact}
    assert others.pop("poisson3Da") < 0.5
    assert others == {"p2p-Gnutella31": pytest.approx(1, abs=1e-4), "email-Enron": pytest.approx(1, abs=1e-5)}


def test_published_products_of_sigma_as_layers() -> None:
    """With the densities that the loaded words stand for."""
    machine = load_hardware("sigma")
    for row in published_times():
        if row.machine == "sigma":
            m, n, k = map(int, row.workload.split("/"))
            words = round((row.printed - _streamed(m, n, k)) * machine.spec.load_words)
            layer = gemm(m, n, k, densities={"Weights": words / (m * k), "Inputs": 0.9})
            assert machine.cost([layer]).cycles == row.printed


def _streamed(m: int, n: int, k: int) -> int:
    """Cycles of B: a fifth of A is not zero, and all slabs but a last smaller one are equal."""
    full, rest = divmod(k, 128)
    return n * (full * math.ceil(m * 128 * 0.2 / 16384) + math.ceil(m * rest * 0.2 / 16384))


def test_a_full_cache_loads_rows_of_b_once_and_a_small_one_again() -> None:
    product = sparse_product(SparseMatrix.of(matrix(30, 30, 0.3, 4)))
    small = gamma_counts(GAMMA, product)
    large = gamma_counts(replace(GAMMA, cache_kib=3072.0), product)
    assert large.b_bytes < small.b_bytes
    assert large._replace(b_bytes=0) == small._replace(b_bytes=0)


def test_long_rows_of_b_are_read_again_on_outerspace() -> None:
    """The cache holds four lines of eight bytes; a row of six nonzeros has nine."""
    a, b = np.ones((3, 1)), np.ones((1, 6))
    counts = outerspace_counts(OUTERSPACE, sparse_product(SparseMatrix.of(a), SparseMatrix.of(b)))
    assert counts.b_bytes == 8 * (9 + 2 * 5) + 8


@pytest.mark.parametrize("density", [0.02, 0.2])
def test_expected_counts_are_those_of_random_matrices(density: float) -> None:
    size = 300
    product = sparse_product(SparseMatrix.of(matrix(size, size, density, 7)), block=128)
    extensor = ExtensorSpec(name="e", clock_mhz=1000.0, dram_gib_per_s=68.256, tiles=(2, 1, 2))
    gamma = GammaSpec(name="g", clock_mhz=1000.0, dram_gib_per_s=128.0)
    for expected, counted in (
        (gamma_expected(gamma, size, size, size, density, density), gamma_counts(gamma, product)),
        (
            outerspace_expected(OUTERSPACE, size, size, size, density, density),
            outerspace_counts(OUTERSPACE, product),
        ),
        (
            extensor_expected(extensor, size, size, size, density, density),
            extensor_counts(extensor, product),
        ),
    ):
        assert tuple(expected) == pytest.approx(tuple(counted), rel=0.06)
    spec = load_preset("sigma").machine
    one = sigma_expected(spec, size, size, density * size**2)
    assert sigma_cycles(spec, one) == pytest.approx(
        sigma_cycles(spec, sigma_counts(spec, product.a, size)), rel=0.02
    )


@pytest.mark.parametrize("name", ["gamma", "outerspace", "extensor"])
def test_traffic_and_work_limit_the_time(name: str) -> None:
    spec = load_preset(name).machine
    expected = {"gamma": gamma_expected, "outerspace": outerspace_expected, "extensor": extensor_expected}[
        name
    ]
    times = {"gamma": gamma_times, "outerspace": outerspace_times, "extensor": extensor_times}[name]
    dense = times(spec, expected(spec, 64, 64, 64, 1.0, 1.0))
    nothing = times(spec, expected(spec, 64, 64, 64, 0.0, 1.0))
    assert all(np.isfinite(list(dense.values())))
    assert 0 < nothing["DRAM"] < dense["DRAM"]
    assert nothing["multiply"] == 0.0


@pytest.mark.parametrize(
    "given",
    [
        np.array([[1.0, np.nan]]), np.array([[np.inf]]), np.zeros((3, 3)), np.zeros((0, 3)), np.ones(3),
        np.array([[1j]]), np.array([["a"]]),
        scipy.sparse.coo_array((np.array([0.0]), ([0], [0])), shape=(1, 1)),
    ],
)  # fmt: skip
def test_matrices_that_are_none(given: object) -> None:
    with pytest.raises(SpecError):
        SparseMatrix.of(given)


def test_shapes_that_do_not_match() -> None:
    with pytest.raises(SpecError, match="2 x 3"):
        sparse_product(SparseMatrix.of(np.ones((2, 3))), SparseMatrix.of(np.ones((2, 3))))


@pytest.mark.parametrize(
    ("record", "fields"),
    [
        (SigmaSpec, {"multipliers": 0}), (GammaSpec, {"dram_gib_per_s": -1.0}), (GammaSpec, {"radix": 1}),
        (OuterspaceSpec, {"cache_kib": 0.0}), (ExtensorSpec, {"tiles": (1, 0, 1)}),
        (ExtensorSpec, {"dram_pj_per_bit": -1.0}), (GammaSpec, {"dram_gib_per_s": float("nan")}),
    ],
)  # fmt: skip
def test_numbers_out_of_range(record: type, fields: dict[str, object]) -> None:
    known = {"name": "x", "clock_mhz": 1.0, **({} if record is SigmaSpec else {"dram_gib_per_s": 1.0})}
    with pytest.raises(SpecError):
        record(**{**known, **fields})
