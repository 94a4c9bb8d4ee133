"""`python -m validation --live` with stand-ins for `timeloop-model`: reports, rejections and neither."""

from __future__ import annotations

import os
import random
import sys
import warnings
from multiprocessing.connection import Client, Listener
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from sparsim.errors import SparsimError
from sparsim.files.timeloop.stats_writer import write_stats
from sparsim.files.timeloop_files import read_documents
from sparsim.model.evaluate import evaluate
from validation import reference_answers as answers
from validation.__main__ import main
from validation.random_cases import draw_case


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
    assert "timeloop-model is not on PATH" in result.output


class Answer(NamedTuple):
    """What the stand-in writes and prints, and how it ends."""

    stats: str | None = None
    printed: str = ""
    code: int | str = 0


PROGRAM = f"""#!{sys.executable}
import os, sys
from multiprocessing.connection import Client
with Client(ADDRESS) as connection:
    connection.send((os.getcwd(), sys.argv[1:]))
    stats, printed, code = connection.recv()
print(printed)
if stats is not None:
    open("timeloop-model.stats.txt", "w").write(stats)
sys.exit(code)
"""


@pytest.fixture
def install_model(tmp_path, install):
    """A stand-in that asks the process of the tests, which has the kernels loaded, for its answers."""
    listener = Listener(str(tmp_path / "model.socket"))

    def serve(answer):
        with warnings.catch_warnings(action="ignore"):
            while True:
                with listener.accept() as connection:
                    message = connection.recv()
                    if message is None:
                        break
                    folder, files = message
                    connection.send(tuple(answer(read_documents(Path(folder, name) for name in files))))

    def start(answer):
        thread = Thread(target=serve, args=[answer])
        thread.start()
        threads.append(thread)
        install(PROGRAM.replace("ADDRESS", repr(listener.address)))

    threads = []
    yield start
    with Client(listener.address) as connection:
        connection.send(None)
    for thread in threads:
        thread.join()
    listener.close()


def by_the_model(read):
    try:
        return Answer(write_stats(evaluate(read.accelerator, read.layer(), read.mapping)))
    except SparsimError as error:
        return Answer(code=str(error))


def with_other_cycles(read):
    answer = by_the_model(read)
    return answer._replace(stats=answer.stats and answer.stats.replace("Cycles: ", "Cycles: 1"))


@pytest.mark.parametrize(("answer", "status"), [(by_the_model, 0), (with_other_cycles, 1)])
def test_live_with_a_stand_in(tmp_path, install_model, answer, status):
    """The stand-in is the model itself: this tests the way there and back, not the model."""
    install_model(answer)
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


FAILED = "Failed to run Accelergy. Did you install Accelergy or specify ACCELERGYPATH correctly?"


def test_a_build_with_accelergy_is_asked_for_nothing_without_an_energy_table(install_model):
    """It ends with 0 and without a report where there is no table."""
    printed = f"execute:accelergy arch.yaml --oprefix timeloop-model. -o ./\n{FAILED}"
    install_model(lambda read: by_the_model(read) if read.accelerator.energy else Answer(printed=printed))
    for seed in ("3-0", "3-1"):
        assert draw_case(random.Random(seed)).accelerator.energy is None
        assert draw_case(random.Random(seed), energy_table=True).accelerator.energy
    result = run("--live", 2, "--seed", 3)
    assert result.exit_code == 0, result.output
    assert "cases 2," in result.output
    assert "no answer" not in result.output


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


def test_rejections_that_both_agree_on(install_model):
    """The stand-in is the model, and refuses in the words of Timeloop."""
    refusal = "ERROR: couldn't map level spad: mapped tile size 9 exceeds buffer capacity 8"

    def refusing(read):
        answer = by_the_model(read)
        return answer if answer.stats else Answer(code=refusal)

    install_model(refusing)
    result = run("--live", 2, "--seed", 8)
    listed = "rejects 1 of 2 cases, by kind:\n    capacity: 1, the model rejects 1 of them\n"
    assert listed in result.output
    assert result.exit_code == 0
