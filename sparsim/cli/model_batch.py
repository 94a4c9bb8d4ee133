"""Many evaluations in one process: `sparsim model --batch`."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsim.cli.json_output import print_json
from sparsim.errors import SparsimError, SparsimWarning
from sparsim.fileio.json_and_csv import write_csv
from sparsim.report.console import echo, layers_done

if TYPE_CHECKING:
    from sparsim.cli.case_lists import ListedCase
    from sparsim.model.result import Evaluation

    Say = Callable[[tuple[str, ...]], None]  # receives warnings
    EvaluateCase = Callable[[tuple[str, ...], Path, Say], tuple[Evaluation, str]]

_NUMBERS = ("cycles", "energy_pj", "utilization", "area_um2")


def run_batch(source: Path, out: Path, evaluate_case: EvaluateCase, *, as_json: bool) -> None:
    """Evaluate cases one after the other, each into its own folder, and write a table of all cases.

    If a case cannot be evaluated, the table and stderr have a message, and the batch continues.

    Parameters
    ----------
    source : Path
        The list of cases (see `listed_cases`).
    out : Path
        The folder of the results: `out/NAME` for each case, and the table `out/batch.csv`, which is also
        written when the batch is interrupted.
    evaluate_case : callable
        Called with the files of a case, its folder, and a function that receives warnings. Returns the
        evaluation and a text that says what was written.
    as_json : bool
        Whether the table is also printed as JSON.

    Raises
    ------
    SystemExit
        With code 1 if a case cannot be evaluated.
    """
    from sparsim.cli.case_lists import TABLE, listed_cases

    cases = listed_cases(source)
    out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    try:
        with layers_done(len(cases), unit="cases") as progress, warnings.catch_warnings():
            warnings.simplefilter("always", SparsimWarning)
            for case in cases:
                rows.append(_row(case, out / case.name, evaluate_case))
                progress(case.name)
    finally:
        write_csv(out / TABLE, rows)
    if as_json:
        print_json(rows)
    failed = sum(bool(row["error"]) for row in rows)
    warned = sum(bool(row["warnings"]) for row in rows)
    echo(
        f"{len(rows) - failed} of {len(rows)} cases evaluated, {warned} with warnings; "
        f"wrote {out / TABLE} and a folder for each case",
        err=as_json,
    )
    if failed:
        sys.exit(1)


def _row(case: ListedCase, folder: Path, evaluate_case: EvaluateCase) -> dict[str, Any]:
    """Evaluate a case and return its row, which has its warnings."""
    row: dict[str, Any] = {"case": case.name, **dict.fromkeys(_NUMBERS), "warnings": "", "error": ""}
    said: list[str] = []
    warnings.showwarning = lambda message, *_, **__: said.append(str(message))
    try:
        evaluation, _ = evaluate_case(case.files, folder, said.extend)
    except SparsimError as error:
        row["error"] = " ".join(str(error).split())
        echo(f"sparsim: {case.name}: {row['error']}", err=True)
    else:
        row.update((name, getattr(evaluation, name)) for name in _NUMBERS)
    row["warnings"] = "; ".join(" ".join(text.split()) for text in said)
    return row
