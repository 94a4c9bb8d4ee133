"""`python -m validation`: compare the model with Timeloop's answers, case by case and field by field."""

import sys
from pathlib import Path

import click
from rich.progress import track

from sparsim.check.check_case import Outcome, run_case, total
from sparsim.cli.common_options import ACCOUNTING_HELP, AT_LEAST_1, seed_option, write_docs_option
from sparsim.cli.json_output import json_option, print_json
from sparsim.records.accounting import Accounting
from sparsim.report.comparison_report import plain_report, print_report
from sparsim.report.console import echo, fail, messages, results, run
from validation import live_timeloop as live
from validation import validation_page as docs
from validation.case_folders import find_cases

NAME = "python -m validation"
COMMITTED = Path(__file__).parent / "references"


@click.command()
@click.argument("dirs", nargs=-1, metavar="[DIR...]", type=click.Path(path_type=Path))
@click.option(
    "--accounting",
    type=click.Choice(("timeloop-3", "timeloop-2022", "count-all")),
    default="timeloop-3",
    show_default=True,
    help=ACCOUNTING_HELP,
)
@click.option("--live", "live_cases", type=AT_LEAST_1, help="Draw this many cases; run timeloop-model too.")
@seed_option
@write_docs_option
@json_option
def main(
    dirs: tuple[Path, ...],
    accounting: Accounting,
    live_cases: int | None,
    seed: int,
    write_docs: bool,
    as_json: bool,
) -> None:
    """Run every case folder below each DIR (default: the committed cases).

    Exits with 0 if all fields agree, 1 on any deviation, 2 without cases, with unreadable ones, if
    timeloop-model is missing, or where it has no answer. With --live the cases are drawn with --seed.
    """
    suites: dict[Path, list[Outcome]] = {}
    if live_cases is not None:
        outcomes, notes = live.compare(live_cases, seed)
    else:
        for folder in dirs or (COMMITTED,):
            suites[folder] = run_cases(folder, accounting)
        outcomes, notes = [outcome for suite in suites.values() for outcome in suite], []
    if as_json:
        print_json(plain_report(outcomes))
    else:
        print_report(results(width=160, highlight=False), outcomes)
    for line in notes:
        echo(line, err=as_json)
    if write_docs and not docs.PAGE.parent.is_dir():
        fail(NAME, f"--write-docs needs a checkout of the repository, {docs.PAGE.parent} is not there")
    if write_docs:
        for folder, suite in suites.items():
            if dirs and not any(o.bad_input for o in suite):
                docs.record(folder.resolve().name, accounting, suite)
        docs.write()
    if any(outcome.bad_input for outcome in outcomes):
        sys.exit(2)
    sys.exit(1 if total(outcomes).deviating else 0)


def run_cases(folder: Path, accounting: Accounting) -> list[Outcome]:
    cases = find_cases(folder, accounting)
    if not cases:
        fail(NAME, f"no case folder (YAML documents and a stats.txt) at or below {folder}")
    progress = track(cases, "comparing", console=messages(), transient=True)
    return [run_case(case, accounting) for case in progress]


if __name__ == "__main__":
    run(main, NAME)
