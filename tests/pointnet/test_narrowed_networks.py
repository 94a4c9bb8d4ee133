"""Channels of PointNet++ are pruned in training, removed from the checkpoint, and stay removed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace
from support.programs import run_module

from gmp.errors import PruningError, PruningWarning
from pointnet.data import Dataset
from pointnet.data.shapes import shapes
from pointnet.errors import CheckpointError, ConfigError
from pointnet.trace_clouds import variant
from pointnet.training import checkpoint
from pointnet.training.accuracy import score
from pointnet.training.narrowed_checkpoint import write_narrowed
from pointnet.training.settings import Pruning, Settings
from pointnet.training.stored_weights import load_model
from pointnet.training.train import Training

CHANNELS = Pruning(sparsity=0.5, end=1.5, pattern="channels")
SETTINGS = Settings(points=64, batch=20, epochs=2, lr=0.01, pruning=CHANNELS)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return shapes(train_per_class=4, test_per_class=2, points=64, seed=1)


@pytest.fixture(scope="module")
def run(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / checkpoint.NAME
    training = finished(Training(SETTINGS, data))
    assert training.sparsity == pytest.approx(0.5, abs=0.001)
    checkpoint.save(path, training.state_dict())
    return path


def finished(training: Training) -> Training:
    while training.step < training.steps:
        training.advance()
    return training


def test_a_narrowed_checkpoint_is_read_like_any_other(run: Path, data: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "narrow"
    found = write_narrowed(run, path)
    assert found.parameters[1] < 0.5 * found.parameters[0]
    clouds = torch.from_numpy(data.test.points)
    small, whole = load_model(path).model, load_model(run).model
    with torch.no_grad():
        for delayed in (False, True):
            one, other = variant(small, delayed=delayed)(clouds), variant(whole, delayed=delayed)(clouds)
            assert torch.allclose(one, other, atol=1e-4)
    assert score(small, data.test, 64) == score(whole, data.test, 64)
    with pytest.raises(CheckpointError, match="holds a run already"):
        write_narrowed(run, path)
    with pytest.raises(PruningError, match="no channel would be removed"):
        write_narrowed(path, tmp_path / "again")


def test_a_training_goes_on_with_fewer_channels(run: Path, data: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "narrow"
    found = write_narrowed(run, path)
    settings = replace(SETTINGS, pruning=replace(CHANNELS, sparsity=0.6, end=1.0), start=str(path))
    training = finished(Training(settings, data))
    assert sum(p.numel() for p in training.model.parameters()) == found.parameters[1]
    checkpoint.save(tmp_path / checkpoint.NAME, training.state_dict())
    resumed = Training(settings, data)
    resumed.load_state_dict(checkpoint.load(tmp_path), tmp_path)
    assert resumed.state_dict()["narrowed"] == found.spec
    again = write_narrowed(tmp_path, tmp_path / "smaller")
    small = load_model(tmp_path / "smaller").model
    assert sum(p.numel() for p in small.parameters()) == again.parameters[1] < found.parameters[1]
    with pytest.raises(CheckpointError, match="other channels"):
        Training(replace(settings, start=str(run)), data).load_state_dict(
            {**checkpoint.load(tmp_path), "began": checkpoint.digest(load_model(run).model.state_dict())},
            tmp_path,
        )


def test_a_penalty_drives_scales_down(data: Dataset) -> None:
    plan = replace(CHANNELS, score="norm", penalty=5.0)
    with pytest.warns(PruningWarning, match="raise strength"):  # in few steps
        training = Training(replace(SETTINGS, pruning=plan), data)
    finished(training)
    live = training.model.get_parameter("bn1.weight").abs()
    assert 0 < live[live > 0].mean().item() < 0.95
    plain = finished(Training(replace(SETTINGS, pruning=replace(plan, penalty=0.0)), data))
    others = plain.model.get_parameter("bn1.weight").abs()
    assert live[live > 0].mean() < others[others > 0].mean()


@pytest.mark.parametrize(
    "changes",
    [
        {"alpha": 0.5}, {"target_cycles": 1.0}, {"min_density": 0.1}, {"scope": {"fc1": 0.5}},
        {"score": "lamp"}, {"penalty": -1.0}, {"pattern": "1x1", "penalty": 1.0},
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        replace(CHANNELS, **changes)


def test_networks_of_sparse_convolutions_are_refused(data: Dataset) -> None:
    with pytest.raises(ConfigError, match=r"PointNet\+\+"):
        Training(replace(SETTINGS, preset="sparse"), data)


def test_the_command_narrow(run: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    done = run_module("pointnet", "narrow", str(run), "-o", str(small), "--json")
    assert done.returncode == 0, done.stderr
    numbers = json.loads(done.stdout)
    assert numbers["parameters"]["after"] < numbers["parameters"]["before"]
    assert numbers["channels"]["fc1"]["before"] == 128
    done = run_module("pointnet", "narrow", str(small), "-o", str(tmp_path / "other"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
