"""Blocks of well-known networks, traced and run step by step."""

from __future__ import annotations

import pytest
import torch
from support.traced import Run, density, outputs
from torch import Tensor, nn
from torch.nn import functional as F

from gmp.tracing.trace import trace


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)


class Residual(nn.Module):
    """As in ResNet: conv2 first, then the shortcut, their sum, ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4)
        self.conv2, self.norm2 = nn.Conv2d(4, 4, 3, 1, 1), nn.BatchNorm2d(4)
        self.shortcut = nn.Sequential(nn.Conv2d(3, 4, 1, 2), nn.BatchNorm2d(4))
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        y += self.shortcut(x)
        return self.last(F.relu(y))


def test_of_two_layers_that_are_added_the_first_waits_in_memory():
    model, x = Residual().eval(), torch.randn(4, 3, 8, 8)
    with torch.no_grad():
        first = F.relu(model.norm1(model.conv1(x)))
        total = F.relu(model.norm2(model.conv2(first)) + model.shortcut(x))
    assert outputs(model, x) == pytest.approx(
        {"conv1": density(first), "conv2": 1.0, "shortcut.0": density(total), "last": 1.0}
    )
    assert 0.2 < density(total) < 0.8


def test_a_shortcut_that_a_layer_has_read_is_in_memory():
    def run(model: nn.Module, x: Tensor) -> Tensor:
        y = F.relu(model.first(x))
        return model.last(F.relu(y + model.second(y)))

    model = Run(run, first=nn.Linear(4, 9), second=nn.Linear(9, 9), last=nn.Linear(9, 2))
    x = torch.randn(5, 4)
    first = F.relu(model.first(x))
    total = F.relu(first + model.second(first))
    assert outputs(model, x) == pytest.approx({"first": density(first), "second": density(total), "last": 1})
    assert density(first) < density(total) < 1


def test_an_inverted_residual_by_hand():
    """As in MobileNet: 4 -> 8 channels, depthwise, 8 -> 4, plus the input, which is no layer's output."""
    block = nn.Sequential(
        nn.Conv2d(4, 8, 1), nn.BatchNorm2d(8), nn.ReLU6(), nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.BatchNorm2d(8), nn.ReLU6(), nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4),
    ).eval()  # fmt: skip
    x = torch.randn(3, 4, 5, 5)
    found = trace(Run(lambda m, x: F.relu(x + m.block(x)), block=block), [x]).layers
    assert [layer.macs for layer in found] == [4 * 8 * 25, 8 * 9 * 25, 8 * 4 * 25]
    stored = [block[:3](x), block[:6](x), F.relu(x + block(x))]
    assert [layer.outputs.mean for layer in found] == pytest.approx([density(y) for y in stored])
    assert [layer.inputs.mean for layer in found] == pytest.approx(
        [1, density(stored[0]), density(stored[1])]
    )


def test_a_transformer_and_its_attention():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    x = torch.randn(3, 5, 8)
    hidden = F.relu(layer.linear1(layer.norm1(x + layer.self_attn(x, x, x)[0])))
    found = {row.name: row for row in trace(layer, [x]).layers}
    assert {name: row.macs for name, row in found.items()} == {
        "self_attn.in_proj_weight": 5 * 8 * 24, "self_attn": 5 * 5 * 8, "self_attn.part2": 5 * 5 * 8,
        "self_attn.out_proj": 5 * 8 * 8, "linear1": 5 * 8 * 16, "linear2": 5 * 8 * 16,
    }  # fmt: skip
    assert found["linear1"].outputs.mean == found["linear2"].inputs.mean == pytest.approx(density(hidden))
    assert found["linear2"].outputs.mean == 1.0


def test_layers_that_are_left_out_are_no_gap_that_is_warned_of():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    traced = trace(layer, [torch.randn(3, 5, 8)], names=["linear1", "linear2"])
    assert [row.name for row in traced.layers] == ["linear1", "linear2"]
    gaps = {gap.name: (gap.macs, gap.on_purpose) for gap in traced.coverage.gaps}
    assert gaps == {"self_attn": (5 * 8 * 24 + 2 * 5 * 5 * 8, True), "self_attn.out_proj": (5 * 8 * 8, True)}
