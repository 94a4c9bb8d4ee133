"""Two stats texts, field by field and stage by stage."""

from __future__ import annotations

import math
from collections import Counter
from typing import NamedTuple

from sparsim.timeloop.stats_read import Key, Stats, Value

STAGES = (
    "answer", "specs", "dense counts", "sparse counts", "formats", "cost", "networks", "summary", "text",
)  # fmt: skip

# Fields of a tensor or level by the stage that makes them; what is not listed is a sparse count.
_DENSE = (
    "Loop nest",
    "Partition size",
    "Data tile shape",
    "Utilized capacity",
    "Algorithmic ",
    "Scalar ",
    "Computes ",
)
_FORMATS = ("Tile density distribution", "Representation format", "Max utilized Repr format")
_COST = ("Cycles", "Bandwidth", "Energy", "Area")


def stage(key: Key) -> str:
    """The stage of the model that a field comes from, one of `STAGES`."""
    if key.section == "networks":
        return "networks"
    if key.section in ("intensity", "summary"):
        return "summary"
    if key.block == "SPECS":
        return "specs"
    if key.field.startswith(_DENSE):
        return "dense counts"
    if key.field.startswith(_FORMATS) or "scalar format" in key.field:
        return "formats"
    if any(word in key.field for word in _COST):
        return "cost"
    return "sparse counts"


class Difference(NamedTuple):
    """A field that is not equal. `verdict`: deviating, or tolerated or explained for a stated `reason`."""

    key: Key
    expected: Value | None
    got: Value | None
    size: float  # relative; inf where there is no number to compare
    verdict: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.key}: expected {_show(self.expected)}, got {_show(self.got)}"


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


def compare(expected: Stats, got: Stats, inexact: list[str]) -> Comparison:
    """Integers exactly, reals to the printed digits. `inexact` names the tensors that bring a tolerance.

    Against the layout of the releases of 2022, fields that only one side has are left out, not deviating.
    """
    old = expected.old_layout
    ours = _old_labels(got) if old else got.fields
    fields: Counter[str] = Counter(answer=1)
    exact: Counter[str] = Counter(answer=1)
    differences, left_out = [], 0
    for key in expected.fields | ours:
        want, have = expected.fields.get(key), ours.get(key)
        if old and (want is None or have is None):
            left_out += 1
            continue
        if key == AREA:
            continue
        fields[stage(key)] += 1
        if _equal(key, want, have):
            exact[stage(key)] += 1
        else:
            verdict, reason = (
                ("explained", text) if old and (text := _explanation(key)) else ("deviating", "")
            )
            differences.append(Difference(key, want, have, _size(want, have), verdict, reason))
    if inexact:
        differences = _tolerate(differences, ", ".join(inexact))
    return Comparison(fields, exact, differences, left_out)


AREA = Key("summary", "", "", "", "Area")  # the reference loses the sum and prints 0.00


def _old_labels(stats: Stats) -> dict[Key, Value]:
    """Our fields under the labels of 2022: energies per compute in pJ."""
    return {key._replace(field=key.field.replace("fJ/", "pJ/")): value for key, value in stats.fields.items()}


def _equal(key: Key, expected: Value | None, got: Value | None) -> bool:
    if key.field.startswith("pJ/") and isinstance(expected, float) and isinstance(got, float):
        # ours is printed in fJ: both are roundings of one number if their intervals meet
        return abs(expected - got / 1000) <= 0.005 + 0.000005 or expected == got / 1000
    if isinstance(expected, float) and isinstance(got, float) and math.isnan(expected):
        return math.isnan(got)
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


def _show(value: Value | None) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_show, value)) + ")"
    return f"'{value}'" if isinstance(value, str) else str(value)


def _tolerate(differences: list[Difference], tensors: str) -> list[Difference]:
    """Counts may differ by 2, and reals, being sums and quotients of counts, by twice the largest relative
    change of a count (and the last printed digit). Dense counts, networks and specs have no such excuse."""
    reason = f"the reference's probabilities are inexact for {tensors} with more than 104,729 points"
    sparse = [d for d in differences if d.verdict == "deviating" and stage(d.key) in _AFTER_PROBABILITIES]
    counts = [d for d in sparse if _count_gap(d.expected, d.got) <= 2]
    change = max((d.size for d in counts), default=0.0)
    covered = {d.key for d in counts}
    covered |= {d.key for d in sparse if counts and _real_gap(d.expected, d.got, 2 * change) <= 0.0101}
    return [d._replace(verdict="tolerated", reason=reason) if d.key in covered else d for d in differences]


_AFTER_PROBABILITIES = ("sparse counts", "formats", "cost", "summary")


def _count_gap(expected: Value | None, got: Value | None) -> float:
    """Largest difference of two counts, or of two lists of counts; inf for anything else."""
    if isinstance(expected, tuple) and isinstance(got, tuple) and len(expected) == len(got):
        return max((_count_gap(a, b) for a, b in zip(expected, got, strict=True)), default=math.inf)
    both = isinstance(expected, int) and isinstance(got, int)
    return abs(expected - got) if both else math.inf


def _real_gap(expected: Value | None, got: Value | None, change: float) -> float:
    """What is left of the difference of two reals, or lists of reals, beyond the relative `change`."""
    if isinstance(expected, tuple) and isinstance(got, tuple) and len(expected) == len(got):
        return max((_real_gap(a, b, change) for a, b in zip(expected, got, strict=True)), default=math.inf)
    both = isinstance(expected, float) and isinstance(got, float)
    return abs(expected - got) - change * abs(expected) if both else math.inf


def _explanation(key: Key) -> str:
    """Why a field of a report of 2022 may differ, or ""."""
    return ""


EXPLANATIONS: tuple[str, ...] = ()
