"""The command `sparsim model`: evaluate one mapping."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sparsim.cli.input_files import (
    accounting_option,
    files_argument,
    layer_option,
    masks_option,
    print_warnings,
    read_model,
    settings_option,
    trust_option,
    with_masks,
)
from sparsim.errors import SpecError
from sparsim.fileio.json_and_csv import write_json
from sparsim.fileio.writing import write_text
from sparsim.report.console import echo, named_values

# Everything else is imported where it is used: --help must not wait for a compiler.
if TYPE_CHECKING:
    from sparsim.model.result import Evaluation


@click.command()
@files_argument
@click.option("-o", "out", default=".", metavar="DIR", help="Folder of the two output files.  [default: .]")
@accounting_option
@masks_option
@layer_option
@settings_option
@trust_option
def model(
    files: tuple[str, ...],
    out: str,
    accounting: str | None,
    masks: tuple[str, ...],
    layer: str | None,
    settings: tuple[str, ...],
    trust: bool,
) -> None:
    """Evaluate one mapping, as timeloop-model does.

    The FILEs, Timeloop's documents or our own, describe accelerator, layer and mapping, in any order. Writes
    DIR/sparsim.stats.txt, in Timeloop's layout, and DIR/sparsim.result.json.
    """
    evaluation = evaluate_files(files, accounting, masks, layer, settings, trust)

    from sparsim.files.timeloop.stats_writer import wrapped_counts, write_stats

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    stats, result = folder / "sparsim.stats.txt", folder / "sparsim.result.json"
    write_text(stats, write_stats(evaluation))
    write_json(result, evaluation)
    print_warnings(wrapped_counts(evaluation))
    echo(_summary(evaluation))
    echo(f"wrote {stats} and {result}")


def evaluate_files(
    files: tuple[str, ...],
    accounting: str | None,
    masks: tuple[str, ...],
    layer_name: str | None,
    settings: tuple[str, ...],
    trust: bool,
) -> Evaluation:
    """The evaluation of the mapping that the files hold."""
    documents = read_model(files, settings, trust).accounted(accounting)  # type: ignore[arg-type]
    print_warnings(documents.warnings)
    layer = with_masks(documents.layer(layer_name), masks)
    if documents.mapping is None:
        raise SpecError("no 'mapping' given", path=documents.where)

    from sparsim.model.evaluate import evaluate

    return evaluate(
        documents.accelerator,
        layer,
        documents.mapping,
        accounting=documents.accounting,
    )


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
