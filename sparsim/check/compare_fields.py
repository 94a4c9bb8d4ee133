"""Comparison of two stats texts, field by field and stage by stage."""

import math
from collections import Counter
from typing import NamedTuple

from sparsim.check.report_fields import Difference, stage
from sparsim.check.tolerated_differences import excuse, old_labels
from sparsim.files.timeloop.stats_reader import Key, Stats, Value

UTILIZATION = "Utilization"  # without cycles the reference prints -nan, and sparsim prints 0


class Comparison(NamedTuple):
    """Which fields of two stats texts agree.

    Attributes
    ----------
    fields : Counter of str
        Number of compared fields by the stage of the model that they come from.
    exact : Counter of str
        Number of fields that agree, by stage.
    differences : list of Difference
        The fields that are not equal.
    left_out : int
        Lines that only one of the two layouts has.
    """

    fields: Counter[str]
    exact: Counter[str]
    differences: list[Difference]
    left_out: int

    def by_verdict(self, verdict: str) -> list[Difference]:
        """Return the differences with a verdict.

        Parameters
        ----------
        verdict : str
            "deviating", "tolerated" or "explained".

        Returns
        -------
        list of Difference
        """
        return [d for d in self.differences if d.verdict == verdict]

    @property
    def worst(self) -> Difference | None:
        """The largest difference that no reason covers, or else the largest."""
        return max(self.differences, key=lambda d: (d.verdict == "deviating", d.size), default=None)


def compare(expected: Stats, got: Stats, inexact: list[str], *, tolerance: float = 0.0) -> Comparison:
    """Compare two stats texts field by field.

    Integers are compared exactly, and reals to the printed digits. A field that is not equal and has no known
    reason deviates.

    Parameters
    ----------
    expected : Stats
        The text of the reference.
    got : Stats
        The text that is compared with it.
    inexact : list of str
        Names of the tensors that bring a tolerance (see `sparsim.check.tolerated_differences`).
    tolerance : float, default 0.0
        Relative difference up to which a field does not deviate.

    Returns
    -------
    Comparison

    Notes
    -----
    Against the layout of the releases of 2022, fields that only one side has are left out and do not deviate.
    So are loop nests, which not all of 4.x print.
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
