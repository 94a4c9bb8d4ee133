"""Exhaustive search: every candidate is either evaluated or proven to be invalid or no better."""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import NamedTuple

import numpy as np

from sparsim.mapper.engine import ROOM, Engine, place_of
from sparsim.mapper.kernels.enumeration import (
    KEEPS,
    LOWER_BOUND,
    NEAREST,
    ROWS,
    SPREAD,
    enumerate_candidates,
)
from sparsim.mapper.random_and_local import work_of
from sparsim.model.arrays import CandidateWork, Ints, Reals
from sparsim.model.lower import ints, reals

LANES = 8  # parts of the space that take turns, so that results do not depend on the number of threads
BLOCKS = 64  # least number of blocks that are distributed to the lanes, if the space has as many
STEPS = 2_000  # decisions in a lane's first turn
MOST_STEPS = 32_000  # limit of a turn; each is twice as long as the one before
CANDIDATES = 4096  # most candidates of one turn
STEPS_PER_US = 1.5  # approximate number of decisions per microsecond
RISE = (1.1, 1.2, 1.5, 2.0, 4.0, 8.0, math.inf)  # successive limits, as multiples of the lower bound
SURE = 1.2  # the best mapping is the limit if it is within this multiple of the next one
FACTORIAL = np.array([math.factorial(n) for n in range(21)], np.int64)


class _Lane(NamedTuple):
    """A lane, which has every n-th block of the space; in a block the last decisions are fixed."""

    at: Ints
    work: CandidateWork
    out: Ints
    bounds: Reals
    rejected: Reals

    def begin(self, number: int) -> None:
        """Go to the start of block `number`."""
        self.at[:], self.rejected[NEAREST] = 0, np.inf
        self.at[-2:] = number, -1


def search_rising(engine: Engine) -> Iterator[float]:
    """Run `search_all` with rising limits, first for mappings that are little worse than the lower bound,
    because these include the best ones, and far worse ones need not be examined.
    """
    lanes, least = [_make_lane(engine) for _ in range(LANES)], engine.known.floor
    for rise in RISE:
        most = least * rise if least > 0 else math.inf
        if most * SURE > engine.limit[0]:
            most = math.inf
        engine.forget_candidates()
        yield from search_all(engine, most, lanes)
        nearest = min(lane.rejected[NEAREST] for lane in lanes)
        if engine.limit[0] <= most or nearest == math.inf:
            return
        least = max(least, nearest)


def search_all(
    engine: Engine, most: float = math.inf, lanes: Sequence[_Lane] | None = None
) -> Iterator[float]:
    """Enumerate and evaluate all mappings whose first objective is at most `most`, in steps that yield their
    work.
    """
    cut = _cut(engine)
    active = list(lanes or (_make_lane(engine) for _ in range(LANES)))
    steps, work = STEPS, engine.make_work()
    for number, lane in enumerate(active):
        lane.begin(number)

    def turn(lane: _Lane) -> tuple[int, bool]:
        lane.rejected[:NEAREST] = 0.0
        n, done = enumerate_candidates(
            *engine.head, lane.work, engine.codes, limit, lane.at, cut, LANES, steps, lane.out, lane.bounds,
            lane.rejected,
        )  # fmt: skip
        return int(n), bool(done)

    with ExitStack() as stack:
        threads = engine.threads
        each = map if threads == 1 else stack.enter_context(ThreadPoolExecutor(threads)).map
        while active:
            limit = engine.limit
            if most < limit[0]:
                limit = np.array([most, *[np.inf] * (len(limit) - 1)])
            turns = list(each(turn, active))
            engine.report()
            engine.rejected += sum(lane.rejected[:NEAREST] for lane in active)
            found = np.concatenate([lane.out[:n] for lane, (n, _) in zip(active, turns, strict=True)])
            bounds = np.concatenate([lane.bounds[:n] for lane, (n, _) in zip(active, turns, strict=True)])
            yield sum(steps / 4 if done else steps for _, done in turns) / STEPS_PER_US
            yield from _evaluate(engine, work, found, bounds)
            active = [lane for lane, (_, done) in zip(active, turns, strict=True) if not done]
            steps = min(2 * steps, MOST_STEPS)


def load_kernel(engine: Engine) -> None:
    """Compile the enumeration, or load it from the disk."""
    lane = _make_lane(engine)
    lane.begin(0)
    enumerate_candidates(
        *engine.head, lane.work, engine.codes, engine.limit, lane.at, _cut(engine), LANES, 0, lane.out,
        lane.bounds, lane.rejected,
    )  # fmt: skip


def _make_lane(engine: Engine) -> _Lane:
    at, n_dims = ints(len(engine.pack.decision) + 2), len(engine.space.factors)
    work, out = engine.make_work(), np.empty((CANDIDATES, n_dims + 1), np.int64)
    return _Lane(at, work, out, np.empty((CANDIDATES, len(work.out))), reals(NEAREST + 1))


def _cut(engine: Engine) -> int:
    """Return the first of the last decisions that together have enough options to be the blocks. The options
    of each are independent of the other decisions.
    """
    pack, number, cut = engine.pack, 1, len(engine.pack.decision)
    classes, sizes = np.diff(pack.first_class), np.diff(pack.class_start)
    for dim, kind in pack.decision[:0:-1].tolist():
        if number >= BLOCKS or (kind == ROWS and classes[dim] > 1):
            break
        options = {ROWS: sizes[pack.first_class[dim]], KEEPS: len(pack.keep), SPREAD: classes[dim]}
        number *= int(options[kind])
        cut -= 1
    return cut


def _evaluate(engine: Engine, work: CandidateWork, candidates: Ints, bounds: Reals) -> Iterator[float]:
    """Evaluate all arrangements of candidates, those with the least bounds first, until none of the rest can
    be better than the best. Among equal mappings the first in the mapspace wins.
    """
    if not len(candidates):
        return
    keys = engine.values_of_bounds(bounds)
    order = np.lexsort((candidates[:, -1], *candidates[:, :-1].T, *keys.T[::-1]))
    keys, candidates = keys[order], candidates[order]
    counts = _arrangements(engine, candidates)
    ends = np.cumsum(np.multiply.reduce(counts, axis=1))
    first, room, seen = 0, ROOM // 32, 0
    while seen < len(candidates):
        if engine.kept.beats(tuple(keys[seen].tolist()), engine.part, place_of(candidates[seen])):
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
    """Return (n, 2 T): numbers of orders and of splits per tiling level (model 17.3, 17.4)."""
    space, (start, stop) = engine.space, engine.pack.free.T
    free = np.array([[dim in dims for dim in range(len(space.factors))] for dims in space.free])
    chosen = [rows[candidates[:, r]] for r, rows in enumerate(space.factors)]
    moving = np.stack(chosen, axis=2) > 1  # (n, T, R)
    real = (moving & free).sum(axis=2)
    orders, units = FACTORIAL[real], stop - start - real
    swaps = np.minimum(np.minimum(real, units), np.minimum(space.split - start, stop - space.split))
    splits = 1 + np.where(space.split < 0, moving.sum(axis=2), np.maximum(swaps, 0))
    counts = np.stack([orders, splits], axis=2).reshape(len(candidates), -1)
    if counts.astype(np.float64).prod(axis=1).sum() < 2**62:
        return counts
    return counts.astype(object)  # exact for any size
