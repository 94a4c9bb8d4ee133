"""Exhaustive search: every candidate is either evaluated or proven to be invalid or no better."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from sparsim.kernels.candidates import enumerate_candidates, expand_candidates
from sparsim.lower import ints, reals
from sparsim.mapper.engine import ROOM, Engine
from sparsim.mapper.objective import values
from sparsim.packs import CandidateWork, Ints, Reals

BLOCKS = 16  # parts of the space that take turns, at least where it has as many; not the number of threads
TURN = 8  # of them at a time: what is found does not depend on the number of threads
STEPS = 200_000  # assignments of one turn
EXPAND_STEPS = 50_000  # arrangements of one turn
CANDIDATES = 4096  # room for those of one turn


class _Block(NamedTuple):
    """A part of the space: the last dims are fixed, the first `cut` are enumerated from `index` on."""

    index: Ints
    work: CandidateWork
    out: Ints
    values: Reals
    rejected: Reals


def search_all(engine: Engine) -> None:
    """Enumerate and evaluate all of the space. Raises Exhausted when a budget is used up."""
    cut, starts = _starts(engine)
    room = max(CANDIDATES, 2 * len(engine.pack.keep))
    n_dims = len(engine.space.factors)
    spare = [
        _Block(
            ints(n_dims), engine.make_work(), ints(room, n_dims + 1), reals(room, 2), reals(3)
        )
        for _ in range(min(TURN, len(starts)))
    ]
    waiting, active = starts[::-1], list[_Block]()
    with ThreadPoolExecutor(engine.threads) as pool:
        while waiting or active:
            while waiting and spare:
                block = spare.pop()
                block.index[:] = waiting.pop()
                active.append(block)
            engine.check_time()
            limit = engine.limit

            def turn(block: _Block, limit: Reals = limit) -> tuple[int, bool]:
                block.rejected[:] = 0.0
                n, done = enumerate_candidates(
                    *engine.head, block.work, engine.codes, limit, block.index, cut, STEPS, block.out,
                    block.values, block.rejected,
                )  # fmt: skip
                return int(n), bool(done)

            turns = list(pool.map(turn, active))
            engine.report()
            found = [block.out[:n] for block, (n, _) in zip(active, turns, strict=True)]
            bounds = [block.values[:n] for block, (n, _) in zip(active, turns, strict=True)]
            for block in active:
                engine.rejected += block.rejected
            _evaluate(engine, spare[0].work if spare else active[0].work, *map(np.concatenate, (found, bounds)))
            spare += [block for block, (_, done) in zip(active, turns, strict=True) if done]
            active = [block for block, (_, done) in zip(active, turns, strict=True) if not done]


def _starts(engine: Engine) -> tuple[int, list[Ints]]:
    """(cut, first indices of every block): the fewest last dims with enough factorisations are fixed."""
    counts = [len(rows) for rows in engine.space.factors]
    cut = len(counts)
    while cut > 1 and np.prod(counts[cut:]) < BLOCKS:
        cut -= 1
    starts = []
    for number in np.ndindex(*counts[cut:]):
        index = ints(len(counts))
        index[cut:] = number
        starts.append(index)
    return cut, starts


def _evaluate(engine: Engine, work: CandidateWork, candidates: Ints, bounds: Reals) -> None:
    """Evaluate all arrangements of candidates, those with the least bounds first."""
    engine.passed += len(candidates)
    if not len(candidates):
        return
    keys = values(engine.metrics, bounds[:, 1], bounds[:, 0])
    candidates = np.ascontiguousarray(candidates[np.lexsort(keys.T[::-1])])
    at, digit = ints(1), ints(len(engine.low.arch.tiling), 2)
    room = ROOM // 8
    while at[0] < len(candidates):
        engine.check_time()
        rows, origin, digits = engine.make_rows(room), ints(room), ints(room, *digit.shape)
        before = engine.rows_rejected.sum()
        n = expand_candidates(
            *engine.head, work, engine.codes, engine.limit, candidates, at, digit, EXPAND_STEPS, rows, origin,
            digits, engine.rows_rejected,
        )  # fmt: skip
        engine.rows += n + int(engine.rows_rejected.sum() - before)
        if n:
            rows = type(rows)(*(field[:n] for field in rows))
            engine.evaluate(rows, candidates[origin[:n]], digits[:n])
        room = min(2 * room, ROOM)
