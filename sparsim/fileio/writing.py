"""Writers of all output files. A file is written completely or not at all, and in UTF-8.

A file is written under another name in the same folder and then renamed, so that a full disk, Ctrl-C or a
power cut leaves the file that was there before.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: str | Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Open a binary file that replaces `path` when the block ends without an exception.

    Symbolic links and the mode of an existing file are kept. Paths that are not regular files, such as
    /dev/stdout, are written to directly. Raises OSError, which names `path`. Without `durable` nothing waits
    for the disk: a power cut can leave an empty file, and an interruption between two calls of the system
    none. This suits results that are computed again in milliseconds.
    """
    name = os.fspath(path)
    try:
        old = _status(name)
        if old is not None and (name.startswith("/dev/") or not stat.S_ISREG(old.st_mode)):
            with open(name, "wb") as file:  # /dev/stdout never counts as a regular file, wherever it leads
                yield file
            return
        target = os.path.realpath(name) if os.path.islink(name) else name
        beside = os.path.join(os.path.dirname(target), f".{os.urandom(8).hex()}.part")
        try:
            with open(beside, "xb") as file:
                yield file
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            if old is not None:
                os.chmod(beside, stat.S_IMODE(old.st_mode))
                if not durable:  # ext4 writes the content to the disk when a file replaces another one
                    os.unlink(target)
            os.replace(beside, target)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
    except OSError as error:  # the error of a full disk does not name the file
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _status(name: str) -> os.stat_result | None:
    try:
        return os.stat(name)
    except FileNotFoundError:
        return None


def write_bytes(path: str | Path, data: bytes, *, durable: bool = True) -> None:
    """Write `data` to the file `path`, using `replacing`."""
    with replacing(path, durable=durable) as file:
        file.write(data)


def write_text(path: str | Path, text: str, *, durable: bool = True) -> None:
    """Write `text` in UTF-8 whatever the locale is, with its line ends as they are.

    File names that are not UTF-8 reach Python as lone surrogates, which are written as escapes.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"), durable=durable)
