"""Costs of the deliveries of a chain of tiles, those of sliding windows included.

Where two dims move a coordinate, tiles overlap. If the first loop outside a child moves its window, all its
iterations but the first bring only new words; if it does not move the tensor, it is free. Any other loop
brings the whole tile (model 7.3), unless its move equals that of the first loop, and children may take words
from neighbours (model 7.4). Both are possible in few states; there, costs are a lower bound.
"""

import math

from sparsim.mapper.kernels.tile_chains import (
    ALL,
    OF,
    QUEUED,
    UNKNOWN,
    WAITS,
    deliver,
    may_lose,
    place_of,
    tile_words,
)
from sparsim.model import arrays as k
from sparsim.model.kernels.jit import kernel
from sparsim.model.kernels.loop_nest import box_words


@kernel
def delivery_cost(layer, chain, w, j, state):
    """Return the cost of delivery j if the loop that moves its tile, or the end of its level, comes in the
    state of w.digit, and no part of the tile stays.
    """
    if w.cost[j, state] == UNKNOWN:
        v = w.delivery[j, OF]
        tile = tile_words(layer, w, w.delivery[j, k.CHILD], v)
        words = float(tile)
        for dim in range(w.digit.shape[0]):
            if w.delivery[j, ALL] or chain.distinct[v] >> dim & 1:
                words *= w.outside[dim, w.digit[dim]]
        w.cost[j, state] = _deliver(layer, chain, w, j, words, 0.0, place_of(chain, v, tile))
    return w.cost[j, state]


@kernel
def window_cost(layer, chain, w, j, dim, to, s, state):
    """Return the cost of delivery j of windows that a loop over `dim` in level s ends. The loop is the first
    outside the child and extends tiles to the divisor `to`, or comes after loops that do not move them: 0.
    """
    v = w.delivery[j, OF]
    row = w.place[v] + w.slot[w.slot.shape[0] - 1] * w.delivery[j, QUEUED] + w.slot[dim] + to
    if w.run[row, state] == UNKNOWN:
        w.run[row, state] = _window_cost(layer, chain, w, j, dim, to, s)
    return w.run[row, state]


@kernel
def _window_cost(layer, chain, w, j, dim, to, s):
    """Compute `window_cost`."""
    words, linked = _window_words(layer, chain, w, j, dim, to, s)
    v = w.delivery[j, OF]
    return _deliver(layer, chain, w, j, words, linked, place_of(chain, v, box_words(layer, v, w.ext)))


@kernel
def _window_words(layer, chain, w, j, dim, to, s):
    """Return the words that arrive at a child, and how many of them may come from neighbours; w.ext := the
    extents of a child.
    """
    v, child = w.delivery[j, OF], w.delivery[j, k.CHILD]
    tile = tile_words(layer, w, child, v)
    whole, outside = float(tile), 1.0
    for d in range(w.digit.shape[0]):
        outside *= w.outside[d, w.digit[d]]
    left = w.outside[dim, w.digit[dim]]
    move = chain.coefficient[v, dim] * w.extent[dim, w.digit[dim]] * w.below[s, dim]
    if to > 0:
        bound = w.extent[dim, to] // w.extent[dim, w.digit[dim]]
        after, part, first = outside / bound, _new_words(layer, chain, w, v, dim, move), 2
        words = after * (whole + (bound - 1) * part)
    else:
        bound = _least_prime(left)
        after, part, first = outside / bound, 0.0, 1
        words = outside * whole
    same, linked = 0.0, 0.0
    if part < whole and _may_repeat(chain, w, v, dim, s, move, left, bound, first):
        same = after * (1.0 - 1.0 / _outside_of(chain, w, v, dim, left // bound))
        words -= (whole - part) * same
    if to > 0 and w.children[child + 1] > 1 and not chain.flags[child + 1, k.NO_LINK] >> v & 1:
        between = _may_differ(chain, w, v, child + 1)
        served = _served(chain, w, v, child, dim, move) if between else 0.0
        if part < whole:
            linked = served * part * ((bound - 2) * after + same)
        else:
            later = _later_served(layer, chain, w, v, child, dim, s, move, left, bound, served, between)
            linked = whole * after * (served * (bound - 1) + later)
    return words, linked


@kernel
def raise_floors(layer, chain, w, n):
    """Raise w.floor of deliveries of windows to the cost of the least words that any path counts; returns by
    how much in all. Neighbours may have all words but those that only one loop brings.
    """
    more = 0.0
    for j in range(n):
        child, v = w.delivery[j, k.CHILD], w.delivery[j, OF]
        if chain.window[v] == 0 or not w.delivery[j, WAITS]:
            continue
        words, last = _least_words(layer, chain, w, j), chain.size.shape[1]
        content, fills = words * w.copies[j], words
        if w.children[child + 1] > 1:
            fills = words / w.instances[child + 1] - 1.0
            content = 1.0 * w.copies[j]
            for dim in range(w.digit.shape[0]):
                if chain.distinct[v] >> dim & 1:
                    content *= w.left[dim] * w.below[child, dim]
        floor = deliver(layer, chain, w, j, content, fills, 0.0, last)
        if floor > w.floor[j]:
            more += floor - w.floor[j]
            w.floor[j] = floor
    return more


@kernel
def _least_words(layer, chain, w, j):
    """Return the least words that arrive at a child with any tile that fits, and any loop that ends the
    delivery.
    """
    v = w.delivery[j, OF]
    for dim in range(w.digit.shape[0]):
        w.digit[dim] = 0 if layer.relevant[v] >> dim & 1 else w.number[dim] - 1
    least, more = math.inf, True
    while more:
        least = min(least, _least_words_of(layer, chain, w, j))
        more = False
        for dim in range(w.digit.shape[0]):  # the next extents of dims that move a window
            if chain.window[v] >> dim & 1 and not more:
                more = w.digit[dim] < w.number[dim] - 1
                w.digit[dim] = w.digit[dim] + 1 if more else 0
    return least if least < math.inf else 0.0


@kernel
def _least_words_of(layer, chain, w, j):
    """Return the least words with the child's tile of w.digit, inf if it does not fit."""
    child, v = w.delivery[j, k.CHILD], w.delivery[j, OF]
    least = float(tile_words(layer, w, child, v))
    stored = least if chain.exact[0] else chain.stored[child, v, place_of(chain, v, least)]
    if 0 <= chain.room[child, k.MOST] < stored:
        return math.inf
    for dim in range(w.digit.shape[0]):
        least *= w.outside[dim, w.digit[dim]]
        if chain.window[v] >> dim & 1 and not w.tiled[child, dim, w.digit[dim]]:
            return math.inf
    for dim in range(w.digit.shape[0]):
        here = w.digit[dim]
        if not chain.window[v] >> dim & 1 or here == w.number[dim] - 1:
            continue
        for s in range(child + 1, w.below.shape[0]):
            if chain.looped[s, dim]:
                for to in range(w.number[dim]):
                    runs = to > here and w.extent[dim, to] % w.extent[dim, here] == 0
                    if to == 0 or runs:
                        least = min(least, _window_words(layer, chain, w, j, dim, to, s)[0])
    return least


@kernel
def _new_words(layer, chain, w, v, dim, move):
    """Return the words of the tile of w.ext that it did not hold before a step of `dim`."""
    whole, common, o = 1.0, 1.0, chain.coordinate[v, dim]
    for q in range(layer.side.shape[1] - 1):
        side = 1
        for i in range(layer.side[v, q], layer.side[v, q + 1]):
            side += layer.term[i, k.TERM_SIZE] * (w.ext[layer.term[i, k.TERM_DIM]] - 1)
        whole *= side
        common *= max(side - move, 0) if q == o else side
    return whole - common


@kernel
def _least_prime(n):
    """Return the least prime factor of n; n itself if that is 1 or a prime."""
    p = 2
    while p * p <= n:
        if n % p == 0:
            return p
        p += 1
    return n


@kernel
def _shares(chain, v, dim, other):
    """Return whether another dim moves the coordinate that `dim` moves."""
    return (
        other != dim
        and chain.window[v] >> other & 1 == 1
        and chain.coordinate[v, other] == chain.coordinate[v, dim]
    )


@kernel
def _outside_of(chain, w, v, dim, rest):
    """Return the iterations that are left of the dims of a coordinate, `rest` of them of `dim`."""
    for other in range(w.digit.shape[0]):
        if _shares(chain, v, dim, other):
            rest *= w.outside[other, w.digit[other]]
    return rest


@kernel
def _may_repeat(chain, w, v, dim, s, move, left, bound, first):
    """Return whether a loop outside that of `dim` may move the window by what it moved before, `first` times
    `move` and the moves of the loops between, so that loops over other coordinates cannot be among these.
    """
    others, step, spread, rest = 0, 1, 1, 1
    for other in range(w.digit.shape[0]):
        if _shares(chain, v, dim, other) and w.outside[other, w.digit[other]] > 1:
            others += 1
            step = chain.coefficient[v, other] * w.extent[other, w.digit[other]] * w.below[s, other]
            spread = w.below[w.below.shape[0] - 1, other] // w.below[s, other]
            rest = w.outside[other, w.digit[other]]
    if first == 2 and bound == 2 and left > 2:
        return True  # by loops over the same dim: two steps, as far as one of the next loop
    if others == 0:
        return False  # moves of one dim grow too fast
    if others == 1 and _least_prime(left) == left:  # a single loop over `dim`
        return first * move % step == 0
    if others == 1 and _least_prime(rest) == rest:  # a single loop over the other dim
        return step * spread % move == 0
    return True


@kernel
def _spread(w, s, dim):
    """Return the spatial factor of a level."""
    return w.below[s, dim] // w.below[s - 1, dim] if s > 0 else w.below[s, dim]


@kernel
def _children_of(chain, w, v, child, dim):
    """Return (dims, different positions, largest factor, distance): of the coordinate of `dim`, at the
    children, those of the dims that are spread; w.ext has the extents of a child.
    """
    n, most, f, u, g, x = 0, 1, 1, 1, 1, 1
    for other in range(w.digit.shape[0]):
        factor = _spread(w, child + 1, other)
        if factor > 1 and (other == dim or _shares(chain, v, dim, other)):
            n += 1
            g, x, f, u = f, u, factor, chain.coefficient[v, other] * w.ext[other]
            most = max(most, factor)
    places = f
    if n == 2:
        common = math.gcd(u, x)
        places = f * g - max(f - x // common, 0) * max(g - u // common, 0)
    return n, places, most, u


@kernel
def _may_differ(chain, w, v, s):
    """Return whether children of level s beside each other may differ in their window alone: those in a line
    differ by the innermost loop.
    """
    if chain.flags[s, k.NO_MULTICAST] >> v & 1:
        return True
    for dim in range(w.digit.shape[0]):
        if chain.window[v] >> dim & 1 and _spread(w, s, dim) > 1:
            first = True
            for other in range(w.digit.shape[0]):
                within = chain.inside[s, dim] >> other & 1 and not chain.window[v] >> other & 1
                if within and _spread(w, s, other) > 1:
                    first = False
            if first:
                return True
    return False


@kernel
def _served(chain, w, v, child, dim, move):
    """Return the largest share of different positions, of all children, to which a neighbour is `move`
    ahead.
    """
    n, places, _, distance = _children_of(chain, w, v, child, dim)
    if n == 0:
        return 0.0
    if n > 1:
        return 1.0
    ahead = move // distance
    if (
        move % distance != 0
        or ahead >= places
        or (_is_line(chain, child, dim) and ahead not in (1, places - 1))
    ):
        return 0.0
    return (places - ahead) / places


@kernel
def _is_line(chain, child, dim):
    """Return whether the children beside each other in a line are consecutive or at both of its ends."""
    return chain.inside[child + 1, dim] >> dim & 1 == 1


@kernel
def _later_served(layer, chain, w, v, child, dim, s, move, left, bound, served, between):
    """Return the largest share of the iterations outside the loop of `dim` in which neighbours may have all
    words; loops over dims that move a coordinate alone end this.
    """
    n = _children_of(chain, w, v, child, dim)[0] if between else 0
    own = _outside_of(chain, w, v, dim, left // bound)
    if n == 1 and own == left // bound and _is_line(chain, child, dim):
        _, places, _, distance = _children_of(chain, w, v, child, dim)
        if distance % move != 0 and (places - 1) * distance % move != 0:
            return 0.0  # all moves along this coordinate are multiples of the first
    if served > 0.0 or (n > 0 and own > 1):
        rest = 1.0
        for d in range(w.digit.shape[0]):
            if d == dim or _shares(chain, v, dim, d) or _goes_on(layer, chain, w, v, child, d):
                rest *= left // bound if d == dim else w.outside[d, w.digit[d]]
        return 1.0 - 1.0 / rest
    if n == 0 and _may_repeat(chain, w, v, dim, s, move, left, bound, 1):
        return 1.0 - 1.0 / own
    return 0.0


@kernel
def _goes_on(layer, chain, w, v, child, dim):
    """Return whether neighbours may have all words after loops over `dim`: it does not move the tensor, its
    children differ in its coordinate, or the loops of two dims may cancel there.
    """
    if not layer.relevant[v] >> dim & 1:
        return True
    if not chain.window[v] >> dim & 1:
        return False
    left = 1 if w.outside[dim, w.digit[dim]] > 1 else 0
    for other in range(w.digit.shape[0]):
        if _shares(chain, v, dim, other) and w.outside[other, w.digit[other]] > 1:
            left += 1
    return left > 1 or _children_of(chain, w, v, child, dim)[0] > 0


@kernel
def _deliver(layer, chain, w, j, words, linked, i):
    """Return the least cost of delivery j when `words` arrive at each child, of which `linked` may come from
    neighbours; w.ext has the extents of a child.
    """
    child, v = w.delivery[j, k.CHILD], w.delivery[j, OF]
    copies, lost, alike = float(w.copies[j]), 0.0, 1.0
    if chain.window[v] == 0 or not w.delivery[j, WAITS]:
        if child >= 0 and may_lose(layer, chain, w, v, child):
            lost = 1.0
        return deliver(layer, chain, w, j, words * copies, words - lost, 0.0, i)
    for dim in range(w.digit.shape[0]):
        if chain.window[v] >> dim & 1 and _is_first(chain, v, dim):
            n, places, most, _ = _children_of(chain, w, v, child, dim)
            if n > 1:
                lost, alike = 1.0, 0.0
                if n == 2 and not chain.flags[child + 1, k.NO_MULTICAST] >> v & 1:
                    copies = copies * places / most
    if linked == 0.0:
        return deliver(layer, chain, w, j, words * copies, words - lost, 0.0, i)
    apart = w.instances[child + 1]
    content = words * copies - linked * copies - 1.0
    fills = words - linked * (1.0 - 1.0 / apart) - 1.0
    peers = max(linked * alike / apart - 1.0, 0.0)
    return min(
        deliver(layer, chain, w, j, words * copies, words - 1.0, 0.0, i),
        deliver(layer, chain, w, j, content, fills, peers, i),
    )


@kernel
def _is_first(chain, v, dim):
    """Return whether no dim before this one moves its coordinate."""
    for other in range(dim):
        if _shares(chain, v, dim, other):
            return False
    return True
