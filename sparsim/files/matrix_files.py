"""Sparse matrices from files: Matrix Market (.mtx), as of SuiteSparse, and NumPy's (.npz, .npy)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sparsim.errors import FormatError, near, require
from sparsim.fileio.array_files import load_arrays
from sparsim.fileio.reading import check_size, reading, refusal

SUFFIXES = (".mtx", ".npz", ".npy")
MOST_ROWS = 2**28  # rows and columns take memory even where they are empty
_ENTRY_BYTES = 4  # of a line of a Matrix Market file at least: "1 1" and its end
_COMPRESSED = ("data", "indices", "indptr")
_PARTS = {"csr": _COMPRESSED, "csc": _COMPRESSED, "coo": ("data", "row", "col")}


def is_matrix_file(name: str) -> bool:
    """Return whether the name of a file is that of a matrix.

    Parameters
    ----------
    name : str
        Path of the file.

    Returns
    -------
    bool
    """
    return Path(name).suffix.lower() in SUFFIXES


def load_matrix(path: str | Path) -> Any:
    """Load a matrix.

    Parameters
    ----------
    path : str or Path
        A Matrix Market file (.mtx), a file that `scipy.sparse.save_npz` wrote (.npz), or a dense matrix
        (.npy, or .npz with one array).

    Returns
    -------
    sparse array of scipy or numpy.ndarray
        The matrix with its values; those of a pattern are 1.

    Raises
    ------
    FormatError
        If the file is missing or damaged, or is none of these, or if its numbers are complex.
    MissingLibraryError
        If scipy is not installed.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        allowed = ", ".join(SUFFIXES)
        text = f"has the suffix '{suffix}', matrices are read from {allowed}"
        raise FormatError(text, path=str(path), hint=near(suffix, SUFFIXES))
    if suffix == ".mtx":
        return _matrix_market(path)
    found = load_arrays(path)
    if not isinstance(found, dict):
        return found
    return _archive(path, found)


def _matrix_market(path: str | Path) -> Any:
    io = require("scipy.io", "reading sparse matrices", "matrices")
    with reading(path, "a Matrix Market file"):
        rows, columns, entries, layout, field, _ = io.mminfo(path)
        if field == "complex":
            raise refusal(path, "must have real numbers, got complex ones")
        if max(rows, columns) > MOST_ROWS:
            raise refusal(path, f"must have at most {MOST_ROWS} rows and columns, is {rows} x {columns}")
        least = entries * _ENTRY_BYTES if layout == "coordinate" else entries // 2  # half, where symmetric
        check_size(path, "the matrix", least, os.path.getsize(path))
        return io.mmread(path)


def _archive(path: str | Path, found: dict[str, Any]) -> Any:
    sparse = require("scipy.sparse", "reading sparse matrices", "matrices")
    if "format" not in found:
        if len(found) != 1:
            names = ", ".join(sorted(found))
            raise FormatError(f"must hold one matrix, holds the arrays {names}", path=str(path))
        return next(iter(found.values()))
    named = found["format"]
    kind = bytes(named.item()).decode(errors="replace") if named.dtype.kind == "S" and named.size == 1 else ""
    if kind not in _PARTS:
        allowed = ", ".join(_PARTS)
        raise FormatError(f"format of the matrix must be one of {allowed}, got '{kind}'", path=str(path))
    with reading(path, "a sparse matrix"):
        data, first, second = (found[name] for name in _PARTS[kind])
        shape = tuple(int(size) for size in found["shape"])
        if len(shape) != 2:
            raise refusal(path, f"must have two axes, has the shape {shape}")
        if not all(part.dtype.kind in "iu" for part in (first, second)):
            raise refusal(path, f"must have whole numbers as indices, got {first.dtype} and {second.dtype}")
        if max(shape) > MOST_ROWS:
            raise refusal(path, f"must have at most {MOST_ROWS} rows and columns, has the shape {shape}")
        if kind == "coo":
            return sparse.coo_array((data, (first, second)), shape=shape)
        matrix = (sparse.csr_array if kind == "csr" else sparse.csc_array)((data, first, second), shape=shape)
        matrix.check_format(full_check=True)
        return matrix
