"""Writer of the tables of docs/results/validation.md, from the committed suite and recorded results of
others.
"""

import csv
import datetime
from collections.abc import Sequence
from pathlib import Path

from sparsim.check.check_case import Outcome, run_case, total
from sparsim.check.report_fields import STAGES
from sparsim.check.tolerated_differences import EXPLANATIONS
from sparsim.fileio.json_and_csv import write_csv
from sparsim.report.comparison_report import verdict
from sparsim.report.tables import Block, Table, write_blocks
from validation.case_folders import digest, find_cases

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "results" / "validation.md"
RECORDED = Path(__file__).parent / "recorded.csv"
COMMITTED = Path(__file__).parent / "references"
_COLUMNS = (
    "suite", "accounting", "cases", "fields", "exact", "tolerated", "explained", "left_out", "deviating",
    "worst_deviation", "worst_field", "digest", "date",
)  # fmt: skip


def write() -> None:
    """Evaluate the committed suite and write the tables of the page."""
    outcomes = [run_case(case, "timeloop-3") for case in find_cases(COMMITTED, "timeloop-3")]
    write_blocks(PAGE, blocks(outcomes, read_recorded()))


def record(suite: str, accounting: str, outcomes: Sequence[Outcome]) -> None:
    """Store the result of one suite in `recorded.csv`, in place of an earlier one."""
    totals = total(outcomes)
    row = {
        "suite": suite,
        "accounting": accounting,
        "cases": totals.cases,
        "fields": totals.fields,
        "exact": totals.exact,
        "tolerated": totals.tolerated,
        "explained": totals.explained,
        "left_out": totals.left_out,
        "deviating": totals.deviating,
        "worst_deviation": f"{totals.worst.size if totals.worst else 0:.3g}",
        "worst_field": f"{totals.worst_case}: {totals.worst.key}" if totals.worst else "",
        "digest": digest(o.case for o in outcomes)[:16],
        "date": datetime.date.today().isoformat(),
    }
    rows = {(r["suite"], r["accounting"]): r for r in read_recorded()}
    rows[suite, accounting] = {key: str(value) for key, value in row.items()}
    write_csv(RECORDED, [rows[key] for key in sorted(rows)])


def read_recorded() -> list[dict[str, str]]:
    if not RECORDED.is_file():
        return []
    with RECORDED.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def blocks(outcomes: Sequence[Outcome], recorded: Sequence[dict[str, str]]) -> dict[str, Block]:
    """Return the content of the marked places of the page."""
    totals = total(outcomes)
    stages = []
    for stage in STAGES:
        exact = sum(o.comparison.exact[stage] for o in outcomes)
        stages.append((stage, sum(o.comparison.fields[stage] for o in outcomes), exact))
    cases = []
    for outcome in outcomes:
        evaluation, comparison = outcome.evaluation, outcome.comparison
        numbers = (evaluation.cycles, f"{evaluation.energy_pj / 1e6:.6f}") if evaluation else ("", "")
        fields = f"{comparison.exact.total()}/{comparison.fields.total()}"
        cases.append((outcome.case.name, *numbers, fields, verdict(outcome)))
    columns = [column for column in _COLUMNS if column != "worst_field"]
    rows = [tuple(row[column] for column in columns) for row in recorded]
    return {
        "committed": [
            f"{totals.cases} cases of our own, random and written, answered by Timeloop 3.0.3: "
            f"{totals.exact} of {totals.fields} fields exact."
        ],
        "stages": Table(("stage", "fields", "exact"), stages),
        "cases": Table(("case", "cycles", "energy, uJ", "exact fields", "verdict"), cases),
        "recorded": Table([column.replace("_", " ") for column in columns], rows, text=(0, 1)),
        "explanations": [f"{text[0].upper()}{text[1:]}." for text in EXPLANATIONS],
    }
