"""Tensor cores with N:M weights: ratios, the roofline, masks of pruned networks, bad records."""

from __future__ import annotations

import json
from fractions import Fraction
from math import ceil, log2
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support.programs import run_module
from torch import nn

import gmp
from gmp.tracing.trace import trace
from gmp.tracing.traced_workload import workload_of, write_masks
from sparsim import Density, SpecError, conv2d, dump, gemm, load_hardware
from sparsim.machines.tensor_core import crowded_groups, layer_size, roofline
from sparsim.records.tensor_core_spec import TensorCoreSpec

MACHINE = load_hardware("tensor_core_2_4")
SPEC = MACHINE.spec


def layer(m: int, n: int, k: int, density: float | Density = 0.5):
    return gemm(m, n, k, densities={"Weights": density})


def us(given) -> float:
    return MACHINE.cost([given]).layers[0].cycles / SPEC.clock_mhz


def test_storage_ratios_are_exact() -> None:
    assert SPEC.storage_ratio == MACHINE.properties["storage_ratio"] == 9 / 16
    assert replace(SPEC, weight_bits=8).storage_ratio == 5 / 8
    assert replace(SPEC, weight_bits=4).storage_ratio == 3 / 4


@given(st.integers(1, 64), st.integers(1, 64), st.sampled_from([4, 8, 16, 32]))
def test_storage_of_any_pattern(kept: int, group: int, bits: int) -> None:
    if kept > group:
        with pytest.raises(SpecError, match=f"{kept}:{group}"):
            replace(SPEC, pattern=f"{kept}:{group}")
        return
    spec = replace(SPEC, pattern=f"{kept}:{group}", weight_bits=bits)
    index = ceil(log2(group))
    assert spec.storage_ratio == pytest.approx(float(Fraction(kept, group) * (1 + Fraction(index, bits))))


def test_time_is_the_longer_of_computation_and_traffic_and_a_launch() -> None:
    """Large layers gain the ratio of the peaks, one sample that of the storage, small ones nothing."""
    large, one, small = (4096, 65536, 16384), (65536, 1, 65536), (16, 16, 16)
    dense, sparse = us(layer(*large, 1.0)), us(layer(*large))
    macs = large[0] * large[1] * large[2]
    assert dense == pytest.approx(
        macs / (SPEC.dense_macs_per_cycle * SPEC.clock_mhz) + SPEC.launch_us, rel=1e-6
    )
    assert 1.98 < dense / sparse < 2.0
    assert us(layer(*one, 1.0)) / us(layer(*one)) == pytest.approx(16 / 9, rel=1e-2)
    assert us(layer(*small, 1.0)) / us(layer(*small)) == pytest.approx(1, abs=0.01)
    assert [MACHINE.cost([layer(*size)]).layers[0].limit for size in (large, one, small)] == [
        "compute", "DRAM", "launch",
    ]  # fmt: skip


def test_speedup_grows_with_the_inner_dim_towards_two() -> None:
    ratios = [us(layer(10240, 10240, k, 1.0)) / us(layer(10240, 10240, k)) for k in (256, 1024, 4096, 16384)]
    assert ratios == sorted(ratios)
    assert ratios[-1] < 2.0


def test_a_layer_is_shown_dense_and_sparse() -> None:
    found = MACHINE.cost([layer(1024, 1024, 1024)]).layers[0]
    assert found.details["2:4 us"] == pytest.approx(found.cycles / SPEC.clock_mhz, rel=1e-3)
    assert found.details["dense us"] > found.details["2:4 us"]
    dense = MACHINE.cost([layer(1024, 1024, 1024, 1.0)]).layers[0]
    assert dense.details == found.details
    assert found.energy_pj["MAC"] == dense.energy_pj["MAC"] / 2


@pytest.mark.parametrize("density", [0.6, 0.3, Density(density=0.5, distribution="hypergeometric")])
def test_weights_without_the_pattern_run_dense_and_it_is_said(density: float | Density) -> None:
    given, dense = MACHINE.cost([layer(512, 512, 512, density)]), MACHINE.cost([layer(512, 512, 512, 1.0)])
    assert given.cycles == dense.cycles
    assert "run dense" in given.layers[0].note
    assert dense.layers[0].note == ""


def test_few_channels_gain_nothing() -> None:
    narrow = conv2d(2, 64, 3, height=8, width=8, densities={"Weights": 0.5})
    assert "too few" in MACHINE.cost([narrow]).layers[0].note
    size = layer_size(conv2d(6, 64, 3, height=8, width=8))
    assert (
        roofline(SPEC, size, sparse=True).computed_macs == size.macs * 4 / 6
    )  # two groups, the last half empty


def test_crowded_groups_of_all_axes_and_tails() -> None:
    mask = np.zeros((2, 6, 3))
    mask[0, 4:, 0] = 1  # a tail of two may hold both
    assert crowded_groups(mask, 2, 4, axis=1) == 0.0
    mask[1, :3, 2] = 1
    assert crowded_groups(mask, 2, 4, axis=1) == 1 / 12
    assert crowded_groups(mask, 2, 4, axis=0) == 0.0


class Net(nn.Module):
    """A convolution and a fully connected layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 16, 3, padding=1)
        self.fc = nn.Linear(16 * 36, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.conv(x)).flatten(1))


def traced(model: nn.Module, folder: Path, name: str) -> Path:
    batches = [torch.randn(2, 8, 6, 6)]
    found = trace(model, batches, mask_samples=2)
    write_masks(found, folder / "masks", 2)
    path = folder / f"{name}.yaml"
    path.write_text(dump(workload_of(found, name=name, masks="masks")))
    return path


@pytest.mark.parametrize("pattern", ["2:4", "1x1"])
def test_masks_of_gmp_go_straight_in(pattern: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Net()
    gmp.Pruner(model, pattern=pattern).prune(0.5)
    path = traced(model, tmp_path, "net")
    result = run_module("sparsim", "chip", "tensor_core_2_4", str(path), "--json")
    assert result.returncode == 0, result.stderr
    for row in json.loads(result.stdout)["layers"]:
        shown = row["cycles"] / SPEC.clock_mhz
        if pattern == "2:4":
            assert row["note"] == "weights are 2:4"
            assert shown == pytest.approx(row["2:4 us"], rel=1e-3)
        else:
            assert "run dense" in row["note"]
            assert shown == pytest.approx(row["dense us"], rel=1e-3)


@pytest.mark.parametrize(
    "fields",
    [
        {"pattern": "5:4"}, {"pattern": "0:4"}, {"pattern": "half"}, {"pattern": 2}, {"dram_gb_per_s": -1.0},
        {"dram_gb_per_s": float("nan")}, {"dense_macs_per_cycle": 0.0}, {"launch_us": -1.0},
        {"weight_bits": 0}, {"sparse_macs_per_cycle": 0.0},
    ],
)  # fmt: skip
def test_bad_records(fields: dict[str, float]) -> None:
    with pytest.raises(SpecError):
        TensorCoreSpec(
            **{"name": "x", "clock_mhz": 1.0, "dense_macs_per_cycle": 1.0, "dram_gb_per_s": 1.0, **fields}
        )
