"""Devices beside the CPU that this machine has, and a way to test what runs on them without one."""

from __future__ import annotations

import pytest
import torch

from gmp import nonzeros
from pointnet.ops import fused_mlp, sampling

_MPS = torch.backends.mps.is_available()
DEVICES = [
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
    pytest.param(
        "mps", marks=pytest.mark.skipif(not torch.backends.mps.is_available(), reason="no MPS device")
    ),
]


def as_if_on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tensors of the CPU go the ways of those on devices: torch's operations, no numpy, no numba."""
    for module in (nonzeros, sampling, fused_mlp):
        monkeypatch.setattr(module, "on_host", lambda tensor: False)
