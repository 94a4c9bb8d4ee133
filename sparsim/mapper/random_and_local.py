"""Random and local search, for mapspaces too large to enumerate. Equal seeds give equal results."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from sparsim.mapper.engine import Engine
from sparsim.mapper.factorisations import divisors
from sparsim.model.arrays import Ints, Reals

BATCH = 1024  # random mappings at a time
NEIGHBOURS = 96  # neighbours of the current mapping that are evaluated together
PATIENCE = 4  # attempts without a better neighbour before a new start
KICKS = 4  # moves of a new start away from the best mapping
MOST_NUMBER = 2**62
MANY_ROWS = 4096  # factorisations of a dim of which near ones are looked up
STEP_US, TRIED_US, EVALUATED_US = 400.0, 2.0, 20.0  # approximate times of steps in microseconds


def draw_random(engine: Engine, rng: np.random.Generator, number: int) -> tuple[Ints, Ints]:
    """Draw (candidates, numbers of orders and splits), each part uniformly."""
    sizes = [*(len(rows) for rows in engine.space.factors), len(engine.space.keep)]
    candidates = np.stack([rng.integers(size, size=number) for size in sizes], axis=1)
    return candidates, rng.integers(MOST_NUMBER, size=(number, len(engine.low.arch.tiling), 2))


def search_random(engine: Engine, seed: int, tries: int | None) -> Iterator[float]:
    """Evaluate random mappings, `tries` of them or without limit, in steps that yield their work."""
    rng, work = np.random.default_rng(seed), engine.make_work()
    done = 0
    while tries is None or done < tries:
        candidates, draw = draw_random(engine, rng, BATCH)
        number = BATCH if tries is None else min(BATCH, tries - done)
        before = engine.evaluated
        engine.try_numbers(work, candidates[:number], draw[:number])
        done += number
        yield work_of(number, engine.evaluated - before)


def search_local(engine: Engine, seed: int, tries: int | None) -> Iterator[float]:
    """Hill climbing from the best of random mappings and of those found before; stuck, it starts again near
    the best so far. In steps that yield their work.

    A neighbour has one dim's factors moved between two tiling levels, or another bypass choice, order or
    split (iterated local search; Lourenco, Martin, Stuetzle 2003).
    """
    rng, work = np.random.default_rng(seed), engine.make_work()
    done, stuck = 0, 0
    here: tuple[Ints, Ints] | None = None
    height: tuple[float, ...] = ()
    while tries is None or done < tries:
        if here is None:
            candidates, draw = draw_random(engine, rng, BATCH)
            done += BATCH
        else:
            candidates, draw = neighbours(engine, rng, *here, NEIGHBOURS)
            done += NEIGHBOURS
        before = engine.evaluated
        found = engine.try_numbers(work, candidates, draw)
        best = _least(found)
        if here is None and (here := _best(engine)) is not None:
            height = next(entry.values for entry in engine.kept.entries if entry.part == engine.part)
        elif best is not None and (here is None or tuple(found[best].tolist()) < height):
            here, height, stuck = (candidates[best], draw[best]), tuple(found[best].tolist()), 0
        else:
            stuck += here is not None
        if stuck >= PATIENCE and here is not None:
            here = _kicked(engine, rng)
            height, stuck = tuple([np.inf] * len(engine.objectives)), 0
        yield work_of(len(candidates), engine.evaluated - before)


def work_of(tried: int, evaluated: int) -> float:
    """The work of one step that tries mappings and evaluates those that bounds and capacities leave."""
    return STEP_US + TRIED_US * tried + EVALUATED_US * evaluated


def _least(found: Reals) -> int | None:
    """Return the row of the least values that are not nan."""
    valid = np.flatnonzero(~np.isnan(found[:, 0]))
    return int(valid[np.lexsort(found[valid].T[::-1])[0]]) if len(valid) else None


def _best(engine: Engine) -> tuple[Ints, Ints] | None:
    """Return the best mapping of this part that is among the best of all."""
    place = next((e.place for e in engine.kept.entries if e.part == engine.part), None)
    if place is None:
        return None
    n_dims = len(engine.space.factors)
    candidate = np.array([*place[n_dims - 1 :: -1], place[n_dims]], np.int64)
    return candidate, np.array(place[n_dims + 1 :], np.int64).reshape(-1, 2)


def _kicked(engine: Engine, rng: np.random.Generator) -> tuple[Ints, Ints] | None:
    """Return a mapping, valid or not, some moves away from the given one."""
    best = _best(engine)
    if best is None:
        return None
    candidate, draw = best
    for _ in range(KICKS):
        candidates, draws = neighbours(engine, rng, candidate, draw, 1)
        candidate, draw = candidates[0], draws[0]
    return candidate, draw


def neighbours(
    engine: Engine, rng: np.random.Generator, candidate: Ints, draw: Ints, number: int
) -> tuple[Ints, Ints]:
    """Return `number` random neighbours of one mapping."""
    candidates, draws = np.tile(candidate, (number, 1)), np.tile(draw, (number, 1, 1))
    factors, keep = engine.space.factors, engine.space.keep
    moves = [r for r, rows in enumerate(factors) if len(rows) > 1]
    for r in moves:
        if r not in engine.near_rows:
            engine.near_rows[r] = NearRows(factors[r])
    near = {r: engine.near_rows[r].of(int(candidate[r])) for r in moves}
    kinds = [*moves, *moves]  # factors are changed twice as often as the rest
    if len(keep) > 1:
        kinds.append(len(factors))
    free = [t for t, dims in enumerate(engine.space.free) if len(dims) > 1 or engine.space.split[t] < 0]
    if free:
        kinds += [-1, -1]
    for i in range(number if kinds else 0):
        kind = kinds[rng.integers(len(kinds))]
        if kind == -1:
            draws[i, free[rng.integers(len(free))], rng.integers(2)] = rng.integers(MOST_NUMBER)
        elif kind == len(factors):
            candidates[i, kind] = rng.integers(len(keep))
        else:
            candidates[i, kind] = near[kind][rng.integers(len(near[kind]))]
    return candidates, draws


class NearRows:
    """The factorisations (n, T) of one dim, to find those that differ from one of them at two tiling levels.

    Of many rows, those with other factors at two levels are looked up by a number for each row.
    """

    def __init__(self, rows: Ints) -> None:
        self._rows = rows
        self._is_long = len(rows) > MANY_ROWS and bool(np.ptp(rows.prod(axis=1)) == 0)
        if self._is_long:
            self._code: Ints = np.random.default_rng(0).integers(2**62, size=rows.shape[1:])
            codes = rows @ self._code  # modulo 2^64
            self._order = np.argsort(codes)
            self._codes = codes[self._order]

    def of(self, one: int) -> Ints:
        """Return the rows that differ from row `one` at two levels, or all if there is none."""
        rows = self._rows
        among = self._candidates(rows[one]) if self._is_long else np.arange(len(rows))
        near = among[(rows[among] != rows[one]).sum(axis=1) == 2]
        return near if len(near) else np.arange(len(rows))

    def _candidates(self, row: Ints) -> Ints:
        """Return the rows in which the factors of two levels have the same product as in `row`."""
        steps = []
        for t, outer in combinations(range(len(row)), 2):
            product = int(row[t] * row[outer])
            for factor in divisors(product) if product > 1 else ():
                steps.append((t, outer, factor - row[t], product // factor - row[outer]))
        first, second, step, other = np.array(steps, np.int64).reshape(-1, 4).T
        codes = row @ self._code + step * self._code[first] + other * self._code[second]
        at = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
        return np.unique(self._order[at[self._codes[at] == codes]])
