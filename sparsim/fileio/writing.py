"""Writers of all output files. A file is written completely or not at all, and in UTF-8.

A file is written under another name in the same folder and then renamed, so that a full disk, Ctrl-C or a
power cut leaves the file that was there before.
"""

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """Open a binary file that replaces `path` when the block ends without an exception.

    Symbolic links and the mode of an existing file are kept. Paths that are not regular files, such as
    /dev/stdout, are written to directly. Raises OSError, which names `path`.
    """
    try:
        if _is_device(Path(path)):
            with open(path, "wb") as file:
                yield file
            return
        target = Path(os.path.realpath(path))
        beside = target.with_name(f".{secrets.token_hex(8)}.part")
        try:
            with open(beside, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                shutil.copymode(target, beside)
            os.replace(beside, target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:  # the error of a full disk does not name the file
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _is_device(path: Path) -> bool:
    """Return whether `path` exists and is not a regular file. /dev/stdout never counts as one, wherever it
    leads.
    """
    return path.exists() and (path.is_relative_to("/dev") or not stat.S_ISREG(path.stat().st_mode))


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write `data` to the file `path`, using `replacing`."""
    with replacing(path) as file:
        file.write(data)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` in UTF-8 whatever the locale is, with its line ends as they are.

    File names that are not UTF-8 reach Python as lone surrogates, which are written as escapes.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))
