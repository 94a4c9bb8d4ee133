"""Results kept on disk between runs: their folder, their keys, and the detection of damaged files."""

import hashlib
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
import platformdirs

from sparsim.errors import CacheWarning
from sparsim.fileio.writing import write_bytes

PACKAGE = Path(__file__).parent
R = TypeVar("R")


def warn_of_cache(message: str) -> None:
    """Warn of a problem with a cache. This is the default of `warn` arguments."""
    warnings.warn(message, CacheWarning, stacklevel=3)


def default_folder(warn: Callable[[str], object] = warn_of_cache) -> Path | None:
    """The folder `sparsim` where the user's caches lie; on Linux $XDG_CACHE_HOME, if set, decides.

    None, which is told to `warn`, for a user without a home.
    """
    with suppress(RuntimeError):  # some versions raise, others return a relative path
        if (folder := platformdirs.user_cache_path("sparsim", appauthor=False)).is_absolute():
            return folder
    warn("results are not kept, because the user has no home folder")
    return None


def digest_of(*said: Any) -> str:
    """SHA-256 of records and plain data, in hex."""
    return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()


@cache
def sources_digest(folder: Path = PACKAGE, patterns: tuple[str, ...] = ("*.py",)) -> str:
    """Return a digest of the files below a folder whose paths match one of the patterns. It is part of keys
    because other sources may give other results.
    """
    found = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in folder.rglob(pattern)}):
        found.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def key_of(records: Iterable[Any], *said: Any) -> str:
    """Return a digest of records (None for those that are not given), other plain data, and this package's
    sources.
    """
    digests = [record.digest() if record else None for record in records]
    return digest_of(sources_digest(), digests, *said)


def with_checksum(content: bytes, name: str) -> bytes:
    """The bytes of a file: a line with the checksum of `content` and of the `name` it is kept under."""
    return _checksum(content, name) + b"\n" + content


def checked(data: bytes, name: str) -> bytes | None:
    """Return the content of a file made by `with_checksum`; None if it is damaged, or was stored under
    another name.
    """
    stamp, _, content = data.partition(b"\n")
    return content if stamp == _checksum(content, name) else None


def _checksum(content: bytes, name: str) -> bytes:
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape") + b"\0")
    digest.update(content)
    return digest.hexdigest().encode()


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
            self._warn(f"{path}: is damaged and is ignored")
            return None
        found: R = msgspec.json.decode(content, type=self._kind)
        return found

    def _warn_once(self, topic: str, message: str) -> None:
        """Warn once only, because a problem with the folder concerns every result."""
        if topic not in self._said:
            self._said.add(topic)
            self._warn(message)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
