"""The command `sparsim convert`: documents of one form in another."""

from __future__ import annotations

from pathlib import Path

import click

from sparsim.cli.common_options import folder_option, layer_option
from sparsim.cli.input_files import (
    Reading,
    files_argument,
    print_warnings,
    read_everything,
    reading_options,
)
from sparsim.fileio.writing import write_text
from sparsim.report.console import echo


@click.command()
@files_argument
@folder_option(".")
@click.option(
    "--to",
    "form",
    type=click.Choice(("0.3", "0.4", "native")),
    default="0.3",
    show_default=True,
    help="Form of the output: a version of Timeloop's documents, or sparsim's own (native).",
)
@layer_option
@reading_options
def convert(files: tuple[str, ...], output: Path, form: str, layer: str | None, reading: Reading) -> None:
    """Turn documents of any form into another.

    The FILEs are Timeloop's documents or our own, in any order. A FILE *.map.txt, which a program of
    Timeloop wrote, is the mapping. Writes DIR/sparsim.yaml, or one file for each of Timeloop's top-level
    keys.
    """
    documents = read_everything(files, reading)
    print_warnings(documents.warnings)
    described = documents.layer(layer)

    from sparsim.files.convert_documents import converted

    texts = converted(documents, described, form)  # type: ignore[arg-type]
    output.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_text(output / name, text)
    echo(f"wrote {', '.join(texts)} to {output}")
    usual = {"0.3": "timeloop-3", "0.4": "timeloop-4"}.get(form, documents.accounting)
    if usual != documents.accounting:
        echo(f"use --accounting {documents.accounting} with these documents to get the same numbers")
