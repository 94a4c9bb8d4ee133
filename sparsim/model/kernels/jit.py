"""The decorators of all kernels, also of other packages: compiled once, kept on disk, no fast-math."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import config, njit

from sparsim.cache import PACKAGE, sources_digest
from sparsim.model.kernel_cache import KernelCache

# Numba alone would look at the file of a function only, and keep stale code of the kernels it calls
_SOURCES = sources_digest(PACKAGE, ("kernels/*.py", "model/arrays.py"))


def compiled(function: Callable[..., Any], *, stamp: str | None = None, **options: Any) -> Any:
    """A kernel, whose copy on disk holds until its file changes; `stamp`: until that changes."""
    found = njit(nogil=True, error_model="numpy", **options)(function)
    if not config.DISABLE_JIT:
        found._cache = KernelCache(function, stamp)
    return found


def entry(function: Callable[..., Any]) -> Any:
    """A kernel that Python calls. The compiled copy on disk holds until any kernel's source changes."""
    return compiled(function, stamp=_SOURCES)


def kernel(function: Callable[..., Any]) -> Any:
    """A kernel that only kernels call: without a wrapper for Python, which halves the time to compile it."""
    return compiled(function, stamp=_SOURCES, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def inlined(function: Callable[..., Any]) -> Any:
    """A kernel with one caller, or a mere sequence of calls: part of its callers before they are compiled.

    A kernel is optimised again in every kernel that calls it, so fewer of them compile faster.
    """
    return njit(inline="always", error_model="numpy")(function)
