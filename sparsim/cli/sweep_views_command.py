"""The commands of `sparsim sweep` that read results: show, plot, export, check and report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparsim.cli.common_options import AT_LEAST_1, file_option, folder_option, seed_option
from sparsim.cli.json_output import json_option, print_json
from sparsim.errors import SpecError, require
from sparsim.fileio.writing import write_text
from sparsim.report.console import echo, fail, results

# Everything else is imported where it is used: --help must not wait for a compiler.
if TYPE_CHECKING:
    from sparsim.sweep.study import Direction
    from sparsim.sweep.sweep_view import SweepView

KINDS = ("pareto", "matrix", "parallel", "effects", "stack")
SUFFIXES = (".png", ".svg")

_folder = click.argument("folder", metavar="DIR")
_front = click.option("--front", metavar="NAME,...", help="Objectives to use in place of the study's.")


@click.command()
@_folder
@_front
@click.option(
    "--where", metavar="CONDITION", help='Only rows that meet this condition, such as "area_mm2 < 2".'
)
@click.option("--all", "is_all", is_flag=True, help="All rows, not only the front.")
@click.option("--csv", "is_csv", is_flag=True, help="Print CSV with all columns and digits.")
@json_option
def show(
    folder: str, front: str | None, where: str | None, is_all: bool, is_csv: bool, as_json: bool
) -> None:
    """Print the front of a sweep, or the front among the rows that fulfil a condition.

    The numbers in column `point` are those that `export` takes.
    """
    if is_csv and as_json:
        raise click.UsageError("--csv and --json cannot be used together")
    view = _view(folder)
    objectives = _objectives(view, front)
    found = view.frame if is_all else view.front(objectives, where or "")
    if is_all and where:
        found = view.where(found, where)
    if is_csv:
        print(found.to_csv(index=False), end="")
        return
    if as_json:
        print_json([row.dropna().to_dict() for _, row in found.iterrows()])
        return
    from sparsim.report.sweep_rows import point_table

    results().print(point_table(view, found, objectives, with_status=is_all))
    skipped = view.skipped
    if skipped and not is_all and (front or where):
        echo(
            f"{skipped} points were skipped as they cannot be on the study's front; they might be on this one"
        )


@click.command()
@_folder
@click.option("--kind", type=click.Choice(KINDS), default=KINDS[0], show_default=True, help="What is drawn.")
@file_option("DIR/KIND.png, or DIR/KIND.html with --html")
@click.option("--html", is_flag=True, help="An interactive page of parallel coordinates, with plotly.")
@_front
def plot(folder: str, kind: str, output: Path | None, html: bool, front: str | None) -> None:
    """Draw the results of a sweep.

    pareto: the front. matrix: objectives and axes against each other. parallel: a line per point. effects:
    what each axis does by itself. stack: energy by component along the front. FILE ends in .png or .svg,
    or in .html with --html.
    """
    view = _view(folder)
    objectives = _objectives(view, front)
    if view.ok.empty:
        raise SpecError("no point has results to draw", path=folder)
    path = output or Path(folder) / f"{kind}{'.html' if html else '.png'}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if html:
        from sparsim.report.sweep_html_figure import parallel_page

        if kind not in (KINDS[0], "parallel") or path.suffix != ".html":
            raise SpecError("--html draws parallel coordinates only, and writes a file that ends in .html")
        write_text(path, parallel_page(view, objectives))
    else:
        if path.suffix not in SUFFIXES:
            raise SpecError(
                f"'{path.suffix}' is not a supported image format; use .png or .svg", path=str(path)
            )
        require("matplotlib", "a picture", "sweep")
        from sparsim.report.figure_style import write_figure
        from sparsim.report.sweep_figures import KINDS as DRAW

        write_figure(DRAW[kind](view, objectives), path)
    echo(f"wrote {path}")


@click.command()
@_folder
@click.argument("point", type=click.IntRange(min=0))
@folder_option(required=True)
@click.option("--timeloop", is_flag=True, help="Also write documents for Timeloop, into timeloop/LAYER.")
def export(folder: str, point: int, output: Path, timeloop: bool) -> None:
    """Write the design of a POINT as documents, and the mapping of each layer.

    In the folder of -o, `sparsim model design.yaml layers/LAYER/*.yaml` evaluates a layer, `sparsim mapper
    design.yaml workload.yaml` searches again, and `sparsim chip` takes the same two of a chip.
    """
    from sparsim.sweep.exported_design import export_point, row_of
    from sparsim.sweep.results import SweepResult

    result = SweepResult(folder)
    row = row_of(result, point)
    written = export_point(result, point, output, timeloop=timeloop)
    echo(f"wrote {len(written)} documents to {output}")
    if row["status"] != "ok":
        reason = (row["reason"] or "").strip().split("\n")[-1]
        echo(f"point {point} is {row['status']}, so its layers have no mappings: {reason}")


@click.command()
@_folder
@click.option("-n", "--number", type=AT_LEAST_1, default=20, show_default=True, help="Number of points.")
@seed_option
@json_option
def check(folder: str, number: int, seed: int, as_json: bool) -> None:
    """Evaluate some points again, chosen at random, and compare bit for bit.

    The exit code is 1 if a number differs.
    """
    from sparsim.sweep.exported_design import check_rows
    from sparsim.sweep.results import SweepResult

    compared, found = check_rows(SweepResult(folder), number, seed)
    if as_json:
        print_json({"compared": compared, "differences": [each._asdict() for each in found]})
    else:
        for each in found:
            echo(f"point {each.point}: {each.column} is recorded as {each.recorded!r}, now {each.found!r}")
    if found:
        columns = ", ".join(dict.fromkeys(each.column for each in found))
        points = len({each.point for each in found})
        fail("sparsim", f"{points} of {compared} points differ, in {columns}", 1)
    echo(f"{compared} points evaluated again, all equal", err=as_json)


@click.command()
@_folder
@file_option("DIR/report.html")
def report(folder: str, output: Path | None) -> None:
    """Write a page that says which designs are worth building, with all pictures inside."""
    require("matplotlib", "a report", "sweep")
    from sparsim.report.sweep_report import report_page

    path, text = output or Path(folder) / "report.html", report_page(_view(folder))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    echo(f"wrote {path}")


def _view(folder: str) -> SweepView:
    from sparsim.sweep.sweep_view import SweepView

    return SweepView(folder)


def _objectives(view: SweepView, front: str | None) -> dict[str, Direction]:
    if front is None:
        return view.objectives
    return view.named_objectives([name.strip() for name in front.split(",")])


COMMANDS: tuple[Any, ...] = (show, plot, export, check, report)
