"""Tests see the same surroundings on every machine: locale, terminal, and caches of the user.

What a subprocess inherits and what modules read when they are imported is set before any test is collected.
Hypothesis draws the same examples in every run; `pytest --hypothesis-profile=default` looks for new ones.
"""

from __future__ import annotations

import locale
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings

OTHERS_SET = (
    "COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "PYTHONWARNINGS",
    "PYTHONDONTWRITEBYTECODE",
)  # fmt: skip
_caches = pytest.StashKey[tempfile.TemporaryDirectory[str]]()

settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")  # an option of the command line comes later, and wins


def pytest_configure(config: pytest.Config) -> None:
    """Files without a named encoding are UTF-8, output is as wide as without a terminal, caches are empty."""
    os.environ["LC_ALL"] = "C.UTF-8"
    with suppress(locale.Error):  # systems without it use UTF-8 anyway
        locale.setlocale(locale.LC_ALL, "C.UTF-8")
    for name in OTHERS_SET:
        os.environ.pop(name, None)
    sys.dont_write_bytecode = False  # every process would compile all sources again
    fonts = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "matplotlib"
    if fonts.is_dir():  # to search the system's fonts takes seconds
        os.environ.setdefault("MPLCONFIGDIR", str(fonts))
    config.stash[_caches] = tempfile.TemporaryDirectory(prefix="caches-")
    os.environ["XDG_CACHE_HOME"] = config.stash[_caches].name


def pytest_sessionstart(session: pytest.Session) -> None:
    """One process compiles what is not compiled yet, the others load it: each alone would take a minute."""
    if hasattr(session.config, "workerinput"):  # of pytest-xdist
        from support.kernels import compile_kernels

        compile_kernels()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the caches of this run."""
    if _caches in config.stash:
        config.stash[_caches].cleanup()
