"""The command `sparsim model`: evaluate one mapping."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sparsim.cli.common_options import folder_option, layer_option
from sparsim.cli.input_files import (
    Reading,
    accounting_option,
    masks_option,
    print_warnings,
    read_model,
    reading_options,
    stats_option,
    timeloop_files_option,
    with_masks,
    write_timeloop_files,
)
from sparsim.cli.json_output import json_option, print_json
from sparsim.cli.model_batch import run_batch
from sparsim.errors import SpecError
from sparsim.fileio.json_and_csv import write_json
from sparsim.fileio.writing import write_text
from sparsim.report.console import echo, named_values

# Everything else is imported where it is used: --help must not wait for a compiler.
if TYPE_CHECKING:
    from sparsim.cli.model_batch import Say
    from sparsim.files.documents import Documents
    from sparsim.model.result import Evaluation
    from sparsim.records import Layer


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE...]")
@click.option(
    "--batch",
    "cases",
    type=click.Path(exists=True, path_type=Path),
    metavar="LIST",
    help="Evaluate many cases in one process, in place of FILEs: a folder with a folder for each case, or a "
    "text file with lines 'NAME: FILE...'.",
)
@folder_option(".")
@accounting_option
@masks_option
@layer_option
@reading_options
@timeloop_files_option
@stats_option
@json_option
def model(
    files: tuple[str, ...],
    cases: Path | None,
    output: Path,
    accounting: str | None,
    masks: tuple[str, ...],
    layer: str | None,
    reading: Reading,
    timeloop_files: bool,
    dialect: str | None,
    as_json: bool,
) -> None:
    """Evaluate one mapping, as timeloop-model does.

    The FILEs, Timeloop's documents or our own, describe accelerator, layer and mapping, in any order. Writes
    DIR/sparsim.stats.txt, in Timeloop's layout, and DIR/sparsim.result.json; with --timeloop-files also
    DIR/timeloop-model.stats.txt, .map.txt, .map.yaml, .ERT.yaml and .ART.yaml. With --batch these files are
    written to DIR/NAME for every case, and DIR/batch.csv has a line for each; the exit code is 1 if some case
    cannot be evaluated.
    """
    if bool(files) == (cases is not None):
        raise SpecError("give either FILEs or --batch LIST")

    def evaluate_into(paths: tuple[str, ...], folder: Path, say: Say) -> tuple[Evaluation, str]:
        evaluated = evaluate_files(paths, accounting, masks, layer, reading, say)
        written = _write(
            folder, *evaluated, dialect, say, timeloop_files=timeloop_files, durable=cases is None
        )
        return evaluated[2], written

    if cases is not None:
        run_batch(cases, output, evaluate_into, as_json=as_json)
        return
    evaluation, written = evaluate_into(files, output, print_warnings)
    if as_json:
        print_json(evaluation)
    else:
        echo(_summary(evaluation))
    echo(f"wrote {written}", err=as_json)


def evaluate_files(
    files: tuple[str, ...],
    accounting: str | None,
    masks: tuple[str, ...],
    layer_name: str | None,
    reading: Reading,
    say: Say = print_warnings,
) -> tuple[Documents, Layer, Evaluation]:
    """Return the contents of the files, their layer, and the evaluation of the mapping."""
    documents = read_model(files, reading).accounted(accounting)  # type: ignore[arg-type]
    say(documents.warnings)
    layer = with_masks(documents.layer(layer_name), masks)
    if documents.mapping is None:
        raise SpecError("'mapping' is missing", path=documents.where, hint="sparsim mapper searches one")

    from sparsim.model.evaluate import evaluate

    evaluation = evaluate(
        documents.accelerator,
        layer,
        documents.mapping,
        accounting=documents.accounting,
    )
    return documents, layer, evaluation


def _write(
    folder: Path,
    inputs: Documents,
    layer: Layer,
    evaluation: Evaluation,
    dialect: str | None,
    say: Say,
    *,
    timeloop_files: bool,
    durable: bool,
) -> str:
    """Write the output files of one evaluation. Returns a description of each file and its path.

    A batch does not wait for the disk after each file, which takes as long as an evaluation.
    """
    from sparsim.files.timeloop.stats_dialect import stats_text
    from sparsim.files.timeloop.stats_writer import wrapped_counts

    folder.mkdir(parents=True, exist_ok=True)
    stats, result = folder / "sparsim.stats.txt", folder / "sparsim.result.json"
    write_text(stats, stats_text(evaluation, dialect), durable=durable)
    write_json(result, evaluation, durable=durable)
    say(wrapped_counts(evaluation))
    written = f"{stats} and {result}"
    if timeloop_files:
        paths = write_timeloop_files(folder, "timeloop-model", inputs, layer, evaluation, dialect)
        written += f", and {paths}"
    return written


def _summary(evaluation: Evaluation) -> str:
    lines = {
        "cycles": f"{evaluation.cycles:,}",
        "energy": f"{evaluation.energy_pj / 1e6:,.6g} uJ",
        "utilization": f"{evaluation.utilization:.1%}",
        "computes": f"{evaluation.actual_computes:,} of {evaluation.algorithmic_computes:,}",
        "area": f"{evaluation.area_um2 / 1e6:,.4g} mm^2" if evaluation.area_is_given else "not given",
        "energies": evaluation.energy_sources,
        "accounting": evaluation.accounting,
    }
    covers = [("divisibility", str(cover)) for cover in evaluation.covers]
    head = f"{evaluation.layer} on {evaluation.architecture}"
    return named_values([*lines.items(), *covers], head)
