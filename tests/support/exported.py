"""Small networks of every kind, pruned, for tests of files that torch exports."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from pointnet.model import PointNet2
from pointnet.network_config import Config, Scale, Stage


class Convolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2, 1)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8, bias=False)
        self.up = nn.ConvTranspose2d(8, 6, 2, 2)
        self.row = nn.Conv1d(6, 4, 3)
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.depthwise(torch.relu(self.norm(self.conv(x)))).relu()
        return self.head(self.row(self.up(x).flatten(2)).mean(-1))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 5, batch_first=True, bidirectional=True, num_layers=2)
        self.gru = nn.GRU(10, 3, batch_first=True)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.gru(self.lstm(x)[0])[0])


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x).mean(1))


class Einsums(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.Parameter(torch.randn(3, 4, 5))
        self.last = nn.Parameter(torch.randn(5, 6))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = torch.einsum("bthd,hde->bthe", x.view(x.shape[0], -1, 3, 4), self.heads)
        return y @ self.last, torch.einsum("bthe,bshe->bhts", y, y)


POINTS = Config(stages=(Stage(8, (Scale(0.9, 4, (8, 8)),)),), pooled=(16,), head=(8,), points=32)
NETWORKS = {
    "convolutions": (Convolutions, (2, 3, 16, 16)),
    "recurrent": (Recurrent, (2, 7, 4)),
    "encoder": (Encoder, (2, 6, 16)),
    "einsums": (Einsums, (2, 7, 12)),
    "points": (lambda: PointNet2(POINTS), (1, 32, 3)),
}


def network(name: str) -> tuple[nn.Module, Tensor]:
    """A network in evaluation, of whose weights four in ten are zero, and samples for it."""
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    model = make().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter[torch.rand_like(parameter) < 0.4] = 0
    return model, torch.randn(*shape)


def facts(layers: Iterable[Any]) -> list[tuple[float, int, int]]:
    """MACs, weights and, of parameters, their zeros, of each layer, in no order."""
    rows = []
    for layer in layers:
        parameters = layer.view is not None if hasattr(layer, "view") else not layer.of_activations
        zeros = layer.weights * (1 - (layer.weight_density or 0)) if parameters else 0
        rows.append((layer.macs, layer.weights, round(zeros)))
    return sorted(rows)
