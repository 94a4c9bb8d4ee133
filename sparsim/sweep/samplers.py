"""Where the points of a sweep come from.

A sampler has `ask(n)`, which returns the next points, none when there are no more, and `tell(rows)`. Points
of most samplers do not depend on results: `ask` returns n of them, and `tell` is not called. Those of an
adaptive sampler do: `ask` returns a whole generation, whatever n is, and `tell` gets its rows, in the order
of the points and all at once, before the next one is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Protocol

from sparsim.errors import SpecError
from sparsim.sweep.axes import grid
from sparsim.sweep.design_space import DesignSpace
from sparsim.sweep.sweep_row import Point, Row


class PointSource(Protocol):
    """A sampler.

    Attributes
    ----------
    is_adaptive : bool
        Whether points depend on results.
    """

    is_adaptive: bool

    def ask(self, n: int) -> list[Point]: ...

    def tell(self, rows: Sequence[Row]) -> None: ...


class GridSampler:
    """All points of the grid, made as they are asked for."""

    is_adaptive = False

    def __init__(self, space: DesignSpace) -> None:
        self._points = grid(space.axes)

    def ask(self, n: int) -> list[Point]:
        return list(islice(self._points, n))

    def tell(self, rows: Sequence[Row]) -> None:
        pass


def make_sampler(space: DesignSpace) -> PointSource:
    """The sampler that a study names."""
    kind = space.study.sampler.kind
    if kind != "grid":
        raise SpecError(f"sampler {kind} is not there yet", path=f"sweep {space.study.name}: sampler")
    return GridSampler(space)
