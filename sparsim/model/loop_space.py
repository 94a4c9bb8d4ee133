"""The operations of a mapped layer as an array with one axis per loop.

A property of operations, such as whether the weight is nonzero or the input tile is empty, is an array over
the loops on which it depends. Products of such arrays, summed over all loops, count operations exactly.
"""

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsim.model import arrays as packs
from sparsim.model.arrays import NestPack, Reals


class Factor(NamedTuple):
    """A value per operation that depends on some loops only."""

    array: Reals
    axes: tuple[int, ...]  # the loop of each axis, as an index into LoopSpace.loops


class Loop(NamedTuple):
    """A loop with more than one iteration."""

    place: int  # in the complete nest, innermost first
    dim: int
    bound: int
    kind: int
    level: int


class LoopSpace:
    """The loops of an analysed nest, innermost first, and sums over their iterations."""

    def __init__(self, nest: NestPack) -> None:
        rows = nest.real[: nest.ops[packs.N_REAL]].tolist()
        self.loops = [
            Loop(m, *(int(nest.loop[m, f]) for f in (packs.DIM, packs.BOUND, packs.KIND, packs.LEVEL)))
            for m in rows
        ]
        self.n_dims = len(nest.ext)

    def extents(self, inside: int) -> list[int]:
        """Extents of the box inside the first `inside` loops of the complete nest, per dim."""
        ext = [1] * self.n_dims
        for loop in self.loops:
            if loop.place < inside:
                ext[loop.dim] *= loop.bound
        return ext

    def factor(self, cells: NDArray[Any], dims: Sequence[int], ext: Sequence[int]) -> Factor:
        """A value per cell of the grid of boxes of extents `ext`, one axis per dim, as a value per operation.

        Where the boxes are those inside some loops, only the loops around them become axes.
        """
        array, axes, shape = cells.astype(np.float64), [], []
        for axis, dim in enumerate(dims):
            mine = [i for i, loop in enumerate(self.loops) if loop.dim == dim]
            inner, size = 0, 1
            while inner < len(mine) and size < ext[dim]:
                size *= self.loops[mine[inner]].bound
                inner += 1
            if size != ext[dim]:  # the boxes do not end at the boundary of an iteration
                whole = math.prod(self.loops[i].bound for i in mine)
                array, inner = array.repeat(ext[dim], axis).take(range(whole), axis), 0
            outer = mine[inner:][::-1]
            axes += outer
            shape += [self.loops[i].bound for i in outer]
        return Factor(array.reshape(shape), tuple(axes))

    def largest(self, factor: Factor, over: Iterable[int]) -> Factor:
        """The largest value over all iterations of some loops; it no longer depends on them."""
        gone = set(over)
        out = tuple(k for k, axis in enumerate(factor.axes) if axis in gone)
        return Factor(factor.array.max(axis=out), tuple(a for a in factor.axes if a not in gone))

    def grouped(self, factor: Factor, loop: int, steps: int) -> Factor:
        """The largest value within every `steps` consecutive iterations of a loop."""
        if loop not in factor.axes or steps <= 1:
            return factor
        axis, bound = factor.axes.index(loop), self.loops[loop].bound
        largest = np.maximum.reduceat(factor.array, np.arange(0, bound, steps), axis)
        return Factor(largest.repeat(steps, axis).take(range(bound), axis), factor.axes)

    def total(self, *factors: Factor, keep: Sequence[int] = ()) -> Reals:
        """Sum of the product over all operations; with `keep`, for each iteration of these loops."""
        axes = sorted({axis for factor in factors for axis in factor.axes})
        number = {axis: k for k, axis in enumerate(axes)}
        kept = [axis for axis in keep if axis in number]
        operands: list[Any] = []
        for factor in factors:
            operands += [factor.array, [number[axis] for axis in factor.axes]]
        rest = math.prod(loop.bound for i, loop in enumerate(self.loops) if i not in number and i not in keep)
        found = np.einsum(*operands, [number[a] for a in kept], optimize="greedy") if operands else 1.0
        shape = [self.loops[axis].bound if axis in number else 1 for axis in keep]
        return np.broadcast_to(
            np.asarray(found, np.float64).reshape(shape) * rest, [self.loops[axis].bound for axis in keep]
        )

    def share(self, *factors: Factor) -> Fraction:
        """Average of the product over all operations, of factors with integer values."""
        every = math.prod(loop.bound for loop in self.loops)
        return Fraction(round(float(self.total(*factors))), every)
