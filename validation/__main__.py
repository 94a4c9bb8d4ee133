"""`python -m validation`: compare the model with Timeloop's answers, case by case and field by field."""

import sys
from pathlib import Path

import click
from rich.progress import track

from sparsim.check.check_case import Outcome, run_case, total
from sparsim.check.recorded_case import Case
from sparsim.records.accounting import Accounting
from sparsim.report.comparison_report import print_report
from sparsim.report.console import messages, results, run
from validation import live_timeloop as live
from validation import validation_page as docs
from validation.case_folders import find_cases

COMMITTED = Path(__file__).parent / "references"


@click.command()
@click.argument("dirs", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--accounting", type=click.Choice(("timeloop-3", "timeloop-2022", "count-all")), default="timeloop-3"
)
@click.option(
    "--live", "live_cases", type=click.IntRange(min=1), help="Draw this many cases; run timeloop-model too."
)
@click.option("--seed", type=int, default=1, help="Of --live.")
@click.option(
    "--write-docs",
    is_flag=True,
    help="Record the result and write the tables of docs/results/validation.md anew.",
)
def main(
    dirs: tuple[Path, ...], accounting: Accounting, live_cases: int | None, seed: int, write_docs: bool
) -> None:
    """Run every case folder below DIRS (default: the committed cases).

    Exits with 0 if all fields agree, 1 on any deviation, 2 without cases, with unreadable ones, if
    timeloop-model is missing, or where it has no answer.
    """
    console = results(width=160, highlight=False)
    if live_cases is not None:
        sys.exit(live.run(console, live_cases, seed))
    status = 0
    suites = {}
    for folder in dirs or (COMMITTED,):
        cases = find_cases(folder, accounting)
        if not cases:
            console.print(
                f"no case folder (YAML documents and a stats.txt) at or below {folder}", markup=False
            )
            sys.exit(2)
        suites[folder] = run_cases(cases, accounting)
    outcomes = [outcome for suite in suites.values() for outcome in suite]
    print_report(console, outcomes)
    if any(o.bad_input for o in outcomes):
        status = 2
    elif total(outcomes).deviating:
        status = 1
    if write_docs and not docs.PAGE.parent.is_dir():
        console.print(f"--write-docs needs a checkout of the repository, {docs.PAGE.parent} is not there")
        sys.exit(2)
    if write_docs:
        for folder, suite in suites.items():
            if dirs and not any(o.bad_input for o in suite):
                docs.record(folder.resolve().name, accounting, suite)
        docs.write()
    sys.exit(status)


def run_cases(cases: list[Case], accounting: Accounting) -> list[Outcome]:
    progress = track(cases, "comparing", console=messages(), transient=True)
    return [run_case(case, accounting) for case in progress]


if __name__ == "__main__":
    run(main, "python -m validation")
