"""Programs and scripts, run inside the process of the tests: it holds torch and compiled kernels already."""

from __future__ import annotations

import os
import runpy
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import torch

ROOT = Path(__file__).parents[2]


class Done(NamedTuple):
    """How a program ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def run_module(name: str, *arguments: str, **environment: str) -> Done:
    """Like `python -m name arguments...` in the folder of the repository."""
    return _run(lambda: runpy.run_module(name, run_name="__main__"), [name, *arguments], environment)


def run_script(path: Path, *arguments: str, **environment: str) -> Done:
    """Like `python path arguments...` in the folder of the repository."""
    return _run(lambda: runpy.run_path(str(path), run_name="__main__"), [str(path), *arguments], environment)


def run_text(text: str, **environment: str) -> Done:
    """Like `python -c text` in the folder of the repository."""
    code = compile(text, "<text>", "exec", dont_inherit=True)
    return _run(lambda: exec(code, {"__name__": "__main__"}), ["-c"], environment)


def _run(program: Callable[[], object], words: Sequence[str], environment: dict[str, str]) -> Done:
    """Arguments, variables, path of modules, warnings and streams are those of a program that is started."""
    out, err, returncode, threads = StringIO(), StringIO(), 0, torch.get_num_threads()
    with (
        chdir(ROOT),
        mock.patch.object(sys, "argv", list(words)),
        mock.patch.object(sys, "path", list(sys.path)),
        mock.patch.dict(os.environ, environment),
        warnings.catch_warnings(),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        warnings.simplefilter("default")
        try:
            program()
        except SystemExit as stop:
            returncode = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except Exception:
            traceback.print_exc()
            returncode = 1
        torch.set_num_threads(threads)
    return Done(returncode, out.getvalue(), err.getvalue())
