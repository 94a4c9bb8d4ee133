"""What the methods reach on a pretrained network, where its two packages are installed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import digits_network
import digits_pruning
import methods
import pruning_runs


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


def test_the_comparison_writes_numbers_and_tables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = [
        pruning_runs.Run(method, seed, 0.9, 1000, 80 + seed, 100, 70.0, 1.0, 20.0)
        for method in ("magnitude", "channels")
        for seed in (0, 1)
    ]
    costs = [pruning_runs.Costs(2e7, 3000.0)] * len(made)

    monkeypatch.setattr(methods, "resnet18_speedup", lambda: 2.0)
    monkeypatch.setattr(methods, "is_there", lambda: False)
    monkeypatch.setattr(pruning_runs, "runs", lambda *arguments, **options: made)
    monkeypatch.setattr(pruning_runs, "costs_on_chip", lambda *arguments: costs)
    document = tmp_path / "page.md"
    document.write_text("".join(f"<!-- {x} -->\n<!-- end of {x} -->\n" for x in ("methods", "pointnet")))
    options = ["--json", str(tmp_path / "found.json"), "--document", str(document), "--data", "clouds.npz"]
    result = CliRunner().invoke(methods.main, options)
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "found.json").read_text())["resnet18_speedup"] == 2.0
    assert "| channels | 90.0 | 1.0 | 2 | 80.5 |" in document.read_text()
