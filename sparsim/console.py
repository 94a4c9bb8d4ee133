"""How our command lines end: one sentence for what users can cause, and an exit code."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from sparsim.errors import SparsimError
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


def fail(name: str, message: str, code: int = 2) -> NoReturn:
    """End the program `name` with one sentence on stderr."""
    sentence = " ".join(message.split()).rstrip(".")
    click.echo(f"{name}: error: {sentence}", err=True)
    sys.exit(code)
