"""Modules that say what they compute are layers of a trace, whatever runs inside of them."""

from __future__ import annotations

import pytest
import torch
from support.named import naming
from torch import Tensor, nn
from torch.nn import functional as F

import gmp
from gmp.energy import EnergyMonitor
from gmp.tracing.declared_products import DeclaredProduct
from gmp.tracing.trace import trace
from gmp.tracing.traced_weights import traced_weights
from gmp.tracing.traced_workload import workload_of
from gmp.weight_axes import Axes
from sparsim import dump, load_documents
from sparsim.errors import SpecError
from sparsim.files.traced_layers import KernelMapCounts
from sparsim.records import KernelMapSizes, Layer, gemm, macs

PAIRS = (3, 8, 4)


class Declaring(nn.Module):
    """A kernel of three offsets that runs as products a trace would see, and in numpy, which it would not."""

    weight_axes = {"weight": "kio"}

    def __init__(self, kernel_map: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(len(PAIRS), 5, 6))
        self.kernel_map = kernel_map

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.from_numpy(x.detach().numpy() @ self.weight[0].detach().numpy())
        return hidden + F.linear(x, self.weight[1].t())

    def declared_products(self, arguments, output):
        (x,) = arguments
        sizes = KernelMapCounts("level 1", (3,), (1,), len(x), len(x), PAIRS) if self.kernel_map else None
        yield DeclaredProduct(sum(PAIRS), 5, 6, x, self.weight, output, sizes)


class Network(nn.Module):
    def __init__(self, kernel_map: bool = True) -> None:
        super().__init__()
        self.first = nn.Linear(5, 5)
        self.declaring = Declaring(kernel_map)
        self.last = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self.declaring(F.relu(self.first(x)))))


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def test_a_declared_product_is_one_layer_of_the_trace():
    model, x = Network(), torch.randn(8, 5)
    layers = {layer.name: layer for layer in trace(model, [x, x], samples=1).layers}
    assert list(layers) == ["first", "declaring", "last"]
    found = layers["declaring"]
    assert (found.macs, found.weights, found.calls) == (sum(PAIRS) * 5 * 6, 3 * 5 * 6, sum(PAIRS))
    assert (found.module, found.view.parameter) == ("declaring", "declaring.weight")
    hidden = F.relu(model.first(x))
    assert found.inputs.mean == pytest.approx(float((hidden != 0).float().mean()))
    assert layers["first"].outputs.mean == found.inputs.mean
    assert found.outputs.mean == pytest.approx(float((F.relu(model.declaring(hidden)) != 0).float().mean()))


def test_all_of_the_network_is_covered():
    assert trace(Network(), [torch.randn(8, 5)], samples=1).coverage.uncovered_macs == 0


def test_without_a_kernel_map_rows_are_runs():
    traced = trace(Network(kernel_map=False), [torch.randn(8, 5)], samples=1)
    layer = workload_of(traced, name="net", batch=2).layers[1]
    assert layer.kernel_map is None
    assert macs(layer) == 2 * sum(PAIRS) * 5 * 6


@pytest.mark.parametrize(("batch", "pairs"), [(1, PAIRS), (2, (6, 16, 8))])
def test_the_workload_has_the_kernel_map(batch, pairs, tmp_path):
    traced = trace(Network(), [torch.randn(8, 5)], samples=1)
    workload = workload_of(traced, name="net", batch=batch)
    layer = workload.layers[1]
    assert layer.kernel_map == KernelMapSizes(
        name="level 1", kernel_size=(3,), stride=(1,), inputs=8 * batch, outputs=8 * batch, pairs=pairs
    )
    assert macs(layer) == sum(pairs) * 5 * 6
    assert layer.anonymous().kernel_map is None
    (tmp_path / "net.yaml").write_text(dump(workload))
    assert load_documents([tmp_path / "net.yaml"]).workload == workload


def test_pairs_of_a_mean_sample_add_up_to_the_runs():
    model = Network()
    traced = trace(model, [torch.randn(8, 5)], forward=lambda m, x: m(x), samples=4)
    layer = workload_of(traced, name="net", batch=1).layers[1]
    assert sum(layer.kernel_map.pairs) == round(sum(PAIRS) / 4) == macs(layer) // 30


def test_the_pruner_knows_the_axes_of_a_declaring_module():
    model = Network()
    found = traced_weights(model, trace(model, [torch.randn(8, 5)], samples=1))
    assert found["declaring.weight"] == Axes("kio")
    pruner = gmp.Pruner(model, pattern="block(2,1)", ignore=["first", "last"])
    pruner.prune(0.5)
    kept = pruner.masks["declaring.weight"]
    assert kept.shape == (3, 5, 6)
    assert (kept[..., 0::2] == kept[..., 1::2]).all()


def test_the_monitor_counts_the_zeros_of_all_offsets():
    model, x = Network(), torch.randn(8, 5)
    monitor = EnergyMonitor(model, "eyeriss_v2", [x], samples=1)
    before = monitor.update().energy_pj
    pruner = gmp.Pruner(model, ignore=["first", "last"])
    monitor.pruner = pruner
    pruner.prune(0.9)  # so few that they are compressed, in short columns
    after = monitor.update()
    assert after.densities[1, 0] == 0.1
    assert after.energy_pj < before


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"pairs": (1, 2)}, "pairs has 2 offsets, the kernel has 3"),
        ({"stride": (1, 1)}, "stride has 2 axes"),
        ({"pairs": (1, -2, 3)}, r"pairs.*-2"),
        ({"inputs": 0}, r"inputs.*0"),
    ],
)
def test_sizes_that_cannot_be_are_refused(changes, text):
    fields = {"kernel_size": (3,), "stride": (1,), "inputs": 8, "outputs": 8, "pairs": PAIRS}
    with pytest.raises(SpecError, match=text):
        KernelMapSizes(**(fields | changes))


def test_a_layer_multiplies_once_for_each_pair_and_channels():
    sizes = KernelMapSizes(kernel_size=(3,), stride=(1,), inputs=8, outputs=8, pairs=PAIRS)
    plain = gemm(6, 14, 5)
    with pytest.raises(SpecError, match=naming("420 15 30")):
        Layer(shape=plain.shape, bounds=plain.bounds, kernel_map=sizes)
