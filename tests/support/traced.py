"""Small networks to trace, and densities counted directly."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from gmp.tracing.trace import trace


class Run(nn.Module):
    """Layers by name, and any function of them and of the input as forward."""

    def __init__(self, run, **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.run = run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def density(tensor: Tensor) -> float:
    return float(np.mean(tensor.detach().numpy() != 0))


def outputs(model: nn.Module, x: Tensor) -> dict[str, float]:
    return {layer.name: layer.outputs.mean for layer in trace(model, [x]).layers}
