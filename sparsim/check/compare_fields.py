"""Two stats texts, field by field and stage by stage."""

import math
from collections import Counter
from typing import NamedTuple

from sparsim.check.report_fields import Difference, stage
from sparsim.check.tolerated_differences import excuse, old_labels
from sparsim.files.timeloop.stats_reader import Key, Stats, Value

UTILIZATION = "Utilization"  # without cycles -nan there and 0 here


class Comparison(NamedTuple):
    fields: Counter[str]  # by stage
    exact: Counter[str]
    differences: list[Difference]
    left_out: int  # lines that only one of the two layouts has

    def by_verdict(self, verdict: str) -> list[Difference]:
        return [d for d in self.differences if d.verdict == verdict]

    @property
    def worst(self) -> Difference | None:
        """The largest difference that no reason covers, or else the largest."""
        return max(self.differences, key=lambda d: (d.verdict == "deviating", d.size), default=None)


def compare(expected: Stats, got: Stats, inexact: list[str], *, tolerance: float = 0.0) -> Comparison:
    """Integers exactly, reals to the printed digits; what is not equal and has no excuse deviates.

    `inexact` names the tensors that bring a tolerance (see `sparsim.check.tolerated_differences`), and
    `tolerance` is the relative difference that is none. Against the layout of the releases of 2022, fields
    that only one side has are left out, not deviating; so are loop nests, which not all of 4.x print.
    """
    old = expected.old_layout
    ours = old_labels(got) if old else got.fields
    fields: Counter[str] = Counter(answer=1)
    exact: Counter[str] = Counter(answer=1)
    differences, left_out = [], 0
    for key in expected.fields | ours:
        want, have = expected.fields.get(key), ours.get(key)
        if (want is None or have is None) and (old or (expected.layout == "4" and key.field == "Loop nest")):
            left_out += 1
            continue
        fields[stage(key)] += 1
        if _equal(key, want, have):
            exact[stage(key)] += 1
        else:
            differences.append(Difference(key, want, have, _size(want, have), "deviating"))
    differences = excuse(differences, expected, inexact)
    return Comparison(fields, exact, [_within(tolerance, d) for d in differences], left_out)


def _within(tolerance: float, difference: Difference) -> Difference:
    if difference.verdict != "deviating" or difference.size > tolerance:
        return difference
    return difference._replace(verdict="tolerated", reason=f"within the tolerance of {tolerance:g}")


def _equal(key: Key, expected: Value | None, got: Value | None) -> bool:
    if isinstance(expected, float) and isinstance(got, float):
        if math.isnan(expected):
            return math.isnan(got) or (key.field == UTILIZATION and got == 0.0)
        if key.field.startswith("pJ/"):
            # ours was printed in fJ: both are roundings of one number if their intervals meet
            return expected == got or abs(expected - got) <= 0.005 + 0.000005 + 1e-9
    return expected == got


def _size(expected: Value | None, got: Value | None) -> float:
    if isinstance(expected, tuple) and isinstance(got, tuple) and len(expected) == len(got):
        return max((_size(a, b) for a, b in zip(expected, got, strict=True)), default=0.0)
    if not isinstance(expected, int | float) or not isinstance(got, int | float):
        return 0.0 if expected == got else math.inf
    if expected == got:
        return 0.0
    size = abs(got - expected) / abs(expected) if expected else math.inf
    return math.inf if math.isnan(size) else size
