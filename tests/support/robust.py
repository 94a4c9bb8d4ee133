"""Runs a test file as a script in a fresh interpreter that checks bounds, or compiles nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[2]
MODES = {  # optimisation must not change numbers either, but code without any is not kept on disk
    "bounds checked": {"NUMBA_BOUNDSCHECK": "1", "NUMBA_OPT": "1"},
    "not compiled": {"NUMBA_DISABLE_JIT": "1"},
}


@njit  # type: ignore[untyped-decorator]
def _element(values: Any, i: int) -> Any:
    return values[i]


def print_from(answers: Callable[[], list[str]]) -> None:
    """What the script does: prove that bounds are checked, say whether it compiled, give its answers."""
    try:
        _element(np.zeros(1), 1)
    except IndexError:
        print("compiled" if getattr(_element, "signatures", ()) else "not compiled")
        print("\n".join(answers()))


def lines_of(script: str, mode: str, cache: pytest.Cache) -> list[str]:
    """Lines that the script prints. Kernels compiled without checks are out of its reach: it has a folder of
    its own, which is kept, as compiling with checks takes a minute.
    """
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {
        **os.environ,
        **MODES[mode],
        "NUMBA_CACHE_DIR": str(cache.mkdir("kernels")),
        "PYTHONPATH": path,
    }
    command = [sys.executable, "-W", "ignore", script]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()[:16]
