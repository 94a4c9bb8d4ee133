"""Runs that watch energy and cycles on hardware, and prune by them."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace
from support.linear_cost import LinearHardware
from support.named import names, naming

from gmp.energy import EnergyMonitor
from gmp.errors import PruningWarning
from pointnet.data import Dataset, shapes
from pointnet.errors import ConfigError
from pointnet.training import checkpoint
from pointnet.training.pruning_options import monitor_of
from pointnet.training.run_training import run_training
from pointnet.training.settings import Pruning, Settings
from pointnet.training.train import Training, train

PLAIN = Settings(
    points=64, epochs=2, batch=16, augmentation="rotation",
    pruning=Pruning(sparsity=0.9, end=1.5, every=0.25, score="lamp"),
)  # fmt: skip
WATCHED = replace(PLAIN, hardware="linear")


def priced(**options: Any) -> Settings:
    return replace(WATCHED, pruning=replace(WATCHED.pruning, **options))


@pytest.fixture(scope="module")
def data() -> Dataset:
    return shapes(train_per_class=8, test_per_class=2, points=64, seed=3)


@pytest.fixture(scope="module", autouse=True)
def hardware() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gmp.energy.energy_monitor.load_hardware", lambda source: LinearHardware())
        yield


class Run(NamedTuple):
    training: Training
    result: dict[str, Any]


@pytest.fixture(scope="module")
def watched(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Several tests compare with this run, and none changes it."""
    folder = tmp_path_factory.mktemp("watched")
    training = run_training(WATCHED, data, folder)
    return Run(training, json.loads((folder / "result.json").read_text()))


RESUMED = priced(alpha=0.5, target_energy_uj=0.03)


@pytest.fixture(scope="module")
def whole(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Training:
    return train(RESUMED, data, tmp_path_factory.mktemp("whole"))


def weights(training: Training) -> str:
    return checkpoint.digest(training.model.state_dict())


def log(training: Training) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "cpu_s"} for row in training.history]


def monitor(training: Training) -> EnergyMonitor:
    assert training.monitor is not None
    return training.monitor


def test_watching_changes_nothing(data: Dataset, watched: Run, tmp_path: Path) -> None:
    plain = train(PLAIN, data, tmp_path)
    assert weights(watched.training) == weights(plain)
    assert [set(b) - set(a) for a, b in zip(log(plain), log(watched.training), strict=True)] == [
        {"energy_uj", "cycles"}
    ] * 2


def test_rows_have_the_costs_of_the_network_as_it_is(data: Dataset, watched: Run) -> None:
    run, result = watched
    fresh = monitor_of(WATCHED, run.model, data.train)
    assert fresh is not None
    reading = fresh.update()
    assert run.history[-1]["energy_uj"] == reading.energy_pj / 1e6
    assert run.history[-1]["cycles"] == reading.cycles
    assert run.history[0]["energy_uj"] > run.history[-1]["energy_uj"]
    assert (result["energy_uj"], result["cycles"]) == (reading.energy_pj / 1e6, reading.cycles)
    assert "target_reached" not in result


def test_prices_move_zeros_to_dear_layers(data: Dataset, watched: Run, tmp_path: Path) -> None:
    """One zero more saves more in later layers, and most in small ones."""
    plain, aware = watched.training, train(priced(alpha=1.0), data, tmp_path)
    assert aware.sparsity == pytest.approx(plain.sparsity, abs=1e-3)
    assert aware.history[-1]["energy_uj"] < plain.history[-1]["energy_uj"]


@pytest.mark.parametrize("stop", [3, 7])
def test_resumed_equals_unbroken(data: Dataset, whole: Training, tmp_path: Path, stop: int) -> None:
    def interrupt(training: Training) -> None:
        if training.step == stop:
            os.kill(os.getpid(), signal.SIGINT)

    broken = train(RESUMED, data, tmp_path, watch=interrupt)
    assert broken.step == stop
    resumed = train(RESUMED, data, tmp_path, resume=True)
    assert weights(resumed) == weights(whole)
    assert log(resumed) == log(whole)
    pairs = zip(monitor(resumed).history, monitor(whole).history, strict=True)
    assert all(a.rows() == b.rows() for a, b in pairs)


def test_no_more_is_pruned_than_a_target_needs(data: Dataset, watched: Run, tmp_path: Path) -> None:
    free = watched.training
    cycles = [row["cycles"] for row in free.history]  # of the linear hardware: those of weights alone
    target = (cycles[0] + cycles[-1]) / 2
    run = run_training(priced(target_cycles=target), data, tmp_path / "run")
    assert run.sparsity < free.sparsity - 0.01
    assert cycles[-1] < run.history[-1]["cycles"] <= target
    assert json.loads((tmp_path / "run" / "result.json").read_text())["target_reached"] is True


def test_a_target_that_is_missed_is_told(data: Dataset, watched: Run, tmp_path: Path) -> None:
    with pytest.warns(PruningWarning, match=naming("targets")) as told:
        missed = run_training(priced(target_cycles=1e-9), data, tmp_path)
    assert missed.sparsity == watched.training.sparsity
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["target_reached"] is False
    assert result["warnings"] == [str(warning.message) for warning in told]


def test_targets_that_training_after_pruning_misses(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pointnet.training.train.Training._costs", _later_dearer)
    with pytest.warns(PruningWarning, match="met when pruning ended") as told:
        run_training(priced(target_cycles=600.0), data, tmp_path / "run")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["target_reached"] is False
    assert result["warnings"] == [str(warning.message) for warning in told]


def _later_dearer(training: Training) -> dict[str, float]:
    """The reading after an epoch, as if activations had become denser."""
    found = monitor(training).update(training.step)
    monitor(training).history[-1] = dataclasses.replace(
        found, layer_cycles=found.layer_cycles + 100.0, reached=False
    )
    return {"energy_uj": 0.0, "cycles": 0.0}


def test_a_recipes_masks_are_watched(data: Dataset, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "modifiers:\n- !GlobalMagnitudePruningModifier {start_epoch: 0.0, end_epoch: 1.0,\n"
        "  update_frequency: 0.5, init_sparsity: 0.5, final_sparsity: 0.8, params: __ALL_PRUNABLE__}\n"
    )
    run = train(replace(WATCHED, pruning=None, recipe=str(recipe)), data, tmp_path / "run")
    zeros_counted = monitor_of(WATCHED, run.model, data.train)
    assert zeros_counted is not None
    last = monitor(run).history[-1].densities
    assert (last == zeros_counted.densities).all()
    assert last[:, 0].min() < 0.5


def test_the_clouds_measured_are_drawn_with_the_seed(data: Dataset) -> None:
    model = Training(PLAIN, data).model
    found, again, other = (monitor_of(replace(WATCHED, seed=i), model, data.train) for i in (0, 0, 1))
    assert found is not None
    assert again is not None
    assert other is not None
    assert (found.densities == again.densities).all()
    assert (found.densities != other.densities).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": -0.5}, "alpha -0.5 0"),
        ({"target_energy_uj": 0.0}, "target_energy_uj 0.0 0"),
        ({"target_cycles": float("nan")}, "target_cycles 0"),
    ],
)
def test_numbers_that_cannot_be(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        priced(**options)
    assert names(error.value, message)


def test_prices_and_targets_need_hardware() -> None:
    for options in ({"alpha": 0.5}, {"target_cycles": 10.0}):
        with pytest.raises(ConfigError, match="hardware"):
            replace(PLAIN, pruning=replace(PLAIN.pruning, **options))
