"""The command `sparsim check`: recorded stats files against what the model says now."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sparsim.cli.input_files import accounting_option
from sparsim.cli.json_output import json_option, print_json
from sparsim.errors import SpecError
from sparsim.report.console import results

# Everything else is imported where it is used: --help must not wait for a compiler.
if TYPE_CHECKING:
    from sparsim.records.accounting import Accounting

LISTED = 20  # deviations of one case that are printed


@click.command()
@click.argument(
    "cases", nargs=-1, required=True, metavar="CASE...", type=click.Path(exists=True, path_type=Path)
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default="0, all printed digits must be equal",
    help="Largest relative difference that is accepted.",
)
@accounting_option
@json_option
def check(cases: tuple[Path, ...], tolerance: float, accounting: Accounting | None, as_json: bool) -> None:
    """Compare recorded stats of Timeloop with those of the model.

    A case is a file *stats.txt with its input documents beside it, the mapping among them; a CASE is such a
    file, or a folder in which all cases are checked, at any depth. Accesses are counted as the program did
    that wrote the stats. The exit code is 1 if a field deviates, and 2 if there is no case or one cannot be
    read.
    """
    from sparsim.check.check_case import run_case, total
    from sparsim.check.recorded_case import recorded_cases
    from sparsim.report.comparison_report import plain_report, print_report

    outcomes = []
    for path in cases:
        found = recorded_cases(path)
        if not found:
            raise SpecError("there is no file *stats.txt with YAML documents beside it", path=str(path))
        outcomes += [run_case(case, accounting, tolerance) for case in found]
    if as_json:
        print_json(plain_report(outcomes))
    else:
        print_report(results(width=160, highlight=False), outcomes, listed=LISTED)
    if any(outcome.bad_input for outcome in outcomes):
        sys.exit(2)
    sys.exit(1 if total(outcomes).deviating else 0)
