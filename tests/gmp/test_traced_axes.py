"""R and P are the height, S and Q the width, from a torch layer to the PEs of a chip, and in documents."""

from __future__ import annotations

import pytest
import torch
from support.named import naming
from support.small_chips import small_chip
from torch import nn

from gmp.tracing.trace import trace
from gmp.tracing.traced_workload import workload_of
from sparsim import SpecError, dump, load_text
from sparsim.files.swap_axes import swap_axes
from sparsim.machines.eyeriss import plan_layer
from sparsim.machines.eyeriss.conv_dims import conv_dims
from sparsim.records import CONV, Layer, tensor_shape

HEIGHT, WIDTH = 7, 20


def traced(layer: nn.Module, *shape: int) -> Layer:
    (found,) = workload_of(trace(nn.Sequential(layer), [torch.ones(1, *shape)]), name="net", batch=1).layers
    return found


def test_a_window_that_is_not_square_reaches_the_chip_with_its_height_and_width() -> None:
    """The outputs of a 3 x 5 window over 7 x 20 inputs with strides (1, 1): 5 high and 16 wide."""
    layer = traced(nn.Conv2d(2, 4, (3, 5)), 2, HEIGHT, WIDTH)
    assert layer.bounds == {"G": 1, "N": 1, "M": 4, "C": 2, "R": 3, "S": 5, "P": 5, "Q": 16}
    assert tensor_shape(layer, "Inputs") == (1, 1, 2, WIDTH, HEIGHT)
    conv = conv_dims(layer).conv()
    assert (conv.R, conv.S, conv.P, conv.Q) == (3, 5, 5, 16)

    found = plan_layer(small_chip(), layer)
    assert found.spread["S"] == 1  # a PE slides along the width and keeps all columns of its window
    inner = next(level.temporal for level in found.mapping.levels if level.level == "psum_spad")
    assert inner.factors["S"] == 5


def test_strides_and_dilations_stay_with_their_axes() -> None:
    layer = traced(nn.Conv2d(2, 4, (2, 3), stride=(1, 2), dilation=(3, 1)), 2, HEIGHT, WIDTH)
    assert layer.coefficients == {"Wstride": 2, "Hdilation": 3}
    assert (layer.bounds["P"], layer.bounds["Q"]) == (4, 9)


def test_a_row_of_points_is_as_high_as_it_is_long() -> None:
    layer = traced(nn.Conv1d(2, 4, 5), 2, WIDTH)
    assert {dim: layer.bounds[dim] for dim in "RSPQ"} == {"R": 5, "S": 1, "P": 16, "Q": 1}


def test_documents_of_version_1_mean_the_same_layer_mapping_and_chip() -> None:
    """There R and P were the width, S and Q the height."""
    chip = small_chip()
    layer = traced(nn.Conv2d(2, 4, (3, 5)), 2, HEIGHT, WIDTH)
    mapping = plan_layer(chip, layer).mapping
    records = [layer, mapping, chip.spec, chip.accelerator.policy]
    old = dump(*map(swap_axes, records)).replace("sparsim: 2", "sparsim: 1")
    assert "R*Wdilation + P*Wstride" in old
    loaded = load_text(old)
    assert [*loaded.layers, loaded.mapping, loaded.chip, loaded.policy] == records
    assert loaded.layers[0].shape == CONV


def test_the_chip_refuses_strides_that_contradict_the_names() -> None:
    layer = swap_axes(traced(nn.Conv2d(2, 4, (3, 5)), 2, HEIGHT, WIDTH))
    with pytest.raises(SpecError, match=naming("Wdilation")) as error:
        plan_layer(small_chip(), layer)
    assert error.value.path == "layer 0"
