"""Shortest paths where each dataspace in a memory has a tile at its own place of the loop nest.

A memory has several levels, of which each keeps one dataspace (`sparsim.mapper.uneven_tiles`). Which keeps
which is not fixed: a path passes through the sets of dataspaces whose tiles are complete, with loops in
between, so that one search finds the best of all orders. Everything else is as in `shortest_paths`; `keep`
has all dataspaces at the innermost level of a memory, which stands for its other levels.
"""

import numpy as np

from sparsim.mapper.kernels.shortest_paths import (
    append_loops,
    begin_paths,
    best_end,
    fill_rest,
    follow_loops,
    forget,
    leave_level,
)
from sparsim.mapper.kernels.tile_chains import (
    OF,
    UNKNOWN,
    WAITS,
    deliveries,
    extents,
    fill_floors,
    fits_alone,
    next_digits,
    spread_out,
)
from sparsim.mapper.kernels.window_deliveries import delivery_cost
from sparsim.model.arrays import CHILD
from sparsim.model.kernels.fill import fill
from sparsim.model.kernels.jit import entry, kernel

COMPLETED = -2  # a path completes the tile of dataspace v here: COMPLETED - v


@kernel
def _delivery_to(w, s, v, n):
    """Return the delivery of a dataspace to level s, -1: none."""
    for j in range(n):
        if w.delivery[j, CHILD] == s and w.delivery[j, OF] == v:
            return j
    return -1


@kernel
def _shift_of(w, s, v, n):
    """Return what the completion of a tile adds to a code."""
    j = _delivery_to(w, s, v, n)
    return w.weight[v] if j >= 0 and w.delivery[j, WAITS] == 1 else 0


@kernel
def _count(mask):
    number = 0
    while mask > 0:
        number += mask & 1
        mask >>= 1
    return number


@kernel
def _open_deliveries(w, s, complete, n):
    """w.opened := deliveries that wait at level s, of which some tiles are complete."""
    fill(w.opened, 0)
    for j in range(n):
        child, v = w.delivery[j, CHILD], w.delivery[j, OF]
        if w.delivery[j, WAITS] == 1 and (child < s or (child == s and complete >> v & 1)):
            w.opened[v] += 1


@kernel
def _complete_tile(layer, chain, w, s, level, v, n, codes, limit, value, path, row):
    """Extend all paths by the end of one tile, to paths with costs `value` (codes, states)."""
    j, shift = _delivery_to(w, s, v, n), _shift_of(w, s, v, n)
    fill(w.digit, 0)
    for state in range(w.stride[w.digit.shape[0]]):
        more = UNKNOWN
        for code in range(codes - shift):
            if not w.live[code] or w.value[code, state] + w.rest[code] >= limit:
                continue
            if more == UNKNOWN:
                more = 0.0 if fits_alone(layer, chain, w, s, level, v) else np.inf
                if more == 0.0 and j >= 0 and shift == 0:
                    more = delivery_cost(layer, chain, w, j, state)
            if w.value[code, state] + more < value[code + shift, state]:
                value[code + shift, state] = w.value[code, state] + more
                if path.shape[0] > 0:
                    path[row, code + shift, state] = COMPLETED - v
        next_digits(w)


@kernel
def _pass_memory(layer, chain, full, w, s, n, codes, limit, nodes, path, row):
    """Extend all paths by a memory whose innermost level is s, until the tiles of all of `full` are
    complete; nodes[mask] has the costs where those of `mask` are.
    """
    n_states = w.stride[w.digit.shape[0]]
    for mask in range(1, full + 1):
        for code in range(codes):
            for state in range(n_states):
                nodes[mask, code, state] = np.inf
    for mask in range(full + 1):
        if mask & full != mask:
            continue
        for code in range(codes if mask > 0 else 0):
            w.live[code] = 0
            for state in range(n_states):
                w.value[code, state] = nodes[mask, code, state]
                if w.value[code, state] < np.inf:
                    w.live[code] = 1
        level = s + _count(mask)
        _open_deliveries(w, s, mask, n)
        fill_rest(w, s, mask, n, codes)
        if mask < full or full == 0:  # loops after the last tile are those of the next level
            append_loops(layer, chain, w, level, codes, limit, path, row + mask)
        for v in range(w.groups.shape[1]):
            after = mask | 1 << v
            if full >> v & 1 and after > mask:
                _complete_tile(layer, chain, w, s, level, v, n, codes, limit, nodes[after], path, row + after)


@kernel
def _shortest(layer, chain, keep, first, w, n, codes, n_states, base, limit, nodes, path):
    """Return the least cost of a path below `limit`, else `limit`, and the code at its end."""
    begin_paths(layer, chain, w, n, codes, n_states, base)
    for m in range(first.shape[0] - 1):
        s, row = first[m], m * nodes.shape[0]
        if first[m + 1] - s > 1:
            _pass_memory(layer, chain, keep[s], w, s, n, codes, limit, nodes, path, row)
        else:
            fill_rest(w, s, 0, n, codes)
            append_loops(layer, chain, w, s, codes, limit, path, row)
            w.shift[s] = leave_level(layer, chain, keep, w, s, n, codes, limit)
    return best_end(layer, chain, w, codes, limit)


@kernel
def _follow(keep, first, w, n, code, n_states, path, loops, kept):
    """List the loops of the path that ends in `code`, outermost first, and what levels keep (S,). Returns
    the number of loops.
    """
    fill(kept, 0)
    found, state, rows = 0, n_states - 1, path.shape[0] // (first.shape[0] - 1)
    for m in range(first.shape[0] - 2, -1, -1):
        s, row = first[m], m * rows
        if first[m + 1] - s == 1:
            kept[s] = keep[s]
            code -= w.shift[s]
            found, code, state = follow_loops(w, s, n_states, path, row, found, code, state, loops)
            continue
        mask = keep[s]
        while True:
            level = s + _count(mask)
            found, code, state = follow_loops(w, level, n_states, path, row + mask, found, code, state, loops)
            if mask == 0:
                break
            v = COMPLETED - path[row + mask, code, state]
            kept[level - 1] = 1 << v
            code -= _shift_of(w, s, v, n)
            mask ^= 1 << v
    return found


@entry
def least_uneven_costs(
    layer, chain, work, keep, first, spread, scale, base, limit, nodes, out, path, loops, kept
):
    """Entry: like `shortest_paths.least_costs`, with the first level of each memory, and the number of levels
    at the end, in `first`.

    `nodes` (2^D, codes, states) is scratch. Where `path` (memories 2^D, codes, states) has room, `kept` (S,)
    := what the levels of the last path keep, with its loops in `loops`, whose number is returned.
    """
    found = 0
    for i in range(spread.shape[0]):
        spread_out(layer, chain, spread[i], work)
        n_states = extents(chain, work)
        n, codes = deliveries(layer, chain, keep, work)
        out[i, 0] = (base[i] + fill_floors(layer, chain, work, n)) * scale[i]
        out[i, 1] = limit
        if out[i, 0] >= limit:
            continue
        forget(work, n, n_states, path)
        least, code = _shortest(
            layer, chain, keep, first, work, n, codes, n_states, base[i], limit / scale[i], nodes, path
        )
        out[i, 1] = least * scale[i]
        if path.shape[0] > 0 and out[i, 1] < limit:
            found = _follow(keep, first, work, n, code, n_states, path, loops, kept)
    return found
