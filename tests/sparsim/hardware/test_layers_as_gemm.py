"""Layers that an accelerator has no mapping for are planned as others with as many MACs."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from pointnet.original.published_runs import study_mapspace
from sparsim import Layer, conv2d, gemm, macs
from sparsim.errors import MappingError
from sparsim.files.sparsim_yaml import load_accelerator
from sparsim.hardware import load_hardware
from sparsim.hardware.layers_as_gemm import lowered_layers
from sparsim.records.layer_counts import words

ONCHIP = load_hardware(replace(load_accelerator("eyeriss_like_onchip"), mapspace=study_mapspace()))
DEPTHWISE = conv2d(4, 4, 3, padding=1, groups=4, height=4, width=4, name="depthwise")
PATCHES = conv2d(
    3, 8, 16, stride=16, height=32, width=32, name="patches"
)  # 16 rows do not fit an array of 12
PLAIN = conv2d(3, 8, 3, height=8, width=8, name="plain")


@pytest.mark.parametrize("layer", [DEPTHWISE, PATCHES, PLAIN, gemm(4, 3, 2)])
def test_macs_weights_and_outputs_are_kept(layer: Layer) -> None:
    first, *others = lowered_layers(layer)
    assert first.layer is layer
    for each in others:
        assert each.runs * macs(each.layer) == macs(layer)
        for tensor in ("Weights", "Outputs"):
            assert each.runs * words(each.layer, tensor) == words(layer, tensor)
        assert "costed" in each.layer.note


def test_a_plan_has_the_costs_of_what_it_lowers_layers_to(tmp_path) -> None:
    layers = (DEPTHWISE, PLAIN, PATCHES)
    plan = ONCHIP.plan(layers, folder=tmp_path)
    assert plan.notes == {
        "depthwise": "4 groups costed one after the other", "patches": "window costed as GEMM",
    }  # fmt: skip
    one = replace(DEPTHWISE, bounds=DEPTHWISE.bounds | {"G": 1})
    channels = gemm(8, 4, 3 * 16 * 16)
    channels = replace(channels, bounds=channels.bounds | {"N": 1, "P": 2, "Q": 2})
    alone = [ONCHIP.plan([layer], folder=tmp_path) for layer in (one, PLAIN, channels)]
    rng = np.random.default_rng(0)
    for densities in (plan.densities, rng.uniform(0.1, 0.9, (3, 3))):
        costs = plan(densities)
        for i, (each, runs) in enumerate(zip(alone, (4, 1, 1), strict=True)):
            energy, cycles = each(densities[i : i + 1])
            assert (costs.energy_pj[i], costs.cycles[i]) == (runs * energy[0], runs * cycles[0])
        by_component = plan.by_component(densities)
        assert by_component.macs == sum(map(macs, layers))
        assert [layer.total_pj for layer in by_component.layers] == pytest.approx(costs.energy_pj.tolist())
        assert [layer.cycles for layer in by_component.layers] == costs.cycles.tolist()
    again = plan.replanned(plan.densities)
    assert again.notes == plan.notes


def test_costs_of_networks_and_sweeps_refuse_them_by_name() -> None:
    with pytest.raises(MappingError, match="patches"):
        ONCHIP.cost([PATCHES])
