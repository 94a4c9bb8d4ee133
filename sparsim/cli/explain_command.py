"""The command `sparsim explain`: where the energy and the cycles of a mapping come from."""

import click

from sparsim.cli.input_files import (
    accounting_option,
    files_argument,
    layer_option,
    masks_option,
    settings_option,
    trust_option,
)
from sparsim.cli.model_command import evaluate_files
from sparsim.report.console import results


@click.command()
@files_argument
@accounting_option
@masks_option
@layer_option
@settings_option
@trust_option
def explain(
    files: tuple[str, ...],
    accounting: str | None,
    masks: tuple[str, ...],
    layer: str | None,
    settings: tuple[str, ...],
    trust: bool,
) -> None:
    """Show where the energy and the cycles of a mapping come from."""
    _, _, evaluation = evaluate_files(files, accounting, masks, layer, settings, trust)

    from sparsim.report.explain import explanation

    console = results(width=100)
    for part in explanation(evaluation):
        console.print(part)
