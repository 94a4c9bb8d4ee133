"""Conversion of spreads and PE tiles to the loop nests that the model evaluates, for many candidates at
once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsim.machines.eyeriss.chip import (
    CLUSTER,
    CLUSTER_ROW,
    DRAM,
    IACT_GLB,
    IACT_REG,
    IACT_SPAD,
    PE_ROW,
    PSUM_GLB,
    PSUM_SPAD,
    SPREAD_AT,
    WEIGHT_SPAD,
)
from sparsim.machines.eyeriss.conv_dims import CONV_DIMS, IACTS, PSUMS, WEIGHTS, ConvDims
from sparsim.machines.eyeriss.noc import SpatialLoop
from sparsim.model.arrays import MappingPack
from sparsim.model.lower import lower_arch, lower_mappings
from sparsim.records import CONV, Accelerator, LevelMapping, Mapping, Nest
from sparsim.records.mapping import Divisibility

Ints = NDArray[np.int64]
KEPT = {
    DRAM: (WEIGHTS, IACTS, PSUMS), PSUM_GLB: (PSUMS,), IACT_GLB: (IACTS,), CLUSTER_ROW: (), CLUSTER: (),
    PE_ROW: (), WEIGHT_SPAD: (WEIGHTS,), IACT_SPAD: (IACTS,), PSUM_SPAD: (PSUMS,), IACT_REG: (IACTS,),
}  # fmt: skip
PIXELS = ("N", "P", "Q")  # outer to inner
LANES = "lanes"
ALONG_Y = ("cluster_rows", "pe_rows")
REDUCTION = ("R", "C")  # dims of sums that a single PE does not complete
AXES = tuple(SPREAD_AT.values())
PLACES = (
    DRAM,
    PSUM_GLB,
    IACT_GLB,
    *AXES,
    WEIGHT_SPAD,
    PSUM_SPAD,
    LANES,
)  # places of loops, from outer to inner
PASSES = (DRAM, PSUM_GLB, IACT_GLB)  # places of the loops in which PEs get new weights
_SPATIAL_AT = {**SPREAD_AT, IACT_REG: LANES}
_ORDER = {  # outer to inner; loops that a place never has are left out. Along an axis: the order of the dims
    DRAM: ("G", "N", "P", "Q", "C", "R", "M"), PSUM_GLB: ("C", "R", "M"), IACT_GLB: ("M", "C", "R"),
    WEIGHT_SPAD: ("N", "P", "Q"), PSUM_SPAD: ("S", "C", "M"),
}  # fmt: skip


class Order(NamedTuple):
    """The places of the loops over passes, filters and channels, and the number of parts of the outputs.

    Filters at DRAM: the psums of one set of filters at a time are in the GLB, else those of all. Channels at
    iact_glb: the iacts of all channels are in the GLB, else those of one set at a time.
    """

    filters_at: str
    channels_at: str
    pixel_tiles: int = 1


class Nests(NamedTuple):
    """Loop nests of one layer in the shape CONV: the factor of every dim at every place."""

    dims: ConvDims
    factor: Ints  # (n, places, dims)

    def take(self, rows: Any) -> Nests:
        return Nests(self.dims, self.factor[rows])

    @property
    def spread(self) -> Ints:
        """Return (n, axes, dims): how the dims are spread over the array."""
        return self.factor[:, PLACES.index(AXES[0]) : PLACES.index(AXES[-1]) + 1]

    @property
    def tile(self) -> Ints:
        """Return (n, 2): filters and channels that a PE keeps in a pass."""
        inside = self.factor[:, PLACES.index(PSUM_SPAD) :].prod(axis=1)
        return inside[:, [CONV_DIMS.index("M"), CONV_DIMS.index("C")]]

    @property
    def passes(self) -> Ints:
        """Return (n,): how often PEs get new weights."""
        return np.asarray(self.factor[:, : len(PASSES)].prod(axis=(1, 2)))

    def loops(self, i: int) -> list[SpatialLoop]:
        """Return the loops that spread dims over the array, outer to inner."""
        return [
            SpatialLoop(dim=dim, bound=n, axis=axis)
            for axis, row in zip(AXES, self.spread[i].tolist(), strict=True)
            for dim, n in zip(CONV_DIMS, row, strict=True)
            if n > 1
        ]

    def mapping(self, i: int) -> Mapping:
        """Return nest `i` as a record."""
        factors = {
            place: {dim: n for dim, n in zip(CONV_DIMS, row, strict=True) if n > 1}
            for place, row in zip(PLACES, self.factor[i].tolist(), strict=True)
        }

        def nest(place: str) -> Nest:
            found = factors.get(place, {})
            order = tuple(dim for dim in _ORDER.get(place, CONV_DIMS) if dim in found)
            return Nest(factors=found, order=order, split_x=0 if place in ALONG_Y else None)

        covered = dict(zip(CONV_DIMS, self.factor[i].prod(axis=0).tolist(), strict=True))
        return Mapping(
            levels=tuple(
                LevelMapping(
                    level=level,
                    temporal=nest(level),
                    spatial=nest(_SPATIAL_AT[level]) if factors.get(_SPATIAL_AT.get(level, "")) else None,
                    bypass=tuple(name for name in KEPT[DRAM] if name not in kept),
                )
                for level, kept in KEPT.items()
            ),
            divisibility={
                dim: policy
                for dim, policy in divisibility(self.dims).items()
                if covered[dim] > self.dims.bounds[dim]
            },
        )

    def pack(self, accelerator: Accelerator) -> MappingPack:
        """Return all nests as the kernels take them, equal to the result of `lower_mappings` for their
        records.
        """
        template = lower_mappings(accelerator, CONV, [self.mapping(0)])
        found = MappingPack(*(np.repeat(field, len(self.factor), axis=0) for field in template))
        first = lower_arch(accelerator).first_tiling.tolist()
        for s, level in enumerate(storage.name for storage in accelerator.architecture.storage[::-1]):
            spatial, temporal = first[s], first[s + 1] - 1
            places = {level: temporal}
            if spatial < temporal:
                places[_SPATIAL_AT[level]] = spatial
            for place, t in places.items():
                if place in PLACES:
                    factor = self.factor[:, PLACES.index(place)]
                    found.factor[:, t], found.order[:, t] = factor, _order(place, factor)
                    if place in ALONG_Y:
                        found.split[:, t] = np.where((factor > 1).any(axis=1), 0, len(CONV_DIMS))
        return found


def _order(place: str, factor: Ints) -> Ints:
    """Return (n, dims): the loops of a place, innermost first, then the dims without a loop."""
    rank = np.zeros(len(CONV_DIMS), np.int64)
    for i, dim in enumerate(_ORDER.get(place, CONV_DIMS)[::-1]):
        rank[CONV_DIMS.index(dim)] = i
    without = len(CONV_DIMS) + np.arange(len(CONV_DIMS))
    return np.argsort(np.where(factor > 1, rank, without), axis=1)


def divisibility(dims: ConvDims) -> dict[str, Divisibility]:
    """Return the divisibility of dims. Dims that move a window are padded, because overlapping tiles cannot
    be imperfect.
    """
    moving = {
        dim
        for pair in (("P", "R"), ("Q", "S"))
        if dims.stride > 1 or dims.bounds[pair[1]] > 1
        for dim in pair
    }
    return {dim: "padded" if dim in moving else "imperfect" for dim in CONV_DIMS}


def make_nests(dims: ConvDims, spread: Ints, tile: Ints, lanes: int, orders: Sequence[Order]) -> Nests:
    """One nest per row; dims that do not divide have imperfect factors.

    Parameters
    ----------
    dims : of a layer in the shape CONV
    spread : (n, axes, dims of `dims.names`), over how many instances of every axis a dim is spread
    tile : (n, 2), filters and channels whose weights a PE keeps in a pass
    lanes : filters that a PE works on at the same time
    orders : n orders of the passes
    """
    factor = np.ones((len(spread), len(PLACES), len(CONV_DIMS)), np.int64)

    def put(place: str, dim: str, by: Any) -> None:
        factor[:, PLACES.index(place), CONV_DIMS.index(dim)] *= by

    def left(dim: str) -> Ints:
        """Return the part of a dim that the factors so far leave."""
        return np.asarray(-(-dims.bounds[dim] // factor[:, :, CONV_DIMS.index(dim)].prod(axis=1)))

    for k, axis in enumerate(AXES):
        for d, dim in enumerate(dims.names):
            put(axis, dim, spread[:, k, d])
    filters, channels = tile.T
    put(LANES, "M", np.minimum(lanes, filters))
    put(PSUM_SPAD, "M", -(-filters // np.minimum(lanes, filters)))
    put(PSUM_SPAD, "C", channels)
    put(PSUM_SPAD, "S", dims.bounds["S"])
    tiles = np.array([order.pixel_tiles for order in orders])
    for dim in PIXELS:
        cut = np.minimum(left(dim), tiles)
        put(WEIGHT_SPAD, dim, -(-left(dim) // cut))
        put(DRAM, dim, left(dim))
        tiles = -(-tiles // cut)
    at_dram = np.array([order.filters_at == DRAM for order in orders])
    put(DRAM, "M", np.where(at_dram, left("M"), 1))
    put(PSUM_GLB, "M", left("M"))
    at_glb = np.array([order.channels_at == PSUM_GLB for order in orders])
    for dim in REDUCTION:
        put(PSUM_GLB, dim, np.where(at_glb, left(dim), 1))
        put(IACT_GLB, dim, left(dim))
    put(DRAM, "G", left("G"))
    return Nests(dims, tightened(factor, np.array(list(dims.bounds.values()))))


def tightened(factor: Ints, bounds: Ints) -> Ints:
    """Lower factors, the innermost first, that are larger than needed with the others."""
    covered = factor.prod(axis=1)
    for place in range(len(PLACES))[::-1]:
        old = factor[:, place]
        others = covered // old
        factor[:, place] = np.where(old > 1, -(-bounds // others), 1)
        covered = others * factor[:, place]
    return factor
