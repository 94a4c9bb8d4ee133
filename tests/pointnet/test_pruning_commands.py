"""The commands that prune stored networks without training, end to end."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pointnet import cli
from pointnet.data import shapes, write_pack
from pointnet.training import checkpoint
from pointnet.training.stored_weights import load_model

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    write_pack(shapes(train_per_class=8, test_per_class=4, points=64, seed=3), folder / "clouds.npz")
    arguments = ["--points", "64", "--batch", "16", "--epochs", "1"]
    given = ["pointnet", "train", "--data", str(folder / "clouds.npz"), "-o", str(folder / "run"), *arguments]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", given)
        with pytest.raises(SystemExit) as stop:
            cli.main()
    assert not stop.value.code
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pointnet", *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return run


def zeros(path: Path) -> float:
    model = checkpoint.load(path)["model"]
    weights = [value for name, value in model.items() if value.dim() == 2 and name.endswith("weight")]
    return sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)


def test_sensitivity_one_shot_and_training_on(run: Run, trained: Path, tmp_path: Path) -> None:
    folder, out = trained / "run", tmp_path / "scan"
    options = ("--clouds", 16, "--saved", "0.7")
    code, shown, err = run("sensitivity", folder, "-o", out, *options)
    assert code == 0, err
    rows = list(csv.DictReader((out / "sensitivity.csv").read_text().splitlines()))
    assert {"name", "sparsity", "loss", "loss_se", "accuracy", "weights"} <= set(rows[0])
    assert len({row["name"] for row in rows}) == 12
    assert (out / "sensitivity.svg").exists()
    ratios = json.loads((out / "ratios.json").read_text())
    assert ratios["sparsity"] == pytest.approx(0.7, abs=1e-4)
    assert "fc1.weight" in shown

    code, shown, _ = run("sensitivity", folder, "-o", out, *options, "--json")  # all points are there
    assert code == 0
    assert len(json.loads(shown)["rows"]) == len(rows)

    pruned = tmp_path / "pruned.pt"
    code, shown, err = run(
        "one-shot", folder, "-o", pruned, "--clouds", 16, "--scope", out / "ratios.json", "--json"
    )
    assert code == 0, err
    assert json.loads(shown)["sparsity"] == pytest.approx(zeros(pruned), abs=1e-6)
    assert zeros(pruned) == pytest.approx(0.7, abs=1e-4)
    assert zeros(folder) < 0.01
    assert run("eval", pruned)[0] == 0

    quick = ("--data", trained / "clouds.npz", "--points", 64, "--batch", 16, "--epochs", 1)
    code, _, err = run(
        "train", "-o", tmp_path / "on", *quick, "--start", folder, "--scope", out / "ratios.json"
    )
    assert code == 0, err
    assert zeros(tmp_path / "on") == pytest.approx(0.7, abs=1e-4)
    code, _, err = run("train", "-o", tmp_path / "tuned", *quick, "--start", pruned)
    assert code == 0, err
    assert zeros(tmp_path / "tuned") == zeros(pruned)
    assert json.loads((tmp_path / "tuned/result.json").read_text())["sparsity"] == pytest.approx(
        0.7, abs=1e-4
    )


def test_costs_of_hardware_are_columns(run: Run, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "scan"
    options = ("--clouds", 8, "--hardware", "eie", "--cost", "energy", "--method", "threshold")
    code, _, err = run("sensitivity", trained / "run", "-o", out, *options, "--saved", "0.05")
    assert code == 0, err
    rows = list(csv.DictReader((out / "sensitivity.csv").read_text().splitlines()))
    assert {"macs", "energy_pj", "cycles"} <= set(rows[0])


def test_netadapt_keeps_its_series_and_goes_on(run: Run, trained: Path, tmp_path: Path) -> None:
    folder, out = trained / "run", tmp_path / "fewer"
    options = ("channels", folder, "-o", out, "--saved", "0.4", "--clouds", "16")
    code, shown, err = run(*options, "--json")
    assert code == 0, err
    record = json.loads(shown)
    assert record["found"][-1]["cost"] <= record["budget"] == pytest.approx(0.6 * record["cost"])
    series = sorted((out / "series").iterdir())
    assert len(series) == len(record["found"]) > 1
    for i, each in enumerate(record["found"]):
        model = load_model(series[i]).model
        assert sum(p.numel() for p in model.parameters()) == each["cost"]
    assert run("eval", out)[0] == 0
    weights = checkpoint.digest(checkpoint.load(out)["model"])

    record["found"] = record["found"][:1]  # as if it had stopped after the first iteration
    (out / "search.json").write_text(json.dumps(record))
    code, _, err = run(*options)
    assert code == 0, err
    assert checkpoint.digest(checkpoint.load(out)["model"]) == weights
    code, _, err = run(*options, "--seed", "1")
    assert code == 2
    assert "seed" in err

    quick = ("--data", trained / "clouds.npz", "--points", 64, "--batch", 16, "--epochs", 1)
    assert run("train", "-o", tmp_path / "on", *quick, "--start", out)[0] == 0
    code, _, err = run("channels", out, "-o", tmp_path / "less", "--saved", "0.3", "--clouds", "16")
    assert code == 0, err
    less = load_model(tmp_path / "less").model
    assert sum(p.numel() for p in less.parameters()) <= 0.7 * record["budget"]


def test_amc_shows_the_other_searches(run: Run, trained: Path, tmp_path: Path) -> None:
    options = ("--saved", "0.4", "--clouds", "8", "--multiple", "16", "--cost", "macs")
    code, shown, err = run(
        "channels", trained / "run", "-o", tmp_path / "amc", "--method", "amc", "--episodes", "3", *options
    )
    assert code == 0, err
    record = json.loads((tmp_path / "amc/search.json").read_text())
    assert [each["name"] for each in record["found"]] == ["uniform", "table", "greedy", "random", "amc"]
    assert all(each["cost"] <= record["budget"] for each in record["found"])
    assert all(each["name"] in shown for each in record["found"])
    model = load_model(tmp_path / "amc").model
    assert model.get_parameter("fc1.weight").shape[0] == record["found"][-1]["channels"]["fc1"]
    code, _, err = run(
        "channels", trained / "run", "-o", tmp_path / "uniform", "--method", "uniform", *options
    )
    assert code == 0, err
    (found,) = json.loads((tmp_path / "uniform/search.json").read_text())["found"]
    assert found["channels"] == record["found"][0]["channels"]


def test_a_permuted_network_computes_the_same(run: Run, trained: Path, tmp_path: Path) -> None:
    code, shown, err = run("permute", trained / "run", "-o", tmp_path / "permuted.pt", "--json")
    assert code == 0, err
    groups = json.loads(shown)["groups"]
    assert {group["group"] for group in groups} >= {"fc1", "fc2"}
    assert all(group["before"] <= group["after"] <= group["unstructured"] for group in groups)
    one, other = load_model(trained / "run").model, load_model(tmp_path / "permuted.pt").model
    assert not torch.equal(one.get_parameter("fc1.weight"), other.get_parameter("fc1.weight"))
    clouds = torch.from_numpy(shapes(train_per_class=1, test_per_class=1, points=64, seed=3).test.points)
    with torch.no_grad():
        assert torch.allclose(one(clouds), other(clouds), atol=1e-4)
    pruned = ("--pattern", "2:4", "--clouds", 16)
    code, _, err = run("one-shot", tmp_path / "permuted.pt", "-o", tmp_path / "pruned.pt", *pruned)
    assert code == 0, err


@pytest.mark.parametrize(
    "arguments",
    [
        ("sensitivity", "-o", "DIR", "--saved", "1.5"),
        ("sensitivity", "-o", "DIR", "--saved", "0.5", "--cost", "energy"),
        ("sensitivity", "-o", "DIR", "--clouds", "1000"),
        ("sensitivity", "-o", "DIR", "--pattern", "3"),
        ("channels", "-o", "DIR/fewer", "--saved", "1"),
        ("channels", "-o", "DIR/fewer", "--saved", "0.5", "--method", "best"),
        ("channels", "-o", "DIR/fewer", "--saved", "0.5", "--cost", "energy"),
        ("channels", "-o", "DIR/fewer", "--saved", "0.5", "--clouds", "1000"),
        ("channels", "-o", "DIR/fewer", "--saved", "0.9999", "--clouds", "8"),
        ("channels", "-o", "DIR", "--saved", "0.5", "--clouds", "8"),
        ("permute", "-o", "DIR/net.pt", "--pattern", "1x1"),
        ("one-shot", "-o", "DIR/net.pt"),
        ("one-shot", "-o", "DIR/net.pt", "--sparsity", "1.5"),
        ("one-shot", "-o", "DIR/net.pt", "--sparsity", "0.5", "--scope", "DIR/ratios.json"),
        ("one-shot", "-o", "DIR/net.pt", "--scope", "DIR/none.json"),
        ("one-shot", "-o", "DIR/net.pt", "--scope", "DIR/ratios.json"),
        ("one-shot", "-o", "DIR/net.pt", "--sparsity", "0.5", "--method", "best"),
        ("one-shot", "-o", "DIR/net.pt", "--sparsity", "0.5", "--clouds", "1000"),
    ],
)
def test_mistakes_are_one_sentence(
    run: Run, trained: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "ratios.json").write_text('{"sparsity": 2.0, "scope": {}}')
    (tmp_path / checkpoint.NAME).touch()  # as of a training
    given = [each.replace("DIR", str(tmp_path)) for each in arguments]
    code, out, err = run(given[0], trained / "run", *given[1:])
    assert code == 2, err
    assert not out
    assert "Traceback" not in err
    assert not (tmp_path / "net.pt").exists()
    assert not (tmp_path / "fewer/checkpoint.pt").exists()


def test_an_unknown_scope_of_training_is_refused(run: Run, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "ratios.json").write_text('{"sparsity": 0.5, "scope": {"fc1.weight": 0.9}}')
    for given in (
        ("--scope", "globel", "--sparsity", "0.5"),
        ("--scope", tmp_path / "ratios.json", "--sparsity", "1"),
    ):
        code, _, err = run("train", "--data", trained / "clouds.npz", "-o", tmp_path / "run", *given)
        assert code == 2
        assert "scope" in err
