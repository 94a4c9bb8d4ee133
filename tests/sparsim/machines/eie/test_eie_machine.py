"""EIE as hardware: masks, energies, memories, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from sparsim import (
    Density,
    SparsimWarning,
    SpecError,
    conv2d,
    gemm,
    load_hardware,
    load_preset,
    load_workload,
)
from sparsim.hardware import EieMachine
from sparsim.machines.eie.cycle_twin import run_vector
from sparsim.machines.eie.relative_csc import stored_weights
from sparsim.records import Layer, Workload

SPEC = load_preset("eie").machine
EIE = EieMachine(SPEC)


def masked(layer: Layer, folder: Path, **masks: np.ndarray) -> Layer:
    densities = dict(layer.densities)
    for name, mask in masks.items():
        np.save(folder / f"{name}.npy", mask)
        densities[name] = Density(distribution="actual", mask=str(folder / f"{name}.npy"))
    return replace(layer, densities=densities)


def test_power_and_area_are_the_published_ones() -> None:
    assert sum(EIE.area_um2.values()) / 1e6 == pytest.approx(40.84, abs=5e-3)
    cost = EIE.cost([load_workload("eie_fc").layers[0]])
    assert cost.energy_pj * 1e-12 / (cost.cycles / 8e8) == pytest.approx(0.5865, rel=1e-3)
    with pytest.warns(SparsimWarning):
        large = load_hardware("eie_256").cost([load_workload("eie_fc").layers[3]])
    assert large.energy_pj * 1e-12 / (large.cycles / 1.2e9) == pytest.approx(2.36, rel=1e-3)
    assert sum(load_hardware("eie_256").area_um2.values()) / 1e6 == pytest.approx(63.8, rel=1e-3)


def test_a_layer_with_masks_is_simulated(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights, inputs = rng.random((1, 50, 300)) < 0.2, rng.random((2, 50)) < 0.5
    layer = masked(
        gemm(300, 2, 50), tmp_path, Weights=weights[..., None, None], Inputs=inputs[:, None, :, None, None]
    )
    runs = [run_vector(stored_weights(weights[0].T, 64, 4), active, 8) for active in inputs]
    (cost,) = EIE.cost([layer]).layers
    assert cost.cycles == sum(run.cycles + 3 for run in runs)
    assert cost.utilization == pytest.approx(sum(run.nonzeros for run in runs) / (64 * cost.cycles))
    plan = EIE.plan([layer])
    assert plan.densities[0] == pytest.approx((weights.mean(), inputs.mean(), 1.0))
    assert plan(plan.densities).cycles[0] == pytest.approx(cost.cycles, rel=0.1)


def test_windows_become_columns(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    layer = conv2d(4, 6, (3, 2), stride=(2, 1), groups=2, height=7, width=5)
    weights, inputs = rng.random((2, 2, 3, 2, 3)) < 0.5, rng.random((1, 2, 2, 5, 7)) < 0.6
    spec = replace(SPEC, pes=2)
    (cost,) = EieMachine(spec).cost([masked(layer, tmp_path, Weights=weights, Inputs=inputs)]).layers
    cycles = 0
    for g in range(2):
        matrix = weights[g].transpose(1, 0, 2, 3).reshape(3, -1)  # filters, (channels, width, height)
        stored = stored_weights(matrix, 2, 4)
        for p in range(3):
            for q in range(4):
                window = inputs[0, g, :, q : q + 2, 2 * p : 2 * p + 3]
                cycles += run_vector(stored, window.reshape(-1), 8).cycles + 3
    assert cost.cycles == cycles
    assert "im2col" in cost.note


def test_many_vectors_are_sampled(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    layer = gemm(100, 1000, 40, densities={"Inputs": 0.5})
    layer = masked(layer, tmp_path, Weights=rng.random((1, 40, 100, 1, 1)) < 0.3)
    (cost,) = EIE.cost([layer]).layers
    assert "256 of 1000 vectors" in cost.note
    expected = EIE.estimate(layer, [0.3, 0.5, 1.0]).cycles
    assert cost.cycles == pytest.approx(expected, rel=0.1)


def test_64_bits_take_least_energy_in_the_memory_of_entries_for_alexnet() -> None:
    """As EIE's paper says of its figure 9."""
    layers = [layer for layer in load_workload("eie_fc").layers if layer.name.startswith("Alex")]
    energy = {}
    for width in (32, 64, 128, 256):
        machine = EieMachine(replace(SPEC, spmat_width_bits=width, pointer_kib=64))
        energy[width] = machine.cost(layers).component_uj("spmat_read")
    assert min(energy, key=lambda width: energy[width]) == 64
    assert EieMachine(replace(SPEC, spmat_width_bits=32)).energy_source["spmat_read"]["cycle"] != "machine"


def test_shared_mlps_are_one_product_per_point() -> None:
    layer = gemm(64, 100, 32, densities={"Weights": 0.5, "Inputs": 0.5})
    (many,) = EIE.cost([layer]).layers
    one = EIE.estimate(gemm(64, 1, 32), [0.5, 0.5, 1.0])
    assert many.cycles == pytest.approx(100 * one.cycles, abs=1)
    assert "100 products" in many.note


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"fifo_depth": 0}, r"fifo_depth.*0"),
        ({"pes": 0}, r"pes.*0"),
        ({"index_bits": 0}, r"index_bits.*0"),
        ({"weight_bits": 0}, r"weight_bits.*0"),
        ({"spmat_width_bits": 12}, "a multiple of the 8 bits"),
        ({"spmat_width_bits": 512}, "at most 256"),
        ({"clock_mhz": float("nan")}, r"clock_mhz.*nan"),
        ({"spmat_kib": 0.0}, r"spmat_kib.*0"),
        ({"pj_per_pe_cycle": {"ptr_read": -1.0}}, r"pj_per_pe_cycle of ptr_read.*-1"),
    ],
)
def test_bad_numbers_are_refused(changes: dict, text: str) -> None:
    with pytest.raises(SpecError, match=text):
        replace(SPEC, **changes)


def test_a_band_and_a_mask_of_another_shape_are_refused(tmp_path: Path) -> None:
    layer = gemm(8, 1, 8, densities={"Weights": Density(distribution="banded", band_width=2)})
    with pytest.raises(SpecError, match="banded"):
        EIE.cost([layer])
    with pytest.raises(SpecError, match="shape"):
        EIE.cost([masked(gemm(8, 1, 8), tmp_path, Weights=np.ones((8, 8)))])


def test_a_codebook_that_is_too_large_is_refused() -> None:
    layers = (gemm(8, 1, 8),)
    EIE.check_workload(Workload(layers=layers))
    EIE.check_workload(Workload(layers=layers, provenance={"codebook_entries": 16}))
    with pytest.raises(SpecError, match="17 entries, those of eie hold 16"):
        EIE.check_workload(Workload(layers=layers, provenance={"codebook_entries": 17}))


def test_nodes_of_the_quadtree() -> None:
    assert [replace(SPEC, pes=pes).nodes for pes in (1, 4, 5, 64, 256)] == [0, 1, 3, 21, 85]
