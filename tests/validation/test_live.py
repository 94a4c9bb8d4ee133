"""`python -m validation --live` with stand-ins for `timeloop-model`: reports, rejections and neither."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from validation import reference_answers as answers
from validation.__main__ import main
from validation.random_cases import draw_case

ROOT = Path(__file__).parents[2]


def run(*arguments: object):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a program of this text on PATH as `timeloop-model`, and work in an empty folder."""

    def write(text: str) -> None:
        program = tmp_path / "bin" / "timeloop-model"
        program.parent.mkdir(exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        monkeypatch.chdir(tmp_path)

    return write


def test_live_without_the_program(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run("--live", 2)
    assert result.exit_code == 2
    assert result.output == "timeloop-model is not on PATH, and --live compares with it\n"


PROGRAM = f"""#!{sys.executable}
import sys
sys.path.insert(0, {str(ROOT)!r})
from sparsim.errors import SparsimError
from sparsim.model.evaluate import evaluate
from sparsim.files.timeloop.read_documents import read_documents
from sparsim.files.timeloop.stats_writer import write_stats
read = read_documents(sys.argv[1:])
try:
    evaluation = evaluate(read.accelerator, read.layer(), read.mapping)
except SparsimError as error:
    sys.exit(str(error))
text = write_stats(evaluation)
open("timeloop-model.stats.txt", "w").write(CHANGED)
"""


@pytest.mark.parametrize(("changed", "status"), [("text", 0), ("text.replace('Cycles: ', 'Cycles: 1')", 1)])
def test_live_with_a_stand_in(tmp_path, install, changed, status):
    """The stand-in is the model itself: this tests the way there and back, not the model."""
    install(PROGRAM.replace("CHANGED", changed))
    result = run("--live", 3, "--seed", 5)
    assert result.exit_code == status, result.output
    assert "cases 3," in result.output
    kept = tmp_path / "build" / "live"
    assert kept.exists() == bool(status)
    if status:
        assert f"below {kept}" in result.output
        again = run(kept)
        assert again.exit_code == 1
        assert "summary / Cycles" in again.output


WITH_ACCELERGY = """if not read.energy:
    print("execute:accelergy arch.yaml --oprefix timeloop-model. -o ./")
    print("Failed to run Accelergy. Did you install Accelergy or specify ACCELERGYPATH correctly?")
    sys.exit(0)
try:"""


def test_a_build_with_accelergy_is_asked_for_nothing_without_an_energy_table(install):
    """It ends with 0 and without a report where there is no table."""
    install(PROGRAM.replace("CHANGED", "text").replace("try:", WITH_ACCELERGY, 1))
    for seed in ("3-0", "3-1"):
        assert draw_case(random.Random(seed)).accelerator.energy is None
        assert draw_case(random.Random(seed), energy_table=True).accelerator.energy
    result = run("--live", 2, "--seed", 3)
    assert result.exit_code == 0, result.output
    assert "cases 2," in result.output
    assert "no answer" not in result.output


FAILED = "Failed to run Accelergy. Did you install Accelergy or specify ACCELERGYPATH correctly?"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (f"print({FAILED!r})", "Accelergy"),
        ("sys.exit('accelergy: command not found')", "Accelergy"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "crash"),
        ("sys.exit(139)", "crash"),
        ("import no_such_module", "no report"),
        ("pass", "no report"),
        ("time.sleep(60)", "time-out"),
    ],
)
def test_what_is_no_answer_is_not_taken_for_a_rejection(install, monkeypatch, tmp_path, body, kind):
    monkeypatch.setattr(answers, "TIMEOUT_S", 0.5 if kind == "time-out" else 60)
    install(f"#!{sys.executable}\nimport os, signal, sys, time\n{body}\n")
    result = run("--live", 1, "--seed", 5)
    assert result.exit_code == 2, result.output
    assert f"1 of 1 cases: {kind} 1\n" in result.output
    assert "rejects" not in result.output
    assert "\ncases 0, fields 0," in result.output
    assert "Traceback" not in result.output
    assert len(list((tmp_path / "build" / "live").iterdir())) == 1


REASONS = [
    ("ERROR: couldn't map level GLB: mapped tile size 40 exceeds buffer capacity 32", "capacity"),
    (
        "ERROR: couldn't map level GLB: mapped metadata tile size 40 exceeds metadata buffer capacity 32",
        "metadata capacity",
    ),
    (
        "ERROR: couldn't map level GLB: mapped tile size 4 is less than constrained minimum utilization 8",
        "minimum utilization",
    ),
    (
        "ERROR: couldn't map level MAC: mapped max Arithmetic instances 9 exceeds hardware instances 8",
        "instances",
    ),
    (
        "ERROR: couldn't map level GLB: mapped instances 9 exceeds available hardware instances 8",
        "instances",
    ),
    ("ERROR: couldn't map level spad: Required fanoutX 9 larger than 8", "fan-out"),
    (
        "ERROR: couldn't map level GLB: decompression (from parent level) needed but not supported",
        "compression not supported",
    ),
    ("ERROR: couldn't map level GLB: more compression ranks needed than supported", "ranks of a format"),
    ("ERROR: mapping violates architecture constraints.", "constraints"),
    ("ERROR: parsing mapping: illegal dimension", "other"),
]


@pytest.mark.parametrize(("reason", "kind"), REASONS)
def test_rejections_are_listed_by_kind(install, reason, kind):
    """The model accepts what it was asked here, so every rejection is a deviation."""
    install(f"#!{sys.executable}\nimport sys\nsys.exit({reason!r})\n")
    result = run("--live", 1, "--seed", 7)
    listed = f"rejects 1 of 1 cases, by kind:\n    {kind}: 1, the model rejects 0 of them\n"
    assert listed in result.output
    assert result.exit_code == 1


def test_an_assertion_is_a_rejection_of_its_own_kind(install):
    said = "timeloop-model: tiling.cpp:637: Assertion `accesses >= partition_size' failed."
    body = f"print({said!r}, file=sys.stderr, flush=True)\nos.abort()\n"
    install(f"#!{sys.executable}\nimport os, sys\n{body}")
    result = run("--live", 1, "--seed", 7)
    assert "    assertion: 1, the model rejects 0 of them\n" in result.output
    assert result.exit_code == 1


def test_rejections_that_both_agree_on(install):
    """The stand-in is the model, and refuses in the words of Timeloop."""
    refusal = 'sys.exit("ERROR: couldn\'t map level spad: mapped tile size 9 exceeds buffer capacity 8")'
    install(PROGRAM.replace("CHANGED", "text").replace("sys.exit(str(error))", refusal))
    result = run("--live", 2, "--seed", 8)
    listed = "rejects 1 of 2 cases, by kind:\n    capacity: 1, the model rejects 1 of them\n"
    assert listed in result.output
    assert result.exit_code == 0
