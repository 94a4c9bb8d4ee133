"""Networks on devices: names, sentences where there is none, and the same results as on the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from support.as_on_devices import DEVICES, as_if_on_a_device
from support.named import naming

from pointnet.cli import cli
from pointnet.data import Dataset, shapes
from pointnet.device_names import device_called
from pointnet.errors import ConfigError
from pointnet.model import PointNet2
from pointnet.network_config import preset
from pointnet.training.accuracy import score
from pointnet.training.settings import Pruning, Settings
from pointnet.training.train import Training

PRUNING = Pruning(sparsity=0.8, end=0.5, every=0.25, min_density=0.05)
COMMANDS = {
    "train": ["train", "-o", "run"],
    "eval": ["eval", "run"],
    "trace": ["trace", "run", "-o", "out"],
    "compare": ["compare", "-o", "out"],
    "study": ["study", "-o", "out"],
}


@pytest.fixture(scope="module")
def data() -> Dataset:
    return shapes(train_per_class=4, test_per_class=1, points=256, seed=0)


def trained(data: Dataset, steps: int = 3, **changes: object) -> Training:
    """A pruned run of a few steps on few clouds."""
    settings = Settings(epochs=2, batch=8, pruning=PRUNING, **changes)  # type: ignore[arg-type]
    with torch.random.fork_rng(devices=[]):
        training = Training(settings, data)
        for _ in range(steps):
            training.advance()
    return training


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "CPU", ""])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ConfigError, match=naming(f"'{name}' cpu cuda:N mps")):
        device_called(name)
    with pytest.raises(ConfigError, match="unknown device"):
        Settings(device=name)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_that_a_device_is_not_there(command: str) -> None:
    result = CliRunner().invoke(cli, [*COMMANDS[command], "--device", "cuda:1024"])
    assert isinstance(result.exception, ConfigError)
    assert "cuda:1024" in str(result.exception)


def test_the_way_for_devices_finds_the_same_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's operations in place of compiled loops, to the index."""
    model = PointNet2(preset("small"))
    clouds = torch.randn(3, 256, 3) * 0.4
    expected = model.group(clouds, torch.tensor([5, 0, 9]))
    as_if_on_a_device(monkeypatch)
    for ours, theirs in zip(model.group(clouds, torch.tensor([5, 0, 9])), expected, strict=True):
        assert torch.equal(ours.centres, theirs.centres)
        assert all(map(torch.equal, ours.neighbours, theirs.neighbours))


@pytest.mark.parametrize("augmentation", ["strong", "rotation"])
def test_the_way_for_devices_trains_the_same(
    augmentation: str, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = trained(data, augmentation=augmentation)
    as_if_on_a_device(monkeypatch)
    other = trained(data, augmentation=augmentation)
    assert other.sparsity == host.sparsity
    assert other.sums["loss"] == pytest.approx(host.sums["loss"], rel=1e-3)


@pytest.mark.parametrize("device", DEVICES)
def test_training_on_a_device(device: str, data: Dataset) -> None:
    host, there = trained(data), trained(data, device=device)
    assert {p.device.type for p in there.model.parameters()} == {device}
    assert there.sparsity == host.sparsity
    assert there.sums["loss"] == pytest.approx(host.sums["loss"], rel=1e-2)
    again = trained(data, steps=0)
    again.load_state_dict(there.state_dict(), Path("run"))  # goes on on the CPU
    again.advance()
    assert score(there.model, data.test, 256).total == score(host.model, data.test, 256).total


@pytest.mark.parametrize("device", DEVICES)
def test_neighbours_on_a_device_are_those_on_the_cpu(device: str) -> None:
    model = PointNet2(preset("small"))
    clouds = torch.randn(3, 256, 3) * 0.4
    expected = model.group(clouds)
    for ours, theirs in zip(model.to(device).group(clouds.to(device)), expected, strict=True):
        assert torch.equal(ours.centres.cpu(), theirs.centres)
        assert all(map(torch.equal, (each.cpu() for each in ours.neighbours), theirs.neighbours))
