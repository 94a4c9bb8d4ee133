"""Case folders: input documents with the reference's answers."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from sparsim.check.recorded_case import REJECT, STATS, Case, documents_in

ORIGINAL = "stats-original.txt"
NO_ANSWER = "no-answer.txt"  # marks a case that is not compared


def find_cases(root: Path, accounting: str) -> list[Case]:
    """All case folders at and below `root`, in the order of their names.

    `stats-original.txt`, the published text of a release of 2022, answers for `timeloop-2022` only.
    """
    answers = (ORIGINAL, STATS, REJECT) if accounting == "timeloop-2022" else (STATS, REJECT)
    cases = []
    for folder in sorted({path.parent for name in answers for path in root.rglob(name)}):
        answer = next(folder / name for name in answers if (folder / name).is_file())
        if documents_in(folder):
            cases.append(
                Case(str(folder.relative_to(root)) if folder != root else folder.name, folder, answer)
            )
    return cases


def digest(cases: Iterable[Case]) -> str:
    """SHA-256 over names and contents of all inputs and answers, in hex."""
    total = hashlib.sha256()
    for case in cases:
        for path in (*case.documents, case.answer):
            total.update(f"{case.name}/{path.name}\0".encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
