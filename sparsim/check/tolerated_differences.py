"""The differences that do not count as deviations, each with its reason.

*Tolerated*: the reference itself is inexact. *Explained*: a report published in 2022, made by an earlier
release, counts something in another way; where that way is a formula, the published number must follow by it
from other numbers of the same report, to the printed digits.
"""

import math
from collections.abc import Callable

from sparsim.check.report_fields import Difference, stage
from sparsim.files.timeloop.stats_reader import Key, Stats, Value
from sparsim.model.result import single_ratio

TOLERATED = "the reference computes inexact probabilities above 104,729 points, here for {tensors}"
LOG_GAMMA = (
    "the releases of 2022 computed hypergeometric probabilities from logarithms of the gamma function, so "
    "some counts differ by 1 or 2"
)
RUN_LENGTHS = (
    "the release of the Eyeriss-v2 reports counted a run length for each nonzero, and 3.0.3 counts fewer "
    "where a fiber can be empty"
)
HOPS = (
    "the releases of 2022 computed the average number of hops from fan-out and multicast factor in closed "
    "form, and 3.0.3 follows each multicast on the mesh"
)
INTENSITY = (
    "the release of the Eyeriss-v2 reports computed operational intensity from the accesses of one instance "
    "after sparsity, and 3.0.3 from those of all instances before sparsity"
)
FOLLOWS = "the real numbers follow from counts that differ"
EXPLANATIONS = (HOPS, INTENSITY, RUN_LENGTHS, LOG_GAMMA, FOLLOWS)

_SUMS = ("Total ops", "Address generations (per-cluster)")  # sums of two counts
_AFTER_PROBABILITIES = ("sparse counts", "formats", "cost", "summary")


def excuse(differences: list[Difference], expected: Stats, inexact: list[str]) -> list[Difference]:
    """Give the differences that have an excuse their verdict and reason; the others stay as they are.

    Dense counts, networks (but for the hops of 2022) and specs have none.
    """
    old = expected.old_layout
    verdict = "explained" if old else "tolerated"
    by_two = LOG_GAMMA if old else TOLERATED.format(tensors=", ".join(inexact))
    reasons = {}
    for d in differences:
        reason = _rule_of_2022(d, expected) if old else ""
        most = 4 if old and d.key.field in _SUMS else 2
        if inexact and stage(d.key) in _AFTER_PROBABILITIES and _gap(d.expected, d.got) <= most:
            reason = reason or by_two
        reasons[d.key] = reason
    # Sums and quotients of counts change by at most twice the largest relative change of a count.
    change = 2 * max(
        (_change(d) for d in differences if reasons[d.key] and d.key.section == "levels"), default=0
    )
    for d in differences:
        if change and stage(d.key) in _AFTER_PROBABILITIES and _follows(d.key, d.expected, d.got, change):
            reasons[d.key] = reasons[d.key] or (FOLLOWS if old else by_two)
    return [d._replace(verdict=verdict, reason=reasons[d.key]) if reasons[d.key] else d for d in differences]


def _gap(expected: Value | None, got: Value | None) -> float:
    """Largest difference of two counts, or of two lists of counts; inf for anything else."""
    if isinstance(expected, tuple) and isinstance(got, tuple) and len(expected) == len(got):
        return max((_gap(a, b) for a, b in zip(expected, got, strict=True)), default=math.inf)
    return abs(expected - got) if isinstance(expected, int) and isinstance(got, int) else math.inf


def _change(difference: Difference) -> float:
    """Largest relative difference of counts, at most 1."""

    def relative(expected: Value | None, got: Value | None) -> float:
        if isinstance(expected, tuple) and isinstance(got, tuple):
            return max(map(relative, expected, got), default=0.0)
        if isinstance(expected, int) and isinstance(got, int) and expected != got:
            return abs(expected - got) / max(abs(expected), abs(got))
        return 0.0

    return relative(difference.expected, difference.got)


def _follows(key: Key, expected: Value | None, got: Value | None, change: float) -> bool:
    """Whether two reals, or lists of reals, differ by no more than `change` and the last printed digit."""
    if isinstance(expected, tuple) and isinstance(got, tuple) and len(expected) == len(got):
        return all(_follows(key, a, b, change) for a, b in zip(expected, got, strict=True))
    if not isinstance(expected, float) or not isinstance(got, float):
        return False
    digit = 10.0 ** (math.floor(math.log10(expected)) - 2) if key.field.startswith("EDP") else 0.01
    return abs(expected - got) <= change * abs(expected) + 1.01 * digit


def old_labels(stats: Stats) -> dict[Key, Value]:
    """Our fields under the labels and in the units of 2022: energies per compute in pJ."""
    ours: dict[Key, Value] = {}
    for key, value in stats.fields.items():
        if key.field.startswith("fJ/") and isinstance(value, float):
            ours[key._replace(field="p" + key.field[1:])] = value / 1000
        else:
            ours[key] = value
    return ours


def _rule_of_2022(difference: Difference, expected: Stats) -> str:
    """The reason, if the published value follows from its report by the rule of its release, else ""."""
    value = difference.expected
    if isinstance(value, int | float):
        for field, rule, text in _RULES:
            if difference.key.field == field and abs(value - rule(difference.key, expected)) <= 0.00501:
                return text
    if _run_length_per_nonzero(difference, expected):
        return RUN_LENGTHS
    return ""


def _hops(key: Key, stats: Stats) -> float:
    """Return the average hops over the multicast factors, by a closed form for a square fan-out."""
    fields = {k.field: v for k, v in stats.fields.items() if k[:4] == key[:4]}
    side = math.sqrt(_number(fields["Fanout"]))
    hops = total = 0.0
    for label, ingresses in fields.items():
        if label.startswith("Ingresses @multicast "):
            reach = math.sqrt(int(label.split()[2]))
            hops += _number(ingresses) * (side * reach + 0.5 * (side - reach) - side / reach + 0.5)
            total += _number(ingresses)
    return hops / total if total else 0.0


def _accesses(key: Key, stats: Stats) -> float:
    kinds = tuple(f"Actual scalar {kind} (per-instance)" for kind in ("reads", "fills", "updates"))
    return sum(_number(v) for k, v in stats.fields.items() if k.level == key.level and k.field in kinds)


def _ops_per_byte(key: Key, stats: Stats) -> float:
    ops = _number(stats.fields[Key("intensity", "", "", "", "Total ops")])
    word_bits = _number(stats.fields.get(Key("levels", key.level, "SPECS", "", "Data word bits")))
    bytes_moved = word_bits * _accesses(key, stats) // 8
    return math.nan if math.isnan(bytes_moved) else single_ratio(int(ops), int(bytes_moved))


_RULES: tuple[tuple[str, Callable[[Key, Stats], float], str], ...] = (
    ("Average number of hops", _hops, HOPS),
    ("Total scalar accesses", _accesses, INTENSITY),
    ("Op per Byte", _ops_per_byte, INTENSITY),
)


def _run_length_per_nonzero(difference: Difference, expected: Stats) -> bool:
    """Return whether ranks differ only where the published numbers of metadata words and data words are
    equal.
    """
    key = difference.key
    data = key.field.replace("scalar format", "scalar").replace("Repr format", "data")
    words = expected.fields.get(key._replace(field=data))
    ranks, ours = difference.expected, difference.got
    if not isinstance(words, int) or not isinstance(ranks, tuple) or not isinstance(ours, tuple):
        return False
    return len(ranks) == len(ours) and all(
        _gap(rank, mine) <= 2 or _gap(rank, (words, 0)) <= 2 for rank, mine in zip(ranks, ours, strict=True)
    )


def _number(value: Value | None) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
