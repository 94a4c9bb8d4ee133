"""Answers of `timeloop-model`: a report, a rejection of some kind, or nothing to compare with."""

import re
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

TIMEOUT_S = 300
REPORT = "report"

# Kinds of rejections, by the program's last output on stderr; the first one that fits is used.
_REJECTIONS = (
    ("metadata capacity", "exceeds metadata buffer capacity"),
    ("capacity", "exceeds buffer capacity"),
    ("minimum utilization", "less than constrained minimum utilization"),
    ("instances", "exceeds (available )?hardware instances"),
    ("fan-out", "Required fanout"),
    ("compression not supported", "needed but not supported"),
    ("ranks of a format", "more compression ranks needed|pretiling for"),
    ("gating or skipping", "skipping/gating for"),
    ("density model", "density model incapable"),
    ("bypass", "bypassed in all storage levels"),
    ("constraints", "violates architecture constraints"),
)
_ABORTED = (-signal.SIGABRT, 128 + signal.SIGABRT)  # the latter if a shell runs it


class Answer(NamedTuple):
    """`text` is the report or the last words.

    A case that is neither reported nor rejected has no answer, and says nothing about the mapping.
    """

    kind: str
    text: str
    rejected: bool = False

    @property
    def answered(self) -> bool:
        return self.rejected or self.kind == REPORT


def ask(program: str, documents: Sequence[Path]) -> Answer:
    """Run `program` on the documents, in a folder of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            run = subprocess.run(
                [program, *map(str, documents)],
                cwd=scratch, capture_output=True, encoding="utf-8", errors="replace", timeout=TIMEOUT_S,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Answer("time-out", f"no answer within {TIMEOUT_S} s")
        except OSError as error:
            return Answer("not started", str(error))
        written = Path(scratch) / "timeloop-model.stats.txt"
        if run.returncode == 0 and written.is_file():
            return Answer(REPORT, written.read_text(encoding="utf-8", errors="replace"))
    return _without_report(run)


def _without_report(run: subprocess.CompletedProcess[str]) -> Answer:
    words = run.stderr.strip() or run.stdout.strip()
    for kind, pattern in _REJECTIONS:
        if re.search(pattern, run.stderr):
            return Answer(kind, words, rejected=True)
    if "accelergy" in (run.stdout + run.stderr).lower():
        return Answer("Accelergy", words)
    if run.returncode in _ABORTED and "Assertion" in run.stderr:
        return Answer("assertion", words, rejected=True)
    if run.returncode < 0 or run.returncode > 128:
        number = -run.returncode if run.returncode < 0 else run.returncode - 128
        names = {int(s): s.name for s in signal.Signals}
        return Answer("crash", f"ended by {names.get(number, f'signal {number}')}\n{words}")
    if run.returncode > 0 and "ERROR" in run.stderr:
        return Answer("other", words, rejected=True)
    return Answer("no report", f"exit status {run.returncode}\n{words}")
