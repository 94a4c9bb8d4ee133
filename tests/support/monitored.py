"""A small network, and a monitor of it whose costs can be checked by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gmp.energy import EnergyMonitor
from gmp.tracing.trace import trace
from gmp.tracing.traced_workload import workload_of
from support.linear_cost import LinearCost


class Draws(nn.Module):
    """Takes random numbers in every pass, also in eval mode."""

    def forward(self, x: Tensor) -> Tensor:
        torch.rand(1)
        return x


def net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(96, 8),
        nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 4), Draws(),
    )  # fmt: skip


X = torch.randn(5, 2, 6, 6, generator=torch.Generator().manual_seed(1)).relu()


def cost_of(model: nn.Module, x: Tensor = X) -> LinearCost:
    return LinearCost(workload_of(trace(model, [x]), name="net", batch=1).layers)


def watch(model: nn.Module, pruner=None, **options) -> EnergyMonitor:
    return EnergyMonitor(model, cost_of(model), X, pruner=pruner, **options)


def traced(model: nn.Module, x: Tensor = X) -> list[list[float]]:
    rows = trace(model, [x]).layers
    return [[row.weight_density, row.inputs.mean, row.outputs.mean] for row in rows]


def train(model: nn.Module, steps: int, after, optimizer: torch.optim.Optimizer | None = None) -> None:
    optimizer = optimizer or torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(X), torch.arange(5) % 4).backward()
        optimizer.step()
        after()
