"""Row-stationary mappings of Eyeriss v1: passes counted one by one, and what was measured."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from naive.row_stationary import run, run_length_bits
from support.small_chips import conv

from sparsim.errors import MappingError, SpecError
from sparsim.files.sparsim_yaml import load_workload
from sparsim.machines.eyeriss import (
    Chip,
    ChipEvaluation,
    chip_area,
    evaluate_chip,
    load_chip,
    plan_layer,
    plan_network,
    row_stationary_mapping,
)
from sparsim.machines.eyeriss.chip import IACT_GLB, PSUM_GLB, check_chip
from sparsim.machines.eyeriss.compression import dram_bits
from sparsim.machines.eyeriss.conv_dims import conv_dims
from sparsim.machines.eyeriss.row_stationary_counts import sets_of
from sparsim.machines.eyeriss.row_stationary_nest import Order, make_nests
from sparsim.machines.eyeriss.row_stationary_search import best_sets
from sparsim.machines.eyeriss.row_stationary_sets import Sets, set_costs
from sparsim.machines.eyeriss.scaled_chip import scaled
from sparsim.records import Layer
from sparsim.records.row_stationary import RowStationary

V1, ORIGINAL = load_chip("eyeriss_v1"), load_chip("eyeriss_v1_168")
SMALL = scaled(V1, (1, 1), 4, 4)


def divisor(number: int) -> st.SearchStrategy[int]:
    return st.sampled_from([n for n in range(1, number + 1) if number % n == 0])


@st.composite
def cases(draw: st.DrawFn) -> tuple[Layer, RowStationary]:
    """A layer whose groups, images, filters and channels fill all passes; rows may not."""
    p, q, t, r = (draw(st.integers(1, most)) for most in (3, 2, 3, 2))
    many = {dim: draw(st.integers(1, 3)) for dim in "GNMC"}
    rounds = draw(divisor(many["M"]))  # passes over filters that the GLB holds
    n, g, rows = draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 9))
    layer = conv(
        G=g * many["G"], N=n * many["N"], M=p * t * many["M"], C=q * r * many["C"], R=draw(st.integers(1, 3)),
        S=draw(st.integers(1, 3)), P=rows, Q=draw(st.integers(1, 6)), stride=draw(st.integers(1, 2)),
    )  # fmt: skip
    strips = draw(st.integers(1, rows))
    return layer, RowStationary(m=p * t * rounds, n=n, e=-(-rows // strips), p=p, q=q, r=r, t=t, g=g)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_counts_and_cycles_are_those_of_passes_one_by_one(case: tuple[Layer, RowStationary]) -> None:
    layer, given = case
    if not has_place(V1, layer, given):
        with pytest.raises(MappingError, match="no place"):
            row_stationary_mapping(V1, layer, given)
        return
    mapping = row_stationary_mapping(V1, layer, given)
    found, twin = evaluate_chip(V1, layer, mapping), run(V1, layer, given)
    dram = {tensor.dataspace: tensor for tensor in found.evaluation.level("DRAM").tensors}
    glb = found.evaluation.level(IACT_GLB).tensors[0], found.evaluation.level(PSUM_GLB).tensors[0]
    assert dram["Weights"].reads.actual == twin.weights == found.flows["weight"].words
    assert dram["Outputs"].updates.actual == twin.outputs
    assert glb[0].reads.actual == twin.iacts == found.flows["iact"].words
    assert glb[1].reads.actual == glb[1].updates.actual == twin.psums == found.flows["psum"].words / 2
    assert dram["Inputs"].reads.actual == glb[0].fills.actual == twin.fetched
    assert found.cycles == twin.cycles
    sets = sets_of(V1, layer, mapping)
    assert math.ceil(float(set_costs(V1, layer, sets).cycles) - 1e-6) == twin.cycles
    assert (sets.p, sets.q, sets.r, sets.t, sets.g, sets.n) == (
        given.p, given.q, given.r, given.t, given.g, given.n
    )  # fmt: skip


@pytest.mark.parametrize("objective", ["edp", "delay", "energy"])
@pytest.mark.parametrize(
    "layer",
    [
        conv(M=6, C=4, R=2, S=2, P=5, Q=4, N=2, iacts=0.4),
        conv(G=4, R=3, S=3, P=6, Q=5, stride=2),
        conv(M=12, C=10),
        conv(M=5, C=3, R=3, S=3, P=6, Q=500),  # more psums than all banks hold
    ],
    ids=["conv", "depthwise", "fc", "wide"],
)
def test_no_parameters_are_better_than_those_that_are_found(layer: Layer, objective) -> None:
    """Brute force over all parameters; m as large as the GLB allows is the only choice that is not tried."""
    best = best_sets(SMALL, layer, objective)
    bounds = layer.bounds

    def value(sets: Sets) -> float:
        costs = set_costs(SMALL, layer, sets)
        if not costs.fits:
            return np.inf
        return {"edp": costs.energy * costs.cycles, "delay": costs.cycles, "energy": costs.energy}[objective]

    least = np.inf
    for p, q, n, e in itertools.product(*(range(1, bounds[dim] + 1) for dim in "MCNP")):
        if q * bounds["S"] > 12:
            continue
        for g, r, t in itertools.product(*(range(1, min(bounds[dim], 16) + 1) for dim in "GCM")):
            given = RowStationary(m=p * t, n=n, e=e, p=p, q=q, r=r, t=t, g=g)
            if not has_place(SMALL, layer, given):
                continue
            passes = math.ceil(bounds["M"] / (p * t))
            for blocks in range(1, passes + 1):
                m = math.ceil(passes / blocks) * p * t
                least = min(least, value(Sets(m, n, e, p, q, r, t, g, best.f)))
    assert value(best) <= least * (1 + 1e-12)
    assert plan_layer(SMALL, layer, objective).cycles <= math.ceil(
        float(set_costs(SMALL, layer, best).cycles)
    )


def has_place(chip: Chip, layer: Layer, x: RowStationary) -> bool:
    """Sets for other channels below each other, others also beside each other; strips of a set below too."""
    rows, columns = chip.spec.noc.pe_rows, chip.spec.noc.pe_columns
    pieces = math.ceil(x.e / columns)
    below = rows // (layer.bounds["R"] * pieces)
    beside = columns // x.e if pieces == 1 else 1
    return any(
        down_g * x.r * down_t <= below and (x.g // down_g) * (x.t // down_t) <= beside
        for down_g, down_t in itertools.product(range(1, x.g + 1), range(1, x.t + 1))
        if x.g % down_g == 0 and x.t % down_t == 0
    )


# Chen, Krishna, Emer, Sze: Eyeriss, JSSC 52(1) 2017: parameters, and ms, GLB MB and DRAM MB as measured, four
# images. Those of conv3 are conv4's: with what is printed (q=4, r=1, t=4) the GLB would move 69 MB
PUBLISHED = {
    "conv1": (RowStationary(m=96, n=1, e=7, p=16, q=1, r=1, t=2), 16.5, 18.5, 5.0),
    "conv2": (RowStationary(m=64, n=1, e=27, p=16, q=2, r=1, t=1), 39.2, 77.6, 4.0),
    "conv3": (RowStationary(m=64, n=4, e=13, p=16, q=3, r=2, t=2), 21.8, 50.2, 3.0),
    "conv4": (RowStationary(m=64, n=4, e=13, p=16, q=3, r=2, t=2), 16.0, 37.4, 2.1),
    "conv5": (RowStationary(m=64, n=4, e=13, p=16, q=3, r=2, t=2), 10.0, 24.9, 1.3),
}


def batch(name: str, images: int, number: int) -> list[Layer]:
    return [replace(x, bounds=x.bounds | {"N": images}) for x in load_workload(name).layers[:number]]


def measured(found: ChipEvaluation) -> tuple[float, float, float]:
    """The ms, and the MB of GLB and DRAM; words of the GLB are those from and to the PEs."""
    words = found.flows["iact"].words + found.flows["psum"].words
    return found.cycles / 200e3, words * 2e-6, found.dram_bytes * 1e-6


@pytest.mark.parametrize("layer", batch("alexnet", 4, 5), ids=lambda layer: layer.name)
def test_published_mappings_give_what_was_measured(layer: Layer) -> None:
    parameters, *wanted = PUBLISHED[layer.name]
    found = evaluate_chip(ORIGINAL, layer, row_stationary_mapping(ORIGINAL, layer, parameters))
    ms, glb, dram = measured(found)
    assert ms == pytest.approx(wanted[0], rel=0.121)
    assert glb == pytest.approx(wanted[1], rel=0.01)
    assert dram == pytest.approx(wanted[2], rel=0.05)


def test_the_printed_row_of_conv3_moves_more_words() -> None:
    layer = batch("alexnet", 4, 3)[2]
    printed = RowStationary(m=64, n=4, e=13, p=16, q=4, r=1, t=4)
    mapping = row_stationary_mapping(ORIGINAL, layer, printed)
    assert measured(evaluate_chip(ORIGINAL, layer, mapping))[1] == pytest.approx(69.2, abs=0.1)


def test_found_mappings_give_the_totals_that_were_measured() -> None:
    found = plan_network(ORIGINAL, batch("alexnet", 4, 5))
    totals = np.sum([measured(layer) for layer in found.layers], axis=0)
    assert totals == pytest.approx([103.5, 208.5, 15.4], rel=0.12)
    given = PUBLISHED["conv1"][0]
    assert sets_of(ORIGINAL, found.layers[0].layer, found.layers[0].mapping)[:8] == (
        given.m, given.n, given.e, given.p, given.q, given.r, given.t, given.g
    )  # fmt: skip


def test_a_plan_for_the_least_energy_takes_no_more_than_others() -> None:
    """The closed form lacks the clock, which takes most of the energy of a chip that waits."""
    for layer in (*batch("alexnet", 1, 2), load_workload("mobilenet_v1_050_128").layers[2]):
        plans = {objective: plan_layer(V1, layer, objective) for objective in ("energy", "edp", "delay")}
        values = {name: plan.chip_pj + plan.dram_pj for name, plan in plans.items()}
        assert values["energy"] == min(values.values())
        assert plans["delay"].cycles == min(plan.cycles for plan in plans.values())


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("conv5_1", (48.3, 90.0, 6.3)), ("conv5_2", (48.5, 90.0, 5.7)), ("conv5_3", (48.5, 90.0, 5.6))],
)
def test_last_layers_of_vgg16_are_as_measured(name: str, wanted: tuple[float, float, float]) -> None:
    layer = next(layer for layer in batch("vgg16", 3, 13) if layer.name == name)
    assert measured(plan_layer(ORIGINAL, layer)) == pytest.approx(wanted, rel=0.1)


@pytest.mark.parametrize(("name", "per_s"), [("mobilenet_v1_050_128", 116.7), ("alexnet", 6.53)])
def test_v1_at_the_size_of_v2_is_as_fast_as_published(name: str, per_s: float) -> None:
    found = plan_network(V1, load_workload(name).layers)
    assert found.inferences_per_s == pytest.approx(per_s, rel=0.1)


@pytest.mark.parametrize("density", [0.05, 0.1, 0.3, 0.7])
def test_run_lengths_of_random_zeros(density: float) -> None:
    values = (np.random.default_rng(3).random(200_000) < density).tolist()
    code = ORIGINAL.spec.run_lengths
    assert code is not None
    bits = run_length_bits(values, code.run_bits, code.pairs, code.word_bits) / len(values)
    assert float(dram_bits(ORIGINAL, "iact", False, density)) == pytest.approx(bits, rel=0.01)
    assert float(dram_bits(ORIGINAL, "weight", False, density)) == 16
    assert float(dram_bits(ORIGINAL, "psum", False, 1.0)) == 16  # not larger than values


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"t": 4, "m": 64}, "no place"),
        ({"n": 5}, "n at most images, 4"),
        ({"e": 14}, "e at most output rows, 13"),
        ({"p": 25, "m": 50}, "p psum spad"),
        ({"q": 5}, "q times 3 iact spad"),
        ({"q": 4, "p": 19, "m": 38}, "p times q filter spad"),
        ({"m": 96}, "banks 25"),
        ({"m": 24, "p": 12, "q": 4, "n": 3}, "n must be 2"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(changes: dict[str, int], words: str) -> None:
    layer = batch("alexnet", 4, 4)[3]
    given = RowStationary(**({name: getattr(PUBLISHED["conv4"][0], name) for name in "mnepqrt"} | changes))
    with pytest.raises(MappingError) as error:
        row_stationary_mapping(ORIGINAL, layer, given)
    for word in ("conv4", *words.split()):
        assert word in str(error.value)


def test_other_mappings_are_refused() -> None:
    layer = conv(M=4, C=4, Q=3)
    nests = make_nests(conv_dims(layer), np.ones((1, 4, 7), np.int64), np.array([[2, 2]]), 1,
                       [Order("DRAM", "iact_glb")])  # fmt: skip
    with pytest.raises(MappingError, match="row-stationary"):
        evaluate_chip(V1, layer, nests.mapping(0))


def test_chips_that_skip_zeros_have_no_sets() -> None:
    chip = load_chip("eyeriss_v2")
    with pytest.raises(SpecError, match="dataflow"):
        check_chip(chip._replace(spec=replace(chip.spec, dataflow="row-stationary")))


def test_banks_are_counted_once_in_the_area() -> None:
    """100 kB of the 108 kB of the chip, as 25 memories of 512 x 64 bits."""
    area, table = chip_area(ORIGINAL), ORIGINAL.energy
    assert table is not None
    assert area[IACT_GLB] + area[PSUM_GLB] == pytest.approx(25 * table.areas[IACT_GLB])


@pytest.mark.parametrize("chip", [V1, ORIGINAL], ids=["v1", "original"])
def test_large_windows_and_wide_outputs_are_planned(chip: Chip) -> None:
    """More filter rows than the array has, and rows of outputs that the GLB does not hold."""
    for layer in (
        conv(M=3, C=2, R=14, S=3, P=4, Q=4),
        conv(M=64, C=4, Q=100_000),
        conv(M=2, C=2, P=300, Q=2),
    ):
        found = plan_layer(chip, layer)
        assert found.cycles >= math.prod(layer.bounds.values()) / chip.spec.noc.pes


@pytest.mark.parametrize("seed", range(8))
def test_layers_have_a_plan_on_arrays_of_any_size(seed: int) -> None:
    """Factors of a mapping are as small as its bounds allow, so sets may need fewer PEs than they had."""
    draw = np.random.default_rng(seed).integers
    chip = scaled(V1, (1, 1), int(draw(3, 33)), int(draw(3, 33)))
    filter_size = int(draw(1, 4))
    for _ in range(5):
        M, C, P, Q = draw(1, (200, 100, 60, 60)).tolist()
        layer = conv(M=M, C=C, R=filter_size, S=filter_size, P=P, Q=Q)
        assert plan_layer(chip, layer, "edp").cycles >= M * C * P * Q * filter_size**2 / chip.spec.noc.pes


def test_sets_without_work_are_left_out() -> None:
    """64 filters in pairs need 32 sets, although the array has room for more."""
    found = plan_layer(scaled(V1, (1, 1), 32, 32), conv(M=64, C=32, P=112, Q=112), "edp")
    sets = sets_of(scaled(V1, (1, 1), 32, 32), found.layer, found.mapping)
    assert (sets.t - 1) * sets.p < 64
