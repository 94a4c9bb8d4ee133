"""Sets of integer coordinates (b, x, y, z) of voxels: checked, distinct, and found again by a hash table."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pointnet.errors import DataError, PointnetError
from pointnet.ops import sparse_kernels as kernels
from pointnet.ops.kernel_threads import share

AXES = 3
LOWEST, HIGHEST = -kernels.HALF, kernels.HALF - 1
MOST_SAMPLES = 1 << kernels.BATCH_BITS

INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)

Ints = NDArray[np.int64]
Rows = NDArray[np.int32]


class Coordinates:
    """Distinct coordinates (b, x, y, z) of voxels, in any order.

    Parameters
    ----------
    rows : Tensor, shape (N, 4)
        Coordinates as integers: the sample b, 0 to 4095, and x, y and z, -65536 to 65535.
    grid : sequence of int, optional
        Extents along x, y and z. All coordinates are then from 0 to below the extent; by default they may be
        anywhere.

    Attributes
    ----------
    rows : Tensor, shape (N, 4)
        The coordinates as int32 on the CPU.
    grid : tuple of int or None
        The extents.

    Raises
    ------
    DataError
        If there are no coordinates, if two are equal, or if one is out of range.
    PointnetError
        If `rows` is not an integer tensor of this shape, or if an extent is not positive.

    Notes
    -----
    A coordinate is packed into 63 bits, so that equal keys are equal coordinates. `merge_duplicates` of
    `pointnet.ops.voxels` merges equal coordinates before.

    Examples
    --------
    >>> import torch
    >>> from pointnet.ops.coordinates import Coordinates
    >>> len(Coordinates(torch.tensor([[0, 1, 2, 3], [0, -1, 2, 3]])))
    2
    """

    def __init__(self, rows: Tensor, grid: Sequence[int] | None = None) -> None:
        self.grid = None if grid is None else triple(grid, "grid")
        self.rows = checked_rows(rows, self.grid)
        _ = self._table  # this refuses duplicates

    @classmethod
    def of_keys(cls, keys: Ints, grid: tuple[int, int, int] | None = None) -> "Coordinates":
        """Make coordinates of packed ones, in lexicographic order and without duplicates.

        Parameters
        ----------
        keys : array of int64, shape (n,)
            Packed coordinates, in any order and with duplicates.
        grid : tuple of int, optional
            Extents along x, y and z.

        Returns
        -------
        Coordinates
            The coordinates.

        Raises
        ------
        DataError
            If a coordinate is out of range.
        """
        keys = np.unique(keys)
        if len(keys) and keys[0] < 0:
            raise DataError(f"a coordinate of the outputs is beyond {LOWEST} to {HIGHEST}")
        rows = np.empty((len(keys), 1 + AXES), np.int32)
        kernels.unpack(keys, rows)
        found = cls.__new__(cls)
        found.grid, found.rows, found.keys = grid, torch.from_numpy(rows), keys
        return found

    def __len__(self) -> int:
        """Return the number of coordinates."""
        return len(self.rows)

    @property
    def array(self) -> Rows:
        """The rows as an array."""
        found: Rows = self.rows.numpy()
        return found

    @cached_property
    def keys(self) -> Ints:
        """The packed coordinates, int64 of shape (N,)."""
        return packed_keys(self.rows)

    @cached_property
    def _table(self) -> tuple[Ints, Rows, int]:
        """Keys and rows by slot, and the shift that makes a slot from a hash."""
        bits = max(1, (2 * len(self)).bit_length())
        table, rows = np.full(1 << bits, kernels.EMPTY), np.empty(1 << bits, np.int32)
        twice = kernels.insert(self.keys, table, rows, 64 - bits)
        if twice >= 0:
            raise DataError(
                f"coordinate {tuple(self.rows[twice].tolist())} is there twice; merge duplicates before"
            )
        return table, rows, 64 - bits

    def neighbours(self, outputs: "Coordinates", stride: Ints, offsets: Ints, *, mirrored: bool) -> Rows:
        """Find the row at stride * output + offset for every output and offset.

        Parameters
        ----------
        outputs : Coordinates
            The outputs.
        stride : array of int64, shape (3,)
            Factor of the outputs along each axis.
        offsets : array of int64, shape (K, 3)
            Offsets of the kernel.
        mirrored : bool
            Whether the second half of the offsets may be filled from the first, because these coordinates are
            the outputs, and offset K - 1 - k is the negative of offset k.

        Returns
        -------
        array of int32, shape (K, len(outputs))
            Rows of these coordinates, -1 where there is none.
        """
        found = np.empty((len(offsets), len(outputs)), np.int32)
        items = len(offsets) // 2 + 1 if mirrored else len(offsets)
        share(kernels.neighbours, items, outputs.array, stride, offsets, *self._table, mirrored, found)
        return found


def packed_keys(rows: Tensor) -> Ints:
    """Pack coordinates into keys, whose order is the lexicographic one.

    Parameters
    ----------
    rows : Tensor, shape (N, 4)
        Coordinates as `checked_rows` returns them.

    Returns
    -------
    array of int64, shape (N,)
        The keys.
    """
    keys = np.empty(len(rows), np.int64)
    kernels.pack(rows.numpy(), keys)
    return keys


def checked_rows(rows: Tensor, grid: tuple[int, int, int] | None = None) -> Tensor:
    """Check coordinates for everything but duplicates.

    Parameters
    ----------
    rows : Tensor, shape (N, 4)
        Coordinates (b, x, y, z) as integers.
    grid : tuple of int, optional
        Extents along x, y and z.

    Returns
    -------
    Tensor, shape (N, 4)
        The coordinates as contiguous int32 on the CPU.

    Raises
    ------
    DataError
        If there are no coordinates, or if one is out of range.
    PointnetError
        If `rows` is not an integer tensor of this shape.
    """
    if not isinstance(rows, Tensor):
        raise PointnetError(f"coordinates must be a tensor of integers, got a {type(rows).__name__}")
    if rows.dim() != 2 or rows.shape[1] != 1 + AXES or rows.dtype not in INTEGERS:
        raise PointnetError(
            f"coordinates must be integers of shape (N, {1 + AXES}), got {tuple(rows.shape)} {rows.dtype}"
        )
    if not len(rows):
        raise DataError("the cloud is empty, at least one coordinate is needed")
    rows = rows.detach().cpu()
    low, high = rows.amin(dim=0).tolist(), rows.amax(dim=0).tolist()
    if low[0] < 0 or high[0] >= MOST_SAMPLES:
        seen = low[0] if low[0] < 0 else high[0]
        raise DataError(f"sample {seen} of a coordinate is beyond 0 to {MOST_SAMPLES - 1}")
    for axis, name in enumerate("xyz", start=1):
        least, most = (LOWEST, HIGHEST) if grid is None else (0, grid[axis - 1] - 1)
        if low[axis] < least or high[axis] > most:
            seen = low[axis] if low[axis] < least else high[axis]
            raise DataError(f"coordinate {name} = {seen} is beyond {least} to {most}")
    return rows.to(torch.int32).contiguous()


def triple(value: int | Sequence[int], name: str) -> tuple[int, int, int]:
    """Return a number for each axis.

    Parameters
    ----------
    value : int or sequence of int
        One number for all axes, or one for each.
    name : str
        What the number is, for the error.

    Returns
    -------
    tuple of int
        Numbers for x, y and z.

    Raises
    ------
    PointnetError
        If there are not one or three numbers, or if one is below 1.
    """
    found = tuple(value) if isinstance(value, Sequence) else (value,) * AXES
    if len(found) != AXES or not all(isinstance(n, int) and 1 <= n <= kernels.SIDE for n in found):
        raise PointnetError(
            f"{name} must be one or {AXES} whole numbers between 1 and {kernels.SIDE}, got {value}"
        )
    return found[0], found[1], found[2]
