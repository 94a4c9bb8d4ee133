"""Sources of the points of a sweep.

A sampler has `ask(n)`, which returns the next points, none when there are no more, and `tell(rows)`. Points
of most samplers do not depend on results: `ask` returns n of them, and `tell` is not called. Those of an
adaptive sampler do: `ask` returns a whole generation, whatever n is, and `tell` gets its rows, in the order
of the points and all at once, before the next one is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Protocol

from sparsim.sweep.axes import grid
from sparsim.sweep.design_space import DesignSpace
from sparsim.sweep.optuna_sampler import OptunaSampler
from sparsim.sweep.point_sequences import distinct, qmc_points, random_points
from sparsim.sweep.sweep_row import Point, Row

TRIES = 32  # draws per wanted point, after which no new points are assumed to be left


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


class FixedSampler:
    """A sampler whose points do not depend on results; they are made on request."""

    is_adaptive = False

    def __init__(self, points: Iterator[Point]) -> None:
        self._points = points

    def ask(self, n: int) -> list[Point]:
        return list(islice(self._points, n))

    def tell(self, rows: Sequence[Row]) -> None:
        pass


def make_sampler(space: DesignSpace) -> PointSource:
    """The sampler that a study names.

    Raises
    ------
    MissingLibraryError
        If the sampler's library is not installed.
    """
    sampler, seed, axes = space.study.sampler, space.study.seed, space.axes
    if sampler.kind == "grid":
        return FixedSampler(grid(axes))
    assert sampler.points is not None
    if sampler.kind == "random":
        return FixedSampler(distinct(random_points(axes, seed), sampler.points))
    if sampler.kind in ("nsga2", "tpe"):
        return OptunaSampler(space)
    sequence = qmc_points(axes, sampler.kind, sampler.points, seed)
    return FixedSampler(distinct(islice(sequence, TRIES * max(sampler.points, 64)), sampler.points))
