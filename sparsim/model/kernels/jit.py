"""The decorators of all kernels, also of other packages: compiled once, kept on disk, no fast-math."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import config, njit

from sparsim.cache import PACKAGE, sources_digest
from sparsim.model.kernel_cache import KernelCache
from sparsim.model.kernels import pack_pointers  # noqa: F401 - teaches numba what packs are
from sparsim.model.kernels.pipeline import EntryCompiler, ModelCompiler, PartCompiler

# Plain numba checks only the file of a function, and would keep stale code of the kernels that it calls
_SOURCES = sources_digest(PACKAGE, ("kernels/*.py", "model/arrays.py"))


def compiled(function: Callable[..., Any], *, stamp: str | None = None, **options: Any) -> Any:
    """A kernel, whose copy on disk holds until its file changes; `stamp`: until that changes."""
    found = njit(nogil=True, error_model="numpy", **options)(function)
    if not config.DISABLE_JIT:
        found._cache = KernelCache(function, stamp)
    return found


def entry(function: Callable[..., Any]) -> Any:
    """A kernel that Python calls. The compiled copy on disk holds until any kernel's source changes."""
    return compiled(function, stamp=_SOURCES, pipeline_class=EntryCompiler)


def kernel(function: Callable[..., Any]) -> Any:
    """A kernel that only entries and kernels call: part of the compiled copy of each entry."""
    return njit(
        nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False,
        pipeline_class=PartCompiler,
    )(function)  # fmt: skip


def machine_code(function: Callable[..., Any]) -> Any:
    """A kernel that is called without numba, as `sparsim.model.machine_code` does; its copy is kept there."""
    return njit(
        nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False,
        pipeline_class=ModelCompiler,
    )(function)  # fmt: skip
