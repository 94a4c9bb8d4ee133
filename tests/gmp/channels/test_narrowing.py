"""Narrowed networks give what masked ones give, train on, and load from plain files."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from support.channel_networks import Block, Coupled, drawn
from support.counted import counted_macs
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

import gmp
from gmp.channels import ChannelGroups, Narrowed, channel_groups, narrow, rebuild
from gmp.channels.removed_channels import masks_of
from gmp.errors import PruningError, PruningWarning
from gmp.tracing.trace import trace
from gmp.tracing.traced_workload import workload_of
from pointnet.model import PointNet2
from pointnet.network_config import Config, Scale, Stage
from sparsim.hardware import load_hardware

ROOT = Path(__file__).parents[3]
PICTURES = torch.randn(4, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
CLOUDS = torch.rand(3, 32, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def points(**changes: Any) -> PointNet2:
    scales = (Scale(0.3, 4, (6, 8)), Scale(0.5, 8, (4, 6, 10)))
    stages = (Stage(8, scales), Stage(4, (Scale(0.6, 4, (8, 12)),)))
    return PointNet2(Config(stages, pooled=(16, 24), head=(12,), points=32, **changes))


def drawn_keep(groups: ChannelGroups, seed: int) -> dict[str, list[int]]:
    draw = torch.Generator().manual_seed(seed)
    keep = {}
    for group in groups:
        count = int(torch.randint(1, group.channels, (), generator=draw))
        keep[group.name] = sorted(torch.randperm(group.channels, generator=draw)[:count].tolist())
    return keep


def gone(groups: ChannelGroups, keep: dict[str, list[int]]) -> dict[str, Tensor]:
    return {g.name: ~torch.isin(torch.arange(g.channels), torch.tensor(keep[g.name])) for g in groups}


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("make", "example"),
    [
        (Coupled, PICTURES),
        (lambda: nn.Sequential(Block(3, 8, 1), Block(8, 8, 2), nn.Flatten(), nn.Linear(128, 3)), PICTURES),
        (points, CLOUDS),
        (lambda: points(delayed=True), CLOUDS),
    ],
)
def test_narrowed_equals_masked(make: Any, example: Tensor, seed: int) -> None:
    model = drawn(make(), seed)
    groups = channel_groups(model, example)
    keep = drawn_keep(groups, seed)
    found = narrow(model, groups, keep)
    gmp.apply_masks(model, masks_of(model, groups, gone(groups, keep)))
    with torch.no_grad():
        wanted = model(example)
        assert close(found.model(example), wanted)
        assert wanted.std() > 1e-3
    assert found.kept == keep
    assert not found.inexact
    assert found.parameters[1] < found.parameters[0]


class Twice(nn.Module):
    """A layer that runs twice, on frozen weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.twice, self.last = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 6, 1), nn.Linear(6, 2)
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.twice(self.twice(self.first(x)).relu()).relu().mean((2, 3)))


def test_a_frozen_layer_that_runs_twice_is_narrowed() -> None:
    model = drawn(Twice(), 0)
    groups = channel_groups(model, PICTURES)
    found = narrow(model, groups, {"first": [1, 2, 5]})
    gmp.apply_masks(model, masks_of(model, groups, gone(groups, {"first": [1, 2, 5]})))
    assert close(found.model(PICTURES), model(PICTURES))
    assert found.model.twice.weight.shape == (3, 3, 1, 1)
    assert not any(p.requires_grad for p in found.model.parameters())


def test_transposed_convolutions_and_instance_norms_are_narrowed() -> None:
    model = drawn(
        nn.Sequential(
            nn.Conv2d(3, 6, 2, 2), nn.InstanceNorm2d(6, affine=True), nn.ReLU(),
            nn.ConvTranspose2d(6, 4, 2, 2), nn.ReLU(), nn.Conv2d(4, 2, 1),
        ), 0,
    )  # fmt: skip
    groups = channel_groups(model, PICTURES)
    keep = {"0": [0, 4], "3": [1, 2, 3]}
    found = narrow(model, groups, keep)
    gmp.apply_masks(model, masks_of(model, groups, gone(groups, keep)))
    with torch.no_grad():
        assert close(found.model(PICTURES), model(PICTURES))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("padding_mode", ["zeros", "circular"])
def test_constants_of_masked_channels_are_folded(seed: int, bias: bool, padding_mode: str) -> None:
    """A pruner masks weights only: biases and norms make constants of them."""
    padding = 0 if padding_mode == "zeros" else 1
    model = drawn(
        nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Sigmoid(),
            nn.Conv2d(8, 8, 3, padding=padding, padding_mode=padding_mode, bias=bias), nn.BatchNorm2d(8),
            nn.ReLU(), nn.Conv2d(8, 6, 1, bias=bias), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(6, 3, bias=bias),
        ), seed,
    )  # fmt: skip
    groups = channel_groups(model, PICTURES)
    gmp.one_shot(model, 0.5, pattern="channel", scope="layer", ignore="10")
    found = narrow(model, groups)
    assert [len(kept) for kept in found.kept.values()] == [4, 4, 3]
    with torch.no_grad():
        assert close(found.model(PICTURES), model(PICTURES))
    assert found.spec["biases"] == ([] if bias else ["6"])  # no norm follows it
    fresh = rebuild(type(model)(*(type(m)(*_arguments(m)) for m in model)).double().eval(), found.spec)
    fresh.load_state_dict(found.model.state_dict())
    with torch.no_grad():
        assert torch.equal(fresh(PICTURES), found.model(PICTURES))


def _arguments(module: nn.Module) -> tuple[Any, ...]:
    if isinstance(module, nn.Conv2d):
        return (module.in_channels, module.out_channels, module.kernel_size, 1, module.padding, 1, 1,
                module.bias is not None, module.padding_mode)  # fmt: skip
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features, module.bias is not None
    return {nn.BatchNorm2d: (8,), nn.AdaptiveAvgPool2d: (1,)}.get(type(module), ())


def test_a_constant_that_enters_zero_padding_is_named() -> None:
    model = drawn(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 2, 6)), 0)
    groups = channel_groups(model, PICTURES)
    with torch.no_grad():
        model[0].weight[1] = 0
    with pytest.warns(PruningWarning, match="zero padding of 1"):
        found = narrow(model, groups)
    assert found.inexact == ("1",)
    inside = slice(1, -1)
    with torch.no_grad():
        whole, part = model[:2](PICTURES), found.model[:2](PICTURES)
    assert close(part[..., inside, inside], whole[..., inside, inside])
    assert not close(part, whole)


def test_channels_that_a_norm_multiplies_by_zero_go() -> None:
    model = drawn(nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 2, 3)), 1)
    groups = channel_groups(model, PICTURES)
    with torch.no_grad():
        model[1].weight[[0, 4]] = 0
    found = narrow(model, groups)
    assert found.kept == {"0": [1, 2, 3, 5]}
    with torch.no_grad():
        assert close(found.model(PICTURES), model(PICTURES))


@pytest.mark.parametrize("make", [torch.optim.Adam, lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)])
def test_an_optimizer_goes_on(make: Any) -> None:
    model = drawn(Coupled(), 0).train()
    model.side.weight.requires_grad_(False)
    optimizer = make(model.parameters())
    _step(model, optimizer)
    groups = channel_groups(model, PICTURES)
    found = narrow(model, groups, {"stem": [0, 2, 5], "pw": [1, 3]})
    carried = found.optimizer(optimizer)
    assert type(carried) is type(optimizer)
    assert isinstance(found.model, Coupled)
    assert not found.model.side.weight.requires_grad
    key = "exp_avg" if isinstance(optimizer, torch.optim.Adam) else "momentum_buffer"
    old, new = optimizer.state[model.conv1.weight][key], carried.state[found.model.conv1.weight][key]
    assert torch.equal(new, old[[0, 2, 5]][:, [0, 2, 5]])
    before = {name: p.detach().clone() for name, p in found.model.named_parameters()}
    _step(found.model.train(), carried)
    for name, parameter in found.model.named_parameters():
        assert torch.equal(parameter, before[name]) == (name == "side.weight"), name
    with pytest.raises(PruningError, match="no parameter of this network"):
        found.optimizer(make(Coupled().parameters()))


def _step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    (model(PICTURES) ** 2).sum().backward()
    optimizer.step()


def test_two_narrowings_have_one_spec() -> None:
    model = drawn(Coupled(), 2)
    first = narrow(model, channel_groups(model, PICTURES), {"stem": [1, 2, 4, 5], "pw": [0, 1, 5]})
    groups = channel_groups(first.model, PICTURES)
    second = narrow(first.model, groups, {"stem": [0, 3], "side": [2, 3], "pw": [2]}, after=first.spec)
    assert second.spec["modules"]["stem"] == {"outputs": [1, 5]}
    fresh = rebuild(Coupled().double().eval(), second.spec)
    fresh.load_state_dict(second.model.state_dict())
    assert torch.equal(fresh(PICTURES), second.model(PICTURES))


def test_a_fresh_process_loads_it_without_pickled_classes(tmp_path: Path) -> None:
    model = points()
    drawn(model, 3)
    found = narrow(model, channel_groups(model, CLOUDS), {"sa1.0.mlp_convs.1": [0, 5], "fc1": [3]})
    saved = io.BytesIO()
    torch.save({"spec": found.spec, "state": found.model.state_dict()}, saved)
    (tmp_path / "net.pt").write_bytes(saved.getvalue())
    torch.save(CLOUDS, tmp_path / "clouds.pt")
    config = repr(model.config)
    code = f"""
import torch
from pointnet.model import PointNet2
from pointnet.network_config import Config, Scale, Stage
from gmp.channels import rebuild
saved = torch.load("net.pt", weights_only=True)
model = rebuild(PointNet2({config}).double().eval(), saved["spec"])
model.load_state_dict(saved["state"])
print(model(torch.load("clouds.pt", weights_only=True)).tolist())
"""
    env = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == found.model(CLOUDS).tolist()
    assert json.loads(json.dumps(found.spec)) == found.spec


def test_a_narrowed_network_costs_less_on_a_chip() -> None:
    model = drawn(
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(64, 4)), 0
    )
    found = narrow(model, channel_groups(model, PICTURES), {"0": [0, 3], "2": [1, 2]})
    costs = []
    for each in (model, found.model):
        traced = trace(each, [PICTURES])
        assert traced.macs * len(PICTURES) == counted_macs(each, PICTURES)
        layers = workload_of(traced, name="net", batch=1).layers
        plan = load_hardware("eyeriss_v2").plan(layers)
        costs.append(float(plan(plan.densities).energy_pj.sum()))
    assert [layer.bounds["M"] for layer in layers] == [2, 2, 4]
    assert [layer.bounds["C"] for layer in layers] == [3, 2, 32]
    assert costs[1] < costs[0] / 2


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ({"stem": []}, "no channel of 'stem' would be left"),
        ({"stem": [6]}, "channels 0 to 5"),
        ({"stm": [0]}, "stem"),
        ({"fc": [0]}, "fc gives outputs of the network"),
        ({}, "no channel would be removed"),
        (None, "no channel would be removed"),
    ],
)
def test_mistakes_are_refused(keep: Any, message: str) -> None:
    model = drawn(Coupled(), 0)
    with pytest.raises(PruningError, match=message):
        narrow(model, channel_groups(model, PICTURES), keep)


def test_a_layer_without_weights_is_refused() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    groups = channel_groups(model, torch.zeros(1, 4))
    nn.init.zeros_(model[0].weight)
    with pytest.raises(PruningError, match="no channel of '0' would be left"):
        narrow(model, groups)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"modules": {"stems": {"outputs": [0]}}, "biases": []},
        {"modules": {"stem": {"outputs": [6]}}, "biases": []},
        {"modules": {"stem": {"outputs": []}}, "biases": []},
        {"modules": {"stem": {"channels": [0]}}, "biases": []},
        {"modules": {"act": {"inputs": [0]}}, "biases": []},
    ],
)
def test_a_spec_of_another_network_is_refused(spec: Any) -> None:
    with pytest.raises(PruningError):
        rebuild(Coupled(), spec)


def test_no_hook_is_left_and_the_old_network_is_unchanged() -> None:
    model = drawn(Coupled(), 0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found: Narrowed = narrow(model, channel_groups(model, PICTURES), {"pw": [0]})
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    for module in found.model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert tree_leaves(found.table().rows) == ["stem", 6, 6, "side", 4, 4, "pw", 8, 1]


@pytest.mark.parametrize("kept", [
    torch.tensor([True] * 4 + [False] * 4), [True] * 4 + [False] * 4, [0.5], torch.tensor([1.5]), ["a"], 3,
    None, [-1],
])  # fmt: skip
def test_kept_channels_are_indices(kept: Any) -> None:
    """Masks in particular: their values would pass for the channels 0 and 1."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    groups = channel_groups(model, torch.zeros(1, 4))
    with pytest.raises(PruningError, match="'0'"):
        narrow(model, groups, {"0": kept})


def test_groups_of_a_wider_network_are_refused() -> None:
    wide = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    slim = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    with pytest.raises(PruningError, match="'0' has 6 outputs"):
        narrow(slim, channel_groups(wide, torch.zeros(1, 4)), {"0": [0]})
