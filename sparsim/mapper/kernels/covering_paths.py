"""The least cost of all mappings that cover at least some bounds, with given spatial factors and keeps.

A shortest path over chains of tiles as in `shortest_paths`, but extents need not divide what is covered. An
extent stands for all from it to below the next one, and `more` is how often it is repeated at least.
"""

import numpy as np

from sparsim.mapper.kernels.tile_chains import next_digits
from sparsim.model.kernels.fill import fill, fill_rows
from sparsim.model.kernels.jit import entry, kernel
from sparsim.model.kernels.loop_nest import box_words

START = -1  # no loop before this one in its level
FILLS, READS, UPDATES, DRAINS = 0, 1, 2, 3  # prices of a delivery
ALMOST = 1.0 - 1e-12  # tolerance for the rounding of products


@kernel
def _rounded(words):
    """Return the least count of words that are rounded half up, as an average over instances is."""
    return np.floor(words * ALMOST + 0.5)


@kernel
def _cost(w, j, state):
    """Return the cost of delivery j if the loop that moves its tile comes in the state of w.digit."""
    if w.cost[j, state] < 0.0:
        sent, arriving = 1.0, 1.0
        for dim in range(w.digit.shape[0]):
            sent *= w.sent[j, dim, w.digit[dim]]
            arriving *= w.arriving[j, dim, w.digit[dim]]
        arriving, sent = _rounded(w.words[j, 0] * arriving), _rounded(w.words[j, 1] * sent)
        cost = w.price[j, FILLS] * max(arriving - w.free[j, FILLS], 0.0)
        cost += w.price[j, READS] * max(sent - w.free[j, READS], 0.0)
        cost += w.price[j, UPDATES] * sent + w.price[j, DRAINS] * arriving
        w.cost[j, state] = cost
    return w.cost[j, state]


@kernel
def _fits(layer, keep, w, s):
    """Return whether the least tiles of the state of w.digit have room in level s."""
    if w.room[s] < 0:
        return True
    words = 0
    for dim in range(w.digit.shape[0]):
        w.ext[dim] = w.extent[dim, w.digit[dim]] * w.below[s, dim]
    for v in range(w.weight.shape[0]):
        if keep[s] >> v & 1:
            words += box_words(layer, v, w.ext)
    return words <= w.room[s]


@kernel
def _append_loops(layer, w, s, codes, limit, path):
    """Extend all paths by the temporal loops of level s; path[s, code, state] is the predecessor."""
    n_dims, n_states, trace = w.digit.shape[0], w.value.shape[1], path.shape[0] > 0
    for code in range(codes - 1, -1, -1):
        if not w.live[code]:
            continue
        fill(w.digit, 0)
        for state in range(n_states):
            value = w.value[code, state]
            for dim in range(n_dims if value + w.rest[code] < limit else 0):
                here = w.digit[dim]
                if not w.looped[s, dim] or here == w.number[dim] - 1:
                    continue
                after, cost = code, value
                for v in range(w.weight.shape[0]):
                    waiting = code // w.weight[v] % w.radix[v]
                    if waiting > 0 and layer.relevant[v] >> dim & 1:
                        after -= waiting * w.weight[v]
                        for q in range(w.opened[v] - waiting, w.opened[v]):
                            cost += _cost(w, w.queue[v, q], state)
                for p in range(w.step.shape[2]):
                    there = w.step[dim, here, p]
                    if there > here:
                        target = state + (there - here) * w.stride[dim]
                        if cost < w.value[after, target]:
                            w.value[after, target] = cost
                            w.live[after] = 1
                            if trace:
                                path[s, after, target] = code * n_states + state
            next_digits(w)


@kernel
def _leave_level(layer, keep, w, s, codes, limit):
    """Drop the paths whose tiles have no room in level s; the deliveries to it wait from here on. Returns the
    number added to the codes.
    """
    shift, n_states = 0, w.value.shape[1]
    for j in range(w.child.shape[0]):
        if w.child[j] == s:
            w.opened[w.of[j]] += 1
            shift += w.weight[w.of[j]]
    fill(w.digit, 0)
    for state in range(n_states):
        w.leave[state] = 1 if _fits(layer, keep, w, s) else 0
        next_digits(w)
    for code in range(codes - 1, -1, -1):
        source, live = code - shift, 0
        for state in range(n_states):
            value = np.inf
            if source >= 0 and w.live[source] and w.leave[state]:
                value = w.value[source, state]
                if value + w.rest[source] >= limit:
                    value = np.inf
            live |= value < np.inf
            w.value[code, state] = value
        w.live[code] = live
    return shift


@kernel
def _fill_rest(w, s, codes):
    """w.rest[code] := at most what a path still has to pay in level s."""
    later = 0.0
    for j in range(w.child.shape[0]):
        if w.child[j] >= s:
            later += w.floor[j]
    for code in range(codes):
        w.rest[code] = later
        for v in range(w.weight.shape[0]):
            waiting = code // w.weight[v] % w.radix[v]
            for q in range(max(w.opened[v] - waiting, 0), w.opened[v]):
                w.rest[code] += w.floor[w.queue[v, q]]


@kernel
def _follow(w, code, path, loops):
    """List the steps of the path that ends in `code`, outermost first: level, dim, extent. Returns their
    number.
    """
    n, n_states = 0, w.value.shape[1]
    state = n_states - 1
    for s in range(path.shape[0] - 1, -1, -1):
        code -= w.shift[s]
        while path[s, code, state] != START:
            before = path[s, code, state]
            code, before = before // n_states, before % n_states
            for dim in range(w.number.shape[0]):
                here = state // w.stride[dim] % w.number[dim]
                if here != before // w.stride[dim] % w.number[dim]:
                    loops[n, 0], loops[n, 1], loops[n, 2] = s, dim, w.extent[dim, here]
                    n += 1
            state = before
    return n


@entry
def least_covering_cost(layer, w, keep, limit, path, loops):
    """Entry: the least cost of a path below `limit`, else `limit`; np.inf if nothing has room. Where `path`
    (S, codes, states) has room, `loops` := the steps of the path (`_follow`); also returns their number.
    """
    codes, n_states = w.value.shape[0], w.value.shape[1]
    fill_rows(w.value, np.inf)
    fill_rows(w.cost, -1.0)
    fill(w.live, 0)
    fill(w.opened, 0)
    for s in range(path.shape[0]):
        fill_rows(path[s], START)
    code = 0
    for j in range(w.child.shape[0]):
        if w.child[j] < 0:
            w.opened[w.of[j]] += 1
            code += w.weight[w.of[j]]
    w.value[code, 0], w.live[code] = 0.0, 1
    for s in range(keep.shape[0]):
        _fill_rest(w, s, codes)
        _append_loops(layer, w, s, codes, limit, path)
        w.shift[s] = _leave_level(layer, keep, w, s, codes, limit)
    least, end, last = limit, 0, n_states - 1
    for dim in range(w.digit.shape[0]):
        w.digit[dim] = w.number[dim] - 1
    for code in range(codes):
        cost = w.value[code, last]
        for v in range(w.weight.shape[0]):
            waiting = code // w.weight[v] % w.radix[v]
            for q in range(w.opened[v] - waiting, w.opened[v]):
                cost += _cost(w, w.queue[v, q], last)
        if cost < least:
            least, end = cost, code
    number = 0
    if path.shape[0] > 0 and least < limit:
        number = _follow(w, end, path, loops)
    return least, number
