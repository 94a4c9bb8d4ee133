"""The model's compiled entry as machine code on disk, which is loaded and called without the compiler.

Importing numba and loading its own form of a compiled function take longer than reading, evaluating and
reporting a mapping. LLVM without numba loads an object file in a few milliseconds.
"""

import ctypes
import importlib.util
import os
import sys
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from llvmlite import __version__ as llvmlite_version
from llvmlite import binding

from sparsim.cache import (
    PACKAGE,
    checked,
    default_folder,
    digest_of,
    sources_digest,
    warn_of_cache,
    with_checksum,
)
from sparsim.fileio.writing import write_bytes

Packs = tuple[tuple[Any, ...], ...]

CACHE_VARIABLE = "NUMBA_CACHE_DIR"
_NO_MATTER = (CACHE_VARIABLE, "NUMBA_NUM_THREADS")  # other variables of numba may change the code
_INTS, _REALS = id(np.int64), id(np.float64)
_NAME = f"run.{sys.implementation.cache_tag}.object"
_loading = Lock()


def run(mode: int, packs: Packs, rows: tuple[int, int], accounting: int, *, networks: bool) -> None:
    """Call `run` of `sparsim.model.kernels.driver`, where the arguments are explained.

    Raises
    ------
    TypeError
        If an array of a pack has another dtype or number of axes than the kernels know, or is not
        C-contiguous.
    """
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        from sparsim.model.kernels.driver import run as plain

        plain(mode, *packs[:6], *rows, accounting, networks, *packs[6:])
        return
    wrong, exception = ctypes.c_int64(), ctypes.c_void_p()
    numbers = (*rows, accounting, int(networks), _INTS, _REALS)
    function = _loaded(packs).function
    status = function(ctypes.byref(wrong), ctypes.byref(exception), mode, id(packs), *numbers)
    if status:
        raise IndexError("a kernel used an index that is out of range")
    if wrong.value:
        pack: Any = packs[wrong.value - 1]
        seen = (f"{name} {array.dtype}{array.shape}" for name, array in zip(pack._fields, pack, strict=True))
        raise TypeError(f"kernels do not know arrays of {type(pack).__name__} such as {', '.join(seen)}")


class _Code(NamedTuple):
    function: Any
    engine: Any  # this object owns the machine code


_code: _Code | None = None


def _loaded(packs: Packs) -> _Code:
    global _code
    if _code is None:
        with _loading:
            if _code is None:
                _code = _load(*(_kept() or _compiled(packs)))
    return _code


def _load(symbol: str, code: bytes) -> _Code:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine(jit=True)
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine)
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    number, pointer = ctypes.c_int64, ctypes.c_void_p
    kind = ctypes.CFUNCTYPE(
        ctypes.c_int32, pointer, pointer, number, pointer, number, number, number, number, number, number
    )
    return _Code(kind(engine.get_function_address(symbol)), engine)


def _compiled(packs: Packs) -> tuple[str, bytes]:
    """Return the symbol and the object file of the entry, which are stored on disk if that is possible."""
    from sparsim.model.kernels.compile_run import compile_run

    symbol, code = compile_run(packs)
    content = with_checksum(symbol.encode() + b"\n" + code, _NAME)
    reason = "there is no folder for them"
    for folder in _folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_bytes(folder / _NAME, _key().encode() + b"\n" + content)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            continue
        return symbol, code
    warn_of_cache(f"compiled kernels cannot be kept, so every run compiles them again: {reason}")
    return symbol, code


def _kept() -> tuple[str, bytes] | None:
    for folder in _folders():
        try:
            key, _, content = (folder / _NAME).read_bytes().partition(b"\n")
        except OSError:
            continue
        if key != _key().encode():  # files for other sources, or for another processor
            continue
        found = checked(content, _NAME)
        if found is not None:
            symbol, _, code = found.partition(b"\n")
            return symbol.decode(), code
        warn_of_cache(f"{folder / _NAME}: is damaged, so kernels are compiled again")
    return None


def _folders() -> list[Path]:
    """Return the possible folders of the code: one that the user names, or else the one beside the sources
    and the user's cache.
    """
    if chosen := os.environ.get(CACHE_VARIABLE):
        return [Path(chosen)]
    folder = default_folder(lambda _: None)
    beside = PACKAGE / "model" / "kernels" / "__pycache__"
    return [beside] if folder is None else [beside, folder / "kernels"]


@cache
def _key() -> str:
    """Return a digest of what the code depends on: sources, compiler, processor, and layout of objects."""
    variables = sorted(
        item for item in os.environ.items() if item[0].startswith("NUMBA_") and item[0] not in _NO_MATTER
    )
    return digest_of(
        sources_digest(PACKAGE / "model", ("kernels/*.py", "arrays.py")), _numba_version(), llvmlite_version,
        np.__version__, sys.version, binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten(),
        variables,
    )  # fmt: skip


def _numba_version() -> bytes:
    """Return the file with numba's version, which is found without importing numba."""
    spec = importlib.util.find_spec("numba")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).with_name("_version.py").read_bytes()
