"""Mappings that are likely to be valid: those with the smallest tiles, then random ones."""

from collections.abc import Iterator

import numpy as np

from sparsim.mapper.engine import Engine
from sparsim.mapper.random_and_local import BATCH, draw_random, work_of
from sparsim.model.arrays import Ints
from sparsim.model.lower import ints

BATCHES = 4  # batches of random mappings
MOST_KEPT = 64  # bypass choices that are tried with the smallest tiles


def guess_first(engine: Engine, seed: int) -> Iterator[float]:
    """Try mappings that are likely to be valid, few at first, in steps that yield their work."""
    rng, work = np.random.default_rng(seed), engine.make_work()
    choices = np.linspace(0, len(engine.space.keep) - 1, MOST_KEPT).astype(np.int64)
    tiles = [_smallest(engine, rows) for rows in engine.space.factors]
    smallest = np.array([[*tiles, choice] for choice in np.unique(choices)], np.int64)
    batches = [(smallest, ints(len(smallest), len(engine.low.arch.tiling), 2))]
    batches += [draw_random(engine, rng, BATCH) for _ in range(BATCHES)]
    chunk = 1
    for candidates, draw in batches:
        first = 0
        while first < len(candidates):
            some, before = candidates[first : first + chunk], engine.evaluated
            engine.try_numbers(work, some, draw[first : first + chunk])
            first, chunk = first + chunk, min(2 * chunk, BATCH)
            yield work_of(len(some), engine.evaluated - before)


def _smallest(engine: Engine, rows: Ints) -> int:
    """Return the factorisation of one dim with the smallest factors at the inner levels."""
    outermost = engine.low.arch.first_tiling[1:] - 1
    extents = np.cumprod(rows.astype(np.float64), axis=1)[:, outermost]
    return int(np.lexsort((*extents.T[::-1], np.log(extents).sum(axis=1)))[0])
