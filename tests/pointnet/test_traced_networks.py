"""Networks of common kinds, traced into workloads: operations, densities, masks, and the shipped shapes."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

import pytest
import torch
from msgspec.structs import replace
from support.traced import density
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from gmp.tracing.trace import trace
from gmp.tracing.traced_workload import workload_of, write_masks
from pointnet.model import PointNet2
from pointnet.network_config import preset
from pointnet.original.published_runs import mapping_of
from sparsim.files.sparsim_yaml import dump, load_accelerator, load_documents, load_text, load_workload
from sparsim.model.evaluate import evaluate
from sparsim.records import CONV, is_depthwise, macs, words


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def norm_relu(*layers: nn.Module, channels: int) -> nn.Sequential:
    return nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.ReLU())


class Residual(nn.Module):
    """A ResNeXt block: 1x1, grouped 3x3 and 1x1, and a shortcut with a stride."""

    def __init__(self) -> None:
        super().__init__()
        self.reduce = norm_relu(nn.Conv2d(4, 6, 1), channels=6)
        self.grouped = norm_relu(nn.Conv2d(6, 6, 3, stride=2, padding=1, groups=3), channels=6)
        self.expand = nn.Conv2d(6, 8, 1)
        self.shortcut = nn.Conv2d(4, 8, 1, stride=2)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.expand(self.grouped(self.reduce(x))) + self.shortcut(x))
        return self.head(y.mean((2, 3)))


NETWORKS = {
    "separable": (
        nn.Sequential(
            norm_relu(nn.Conv2d(3, 4, 3, stride=2, padding=1), channels=4),
            norm_relu(nn.Conv2d(4, 4, 3, padding=1, groups=4), channels=4),
            norm_relu(nn.Conv2d(4, 6, 1), channels=6),
            norm_relu(nn.Conv2d(6, 12, (3, 2), dilation=(1, 2), groups=6), channels=12),
        ),
        (3, 3, 9, 12),
    ),
    "residual": (Residual(), (2, 4, 7, 6)),
    "signal": (
        nn.Sequential(
            nn.Conv1d(2, 6, 5, padding=2, groups=2), nn.ReLU(), nn.Conv1d(6, 6, 3, stride=2, groups=6),
            nn.ReLU(), nn.Conv1d(6, 4, 1),
        ),
        (3, 2, 11),
    ),
    "linear": (
        nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)),
        (6, 7),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_operations_words_and_densities(name):
    """Against torch's own count of operations and the tensors that its modules see."""
    model, shape = NETWORKS[name]
    model.eval()
    layers = {key: m for key, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d)}
    for layer in layers.values():
        layer.weight.data *= torch.rand_like(layer.weight) < 0.6
    x = F.relu(torch.randn(shape))
    seen: dict[str, Tensor] = {}
    hooks = [
        layer.register_forward_pre_hook(lambda _, given, key=key: seen.update({key: given[0]}))
        for key, layer in layers.items()
    ]
    workload = workload_of(trace(model, [x]), name=name, batch=len(x))
    with FlopCounterMode(display=False) as counter:
        model(x)
    for hook in hooks:
        hook.remove()

    assert 2 * sum(map(macs, workload.layers)) == counter.get_total_flops()
    assert load_text(dump(workload)).workload == workload
    assert {layer.name for layer in workload.layers} == set(layers)
    for layer in workload.layers:
        module, inputs = layers[layer.name], seen[layer.name]
        assert layer.bounds["G"] == getattr(module, "groups", 1)
        assert words(layer, "Weights") == module.weight.numel()
        assert words(layer, "Outputs") == module(inputs).numel()
        assert layer.density("Weights").density == pytest.approx(density(module.weight))
        assert layer.density("Inputs").density == pytest.approx(density(inputs))
    if name in ("separable", "signal"):  # what is written is what the next layer reads
        for first, second in pairwise(workload.layers):
            assert first.density("Outputs").density == second.density("Inputs").density < 1


def test_a_depthwise_layer_on_an_accelerator(tmp_path):
    """With its own masks the gating design does the operations whose input is not zero.

    Nothing is compressed: the design's formats know no groups.
    """
    conv = nn.Conv2d(6, 6, 3, padding=1, groups=6)
    x = F.relu(torch.randn(2, 6, 4, 5))
    traced = trace(nn.Sequential(conv), [x], mask_samples=2)
    write_masks(traced, tmp_path / "masks", 2)
    document = tmp_path / "workload.yaml"
    document.write_text(dump(workload_of(traced, name="dw", batch=2, masks="masks")))
    (layer,) = load_documents([document]).layers
    assert is_depthwise(layer)
    chip = load_accelerator("eyeriss_like_gating")
    loops = {"dram": "G6 N2 R3 P4", "shared_glb": "", "columns": "", "rows": "", "ifmap_spad": ""}
    mapping = mapping_of(loops | {"weights_spad": "Q5", "psum_spad": "S3"})
    found = evaluate(replace(chip, policy=replace(chip.policy, formats=())), layer, mapping)
    ones = F.conv2d((x != 0).float(), torch.ones_like(conv.weight), padding=1, groups=6)
    assert found.algorithmic_computes == macs(layer) == 9 * ones.numel()
    assert found.actual_computes == int(ones.sum()) < macs(layer)


def alexnet() -> nn.Module:
    """The original one: two groups in the second, fourth and fifth convolution."""
    names = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
    pool = nn.MaxPool2d(3, 2)
    parts = [
        nn.Sequential(nn.Conv2d(3, 96, 11, 4), nn.ReLU(), pool),
        nn.Sequential(nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), pool),
        nn.Sequential(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU()),
        nn.Sequential(nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(), pool, nn.Flatten()),
        *(
            nn.Sequential(nn.utils.skip_init(nn.Linear, i, o), nn.ReLU())
            for i, o in pairwise((9216, 4096, 4096))
        ),
        nn.Sequential(nn.Linear(4096, 1000)),
    ]
    for part in parts[5:7]:
        nn.init.zeros_(part[0].weight)
        nn.init.ones_(part[0].bias)
    return nn.Sequential(OrderedDict(zip(names, parts, strict=True)))


def mobilenet() -> nn.Module:
    """Version 1 at half width: 64, 128, ... channels become 32, 64, ...; thirteen separable pairs."""
    found = OrderedDict(conv=norm_relu(nn.Conv2d(3, 16, 3, 2, 1, bias=False), channels=16))
    widths = (16, 32, 64, 64, 128, 128, *[256] * 6, 512, 512)
    for i, (before, after) in enumerate(pairwise(widths), start=1):
        stride = 2 if i in (2, 4, 6, 12) else 1
        depthwise = nn.Conv2d(before, before, 3, stride, 1, groups=before, bias=False)
        found[f"dw{i}"] = norm_relu(depthwise, channels=before)
        found[f"pw{i}"] = norm_relu(nn.Conv2d(before, after, 1, bias=False), channels=after)
    found["fc"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))
    return nn.Sequential(found)


@pytest.mark.parametrize(
    ("build", "names", "size"),
    [
        (alexnet, ("alexnet", "alexnet_sparse"), 227),
        (mobilenet, ("mobilenet_v1_050_128", "mobilenet_v1_050_128_sparse"), 128),
    ],
)
def test_shipped_shapes_are_those_of_the_network(build, names, size):
    traced = workload_of(trace(build(), [torch.rand(1, 3, size, size)]), name="net", batch=1).layers
    for name in names:
        for theirs, ours in zip(traced, load_workload(name).layers, strict=True):
            assert theirs.name.split(".")[0] == ours.name
            assert (theirs.bounds, theirs.coefficients) == (ours.bounds, ours.coefficients)


@pytest.mark.parametrize("size", ["half", "study"])
def test_shipped_pointnets_are_those_of_the_presets(size):
    model = PointNet2(preset(size))
    traced = workload_of(trace(model, [torch.rand(1, model.config.points, 3)]), name="net", batch=2).layers
    names = {"half": ("half_modelnet10_gmp90",), "study": ("study", "study_sparse", "study_modelnet10")}[size]
    for name in names:
        for theirs, ours in zip(traced, load_workload(f"pointnet2_{name}").layers, strict=True):
            assert (theirs.name, theirs.bounds) == (ours.name, ours.bounds)
            assert theirs.shape == ours.shape == CONV
