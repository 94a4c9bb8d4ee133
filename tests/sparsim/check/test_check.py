"""`sparsim check` and the plugin for pytest: recorded stats files beside their inputs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from sparsim.check.check_case import _accounting_of
from sparsim.check.recorded_case import recorded_cases
from sparsim.cli.main import cli
from sparsim.files.timeloop.stats_dialect import stats_text
from sparsim.files.timeloop.stats_reader import parse_stats
from sparsim.files.timeloop_files import read_documents
from sparsim.model.evaluate import evaluate

ROOT = Path(__file__).parents[3]
RECORDED = ROOT / "validation" / "references" / "random" / "conv-11-011"
VERSION_4 = ROOT / "validation" / "version4_examples" / "01"
READS = "Actual scalar reads (per-instance)"


@pytest.fixture
def folder(tmp_path):
    """As a user keeps it: the program's outputs beside its inputs."""
    case = Path(shutil.copytree(RECORDED, tmp_path / "cases" / "layer1"))
    (case / "stats.txt").rename(case / "timeloop-model.stats.txt")
    return case.parent


def check(*arguments: object):
    result = CliRunner().invoke(cli, ["check", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def spoil(folder: Path, factor: float) -> None:
    """Change one number of the recorded report."""
    stats = folder / "layer1" / "timeloop-model.stats.txt"
    text = stats.read_text()
    line = next(line for line in text.split("\n") if line.startswith("Cycles: "))
    stats.write_text(text.replace(line, f"Cycles: {round(int(line.split()[1]) * factor)}"))


def test_equal_reports(folder):
    result = check(folder)
    assert result.exit_code == 0, result.output
    assert "layer1" in result.output


def test_differing_fields_are_named(folder):
    spoil(folder, 1.01)
    result = check(folder / "layer1" / "timeloop-model.stats.txt")
    assert result.exit_code == 1
    assert "summary / Cycles: expected" in result.output


def test_a_tolerance_allows_differences(folder):
    spoil(folder, 1.01)
    assert check(folder, "--tolerance", "0.02").exit_code == 0
    assert check(folder, "--tolerance", "0.001").exit_code == 1


def test_accounting_is_that_of_the_documents(tmp_path):
    """The report of Timeloop 4.x says what version 0.4 documents mean, also where its layout differs."""
    for name in ("v4.yaml", "energy-v4.yaml", "problem-v4.yaml", "variables-v4.yaml"):
        shutil.copy(VERSION_4 / name, tmp_path)
    shutil.copy(VERSION_4 / "timeloop-4.x.stats.txt", tmp_path)
    assert check(tmp_path).exit_code == 0


@pytest.mark.filterwarnings("ignore::sparsim.EnergyWarning")
def test_reports_of_4_with_a_loop_nest_are_of_2024(folder):
    """And the mapping that stands beside the inputs counts, where these have an empty one."""
    case = folder / "layer1"
    (case / "timeloop-model.stats.txt").unlink()
    (case / "mapping.yaml").rename(case / "timeloop-mapper.map.yaml")
    (case / "problem.yaml").write_text("mapping: []\n" + (case / "problem.yaml").read_text())
    documents = read_documents(sorted(case.glob("*.yaml"))).accounted("timeloop-4")
    arguments = documents.accelerator, documents.layer(), documents.mapping
    found = evaluate(*arguments, accounting="timeloop-4")
    text = stats_text(found, "4")
    (case / "stats.txt").write_text(text)
    assert _accounting_of(parse_stats(text)) == "timeloop-4"
    title = "    STATS\n"
    nest = "    MAPPING\n    -------\n    Loop nest:\n      for M in [0:2)\n\n"
    assert _accounting_of(parse_stats(text.replace(title, nest + title, 1))) == "timeloop-4-2024"
    assert check(case).exit_code == 0


def test_no_case(tmp_path):
    with pytest.raises(ValueError, match="no file"):
        check(tmp_path)


def test_unreadable_inputs(folder):
    (folder / "layer1" / "problem.yaml").write_text("problem: {instance: {")
    assert check(folder).exit_code == 2


def test_several_reports_of_one_folder_have_names_of_their_own(folder):
    shutil.copy(folder / "layer1" / "timeloop-model.stats.txt", folder / "layer1" / "older.stats.txt")
    names = [case.name for case in recorded_cases(folder)]
    assert names == ["layer1/older.stats.txt", "layer1/timeloop-model.stats.txt"]


def test_every_case_is_a_test(folder):
    command = [sys.executable, "-m", "pytest", "-p", "sparsim.check.pytest_plugin", "-q", "--rootdir", folder]
    command += ["-p", "no:cacheprovider", folder]
    shutil.copytree(folder / "layer1", folder / "layer2")
    spoil(folder, 1.01)
    run = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "1 failed, 1 passed" in run.stdout
    assert "summary / Cycles: expected" in run.stdout
    tolerant = subprocess.run(
        [*command, "--stats-tolerance", "0.02"], capture_output=True, text=True, cwd=folder
    )
    assert tolerant.returncode == 0, tolerant.stdout + tolerant.stderr
