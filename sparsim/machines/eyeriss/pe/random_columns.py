"""Statistics of columns of random weights: their cycles, the cycles that the fetch pipeline hides, the
differences between PEs.

Every element is nonzero on its own with the tensor's density, so a column of m weights has a binomial number
of nonzeros. All functions take arrays and work along them.
"""

import functools
import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparsim.errors import SpecError
from sparsim.records.pe_spec import SparsePE

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]
LONGEST_COLUMN = 1024  # binomial coefficients of longer ones leave the range of a double


def checked_density(what: str, density: ArrayLike) -> Reals:
    """Return the density. Raises SpecError outside of 0 to 1."""
    found = np.asarray(density, np.float64)
    wrong = ~((found >= 0.0) & (found <= 1.0))
    if wrong.any():
        raise SpecError(f"{what} density must be between 0 and 1, got {found[wrong].flat[0]:g}", path="pe")
    return found


def binomial(n: int, density: Reals) -> Reals:
    """Return the probabilities of 0..n nonzeros among n elements, with one row per density."""
    k = np.arange(n + 1)
    ways = np.array([float(math.comb(n, i)) for i in k])
    d = np.asarray(density, np.float64)[..., None]
    return np.asarray(ways * d**k * (1.0 - d) ** (n - k))


def _shared(array: Reals) -> Reals:
    """Return an array as read-only, because all callers get the same one from a cache."""
    array.flags.writeable = False
    return array


@functools.lru_cache(maxsize=256)
def explicit_zeros(m: int, run: int) -> Reals:
    """[n, x]: chance that n nonzeros among m elements need x explicit zeros, one per `run` zeros in a row
    before a nonzero.

    Counted: x runs over the n gaps in C(n + x - 1, x) ways; what is left of every gap is less than `run`
    (inclusion and exclusion), what is left of the last, behind all nonzeros, is free.
    """
    most = max(0, m - 1) // run
    chance = np.zeros((m + 1, most + 1))
    chance[0, 0] = 1.0
    for n in range(1, m + 1):
        ways = math.comb(m, n)
        for x in range(most + 1):
            left = range((m - n) // run - x + 1)
            rest = sum((-1) ** j * math.comb(n, j) * math.comb(m - run * (x + j), n) for j in left)
            chance[n, x] = math.comb(n + x - 1, x) * rest / ways
    return _shared(chance)


@functools.lru_cache(maxsize=256)
def _words_of(m: int, run: int, per_word: int) -> Reals:
    """Return [n, words], the probability that a column of m elements with n nonzeros takes so many words."""
    explicit = explicit_zeros(m, run)
    chance = np.zeros((m + 1, -(-m // per_word) + 1))
    for (n, x), p in np.ndenumerate(explicit):
        if p > 0.0:
            chance[n, -(-(n + x) // per_word)] += p
    return _shared(chance)


def column_words(pe: SparsePE, m: Ints, density: Reals) -> Reals:
    """Return the probabilities (K, words + 1) of 0, 1, ... words for columns of `m` weights (K,). A word
    takes one cycle.
    """
    found = np.zeros((len(m), -(-int(m.max(initial=0)) // pe.simd_width) + 1))
    for n in np.unique(m).tolist():
        rows = m == n
        if not pe.skips_zero_weights:
            found[rows, -(-n // pe.simd_width)] = 1.0
            continue
        words = _words_of(n, pe.longest_run, pe.simd_width)
        found[rows, : words.shape[1]] = binomial(n, density[rows]) @ words
    return found


def stalls(pe: SparsePE, m: Ints, density: Reals) -> Reals:
    """Return the cycles (K,) that the MACs expect to wait between two columns of `m` weights, neither empty,
    of which the second needs a psum of the last word of the first. Explicit zeros are left out.
    """
    found = np.zeros(len(m))
    if pe.accumulate_cycles == 1 or pe.pipeline_stages == 0:
        return found
    density = density if pe.skips_zero_weights else np.ones_like(density)
    most = 1 << int(m.max(initial=1) - 1).bit_length()
    for value in np.unique(density).tolist():
        rows = density == value
        found[rows] = _meetings(most, pe.simd_width, value)[m[rows]]
    return found * (pe.accumulate_cycles - 1)


@functools.lru_cache(maxsize=4096)
def _meetings(most: int, lanes: int, density: float) -> Reals:
    """Return for columns of 0..most weights the chance that the last word of one and the first word of the
    next, neither of them empty, have a filter in common.

    Filter by filter: x counts the nonzeros of the first column, up to `lanes` and again from 0 for every
    word, and from `lanes` on for what is its last word; y counts those of the second up to `lanes`. Steps
    that meet are left out.
    """
    step = np.zeros((2 * lanes, lanes + 1, 2 * lanes, lanes + 1))
    for x, y in np.ndindex(2 * lanes, lanes + 1):
        words = [(x, False, 1.0 - density)]  # next x, whether the filter is in the last word, chance
        if x < lanes:
            words.append(((x + 1) % lanes, False, density))
        if x == 0 or lanes <= x < 2 * lanes - 1:
            words.append((max(x, lanes - 1) + 1, True, density))
        for after, last, chance in words:
            step[x, y, after, y] += chance * (1.0 - density)
            if not (last and y < lanes):
                step[x, y, after, min(y + 1, lanes)] += chance * density
    states = 2 * lanes * (lanes + 1)
    square = step.reshape(states, states)
    at = np.eye(1, states)[0]
    apart = np.zeros(most + 1)
    for n in range(1, most + 1):
        at = at @ square
        apart[n] = at.reshape(2 * lanes, lanes + 1)[lanes:, 1:].sum()
    both = (1.0 - (1.0 - density) ** np.arange(most + 1)) ** 2
    share = np.divide(apart, both, out=np.ones_like(apart), where=both > 0.0)
    return _shared(np.clip(1.0 - share, 0.0, 1.0))


def unhidden(pe: SparsePE, words: Reals, empty: Reals) -> Reals:
    """Part of the fetch pipeline's fruitless cycles in which the MACs wait.

    `words` (K, ...) are the chances of a column's length, `empty` (K,) those that a cycle of the fetch
    pipeline yields no column. The number k of columns that wait after one has begun is a Markov chain: a
    column of n words gives the pipeline n tries (the successes stop at one more than may wait, and that one
    takes the first of the next tries). When nothing waits at its end, the MACs do, for as many tries as it
    takes: 1 / (1 - empty).
    """
    if pe.pipeline_stages == 0:
        return np.zeros_like(empty)
    some = words[:, 0] < 1.0
    rare = empty < 1e-9  # nothing to hide, and no stationary state of the chain
    chance = np.where(rare, 0.5, empty)[:, None]
    share = np.where(some[:, None], words[:, 1:], 1.0)
    share = share / share.sum(axis=1, keepdims=True)
    n = np.arange(1, words.shape[1])
    most = pe.lookahead_columns
    successes = np.zeros((len(empty), most + 1))  # probability of so many while a column is processed
    for a in range(most + 1):
        ways = np.array([float(math.comb(i, a)) for i in n.tolist()])
        successes[:, a] = (share * ways * chance ** np.maximum(n - a, 0) * (1 - chance) ** a).sum(axis=1)
    step = np.zeros((len(empty), most + 1, most + 1))
    for k in range(most):
        for a in range(most + 1 - k):
            step[:, k, max(0, k + a - 1)] += successes[:, a]
    step[:, most, most - 1] = (share * chance ** (n - 1)).sum(axis=1)
    step[:, :, most] = 1.0 - step[:, :, :most].sum(axis=2)
    system = np.swapaxes(step, 1, 2) - np.eye(most + 1)
    system[:, -1] = 1.0  # the chances of all k add to 1
    right = np.broadcast_to(np.eye(most + 1)[:, -1:], (len(empty), most + 1, 1))
    nothing_waits = np.linalg.solve(system, right)[:, 0, 0] * successes[:, 0]
    return np.where(rare, 0.0, np.where(some, nothing_waits / chance[:, 0], 1.0))


@functools.cache
def _normal() -> tuple[Reals, Reals]:
    """Return positions from -9 to 9 and the distribution function of the standard normal at these."""
    places = np.linspace(-9.0, 9.0, 1801)
    return _shared(places), _shared(np.array([NormalDist().cdf(x) for x in places.tolist()]))


def largest_of(n: Ints) -> tuple[Reals, Reals]:
    """Return the expected largest of n standard normals, and the expected square of it."""
    places, below = _normal()
    counts, index = np.unique(n, return_inverse=True)
    chance = np.diff(below ** counts[:, None], axis=1)
    middle = (places[1:] + places[:-1]) / 2
    mean, square = chance @ middle, chance @ middle**2
    mean[counts == 1], square[counts == 1] = 0.0, 1.0  # exactly 0, so that one PE is not slower than itself
    return mean[index].reshape(np.shape(n)), square[index].reshape(np.shape(n))
