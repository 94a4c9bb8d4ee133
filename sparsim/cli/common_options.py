"""Options that several commands share: each has one name, one type and one help text, in all our programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
AT_LEAST_1 = click.IntRange(min=1)
SEED = click.IntRange(0, 2**53)  # the mapper, NumPy and torch take these
ACCOUNTING_HELP = "How first fills and first reads of results count, and which energies are charged."

seed_option = click.option(
    "--seed", type=SEED, default=0, show_default=True, help="Seed of all random choices."
)
masks_option = click.option(
    "--masks", type=FOLDER, metavar="DIR",
    help="Also write the masks of the zeros to this folder, and refer to them in the workload.",
)  # fmt: skip
layer_option = click.option("--layer", metavar="NAME", help="Use only the layer of this name.")
set_option = click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE",
    help="A value for the Jinja templates among Timeloop's documents.",
)  # fmt: skip
document_option = click.option(
    "--document", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="Also renew the tables in this document.",
)  # fmt: skip
write_docs_option = click.option(
    "--write-docs", is_flag=True, help="Renew the tables of the page of docs/results that shows this."
)


def folder_option(default: str | None = None, *, required: bool = False) -> Decorator:
    """-o DIR; without a default and not required, no files are written."""
    return click.option(
        "-o", "--output", type=FOLDER, required=required, metavar="DIR", help="Folder of the output files.",
        **shown_default(default, None if required else "no files are written"),
    )  # fmt: skip


def file_option(default: str | None = None) -> Decorator:
    """-o FILE; `default` describes what it is without the option, and None makes it required."""
    return click.option(
        "-o", "--output", type=FILE, required=default is None, metavar="FILE", help="The output file.",
        **shown_default(None, default),
    )  # fmt: skip


def threads_option(default: int | None = None, text: str | None = None) -> Decorator:
    """--threads; `text` describes a default that is not a number."""
    return click.option(
        "--threads", type=AT_LEAST_1, help="Number of threads.", **shown_default(default, text)
    )  # fmt: skip


def cache_option(default: str) -> Decorator:
    """--cache DIR; `default` describes the folder that is used otherwise."""
    return click.option(
        "--cache", "cache_folder", type=FOLDER, metavar="DIR", show_default=default,
        help="Folder in which results are kept and found again.",
    )  # fmt: skip


def batch_option(default: int | None = None, text: str | None = None) -> Decorator:
    """--batch of a workload; `text` describes a default that is not a number."""
    return click.option(
        "--batch", type=AT_LEAST_1, help="Batch size of the workload (N).", **shown_default(default, text)
    )  # fmt: skip


def input_option(metavar: str) -> Decorator:
    """--input of the commands that trace networks."""
    return click.option(
        "--input", "shapes", multiple=True, metavar=metavar,
        help="Shape of an input, such as 1x3x224x224; may be repeated for further inputs.",
    )  # fmt: skip


def shown_default(default: object, text: str | None = None) -> dict[str, Any]:
    """Arguments of click.option: a default, or where there is none, what to say in its place."""
    return {"show_default": text} if default is None else {"default": default, "show_default": True}
