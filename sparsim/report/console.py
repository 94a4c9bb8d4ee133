"""The end of our command lines: one sentence for errors that users can cause, and an exit code."""

from __future__ import annotations

import io
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import click

from sparsim.errors import SparsimError, SparsimWarning
from sparsim.report.printable_text import printable

if TYPE_CHECKING:
    from rich.console import Console

INTERRUPTED = 130
LONGEST = 2000  # most characters of a message, because names in it may be of any length
WIDTH = 120  # width of output that is not limited by a terminal


def results(width: int = WIDTH, *, highlight: bool = True) -> Console:
    """Return the console for results: stdout, with the width of COLUMNS or of the terminal, else `width`."""
    # importing rich takes a tenth of a second, which --help does not need
    from sparsim.report.safe_console import SafeConsole

    columns = os.environ.get("COLUMNS", "")
    is_known = columns != "0" and (columns.isdigit() or sys.stdout.isatty())
    return SafeConsole(width=None if is_known else width, highlight=highlight)


def messages() -> Console:
    """Return the console for progress: stderr."""
    from sparsim.report.safe_console import SafeConsole

    # Jupyter is not a terminal, although it asks for colours, and rich would need ipywidgets there.
    is_terminal = False if "ipykernel" in sys.modules else None
    return SafeConsole(stderr=True, force_jupyter=False, force_terminal=is_terminal)


@contextmanager
def layers_done(number: int, what: str = "", unit: str = "layers") -> Iterator[Callable[[str], None]]:
    """Show on stderr, if it is a terminal, how many layers, or other units, are done.

    Yields a function to call with the name of each finished layer. `what` is printed before the numbers.
    """
    console = messages()
    if not console.is_terminal:
        yield lambda _: None
        return
    from rich.markup import escape

    done = 0
    with console.status("") as status:

        def show(layer: str = "") -> None:
            text = f"{what}: " if what else ""
            text += f"{done} of {number} {unit}"
            status.update(escape(f"{text}: {layer}" if layer else text))

        def progress(layer: str) -> None:
            nonlocal done
            done += 1
            show(layer)

        show()
        yield progress


def echo(text: str, *, err: bool = False) -> None:
    """Print a line to stdout, or with `err` to stderr if it is open, with control characters as escapes."""
    if not err:
        print(printable(text))
        return
    try:
        print(printable(text), file=sys.stderr, flush=True)
    # a message that cannot be shown does not stop the work, and is not written again at the end
    except OSError:
        with suppress(OSError):
            _silence(sys.stderr)


def named_values(lines: Iterable[tuple[str, str]], head: str = "") -> str:
    """Return a line for each name and value, indented below a heading if there is one."""
    indent = "  " if head else ""
    return "\n".join([*filter(None, [head]), *(f"{indent}{name:<12} {value}" for name, value in lines)])


def run(command: click.Command, name: str) -> NoReturn:
    """Run `command` as the program `name`. Errors that users cause end as one line on stderr and exit code
    2.
    """
    _prepare_streams()
    try:
        try:
            with _warnings_as_sentences(name):
                code: Any = command.main(prog_name=name, standalone_mode=False)
        except SystemExit as exit:
            code = exit.code
        sys.stdout.flush()  # errors of writing must occur here, not at the exit of the interpreter
    except click.exceptions.NoArgsIsHelpError as error:
        echo(error.format_message())
        code = 2
    except (click.Abort, KeyboardInterrupt) as error:
        if isinstance(error.__cause__, EOFError):  # click interprets it as the end of input at a prompt
            fail(name, _ended_early(error.__cause__))
        code = INTERRUPTED
    except click.ClickException as error:
        fail(name, error.format_message())
    except BrokenPipeError:  # the reader of our output has closed the pipe
        _silence(sys.stdout)
        code = 1
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        if error.filename is None:  # an error of our output, of which the rest cannot be written either
            _silence(sys.stdout)
        fail(name, f"{error.filename}: {reason}" if error.filename else f"the output: {reason}")
    except SparsimError as error:
        fail(name, str(error))
    sys.exit(code)


def _ended_early(error: EOFError) -> str:
    """Return a sentence for an uncaught EOFError, and its place: some file ended in the middle of its
    content.
    """
    where = traceback.extract_tb(error.__traceback__)[-1]
    reason = str(error) or "no more data"
    return f"a file or stream ended before it was complete ({reason}, in {where.name} of {where.filename})"


@contextmanager
def _warnings_as_sentences(name: str) -> Iterator[None]:
    """Print each of our warnings as one line on stderr, once, whatever the filters are; others are not
    changed.
    """
    said: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("always", SparsimWarning)
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, SparsimWarning):
                sentence = f"{name}: warning: {' '.join(str(message).split())}"
                if sentence not in said:
                    said.add(sentence)
                    echo(sentence, err=True)
            else:
                usual(message, category, *place, **more)

        warnings.showwarning = show
        yield


def fail(name: str, message: str, code: int = 2) -> NoReturn:
    """End the program `name` with one sentence on stderr."""
    sentence = " ".join(message.split()).rstrip(".")
    if len(sentence) > LONGEST:
        sentence = f"{sentence[: LONGEST // 2]} ... {sentence[-LONGEST // 2 :]}"
    echo(f"{name}: error: {sentence}", err=True)
    sys.exit(code)


def _prepare_streams() -> None:
    """Open streams that the caller has closed (`>&-`) on the null device, and let streams escape characters
    that their encoding lacks.
    """
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:  # no file must get the descriptor of a stream
        pass
    os.close(handle)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _silence(stream: TextIO) -> None:
    """Discard the data that are still buffered for a stream."""
    handle = os.open(os.devnull, os.O_WRONLY)
    os.dup2(handle, stream.fileno())
    os.close(handle)
