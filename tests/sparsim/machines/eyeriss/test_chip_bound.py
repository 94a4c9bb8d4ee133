"""No mapping on a chip is below what is certain of a layer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support.small_chips import conv, layers, small_chip

from sparsim.errors import SpecError
from sparsim.hardware import EyerissChip
from sparsim.machines.eyeriss import Chip, bound_on_chip, load_chip
from sparsim.machines.eyeriss.compression import stored_ways
from sparsim.machines.eyeriss.conv_dims import conv_dims
from sparsim.machines.eyeriss.order_search import fitting_orders
from sparsim.machines.eyeriss.plan_layer import _candidates
from sparsim.machines.eyeriss.row_stationary_spreads import spreads
from sparsim.records import Layer

SMALL = small_chip()
SLOW = SMALL._replace(spec=replace(SMALL.spec, dram_gb_per_s=0.5))
ANY_ZERO = SMALL._replace(spec=replace(SMALL.spec, compression="any-zero"))
CHIPS = [SMALL, SLOW, ANY_ZERO, load_chip("eyeriss_v1"), load_chip("eyeriss_v2")]


@settings(max_examples=25, deadline=None)
@given(layers, st.sampled_from(CHIPS), st.integers(0, 2**32))
def test_no_mapping_of_a_layer_is_below_its_bound(layer: Layer, chip: Chip, seed: int) -> None:
    """Whatever is spread how, in any order of passes, stored in any way."""
    energy_pj, cycles = bound_on_chip(chip, layer)
    assert energy_pj > 0
    assert cycles > 0
    possible, rng = (
        spreads(conv_dims(layer), chip.spec.noc.axes, chip.spec.spread),
        np.random.default_rng(seed),
    )
    for stored in stored_ways(chip, layer):
        candidates = _candidates(chip, stored, possible)
        few = rng.permutation(len(candidates.row))[:6]
        orders = fitting_orders(chip, stored, possible.factor[candidates.row[few]], candidates.tiles[few])
        if orders is not None:
            assert energy_pj <= orders.least.total_pj.min()
            assert cycles <= orders.least.cycles.min()


@pytest.mark.parametrize("objective", ["delay", "energy", "edp"])
def test_no_plan_is_below_the_bounds_of_the_hardware(objective: str) -> None:
    hardware, some = EyerissChip(SLOW), [conv(M=16, C=12, Q=6, iacts=0.3, weights=0.4), conv(M=60, C=100)]
    least, costs = hardware.lower_bounds(some), hardware.cost(some, objective=objective)
    for i, layer in enumerate(costs.layers):
        assert 0.3 * layer.total_pj < least.energy_pj[i] < layer.total_pj
        assert 0.3 * layer.cycles < least.cycles[i] <= layer.cycles
        assert layer.gap is None
        assert layer.mapping is not None


def test_a_chip_has_no_options_of_a_search() -> None:
    with pytest.raises(SpecError, match="no option evaluations"):
        EyerissChip(SMALL).cost([conv(M=4, C=4)], evaluations=5)
