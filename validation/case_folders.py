"""Case folders: input documents with the reference's answer beside them."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from sparsim.errors import FormatError
from sparsim.fileio.reading import read_text, reading
from sparsim.files.timeloop.stats_reader import Stats, parse_stats
from sparsim.records import Layer

STATS, ORIGINAL, REJECT = "stats.txt", "stats-original.txt", "reject.txt"
NO_ANSWER = "no-answer.txt"  # of a case that is not one to compare


class Case(NamedTuple):
    """`answer` is the stats text of the reference, or the file that says it rejected the mapping."""

    name: str
    folder: Path
    answer: Path

    @property
    def rejected(self) -> bool:
        return self.answer.name == REJECT

    @property
    def documents(self) -> list[Path]:
        return _documents(self.folder)

    def stats(self) -> Stats:
        """Raises FormatError if the answer is no stats text."""
        with reading(self.answer, "a stats text"):
            text = read_text(self.answer, what="a stats text")
            try:
                return parse_stats(text)
            except FormatError as error:
                raise error.within(str(self.answer)) from None


def find_cases(root: Path, accounting: str) -> list[Case]:
    """All case folders at and below `root`, in the order of their names.

    `stats-original.txt`, the published text of a release of 2022, answers for `timeloop-2022` only.
    """
    answers = (ORIGINAL, STATS, REJECT) if accounting == "timeloop-2022" else (STATS, REJECT)
    cases = []
    for folder in sorted({path.parent for name in answers for path in root.rglob(name)}):
        answer = next(folder / name for name in answers if (folder / name).is_file())
        if _documents(folder):
            cases.append(
                Case(str(folder.relative_to(root)) if folder != root else folder.name, folder, answer)
            )
    return cases


def _documents(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml"))


def digest(cases: Iterable[Case]) -> str:
    """SHA-256 over names and contents of all inputs and answers, in hex."""
    total = hashlib.sha256()
    for case in cases:
        for path in (*case.documents, case.answer):
            total.update(f"{case.name}/{path.name}\0".encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


LARGEST_EXACT_TENSOR = 104_729


def inexact_tensors(layer: Layer, of_2022: bool = False) -> list[str]:
    """Dataspaces whose probabilities the reference itself computes inexactly.

    The hypergeometric function of 3.0.3 works with factored factorials up to the 10,000th prime, 104,729; for
    larger tensors it switches to an approximation with an error of about 1e-14 (model 8.3). That of the
    releases of 2022 was an approximation for tensors of any size.
    """
    exact_points = 0 if of_2022 else LARGEST_EXACT_TENSOR
    coefficients = layer.shape.coefficients | layer.coefficients
    names = []
    for dataspace in layer.shape.dataspaces:
        points = 1
        for side in dataspace.terms():
            points *= 1 + sum((coefficients[c] if c else 1) * (layer.bounds[dim] - 1) for dim, c in side)
        if layer.density(dataspace.name).distribution == "hypergeometric" and points > exact_points:
            names.append(dataspace.name)
    return names
