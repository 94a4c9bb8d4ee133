"""The twin against a simulation of every cycle and published times, the closed form against the twin."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive.eie import cycles_of, memory_reads

from sparsim.errors import SpecError
from sparsim.machines.eie.closed_form import expected_maximum, vector_time
from sparsim.machines.eie.cycle_twin import run_vector
from sparsim.machines.eie.relative_csc import StoredWeights, stored_weights

sys.path.insert(0, str(Path(__file__).parents[4] / "benchmarks"))
import machines

EXAMPLE = np.array([[2, 1, 2, 2], [2, 0, 4, 1], [2, 0, 1, 2], [2, 2, 1, 2]])  # columns, PEs


def stored(entries) -> StoredWeights:
    return StoredWeights(entries, np.cumsum(entries, axis=0) - entries, entries.sum(axis=1))


@pytest.mark.parametrize(("depth", "cycles"), [(1, 14), (2, 10), (4, 9), (8, 9)])
def test_an_example_by_hand(depth: int, cycles: int) -> None:
    found = run_vector(stored(EXAMPLE), np.ones(4, bool), depth)
    assert found.cycles == cycles == cycles_of(EXAMPLE.tolist(), depth)
    assert (found.entries, found.empty_slices, found.pointer_reads) == (26, 2, 32)
    assert found.load_efficiency == 26 / (4 * cycles)


@given(
    shape=st.tuples(st.integers(1, 30), st.integers(1, 5)), depth=st.integers(1, 5), most=st.integers(0, 6),
    share=st.floats(0.0, 1.0), seed=st.integers(0, 1000),
)  # fmt: skip
def test_the_twin_is_a_simulation_of_every_cycle(shape, depth, most, share, seed) -> None:
    rng = np.random.default_rng(seed)
    entries, active = rng.integers(0, most + 1, shape), rng.random(shape[0]) < share
    layout = stored(entries)
    found = run_vector(layout, active, depth, 4)
    columns = np.flatnonzero(active)
    assert found.cycles == (cycles_of(entries[active].tolist(), depth) if len(columns) else 0)
    begin, end = layout.starts, layout.starts + entries
    slices = [(begin[c, k], end[c, k]) for c in columns for k in range(shape[1])]
    assert found.memory_reads == memory_reads(slices, 4)
    assert 0.0 <= found.load_efficiency <= 1.0
    assert found.mean_queue <= depth
    deeper = run_vector(layout, active, depth + 1, 4)
    assert deeper.cycles <= found.cycles
    assert deeper.stalled_cycles <= found.stalled_cycles


def test_what_the_twin_refuses() -> None:
    with pytest.raises(SpecError, match="columns"):
        run_vector(stored(EXAMPLE), np.ones(3, bool), 8)
    with pytest.raises(SpecError, match=r"fifo_depth.*0"):
        run_vector(stored(EXAMPLE), np.ones(4, bool), 0)


@pytest.fixture(scope="module")
def rows() -> dict[str, machines.EieRow]:
    return {row.layer: row for row in machines.eie_rows()}


def test_published_efficiencies(rows) -> None:
    """Without those whose published theoretical times do not follow from their densities."""
    errors = [abs(row.error) for row in rows.values() if row.layer not in machines.UNEXPLAINED]
    assert len(errors) == 7
    assert np.mean(errors) <= 0.05
    assert max(errors) <= 0.12


def test_the_closed_form_is_within_a_hundredth_of_the_twin(rows) -> None:
    assert all(abs(row.twin - row.closed_form) <= 0.01 for row in rows.values())
    assert all(row.twin <= 1.0 and row.closed_form <= 1.0 for row in rows.values())


def test_the_published_rate_of_256_pes() -> None:
    assert machines.eie_frames_256() == pytest.approx(machines.FRAMES_256, rel=0.03)


@pytest.mark.parametrize("pes", [1, 4, 64])
@pytest.mark.parametrize("depth", [1, 2, 4, 8, 32])
@pytest.mark.parametrize(("rows_per_pe", "density"), [(9.4, 0.1), (16, 0.25), (64, 0.09), (3, 0.05)])
def test_the_closed_form_on_other_machines(pes, depth, rows_per_pe, density) -> None:
    rows, columns = round(rows_per_pe * pes), 1500
    mask = np.random.default_rng(0).random((rows, columns)) < density
    twin = run_vector(stored_weights(mask, pes, 4), np.ones(columns, bool), depth)
    found = vector_time(rows, density, columns, pes, depth, 16, 8)
    efficiency = found.entries / (pes * found.cycles)
    most = {1: 0.06, 2: 0.08, 4: 0.05}.get(depth, 0.035)
    assert efficiency == pytest.approx(twin.load_efficiency, abs=most)
    assert efficiency <= 1.0
    assert found.memory_reads == pytest.approx(twin.memory_reads, rel=0.06)


def test_expected_maxima() -> None:
    assert [round(expected_maximum(n), 2) for n in (1, 2, 16, 64, 256)] == [0.0, 0.56, 1.77, 2.34, 2.83]


def test_no_weights_and_no_activations() -> None:
    assert vector_time(64, 0.0, 10.0, 64, 8, 16, 8) == pytest.approx((11.0, 0.0, 0.0, 0.0))
    assert vector_time(64, 0.5, 0.0, 64, 8, 16, 8) == (0.0, 0.0, 0.0, 0.0)
