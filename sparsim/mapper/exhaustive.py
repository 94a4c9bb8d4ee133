"""Exhaustive search: every candidate is either evaluated or proven to be invalid or no better."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import numpy as np

from sparsim.mapper.engine import ROOM, Engine
from sparsim.mapper.kernels.enumeration import KEEPS, LOWER_BOUND, ROWS, SPREAD, enumerate_candidates
from sparsim.mapper.objective_arrays import values
from sparsim.mapper.random_and_local import work_of
from sparsim.model.arrays import CandidateWork, Ints, Reals
from sparsim.model.lower import ints, reals

BLOCKS = 16  # parts of the space that take turns, at least where it has as many; not the number of threads
TURN = 8  # of them at a time: what is found does not depend on the number of threads
STEPS = 20_000  # decisions of one turn
CANDIDATES = 4096  # room for those of one turn
STEPS_PER_US = 2.0  # decisions in a microsecond, about
FACTORIAL = np.array([math.factorial(n) for n in range(21)], np.int64)


class _Block(NamedTuple):
    """A part of the space: the last decisions are fixed, the first `cut` are enumerated from `at` on."""

    at: Ints
    work: CandidateWork
    out: Ints
    bounds: Reals
    rejected: Reals


def search_all(engine: Engine) -> Iterator[float]:
    """Enumerate and evaluate all of the space, in steps that yield their work."""
    cut, options = _blocks(engine)
    waiting = iter(np.ndindex(*options))
    active: list[_Block] = []

    def turn(block: _Block) -> tuple[int, bool]:
        block.rejected[:] = 0.0
        n, done = enumerate_candidates(
            *engine.head, block.work, engine.codes, limit, block.at, cut, STEPS, block.out, block.bounds,
            block.rejected,
        )  # fmt: skip
        return int(n), bool(done)

    with ThreadPoolExecutor(engine.threads) as pool:
        while True:
            for number in islice(waiting, TURN - len(active)):
                active.append(_make_block(engine, number))
            if not active:
                return
            limit = engine.limit
            turns = list(pool.map(turn, active))
            engine.report()
            engine.rejected += sum(block.rejected for block in active)
            found = np.concatenate([block.out[:n] for block, (n, _) in zip(active, turns, strict=True)])
            bounds = np.concatenate([block.bounds[:n] for block, (n, _) in zip(active, turns, strict=True)])
            yield sum(_steps(int(n), done) for n, done in turns) / STEPS_PER_US
            yield from _evaluate(engine, active[0].work, found, bounds)
            active = [block for block, (_, done) in zip(active, turns, strict=True) if not done]


def load_kernel(engine: Engine) -> None:
    """Compile the enumeration, or load it from the disk."""
    cut, options = _blocks(engine)
    block = _make_block(engine, (0,) * len(options))
    enumerate_candidates(
        *engine.head, block.work, engine.codes, engine.limit, block.at, cut, 0, block.out, block.bounds,
        block.rejected,
    )  # fmt: skip


def _steps(found: int, done: bool) -> float:
    """Decisions of one turn of a block, about: not known where it ended early."""
    if done:
        return STEPS / 4
    return float(STEPS if found < CANDIDATES // 2 else found)


def _make_block(engine: Engine, last: tuple[int, ...]) -> _Block:
    """The block in which the last decisions are `last`."""
    at = ints(len(engine.pack.decision))
    at[len(at) - len(last) :] = last
    n_dims = len(engine.space.factors)
    return _Block(at, engine.make_work(), ints(CANDIDATES, n_dims + 1), reals(CANDIDATES, 2), reals(3))


def _blocks(engine: Engine) -> tuple[int, list[int]]:
    """The first of the last decisions that have, together, enough options to be the blocks, and how many each
    of them has: as many whatever else is decided."""
    pack, options = engine.pack, list[int]()
    classes, sizes = np.diff(pack.first_class), np.diff(pack.class_start)
    for dim, kind in pack.decision[:0:-1].tolist():
        if math.prod(options) >= BLOCKS or (kind == ROWS and classes[dim] > 1):
            break
        number = {ROWS: sizes[pack.first_class[dim]], KEEPS: len(pack.keep), SPREAD: classes[dim]}[kind]
        options.insert(0, int(number))
    return len(pack.decision) - len(options), options


def _evaluate(engine: Engine, work: CandidateWork, candidates: Ints, bounds: Reals) -> Iterator[float]:
    """Evaluate all arrangements of candidates, those with the least bounds first, until bounds exceed the
    best."""
    if not len(candidates):
        return
    keys = values(engine.objectives, bounds[:, 1], bounds[:, 0])
    order = np.lexsort(keys.T[::-1])
    keys, candidates = keys[order], candidates[order]
    counts = _arrangements(engine, candidates)
    ends = np.cumsum(np.multiply.reduce(counts, axis=1))
    first, room, seen = 0, ROOM // 8, 0
    while seen < len(candidates):
        if tuple(keys[seen].tolist()) > tuple(engine.limit.tolist()):
            engine.rejected[LOWER_BOUND] += len(candidates) - seen
            break
        last = min(first + room, int(ends[-1]))
        number = np.arange(last - first).astype(ends.dtype) + first
        origin = np.searchsorted(ends, number, side="right")
        number -= np.where(origin > 0, ends[origin - 1], 0)
        digits = ints(len(number), counts.shape[1])
        for i in range(counts.shape[1]):
            digits[:, i] = number % counts[origin, i]
            number //= counts[origin, i]
        before = engine.evaluated
        engine.try_numbers(work, candidates[origin], digits.reshape(len(number), -1, 2))
        taken = int(np.searchsorted(ends, last, side="right"))
        engine.passed += taken - seen
        first, seen, room = last, taken, min(2 * room, ROOM)
        yield work_of(len(number), engine.evaluated - before)


def _arrangements(engine: Engine, candidates: Ints) -> Ints:
    """(n, 2 T): numbers of orders and of splits per tiling level (17.3, 17.4 with unit loops left out)."""
    space = engine.space
    free = np.array([[dim in dims for dim in range(len(space.factors))] for dims in space.free])
    chosen = [rows[candidates[:, r]] for r, rows in enumerate(space.factors)]
    moving = np.stack(chosen, axis=2) > 1  # (n, T, R)
    orders = FACTORIAL[(moving & free).sum(axis=2)]
    splits = np.where(space.split < 0, moving.sum(axis=2) + 1, 1)
    counts = np.stack([orders, splits], axis=2).reshape(len(candidates), -1)
    if counts.astype(np.float64).prod(axis=1).sum() < 2**62:
        return counts
    return counts.astype(object)  # exact whatever the size
