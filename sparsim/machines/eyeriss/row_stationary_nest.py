"""From a spread and the tile of a PE to the loop nest that the model evaluates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

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
from sparsim.machines.eyeriss.conv_dims import IACTS, PSUMS, WEIGHTS, ConvDims
from sparsim.machines.eyeriss.noc import SpatialLoop
from sparsim.records import LevelMapping, Mapping, Nest
from sparsim.records.mapping import Divisibility

KEPT = {
    DRAM: (WEIGHTS, IACTS, PSUMS), PSUM_GLB: (PSUMS,), IACT_GLB: (IACTS,), CLUSTER_ROW: (), CLUSTER: (),
    PE_ROW: (), WEIGHT_SPAD: (WEIGHTS,), IACT_SPAD: (IACTS,), PSUM_SPAD: (PSUMS,), IACT_REG: (IACTS,),
}  # fmt: skip
PIXELS = ("N", "P", "Q")  # outer to inner
LANES = "lanes"
ALONG_Y = ("cluster_rows", "pe_rows")
REDUCTION = ("R", "C")  # of what a PE does not finish by itself


class Order(NamedTuple):
    """Where the loops over passes stand: filters and channels; and in how many parts the outputs are done.

    Filters at DRAM: the psums of one set of filters at a time are in the GLB, else those of all. Channels at
    iact_glb: the iacts of all channels are in the GLB, else those of one set at a time.
    """

    filters_at: str
    channels_at: str
    pixel_tiles: int = 1


ORDERS = tuple((f, c) for f in (DRAM, PSUM_GLB) for c in (IACT_GLB, PSUM_GLB))


class Tile(NamedTuple):
    """What a PE keeps in a pass: weights of `filters` filters and `channels` channels."""

    filters: int
    channels: int


def make_mapping(
    dims: ConvDims, loops: Sequence[SpatialLoop], tile: Tile, lanes: int, order: Order
) -> Mapping:
    """The mapping; dims that do not divide have imperfect factors."""
    nest = _Nest(dims)
    for loop in loops:
        nest.put(loop.axis, loop.dim, loop.bound)
    lanes = min(lanes, tile.filters)
    nest.put(LANES, "M", lanes)
    nest.put(PSUM_SPAD, "M", -(-tile.filters // lanes))
    nest.put(PSUM_SPAD, "C", tile.channels)
    nest.put(PSUM_SPAD, "S", dims.bounds.get("S", 1))
    tiles = order.pixel_tiles
    for dim in PIXELS:
        left = nest.left(dim)
        nest.put(WEIGHT_SPAD, dim, -(-left // min(left, tiles)))
        tiles = -(-tiles // min(left, tiles))
        nest.put(DRAM, dim, nest.left(dim))
    nest.put(order.filters_at, "M", nest.left("M"))
    for dim in REDUCTION:
        nest.put(order.channels_at, dim, nest.left(dim))
    nest.put(DRAM, "G", nest.left("G"))
    nest.tighten()
    return Mapping(levels=_levels(nest), divisibility=nest.divisibility())


_ORDER = {  # outer to inner; loops that a place never has are left out
    DRAM: ("G", "N", "P", "Q", "C", "R", "M"), PSUM_GLB: ("C", "R", "M"), IACT_GLB: ("M", "C", "R"),
    WEIGHT_SPAD: ("N", "P", "Q"), PSUM_SPAD: ("S", "C", "M"),
}  # fmt: skip


def _levels(nest: _Nest) -> tuple[LevelMapping, ...]:
    spatial = {**SPREAD_AT, IACT_REG: LANES}
    return tuple(
        LevelMapping(
            level=level,
            temporal=nest.loops(level, _ORDER.get(level)),
            spatial=nest.loops(spatial[level], None) if nest.factors.get(spatial.get(level, "")) else None,
            bypass=tuple(name for name in KEPT[DRAM] if name not in kept),
        )
        for level, kept in KEPT.items()
    )


class _Nest:
    """Factors by place and dim, from the outside in."""

    places = (DRAM, PSUM_GLB, IACT_GLB, *SPREAD_AT.values(), WEIGHT_SPAD, PSUM_SPAD, LANES)

    def __init__(self, dims: ConvDims) -> None:
        self.bounds = dims.bounds
        pairs = (("Q", "S"), ("P", "R"))
        self.moving = {
            d for pair in pairs if dims.stride > 1 or dims.bounds.get(pair[1], 1) > 1 for d in pair
        }
        self.factors: dict[str, dict[str, int]] = {place: {} for place in self.places}

    def put(self, place: str, dim: str, factor: int) -> None:
        if dim in self.bounds and factor > 1:
            self.factors[place][dim] = self.factors[place].get(dim, 1) * factor

    def covered(self, dim: str) -> int:
        return math.prod(place.get(dim, 1) for place in self.factors.values())

    def left(self, dim: str) -> int:
        """What the factors so far leave of a dim."""
        return -(-self.bounds.get(dim, 1) // self.covered(dim))

    def tighten(self) -> None:
        """Lower factors, the innermost first, that the others make larger than needed."""
        for dim, bound in self.bounds.items():
            for place in self.places[::-1]:
                factor = self.factors[place].pop(dim, 1)
                self.put(place, dim, -(-bound // self.covered(dim)) if factor > 1 else 1)

    def divisibility(self) -> dict[str, Divisibility]:
        """Dims that move a window are padded: tiles that overlap cannot be cut short."""
        return {
            dim: "padded" if dim in self.moving else "imperfect"
            for dim, bound in self.bounds.items()
            if self.covered(dim) > bound
        }

    def loops(self, place: str, order: tuple[str, ...] | None) -> Nest:
        """The loops of a place; without an order as they were put, the first outermost."""
        factors = self.factors.get(place, {})
        return Nest(
            factors=dict(factors),
            order=tuple(d for d in order or factors if d in factors),
            split_x=0 if place in ALONG_Y else None,
        )
