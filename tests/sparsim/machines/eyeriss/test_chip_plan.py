"""Planned layers: valid, no slower than each of their parts, as fast as brute force, like the PEs' twin."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support.small_chips import conv, layers, small_chip
from support.small_pes import random_masks

from sparsim.errors import MappingError
from sparsim.machines.eyeriss import Chip, evaluate_chip, eyexam, load_chip, plan_layer
from sparsim.machines.eyeriss.chip import DRAM, IACT_GLB, SPREAD_AT
from sparsim.machines.eyeriss.conv_dims import conv_dims
from sparsim.machines.eyeriss.eyexam import STEPS
from sparsim.machines.eyeriss.layer_cost import ChipEvaluation, tile_of, tiling_of, window_pe
from sparsim.machines.eyeriss.pe.cycle_simulator import run_array
from sparsim.machines.eyeriss.row_stationary_nest import Order, make_nests
from sparsim.machines.eyeriss.row_stationary_spreads import AXES, _steps, spreads
from sparsim.records import Layer
from sparsim.records.layer_counts import macs

SMALL = small_chip()
BUS = load_chip("eyeriss_v1")


@settings(max_examples=8, deadline=None)
@given(layers, st.sampled_from([SMALL, BUS]))
def test_plans_are_valid_and_their_numbers_fit_together(layer: Layer, chip: Chip) -> None:
    found = plan_layer(chip, layer)
    again = evaluate_chip(chip, layer, found.mapping)  # raises for mappings that are not valid
    assert (again.cycles, again.chip_pj, again.dram_pj) == (found.cycles, found.chip_pj, found.dram_pj)

    nests = {level.level: level.spatial for level in found.mapping.levels}
    for level, axis in SPREAD_AT.items():
        factors = {dim: n for dim, n in nests[level].factors.items() if n > 1} if nests[level] else {}
        assert math.prod(factors.values()) <= chip.spec.noc.axes[axis]
        assert set(factors) <= set(chip.spec.spread[axis])
    filters, channels = tile_of(found.mapping)
    assert filters <= chip.spec.pe.psum.words
    assert channels * layer.bounds["S"] <= chip.spec.pe.iact_data.words
    assert found.evaluation.compute.actual <= found.evaluation.compute.algorithmic
    assert all(cover.covered >= cover.bound for cover in found.evaluation.covers)

    loaded = 0.0 if chip.spec.filter_link is None else found.time["weight"]  # nothing moves beside filters
    beside = [found.time[part] + loaded for part in ("iact", "psum", "link") if part in found.time]
    parts = max(found.time["PE"], *beside)
    assert found.cycles == math.ceil(parts)
    assert found.time["PE"] >= float(found.pe.cycles) + found.time["weight"]
    assert found.chip_pj == pytest.approx(sum(found.energy_pj.values()))
    assert min(found.energy_pj.values()) >= 0
    check_eyexam(chip, found)


def check_eyexam(chip: Chip, found: ChipEvaluation) -> None:
    bounds = eyexam(chip, found)
    cycles = [bound.cycles for bound in bounds]
    assert tuple(bound.step for bound in bounds) == STEPS
    assert cycles == sorted(cycles)
    assert cycles[-1] == found.cycles
    for bound in bounds:
        assert bound.macs_per_cycle * bound.cycles == pytest.approx(macs(found.layer))


@pytest.mark.parametrize(
    ("layer", "tolerance"),
    [
        (conv(M=12, C=8, R=3, S=3, P=6, Q=6), 0.0),
        (conv(G=4, R=3, S=3, P=2, Q=5, stride=2), 0.0),
        (conv(M=16, C=12, P=4, Q=6, iacts=0.3, weights=0.6), 0.05),
        (conv(M=24, C=16, R=3, S=3, P=6, Q=6, iacts=0.3, weights=0.3), 0.05),
        (conv(G=6, R=3, S=3, P=4, Q=4, stride=2, iacts=0.6), 0.05),
        (conv(M=24, C=16, R=5, P=12, stride=2, iacts=0.6, weights=0.6), 0.05),
        (conv(M=8, C=3, R=3, S=3, P=4, Q=4, iacts=0.5, weights=0.5), 0.12),
    ],
    ids=["dense", "dense depthwise", "pointwise", "conv", "depthwise", "one axis", "few words"],
)
def test_pes_take_as_long_as_their_twin_on_masks(layer: Layer, tolerance: float) -> None:
    """The same tiling on random masks, mean of ten: exact where nothing is zero, else the PE estimate's error
    and that of the mean; the fewer words there are to average over, the larger.
    """
    found = plan_layer(SMALL, layer)
    shape = conv_dims(layer).conv()
    tiling = tiling_of(found.spread, *tile_of(found.mapping))
    densities = layer.density("Inputs").density, layer.density("Weights").density
    runs = []
    for seed in range(10):
        masks = random_masks(shape, *densities, np.random.default_rng(seed))
        runs.append(run_array(window_pe(SMALL), shape, tiling, *masks, limited=False).cycles)
    assert float(found.pe.cycles) == pytest.approx(np.mean(runs), rel=tolerance or 1e-9)


@pytest.mark.parametrize("density", [0.3, 0.5])
def test_the_worst_tile_of_compressed_weights_fits_its_spad(density: float) -> None:
    """As it must when a network is compiled: of five hundred tiles, all in the cycle-level PE."""
    layer = conv(M=512, C=512, weights=density, iacts=0.5)
    found = plan_layer(SMALL, layer)
    assert found.storage["weight"] == "compressed"
    shape, tile = conv_dims(layer).conv(), tile_of(found.mapping)
    assert 512 * 512 / math.prod(tile) > 500
    for seed in range(3):
        masks = random_masks(shape, 0.5, density, np.random.default_rng(seed))
        run_array(window_pe(SMALL), shape, tiling_of(found.spread, *tile), *masks)  # raises for a full spad


@pytest.mark.parametrize("outputs", [{"P": 6}, {"Q": 6}])
def test_the_stride_of_an_axis_with_one_output_does_not_matter(outputs: dict[str, int]) -> None:
    layer = conv(M=8, C=6, R=1 + 2 * ("P" in outputs), S=1 + 2 * ("Q" in outputs), stride=2, **outputs)
    other = "Wstride" if "P" in outputs else "Hstride"
    alone = plan_layer(SMALL, replace(layer, coefficients=layer.coefficients | {other: 1}))
    both = plan_layer(SMALL, layer)
    assert (alone.mapping, alone.cycles, alone.chip_pj, alone.dram_pj) == (
        both.mapping, both.cycles, both.chip_pj, both.dram_pj
    )  # fmt: skip


def test_no_spread_and_no_tile_is_faster() -> None:
    """All spreads of all dims over all axes, all tiles, one order of passes; a plan may take 2 % more."""
    layer = conv(M=4, R=2, Q=3, iacts=0.4, weights=0.6)
    assert plan_layer(SMALL, layer).cycles <= min(found.cycles for found in all_mappings(layer)) * 1.02


@settings(max_examples=20, deadline=None)
@given(
    bound=st.lists(st.integers(1, 20), min_size=3, max_size=3), seed=st.integers(0, 99),
)  # fmt: skip
def test_the_work_of_joined_spreads_is_that_of_each_of_them(bound: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    spread, options = rng.integers(1, 5, (6, 3)), rng.integers(1, 4, (5, 3))
    found = _steps(np.array(bound), spread, options)
    for i, j in itertools.product(range(6), range(5)):
        old, new = (-(-np.array(bound) // by) for by in (spread[i], spread[i] * options[j]))
        saves = ((options[j] == 1) | (new < old)).all()
        assert found[i, j] == (new.prod() if saves else 0)


def all_mappings(layer: Layer) -> list[ChipEvaluation]:
    dims = conv_dims(layer)
    used = [dim for dim in dims.names if layer.bounds[dim] > 1]
    axes = [[None, *used] if SMALL.spec.noc.axes[axis] == 2 else [None] for axis in AXES]
    found = []
    for choice in itertools.product(*axes):
        spread = np.ones((1, len(AXES), len(dims.names)), np.int64)
        for k, d in enumerate(choice):
            if d is not None:
                spread[0, k, dims.names.index(d)] = 2
        left = {d: -(-layer.bounds[d] // 2 ** choice.count(d)) for d in ("M", "C")}
        for tile in itertools.product(*(range(1, n + 1) for n in left.values())):
            orders = [Order(DRAM, IACT_GLB)]
            nests = make_nests(dims, spread, np.array([tile]), SMALL.spec.pe.simd_width, orders)
            try:
                found.append(evaluate_chip(SMALL, layer, nests.mapping(0)))
            except MappingError:  # factors beyond the bound
                continue
    return found


sizes = st.integers(1, 6)


@settings(max_examples=15, deadline=None)
@given(st.builds(conv, G=sizes, M=sizes, C=sizes, R=st.integers(1, 3), Q=sizes))
def test_spreads_hold_the_best_way_to_use_the_array(layer: Layer) -> None:
    """Least work per PE over every product of two dims per axis of 4, 1, 2 and 3 instances."""
    chip = small_chip((4, 1), 2, 3)
    dims = conv_dims(layer)
    found = spreads(dims, chip.spec.noc.axes, chip.spec.spread)
    bound = np.array([dims.bounds[name] for name in dims.names])
    work = (-(-bound // found.total())).prod(axis=1)
    options = [
        [f for f in itertools.product(range(1, n + 1), repeat=len(bound)) if math.prod(f) <= n]
        for n in chip.spec.noc.axes.values()
    ]
    every = np.array([np.prod(choice, axis=0) for choice in itertools.product(*options)])
    assert work.min() == (-(-bound // every)).prod(axis=1).min()
    sizes_used = found.factor.prod(axis=2)
    assert (sizes_used <= list(chip.spec.noc.axes.values())).all()
