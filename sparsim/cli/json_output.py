"""The option --json: results on stdout as one JSON document, in place of tables."""

from pathlib import Path
from typing import Any

import click

from sparsim.fileio.json_and_csv import json_text

json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the results as one JSON document and nothing else; warnings go to stderr.",
)


def print_json(content: Any) -> None:
    """Print records or plain data; nan and infinity become null."""
    click.echo(json_text(content), nl=False)


def print_json_file(path: Path) -> None:
    """Print a JSON document that was written just now."""
    click.echo(path.read_text(encoding="utf-8"), nl=False)
