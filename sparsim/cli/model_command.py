"""The command `sparsim model`: evaluate one mapping."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sparsim.cli.common_options import folder_option, layer_option
from sparsim.cli.input_files import (
    Reading,
    accounting_option,
    files_argument,
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
from sparsim.errors import SpecError
from sparsim.fileio.json_and_csv import write_json
from sparsim.fileio.writing import write_text
from sparsim.report.console import echo, named_values

# Everything else is imported where it is used: --help must not wait for a compiler.
if TYPE_CHECKING:
    from sparsim.files.documents import Documents
    from sparsim.model.result import Evaluation
    from sparsim.records import Layer


@click.command()
@files_argument
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
    DIR/timeloop-model.stats.txt, .map.txt, .map.yaml, .ERT.yaml and .ART.yaml.
    """
    inputs, described, evaluation = evaluate_files(files, accounting, masks, layer, reading)

    from sparsim.files.timeloop.stats_dialect import stats_text
    from sparsim.files.timeloop.stats_writer import wrapped_counts

    output.mkdir(parents=True, exist_ok=True)
    stats, result = output / "sparsim.stats.txt", output / "sparsim.result.json"
    write_text(stats, stats_text(evaluation, dialect))
    write_json(result, evaluation)
    print_warnings(wrapped_counts(evaluation))
    if as_json:
        print_json(evaluation)
    else:
        echo(_summary(evaluation))
    echo(f"wrote {stats} and {result}", err=as_json)
    if timeloop_files:
        paths = write_timeloop_files(output, "timeloop-model", inputs, described, evaluation, dialect)
        echo(f"wrote {paths}", err=as_json)


def evaluate_files(
    files: tuple[str, ...],
    accounting: str | None,
    masks: tuple[str, ...],
    layer_name: str | None,
    reading: Reading,
) -> tuple[Documents, Layer, Evaluation]:
    """What the files hold, their layer, and the evaluation of the mapping."""
    documents = read_model(files, reading).accounted(accounting)  # type: ignore[arg-type]
    print_warnings(documents.warnings)
    layer = with_masks(documents.layer(layer_name), masks)
    if documents.mapping is None:
        raise SpecError("no 'mapping' given", path=documents.where)

    from sparsim.model.evaluate import evaluate

    evaluation = evaluate(
        documents.accelerator,
        layer,
        documents.mapping,
        accounting=documents.accounting,
    )
    return documents, layer, evaluation


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
