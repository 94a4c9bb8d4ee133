"""The expected work of one PE in one pass, from densities."""

from typing import NamedTuple

import numpy as np

from sparsim.machines.eyeriss.pe.conv_tiling import Accesses
from sparsim.machines.eyeriss.pe.random_columns import Ints, Reals, column_words, stalls, unhidden
from sparsim.records.pe_spec import SparsePE


class Tiles(NamedTuple):
    """Tiles of several passes, all (K,): m filters, c channels, s filter columns, stride u, p rows of q
    windows, and the densities of iacts and weights.
    """

    m: Ints
    c: Ints
    s: Ints
    u: Ints
    p: Ints
    q: Ints
    iact_density: Reals
    weight_density: Reals


class TileModel(NamedTuple):
    """Expectations for every tile, all (K,).

    Cycles are a sum over visits of columns: that the iact is nonzero, times what the column takes. Its
    variance is split by what it comes from: the weights, which all PEs with the same filters and channels
    share, the iacts, likewise, or the pair of them.
    """

    cycles: Reals  # without filling the pipeline
    most_cycles: Reals  # without any zeros
    busy_cycles: Reals
    macs: Reals
    weights: Reals  # nonzero ones of a tile, or all where zero weights are not skipped
    of_weights: Reals
    of_iacts: Reals
    of_both: Reals
    third: tuple[Reals, Reals, Reals]  # third central moments as if windows did not overlap: with the iacts
    # given, with the weights given, with none of both
    accesses: Accesses


def squared_uses(width: Ints, step: Ints, windows: Ints) -> Reals:
    """Sum over all places below `windows` windows of the square of how many windows cover the place.

    Two windows t apart share width - t * step places: these are summed over all pairs, by the sums of t and
    of its square, so that windows of any width take no time.
    """
    w, s, n = (np.asarray(x, np.float64) for x in (width, step, windows))
    last = np.maximum(np.minimum((w - 1) // s, n - 1), 0)
    of_t = last * (last + 1) / 2
    of_squares = of_t * (2 * last + 1) / 3
    shared = last * w * n - of_t * (w + s * n) + of_squares * s
    return np.asarray(w * n + 2 * shared)


def model_tiles(pe: SparsePE, tiles: Tiles) -> TileModel:
    """Compute the expected pass of every tile on PE `pe`."""
    m, c, s, u, p, q, iact_density, weight_density = tiles
    step = np.minimum(s, u)
    count = -(-s // step)  # segments of a window
    windows, columns = p * q, c * s
    visited = iact_density if pe.skips_zero_iacts else np.ones_like(iact_density)
    words = column_words(pe, m, weight_density)
    n = np.arange(words.shape[1])
    mean = words @ n
    no_segment = (count - 1) * (1 - visited) ** (c * step) + (1 - visited) ** (c * (s - (count - 1) * step))
    fruitless = columns * visited * words[:, 0] + no_segment
    some = visited * (1.0 - words[:, 0])  # chance that the MACs get a column
    first = 1.0 - (1.0 - some) ** columns  # and that they get one in a window, which has none before it
    follow = 1.0 - np.divide(first, columns * some, out=np.ones_like(some), where=some > 0)
    stall = stalls(pe, m, weight_density) * follow * (1.0 if pe.skips_zero_iacts else iact_density**2)
    taken = _with_stalls(words, stall)
    wait = unhidden(pe, taken, fruitless / (columns * visited + no_segment))

    moments = [taken @ np.arange(taken.shape[1]) ** k + wait**k * words[:, 0] for k in (1, 2, 3)]
    column_mean, column_variance = moments[0], np.maximum(moments[1] - moments[0] ** 2, 0.0)
    visits = windows * visited
    of_iacts = _iact_variance(tiles, visited, column_mean, wait)
    kept = weight_density if pe.skips_zero_weights else np.ones_like(weight_density)
    macs = windows * columns * iact_density * m * kept
    busy = windows * columns * visited * mean
    longest = -(-m // pe.simd_width)
    stalled = np.where(longest == 1, (columns - 1) * stalls(pe, m, np.ones_like(stall)), 0.0)
    certain = (stalled > 0.0) & (c * step == 1)  # an iact takes a cycle, zero or not, and only stalls vary
    return TileModel(
        cycles=busy + windows * wait * fruitless + windows * columns * some * stall,
        most_cycles=windows * (columns * longest + stalled),
        busy_cycles=busy,
        macs=macs,
        weights=columns * m * kept,
        of_weights=columns * visits**2 * column_variance,
        of_iacts=of_iacts,
        of_both=columns * visits * (1 - visited) * column_variance,
        third=_third_moments(np.where(certain, 0, columns), moments, visits, visited),
        accesses=_accesses(pe, tiles, count, visited, mean, macs),
    )


def _with_stalls(words: Reals, stall: Reals) -> Reals:
    """Return the chances of a column's length, with the cycle that it may wait for the column before."""
    if not stall.any():
        return words
    taken = np.zeros((len(words), words.shape[1] + 1))
    taken[:, :-1] = words * (1.0 - stall[:, None])
    taken[:, 1:] += words * stall[:, None]
    taken[:, 0], taken[:, 1] = words[:, 0], taken[:, 1] - words[:, 0] * stall
    return taken


def _iact_variance(tiles: Tiles, visited: Reals, column: Reals, wait: Reals) -> Reals:
    """Variance of the cycles due to the iacts.

    `column` are the mean cycles of a nonzero iact, `wait` those of an empty segment, which can only be one
    where no iact is nonzero.
    """
    _, c, s, u, p, q, _, _ = tiles
    of_elements = c * visited * (1 - visited) * column**2 * squared_uses(s, u, q)
    step = np.minimum(s, u)
    size = c * step
    empty = (1 - visited) ** size
    of_segments = wait**2 * empty * (1 - empty) - 2 * wait * size * column * visited * empty
    segments = squared_uses(-(-s // step), np.ones_like(s), q)
    return np.maximum(p * (of_elements + segments * of_segments), 0.0)


def _third_moments(
    columns: Ints, cycles: list[Reals], visits: Reals, visited: Reals
) -> tuple[Reals, Reals, Reals]:
    """Third central moments of a sum of products: cycles of a column (its first three moments) times its
    visits, which are binomial with mean `visits`.
    """
    mean, second, third = cycles
    variance = visits * (1 - visited)
    visits_central = variance * (1 - 2 * visited)
    visits_third = visits_central + 3 * visits * variance + visits**3
    column_central = third - 3 * mean * second + 2 * mean**3
    product = mean * visits
    both = third * visits_third - 3 * product * second * (variance + visits**2) + 2 * product**3
    return columns * column_central * visits_third, columns * third * visits_central, columns * both


def _accesses(pe: SparsePE, tiles: Tiles, count: Ints, visited: Reals, words: Reals, macs: Reals) -> Accesses:
    m, c, s, u, p, q, iact_density, _ = tiles
    windows, columns = p * q, c * s
    iact_addresses, weight_addresses = float(pe.skips_zero_iacts), float(pe.skips_zero_weights)
    loaded = np.where(u < s, (q - 1) * u + s, q * s)  # columns of iacts, windows may overlap
    return Accesses(
        iact_address_reads=iact_addresses * windows * count,
        iact_address_writes=iact_addresses * p * (count + q - 1),
        iact_data_reads=windows * columns * visited,
        iact_data_writes=p * c * loaded * visited,
        weight_address_reads=weight_addresses * 2 * windows * columns * iact_density,
        weight_address_writes=weight_addresses * columns,
        weight_data_reads=windows * columns * iact_density * words,
        weight_data_writes=columns * words,
        psum_reads=macs + windows * m,
        psum_writes=macs + windows * m,
    )
