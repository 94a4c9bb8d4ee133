"""python -m pointnet, end to end on clouds that the tests write."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from support.documented_keys import documented_keys
from support.report_pages import ReportPage

from pointnet import cli
from pointnet.data import shapes, write_pack
from pointnet.training import checkpoint
from pointnet.training.settings import Settings
from sparsim import load_documents

ROOT = Path(__file__).parents[2]
QUICK = ("--points", "64", "--batch", "16", "--epochs", "2")


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "clouds.npz"
    write_pack(shapes(train_per_class=8, test_per_class=4, points=64, seed=3), path)
    return path


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pointnet", *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return run


def test_train_eval_and_resume(run: Run, pack: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    code, out, _ = run("train", "--data", pack, "-o", folder, *QUICK, "--sparsity", "0.7")
    assert code == 0
    result = json.loads((folder / "result.json").read_text())
    assert result["sparsity"] == pytest.approx(0.7, abs=1e-4)
    assert result["test_clouds"] == 40
    assert result["weights_sha256"] == checkpoint.digest(checkpoint.load(folder)["model"])
    rows = list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert set(result) == documented_keys("result.json of a training")
    assert set(rows[0]) == documented_keys("metrics.csv") - {"energy_uj", "cycles"}
    assert float(rows[-1]["test_accuracy"]) == result["accuracy"]
    assert f"accuracy {result['accuracy']:.2%} (95 % interval " in out

    code, out, _ = run("eval", folder)
    assert code == 0
    assert f"accuracy {result['accuracy']:.2%} (95 % interval " in out
    assert "monitor" in out

    code, out, _ = run("eval", folder, "--json")
    document = json.loads(out)
    assert document["accuracy"] == result["accuracy"]
    assert sum(row["clouds"] for row in document["classes"]) == 40

    code, out, _ = run("train", "--data", pack, "-o", folder, *QUICK, "--sparsity", "0.7", "--resume")
    assert code == 0
    assert f"accuracy {result['accuracy']:.2%}" in out

    code, out, _ = run("trace", folder, "-o", tmp_path / "trace", "--json")
    assert code == 0
    document = json.loads((tmp_path / "trace/trace.json").read_text())
    assert json.loads(out) == document
    assert {*document, *document["layers"][0]} == documented_keys("trace.json and trace.csv") - {
        "not_measured"
    }


def test_a_sparse_classifier_is_trained_resumed_and_traced(run: Run, pack: Path, tmp_path: Path) -> None:
    options = ("--data", pack, "-o", tmp_path / "run", *QUICK, "--preset", "sparse", "--sparsity", "0.6")
    code, out, _ = run("train", *options)
    assert code == 0
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["sparsity"] == pytest.approx(0.6, abs=1e-4)
    assert result["weights_sha256"] == checkpoint.digest(checkpoint.load(tmp_path / "run")["model"])
    code, out, _ = run("train", *options, "--resume")
    assert (code, f"accuracy {result['accuracy']:.2%}" in out) == (0, True)

    assert run("trace", tmp_path / "run", "-o", tmp_path / "trace", "--batch", "1")[0] == 0
    layers = {layer.name: layer for layer in load_documents([tmp_path / "trace/workload.yaml"]).layers}
    assert sum(layer.kernel_map is not None for layer in layers.values()) == 17
    assert layers["enc1.a.1"].kernel_map == layers["enc1.a.2"].kernel_map
    code, _, err = run("trace", tmp_path / "run", "-o", tmp_path / "trace", "--masks", tmp_path / "masks")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "stem.1" in err
    assert "masks" in err


def test_layers_that_are_emptied_are_one_sentence_on_stderr(run: Run, pack: Path, tmp_path: Path) -> None:
    options = ("--sparsity", "1", "--prune-end", "1", "--json")
    code, out, err = run("train", "--data", pack, "-o", tmp_path, *QUICK, *options)
    assert code == 0
    assert json.loads(out) == json.loads((tmp_path / "result.json").read_text())
    sentences = [line for line in err.splitlines() if line.startswith("python -m pointnet: warning: ")]
    assert any("bias" in line and "fc3.weight" in line for line in sentences)
    (warning,) = json.loads((tmp_path / "result.json").read_text())["warnings"]
    assert "bias" in warning


STOPPED = """
import os, signal
from pointnet.training import train
from pointnet.cli import main

write = train.write_csv

def write_and_stop(path, rows):
    write(path, rows)
    os.kill(os.getpid(), signal.SIGTERM)

train.write_csv = write_and_stop  # after the first epoch, however busy the machine is
main()
"""


def test_killed_process_resumes_to_the_same_weights(run: Run, pack: Path, tmp_path: Path) -> None:
    def command(folder: str) -> tuple[str, ...]:
        return ("train", "--data", str(pack), "-o", str(tmp_path / folder), *QUICK, "--epochs", "4")

    whole = run(*command("whole"))
    assert whole[0] == 0, whole[2]
    program = [sys.executable, "-c", STOPPED]
    broken = subprocess.run([*program, *command("broken")], cwd=ROOT, capture_output=True, text=True)
    assert broken.returncode == 130
    assert "--resume continues" in broken.stderr
    step = checkpoint.load(tmp_path / "broken")["step"]
    assert 5 <= step < 20
    resumed = run(*command("broken"), "--resume")
    assert resumed[0] == 0, resumed[2]
    digests = {
        json.loads((tmp_path / name / "result.json").read_text())["weights_sha256"]
        for name in ("whole", "broken")
    }
    assert len(digests) == 1


@pytest.mark.parametrize("epochs", [2.0, 1.5])  # a part of an epoch is trained as a whole one
def test_recipe_drives_a_run(
    run: Run, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epochs: float
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"epochs: {epochs}"
        + """
training_modifiers:
  - !EpochRangeModifier {start_epoch: 0.0, end_epoch: eval(epochs)}
  - !SetLearningRateModifier {start_epoch: 0.0, learning_rate: 0.001}
pruning_modifiers:
  - !GlobalMagnitudePruningModifier
      init_sparsity: 0.05
      final_sparsity: 0.6
      start_epoch: 0.0
      end_epoch: eval(epochs - 0.5)
      update_frequency: 0.25
      params: __ALL_PRUNABLE__
"""
    )
    options = ("--points", "64", "--batch", "16", "--recipe", recipe)
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    code, _, err = run("train", "--data", pack, "-o", ".", *options)
    assert code == 0, err
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["epochs"] == result["settings"]["epochs"] == 2
    assert "run: epoch 2," in err
    assert result["sparsity"] == pytest.approx(0.6, abs=1e-4)
    rows = list(csv.DictReader((tmp_path / "run/metrics.csv").read_text().splitlines()))
    assert {float(row["lr"]) for row in rows} == {0.001}


def test_compare_goes_on_where_it_stopped(run: Run, pack: Path, tmp_path: Path) -> None:
    options = ("--preset", "small", "--epochs", "1", "--more", "1", "--batch", "16", "--level", "0.5")
    data = tmp_path / "clouds.npz"
    write_pack(shapes(train_per_class=4, test_per_class=2, points=256, seed=3), data)
    code, _, err = run("compare", "--data", data, "-o", tmp_path / "all", *options)
    assert code == 0, err
    page = ReportPage((tmp_path / "all/compare.html").read_text(encoding="utf-8"))
    page.check()
    assert [row[0] for row in page.table_of("variant")] == [
        "dense", "control", "gmp-50", "gmp-2to4", "one-shot-50", "one-shot-50-recalibrated", "one-shot-2to4",
        "one-shot-2to4-recalibrated",
    ]  # fmt: skip
    accuracy = {row[0]: float(row[3].rstrip("%")) for row in page.table_of("variant")}
    change = float(page.numbers[0].split()[0].replace("\u2212", "-"))
    assert change == pytest.approx(accuracy["gmp-50"] - accuracy["control"], abs=0.0501)
    assert len(page.table_of("layer")) == 12
    before = (tmp_path / "all/gmp-50/metrics.csv").stat().st_mtime_ns
    code, out, _ = run("compare", "--data", data, "-o", tmp_path / "all", *options, "--json")
    assert code == 0
    document = json.loads(out)
    assert {row["variant"]: round(100 * row["accuracy"], 2) for row in document["variants"]} == accuracy
    assert {name: len(layers) for name, layers in document["densities"].items()} == {
        "control": 12, "gmp-50": 12,
    }  # fmt: skip
    assert (tmp_path / "all/gmp-50/metrics.csv").stat().st_mtime_ns == before


def test_tensorboard_log(run: Run, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("train", "--data", pack, "-o", tmp_path / "run", *QUICK, "--tensorboard")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "tensorboard", None)
        code, _, err = run(*options)
    assert code == 2
    assert err.endswith("not installed (pip install 'sparsim[tensorboard]')\n")
    code, _, err = run(*options)
    assert code == 0, err
    (events,) = (tmp_path / "run/tensorboard").iterdir()
    assert events.read_bytes().count(b"test_accuracy") == 2  # epochs


def test_pack_makes_one_file_of_many(run: Run, pack: Path, tmp_path: Path) -> None:
    code, out, err = run("pack", pack, "-o", tmp_path / "small.npz", "--points", "64")
    assert code == 0, err
    assert "80 training and 40 test clouds" in out


def test_outputs_are_checked_before_the_data_are_read(run: Run, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").touch()
    for args, message in (
        (("train", "--data", "none.npz", "-o", tmp_path), "holds a run already"),
        (("pack", "none.npz", "-o", tmp_path / "x.npy"), "the name of a pack ends in .npz"),
        (("pack", "none.npz", "-o", tmp_path / "none/x.npz"), "there is no folder"),
    ):
        assert message in run(*args)[2]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("train", "--data", "nowhere", "-o", "x"), "nowhere"),
        (("train", "--preset", "smal", "-o", "x"), "unknown network preset 'smal' (did you mean 'small'?)"),
        (("train", "--sparsity", "1.5", "-o", "x"), "1.5"),
        (("train", "--sparsity", "0.5", "--pattern", "2:x", "-o", "x"), "2:x"),
        (("train", "--pattern", "2:4", "-o", "x"), "--pattern needs --sparsity"),
        (("train", "--prune-end", "3", "-o", "x"), "--prune-end needs --sparsity"),
        (
            ("train", "--sparsity", "0.5", "--epochs", "2", "--prune-end", "3", "-o", "x"),
            "pruning ends after epoch 3, the run after 2",
        ),
        (("train", "--recipe", "none.yaml", "-o", "x"), "none.yaml"),
        (("compare", "--level", "1.5", "-o", "x"), "got 1.5"),
        (("compare", "--method", "tabel", "-o", "x"), "table"),
        (("compare", "--hardware", "nochip", "-o", "x"), "nochip"),
        (("train", "--start", "none.pt", "-o", "x"), "none.pt: no such checkpoint"),
        (("train", "--epoch", "3", "-o", "x"), "No such option"),
        (("eval", "none.pt"), "none.pt: no such checkpoint"),
        (("eval", "none.pt", "--threads", "0"), "0 is not in the range x>=1"),
    ],
)
def test_bad_input_is_one_sentence(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run(*args)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert err.startswith("python -m pointnet: error: ")


def test_defaults_of_the_command_are_those_of_the_settings() -> None:
    given = cli.train.make_context("train", ["-o", "x"]).params
    for field in msgspec.structs.fields(Settings):
        if field.name in given:
            assert given[field.name] == field.default, field.name
