"""What the methods reach on a pretrained network, where its two packages are installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import digits_network
import digits_pruning


@pytest.mark.skipif(not digits_network.is_there(), reason=f"digits: {digits_network.INSTALL}")
def test_allocation_and_least_squares_keep_the_digits_at_90_percent(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(digits_pruning, "SPARSITIES", (0.9,))
    digits = digits_network.load_digits()
    assert digits_pruning.accuracy(digits.model, digits).accuracy > 0.995
    found = digits_pruning.digits_numbers(digits_pruning.pruned(digits, digits_pruning.scanned(digits)))
    assert found["digits_uniform"] < 0.2
    assert found["digits_table"] > 0.97
    assert found["digits_least_squares"] > 0.995


def test_the_digits_network_has_the_shapes_of_its_package() -> None:
    model = digits_network.network()
    assert sum(p.numel() for p in model.parameters()) == 390_410
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
