"""The one decorator of all kernels: compiled once, kept on disk, no fast-math, never raising."""

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


def kernel(function: Callable[..., Any]) -> Any:
    """Compile `function`; the copy on disk holds until any kernel's source changes.

    Numba alone would look at the file of `function` only, and keep stale code of the kernels that it calls.
    """
    compiled = njit(cache=True, nogil=True, error_model="numpy")(function)
    if hasattr(compiled, "_cache"):  # not with NUMBA_DISABLE_JIT
        compiled._cache._cache_file._source_stamp = _SOURCES
    return compiled
