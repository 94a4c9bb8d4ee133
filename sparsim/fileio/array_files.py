"""Reader of NumPy files (.npy, .npz) from any source, which are checked before memory is allocated.

`numpy.load` trusts the header for the size of an array. Here the header must agree with the size of
the file, or of the archive's member, whose checksum is verified as it is read to its end.
"""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from zipfile import ZipFile, ZipInfo, is_zipfile

import numpy as np
from numpy.typing import NDArray

from sparsim.errors import FormatError, SparsimError
from sparsim.fileio.reading import DEFLATE_RATIO, check_size, reading, refusal

Array = NDArray[Any]
Check = Callable[[tuple[int, ...], np.dtype[Any]], None]


def load_arrays(
    path: str | Path,
    error: type[SparsimError] = FormatError,
    *,
    names: Callable[[list[str]], list[str]] = lambda names: names,
    check: Check = lambda shape, dtype: None,
) -> Array | dict[str, Array]:
    """Return the array of a .npy file, or the arrays of a .npz file by name. The content decides on the
    format, not the file name.

    Parameters
    ----------
    path : str or Path
    error : type
        What is raised for a file that is missing, damaged, holds Python objects, or declares more than it
        holds.
    names : callable
        Chooses, among the names in a .npz file, those to read.
    check : callable
        Called with the shape and dtype of each array before it is read; raises what it refuses.
    """
    with reading(path, "a .npy or .npz file", error), open(path, "rb") as file:
        if not is_zipfile(file):
            file.seek(0)
            size = os.fstat(file.fileno()).st_size
            return _array(file, path, "the array", size, check, error)
        with ZipFile(file) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            return {
                name: _member(archive, members[name], path, name, check, error)
                for name in names(list(members))
            }


def _member(
    archive: ZipFile, info: ZipInfo, path: str | Path, name: str, check: Check, error: type[SparsimError]
) -> Array:
    what = f"array '{name}'"
    check_size(path, what, info.file_size, (info.compress_size + 1) * DEFLATE_RATIO, error)
    with archive.open(info) as member:
        return _array(member, path, what, info.file_size, check, error)


def _array(
    file: IO[bytes], path: str | Path, what: str, size: int, check: Check, error: type[SparsimError]
) -> Array:
    """Read the array at the start of `file`, which has `size` bytes."""
    version = np.lib.format.read_magic(file)
    headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in headers:
        raise refusal(path, f"{what} must have the .npy version 1.0 or 2.0, has {version}", error)
    shape, _, dtype = headers[version](file)
    if dtype.hasobject:
        raise refusal(path, f"{what} must hold numbers, but holds Python objects", error)
    declared = file.tell() + math.prod(shape) * dtype.itemsize
    check_size(path, what, declared, size, error)
    if declared != size:
        raise refusal(path, f"{what} takes {declared:,} bytes, but the file holds {size:,}", error)
    check(shape, dtype)
    file.seek(0)
    found: Array = np.lib.format.read_array(file, allow_pickle=False)
    return found
