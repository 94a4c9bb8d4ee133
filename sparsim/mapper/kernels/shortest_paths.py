"""The least cost of all mappings with given spatial factors and keeps: a shortest path over chains of tiles.

Loops are appended from the innermost outward, one prime at a time. A child's tile is delivered again from the
first loop on that moves it (model 7.3), so the cost of its delivery is known there: the words of the
tile, times the iterations still outside. A state is therefore the extents reached and, per dataspace, how
many deliveries wait for such a loop.
"""

import numpy as np

from sparsim.mapper.kernels.lower_bounds import stored_share
from sparsim.mapper.kernels.tile_chains import (
    OF,
    UNKNOWN,
    WAITS,
    deliveries,
    extents,
    fill_floors,
    fits,
    next_digits,
    spread_out,
)
from sparsim.mapper.kernels.window_deliveries import delivery_cost, raise_floors, window_cost
from sparsim.model.arrays import CHILD
from sparsim.model.kernels.fill import fill
from sparsim.model.kernels.jit import entry, kernel
from sparsim.model.kernels.tile_densities import most_nonzeros

START = -1  # no loop before this one in its level
STORED, CHANCE, MOST = 0, 1, 2


@entry
def tile_shares(layer, density, size, out):
    """Entry: out (D, n, 3) := least stored share, least chance not to be dropped, and most words stored of
    tiles of size (D, n) words.
    """
    for v in range(size.shape[0]):
        kind, nonzero, total = density.kind[v], density.density[v], layer.words[v]
        for i in range(size.shape[1]):
            points = size[v, i]
            out[v, i, STORED], out[v, i, CHANCE] = stored_share(kind, nonzero, total, points)
            out[v, i, MOST] = most_nonzeros(kind, nonzero, total, points)


@kernel
def fill_rest(w, s, complete, n, codes):
    """w.rest[code] := at most what a path still has to pay in level s, where the tiles of some dataspaces are
    complete.
    """
    later = 0.0
    for j in range(n):
        child = w.delivery[j, CHILD]
        if child > s or (child == s and not complete >> w.delivery[j, OF] & 1):
            later += w.floor[j]
    for code in range(codes):
        w.rest[code] = later
        for v in range(w.groups.shape[1]):
            for q in range(max(w.opened[v] - w.open[code, v], 0), w.opened[v]):
                w.rest[code] += w.floor[w.queue[v, q]]


@kernel
def _wait_on(layer, chain, w, code, dim, s, state):
    """Return (code, cost, whether a run is open) after a loop over `dim` in level s: it ends the deliveries
    of the tensors that it moves. Where a run is open, the cost of windows depends on all of the loop.
    """
    after, cost, runs = code, 0.0, False
    for v in range(w.groups.shape[1]):
        waiting, fresh = w.open[code, v], w.fresh[code, v]
        if not layer.relevant[v] >> dim & 1:
            after -= fresh * w.weight[v]
        elif waiting > 0:
            after -= (waiting * w.span[v] + fresh) * w.weight[v]
            last = w.opened[v]
            slides = chain.window[v] >> dim & 1 == 1
            if slides and fresh > 0:
                last, runs = last - fresh, True
            for q in range(w.opened[v] - waiting, last):
                if slides:
                    cost += window_cost(layer, chain, w, w.queue[v, q], dim, 0, s, state)
                else:
                    cost += delivery_cost(layer, chain, w, w.queue[v, q], state)
    return after, cost, runs


@kernel
def _run_cost(layer, chain, w, code, dim, to, s, state):
    """Return the cost of the deliveries of windows whose first loop is that over `dim`, to divisor `to`."""
    cost = 0.0
    for v in range(w.groups.shape[1]):
        if chain.window[v] >> dim & 1:
            for q in range(w.opened[v] - w.fresh[code, v], w.opened[v]):
                cost += window_cost(layer, chain, w, w.queue[v, q], dim, to, s, state)
    return cost


@kernel
def _forget_runs(chain, w):
    """Reset the costs of windows, which depend on the level of the loop that ends a delivery."""
    for v in range(w.groups.shape[1]):
        if chain.window[v] > 0:
            for row in range(w.place[v], w.place[v] + w.opened[v] * w.slot[w.slot.shape[0] - 1]):
                for state in range(w.stride[w.digit.shape[0]]):
                    w.run[row, state] = UNKNOWN


@kernel
def append_loops(layer, chain, w, s, codes, limit, path, row):
    """Extend all paths by the temporal loops of level s; path[row, code, state] is the predecessor.

    A loop leads to a later state, and to a code that is no larger.
    """
    n_dims = w.digit.shape[0]
    n_states = w.stride[n_dims]
    trace = path.shape[0] > 0
    _forget_runs(chain, w)
    for code in range(codes - 1, -1, -1):
        if not w.live[code]:
            continue
        fill(w.digit, 0)
        for state in range(n_states):
            value = w.value[code, state]
            for dim in range(n_dims if value + w.rest[code] < limit else 0):
                here = w.digit[dim]
                if not chain.looped[s, dim] or here == w.number[dim] - 1:
                    continue
                after, ended, runs = _wait_on(layer, chain, w, code, dim, s, state)
                for p in range(w.number[dim] - 1 - here if runs else chain.prime.shape[1]):
                    k = here + 1 + p if runs else w.step[dim, here, p]
                    if k < 0 or w.extent[dim, k] % w.extent[dim, here] != 0:
                        continue
                    cost = value + ended
                    if runs:
                        cost += _run_cost(layer, chain, w, code, dim, k, s, state)
                    target = state + (k - here) * w.stride[dim]
                    if cost < w.value[after, target]:
                        w.value[after, target] = cost
                        w.live[after] = 1
                        if trace:
                            path[row, after, target] = code * n_states + state
            next_digits(w)


@kernel
def _end_of_level(layer, chain, keep, w, s, n, state):
    """Cost of the deliveries to level s that do not wait, in the state of w.digit; np.inf: no fit."""
    if w.leave[state] == UNKNOWN:
        w.leave[state] = 0.0 if fits(layer, chain, keep, w, s) else np.inf
        for j in range(n):
            if w.leave[state] < np.inf and w.delivery[j, CHILD] == s and not w.delivery[j, WAITS]:
                w.leave[state] += delivery_cost(layer, chain, w, j, state)
    return w.leave[state]


@kernel
def leave_level(layer, chain, keep, w, s, n, codes, limit):
    """Drop the paths whose tiles do not fit level s, and deliver to it. Returns the number added to the
    codes.
    """
    shift, n_states = 0, w.stride[w.digit.shape[0]]
    for j in range(n):
        if w.delivery[j, CHILD] == s and w.delivery[j, WAITS]:
            v = w.delivery[j, OF]
            w.opened[v] += 1
            shift += w.weight[v] * (w.span[v] + (chain.window[v] > 0))
    for state in range(n_states):
        w.leave[state] = UNKNOWN
    for code in range(codes - 1, -1, -1):
        source = code - shift
        if source < 0 or not w.live[source]:
            if w.live[code]:
                for state in range(n_states):
                    w.value[code, state] = np.inf
                w.live[code] = 0
            continue
        fill(w.digit, 0)
        live = 0
        for state in range(n_states):
            value = w.value[source, state]
            if value + w.rest[source] < limit:
                value += _end_of_level(layer, chain, keep, w, s, n, state)
                live |= value < np.inf
            else:
                value = np.inf
            w.value[code, state] = value
            next_digits(w)
        w.live[code] = live
    return shift


@kernel
def begin_paths(layer, chain, w, n, codes, n_states, base):
    """Start a path at a single operation."""
    for code in range(codes):
        for state in range(n_states):
            w.value[code, state] = np.inf
    code, cost = 0, base
    fill(w.opened, 0)
    fill(w.digit, 0)
    for j in range(n):
        if w.delivery[j, CHILD] < 0:
            v = w.delivery[j, OF]
            if w.delivery[j, WAITS]:
                w.opened[v] += 1
                code += w.weight[v]
            else:
                cost += delivery_cost(layer, chain, w, j, 0)
    for other in range(codes):
        w.live[other] = 0
    w.value[code, 0], w.live[code] = cost, 1


@kernel
def _shortest(layer, chain, keep, w, n, codes, n_states, base, limit, path):
    """Return the least cost of a path below `limit`, else `limit`, and the code at its end."""
    begin_paths(layer, chain, w, n, codes, n_states, base)
    for s in range(keep.shape[0]):
        fill_rest(w, s, 0, n, codes)
        append_loops(layer, chain, w, s, codes, limit, path, s)
        w.shift[s] = leave_level(layer, chain, keep, w, s, n, codes, limit)
    return best_end(layer, chain, w, codes, limit)


@kernel
def best_end(layer, chain, w, codes, limit):
    """Return the least cost of a path that has left all levels below `limit`, else `limit`, and its code."""
    least, end, state = limit, 0, w.stride[w.digit.shape[0]] - 1
    for dim in range(w.digit.shape[0]):
        w.digit[dim] = w.number[dim] - 1
    for code in range(codes):
        cost = w.value[code, state]
        for v in range(w.groups.shape[1]):
            for q in range(w.opened[v] - w.open[code, v], w.opened[v]):
                cost += delivery_cost(layer, chain, w, w.queue[v, q], state)
        if cost < least:
            least, end = cost, code
    return least, end


@kernel
def forget(w, n, n_states, path):
    """Reset costs and paths before the first search."""
    for j in range(n):
        for state in range(n_states):
            w.cost[j, state] = UNKNOWN
    for s in range(path.shape[0]):
        for code in range(path.shape[1]):
            fill(path[s, code], START)


@kernel
def _follow(w, code, n_states, path, loops):
    """List the loops of the path that ends in `code`, outermost first: level, dim, bound. Returns their
    number.
    """
    n, state = 0, n_states - 1
    for s in range(path.shape[0] - 1, -1, -1):
        code -= w.shift[s]
        n, code, state = follow_loops(w, s, n_states, path, s, n, code, state, loops)
    return n


@kernel
def follow_loops(w, s, n_states, path, row, n, code, state, loops):
    """List the loops of level s before a state; returns their number with the `n` before, and the code and
    the state from where they start.
    """
    while path[row, code, state] >= 0:
        before = path[row, code, state]
        code, before = before // n_states, before % n_states
        for dim in range(w.number.shape[0]):
            here = w.extent[dim, state // w.stride[dim] % w.number[dim]]
            there = w.extent[dim, before // w.stride[dim] % w.number[dim]]
            if here != there:
                loops[n, 0], loops[n, 1], loops[n, 2] = s, dim, here // there
                n += 1
        state = before
    return n, code, state


@entry
def least_costs(layer, chain, work, keep, spread, scale, base, limit, out, path, loops):
    """Entry: least (base[i] + cost of deliveries) * scale[i] of the mappings with spatial factors spread[i]
    (S, R) and `keep` (S,), one i after the other.

    out[i, 0] := a value no path is below, at little cost; out[i, 1] := the least value if both are below
    `limit`, else `limit`, np.inf if nothing fits. Where `path` (S, codes, states) has room, `loops` := those
    of the last path (`_follow`), and their number is returned.
    """
    found = 0
    for i in range(spread.shape[0]):
        spread_out(layer, chain, spread[i], work)
        n_states = extents(chain, work)
        n, codes = deliveries(layer, chain, keep, work)
        floors = fill_floors(layer, chain, work, n) + raise_floors(layer, chain, work, n)
        out[i, 0] = (base[i] + floors) * scale[i]
        out[i, 1] = limit
        if out[i, 0] >= limit:
            continue
        forget(work, n, n_states, path)
        least, code = _shortest(layer, chain, keep, work, n, codes, n_states, base[i], limit / scale[i], path)
        out[i, 1] = least * scale[i]
        if path.shape[0] > 0 and out[i, 1] < limit:
            found = _follow(work, code, n_states, path, loops)
    return found
