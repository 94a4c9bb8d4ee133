"""Compiled kernels on disk: verified before they are loaded, and compiled again where that fails.

Numba loads cache files without verifying them: it may unpickle or run the content of a damaged file, and
raises an exception if the folder cannot be used. Here files have checksums, and problems with the disk cause
a warning and a new compilation, but no wrong result.
"""

import os
import pickle
import re
import warnings
from collections.abc import Callable
from typing import Any

from numba.core import caching, config

from sparsim.cache import checked, with_checksum
from sparsim.errors import CacheWarning
from sparsim.fileio.writing import write_bytes

# Our indices begin like those of another version of numba, so that plain numba considers them outdated
_OURS = pickle.dumps("sparsim, with a checksum", protocol=4)
_NUMBAS = re.compile(rb"\x80.{0,12}\x8c.\d+\.\d+", re.DOTALL)  # an index written by plain numba
_said: set[str] = set()


def _warn_once(topic: str, sentence: str) -> None:
    """Warn once per folder, because a program has a hundred kernels in one folder with the same problem."""
    if topic not in _said:
        _said.add(topic)
        warnings.warn(sentence, CacheWarning, stacklevel=2)


def _reason(error: Exception) -> str:
    strerror = getattr(error, "strerror", None)
    return str(strerror).lower() if strerror else f"{type(error).__name__}: {error}"


class _UserFolder(caching.UserWideCacheLocator):  # type: ignore[misc]
    """A cache locator that makes no folder called ~ for users without a home directory."""

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> Any:
        return super().from_function(py_func, py_file) if os.path.isabs(os.path.expanduser("~")) else None


class _Implementation(caching.CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = [
        _UserFolder if locator is caching.UserWideCacheLocator else locator
        for locator in caching.CacheImpl._locator_classes
    ]


class _Files(caching.IndexDataCacheFile):  # type: ignore[misc]
    """The files of one kernel: an index of its signatures, and the code of each of them."""

    def save(self, key: Any, data: Any) -> None:
        """Save like numba, but write the code before the index that refers to it."""
        overloads = self._load_index()
        names = set(overloads.values())
        free = (self._data_name(i) for i in range(1, len(names) + 2))
        name = overloads.get(key) or next(name for name in free if name not in names)
        self._save_data(name, data)
        self._save_index({**overloads, key: name})

    def _load_index(self) -> dict[Any, str]:
        content = self._read(self._index_name, self._index_name, _OURS)
        if content is None:
            return {}
        version, stamp, overloads = pickle.loads(content)
        return pickle.loads(overloads) if (version, stamp) == (self._version, self._source_stamp) else {}

    def _save_index(self, overloads: dict[Any, str]) -> None:
        content = self._dump((self._version, self._source_stamp, self._dump(overloads)))
        write_bytes(self._index_path, _OURS + with_checksum(content, self._index_name))

    def _load_data(self, name: str) -> Any:
        content = self._read(name, self._sealed_name(name))
        return None if content is None else pickle.loads(content)

    def _save_data(self, name: str, data: Any) -> None:
        write_bytes(self._data_path(name), with_checksum(self._dump(data), self._sealed_name(name)))

    def _sealed_name(self, name: str) -> str:
        """Return the name in the checksum, which includes the stamp, so that code of other sources is not
        used even if an index names it.
        """
        return f"{name} {self._version} {self._source_stamp!r}"

    def _read(self, name: str, sealed_name: str, start: bytes = b"") -> bytes | None:
        """Return the content of the file `name` after `start`; None if it is missing, written by plain numba,
        or damaged.
        """
        try:
            with open(self._data_path(name), "rb") as file:
                data = file.read()
        except FileNotFoundError:
            return None
        if start and _NUMBAS.match(data):
            return None
        content = checked(data[len(start) :], sealed_name) if data.startswith(start) else None
        if content is None:
            _warn_once(
                f"damaged {self._cache_path}",
                f"compiled kernels in {self._cache_path} are damaged and are compiled again ({name})",
            )
        return content


class KernelCache(caching.FunctionCache):  # type: ignore[misc]
    """The compiled kernels of `function`. `stamp` identifies the sources; None stands for its own file
    only.
    """

    _impl_class = _Implementation

    def __init__(self, function: Callable[..., Any], stamp: str | None = None) -> None:
        self._trouble = ""
        try:
            super().__init__(function)
        except (RuntimeError, OSError):  # there is no usable folder
            self._cache_path = None
            self._trouble = "no folder for compiled kernels can be written, so every run compiles them again"
            self.disable()
            return
        self._cache_file = _Files(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=stamp or self._impl.locator.get_source_stamp(),
        )
        if config.CACHE_DIR and not isinstance(self._impl.locator, caching.UserProvidedCacheLocator):
            self._trouble = (
                f"NUMBA_CACHE_DIR {config.CACHE_DIR} cannot be written, compiled kernels are kept in "
                f"{self._cache_path}"
            )

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled kernel, or None if there is no usable one."""
        if self._trouble:
            _warn_once(self._trouble.split(",")[0], self._trouble)
        try:
            found = super().load_overload(sig, target_context)
        except CacheWarning:  # propagate warnings that the user turned into errors
            raise
        except Exception as error:
            _warn_once(
                f"unread {self._cache_path}",
                f"compiled kernels in {self._cache_path} cannot be read and are compiled again "
                f"({_reason(error)})",
            )
            return None
        if found is not None and tuple(found.signature.args) != tuple(sig):
            return None  # two processes that compiled at the same time used the same name
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled kernel for later runs, if that is possible."""
        try:
            super().save_overload(sig, data)
        except Exception as error:
            _warn_once(
                f"unwritten {self._cache_path}",
                f"compiled kernels cannot be kept in {self._cache_path} ({_reason(error)})",
            )
