"""One try by its number, and the counts of many."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.judge import Outcome, run
from tests.fuzz.kinds import KINDS, check


class Try(NamedTuple):
    kind: str
    outcome: Outcome


def one_try(seed: int, number: int, out: Path, only: str | None = None) -> Try:
    """Try `number`, whose files lie in a folder of `out` while it runs, and stay if it goes wrong."""
    rng = random.Random(f"{seed}/{number}")
    kinds = [(kind, weight) for kind, weight in KINDS if only in (None, kind.__name__)]
    (kind,) = rng.choices([k for k, _ in kinds], [w for _, w in kinds])
    folder = out / str(number)
    folder.mkdir(parents=True)
    outcome = run(kind(rng, folder), "sparsim", folder / "out", may_differ=kind is check)
    if outcome.fault:
        report = f"{kind.__name__}: {outcome.fault}\n{outcome.said}"
        (folder / "fault.txt").write_text(report, encoding="utf-8", errors="replace")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return Try(kind.__name__, outcome)


class Tally:
    """How many tries of each kind ended how."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()

    def add(self, found: Try) -> None:
        outcome = found.outcome
        self.counts[found.kind, "fault" if outcome.fault else f"exit {outcome.code}"] += 1

    @property
    def faults(self) -> int:
        return sum(n for (_, end), n in self.counts.items() if end == "fault")

    def table(self) -> str:
        ends = sorted({end for _, end in self.counts})
        kinds = sorted({kind for kind, _ in self.counts})
        rows = [["kind", *ends], *([kind, *(str(self.counts[kind, end]) for end in ends)] for kind in kinds)]
        return "\n".join("  ".join(f"{cell:<14}" for cell in row) for row in rows)
