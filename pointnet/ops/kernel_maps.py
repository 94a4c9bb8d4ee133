"""Kernel maps of sparse convolutions: which input meets which output at which offset of the kernel.

A pair (in, out) of offset k means stride * out + offset_k * dilation = in, and output[out] += input[in] W_k:
a cross-correlation, without a flip. Pairs are listed by offset, then by output, and lie on the CPU.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from pointnet.errors import PointnetError
from pointnet.ops import sparse_kernels as kernels
from pointnet.ops.coordinates import AXES, Coordinates, Ints, Rows, triple
from pointnet.ops.kernel_threads import share
from sparsim.errors import near

Triple = tuple[int, int, int]
Anchor = Literal["centred", "even_corner", "corner"]
Order = Literal["last_fastest", "first_fastest"]
Rule = Literal["floor", "full"]


@dataclass(frozen=True)
class Kernel:
    """Positions of a kernel.

    Parameters
    ----------
    size : tuple of int
        Positions along x, y and z. This and the next two may be one number for all axes.
    stride : tuple of int, default (1, 1, 1)
        Stride along each axis.
    dilation : tuple of int, default (1, 1, 1)
        Distance of neighbouring positions along each axis.
    anchor : str, default "centred"
        Offsets of a size K: "centred" are -((K - 1) // 2) to K // 2 as in TorchSparse, "corner" are 0 to
        K - 1 as in spconv without padding, and "even_corner" has the corner for even and the centre for odd
        sizes as MinkowskiEngine. For K = 2 all are 0 and 1.
    order : str, default "last_fastest"
        Order of the offsets: "last_fastest" counts along z first, "first_fastest" along x.

    Raises
    ------
    PointnetError
        If a number is not positive or an option is unknown.

    Examples
    --------
    >>> from pointnet.ops.kernel_maps import Kernel
    >>> Kernel((3, 1, 1)).offsets.tolist()
    [[-1, 0, 0], [0, 0, 0], [1, 0, 0]]
    """

    size: Triple
    stride: Triple = (1, 1, 1)
    dilation: Triple = (1, 1, 1)
    anchor: Anchor = "centred"
    order: Order = "last_fastest"

    def __post_init__(self) -> None:
        for name in ("size", "stride", "dilation"):
            object.__setattr__(self, name, triple(getattr(self, name), f"kernel {name}"))
        _check("anchor", self.anchor, get_args(Anchor))
        _check("order", self.order, get_args(Order))

    @property
    def volume(self) -> int:
        """Number K of positions."""
        return int(np.prod(self.size))

    @property
    def first(self) -> Triple:
        """The least offset along each axis, times the dilation."""
        x, y, z = (self._begin(n) * d for n, d in zip(self.size, self.dilation, strict=True))
        return x, y, z

    def _begin(self, size: int) -> int:
        at_corner = self.anchor == "corner" or (self.anchor == "even_corner" and size % 2 == 0)
        return 0 if at_corner else -((size - 1) // 2)

    @cached_property
    def offsets(self) -> Ints:
        """Offsets times the dilation, int64 of shape (K, 3), in their order."""
        zipped = zip(self.first, self.size, self.dilation, strict=True)
        steps = [range(first, first + n * d, d) for first, n, d in zipped]
        if self.order == "first_fastest":
            steps.reverse()
        found = np.array(list(product(*steps)), np.int64)
        return found[:, ::-1].copy() if self.order == "first_fastest" else found

    @property
    def mirrored(self) -> bool:
        """Whether the stride is 1 and offset K - 1 - k is the negative of offset k."""
        return set(self.stride) == {1} and bool((self.offsets == -self.offsets[::-1]).all())


@dataclass(frozen=True, eq=False)
class KernelMap:
    """Pairs of inputs and outputs for each offset of a kernel.

    Parameters
    ----------
    kernel : Kernel
        The kernel.
    inputs : Tensor, shape (P,)
        Row of the input of each pair, int32.
    outputs : Tensor, shape (P,)
        Row of the output of each pair, int32. Pairs are ordered by offset, then by output.
    ends : array of int64, shape (K + 1,)
        Pairs of offset k are those from ends[k] to below ends[k + 1].
    input_count : int
        Number of input coordinates.
    output_count : int
        Number of output coordinates.
    identity : int or None, default None
        Offset whose pairs are (0, 0), (1, 1), ... of all rows; None if there is none.
    """

    kernel: Kernel
    inputs: Tensor
    outputs: Tensor
    ends: Ints
    input_count: int
    output_count: int
    identity: int | None = None

    @property
    def pairs(self) -> tuple[int, ...]:
        """Number of pairs of each offset."""
        return tuple(np.diff(self.ends).tolist())

    @property
    def total(self) -> int:
        """Number of pairs of all offsets."""
        return int(self.ends[-1])

    @cached_property
    def transposed(self) -> "KernelMap":
        """The map of the transposed layer: inputs and outputs exchanged, offsets kept."""
        found = np.full((self.kernel.volume, self.input_count), -1, np.int32)
        pairs = self.ends, self.inputs.numpy(), self.outputs.numpy()
        share(kernels.by_other_side, self.kernel.volume, *pairs, found)
        return _listed(self.kernel, found, self.output_count, self.identity)

    def triples(self) -> Tensor:
        """Return all pairs with their offsets.

        Returns
        -------
        Tensor, shape (P, 3)
            Rows (k, in, out) as int64.
        """
        offsets = np.repeat(np.arange(self.kernel.volume), self.pairs)
        return torch.stack([torch.from_numpy(offsets), self.inputs.long(), self.outputs.long()], dim=1)


def kernel_map(inputs: Coordinates, outputs: Coordinates, kernel: Kernel) -> KernelMap:
    """Find the pairs of a convolution.

    Parameters
    ----------
    inputs : Coordinates
        Coordinates of the inputs.
    outputs : Coordinates
        Coordinates of the outputs: the same object for a submanifold convolution, or those of
        `strided_coordinates`.
    kernel : Kernel
        The kernel.

    Returns
    -------
    KernelMap
        All pairs (in, out) with stride * out + offset = in.

    Notes
    -----
    The sample is never shifted or divided. Taps beyond the range of coordinates or the grid meet nothing.
    """
    mirrored = outputs is inputs and kernel.mirrored
    found = inputs.neighbours(outputs, np.array(kernel.stride), kernel.offsets, mirrored=mirrored)
    return _listed(kernel, found, len(inputs), kernel.volume // 2 if mirrored else None)


def _listed(kernel: Kernel, found: Rows, input_count: int, identity: int | None) -> KernelMap:
    """The map of a table (K, outputs) with a row of the inputs, or -1."""
    ends = np.zeros(len(found) + 1, np.int64)
    share(kernels.count_pairs, len(found), found, ends[1:])
    np.cumsum(ends, out=ends)
    inputs, outputs = np.empty(ends[-1], np.int32), np.empty(ends[-1], np.int32)
    share(kernels.list_pairs, len(found), found, ends, inputs, outputs)
    pairs = torch.from_numpy(inputs), torch.from_numpy(outputs)
    return KernelMap(kernel, *pairs, ends, input_count, found.shape[1], identity)


def strided_coordinates(inputs: Coordinates, kernel: Kernel, rule: Rule = "floor") -> Coordinates:
    """Compute the outputs of a strided convolution.

    Parameters
    ----------
    inputs : Coordinates
        Coordinates of the inputs.
    kernel : Kernel
        The kernel.
    rule : str, default "floor"
        "floor": all floor(input / stride), as in MinkowskiEngine. "full": all coordinates at which some
        offset meets an input, as in spconv.

    Returns
    -------
    Coordinates
        Outputs in lexicographic order, in units of the stride. With a grid the floor rule has the grid
        ceil(n / stride), and the full rule (n + 2 p - d (K - 1) - 1) // stride + 1 with the padding p that
        the offsets begin with.

    Raises
    ------
    PointnetError
        If the rule is unknown, or if no output lies inside the grid.
    """
    _check("rule", rule, get_args(Rule))
    if rule == "floor":
        keys = np.empty(len(inputs), np.int64)
        kernels.floor_keys(inputs.array, np.array(kernel.stride), keys)
        if inputs.grid is None:
            return Coordinates.of_keys(keys)
        cells = [-(-n // s) for n, s in zip(inputs.grid, kernel.stride, strict=True)]
        return Coordinates.of_keys(keys, triple(cells, "grid"))
    grid = None
    if inputs.grid is not None:
        zipped = zip(inputs.grid, kernel.first, kernel.size, kernel.dilation, kernel.stride, strict=True)
        grid = tuple((n - 2 * first - d * (size - 1) - 1) // s + 1 for n, first, size, d, s in zipped)
    return _reached(inputs, kernel, grid, generative=False)


def generated_coordinates(inputs: Coordinates, kernel: Kernel) -> Coordinates:
    """Compute the outputs of a generative transposed convolution.

    Parameters
    ----------
    inputs : Coordinates
        Coordinates of the inputs.
    kernel : Kernel
        The kernel.

    Returns
    -------
    Coordinates
        All stride * input + offset in lexicographic order; with a grid those inside of stride times its
        extents.

    Raises
    ------
    DataError
        If an output is out of range.
    """
    grid = None
    if inputs.grid is not None:
        grid = tuple(n * s for n, s in zip(inputs.grid, kernel.stride, strict=True))
    return _reached(inputs, kernel, grid, generative=True)


def _reached(
    inputs: Coordinates, kernel: Kernel, grid: tuple[int, ...] | None, *, generative: bool
) -> Coordinates:
    if grid is not None and min(grid) < 1:
        raise PointnetError(f"the grid {inputs.grid} is smaller than the kernel {kernel.size}")
    limits = np.array((0,) * AXES if grid is None else grid)
    keys = np.empty(len(inputs) * kernel.volume, np.int64)
    n = kernels.reached_keys(inputs.array, np.array(kernel.stride), kernel.offsets, limits, generative, keys)
    if not n:
        raise PointnetError("the kernel meets no input at any output, so that nothing is left")
    return Coordinates.of_keys(keys[:n], None if grid is None else triple(grid, "grid"))


def _check(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise PointnetError(f"{name} must be {' or '.join(known)}, got '{value}'", hint=near(value, known))
