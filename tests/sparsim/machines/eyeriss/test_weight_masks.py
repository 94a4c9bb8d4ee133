"""Masks of weights: what fits a PE is what the cycle-level twin says, and words are those of the mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from msgspec.structs import replace
from support.named import naming
from support.small_chips import conv, small_chip

from sparsim.errors import FormatError, MappingError, SpecError
from sparsim.hardware import EyerissChip
from sparsim.machines.eyeriss import evaluate_chip, load_chip, plan_layer, plan_network
from sparsim.machines.eyeriss.conv_dims import conv_dims
from sparsim.machines.eyeriss.layer_cost import pe_estimate, spads_fit, tile_of
from sparsim.machines.eyeriss.layer_lowering import lowered
from sparsim.machines.eyeriss.pe.conv_tiling import Tiling
from sparsim.machines.eyeriss.pe.csc import compressed_columns, tile_words
from sparsim.machines.eyeriss.pe.cycle_simulator import run_array
from sparsim.machines.eyeriss.weight_masks import counted, mask_fits
from sparsim.records import Dataspace, Density, Layer, Shape, tensor_shape

SMALL = small_chip()
MATMUL = Shape(
    dims=("N", "K", "M"),
    dataspaces=(
        Dataspace(name="Weights", projection=("K", "M")), Dataspace(name="Inputs", projection=("N", "K")),
        Dataspace(name="Outputs", projection=("N", "M"), read_write=True),
    ),
)  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def masked(layer: Layer, mask: np.ndarray, name: str = "mask.npy") -> Layer:
    """The layer with a mask of its weights, in a file in the axes of its shape."""
    np.save(name, mask)
    return replace(layer, densities={**layer.densities, "Weights": Density(distribution="actual", mask=name)})


def random_mask(layer: Layer, density: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(tensor_shape(layer, "Weights")) < density


def with_density(layer: Layer, mask: np.ndarray) -> Layer:
    return replace(layer, densities={**layer.densities, "Weights": Density(density=float(mask.mean()))})


@given(
    mask=arrays(np.bool_, st.tuples(st.integers(1, 2), st.integers(1, 40), st.integers(1, 3))),
    filters=st.integers(1, 40), count_bits=st.integers(0, 4), lanes=st.integers(1, 3),
)  # fmt: skip
def test_words_of_tiles_are_those_of_their_columns(
    mask: np.ndarray, filters: int, count_bits: int, lanes: int
) -> None:
    found = tile_words(mask, filters, count_bits, lanes)
    for i, first in enumerate(range(0, mask.shape[1], filters)):
        tile = np.moveaxis(mask[:, first : first + filters], 1, -1)
        assert (found[:, i] == -(-compressed_columns(tile, count_bits, lanes).pairs // lanes)).all()


@settings(max_examples=40, deadline=None)
@given(
    layer=st.builds(
        conv, G=st.integers(1, 2), M=st.integers(1, 40), C=st.integers(1, 12), R=st.integers(1, 2),
        S=st.integers(1, 3),
    ),
    filters=st.integers(1, 32), channels=st.integers(1, 16), density=st.floats(0.2, 1.0),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_a_tile_fits_where_the_twin_runs_it(
    layer: Layer, filters: int, channels: int, density: float, seed: int
) -> None:
    mask = random_mask(layer, density, seed)
    found = counted(SMALL, masked(layer, mask))
    shape = conv_dims(found).conv()
    tiling = Tiling(M0=filters, C0=channels)
    iacts = np.ones((shape.G, shape.C, shape.R, shape.S), np.bool_)
    weights = mask.transpose(0, 2, 1, 4, 3)  # of G C M S R
    try:
        run_array(SMALL.spec.pe, shape, tiling, iacts, weights)
        runs = True
    except MappingError:
        runs = False
    spread = dict.fromkeys("GNMCRPQ", 1)
    assert spads_fit(pe_estimate(SMALL, found, spread, (filters, channels))) == runs
    if channels * shape.S <= SMALL.spec.pe.iact_data.words:
        assert mask_fits(SMALL, found, filters, channels) == runs


def test_words_on_the_network_are_those_of_the_mask() -> None:
    """Pairs of values and counts, with their padding, and an address of 7 bits for each column."""
    layer = conv(M=24, C=10, P=3, weights=0.4)
    mask = random_mask(layer, 0.4)
    found = plan_layer(SMALL, masked(layer, mask))
    assert found.weight_capacity == "mask"
    filters, _ = tile_of(found.mapping)
    pairs = 0
    for first in range(0, 24, filters):
        columns = mask[0, :, first : first + filters].sum(axis=1)  # no run is longer than a count
        pairs += 2 * int((-(-columns // 2)).sum())
    addresses = -(-24 // filters) * 10 * 7 / 12
    again = found.flows["weight"].words / (pairs + addresses)
    assert again == pytest.approx(round(again), rel=0.01)  # the model rounds nonzeros
    assert again >= 1


@pytest.mark.parametrize("layer", [conv(M=96, C=64, P=8), conv(M=48, C=20, R=3, S=3, P=6, Q=6)])
def test_a_uniform_mask_gives_the_numbers_of_its_density(layer: Layer) -> None:
    """To 1 % with the same mapping. Tiles need not be so small that any mask fits, so that a plan may be up
    to 5 % faster.
    """
    mask = random_mask(layer, 0.4)
    counts, expected = (plan_layer(SMALL, each) for each in (masked(layer, mask), with_density(layer, mask)))
    assert (counts.weight_capacity, expected.weight_capacity) == ("mask", "statistics")
    assert counts.layer.density("Weights").density == mask.mean()
    assert 0.95 * expected.cycles <= counts.cycles <= expected.cycles
    same = evaluate_chip(SMALL, masked(layer, mask), expected.mapping, "delay")
    for found, statistics in ((same.cycles, expected.cycles), (same.chip_pj, expected.chip_pj),
                              (same.dram_bytes, expected.dram_bytes)):  # fmt: skip
        assert found == pytest.approx(statistics, rel=0.01)


def test_a_crowded_column_needs_a_smaller_tile() -> None:
    """Eight channels without a zero among sparse ones: what fits with these does not with the others."""
    layer = conv(M=32, C=64, P=4, weights=0.2)
    mask = random_mask(layer, 0.1)
    mask[:, 8:16] = True
    crowded, even = masked(layer, mask), masked(layer, random_mask(layer, float(mask.mean())), "even.npy")
    plans = [plan_layer(SMALL, each) for each in (crowded, even)]
    (filters, channels), (more_filters, more_channels) = (tile_of(plan.mapping) for plan in plans)
    assert filters * channels < more_filters * more_channels
    words = mask[0, :, :filters].sum(axis=1)
    fullest = max(int((-(-words[c : c + channels] // 2)).sum()) for c in range(0, 64, channels))
    assert fullest <= SMALL.spec.pe.weight_data.words

    with pytest.raises(MappingError, match=naming("tiny mask 96")) as error:
        evaluate_chip(SMALL, crowded, plans[1].mapping)
    assert error.value.level == "weight_spad"
    assert evaluate_chip(SMALL, crowded, plans[0].mapping).cycles == plans[0].cycles


def test_a_given_mapping_is_checked_as_a_planned_one() -> None:
    sparse, less = (conv(M=64, C=64, P=4, weights=density) for density in (0.2, 0.28))
    mapping = plan_layer(SMALL, sparse).mapping
    with pytest.raises(MappingError, match=naming("tiny density 96")):
        evaluate_chip(SMALL, less, mapping)
    dense = load_chip("eyeriss_v1_5")
    found = evaluate_chip(dense, less, plan_layer(dense, less).mapping)
    assert found.weight_capacity == "exact"


@pytest.mark.parametrize(
    "layer",
    [
        Layer(name="product", shape=MATMUL, bounds={"M": 40, "N": 3, "K": 96}),
        conv(M=24, C=2, S=20, Q=3),
        replace(conv(M=24, C=3, R=3, S=3, P=4, Q=4), coefficients={"Wstride": 2, "Hstride": 1}),
        replace(conv(M=24, C=3, R=3, S=3, P=4, Q=4), coefficients={"Wdilation": 2}),
    ],
    ids=["product", "wide window", "strides", "dilation"],
)
def test_the_mask_of_a_layer_that_is_lowered_has_the_same_filters(layer: Layer) -> None:
    dims = next(d.projection for d in layer.shape.dataspaces if d.name == "Weights")
    mask = random_mask(layer, 0.1)
    mask[(slice(None),) * dims.index("M") + (0,)] = True
    found = lowered(SMALL, masked(layer, mask))
    assert found.shape.name == "conv"
    assert found.density("Weights").density == mask.mean()
    plan = plan_layer(SMALL, masked(layer, mask))
    assert (plan.weight_capacity, plan.layer.note) == ("mask", found.note)
    kept = found.density("Weights").kept("mask", (), lambda: np.zeros(0))
    of_filters = mask.sum(axis=tuple(i for i, dim in enumerate(dims) if dim not in "MG"))
    assert kept.shape == tensor_shape(found, "Weights")
    assert kept.sum(axis=(1, 3, 4)).ravel().tolist() == of_filters.ravel().tolist()


def test_plans_for_all_densities_know_the_mask() -> None:
    layer = conv(M=32, C=64, P=4, iacts=0.5)
    mask = random_mask(layer, 0.1)
    mask[:, 8:16] = True
    hardware = EyerissChip(SMALL)
    for given_layer in (masked(layer, mask), masked(layer, random_mask(layer, 0.4), "even.npy")):
        plan = hardware.plan([given_layer], objective="energy", folder=Path("plans"))
        own = plan.densities
        assert own[0].tolist() == [counted(SMALL, given_layer).density("Weights").density, 0.5, 1.0]
        (cost,) = plan.by_component(own).layers
        (exact,) = hardware.cost([given_layer], objective="energy").layers
        energy = sum(cost.energy_pj.values())
        assert energy == pytest.approx(sum(exact.energy_pj.values()), rel=0.02)
        assert plan(own).energy_pj[0] == pytest.approx(energy, rel=0.02)
        assert (plan(own * [0.5, 1.0, 1.0]).energy_pj <= plan(own).energy_pj).all()
        assert evaluate_chip(SMALL, given_layer, cost.mapping).weight_capacity == "mask"


def test_inputs_are_counted_and_bad_masks_refused() -> None:
    layer = conv(M=4, C=6, Q=8, weights=0.5)
    np.save("inputs.npy", np.arange(48).reshape(1, 1, 6, 8, 1) % 4 > 0)
    inputs = {"Inputs": Density(distribution="actual", mask="inputs.npy"), "Weights": Density(density=0.5)}
    found = plan_network(SMALL, [replace(layer, densities=inputs)]).layers[0]
    assert found.layer.density("Inputs") == Density(density=0.75)
    with pytest.raises(SpecError, match=naming("tiny Weights mask shape")):
        plan_layer(SMALL, masked(layer, np.ones((4, 6))))
    Path("mask.npy").write_text("no array")
    with pytest.raises(FormatError, match=naming("mask.npy")):
        plan_layer(
            SMALL, replace(layer, densities={"Weights": Density(distribution="actual", mask="mask.npy")})
        )
