"""The original PointNet++ study run again: 12 layers x dense/sparse x 2 designs, its mappings and densities.

    python -m pointnet.original [-o build/reproduction]

prints our numbers beside the published ones and writes study.csv, report.md and one figure per quantity.
The published numbers were counted with the convention `timeloop-2022`; `timeloop-3` is given besides.
"""

from collections.abc import Callable
from pathlib import Path

import click
from rich.progress import Progress

from pointnet.original import original_tables
from pointnet.original.evaluated_runs import PUBLISHED_ACCOUNTING, evaluate_runs, with_dense_weights
from pointnet.original.original_tables import Summary
from pointnet.original.published_runs import runs
from sparsim.cli.common_options import folder_option
from sparsim.cli.json_output import json_option, print_json
from sparsim.errors import require
from sparsim.model.evaluate import Accounting
from sparsim.report.console import messages, results

ACCOUNTINGS: tuple[Accounting, ...] = (PUBLISHED_ACCOUNTING, "timeloop-3")
STEPS = (len(ACCOUNTINGS) + 1) * len(runs())


def reproduce(output: Path, step: Callable[[], None] = lambda: None) -> Summary:
    """Evaluate all runs of the original study, and write study.csv, report.md and the figures.

    Parameters
    ----------
    output : Path
        Folder for the files.
    step : callable, default lambda: None
        Called after each of the `STEPS` evaluations.

    Returns
    -------
    Summary
        Our numbers beside the published ones.

    Notes
    -----
    Raises `MissingLibraryError` if matplotlib is not installed.
    """
    require("matplotlib", "drawing figures", "plot")
    from pointnet.original.original_figures import write_figures  # importing matplotlib takes a second

    outcomes = {accounting: evaluate_runs(accounting, step=step) for accounting in ACCOUNTINGS}
    unpruned = evaluate_runs(change=with_dense_weights, step=step)
    summary = original_tables.summarise(outcomes[PUBLISHED_ACCOUNTING], outcomes["timeloop-3"], unpruned)
    output.mkdir(parents=True, exist_ok=True)
    original_tables.write_runs(output / "study.csv", [o for group in outcomes.values() for o in group])
    original_tables.write_markdown(output / "report.md", summary)
    write_figures(output, outcomes[PUBLISHED_ACCOUNTING])
    return summary


@click.command(help=__doc__)
@folder_option("build/reproduction")
@json_option
def main(output: Path, as_json: bool) -> None:
    with Progress(console=messages(), transient=True) as progress:
        task = progress.add_task("loading kernels (the very first run compiles them)", total=STEPS)

        def step() -> None:
            progress.update(task, advance=1, description="evaluating the study's runs")

        summary = reproduce(output, step)
    if as_json:
        print_json(original_tables.plain(summary))
    else:
        results().print(*original_tables.tables(summary), sep="\n")
    console = messages() if as_json else results()
    console.print(f"wrote {output}/study.csv, report.md and the figures (PNG and SVG)", markup=False)
    console.print(summary.closing_line(), style="bold")
