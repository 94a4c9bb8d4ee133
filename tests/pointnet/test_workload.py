"""Traces of PointNet++ as workloads: the study's layers, its faults, masks, and the files."""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
import shlex
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from support.named import names
from torch import Tensor

from gmp.errors import TraceError
from gmp.tracing.trace import Trace, trace
from gmp.tracing.traced_workload import workload_of
from pointnet.data import Clouds, load_data
from pointnet.model import PointNet2
from pointnet.network_config import Scale, Stage, preset
from pointnet.original.published_runs import runs
from pointnet.trace_clouds import write_trace
from sparsim.cli.main import cli as sparsim_cli
from sparsim.files.sparsim_yaml import dump, load_documents, load_text
from sparsim.records import Density
from sparsim.records.layer_counts import tensor_shape

ROOT = Path(__file__).parents[2]
MODELNET10 = Path(os.environ.get("SPARSIM_SHARED", ROOT / ".." / "shared")) / "data/modelnet10_1024_f16.npz"
# few points, channels and neighbours, all in different numbers
TINY = replace(
    preset("small"),
    stages=(Stage(8, (Scale(0.6, 5, (6, 7)),)), Stage(3, (Scale(1.5, 4, (9,)),))),
    pooled=(11,), head=(10,), points=32, classes=4,
)  # fmt: skip


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def sphere(count: int, points: int, source: str = "points in a ball") -> Clouds:
    rng = np.random.default_rng(0)
    found = rng.uniform(-0.5, 0.5, (count, points, 3)).astype(np.float32)
    return Clouds(found, np.zeros(count, np.int64), ("ball",), source)


@pytest.fixture(scope="module")
def study() -> dict[bool, Trace]:
    """The study's network on one cloud, without and with delayed aggregation."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    cloud = torch.from_numpy(sphere(1, 1024).points)
    return {delayed: trace(PointNet2(preset("study", delayed=delayed)), [cloud]) for delayed in (False, True)}


def test_layers_are_those_of_the_study(study):
    theirs = [run.layer for run in runs() if (run.design, run.variant) == ("gating", "dense")]
    ours = workload_of(study[False], name="study", batch=2).layers
    assert [(layer.name, layer.bounds) for layer in ours] == [
        (layer.name, {**layer.bounds, "G": 1}) for layer in theirs
    ]
    assert study[False].macs == 837_519_872
    with resources.files("pointnet.original").joinpath("layers.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    weights = [int(row["C"]) * int(row["M"]) for row in rows]
    assert [layer.weights for layer in study[False].layers] == weights
    assert sum(weights) == 1_457_984


def test_outputs_are_the_next_inputs_and_logits_are_dense(study):
    """Except before a maximum or a concatenation, which change them."""
    layers = {layer.name: layer for layer in study[False].layers}
    for chain in (
        ("sa1.mlp_convs.0", "sa1.mlp_convs.1", "sa1.mlp_convs.2"),
        ("sa2.mlp_convs.0", "sa2.mlp_convs.1", "sa2.mlp_convs.2"),
        ("sa3.mlp_convs.0", "sa3.mlp_convs.1", "sa3.mlp_convs.2"),
        ("fc1", "fc2", "fc3"),
    ):
        for first, second in itertools.pairwise(chain):
            assert layers[first].outputs == layers[second].inputs
            assert 0.2 < layers[first].outputs.mean < 0.8
    assert layers["sa1.mlp_convs.2"].outputs.mean < 0.8
    assert layers["fc3"].outputs.mean == 1.0


def test_delayed_aggregation_is_traced_as_computed(study):
    plain, delayed = ({row.name: row for row in study[d].layers} for d in (False, True))
    first, centres = delayed["sa2.mlp_convs.0"], delayed["sa2.mlp_convs.0.part2"]
    assert (first.row()["Q"], first.row()["P"], first.computation.C) == (1, 512, 131)
    assert (centres.row()["Q"], centres.row()["P"], centres.computation.C) == (1, 128, 3)
    assert first.macs == 512 * 131 * 128
    assert centres.macs == 128 * 3 * 128
    assert plain["sa2.mlp_convs.0"].macs == 128 * 64 * 131 * 128
    assert first.macs + centres.macs < plain["sa2.mlp_convs.0"].macs / 12
    assert first.outputs.mean == 1.0  # as stored for the gathering, before batch-norm
    same = set(plain) - {"sa1.mlp_convs.0", "sa2.mlp_convs.0"}
    assert all(delayed[name].computation == plain[name].computation for name in same)
    assert study[True].macs == 705_939_968


def first_layer(points: Tensor) -> float:
    """Input density of layer 1 with the study's grouping, which depends on the points alone."""
    stage = Stage(512, (Scale(0.2, 32, (4,)),))
    config = replace(preset("study"), stages=(stage, replace(TINY.stages[1], centres=4)), pooled=(4,))
    (layer,) = trace(PointNet2(config), [points], names=["sa1.mlp_convs.0"]).layers
    assert layer.computation.out == (32, 512)
    return layer.inputs.mean


def test_normal_points_have_the_zeros_that_the_study_published():
    """Balls of radius 0.2 are nearly empty there, and hits repeat the centre: 0.849 zeros in its table."""
    zeros = 1 - first_layer(torch.randn(4, 1024, 3))
    assert zeros == pytest.approx(0.849, abs=0.01)


@pytest.mark.skipif(not MODELNET10.exists(), reason=f"no {MODELNET10.name} beside the repository")
def test_real_clouds_have_few_zeros():
    clouds = load_data(MODELNET10, points=1024).test.points
    zeros = 1 - first_layer(torch.from_numpy(clouds[::57]))
    assert zeros == pytest.approx(0.12, abs=0.03)  # 0.120 over all 908


def test_the_guides_example(tmp_path, monkeypatch):
    """With its own masks the on-chip design does the operations whose input is not zero."""
    guide = (ROOT / "docs/reference/workload.md").read_text(encoding="utf-8")
    (mapping,) = re.findall(r"^```yaml\n(sparsim: 2\nmapping:.*?)^```", guide, re.S | re.M)
    (command,) = re.findall(r"^sparsim (model .*)", guide, re.M)
    (tmp_path / "mapping.yaml").write_text(mapping)
    trace_folder = tmp_path / "build/trace"
    write_trace(PointNet2(preset("small")), sphere(2, 256), trace_folder, masks=trace_folder / "masks")
    monkeypatch.chdir(tmp_path)
    words = [
        word.replace("sparsim/files/presets", f"{ROOT}/sparsim/files/presets")
        for word in shlex.split(command)
    ]
    assert sparsim_cli.main(words, standalone_mode=False) is None
    result = json.loads((tmp_path / "build/fc2/sparsim.result.json").read_text())
    nonzeros = int(np.load(trace_folder / "masks/fc2.inputs.npy").sum())
    assert result["actual_computes"] == 64 * nonzeros < result["algorithmic_computes"] == 2 * 128 * 64


def test_files(tmp_path):
    model = PointNet2(TINY)
    model.get_submodule("sa1").mlp_convs[1].weight.data[:, :3] = 0
    found = write_trace(
        model, sphere(5, 40), tmp_path / "out", samples=4, seed=3, masks=tmp_path / "masks",
        provenance={"checkpoint": "abc", "pruned": True}
    )  # fmt: skip
    loaded = load_documents([tmp_path / "out/workload.yaml"])
    workload = loaded.workload
    assert loaded.layers == workload.layers
    assert workload.source == "points in a ball"
    assert workload.provenance == {
        "samples": 4, "points": 32, "inputs": "clouds", "seed": 3, "delayed": False,
        "data": sphere(5, 40).digest(), "checkpoint": "abc", "pruned": True,
    }  # fmt: skip
    for layer, row in zip(workload.layers, found.layers, strict=True):
        assert layer.name == row.name
        assert layer.density("Outputs") == Density(density=row.outputs.mean, spread=row.outputs.spread)
        for tensor, density in (("Weights", row.weight_density), ("Inputs", row.inputs.mean)):
            mask = np.load(layer.density(tensor).mask)
            assert layer.density(tensor).density == density
            assert mask.shape == tensor_shape(layer, tensor)
    assert workload.layers[1].density("Weights").density == 0.5
    assert (
        np.load(workload.layers[1].density("Weights").mask)[0, :, 0, 0, 0].tolist()
        == [False] * 3 + [True] * 3
    )

    with open(tmp_path / "out/trace.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows == [{key: str(value) for key, value in row.row().items()} for row in found.layers]
    document = json.loads((tmp_path / "out/trace.json").read_text())
    assert document["layers"] == [row.row() for row in found.layers]
    assert document["provenance"] == workload.provenance
    assert (document["samples"], document["macs"]) == (4, found.macs)


def test_seed_and_inputs(tmp_path):
    model, clouds = PointNet2(TINY), sphere(40, 32)

    def traced(**options) -> Trace:
        return write_trace(model, clouds, tmp_path, **options)

    assert traced(samples=3, seed=1) == traced(samples=3, seed=1)
    assert traced(samples=3, seed=1) != traced(samples=3, seed=2)
    assert traced(inputs="randn", seed=1) == traced(inputs="randn", seed=1) != traced(inputs="randn", seed=2)
    provenance = load_documents([tmp_path / "workload.yaml"]).workload.provenance
    assert provenance == {"samples": 40, "points": 32, "inputs": "randn", "seed": 2, "delayed": False}
    assert traced(delayed=True) == traced(samples=40, delayed=True) != traced()
    assert traced(delayed=True).macs < traced(delayed=False).macs


def test_workloads_round_trip(study):
    for found in study.values():
        workload = workload_of(found, name="study", provenance={"seed": 1})
        assert load_text(dump(workload)).workload == workload


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 0}, "0 5 1"),
        ({"seed": -1, "inputs": "randn"}, "seed -1 0"),
        ({"samples": 6}, "6 5 1"),
        ({"batch": 0}, "0 5 1"),
        ({"samples": 2, "batch": 3}, "3 2 1"),
        ({"inputs": "rand"}, "inputs rand clouds randn"),
    ],
)
def test_refused(tmp_path, options, message):
    with pytest.raises(TraceError) as error:
        write_trace(PointNet2(TINY), sphere(5, 32), tmp_path / "out", **options)
    assert names(error.value, message)
    assert not (tmp_path / "out").exists()


def test_clouds_with_too_few_points(tmp_path):
    with pytest.raises(TraceError) as error:
        write_trace(PointNet2(TINY), sphere(5, 31), tmp_path / "out")
    assert names(error.value, "clouds 31 32")
