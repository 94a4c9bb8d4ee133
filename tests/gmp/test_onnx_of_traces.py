"""A network as an ONNX file is the workload that the traced module is: names, MACs, zeros of weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.exported import NETWORKS, facts, network

from gmp.tracing.trace import trace
from sparsim.files.onnx_densities import measured
from sparsim.files.onnx_layers import layers_of
from sparsim.files.onnx_model import read_onnx

pytest.importorskip("onnx")
pytestmark = pytest.mark.filterwarnings("ignore")  # of the exporter, about itself and about constants


@pytest.mark.parametrize("name", NETWORKS)
def test_a_file_is_the_network(name: str, tmp_path: Path) -> None:
    model, x = network(name)
    torch.onnx.export(model, (x,), str(tmp_path / "net.onnx"), dynamo=False)
    found = layers_of(read_onnx(tmp_path / "net.onnx"))
    traced = trace(model, [x])
    assert facts(found.layers) == facts(traced.layers)
    assert found.gaps == ()
    if name in ("convolutions", "points"):
        assert [layer.name for layer in found.layers] == [layer.name for layer in traced.layers]


@pytest.mark.parametrize("name", ["convolutions", "points"])
def test_zeros_of_activations_are_those_of_the_module(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    model, x = network(name)
    torch.onnx.export(model, (x,), str(tmp_path / "net.onnx"), dynamo=False, input_names=["x"])
    file = read_onnx(tmp_path / "net.onnx")
    layers = measured(file, layers_of(file), {"x": x.numpy()})
    traced = {layer.name: layer for layer in trace(model, [x]).layers}
    for layer in layers:
        twin = traced[layer.name]
        for ours, theirs in ((layer.inputs, twin.inputs), (layer.outputs, twin.outputs)):
            assert ours is not None
            np.testing.assert_allclose(ours, theirs, atol=0.01)
