"""The original PointNet++ study run again: 12 layers x dense/sparse x 2 designs, its mappings and densities.

    python -m pointnet.original [-o build/reproduction]

prints our numbers beside the published ones and writes study.csv, report.md and one figure per metric.
The published numbers were counted with the convention `timeloop-2022`; `timeloop-3` is given besides.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
from rich.progress import Progress

from pointnet.original.published_runs import DESIGNS, SHAPE, Run, runs
from sparsim.files.load import load_preset
from sparsim.model.evaluate import Accounting, evaluate
from sparsim.model.result import Evaluation
from sparsim.records import Density, Layer
from sparsim.report.console import messages, results

if TYPE_CHECKING:
    from pointnet.original.original_tables import Summary

PUBLISHED_ACCOUNTING: Accounting = "timeloop-2022"
ACCOUNTINGS: tuple[Accounting, ...] = (PUBLISHED_ACCOUNTING, "timeloop-3")
STEPS = (len(ACCOUNTINGS) + 1) * len(runs())


class Outcome(NamedTuple):
    run: Run
    accounting: Accounting
    evaluation: Evaluation


def evaluate_runs(
    accounting: Accounting = PUBLISHED_ACCOUNTING,
    *,
    change: Callable[[Layer], Layer] = lambda layer: layer,
    step: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """All runs under one accounting; `change` alters a layer before its run, `step` is called after it."""
    presets = {design: load_preset(name) for design, name in DESIGNS.items()}
    outcomes = []
    for run in runs():
        preset = presets[run.design]
        assert preset.architecture is not None
        evaluation = evaluate(
            preset.architecture,
            change(run.layer),
            preset.policy,
            preset.energy,
            run.mapping,
            accounting=accounting,
        )
        outcomes.append(Outcome(run, accounting, evaluation))
        step()
    return outcomes


def with_dense_weights(layer: Layer) -> Layer:
    """The layer as if no weight had been pruned."""
    return Layer(
        name=layer.name,
        shape=SHAPE,
        bounds=layer.bounds,
        densities={**layer.densities, "Weights": Density()},
    )


def reproduce(output: Path, step: Callable[[], None] = lambda: None) -> Summary:
    """Evaluate everything and write study.csv, report.md and the figures into `output`; `step` is called
    after each of the `STEPS` evaluations."""
    from pointnet.original import original_figures as plots
    from pointnet.original import original_tables as report

    outcomes = {accounting: evaluate_runs(accounting, step=step) for accounting in ACCOUNTINGS}
    unpruned = evaluate_runs(change=with_dense_weights, step=step)
    summary = report.summarise(outcomes[PUBLISHED_ACCOUNTING], outcomes["timeloop-3"], unpruned)
    output.mkdir(parents=True, exist_ok=True)
    report.write_csv(output / "study.csv", [o for group in outcomes.values() for o in group])
    report.write_markdown(output / "report.md", summary)
    plots.write_figures(output, outcomes[PUBLISHED_ACCOUNTING])
    return summary


@click.command(help=__doc__)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/reproduction"),
    show_default=True,
)
def main(output: Path) -> None:
    from pointnet.original import original_tables as report

    console = results()
    with Progress(console=messages(), transient=True) as progress:
        task = progress.add_task("loading kernels (the very first run compiles them)", total=STEPS)

        def step() -> None:
            progress.update(task, advance=1, description="evaluating the study's runs")

        summary = reproduce(output, step)
    for table in report.tables(summary):
        console.print(table)
    console.print(f"wrote {output}/study.csv, report.md and the figures (PNG and SVG)", markup=False)
    console.print(summary.closing_line(), style="bold")
