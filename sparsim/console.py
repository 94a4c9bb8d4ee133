"""How our command lines end: one sentence for what users can cause, and an exit code."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from sparsim.errors import SparsimError, SparsimWarning
from sparsim.file_writing import write_bytes

if TYPE_CHECKING:
    from rich.console import Console

INTERRUPTED = 130
WIDTH = 120  # of output that no terminal limits


def results() -> Console:
    """Where results are printed: stdout, at the terminal's width."""
    from rich.console import Console  # takes a tenth of a second: not before --help

    return Console(width=None if sys.stdout.isatty() else WIDTH)


def write_json(path: Path, content: Any) -> None:
    """Records or plain data as readable JSON; nan and infinity become null."""
    import msgspec

    write_bytes(path, msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")


def run(command: click.Command, name: str) -> NoReturn:
    """Run `command` as the program `name`. What users cause ends as one line on stderr and exit code 2."""
    try:
        with _warnings_as_sentences(name):
            sys.exit(command.main(prog_name=name, standalone_mode=False))
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        fail(name, error.format_message())
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        fail(name, f"{error.filename}: {reason}" if error.filename else reason)
    except SparsimError as error:
        fail(name, str(error))


@contextmanager
def _warnings_as_sentences(name: str) -> Iterator[None]:
    """Our warnings are one line each on stderr, whatever filters say; those of libraries stay as they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", SparsimWarning)
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, SparsimWarning):
                click.echo(f"{name}: warning: {' '.join(str(message).split())}", err=True)
            else:
                usual(message, category, *place, **more)

        warnings.showwarning = show
        yield


def fail(name: str, message: str, code: int = 2) -> NoReturn:
    """End the program `name` with one sentence on stderr."""
    sentence = " ".join(message.split()).rstrip(".")
    click.echo(f"{name}: error: {sentence}", err=True)
    sys.exit(code)
