"""Random cases, answered by a `timeloop-model` on PATH and by the model, and compared."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.progress import track

from sparsim.file_writing import write_bytes, write_text
from sparsim.timeloop.write import write_documents
from validation.cases import REJECT, STATS, Case
from validation.draw import draw_case
from validation.report import print_report
from validation.run import run_case, total

PROGRAM = "timeloop-model"
KEPT = Path("build/live")
_TIMEOUT_S = 120


def run(console: Console, count: int, seed: int) -> int:
    """Draw `count` cases, run both programs, print the report; returns the exit status.

    Cases that deviate are kept as case folders below `build/live`, so that they can be run again.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        console.print(f"{PROGRAM} is not on PATH, and --live compares with it")
        return 2
    kept, outcomes = [], []
    with tempfile.TemporaryDirectory() as folder:
        progress = Console(file=sys.stderr)
        for i in track(range(count), "drawing and comparing", console=progress, transient=True):
            case = _answered(program, Path(folder), f"{seed}-{i}")
            outcomes.append(outcome := run_case(case, "timeloop-3"))
            if outcome.bad_input or outcome.comparison.by_verdict("deviating"):
                target = KEPT / case.name
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(case.folder, target)
                kept.append(target)
    print_report(console, outcomes)
    if kept:
        console.print(f"kept {len(kept)} deviating cases below {KEPT.resolve()}", soft_wrap=True)
    return 1 if kept or total(outcomes).deviating else 0


def _answered(program: str, root: Path, seed: str) -> Case:
    """A drawn case folder with what the program says about it, its report or its last words."""
    drawn = draw_case(random.Random(seed))
    name = f"{drawn.family}-{seed}"
    folder = root / name
    paths = write_documents(folder, drawn.arch, drawn.layer, drawn.policy, drawn.energy, drawn.mapping)
    with tempfile.TemporaryDirectory() as scratch:
        run = subprocess.run(
            [program, *map(str, paths)], cwd=scratch, capture_output=True, text=True, timeout=_TIMEOUT_S
        )
        written = Path(scratch) / f"{PROGRAM}.stats.txt"
        if run.returncode == 0 and written.is_file():
            answer = folder / STATS
            write_bytes(answer, written.read_bytes())
        else:
            answer = folder / REJECT
            write_text(answer, run.stderr)
    return Case(name, folder, answer)
