"""`sparsim sweep STUDY -o DIR` and `sparsim sweep merge`, with a stub in place of workers."""

from __future__ import annotations

import json
import os
import signal
import sys
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.documented_keys import documented_keys
from support.stub_evaluator import StubEvaluator
from support.stub_sweeps import AXES, InlineWorkers, table_bytes

from sparsim.cli import main as cli
from sparsim.sweep import SweepResult
from sparsim.sweep.worker_process import Chunk, Finished

STUDY: dict[str, Any] = {
    "name": "stub", "base": "eyeriss_like_gating", "constant_energies": True,
    "workloads": {"a": {"source": "pointnet2_study_sparse", "layers": ["sa1.mlp_convs.1"]}},
    "axes": AXES, "objectives": ["energy", "cycles"],
}  # fmt: skip


class Interrupted(InlineWorkers):
    """Somebody presses Ctrl-C during the first chunk."""

    is_interrupted = False

    def submit(self, chunk: Chunk) -> Future[Finished]:
        if not self.is_interrupted:  # a second one would end all at once
            self.is_interrupted = True
            os.kill(os.getpid(), signal.SIGINT)
        return super().submit(chunk)


@pytest.fixture(autouse=True)
def _inline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    workers = InlineWorkers(StubEvaluator())
    monkeypatch.setattr("sparsim.sweep.sweep_loop.LocalWorkers", lambda *_: workers)
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text(yaml.safe_dump({"sweep": STUDY}))


def run(monkeypatch: pytest.MonkeyPatch, *args: str) -> object:
    monkeypatch.setattr(sys, "argv", ["sparsim", "sweep", *args])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code or 0


def test_runs_a_study(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "study.yaml", "-o", "out", "--jobs", "2") == 0
    out = capsys.readouterr().out
    summary = SweepResult("out").summary
    assert "points" in out.splitlines()[0]
    assert out.endswith(f"wrote {Path('out', 'results.parquet')}\n")
    assert f"{summary['best']['energy_pj']['value']:.6g}" in out
    assert run(monkeypatch, "-o", "out", "study.yaml") == 0  # options may stand in front
    capsys.readouterr()
    assert run(monkeypatch, "run", "study.yaml", "-o", "out", "--json") == 0
    assert json.loads(capsys.readouterr().out) == summary
    assert set(summary) == documented_keys("sweep.json")


def test_the_recorded_study_runs_from_another_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(monkeypatch, "study.yaml", "-o", "out") == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run(monkeypatch, "../out/study.yaml", "-o", "again") == 0
    assert table_bytes(Path("again")) == table_bytes(tmp_path / "out")


def test_shards_are_merged(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "study.yaml", "-o", "whole") == 0
    for i in (1, 2, 3):
        assert run(monkeypatch, "study.yaml", "-o", "parts", "--shard", f"{i}/3") == 0
    assert not Path("parts/results.parquet").exists()
    capsys.readouterr()
    assert run(monkeypatch, "merge", "parts", "-o", "merged", "--json") == 0
    assert json.loads(capsys.readouterr().out) == SweepResult("merged").summary
    assert table_bytes(Path("merged")) == table_bytes(Path("whole"))


def test_a_dry_run_evaluates_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sparsim.sweep.dry_run.PointEvaluator", lambda space: StubEvaluator())
    Path("study.yaml").write_text(yaml.safe_dump({"sweep": {**STUDY, "filters": ["glb > 2"]}}))
    assert run(monkeypatch, "study.yaml", "-o", "out", "--dry-run") == 0
    words = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert words[0] == ["points", "48"]
    assert words[1][:2] == ["refused", "12"]
    assert words[2][2] == "36,"
    assert run(monkeypatch, "study.yaml", "-o", "out", "--dry-run", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["points"], document["to_evaluate"]) == (48, 36)
    assert sum(document["refused"].values()) == 12
    assert not Path("out/results.parquet").exists()


def test_ctrl_c_ends_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workers = Interrupted(StubEvaluator())
    monkeypatch.setattr("sparsim.sweep.sweep_loop.LocalWorkers", lambda *_: workers)
    assert run(monkeypatch, "study.yaml", "-o", "out") == 130
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not SweepResult("out").summary["complete"]


@pytest.mark.parametrize(
    "args",
    [
        ("study.yaml",), ("none.yaml", "-o", "out"), ("no_such_study", "-o", "out"),
        ("study.yaml", "-o", "out", "--shard", "4/3"), ("study.yaml", "-o", "out", "--shard", "a"),
        ("study.yaml", "-o", "out", "--limit", "soon"), ("study.yaml", "-o", "out", "--retry", "all"),
        ("study.yaml", "-o", "out", "--set", "n=2"), ("study.yaml", "-o", "out", "--set", "n"),
        ("study.yaml", "-o", "out", "--jobs", "0"), ("merge", "nowhere", "-o", "out"),
        ("study.yaml", "-o", "out", "--scheduler", "tcp://127.0.0.1:1"), ("study.yaml", "-o", "study.yaml"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], args: tuple[str, ...]
) -> None:
    monkeypatch.setattr("sparsim.sweep.dask_workers.CONNECT_S", 0.5)
    assert run(monkeypatch, *args) == 2
    said = capsys.readouterr()
    assert said.err.startswith("sparsim: error: ")
    assert len(said.err.splitlines()) == 1
    assert not Path("out/results.parquet").exists()


def test_folders_of_different_studies_are_not_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "study.yaml", "-o", "a") == 0
    Path("study.yaml").write_text(yaml.safe_dump({"sweep": {**STUDY, "seed": 1}}))
    assert run(monkeypatch, "study.yaml", "-o", "b") == 0
    assert run(monkeypatch, "merge", "a", "b", "-o", "both") == 2
