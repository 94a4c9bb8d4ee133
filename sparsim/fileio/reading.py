"""Error handling around readers of files from any source.

A library that reads a damaged file may raise anything, and a header may ask for more memory than any machine
has. `reading` turns every exception into one sentence that names the file; `check_size` compares what a
header declares with what the file holds, before anything is allocated.
"""

import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparsim.errors import FormatError, SparsimError, SpecError

TEXT_LIMIT = 1 << 28
"""Bytes of a text file that are read at most: devices such as /dev/zero never end."""
DEFLATE_RATIO = 1032
"""Bytes that deflate, which compresses .npz and HDF5 files, makes of one byte at most."""


@contextmanager
def reading(path: str | Path, what: str, error: type[SparsimError] = FormatError) -> Iterator[None]:
    """Raise `error` for whatever goes wrong while the block reads `path`.

    Parameters
    ----------
    path : str or Path
        The file that the message names.
    what : str
        What the file should be, for the message: "a .npy file".
    error : type
        The exception to raise; a SpecError gets the file as its `path`, others at the start of the message.

    Notes
    -----
    Errors of our own, which name the file already, and KeyboardInterrupt pass through.
    """
    try:
        yield
    except SparsimError:
        raise
    except Exception as caught:
        raise refusal(path, _sentence(caught, what), error) from caught


def refusal(path: str | Path, sentence: str, error: type[SparsimError] = FormatError) -> SparsimError:
    """Return the `error` with a sentence about the file."""
    if issubclass(error, SpecError):
        return error(sentence, path=str(path))
    return error(f"{path}: {sentence}")


def read_text(
    path: str | Path,
    *,
    what: str = "a text file",
    error: type[SparsimError] = FormatError,
    limit: int = TEXT_LIMIT,
) -> str:
    """Read the text of a UTF-8 file, without a byte order mark and with lines that end in a line feed.

    Raises `error` if it is not text, or is longer than `limit` bytes.
    """
    with reading(path, what, error):
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            ends = stat.S_ISREG(status.st_mode) and status.st_size <= limit
            data = file.read() if ends else file.read(limit + 1)  # this makes room for the limit
        if len(data) > limit:
            raise refusal(path, f"is longer than {limit:,} bytes, too long for {what}", error)
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def check_size(
    path: str | Path, what: str, declared: int, stored: int, error: type[SparsimError] = FormatError
) -> None:
    """Raise `error` where `declared` bytes cannot come from `stored` ones, or do not fit into memory."""
    if declared > stored:
        raise refusal(path, f"{what} takes {declared:,} bytes, but the file stores at most {stored:,}", error)
    if declared > (memory := _memory()):
        raise refusal(path, f"{what} takes {declared:,} bytes, but this machine has {memory:,}", error)


@contextmanager
def bounded_memory(more: int) -> Iterator[None]:
    """Let the block take so many bytes of memory `more` and then raise MemoryError, where Linux allows it.

    For libraries that expand what a file declares. Other threads are under the same limit meanwhile.
    """
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    bound = pages * os.sysconf("SC_PAGE_SIZE") + more
    bound = bound if soft == resource.RLIM_INFINITY else min(bound, soft)
    resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _memory() -> int:
    """Return the largest number of bytes of memory that this process may use."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return physical if limit == resource.RLIM_INFINITY else min(physical, limit)


def _sentence(caught: Exception, what: str) -> str:
    if isinstance(caught, FileNotFoundError):
        return "no such file"
    if isinstance(caught, IsADirectoryError):
        return f"must be {what}, but is a folder; give the files in it"
    if isinstance(caught, MemoryError):
        return "needs more memory than this machine has"
    if isinstance(caught, RecursionError):
        return "is nested too deep"
    if isinstance(caught, UnicodeDecodeError):
        return f"is not a text file: byte {caught.start} is not UTF-8"
    if isinstance(caught, OSError) and caught.strerror:
        return f"cannot be read: {caught.strerror.lower()}"
    reason = (str(caught).strip().splitlines() or [""])[0]
    if " " not in reason:  # a key without a value, or an empty file
        reason = f"{type(caught).__name__} {reason}".rstrip()
    return f"could not be read as {what}: {reason}"
