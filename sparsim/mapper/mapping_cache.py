"""Results on disk, by a digest of all that they depend on: a repeated layer costs nothing."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
from msgspec.structs import replace

from sparsim.errors import CacheWarning
from sparsim.fileio.checksums import checked, with_checksum
from sparsim.fileio.writing import write_bytes
from sparsim.mapper.search import search
from sparsim.mapper.search_result import SearchResult
from sparsim.records import Accelerator, Layer, Record
from sparsim.records.objective import objective_names

_PACKAGE = Path(__file__).parent.parent
_NO_MATTER = ("threads", "progress")  # a result does not depend on them
R = TypeVar("R")


def warn_of_cache(message: str) -> None:
    """The default way to tell what is wrong with a cache."""
    warnings.warn(message, CacheWarning, stacklevel=3)


class ResultCache(Generic[R]):
    """Results of one `kind` by key: of this run in memory, of all runs in `folder` if there is one.

    What goes wrong with the folder is told to `warn` and costs the work again, never a result.
    """

    def __init__(
        self, kind: Any, folder: Path | None = None, warn: Callable[[str], object] = warn_of_cache
    ) -> None:
        self._kind, self._folder, self._warn = kind, folder, warn
        self._found: dict[str, R] = {}
        self._said: set[str] = set()

    def get(self, key: str) -> R | None:
        if key not in self._found and self._folder is not None:
            result = self._read(self._folder / f"{key}.json")
            if result is not None:
                self._found[key] = result
        return self._found.get(key)

    def put(self, key: str, result: R) -> None:
        """Keep a result. The file appears at once and complete, also beside other threads and processes."""
        self._found[key] = result
        if self._folder is None:
            return
        path = self._folder / f"{key}.json"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_bytes(path, with_checksum(msgspec.json.encode(result), path.name))
        except OSError as error:
            self._warn_once("not kept", f"{self._folder}: result not kept: {_reason(error)}")

    def _read(self, path: Path) -> R | None:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._warn_once("unread", f"{path}: is ignored: {_reason(error)}")
            return None
        content = checked(data, path.name)
        if content is None:
            self._warn(f"{path}: is spoiled and ignored")
            return None
        found: R = msgspec.json.decode(content, type=self._kind)
        return found

    def _warn_once(self, topic: str, message: str) -> None:
        """What is wrong with the folder holds for every result."""
        if topic not in self._said:
            self._said.add(topic)
            self._warn(message)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


class MappingCache(ResultCache[SearchResult]):
    """Results of searches."""

    def __init__(self, folder: Path | None = None, warn: Callable[[str], object] = warn_of_cache) -> None:
        super().__init__(SearchResult, folder, warn)


def default_folder(warn: Callable[[str], object] = warn_of_cache) -> Path | None:
    """The folder `sparsim` where the user's caches lie (XDG Base Directory Specification 0.8).

    None, which is told to `warn`, for a user without a home.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), ".cache")
    if os.path.isabs(base):
        return Path(base) / "sparsim"
    warn("the user has no home folder, results are not kept")
    return None


def search_key(accelerator: Accelerator, layer: Layer, options: dict[str, Any]) -> str:
    """A digest of what `search` with these arguments depends on; the layer's name is not part of it."""
    records = (accelerator, replace(layer, name=""))
    given = {**(search.__kwdefaults__ or {}), **options}
    given["objective"] = objective_names(given["objective"])
    said = {name: value for name, value in given.items() if name not in _NO_MATTER}
    return key_of(records, said)


def key_of(records: Iterable[Record | None], *said: Any) -> str:
    """A digest of records, other plain data, and this package's sources."""
    digests = [record.digest() if record else None for record in records]
    return hashlib.sha256(msgspec.json.encode([sources_digest(), digests, *said], order="sorted")).hexdigest()


@cache
def sources_digest() -> str:
    """Of this package: another program may find other numbers."""
    sources = sorted(_PACKAGE.rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
