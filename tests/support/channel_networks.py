"""Networks with coupled channels, in float64 with random numbers everywhere, for tests."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class Coupled(nn.Module):
    """A sum, a concatenation with the same tensor twice, a depthwise convolution, PReLU and a flattening."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.conv1, self.act = nn.Conv2d(6, 6, 3, padding=1), nn.PReLU(6)
        self.side = nn.Conv2d(6, 4, 1, bias=False)
        self.dw = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.pw, self.pw_norm = nn.Conv2d(16, 8, 1, bias=False), nn.BatchNorm2d(8)
        self.fc = nn.Linear(8 * 16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x)).relu()
        r = x + self.act(self.conv1(x))
        y = self.dw(torch.cat([r, self.side(r), r], dim=1))
        y = nn.functional.max_pool2d(self.pw_norm(self.pw(y)).relu(), 2)
        return self.fc(y.flatten(1))


class Block(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.down = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + self.down(x)).relu()


def drawn(model: nn.Module, seed: int) -> nn.Module:
    """In eval mode and float64, with random weights, biases and statistics."""
    draw = torch.Generator().manual_seed(seed)
    model.double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.7, 0.7, generator=draw)
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.uniform_(-1, 1, generator=draw)
                module.running_var.uniform_(0.5, 2, generator=draw)
    return model
