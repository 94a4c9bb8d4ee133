"""The report on recorded cases: one row per case, and the differences."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from sparsim.check.check_case import Outcome, closing_line, total
from sparsim.check.report_fields import STAGES, Difference
from sparsim.report.tables import Table


def print_report(console: Console, outcomes: Sequence[Outcome], *, listed: int = 1) -> None:
    """Print one row per case, then the differences, with at most `listed` deviations of each case, then the
    closing line.
    """
    console.print(_table(outcomes))
    for outcome in outcomes:
        if outcome.bad_input:
            console.print(
                f"[red]{escape(outcome.case.name)}[/red]: {escape(outcome.bad_input)}", soft_wrap=True
            )
        deviating = outcome.comparison.by_verdict("deviating")
        if deviating:
            text = escape(f"{len(deviating)} deviating, the first is {deviating[0]}")
            console.print(f"[red]{escape(outcome.case.name)}[/red]: {text}", soft_wrap=True)
        for difference in deviating[1:listed]:
            console.print(f"    {escape(str(difference))}", soft_wrap=True)
        for difference in outcome.comparison.by_verdict("tolerated"):
            console.print(
                f"[yellow]{escape(outcome.case.name)}[/yellow]: tolerated {escape(str(difference))}",
                soft_wrap=True,
            )
    for line in explanations(outcomes):
        console.print(escape(line), soft_wrap=True)
    console.print(escape(closing_line(total(outcomes))), soft_wrap=True)


def _table(outcomes: Sequence[Outcome]) -> Table:
    rows = []
    for outcome in outcomes:
        fields, exact = outcome.comparison.fields, outcome.comparison.exact
        cells = [f"{exact[stage]}/{fields[stage]}" if fields[stage] else "" for stage in STAGES]
        rows.append((outcome.case.name, *cells, verdict(outcome)))
    return Table(("case", *STAGES, ""), rows)


def plain_report(outcomes: Sequence[Outcome]) -> list[dict[str, object]]:
    """Return a record per case for JSON: its verdict, the number of equal fields, and the differences."""
    return [
        {
            "case": outcome.case.name,
            "verdict": verdict(outcome),
            "bad_input": outcome.bad_input or None,
            "fields": sum(outcome.comparison.fields.values()),
            "exact": sum(outcome.comparison.exact.values()),
            "differences": [
                {"verdict": found.verdict, "text": str(found)} for found in outcome.comparison.differences
            ],
        }
        for outcome in outcomes
    ]


def verdict(outcome: Outcome) -> str:
    """One word for a case: exact, tolerated, explained, deviating or bad input."""
    if outcome.bad_input:
        return "bad input"
    found = {d.verdict for d in outcome.comparison.differences}
    if not found and outcome.case.rejected:
        return "both reject"
    return next((word for word in ("deviating", "tolerated", "explained") if word in found), "exact")


def explanations(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the reasons of all explained and tolerated differences, each with their number and an
    example.
    """
    by_reason: dict[str, list[tuple[str, Difference]]] = {}
    for outcome in outcomes:
        for difference in outcome.comparison.differences:
            if difference.reason:
                by_reason.setdefault(difference.reason, []).append((outcome.case.name, difference))
    return [
        f"{len(found)} fields: {reason}; for example {found[0][0]}, {found[0][1]}"
        for reason, found in by_reason.items()
    ]
