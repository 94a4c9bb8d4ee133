"""The commands on version 0.4 documents."""

import json
import sys
from pathlib import Path

import pytest

from sparsim.cli import main as cli

EXAMPLES = Path(__file__).parents[3] / "validation" / "version4_examples"


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Runs a command on the files of an example; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(command, number, *arguments):
        files = [str(file) for file in sorted((EXAMPLES / number).glob("*v4.yaml"))]
        monkeypatch.setattr(sys, "argv", ["sparsim", command, *files, *arguments])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code or 0
        return code, *capsys.readouterr()

    return run


def test_model(run):
    assert run("model", "04", "-o", "out")[0] == 0
    result = json.loads(Path("out/sparsim.result.json").read_text())
    assert (result["accounting"], result["energy_pj"]) == ("timeloop-4", 6776.0)
    assert run("model", "04", "-o", "out", "--accounting", "timeloop-3")[0] == 0
    result = json.loads(Path("out/sparsim.result.json").read_text())
    assert (result["accounting"], result["energy_pj"]) == ("timeloop-3", 6656.0)


def test_explain_shows_leakage(run):
    code, out, _ = run("explain", "04")
    assert code == 0
    assert "leakage" in out


def test_mapping_that_a_search_found_can_be_evaluated(run):
    code, out, _ = run("mapper", "02", "-o", "out", "--no-cache")
    assert code == 0, out
    code, _, err = run("model", "02", "out/sparsim.mapping.yaml", "-o", "again")
    assert code == 0, err
    again = json.loads(Path("again/sparsim.result.json").read_text())
    assert (again["energy_pj"], again["cycles"]) == (3616.0, 12)
    assert Path("again/sparsim.stats.txt").read_text() == Path("out/sparsim.stats.txt").read_text()


def test_two_mappings(run):
    Path("ours.yaml").write_text("sparsim: 2\nmapping: {levels: []}\n")
    code, _, err = run("model", "04", "ours.yaml")
    assert code == 2
    assert "two mappings" in err


def test_values_of_templates(run):
    code, _, err = run("mapper", "07")
    assert code == 2
    assert "--set" in err
    code, _, err = run("mapper", "07", "--set", "2=n")
    assert code == 2
    assert "NAME=VALUE" in err
    code, _, err = run("mapper", "07", "--set", "n=2", "-o", "out", "--no-cache", "--evaluations", "20")
    assert code == 0, err
    assert "buf" in Path("out/sparsim.stats.txt").read_text()
