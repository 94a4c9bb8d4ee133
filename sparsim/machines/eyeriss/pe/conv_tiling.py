"""The layer that PEs work on, its division into tiles, and the counts."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsim.errors import SpecError

Size = Any  # an integer, or an array of them
Count = Any  # an integer, or an array of expected numbers


class Conv(NamedTuple):
    """A convolution over inputs that are padded already. Integers, or arrays of many layers."""

    G: Size = 1  # groups
    M: Size = 1  # filters of a group
    C: Size = 1  # channels of a group
    R: Size = 1  # filter rows
    S: Size = 1  # filter columns
    P: Size = 1  # output rows
    Q: Size = 1  # output columns
    U: Size = 1  # stride


class Tiling(NamedTuple):
    """What one PE does in one pass, and over how many PEs each dim is spread. Integers, or arrays.

    In a pass a PE keeps M0 * C0 * S weights, of one group and one filter row, and slides over P0 rows of Q0
    windows. Passes follow each other until all of the layer is done; a new one begins when the slowest PE of
    the last is ready.
    """

    M0: Size = 1
    C0: Size = 1
    P0: Size = 1
    Q0: Size = 1
    pes_g: Size = 1
    pes_m: Size = 1
    pes_c: Size = 1
    pes_r: Size = 1
    pes_p: Size = 1
    pes_q: Size = 1


def check_positive(sizes: Conv | Tiling) -> None:
    """Raise SpecError for a size that is not a whole number, or less than 1."""
    for name, value in zip(sizes._fields, sizes, strict=True):
        array = np.asarray(value)
        if array.dtype.kind not in "iu":
            raise SpecError(f"{name} must be a whole number", path=type(sizes).__name__.lower())
        if array.size and array.min() < 1:
            raise SpecError(
                f"{name} must be at least 1, got {array.min()}", path=type(sizes).__name__.lower()
            )


def segments(conv: Conv) -> NDArray[np.int64]:
    """Segments of the window: S columns in steps of U."""
    s, u = np.asarray(conv.S), np.asarray(conv.U)
    return np.asarray(-(-s // np.minimum(s, u)))


class Accesses(NamedTuple):
    """Words read from and written to the spads of all PEs, over all passes.

    Every pass loads its iacts (each once, windows overlap) and its weights; designs that keep them over
    several passes write less. Zero iacts and explicit zeros read no psum. Per window the psums of all filters
    are written once (what they start from) and read once (what they come to) besides.
    """

    iact_address_reads: Count
    iact_address_writes: Count
    iact_data_reads: Count
    iact_data_writes: Count
    weight_address_reads: Count  # the start and the end of a column
    weight_address_writes: Count
    weight_data_reads: Count
    weight_data_writes: Count
    psum_reads: Count
    psum_writes: Count
