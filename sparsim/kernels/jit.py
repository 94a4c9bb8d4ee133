"""The decorators of all kernels: compiled once, kept on disk, no fast-math, never raising."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit

_HERE = Path(__file__).parent
_SOURCES = hashlib.sha256(
    b"".join(path.read_bytes() for path in [*sorted(_HERE.glob("*.py")), _HERE.parent / "packs.py"])
).hexdigest()


def _compile(function: Callable[..., Any], **options: Any) -> Any:
    compiled = njit(cache=True, nogil=True, error_model="numpy", **options)(function)
    if hasattr(compiled, "_cache"):  # not with NUMBA_DISABLE_JIT
        # Numba alone would look at the file of `function` only, and keep stale code of the kernels it calls
        compiled._cache._cache_file._source_stamp = _SOURCES
    return compiled


def entry(function: Callable[..., Any]) -> Any:
    """A kernel that Python calls. The compiled copy on disk holds until any kernel's source changes."""
    return _compile(function)


def kernel(function: Callable[..., Any]) -> Any:
    """A kernel that only kernels call: without a wrapper for Python, which halves the time to compile it."""
    return _compile(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def inlined(function: Callable[..., Any]) -> Any:
    """A kernel with one caller, or a mere sequence of calls: part of its callers before they are compiled.

    A kernel is optimised again in every kernel that calls it, so fewer of them compile faster.
    """
    return njit(inline="always", error_model="numpy")(function)
