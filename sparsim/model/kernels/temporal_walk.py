"""Deliveries where tiles overlap or children share words: a walk over temporal loops, event by event.

Only iterations 0 and 1 of a loop are distinguished; iteration 1 represents all later ones (model 7.2, 7.3).
The step that advances loop i always moves the child's tile by the same vector, so the walk is a small
automaton over the remembered move, and its events are counted instead of simulated (model 20.1).
"""

from sparsim.model import arrays as k
from sparsim.model.kernels.fill import fill
from sparsim.model.kernels.jit import kernel
from sparsim.model.kernels.multicast import (
    EVERYONE,
    UNSERVED,
    add_groups,
    coordinate_shift,
    coordinate_weight,
    find_served,
    group_children,
    place_children,
)


@kernel
def _child_words(nest, s, v):
    return float(nest.tile[s - 1, v]) if s > 0 else 1.0


@kernel
def _translations(layer, nest, s, v):
    """Fill nest.shift with the move of every step of the walk; returns (loops, kinds of moves).

    Step i advances loop i and returns all loops inside it from iteration 1 to 0. The last column names the
    class of equal moves. nest.walk[2, i, 0] keeps the loop's bound.
    """
    n, classes = 0, 0
    sides = layer.side.shape[1] - 1
    for i in range(nest.ops[k.N_REAL]):
        loop = nest.loop[nest.real[i]]
        if loop[k.KIND] != k.TEMPORAL or loop[k.LEVEL] < s:
            continue
        nest.walk[2, n, 0] = loop[k.BOUND]
        for o in range(sides):
            tau = coordinate_shift(layer, v, loop[k.DIM], loop[k.STRIDE], o)
            nest.shift[n, o] = tau
        n += 1
    for o in range(sides):
        inner = 0
        for i in range(n):
            tau = nest.shift[i, o]
            nest.shift[i, o] = tau - inner
            inner += tau
    for i in range(n):
        nest.shift[i, sides] = classes
        for j in range(i):
            same = True
            for o in range(sides):
                same = same and nest.shift[i, o] == nest.shift[j, o]
            if same:
                nest.shift[i, sides] = nest.shift[j, sides]
                break
        if nest.shift[i, sides] == classes:
            classes += 1
    return n, classes


@kernel
def _stands_still(nest, i):
    for o in range(nest.shift.shape[1] - 1):
        if nest.shift[i, o] != 0:
            return False
    return True


@kernel
def _next_record(nest, i, g, reuse, resting):
    """Return the record after step i with record g: the class of the remembered move plus 1, or 0 for none.

    With `resting`, the number of all moves, a step without a move keeps the record, as in Timeloop 4.x, and
    adds that number to mark it (model 7.3).
    """
    own = nest.shift[i, nest.shift.shape[1] - 1] + 1
    if not reuse:
        return 0
    if resting > 0:
        g %= resting
        if _stands_still(nest, i):
            return g + resting
    return own if g == 0 or g == own else 0


@kernel
def _weigh_events(nest, n, records, reuse, resting):
    """nest.walk[0][i, g] := how often step i is taken with record g (model 20.1, counted top-down).

    nest.walk[1][i, g] is the record after the sub-walk over the i innermost loops entered with g.
    """
    weight, end = nest.walk[0], nest.walk[1]
    bound = nest.walk[2]
    for g in range(records):
        end[0, g] = g
        for i in range(n):
            weight[i, g] = 0.0
    for i in range(n):
        for g in range(records):
            end[i + 1, g] = end[i, _next_record(nest, i, int(end[i, g]), reuse, resting)]
    for g in range(records):  # bound[:, 1:] is the number of times that a sub-walk is entered with g
        for i in range(n + 1):
            bound[i, g + 1] = 0.0
    bound[n, 1] = 1.0
    for i in range(n - 1, -1, -1):
        for g in range(records):
            entered = bound[i + 1, g + 1]
            if entered == 0.0:
                continue
            bound[i, g + 1] += entered
            before = int(end[i, g])
            again = entered * (bound[i, 0] - 1.0)
            weight[i, before] += again
            bound[i, _next_record(nest, i, before, reuse, resting) + 1] += again


@kernel
def _new_words(layer, nest, v, i):
    """Words of the child's tile after move i that it did not hold before: |T minus (T - move)|."""
    whole, common = 1.0, 1.0
    for o in range(layer.side.shape[1] - 1):
        side = 1
        for q in range(layer.side[v, o], layer.side[v, o + 1]):
            side += layer.term[q, k.TERM_SIZE] * (nest.ext[layer.term[q, k.TERM_DIM]] - 1)
        whole *= side
        common *= max(0, side - abs(nest.shift[i, o]))
    return whole - common


@kernel
def _child_extents(nest, s):
    """nest.ext := the extents of the tile of level s - 1."""
    fill(nest.ext, 1)
    for i in range(nest.ops[k.N_REAL]):
        loop = nest.loop[nest.real[i]]
        if loop[k.LEVEL] < s:
            nest.ext[loop[k.DIM]] *= loop[k.BOUND]


@kernel
def _event_words(layer, nest, v, i, g, reuse, resting, whole):
    """Words that step i delivers to a child when the record is g."""
    if _next_record(nest, i, g, reuse, resting) == 0:
        return whole
    return _new_words(layer, nest, v, i)


@kernel
def count_events(layer, nest, s, v, reuse, rests):
    """Words delivered to one child over the whole walk, overlaps included."""
    n, classes = _translations(layer, nest, s, v)
    resting = classes + 1 if rests else 0
    records = max(classes + 1, 2 * resting)
    _weigh_events(nest, n, records, reuse, resting)
    _child_extents(nest, s)
    whole = _child_words(nest, s, v)
    words = whole
    for i in range(n):
        for g in range(records):
            if nest.walk[0, i, g] > 0.0:
                words += nest.walk[0, i, g] * _event_words(layer, nest, v, i, g, reuse, resting, whole)
    return words


@kernel
def _link_possible(layer, nest, v, i, g, reuse, resting, whole, words):
    """Return whether step i delivers the same set as the step before it.

    Both sets are the whole tile, or the same new part of it; a step without a move delivers nothing.
    """
    if 0 < resting <= g:
        return False
    previous = whole
    if g > 0:
        j = 0
        while nest.shift[j, nest.shift.shape[1] - 1] + 1 != g:
            j += 1
        previous = _new_words(layer, nest, v, j)
    if words == whole:
        return previous == whole
    return g > 0 and _next_record(nest, i, g, reuse, resting) == g


@kernel
def deliver_walk(arch, layer, flags, nest, s, v, reuse, rests, alone):
    """Compute the general case, with several children, where each event has its own multicast groups and
    links.
    """
    nest.n_bucket[s, v] = 0
    children, columns, rows = place_children(arch, layer, nest, s, v)
    n, classes = _translations(layer, nest, s, v)
    resting = classes + 1 if rests else 0
    records = max(classes + 1, 2 * resting)
    _weigh_events(nest, n, records, reuse, resting)
    _child_extents(nest, s)
    whole = _child_words(nest, s, v)
    sizes, groups = group_children(nest, children, columns, rows, alone, EVERYONE)
    if sizes < 0 or add_groups(nest, s, v, EVERYONE, sizes, whole) != k.OK:
        return k.BAD_TOO_MANY_GROUPS
    links = flags[s, k.NO_LINK] >> v & 1 == 0
    for i in range(n):
        step = 0
        for o in range(layer.side.shape[1] - 1):
            step += coordinate_weight(layer, v, o) * nest.shift[i, o]
        for g in range(records):
            times = nest.walk[0, i, g]
            words = _event_words(layer, nest, v, i, g, reuse, resting, whole) if times > 0.0 else 0.0
            if words == 0.0:
                continue
            which, used = EVERYONE, sizes
            if links and _link_possible(layer, nest, v, i, g, reuse, resting, whole, words):
                served = find_served(nest, children, columns, rows, step)
                if served > 0:
                    fewer, fewer_groups = group_children(nest, children, columns, rows, alone, UNSERVED)
                    if fewer < 0:
                        return k.BAD_TOO_MANY_GROUPS
                    if fewer_groups < groups:
                        which, used = UNSERVED, fewer
                        nest.flow[s, v, k.LINK] += served * words * times
            if add_groups(nest, s, v, which, used, words * times) != k.OK:
                return k.BAD_TOO_MANY_GROUPS
    content = 0.0
    for i in range(nest.n_bucket[s, v]):
        content += nest.bucket[s, v, i, k.B_ACCESSES]
    nest.flow[s, v, k.CONTENT] = content
    return k.OK
