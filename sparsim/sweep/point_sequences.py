"""Points in random order, and from sequences that fill a space evenly."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from sparsim.errors import require
from sparsim.sweep.axes import AxisValues, apply_conditions, grid_size
from sparsim.sweep.sweep_row import Point

BLOCK = 4096  # points of a sequence that are drawn at once


def random_points(axes: Sequence[AxisValues], seed: int) -> Iterator[Point]:
    """Yield the points of the grid in random order, each once if axes have no conditions."""
    generator, number = random.Random(seed), grid_size(axes)
    if number <= 1 << 20:
        order: Iterator[int] = iter(generator.sample(range(number), number))
    else:
        order = _drawn(generator, number)
    for index in order:
        values = {}
        for axis in reversed(axes):
            index, at = divmod(index, len(axis.values))
            values[axis.name] = axis.values[at]
        yield apply_conditions(axes, values)


def _drawn(generator: random.Random, number: int) -> Iterator[int]:
    """Yield different numbers below `number` in random order."""
    seen: set[int] = set()
    while len(seen) < number:
        drawn = generator.randrange(number)
        if drawn not in seen:
            seen.add(drawn)
            yield drawn


def qmc_points(axes: Sequence[AxisValues], kind: str, number: int, seed: int) -> Iterator[Point]:
    """Points that fill the space evenly; on axes with few values many of them are equal.

    Parameters
    ----------
    kind : {"sobol", "halton", "latin-hypercube"}
        A Latin hypercube has `number` points, and further ones are of further hypercubes.
    """
    qmc: Any = require("scipy.stats.qmc", f"sampler {kind}", "sweep")
    kinds = {"sobol": qmc.Sobol, "halton": qmc.Halton, "latin-hypercube": qmc.LatinHypercube}
    engine = kinds[kind](len(axes), rng=seed)
    block = number if kind == "latin-hypercube" else min(BLOCK, 1 << number.bit_length())  # Sobol: 2**k
    while True:
        for row in engine.random(block).tolist():
            values = {
                axis.name: axis.values[min(int(x * len(axis.values)), len(axis.values) - 1)]
                for axis, x in zip(axes, row, strict=True)
            }
            yield apply_conditions(axes, values)


def point_name(point: Point) -> str:
    """Return the identity of a point, in which 1, 1.0 and True are different values."""
    return repr(list(point.values()))


def distinct(points: Iterator[Point], number: int) -> Iterator[Point]:
    """Yield the first `number` different points."""
    seen: set[str] = set()
    for point in points:
        if len(seen) == number:
            return
        if (name := point_name(point)) not in seen:
            seen.add(name)
            yield point
