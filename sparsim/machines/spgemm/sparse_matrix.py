"""Positions of the nonzeros of a matrix, from matrices of SciPy and NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sparsim.errors import SpecError, require

Whole = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """Where the nonzeros of a matrix are, compressed by rows; their values do not matter.

    Attributes
    ----------
    name : str
        Name for messages and tables.
    columns : int
        Number of columns.
    starts : array of int, shape (rows + 1,)
        Where the nonzeros of each row begin in `indices`.
    indices : array of int, shape (nonzeros,)
        Columns of the nonzeros, row by row in ascending order.
    """

    name: str
    columns: int
    starts: Whole
    indices: Whole

    @classmethod
    def of(cls, matrix: Any, name: str = "matrix") -> Self:
        """Take the nonzeros of a matrix; stored zeros are left out.

        Parameters
        ----------
        matrix : sparse array or matrix of scipy, or array_like
            Two axes of real numbers.
        name : str, default "matrix"
            Name for messages and tables.

        Returns
        -------
        SparseMatrix

        Raises
        ------
        SpecError
            If the matrix has not two axes, is empty or without nonzeros, or has complex, infinite or missing
            numbers.
        """
        sparse = require("scipy.sparse", "reading sparse matrices", "matrices")
        found = matrix if sparse.issparse(matrix) else np.asarray(matrix)
        if found.ndim != 2:
            raise SpecError(f"{found.ndim} axes are given, a matrix has 2", path=name)
        if 0 in found.shape:
            raise SpecError(f"is empty: {found.shape[0]} x {found.shape[1]}", path=name)
        if found.dtype.kind not in "biuf":
            kind = "complex" if found.dtype.kind == "c" else str(found.dtype)
            raise SpecError(f"must have real numbers, got {kind} ones", path=name)
        rows = sparse.csr_array(found, copy=True)  # what follows is in place
        rows.sum_duplicates()  # this also sorts
        if not np.isfinite(rows.data).all():
            raise SpecError("has numbers that are not finite", path=name)
        rows.eliminate_zeros()
        if rows.nnz == 0:
            raise SpecError("has no nonzeros", path=name)
        return cls(name, rows.shape[1], rows.indptr.astype(np.int64), rows.indices.astype(np.int64))

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.starts.size - 1

    @property
    def nonzeros(self) -> int:
        """Number of nonzeros."""
        return self.indices.size

    @property
    def row_sizes(self) -> Whole:
        """Nonzeros of each row."""
        return np.diff(self.starts)

    @property
    def column_sizes(self) -> Whole:
        """Nonzeros of each column."""
        return np.bincount(self.indices, minlength=self.columns)

    @property
    def row_indices(self) -> Whole:
        """The row of each nonzero."""
        return np.repeat(np.arange(self.rows), self.row_sizes)

    def transposed(self) -> SparseMatrix:
        """Return the transposed matrix.

        Returns
        -------
        SparseMatrix
        """
        order = np.argsort(self.indices, kind="stable")
        starts = np.concatenate([[0], np.cumsum(self.column_sizes)])
        return SparseMatrix(f"{self.name}^T", self.rows, starts, self.row_indices[order])
