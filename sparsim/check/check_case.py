"""Evaluates recorded cases and compares them with the reference's answers."""

import re
import warnings
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from sparsim.check.compare_fields import UTILIZATION, Comparison, compare
from sparsim.check.recorded_case import Case, inexact_tensors
from sparsim.check.report_fields import Difference
from sparsim.errors import EnergyWarning, SparsimError
from sparsim.files.timeloop.stats_dialect import stats_text
from sparsim.files.timeloop.stats_reader import Key, Layout, Stats, parse_stats
from sparsim.files.timeloop_files import read_documents
from sparsim.model.evaluate import evaluate
from sparsim.model.result import Evaluation
from sparsim.records.accounting import Accounting

ANSWER = Key("answer", "", "", "", "mapping")
_ACCOUNTING: dict[Layout, Accounting] = {"2022": "timeloop-2022", "3": "timeloop-3", "4": "timeloop-4"}
_LOOPS = "MAPPING"  # a block that Timeloop 4.x wrote until 2024
TEXT = Key("text", "", "", "", "layout")


class Outcome(NamedTuple):
    """What comparing a recorded case has shown.

    Attributes
    ----------
    case : Case
        The case.
    comparison : Comparison
        Which fields agree.
    evaluation : Evaluation or None
        What the model says; None if the mapping is invalid.
    bad_input : str
        The sentence about inputs or an answer that could not be read, so that nothing was compared; otherwise
        empty.
    """

    case: Case
    comparison: Comparison
    evaluation: Evaluation | None
    bad_input: str = ""


def run_case(case: Case, accounting: Accounting | None, tolerance: float = 0.0) -> Outcome:
    """Evaluate one case and compare every field of its report.

    Parameters
    ----------
    case : Case
        The recorded case.
    accounting : str or None
        The convention of accounting; None stands for that of the program that wrote the report.
    tolerance : float, default 0.0
        Relative difference up to which a field does not deviate.

    Returns
    -------
    Outcome
        The comparison. `SparsimError` is never raised: errors become part of the outcome.
    """
    try:
        expected = None if case.rejected else case.stats()
    except SparsimError as error:
        return nothing_compared(case, str(error))
    usual = None if expected is None else _accounting_of(expected)
    try:
        documents = read_documents(case.documents).accounted(accounting or usual)
    except SparsimError as error:
        if case.rejected:
            return Outcome(case, _answer("rejected", "rejected"), None)
        return nothing_compared(case, str(error))
    if documents.mapping is None:
        return nothing_compared(case, f"no document of {case.folder} has a mapping")
    try:
        with warnings.catch_warnings():
            # the tables come from the reference, which has the same gaps
            warnings.simplefilter("ignore", EnergyWarning)
            evaluation = evaluate(
                documents.accelerator, documents.layer(), documents.mapping, accounting=documents.accounting
            )
        text = stats_text(evaluation, "4" if expected is not None and expected.layout == "4" else "3")
    except SparsimError as error:
        if expected is None:
            return Outcome(case, _answer("rejected", "rejected"), None)
        return Outcome(case, _answer("accepted", f"rejected: {error}", _wrapped(expected)), None)
    except Exception as error:  # a crash counts as the worst deviation, and the suite goes on
        answer = "rejected" if expected is None else "accepted"
        return Outcome(case, _answer(answer, f"crashed: {type(error).__name__}: {error}"), None)
    if expected is None:
        return Outcome(case, _answer("rejected", "accepted"), evaluation)
    got = parse_stats(text)
    comparison = compare(
        expected, got, inexact_tensors(documents.layer(), expected.old_layout), tolerance=tolerance
    )
    if not expected.old_layout and not comparison.differences and not comparison.left_out:
        _compare_text(comparison, case.answer.read_text(encoding="utf-8"), text)
    return Outcome(case, comparison, evaluation)


def _accounting_of(stats: Stats) -> Accounting:
    """The convention of the program that wrote a report."""
    found = _ACCOUNTING[stats.layout]
    old = found == "timeloop-4" and any(key.block == _LOOPS for key in stats.fields)
    return "timeloop-4-2024" if old else found


def nothing_compared(case: Case, why: str) -> Outcome:
    """Make the outcome of a case that could not be read.

    Parameters
    ----------
    case : Case
        The case.
    why : str
        What is wrong with it.

    Returns
    -------
    Outcome
    """
    return Outcome(case, Comparison(Counter(), Counter(), [], 0), None, why)


def _answer(expected: str, got: str, reason: str = "") -> Comparison:
    """Compare whether both sides accept or reject a case; `reason` explains a difference."""
    if expected == got:
        return Comparison(Counter(answer=1), Counter(answer=1), [], 0)
    verdict = "explained" if reason else "deviating"
    difference = Difference(ANSWER, expected, got, float("inf"), verdict, reason)
    return Comparison(Counter(answer=1), Counter(), [difference], 0)


def _wrapped(expected: Stats) -> str:
    """Return a reason if the reference's counts fell below 0 and wrapped around in 64 bits, else "". The
    model refuses such cases.
    """
    texts = (number for value in expected.fields.values() for number in re.findall(r"\d{19,}", str(value)))
    return "the reference's counts wrapped around in 64 bits" if any(int(n) >= 2**63 for n in texts) else ""


def _compare_text(comparison: Comparison, expected: str, got: str) -> None:
    """If all fields agree, the texts must agree too, except for the sign of nan and a utilization without
    cycles.
    """
    comparison.fields["text"] += 1
    pairs = zip(_plain(expected), _plain(got), strict=False)
    line = next(((a, b) for a, b in pairs if a != b), None)
    if line is None and len(_plain(expected)) == len(_plain(got)):
        comparison.exact["text"] += 1
    else:
        comparison.differences.append(Difference(TEXT, *(line or ("", "")), float("inf"), "deviating"))


def _plain(text: str) -> list[str]:
    text = text.replace("-nan", "nan").replace(f"{UTILIZATION}: nan", f"{UTILIZATION}: 0.00")
    return text.split("\n")


class Totals(NamedTuple):
    """Sums over a suite of cases.

    Attributes
    ----------
    cases : int
        Cases that were compared.
    fields, exact, tolerated, explained, deviating : int
        Fields that were compared, and how many of them agree, are within a tolerance, differ for a known
        reason, and deviate.
    left_out : int
        Lines that only one of the two layouts of reports has.
    worst : Difference or None
        The largest difference without an explanation.
    worst_case : str
        Name of the case that it belongs to.
    """

    cases: int
    fields: int
    exact: int
    tolerated: int
    explained: int
    deviating: int
    left_out: int
    worst: Difference | None
    worst_case: str


def total(outcomes: Iterable[Outcome]) -> Totals:
    """Sum up the outcomes of a suite.

    Parameters
    ----------
    outcomes : iterable of Outcome
        Outcomes of cases; those that could not be read are left out.

    Returns
    -------
    Totals
    """
    outcomes = [o for o in outcomes if not o.bad_input]
    counts = Counter(d.verdict for o in outcomes for d in o.comparison.differences)
    found = [(d, o.case.name) for o in outcomes for d in o.comparison.differences if d.verdict != "explained"]
    worst, where = max(
        found, key=lambda item: (item[0].verdict == "deviating", item[0].size), default=(None, "")
    )
    return Totals(
        cases=len(outcomes),
        fields=sum(o.comparison.fields.total() for o in outcomes),
        exact=sum(o.comparison.exact.total() for o in outcomes),
        tolerated=counts["tolerated"],
        explained=counts["explained"],
        deviating=counts["deviating"],
        left_out=sum(o.comparison.left_out for o in outcomes),
        worst=worst,
        worst_case=where,
    )


def closing_line(totals: Totals) -> str:
    """Write the line that scripts read.

    Parameters
    ----------
    totals : Totals
        Sums over a suite.

    Returns
    -------
    str
    """
    parts = [f"cases {totals.cases}", f"fields {totals.fields}", f"exact {totals.exact}"]
    parts.append(f"tolerated {totals.tolerated}")
    if totals.explained or totals.left_out:
        parts += [f"explained {totals.explained}", f"left out {totals.left_out}"]
    where = f" ({totals.worst_case}: {totals.worst.key})" if totals.worst else ""
    return ", ".join([*parts, f"worst deviation {totals.worst.size if totals.worst else 0:.3g}{where}"])
