"""Costs of the deliveries of a chain of tiles: extents, spatial factors, counts, capacities.

Counts are those of `sparsim.mapper.kernels.lower_bounds`. `keep` (S,) says what is kept, `w` is a ChainWork.
"""

import math

import numpy as np

from sparsim.mapper.kernels.lower_bounds import ALMOST, ROUNDED_AWAY, may_lose_a_word
from sparsim.model import arrays as k
from sparsim.model.kernels.fill import fill
from sparsim.model.kernels.jit import kernel
from sparsim.model.kernels.loop_nest import box_words

OF, WAITS, ALL, QUEUED = 2, 3, 4, 5  # fields of a delivery, after CHILD and PARENT
UNKNOWN = -1.0
FILLED, SERVED = 0, 1  # rows of a tile: when it is filled, when it is read and updated for a child
LEGACY, LINEAR, TIGHT, EXACT_ROW = 0, 1, 2, 3  # modes of a row; TIGHT: linear, equal for all sizes
# fields of a row: mode, words of a tile with metadata, its density, share of instances in use, accesses per
# block, prices per word, what roundings may take from them, the same of a second price of one instance, units
# of its format
MODE, TILE, RHO_AT, AVG, RATIO_AT, LIN, SLACK, MORE, MORE_SLACK, UNIT = 0, 1, 2, 3, 4, 5, 8, 9, 12, 13
OUTER, INNER = 0, 1  # fields of a rule


@kernel
def spread_out(layer, chain, spread, w):
    """Compute constants of the spatial factors (S, R): extents below, instances, groups, partitions."""
    n_levels, n_dims = spread.shape[0], spread.shape[1]
    for s in range(n_levels):
        fill(w.below[s], 1)
    w.instances[n_levels - 1] = 1
    for v in range(w.groups.shape[1]):
        w.part[n_levels - 1, v] = layer.words[v]
    for s in range(n_levels - 1, -1, -1):
        w.children[s] = 1
        for dim in range(n_dims):
            w.children[s] *= spread[s, dim]
            for outer in range(s, n_levels):
                w.below[outer, dim] *= spread[s, dim]
        for v in range(w.groups.shape[1]):
            groups = 1
            for dim in range(n_dims):
                if chain.distinct[v] >> dim & 1:
                    groups *= spread[s, dim]
            groups *= _least_window_groups(chain, spread, s, v)
            if s > 0:
                w.part[s - 1, v] = w.part[s, v] // (groups if layer.plain[v] else 1)
            w.groups[s, v] = w.children[s] if chain.flags[s, k.NO_MULTICAST] >> v & 1 else groups
        if s > 0:
            w.instances[s - 1] = w.instances[s] * w.children[s]


@kernel
def _least_window_groups(chain, spread, s, v):
    """Return how many different windows the children of level s have at least: those of one dim are all
    different.
    """
    groups = 1
    for dim in range(spread.shape[1]):
        f = spread[s, dim] if chain.window[v] >> dim & 1 else 1
        first = f > 1
        for other in range(spread.shape[1]):
            same = chain.window[v] >> other & 1 and chain.coordinate[v, other] == chain.coordinate[v, dim]
            if same and (spread[s, other] > f or (spread[s, other] == f and other < dim)):
                first = False  # the one with the largest factor counts
        if first:
            groups *= f
    return groups


@kernel
def _is_tile(chain, s, dim, extent):
    """Return whether the mapspace has a tile of level s with this extent."""
    for e in range(chain.divisor.shape[1]):
        if chain.divisor[dim, e] == extent:
            return chain.tiled[s, dim, e]
    return 0


@kernel
def extents(chain, w):
    """Divisors of what is left of each dim for the loops in time, and their multiples by a prime; returns the
    number of states.
    """
    n_states = 1
    for dim in range(w.number.shape[0]):
        left = chain.bound[dim] // w.below[w.below.shape[0] - 1, dim]
        n = 0
        for e in range(chain.divisor.shape[1]):
            divisor = chain.divisor[dim, e]
            if divisor > 0 and left % divisor == 0:
                w.extent[dim, n], w.outside[dim, n] = divisor, left // divisor
                n += 1
        for e in range(n):
            for s in range(w.below.shape[0]):
                w.tiled[s, dim, e] = _is_tile(chain, s, dim, w.extent[dim, e] * w.below[s, dim])
            for p in range(chain.prime.shape[1]):
                w.step[dim, e, p] = -1
                for more in range(e + 1, n):
                    if w.extent[dim, more] == w.extent[dim, e] * chain.prime[dim, p]:
                        w.step[dim, e, p] = more
        follows = False
        for v in range(chain.window.shape[0]):
            follows = follows or chain.window[v] >> dim & 1 == 1
        w.slot[dim + 1] = w.slot[dim] + (n if follows else 0)
        w.left[dim], w.number[dim], w.stride[dim] = left, n, n_states
        n_states *= n
    w.stride[w.number.shape[0]] = n_states
    return n_states


@kernel
def deliveries(layer, chain, keep, w):
    """List the deliveries from parents to children, innermost first; returns (deliveries, codes).

    The code of a state has one digit per dataspace, the number of its latest deliveries that wait. Where
    windows are followed, the digit also has the number of those without a loop yet.
    """
    n, codes, rows = 0, 1, 0
    for v in range(w.groups.shape[1]):
        waiting, child = 0, -1
        for s in range(keep.shape[0]):
            if not keep[s] >> v & 1:
                continue
            again = child < 0 or chain.flags[child, k.NO_REUSE] >> v & 1 == 1
            everything = again and w.children[child + 1] == 1
            follows = chain.window[v] > 0 and not again
            waits = follows or (chain.disjoint[v] == 1 and not everything)
            w.delivery[n, k.CHILD], w.delivery[n, k.PARENT], w.delivery[n, OF] = child, s, v
            w.delivery[n, WAITS], w.delivery[n, ALL] = waits, waits or everything
            w.copies[n] = 1
            for level in range(child + 1, s + 1):
                w.copies[n] *= w.groups[level, v]
            if waits:
                w.queue[v, waiting], w.delivery[n, QUEUED] = n, waiting
                waiting += 1
            child = s
            n += 1
        w.place[v] = rows
        rows += waiting * w.slot[w.slot.shape[0] - 1] if chain.window[v] > 0 else 0
        w.span[v] = waiting + 1 if chain.window[v] > 0 else 1
        w.weight[v], w.radix[v] = codes, (waiting + 1) * w.span[v]
        codes *= w.radix[v]
    for code in range(codes):
        for v in range(w.groups.shape[1]):
            digit = code // w.weight[v] % w.radix[v]
            w.open[code, v], w.fresh[code, v] = digit // w.span[v], digit % w.span[v]
    return n, codes


@kernel
def _take(layer, chain, w, s, a, v, side, i, count):
    """Return the least cost of `count` accesses to one instance of level s; i is the position of the size of
    the tile that is filled, or of the child's tile.
    """
    words = max(math.ceil(count * ALMOST - 0.5), 0.0)
    scale = min(w.instances[s], chain.most[s])
    if chain.exact[0]:
        return math.ceil(words / chain.block[s]) * chain.price[s, k.RANDOM, a] * scale
    row = chain.row[s, v, side, i]
    more = max(words * row[MORE + a] * ALMOST - row[MORE_SLACK], 0.0)
    if row[MODE] == LINEAR or row[MODE] == TIGHT:
        return max(words * row[LIN + a] * ALMOST - row[SLACK], 0.0) * scale + more
    if row[MODE] == EXACT_ROW:
        return _tile_cost(layer, chain, s, a, v, row, words) * scale + more
    words = max(count * ALMOST * chain.share[s, v, a, i] - ROUNDED_AWAY, 0.0)
    return words / chain.block[s] * chain.price[s, k.RANDOM, a] * scale


@kernel
def _tile_cost(layer, chain, s, a, v, row, words):
    """Return the energy of accesses to tiles with known statistics, as the model computes it (model 9.6,
    11.1 to 11.3, 14.1, 14.2).
    """
    left = words
    if chain.coded[s, v]:
        left -= math.floor(left * (1.0 - row[RHO_AT]))
    left -= math.floor(left * chain.rule[s, v, OUTER])
    removed = 0.0
    if a != k.FILL:
        removed = left * chain.rule[s, v, INNER]
        removed = math.ceil(removed) if a == k.READ and layer.read_write[v] else math.floor(removed)
    block = chain.block[s]
    energy = math.ceil((left - removed) / block) * row[RATIO_AT] * chain.price[s, k.RANDOM, a]
    energy += math.ceil(removed / block) * row[RATIO_AT] * chain.price[s, chain.outcome[s, v], a]
    if row[TILE] > 0.0:
        bits, tiles = 0.0, words / row[TILE]
        for r in range(chain.rank_bits.shape[2]):
            for u in range(2):
                bits += np.ceil(row[UNIT + 2 * r + u] * tiles) * chain.rank_bits[s, v, r, u]
        energy += np.ceil(bits / chain.metadata_width[s]) * chain.metadata_price[s, a]
    return energy * row[AVG]


@kernel
def _drain(chain, w, s, v, i, words):
    """Return the least cost of reading `words` that one instance of level s hands to the level outside; it
    also has other reads, so vectors are not rounded up.
    """
    if chain.exact[0]:
        vectors = math.floor(words / chain.block[s])
    else:
        count = words * ALMOST * chain.share[s, v, k.FILL, i] - ROUNDED_AWAY
        vectors = math.floor(max(count, 0.0) / chain.block[s])
    return vectors * chain.price[s, k.RANDOM, k.READ] * min(w.instances[s], chain.most[s])


@kernel
def _peer_reads(chain, w, s, v, words):
    """Return the least cost of reading `words` of one instance of level s for its neighbours, as `_drain`."""
    last = chain.share.shape[3] - 1
    if chain.exact[0]:
        vectors = math.floor(words * ALMOST / chain.block[s])
    else:
        count = words * ALMOST * chain.share[s, v, k.READ, last] - ROUNDED_AWAY
        vectors = math.floor(max(count, 0.0) / chain.block[s])
    return vectors * chain.price[s, k.RANDOM, k.READ] * min(w.instances[s], chain.most[s])


@kernel
def may_lose(layer, chain, w, v, child):
    """Return whether a word may be lost of what arrives at each child (model 7.6)."""
    return chain.disjoint[v] == 0 and may_lose_a_word(layer, v, w.instances[child])


@kernel
def deliver(layer, chain, w, j, content, words, peers, i):
    """Return the least cost of delivery j: `content` leaves one instance of the parent, `words` arrive at
    each child, and `peers` are read by its neighbours.
    """
    child, parent, v = w.delivery[j, k.CHILD], w.delivery[j, k.PARENT], w.delivery[j, OF]
    accounting, writes = chain.accounting[0], layer.read_write[v] == 1
    cost, reads = 0.0, content
    if child >= 0:
        fills = words
        if writes and accounting in k.FREE_FIRST_FILL:
            fills -= w.part[child, v]
        if writes and accounting == k.COUNT_DRAINS:
            cost += _drain(chain, w, child, v, i, words)
        if peers > 0.0:
            cost += _peer_reads(chain, w, child, v, peers)
        cost += _take(layer, chain, w, child, k.FILL, v, FILLED, i, fills)
    if writes:
        cost += _take(layer, chain, w, parent, k.UPDATE, v, SERVED, i, content)
        if accounting != k.COUNT_ALL:
            reads -= w.part[parent, v]
    return cost + _take(layer, chain, w, parent, k.READ, v, SERVED, i, reads)


@kernel
def next_digits(w):
    """Advance the digits of a state to those of the next one."""
    for dim in range(w.digit.shape[0]):
        w.digit[dim] += 1
        if w.digit[dim] < w.number[dim]:
            return
        w.digit[dim] = 0


@kernel
def tile_words(layer, w, s, v):
    """Return the words of the tile of level s in the state of w.digit; s = -1 stands for one arithmetic
    unit.
    """
    for dim in range(w.digit.shape[0]):
        w.ext[dim] = w.extent[dim, w.digit[dim]] * (w.below[s, dim] if s >= 0 else 1)
    return box_words(layer, v, w.ext)


@kernel
def place_of(chain, v, words):
    """Return the position of the least size that is at least `words`."""
    if chain.exact[0]:
        return 0
    low, high = 0, chain.sizes[v] - 1
    while low < high:
        middle = (low + high) // 2
        if chain.size[v, middle] < words:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def fill_floors(layer, chain, w, n):
    """w.floor[j] := at most the cost of delivery j, every word once; returns their sum."""
    cost = 0.0
    last = chain.size.shape[1]
    for j in range(n):
        child, v = w.delivery[j, k.CHILD], w.delivery[j, OF]
        words = 1.0
        for dim in range(w.left.shape[0]):
            disjoint = chain.disjoint[v] == 1 or chain.window[v] > 0
            mine = disjoint and chain.distinct[v] >> dim & 1
            if mine or (child < 0 and w.delivery[j, ALL] and not w.delivery[j, WAITS]):
                words *= w.left[dim] * (w.below[child, dim] if child >= 0 else 1)
        lost = 1.0 if child >= 0 and may_lose(layer, chain, w, v, child) else 0.0
        w.floor[j] = deliver(layer, chain, w, j, words * w.copies[j], words - lost, 0.0, last)
        cost += w.floor[j]
    return cost


@kernel
def _has_extents(w, s):
    """Return whether the mapspace has a tile of level s with the extents of w.digit."""
    for dim in range(w.digit.shape[0]):
        if not w.tiled[s, dim, w.digit[dim]]:
            return False
    return True


@kernel
def _taken(layer, chain, w, s, v):
    """Return the least words and metadata bits of a tile in the state of w.digit; -1 words: not allowed."""
    tile = tile_words(layer, w, s, v)
    i = place_of(chain, v, tile)
    if not chain.exact[0] and not chain.allowed[s, v, i]:
        return -1, 0.0
    words = tile if chain.exact[0] else chain.stored[s, v, i]
    if words < chain.span[s, v, k.LEAST] or words > chain.span[s, v, k.MOST]:
        return -1, 0.0
    return words, chain.bits[s, v, i]


@kernel
def fits(layer, chain, keep, w, s):
    """Return whether the state of w.digit may be the tile of level s."""
    if not _has_extents(w, s):
        return False
    words, bits = 0, 0.0
    for v in range(w.groups.shape[1]):
        if keep[s] >> v & 1:
            some, more = _taken(layer, chain, w, s, v)
            if some < 0:
                return False
            words, bits = words + some, bits + more
    return chain.room[s, k.MOST] < 0 or (
        chain.room[s, k.LEAST] <= words <= chain.room[s, k.MOST] and bits <= chain.bit_room[s]
    )


@kernel
def fits_alone(layer, chain, w, s, level, v):
    """Return whether the state of w.digit may be the tile of one dataspace in the memory of level s, at the
    end of one of its levels.
    """
    if not _has_extents(w, level):
        return False
    words, bits = _taken(layer, chain, w, s, v)
    return words >= 0 and (
        chain.room[s, k.MOST] < 0 or (words <= chain.room[s, k.MOST] and bits <= chain.bit_room[s])
    )
