"""The size of the kernel map of a sparse convolution: coordinates, and pairs of them for each offset."""

import math

from sparsim.errors import SpecError
from sparsim.records.number_limits import check_whole
from sparsim.records.record import Record


class KernelMapSizes(Record, frozen=True, kw_only=True):
    """Sizes of the kernel map of a sparse convolution.

    Parameters
    ----------
    name : str, default ""
        Name of the map. Layers whose maps have the same name use one map, which is built once.
    kernel_size : tuple of int
        Positions of the kernel along each axis.
    stride : tuple of int
        Stride along each axis, with as many axes as `kernel_size`.
    inputs : int
        Number of input coordinates.
    outputs : int
        Number of output coordinates.
    pairs : tuple of int
        Number of pairs of an input and an output coordinate for each offset of the kernel.

    Raises
    ------
    SpecError
        If the kernel has another number of positions than `pairs`, or if a number is out of range.

    Notes
    -----
    A sparse convolution multiplies one row of features with the weights of an offset for each pair: MACs are
    the number of pairs times input and output channels. A transposed layer uses the map of a strided one with
    inputs and outputs exchanged; both have the same name and stride.

    Examples
    --------
    >>> from sparsim.records import KernelMapSizes
    >>> sizes = KernelMapSizes(kernel_size=(3,), stride=(1,), inputs=8, outputs=8, pairs=(7, 8, 7))
    >>> sizes.total
    22
    """

    name: str = ""
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    inputs: int
    outputs: int
    pairs: tuple[int, ...]

    def __post_init__(self) -> None:
        where = f"kernel map {self.name}".rstrip()
        for field in ("kernel_size", "stride"):
            for size in getattr(self, field):
                check_whole(where, field, size, 1)
        for field in ("inputs", "outputs"):
            check_whole(where, field, getattr(self, field), 1)
        for count in self.pairs:
            check_whole(where, "pairs", count)
        if len(self.stride) != len(self.kernel_size):
            raise SpecError(
                f"stride has {len(self.stride)} axes, kernel_size has {len(self.kernel_size)}", path=where
            )
        if len(self.pairs) != math.prod(self.kernel_size):
            raise SpecError(
                f"pairs has {len(self.pairs)} offsets, the kernel has {math.prod(self.kernel_size)}",
                path=where,
            )

    @property
    def total(self) -> int:
        """Number of pairs of all offsets."""
        return sum(self.pairs)
