"""Comparison of a `timeloop-model` on PATH with the model on random cases."""

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.progress import track

from sparsim.check.check_case import Outcome, nothing_compared, run_case
from sparsim.check.recorded_case import REJECT, STATS, Case
from sparsim.fileio.writing import write_text
from sparsim.files.timeloop.write_documents import write_documents
from sparsim.report.comparison_report import verdict
from sparsim.report.console import fail, messages
from validation.case_folders import NO_ANSWER
from validation.random_cases import draw_case
from validation.reference_answers import Answer, ask

PROGRAM = "timeloop-model"
KEPT = Path("build/live")


def compare(count: int, seed: int) -> tuple[list[Outcome], list[str]]:
    """Draw `count` cases and run both programs.

    Returns the outcomes, and lines that say what the program rejected and what was kept.

    Cases that deviate or have no answer are kept as case folders below `build/live`, so that they can be
    run again.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        fail("python -m validation", f"{PROGRAM} is not on PATH, and --live compares with it")
    kept: list[Path] = []
    asked: list[tuple[Answer, Outcome]] = []
    with tempfile.TemporaryDirectory() as folder:
        for i in track(range(count), "drawing and comparing", console=messages(), transient=True):
            answer, outcome = _compare(program, Path(folder), f"{seed}-{i}")
            asked.append((answer, outcome))
            if outcome.bad_input or outcome.comparison.by_verdict("deviating"):
                target = KEPT / outcome.case.name
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(outcome.case.folder, target)
                kept.append(target)
    notes = [*_rejections(asked), *_unanswered(asked)]
    if kept:
        notes.append(f"kept {len(kept)} cases that deviate or have no answer below {KEPT.resolve()}")
    return [outcome for _, outcome in asked], notes


def _compare(program: str, root: Path, seed: str) -> tuple[Answer, Outcome]:
    """A drawn case folder with what the program says about it, and what the model says to that."""
    drawn = draw_case(random.Random(seed), energy_table=True)
    name = f"{drawn.family}-{seed}"
    folder = root / name
    paths = write_documents(folder, drawn.accelerator, drawn.layer, drawn.mapping)
    answer = ask(program, paths)
    file = folder / (REJECT if answer.rejected else STATS if answer.answered else NO_ANSWER)
    write_text(file, answer.text)
    case = Case(name, folder, file)
    if answer.answered:
        return answer, run_case(case, "timeloop-3")
    last = answer.text.strip().splitlines()[-1:] or ["it said nothing"]
    return answer, nothing_compared(case, f"{PROGRAM} has no answer ({answer.kind}): {last[0]}")


def _rejections(asked: Sequence[tuple[Answer, Outcome]]) -> list[str]:
    """Return one line per kind, with the number of cases that the model also rejects."""
    rejected = [(answer.kind, verdict(outcome)) for answer, outcome in asked if answer.rejected]
    if not rejected:
        return []
    kinds, agreed = Counter(kind for kind, _ in rejected), Counter(rejected)
    lines = [f"{PROGRAM} rejects {len(rejected)} of {len(asked)} cases, by kind:"]
    for kind, n in kinds.most_common():
        lines.append(f"    {kind}: {n}, the model rejects {agreed[kind, 'both reject']} of them")
    return lines


def _unanswered(asked: Sequence[tuple[Answer, Outcome]]) -> list[str]:
    kinds = Counter(answer.kind for answer, _ in asked if not answer.answered)
    if not kinds:
        return []
    listed = ", ".join(f"{kind} {n}" for kind, n in kinds.most_common())
    lines = [f"{PROGRAM} has no answer to {kinds.total()} of {len(asked)} cases: {listed}"]
    if "Accelergy" in kinds:
        lines.append(f"    this {PROGRAM} calls Accelergy although the documents have an energy table")
    return lines
