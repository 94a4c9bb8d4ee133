"""A small network that is trained to tell which quarter of a picture is bright, for tests."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn


class Quarters(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.c, self.fc = nn.Linear(16 * 16, 24), nn.Linear(24, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(self.b(self.a(x).relu()).relu(), 2)
        return self.fc(self.c(x.flatten(1)).relu())


def pictures(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """One of four quarters is brighter."""
    draw = torch.Generator().manual_seed(seed)
    x, y = torch.randn(count, 1, 8, 8, generator=draw), torch.randint(4, (count,), generator=draw)
    for i, quarter in enumerate(y.tolist()):
        x[i, 0, 4 * (quarter // 2) : 4 * (quarter // 2) + 4, 4 * (quarter % 2) : 4 * (quarter % 2) + 4] += 1.0
    return x, y


def train(model: nn.Module, steps: int, lr: float = 3e-3) -> None:
    x, y = pictures(256, 0)
    optimizer = torch.optim.Adam(model.parameters(), lr)
    model.train()
    for i in range(steps):
        part = slice(32 * (i % 8), 32 * (i % 8) + 32)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[part]), y[part]).backward()
        optimizer.step()
    model.eval()


@cache
def trained() -> Quarters:
    torch.manual_seed(0)
    model = Quarters()
    train(model, 60)
    return model


def loss(model: nn.Module) -> float:
    x, y = pictures(100, 1)
    with torch.no_grad():
        return float(nn.functional.cross_entropy(model(x), y))
