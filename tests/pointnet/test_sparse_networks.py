"""Layers and networks of sparse convolution: coordinates, caches, layer lists, traces and pruning."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from support.programs import run_module
from support.sparse_clouds import random_cloud, rows_of, shell
from torch import nn

import gmp
from gmp.energy import EnergyMonitor
from gmp.tracing.trace import trace
from gmp.tracing.traced_workload import workload_of
from pointnet.errors import ConfigError, PointnetError
from pointnet.ops.coordinates import Coordinates
from pointnet.ops.sparse_convolution import Grouping
from pointnet.sparse.sparse_classifier import SPARSE_PRESETS, SparseClassifier, SparseConfig
from pointnet.sparse.sparse_layers import (
    GenerativeConvolution,
    StridedConvolution,
    SubmanifoldConvolution,
    TransposedConvolution,
)
from pointnet.sparse.sparse_resunet import SparseResUNet
from pointnet.sparse.sparse_tensor import SparseTensor
from sparsim import dump
from sparsim.records import macs

CASES = Path(__file__).parents[1] / "cases"
SMALL = SparseConfig(widths=(4, 8), voxel_size=0.4, head=(8,), points=32, classes=3)


def cloud(channels=4, count=60, seed=0):
    return SparseTensor(torch.randn(count, channels), Coordinates(random_cloud(seed, count, 8)))


def run(model, x):
    """With a cache of its own, which a batch of a trace is to fill anew."""
    return model(SparseTensor(x.features, x.coordinates))


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


class TestLayers:
    def test_coordinates_and_strides(self):
        x = cloud()
        down = StridedConvolution(4, 5)(SubmanifoldConvolution(4, 4)(x))
        assert down.stride == (2, 2, 2)
        assert torch.equal(down.rows("original"), down.rows() * torch.tensor([1, 2, 2, 2], dtype=torch.int32))
        up = TransposedConvolution(5, 6)(SubmanifoldConvolution(5, 5)(down))
        assert up.coordinates is x.coordinates
        assert (up.stride, up.features.shape) == ((1, 1, 1), (60, 6))

    def test_a_generative_layer_reaches_new_voxels(self):
        x = SparseTensor(torch.randn(2, 4), Coordinates(rows_of([[0, 0, 0], [1, 0, 0]])), (2, 2, 2))
        assert len(GenerativeConvolution(4, 3)(x).coordinates) == 16
        assert len(GenerativeConvolution(4, 3, 3)(x).coordinates) == 45

    def test_kernels_of_one_stride_share_their_outputs(self):
        x = cloud()
        both = [StridedConvolution(4, 3, size, 2)(x) for size in (2, 3)]
        assert both[0].coordinates is both[1].coordinates
        assert both[0].joined(both[1]).features.shape[1] == 6

    def test_maps_are_found_once(self, monkeypatch):
        found = []
        neighbours = Coordinates.neighbours
        monkeypatch.setattr(
            Coordinates, "neighbours", lambda *args, **more: found.append(1) or neighbours(*args, **more)
        )
        SparseResUNet(width=0.25).eval()(cloud())
        assert len(found) == 5 + 4

    @pytest.mark.parametrize("options", [{"dataflow": "fetch_on_demand"}, {"grouping": Grouping(0.5, 1e9)}])
    def test_dataflows_are_equal(self, options):
        x = cloud()
        plain, other = (
            SubmanifoldConvolution(4, 5, bias=True),
            SubmanifoldConvolution(4, 5, bias=True, **options),
        )
        other.load_state_dict(plain.state_dict())
        torch.testing.assert_close(other(x).features, plain(x).features)

    def test_a_bias_is_added(self):
        layer = SubmanifoldConvolution(4, 5, bias=True)
        before = layer(x := cloud()).features
        nn.init.constant_(layer.bias, 2.0)
        torch.testing.assert_close(layer(x).features, before + 2)

    @pytest.mark.parametrize(
        ("make", "kind", "text"),
        [
            (lambda: TransposedConvolution(4, 4)(StridedConvolution(4, 4, 3, 2)(cloud())), PointnetError,
             "no strided layer with kernel"),
            (lambda: TransposedConvolution(4, 4)(cloud()), PointnetError, "no strided layer"),
            (lambda: GenerativeConvolution(4, 4)(cloud()), PointnetError, "no finer level"),
            (lambda: SubmanifoldConvolution(3, 4)(cloud()), PointnetError, "4 channels, the layer takes 3"),
            (lambda: SubmanifoldConvolution(3, 4, 0), PointnetError, r"kernel size.*0"),
            (lambda: SubmanifoldConvolution(0, 4), ConfigError, r"channels.*0"),
            (lambda: cloud().joined(cloud()), PointnetError, "do not share"),
            (lambda: cloud().rows("metres"), PointnetError, r"units.*metres"),
            (lambda: cloud().with_features(torch.zeros(3, 3)), PointnetError, r"\(60, channels\)"),
            (lambda: SparseResUNet(width=0.01), ConfigError, r"width.*0.01"),
            (lambda: SparseResUNet(0), ConfigError, "input channels"),
            (lambda: SparseConfig((8,), 0.1), ConfigError, "two widths"),
            (lambda: SparseConfig((8, 8), 0.0), ConfigError, r"voxel size.*0"),
            (lambda: SparseConfig((8, 8), 0.1, dropout=1.0), ConfigError, r"dropout.*1"),
            (lambda: SparseClassifier(SMALL)(torch.zeros(2, 32, 6)), ConfigError, r"\(clouds, points, 3\)"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_is_refused(self, make, kind, text):
        with pytest.raises(kind, match=text):
            make()


class TestSegmentation:
    @pytest.mark.parametrize(("width", "weights"), [(1.0, 21_709_184), (0.5, 5_428_160)])
    def test_weights(self, width, weights):
        with torch.device("meta"):
            model = SparseResUNet(width=width)
        matrices = [p.numel() for p in model.parameters() if p.dim() > 1]
        assert (len(matrices), sum(matrices)) == (49, weights)

    def test_the_layers_of_the_shell_are_those_of_the_published_list(self):
        lines = (CASES / "sparse_resunet42_layers.csv").read_text().splitlines()
        rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
        coordinates = Coordinates(shell(20))
        x = SparseTensor(torch.randn(len(coordinates), 4), coordinates)
        traced = trace(SparseResUNet(), [x], forward=run, samples=1)
        assert traced.macs == 4_498_255_104
        workload = workload_of(traced, name="shell", batch=1)
        for layer, record, row in zip(traced.layers, workload.layers, rows, strict=True):
            assert (layer.name, layer.macs) == (row["layer"], int(row["macs_shell20"]))
            assert (int(row["c_in"]), int(row["c_out"])) == (layer.computation.C, layer.computation.M)
            assert macs(record) == int(row["macs_shell20"])
            if row["kind"] != "pointwise":
                assert record.kernel_map.total == int(row["pairs_shell20"])
                assert record.kernel_map.kernel_size == (int(row["kernel"]),) * 3

    def test_levels_share_maps_by_name(self):
        traced = trace(SparseResUNet(width=0.25), [cloud()], forward=run, samples=1)
        maps = {layer.name: layer.kernel_map for layer in traced.layers}
        assert maps["dec3.up"].name == maps["enc0.down"].name != maps["enc1.down"].name
        assert maps["dec3.up"].pairs == maps["enc0.down"].pairs
        assert (maps["dec3.up"].inputs, maps["dec3.up"].outputs) == (
            maps["enc0.down"].outputs, maps["enc0.down"].inputs,
        )  # fmt: skip
        assert len({m.name for m in maps.values() if m is not None}) == 9

    def test_it_learns_a_plane(self):
        x = cloud(count=200)
        labels = (x.coordinates.rows[:, 1] > 3).long()
        model = SparseResUNet(4, classes=2, width=0.25)
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
        for _ in range(12):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x).features, labels)
            loss.backward()
            optimizer.step()
        assert float((model(x).features.argmax(dim=1) == labels).float().mean()) > 0.9


class TestClassifier:
    def test_a_cloud_is_classified_alone_as_among_others(self):
        model, clouds = SparseClassifier(SMALL).eval(), torch.rand(3, 32, 3) - 0.5
        torch.testing.assert_close(model(clouds)[1:2], model(clouds[1:2]))

    def test_the_order_of_points_does_not_matter(self):
        model, clouds = SparseClassifier(SMALL).eval(), torch.rand(2, 32, 3) - 0.5
        torch.testing.assert_close(model(clouds.flip(1)), model(clouds))

    def test_normals_are_used(self):
        config = SparseConfig(widths=(4, 8), voxel_size=0.4, points=32, normals=True)
        assert SparseClassifier(config).stem.get_submodule("1").in_channels == 7

    def test_kernels_are_pruned_and_costed(self):
        model = SparseClassifier(SMALL)
        monitor = EnergyMonitor(model, "eyeriss_v2", [torch.rand(2, 32, 3) - 0.5])
        dense = monitor.update().energy_pj
        pruner = gmp.Pruner(model, torch.optim.SGD(model.parameters(), 0.1), pattern="block(1,2)")
        assert "enc0.a.1.weight" in pruner.names
        monitor.pruner = pruner
        pruner.prune(0.5)
        after = monitor.update()
        assert after.energy_pj < dense
        assert pruner.masks["enc0.a.1.weight"].shape == (27, 4, 8)

    def test_pairs_of_several_clouds_are_means(self):
        clouds = torch.rand(3, 32, 3) - 0.5
        model = SparseClassifier(SMALL)
        each = [trace(model, [clouds[i : i + 1]]) for i in range(3)]
        both = trace(model, [clouds[:2], clouds[2:]])
        total = sum(sum(found.layers[0].kernel_map.pairs) for found in each)
        assert 3 * sum(both.layers[0].kernel_map.pairs) == pytest.approx(total)
        layer = workload_of(both, name="three", batch=3).layers[0]
        assert layer.kernel_map.total == total

    def test_the_chip_command_costs_a_traced_network(self, tmp_path):
        traced = trace(SparseClassifier(SMALL), [torch.rand(2, 32, 3) - 0.5])
        workload = workload_of(traced, name="small", batch=2)
        (tmp_path / "small.yaml").write_text(dump(workload))
        result = run_module("sparsim", "chip", "eyeriss_v2", str(tmp_path / "small.yaml"), "--json")
        assert result.returncode == 0, result.stderr
        layers = {layer["layer"]: layer for layer in json.loads(result.stdout)["layers"]}
        assert list(layers) == [layer.name for layer in workload.layers]

    def test_presets_can_be_built(self):
        model = SparseClassifier(SPARSE_PRESETS["sparse"])
        assert sum(p.numel() for p in model.parameters() if p.dim() > 1) > 100_000


@pytest.mark.parametrize("change", [{"points": 0}, {"classes": 1}, {"widths": (4,)}, {"head": (0,)}])
def test_sizes_that_are_refused_are_named(change: dict[str, Any]) -> None:
    options: dict[str, Any] = {"widths": (4, 8), "voxel_size": 0.1} | change
    with pytest.raises(ConfigError, match=next(iter(change))):
        SparseConfig(**options)
