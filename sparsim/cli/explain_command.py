"""The command `sparsim explain`: where the energy and the cycles of a mapping come from."""

import click

from sparsim.cli.common_options import layer_option
from sparsim.cli.input_files import (
    Reading,
    accounting_option,
    files_argument,
    masks_option,
    reading_options,
)
from sparsim.cli.json_output import json_option, print_json
from sparsim.cli.model_command import evaluate_files
from sparsim.report.console import results


@click.command()
@files_argument
@accounting_option
@masks_option
@layer_option
@reading_options
@json_option
def explain(
    files: tuple[str, ...],
    accounting: str | None,
    masks: tuple[str, ...],
    layer: str | None,
    reading: Reading,
    as_json: bool,
) -> None:
    """Show where the energy and the cycles of a mapping come from."""
    _, _, evaluation = evaluate_files(files, accounting, masks, layer, reading)

    if as_json:
        print_json(evaluation)
        return

    from sparsim.report.explain import explanation

    console = results(width=100)
    for part in explanation(evaluation):
        console.print(part)
