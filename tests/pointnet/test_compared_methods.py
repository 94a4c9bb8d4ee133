"""The comparison trains further pruning methods at the same fraction of weights, and goes on after a stop."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from pointnet.data import shapes
from pointnet.errors import ConfigError
from pointnet.study import compared_methods
from pointnet.study.accuracy_report import accuracy_table
from pointnet.study.compared_methods import METHODS
from pointnet.study.pruning_comparison import Plan, compare
from pointnet.training.run_training import run_training
from pointnet.training.settings import Settings
from pointnet.training.train import Training

SETTINGS = Settings(points=64, batch=16, epochs=1)
PLAN = Plan(SETTINGS, SETTINGS, (0.5,), one_shot=False, two_four=False)
TESTED = tuple(name for name in METHODS if name != "amc")  # which takes longest, and is like netadapt


@pytest.mark.filterwarnings("ignore::gmp.errors.PruningWarning")  # of trainings that are too short
def test_methods_leave_the_same_fraction_of_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = shapes(train_per_class=5, test_per_class=2, points=64, seed=3)
    monkeypatch.setattr(compared_methods, "SCANNED", 16)
    monkeypatch.setattr(compared_methods, "SEARCHED", 16)
    monkeypatch.setattr(compared_methods, "ROUNDS", 2)
    trained: list[str] = []

    def train(settings: Settings, folder: Path) -> Training:
        trained.append(folder.name)
        return run_training(settings, data, folder, resume=True, console=Console(quiet=True))

    more = Settings(points=64, batch=16, epochs=2)
    plan = PLAN._replace(again=more, methods=TESTED)
    rows = {row.variant: row for row in compare(plan, data, tmp_path, train)}
    assert list(rows) == ["dense", "control", "gmp-50", *(f"{name}-50" for name in TESTED)]
    assert len(accuracy_table(list(rows.values())).rows) == len(rows)
    for name in ("sensitivity", "table", "least-squares", "iterative"):
        assert rows[f"{name}-50"].sparsity == pytest.approx(0.5, abs=2e-3), name
    for name in ("channels", "slimming", "netadapt"):
        assert 0.35 < rows[f"{name}-50"].sparsity < 0.75, name
    assert {row.epochs for name, row in rows.items() if name != "dense"} == {3}
    assert "iterative-50-round-1" in trained

    again = {row.variant: row for row in compare(plan, data, tmp_path, train)}
    assert {name: (row.score, row.sparsity) for name, row in again.items()} == {
        name: (row.score, row.sparsity) for name, row in rows.items()
    }


@pytest.mark.parametrize(
    "plan",
    [
        PLAN._replace(methods=("magic",)),
        PLAN._replace(methods=("channels",), levels=(1.0,)),
        PLAN._replace(methods=("channels",), dense=Settings(preset="sparse")),
    ],
)
def test_plans_that_cannot_be_are_refused_before_training(plan: Plan, tmp_path: Path) -> None:
    def never(settings: Settings, folder: Path) -> Training:
        raise AssertionError

    data = shapes(train_per_class=1, test_per_class=1, points=64, seed=3)
    with pytest.raises(ConfigError):
        compare(plan, data, tmp_path, never)
