"""Which channels belong together."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.channel_networks import Block, Coupled, drawn
from torch import Tensor, nn

from gmp.channels import ChannelGroup, channel_groups, narrow
from gmp.errors import PruningError, TraceError
from pointnet.model import PointNet2
from pointnet.network_config import preset

PICTURE = torch.linspace(-1, 1, 3 * 64, dtype=torch.float64).reshape(1, 3, 8, 8)


def indices(group: ChannelGroup, module: str, role: str) -> list[list[int]]:
    (found,) = [m.indices.tolist() for m in group.members if (m.module, m.role) == (module, role)]
    return found


def test_index_maps_through_sum_concatenation_depthwise_and_flatten() -> None:
    groups = channel_groups(drawn(Coupled(), 0), PICTURE)
    assert groups.names == ("stem", "side", "pw")
    stem, side, pw = groups
    assert stem.layers("outputs") == ("stem", "conv1", "dw")
    for name in ("stem", "conv1"):
        assert indices(stem, name, "outputs") == [[c] for c in range(6)]
    for name, role in (("dw", "inputs"), ("dw", "outputs"), ("pw", "inputs")):
        assert indices(stem, name, role) == [[c, 10 + c] for c in range(6)]
        assert indices(side, name, role) == [[6 + c] for c in range(4)]
    assert indices(pw, "fc", "inputs") == [list(range(16 * c, 16 * c + 16)) for c in range(8)]
    assert [(group.name, group.fixed) for group in groups.fixed] == [
        ("fc", "fc gives outputs of the network")
    ]


def test_a_layout_with_channels_last_has_other_indices() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 5, 5), nn.Linear(5 * 16, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.conv(x).permute(0, 2, 3, 1).flatten(1))

    (group,) = channel_groups(drawn(Net(), 0), PICTURE)
    assert indices(group, "fc", "inputs") == [list(range(c, 80, 5)) for c in range(5)]


def test_branches_that_are_concatenated_stay_apart() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.fc = nn.Linear(4, 3), nn.Linear(4, 3), nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(torch.cat([self.a(x), self.b(x)], dim=1))

    groups = channel_groups(Net(), torch.zeros(2, 4))
    assert groups.names == ("a", "b")
    assert indices(groups["b"], "fc", "inputs") == [[3], [4], [5]]


def test_one_input_or_output_is_no_depthwise_convolution() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 1, 1), nn.Conv2d(1, 6, 1), nn.Conv2d(6, 2, 1))
    groups = channel_groups(drawn(model, 0), PICTURE)
    assert groups.names == ("0", "2")
    assert {group.name: group.fixed for group in groups.fixed}["1"] == "it has one channel"


def test_a_convolution_in_groups_loses_whole_groups() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 12, 3, groups=4), nn.Conv2d(12, 2, 1))
    (group,) = channel_groups(drawn(model, 0), PICTURE)
    assert group.channels == 4
    assert indices(group, "1", "outputs") == [[3 * g, 3 * g + 1, 3 * g + 2] for g in range(4)]
    assert indices(group, "0", "outputs") == [[2 * g, 2 * g + 1] for g in range(4)]


def test_a_depthwise_convolution_of_the_networks_inputs_stays() -> None:
    model = nn.Sequential(nn.Conv2d(3, 6, 3, groups=3), nn.Conv2d(6, 5, 1), nn.Conv2d(5, 2, 1))
    groups = channel_groups(drawn(model, 0), PICTURE)
    assert groups.names == ("1",)
    assert "inputs that cannot be removed" in groups.fixed[0].fixed


def test_a_layer_that_runs_twice_is_in_one_group_with_both_users() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.twice, self.last = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.twice(self.twice(self.first(x)).relu()).relu())

    (group,) = channel_groups(drawn(Net(), 0), torch.zeros(1, 4, dtype=torch.float64))
    assert group.layers("outputs") == ("first", "twice")
    assert group.layers("inputs") == ("twice", "last")


class Attention(nn.Module):
    """Two heads of queries for each of the keys and values."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.out = nn.Linear(8, 16), nn.Linear(16, 8)
        self.key, self.value = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            layer(x).view(*x.shape[:2], -1, 4).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        k, v = (each.repeat_interleave(2, dim=1) for each in (k, v))
        heads = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out(heads.transpose(1, 2).flatten(2))


def test_heads_of_attention_are_removed_whole() -> None:
    words = torch.linspace(-1, 1, 2 * 5 * 8, dtype=torch.float64).reshape(2, 5, 8)
    model = drawn(Attention(), 0)
    (heads,) = channel_groups(model, words)
    assert heads.channels == 2
    assert indices(heads, "query", "outputs") == [list(range(8)), list(range(8, 16))]
    assert (
        indices(heads, "key", "outputs") == indices(heads, "value", "outputs") == [[0, 1, 2, 3], [4, 5, 6, 7]]
    )
    small = narrow(model, channel_groups(model, words), {"query": [1]}).model
    with torch.no_grad():
        model.value.weight[:4], model.value.bias[:4] = 0, 0
        assert torch.allclose(small(words), model(words), rtol=1e-10, atol=1e-10)


class Stored(nn.Module):
    """Writes a number of channels down."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc, self.last = nn.Conv2d(3, 4, 8), nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.fc(self.conv(x).view(-1, 4)))


class Mixing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 4)
        self.norm, self.last = nn.LayerNorm(4), nn.Linear(4, 2)
        self.idle = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x.mean((2, 3))).softmax(dim=1)
        return self.last(self.norm(self.b(x)))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.last = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.b(self.a(x.mean((2, 3))).relu()))


class Scaled(nn.Module):
    """A parameter of its own has one number a channel."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.last, self.scale = nn.Linear(3, 4), nn.Linear(4, 2), nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.a(x.mean((2, 3))) * self.scale)


class Hidden(nn.Module):
    """A comparison hides the NaN of a probe."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.last = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x.mean((2, 3)))
        return self.last(torch.where(x > 0, x, torch.zeros_like(x)))


@pytest.mark.parametrize(
    ("model", "name", "reason"),
    [
        (Stored(), "conv", "does not run without"),
        (Mixing(), "a", "mixed"),
        (Mixing(), "b", "LayerNorm"),
        (Mixing(), "idle", "did not run"),
        (Tied(), "a", "shares its weights"),
        (Scaled(), "a", "does not run without"),
        (Hidden(), "a", "no layer uses it"),
    ],
)
def test_what_cannot_be_narrowed_is_named_with_the_reason(model: nn.Module, name: str, reason: str) -> None:
    groups = channel_groups(drawn(model, 0), PICTURE)
    assert reason in {group.name: group.fixed for group in groups.fixed}[name]
    with pytest.raises(PruningError, match=f"no channel of '{name}' can be removed"):
        groups[name]


def test_mistakes_are_refused() -> None:
    model = drawn(Coupled(), 0)
    with pytest.raises(PruningError, match=r"ignore: 'stm'.*stem"):
        channel_groups(model, PICTURE, ignore="stm")
    groups = channel_groups(model, PICTURE, ignore=["side"])
    assert groups.names == ("stem", "pw")
    with pytest.raises(PruningError, match="stems"):
        groups["stems"]
    with pytest.raises(PruningError, match="no linear layers"):
        channel_groups(nn.ReLU(), PICTURE)


def test_the_model_is_as_before_after_an_error_too() -> None:
    model = drawn(nn.Sequential(Block(3, 4, 1), nn.Dropout(), nn.Flatten(), nn.Linear(256, 2)), 0).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()

    def failing(model: nn.Module, batch: Any) -> Tensor:
        model(batch)
        raise RuntimeError("no")

    channel_groups(model, PICTURE)
    with pytest.raises(TraceError, match="no"):
        channel_groups(model, PICTURE, forward=failing)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("delayed", [False, True])
def test_coordinates_of_points_are_in_no_group(delayed: bool) -> None:
    model = PointNet2(preset("small", delayed=delayed))
    groups = channel_groups(model, torch.rand(1, 256, 3))
    assert len(groups) == 11
    assert indices(groups["sa1.mlp_convs.2"], "sa2.mlp_convs.0", "inputs") == [[3 + c] for c in range(32)]
    assert [group.name for group in groups.fixed] == ["fc3"]
    assert len(groups.table().rows) == 12


def test_nan_in_the_example_is_refused() -> None:
    """It would look as if each channel reached the outputs."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    assert channel_groups(model, torch.zeros(1, 4)).names == ("0",)
    with pytest.raises(PruningError, match="nan"):
        channel_groups(model, torch.full((1, 4), torch.nan))
