"""The distribution of the number of nonzeros in a tile (model 8).

Hypergeometric probabilities are correctly rounded: they are formed in double-double arithmetic, a value being
an unevaluated sum (hi, lo) of two doubles with a relative error near 1e-31 (Dekker 1971; model 20.5).
"""

import math

import numpy as np

from sparsim.model.arrays import FIXED, HYPERGEOMETRIC, LEAST, START, STOP, TABULATED
from sparsim.model.kernels.jit import kernel

NEGLIGIBLE = 1e-45  # relative to the likeliest occupancy; smaller terms cannot change a rounded sum


@kernel
def _two_sum(a, b):
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


@kernel
def _two_product(a, b):
    p = a * b
    t = 134217729.0 * a
    ah = t - (t - a)
    al = a - ah
    t = 134217729.0 * b
    bh = t - (t - b)
    bl = b - bh
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


@kernel
def dd_times(hi, lo, x):
    """(hi, lo) * x for a double x."""
    p, e = _two_product(hi, x)
    return _two_sum(p, e + lo * x)


@kernel
def dd_over(hi, lo, x):
    """(hi, lo) / x for a double x."""
    q = hi / x
    p, e = _two_product(q, x)
    return _two_sum(q, ((hi - p) - e + lo) / x)


@kernel
def _dd_plus(ah, al, bh, bl):
    s, e = _two_sum(ah, bh)
    return _two_sum(s, e + (al + bl))


@kernel
def _dd_ratio(ah, al, bh, bl):
    """(ah, al) / (bh, bl), rounded to a double."""
    q = ah / bh
    p, e = _two_product(q, bh)
    return q + ((ah - p) - e + al - q * bl) / bh


@kernel
def miss_chance(total, taken, nonzeros):
    """C(total - taken, nonzeros) / C(total, nonzeros) as a double-double: no nonzero among `taken` points."""
    few, other = min(taken, nonzeros), max(taken, nonzeros)
    hi, lo = 1.0, 0.0
    if other + few > total:
        return 0.0, 0.0
    for j in range(few):
        hi, lo = dd_times(hi, lo, float(total - other - j))
        hi, lo = dd_over(hi, lo, float(total - j))
        if hi < 1e-290:
            return 0.0, 0.0
    return hi, lo


@kernel
def nonzeros_in_tensor(density, total):
    """Nonzeros of a whole hypergeometric tensor (model 8.3)."""
    return int(math.ceil(density * total))


@kernel
def hypergeometric_list(total, nonzeros, points, out_k, out_p, out_lo):
    """Occupancies with their probabilities, ascending; returns how many. out_lo is scratch.

    Weights grow from the likeliest occupancy to both sides and are divided by their sum, which is exact
    because all probabilities sum to one.
    """
    least, most = max(0, points + nonzeros - total), min(points, nonzeros)
    mode = int((points + 1.0) * (nonzeros + 1.0) / (total + 2.0))
    mode = min(max(mode, least), most)
    room = out_k.shape[0]
    middle = min(mode - least, room // 2)
    out_p[middle], out_lo[middle] = 1.0, 0.0
    first, last = middle, middle
    rest = total - nonzeros - points
    hi, lo = 1.0, 0.0
    k = mode
    while k < most and last + 1 < room:
        hi, lo = dd_times(hi, lo, float(nonzeros - k))
        hi, lo = dd_times(hi, lo, float(points - k))
        hi, lo = dd_over(hi, lo, float(k + 1))
        hi, lo = dd_over(hi, lo, float(rest + k + 1))
        if hi < NEGLIGIBLE:
            break
        k += 1
        last += 1
        out_p[last], out_lo[last] = hi, lo
    hi, lo = 1.0, 0.0
    k = mode
    while k > least and first > 0:
        hi, lo = dd_times(hi, lo, float(k))
        hi, lo = dd_times(hi, lo, float(rest + k))
        hi, lo = dd_over(hi, lo, float(nonzeros - k + 1))
        hi, lo = dd_over(hi, lo, float(points - k + 1))
        if hi < NEGLIGIBLE:
            break
        k -= 1
        first -= 1
        out_p[first], out_lo[first] = hi, lo
    hi, lo = 0.0, 0.0
    for i in range(first, last + 1):
        hi, lo = _dd_plus(hi, lo, out_p[i], out_lo[i])
    n = last - first + 1
    for i in range(n):
        out_p[i] = _dd_ratio(out_p[first + i], out_lo[first + i], hi, lo)
        out_k[i] = k + i
    return n


@kernel
def fixed_chance_of_none(points, density):
    """P(0) of a fixed-structured tile (model 8.2)."""
    x = points * density
    return 1.0 - x if x < 1.0 else 0.0


@kernel
def fixed_most(points, density):
    """Largest occupancy of a fixed-structured tile."""
    x = points * density
    low = math.floor(x)
    return int(low) if 1.0 - (x - low) >= 1.0 else int(math.ceil(x))


@kernel
def chance_of_none(kind, density, total, points):
    """P(0) of a tile of `points` points of a tensor of `total` points."""
    if points == 0:
        return 1.0
    if kind == FIXED:
        return fixed_chance_of_none(points, density)
    return miss_chance(total, points, nonzeros_in_tensor(density, total))[0]


@kernel
def most_nonzeros(kind, density, total, points):
    """Largest occupancy of a tile, at confidence 1."""
    if kind == HYPERGEOMETRIC:
        return min(points, nonzeros_in_tensor(density, total))
    return fixed_most(points, density)


@kernel
def _hypergeometric_least(total, nonzeros, points):
    """Least occupancy as the reference forms it: an unsigned difference that may wrap around (model 8.3).

    Returns -1 where the wrapped value is so large that no occupancy is left.
    """
    if points <= total - nonzeros:
        return 0
    wrapped = float(points - total) if points >= total else 18446744073709551616.0 - float(total - points)
    y = np.floor((wrapped + nonzeros) / points * points)  # a double, because it may exceed 2^63
    if y >= 18446744073709551616.0:
        return 0
    return int(y) if y < 9.0e18 else -1


@kernel
def occupancies(kind, density, total, points, table, s, v, out_k, out_p, out_lo):
    """(number, least): the list of occupancies with nonzero probability, ascending, and the least occupancy.

    `least` decides whether a tile may be empty (model 9.5); for a TABULATED tensor the list is a slice of
    the table and is copied.
    """
    if kind == HYPERGEOMETRIC:
        nonzeros = nonzeros_in_tensor(density, total)
        least = _hypergeometric_least(total, nonzeros, points)
        if least < 0:
            return 0, 0
        n = hypergeometric_list(total, nonzeros, points, out_k, out_p, out_lo)
        dropped = 0
        while dropped < n and out_k[dropped] < least:
            dropped += 1
        for i in range(n - dropped):
            out_k[i], out_p[i] = out_k[i + dropped], out_p[i + dropped]
        return n - dropped, least
    if kind == TABULATED:
        start, stop = table.start[s, v, START], table.start[s, v, STOP]
        for i in range(stop - start):
            out_k[i], out_p[i] = table.k[start + i], table.p[start + i]
        return stop - start, table.bounds[s, v, LEAST]
    x = points * density
    low = math.floor(x)
    above = x - low
    least = int(math.floor(low / points * points))
    n = 0
    if 1.0 - above != 0.0:
        out_k[0], out_p[0] = int(low), 1.0 - above
        n = 1
    if above != 0.0:
        out_k[n], out_p[n] = int(math.ceil(x)), above
        n += 1
    return n, least
