"""Actual data: tile statistics counted from the nonzeros of a real tensor.

Tiles lie on the grid of the operation space that the loops walk: a box of extents e_d steps through dim d in
strides of e_d, and its projection steps through the tensor, overlapping where windows do.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparsim.model.arrays import Ints, LayerPack, Reals


class Counted:
    """Statistics of dataspace `v` of a lowered layer, whose nonzeros are `mask`, one axis per coordinate."""

    def __init__(self, layer: LayerPack, v: int, mask: NDArray[np.bool_]) -> None:
        self.bound = layer.bound.tolist()
        self.sides = [
            layer.term[layer.side[v, o] : layer.side[v, o + 1]].tolist()
            for o in range(layer.side.shape[1] - 1)
        ]
        self.mask = np.asarray(mask).reshape(mask.shape + (1,) * (len(self.sides) - mask.ndim)) != 0

    @property
    def point_density(self) -> float:
        return float(self.mask.mean())

    @property
    def dims(self) -> list[int]:
        """Return the dim of every axis of `counts`."""
        return sorted({d for side in self.sides for d, _, _ in side})

    def counts(self, ext: Sequence[int]) -> Ints:
        """Nonzeros in the projection of every box of extents `ext`; one axis per dim of the tensor."""
        counts = self.mask.astype(np.int64)
        shape: list[int] = []
        axes: list[int] = []
        for o, side in enumerate(self.sides):
            steps = [(d, ext[d], math.ceil(self.bound[d] / ext[d]), c) for d, _, c in side]
            # a negative coefficient walks down from the end, and a box starts at its far side
            starts = np.array([sum(-c * (self.bound[d] - ext[d]) for d, _, c in side if c < 0)])
            for axis, extent, number, c in steps:
                starts = (starts[:, None] + c * extent * np.arange(number)).ravel()
                shape.append(number)
                axes.append(axis)
            length = 1 + sum(abs_c * (ext[d] - 1) for d, abs_c, _ in side)
            counts = _windows(counts, o, starts, length)
        # a dim that several coordinates share has the same index in all of them
        found: Ints = np.einsum(counts.reshape(shape), axes, sorted(set(axes)))
        return found

    def list_of(self, ext: Sequence[int]) -> tuple[Ints, Reals]:
        """Occupancies of boxes with these extents, ascending, and the fraction of boxes that have each."""
        k, n = np.unique(self.counts(ext), return_counts=True)
        return k, n / n.sum()


def _windows(counts: Ints, axis: int, starts: Ints, length: int) -> Ints:
    """Sums over [start, start + length) along an axis; positions outside the tensor count as zero."""
    n = counts.shape[axis]
    total = np.concatenate([np.zeros_like(counts.take([0], axis)), counts.cumsum(axis)], axis)
    above = total.take(np.clip(starts + length, 0, n), axis)
    return above - total.take(np.clip(starts, 0, n), axis)
