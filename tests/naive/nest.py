"""The loop nest of a mapping as a list of loops, and boxes of it (model 3.2, 5.1)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from sparsim.records import Architecture, Layer, LevelMapping, Mapping, Nest


class Loop(NamedTuple):
    dim: str
    bound: int
    kind: str  # "t", "x" or "y"
    level: int


class Problem:
    """A layer on an accelerator under a mapping, with what every twin asks for."""

    def __init__(self, arch: Architecture, layer: Layer, mapping: Mapping) -> None:
        self.arch, self.layer = arch, layer
        self.levels = arch.storage[::-1]
        self.names = [d.name for d in layer.shape.dataspaces]
        self.writes = [d.read_write for d in layer.shape.dataspaces]
        values = {**layer.shape.coefficients, **layer.coefficients}
        self.terms = [
            [[(dim, 1 if c is None else values[c]) for dim, c in side] for side in d.terms()]
            for d in layer.shape.dataspaces
        ]
        by_name = {m.level: m for m in mapping.levels}
        self.mapped = [by_name.get(s.name, LevelMapping(level=s.name)) for s in self.levels]
        self.loops = [loop for s in range(len(self.levels)) for loop in self._loops_of(s)]

    def mesh(self, s: int) -> tuple[int, int]:
        """(x, y) of all instances of storage s; s = -1 is compute."""
        return self.arch.total_mesh(len(self.levels) - 1 - s)

    def fan_out(self, s: int) -> tuple[int, int]:
        (x, y), (inner_x, inner_y) = self.mesh(s), self.mesh(s - 1)
        return inner_x // x, inner_y // y

    def _loops_of(self, s: int) -> Iterable[Loop]:
        """Loops of level s, innermost first: spatial ones if there is a fan-out, then temporal ones."""
        if math.prod(self.fan_out(s)) > 1:
            spatial = self.mapped[s].spatial or Nest()
            for i, dim in enumerate(self._order(spatial)):
                along_x = spatial.split_x is None or i < spatial.split_x
                yield Loop(dim, spatial.factors.get(dim, 1), "x" if along_x else "y", s)
        temporal = self.mapped[s].temporal
        for dim in self._order(temporal):
            yield Loop(dim, temporal.factors.get(dim, 1), "t", s)

    def _order(self, nest: Nest) -> list[str]:
        inner = list(reversed(nest.order))
        return inner + [dim for dim in self.layer.shape.dims if dim not in inner]

    def relevant(self, v: int, dim: str) -> bool:
        return any(d == dim for side in self.terms[v] for d, _ in side)

    def kept(self, s: int, v: int) -> bool:
        return self.names[v] not in self.mapped[s].bypass

    def child(self, s: int, v: int) -> int:
        """The next kept level inside, -1: none."""
        return max((q for q in range(s) if self.kept(q, v)), default=-1)

    def parent(self, s: int, v: int) -> int:
        """The next kept level outside, -1: none."""
        return min((q for q in range(s + 1, len(self.levels)) if self.kept(q, v)), default=-1)

    def flagged(self, flag: str, s: int, v: int) -> bool:
        return self.names[v] in getattr(self.mapped[s], flag)

    def box(self, loops: Iterable[Loop]) -> dict[str, int]:
        """Extent of every dim in the box that the loops make up."""
        extent = dict.fromkeys(self.layer.shape.dims, 1)
        for loop in loops:
            extent[loop.dim] *= loop.bound
        return extent

    def inside(self, s: int) -> dict[str, int]:
        """The box of level s: all loops at and inside it."""
        return self.box(loop for loop in self.loops if loop.level <= s)

    def sides(self, v: int, extent: dict[str, int]) -> list[int]:
        return [1 + sum(abs(c) * (extent[dim] - 1) for dim, c in side) for side in self.terms[v]]

    def words(self, v: int, extent: dict[str, int]) -> int:
        return math.prod(self.sides(v, extent))

    def tile(self, s: int, v: int) -> int:
        return self.words(v, self.inside(s))

    def step(self, index: int, v: int) -> tuple[int, ...]:
        """How one iteration of loop `index` moves the data box of v (model 7.1)."""
        loop = self.loops[index]
        stride = math.prod(other.bound for other in self.loops[:index] if other.dim == loop.dim)
        return tuple(sum(c * stride for dim, c in side if dim == loop.dim) for side in self.terms[v])
