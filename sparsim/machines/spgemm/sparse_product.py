"""The work of a product of two sparse matrices, row by row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparsim.errors import SpecError
from sparsim.machines.spgemm.sparse_matrix import SparseMatrix, Whole


@dataclass(frozen=True, eq=False)
class SparseProduct:
    """The product Z = A x B of two sparse matrices.

    Attributes
    ----------
    a, b : SparseMatrix
        The operands.
    elements : array of int, shape (rows of A,)
        Products of two nonzeros in each row of Z, before equal columns are added up.
    fibers : array of int, shape (rows of A,)
        Rows of B with nonzeros that are merged into each row of Z.
    outputs : array of int, shape (rows of A,)
        Nonzeros in each row of Z.
    partials : array of int, shape (rows of A,)
        Nonzeros in each row of Z where each block of the inner dim has results of its own.
    """

    a: SparseMatrix
    b: SparseMatrix
    elements: Whole
    fibers: Whole
    outputs: Whole
    partials: Whole

    @property
    def name(self) -> str:
        """The names of both operands."""
        return f"{self.a.name} x {self.b.name}"

    @property
    def multiplies(self) -> int:
        """Products of two nonzeros."""
        return int(self.elements.sum())

    @property
    def nonzeros(self) -> int:
        """Nonzeros of Z; what adds up to zero counts."""
        return int(self.outputs.sum())


def sparse_product(a: SparseMatrix, b: SparseMatrix | None = None, block: int | None = None) -> SparseProduct:
    """Count the work of a product.

    Parameters
    ----------
    a : SparseMatrix
        The left operand.
    b : SparseMatrix, optional
        The right operand; by default `a` if it is square, otherwise its transpose.
    block : int, optional
        Size of the blocks of the inner dim for `partials`; by default there is one block.

    Returns
    -------
    SparseProduct

    Raises
    ------
    SpecError
        If the shapes do not match.
    """
    from sparsim.machines.spgemm.kernels.row_products import count_rows

    if b is None:
        b = a if a.rows == a.columns else a.transposed()
    if a.columns != b.rows:
        raise SpecError(
            f"{a.name} is {a.rows} x {a.columns} and {b.name} {b.rows} x {b.columns}: "
            "the columns of the first must be as many as the rows of the second",
            path="product",
        )
    counts = np.zeros((a.rows, 4), np.int64)
    seen = np.full((2, b.columns), -1, np.int64)
    count_rows(a.starts, a.indices, b.starts, b.indices, block or a.columns, seen[0], seen[1], counts)
    return SparseProduct(a, b, *counts.T)
