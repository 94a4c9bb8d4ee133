"""Layers that a row-stationary chip cannot run become ones that it can, with as many MACs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.small_chips import conv, small_chip

from sparsim import Dataspace, Density, Layer, Shape, conv2d, gemm, macs
from sparsim.errors import SpecError
from sparsim.hardware import EyerissChip
from sparsim.machines.eyeriss import load_chip, plan_layer
from sparsim.machines.eyeriss.conv_dims import conv_dims
from sparsim.machines.eyeriss.layer_lowering import lowered
from sparsim.records import CONV
from sparsim.records.layer_counts import words

SMALL = small_chip()
PRESETS = ("eyeriss_v1", "eyeriss_v1_168", "eyeriss_v1_5", "eyeriss_v2")
DENSITIES = {"Weights": 0.3, "Inputs": 0.6}
DENSE = Density(density=0.5)


def shape_of(*projections: tuple[str, ...], **coefficients: int) -> Shape:
    tensors = zip(("Weights", "Inputs", "Outputs"), projections, strict=True)
    spaces = tuple(Dataspace(name=n, projection=p, read_write=n == "Outputs") for n, p in tensors)
    dims = dict.fromkeys(dim for space in spaces for side in space.terms() for dim, _ in side)
    return Shape(dims=tuple(dims), dataspaces=spaces, coefficients=coefficients)


MATMUL = shape_of(("N", "K"), ("M", "K"), ("M", "N"))
BATCHED = shape_of(("B", "K", "M"), ("B", "K", "T"), ("B", "M", "T"))
CONV3D = shape_of(
    ("M", "C", "T", "R", "S"), ("N", "C", "T + D*step", "R + P", "S + Q"), ("N", "M", "D", "P", "Q"), step=1
)


def changed(layer: Layer) -> dict[str, int]:
    """Bounds above 1 of what a layer is lowered to."""
    return {dim: n for dim, n in lowered(SMALL, layer).bounds.items() if n > 1}


@pytest.mark.parametrize(
    ("layer", "bounds", "note"),
    [
        # outputs 8 high and 6 wide, of 2 phases each
        (
            conv2d(3, 4, 3, padding=2, dilation=2, height=8, width=6),
            {"N": 4, "M": 4, "C": 3, "R": 3, "S": 3, "P": 4, "Q": 3},
            "height costed as 2 interleaved convolutions without dilation, "
            "width costed as 2 interleaved convolutions without dilation",
        ),
        # 7 outputs have no 2 equal phases
        (
            conv2d(3, 4, (3, 1), padding=(2, 0), dilation=(2, 1), height=7, width=6),
            {"M": 4, "C": 9, "P": 7, "Q": 6},
            "height costed as GEMM",
        ),
        # every 2nd input, of which neighbouring outputs are one apart
        (
            conv2d(3, 4, 3, stride=2, dilation=2, height=9, width=9),
            {"M": 4, "C": 3, "R": 3, "S": 3, "P": 3, "Q": 3},
            "height costed as a convolution without dilation, width costed as a convolution without dilation",
        ),
        (conv2d(3, 4, 1, dilation=3, height=5, width=5), {"M": 4, "C": 3, "P": 5, "Q": 5}, ""),
        (
            conv2d(3, 4, (3, 5), stride=(2, 1), height=9, width=9),
            {"N": 4, "M": 4, "C": 9, "S": 5, "Q": 5},
            "height costed as GEMM",
        ),
        (
            conv2d(3, 4, (2, 20), stride=20, height=21, width=40),
            {"M": 4, "C": 60, "R": 2, "N": 1, "P": 1, "Q": 2},
            "width costed as GEMM",
        ),
        (Layer(shape=MATMUL, bounds={"M": 2, "N": 3, "K": 5}), {"N": 2, "M": 3, "C": 5}, ""),
        (Layer(shape=BATCHED, bounds={"B": 2, "M": 3, "K": 5, "T": 7}), {"G": 2, "N": 7, "M": 3, "C": 5}, ""),
        (
            Layer(shape=CONV3D, bounds={d: int(n) for d, n in zip("NMCTDRSPQ", "235373144", strict=True)}),
            {"N": 14, "M": 3, "C": 15, "R": 3, "P": 4, "Q": 4},
            "T and D costed as GEMM",
        ),
    ],
)  # fmt: skip
def test_by_hand(layer: Layer, bounds: dict[str, int], note: str) -> None:
    found = lowered(SMALL, layer)
    assert changed(layer) == {dim: n for dim, n in bounds.items() if n > 1}
    assert found.note == note
    assert macs(found) == macs(layer)
    assert conv_dims(found).bounds == found.bounds


def test_layers_that_a_chip_can_run_stay_as_they_are() -> None:
    layers = (
        conv2d(3, 96, 11, stride=4, height=227, width=227), gemm(10, 3, 20),
        conv2d(8, 8, 3, stride=2, groups=8, height=9, width=9), conv(M=2, S=3, Q=5, stride=2),
        conv2d(3, 4, (1, 3), stride=(2, 1), height=1, width=9),  # over one axis
    )  # fmt: skip
    for layer in layers:
        assert lowered(load_chip("eyeriss_v2"), layer) is layer


@settings(max_examples=80)
@given(
    sizes=st.fixed_dictionaries({dim: st.integers(1, 8) for dim in "GNMCRSPQ"}),
    steps=st.fixed_dictionaries({name: st.integers(1, 4) for name in CONV.coefficients}),
)  # fmt: skip
def test_macs_weights_outputs_and_densities_are_kept(sizes: dict[str, int], steps: dict[str, int]) -> None:
    layer = Layer(shape=CONV, bounds=sizes, coefficients=steps, densities={"Weights": DENSE})
    found = lowered(SMALL, layer)
    assert macs(found) == macs(layer)
    assert words(found, "Weights") == words(layer, "Weights")
    assert words(found, "Outputs") == words(layer, "Outputs")
    assert found.densities == layer.densities
    assert lowered(SMALL, found) == found
    conv_dims(found)  # which refuses what a chip cannot run


@pytest.mark.parametrize("preset", PRESETS)
def test_every_chip_costs_them(preset: str) -> None:
    chip = load_chip(preset)
    layers = (
        conv2d(8, 16, 3, dilation=4, padding=4, height=8, width=8, densities=DENSITIES),
        conv2d(3, 16, 32, stride=32, height=64, width=64),
        conv2d(4, 8, (41, 11), stride=(2, 1), height=81, width=20),
    )
    for layer in layers:
        found = plan_layer(chip, layer)
        assert found.cycles * chip.spec.noc.pes * chip.spec.pe.simd_width >= macs(layer) * 0.18
        assert "costed as" in found.layer.note


def test_a_plan_a_cost_and_a_bound_are_of_the_same_layer(tmp_path) -> None:
    layers = (
        conv2d(4, 8, 3, dilation=2, padding=2, height=8, width=8, densities=DENSITIES, name="a"),
        conv2d(4, 8, 3, padding=1, height=4, width=4, batch=4, densities=DENSITIES, name="b"),
    )
    hardware = EyerissChip(SMALL)
    plan = hardware.plan(layers, folder=tmp_path)
    energy, cycles = plan(plan.densities)
    assert energy[0] == energy[1]
    assert cycles[0] == cycles[1]
    assert list(plan.notes) == ["a"]
    by_component = plan.by_component(plan.densities)
    assert by_component.notes == plan.notes
    assert [layer.layer for layer in by_component.layers] == ["a", "b"]
    cost = hardware.cost(layers)
    assert cost.notes == plan.notes
    assert cost.layers[0].total_pj == cost.layers[1].total_pj
    least = hardware.lower_bounds(layers)
    assert np.all(least.energy_pj <= energy)
    assert least.energy_pj[0] == least.energy_pj[1]


def test_dims_of_one_tensor_are_refused() -> None:
    layer = Layer(shape=shape_of(("M", "C", "X"), ("C", "N"), ("M", "N")), bounds=dict.fromkeys("MCNX", 2))
    with pytest.raises(SpecError, match="dim 'X' "):
        lowered(SMALL, layer)
