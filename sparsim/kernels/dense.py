"""Dense traffic: what every level delivers to the next, and the counts that follow (model-spec 7).

Densities play no part here. All numbers are for the instance at spatial coordinate 0.
"""

import math

from sparsim.kernels.jit import kernel
from sparsim.kernels.multicast import (
    add_groups,
    coordinate_shift,
    coordinate_weight,
    find_served,
    group_children,
    place_children,
)
from sparsim.packs import (
    B_ACCESSES,
    B_HOPS,
    B_MULTICAST,
    BAD_NEGATIVE_FILLS,
    BAD_TOO_MANY_GROUPS,
    BOUND,
    CONTENT,
    COUNT_ALL,
    DIM,
    ELIDE_FIRST_FILL,
    FILL,
    KIND,
    LEVEL,
    LINK,
    N_REAL,
    NO_LINK,
    NO_MULTICAST,
    NO_REUSE,
    OK,
    PARENT,
    PEER,
    READ,
    REDUCE,
    SHARE,
    STRIDE,
    TEMPORAL,
    UPDATE,
)


@kernel
def dense_traffic(arch, layer, flags, accounting, want_hops, nest):
    """Buckets, content, shares, bypass, peers, then reads, fills, updates of every level and dataspace."""
    n_levels, n_data = nest.tile.shape
    for v in range(n_data):
        for s in range(n_levels):
            status = _deliver(arch, layer, flags, want_hops, nest, s, v)
            if status != OK:
                return status
        _partition(nest, v)
        _share(nest, v)
        _bypass(nest, v)
        _peers(nest, v)
        status = _count(layer, accounting, nest, v)
        if status != OK:
            return status
    return OK


@kernel
def _spatial_loops(layer, nest, s, v):
    """(children, groups): products of all, and of the relevant, spatial bounds of level s."""
    children, groups = 1, 1
    for i in range(nest.ops[N_REAL]):
        loop = nest.loop[nest.real[i]]
        if loop[LEVEL] == s and loop[KIND] != TEMPORAL:
            children *= loop[BOUND]
            if layer.relevant[v] >> loop[DIM] & 1:
                groups *= loop[BOUND]
    return children, groups


@kernel
def _deliver(arch, layer, flags, want_hops, nest, s, v):
    """Fill the buckets, content and links of level s (7.2 to 7.4)."""
    nest.n_bucket[s, v] = 0
    nest.flow[s, v, LINK] = 0.0
    nest.flow[s, v, PEER] = 0.0
    children, groups = _spatial_loops(layer, nest, s, v)
    nest.fanout[s, v] = children
    alone = flags[s, NO_MULTICAST] >> v & 1 == 1
    reuse = s > 0 and flags[s - 1, NO_REUSE] >> v & 1 == 0
    if children > 1 and (want_hops or not layer.plain[v] or not reuse):
        return _deliver_walk(arch, layer, flags, nest, s, v, reuse, alone)
    if layer.plain[v] or not reuse:
        words = _closed_form(layer, nest, s, v, reuse)
    else:
        words = _count_events(layer, nest, s, v, reuse)
    if alone:
        groups = children
    bucket = nest.bucket[s, v, 0]
    bucket[0], bucket[1], bucket[B_ACCESSES], bucket[B_HOPS] = children // groups, groups, groups * words, 0.0
    nest.n_bucket[s, v] = 1
    nest.flow[s, v, CONTENT] = groups * words
    return OK


@kernel
def _child_words(nest, s, v):
    return float(nest.tile[s - 1, v]) if s > 0 else 1.0


@kernel
def _closed_form(layer, nest, s, v, reuse):
    """Words delivered to one child where tiles never overlap: free until the first relevant loop (7.3)."""
    words = _child_words(nest, s, v)
    paid = not reuse
    for i in range(nest.ops[N_REAL]):
        loop = nest.loop[nest.real[i]]
        if loop[KIND] == TEMPORAL and loop[LEVEL] >= s:
            paid = paid or (layer.relevant[v] >> loop[DIM] & 1) == 1
            if paid:
                words *= loop[BOUND]
    return words


@kernel
def _translations(layer, nest, s, v):
    """Fill nest.shift with the move of every step of the walk; returns (loops, kinds of moves).

    Step i advances loop i and returns all loops inside it from iteration 1 to 0. The last column names the
    class of equal moves. nest.walk[2, i, 0] keeps the loop's bound.
    """
    n, classes = 0, 0
    sides = layer.side.shape[1] - 1
    for i in range(nest.ops[N_REAL]):
        loop = nest.loop[nest.real[i]]
        if loop[KIND] != TEMPORAL or loop[LEVEL] < s:
            continue
        nest.walk[2, n, 0] = loop[BOUND]
        for o in range(sides):
            tau = coordinate_shift(layer, v, loop[DIM], loop[STRIDE], o)
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
def _next_record(nest, i, g, reuse):
    """The remembered move after step i with record g (0: none, else class + 1)."""
    own = nest.shift[i, nest.shift.shape[1] - 1] + 1
    return own if reuse and (g == 0 or g == own) else 0


@kernel
def _weigh_events(nest, n, classes, reuse):
    """nest.walk[0][i, g] := how often step i is taken with record g (model-spec 20.1, counted top-down).

    nest.walk[1][i, g] is the record after the sub-walk over the i innermost loops entered with g.
    """
    weight, end = nest.walk[0], nest.walk[1]
    bound = nest.walk[2]
    for g in range(classes + 1):
        end[0, g] = g
        for i in range(n):
            weight[i, g] = 0.0
    for i in range(n):
        for g in range(classes + 1):
            end[i + 1, g] = end[i, _next_record(nest, i, int(end[i, g]), reuse)]
    for g in range(classes + 1):  # bound[:, 1:] counts how often a sub-walk is entered with g
        for i in range(n + 1):
            bound[i, g + 1] = 0.0
    bound[n, 1] = 1.0
    for i in range(n - 1, -1, -1):
        for g in range(classes + 1):
            entered = bound[i + 1, g + 1]
            if entered == 0.0:
                continue
            bound[i, g + 1] += entered
            before = int(end[i, g])
            again = entered * (bound[i, 0] - 1.0)
            weight[i, before] += again
            bound[i, _next_record(nest, i, before, reuse) + 1] += again


@kernel
def _new_words(layer, nest, v, i):
    """Words of the child's tile after move i that it did not hold before: |T minus (T - move)|."""
    whole, common = 1.0, 1.0
    for o in range(layer.side.shape[1] - 1):
        side = 1
        for q in range(layer.side[v, o], layer.side[v, o + 1]):
            side += layer.term[q, 1] * (nest.ext[layer.term[q, 0]] - 1)
        whole *= side
        common *= max(0, side - abs(nest.shift[i, o]))
    return whole - common


@kernel
def _child_extents(nest, s):
    """nest.ext := the extents of the tile of level s - 1."""
    nest.ext[:] = 1
    for i in range(nest.ops[N_REAL]):
        loop = nest.loop[nest.real[i]]
        if loop[LEVEL] < s:
            nest.ext[loop[DIM]] *= loop[BOUND]


@kernel
def _event_words(layer, nest, v, i, g, reuse, whole):
    """Words that step i delivers to a child when the record is g."""
    if _next_record(nest, i, g, reuse) == 0:
        return whole
    return _new_words(layer, nest, v, i)


@kernel
def _count_events(layer, nest, s, v, reuse):
    """Words delivered to one child over the whole walk, overlaps included."""
    n, classes = _translations(layer, nest, s, v)
    _weigh_events(nest, n, classes, reuse)
    _child_extents(nest, s)
    whole = _child_words(nest, s, v)
    words = whole
    for i in range(n):
        for g in range(classes + 1):
            if nest.walk[0, i, g] > 0.0:
                words += nest.walk[0, i, g] * _event_words(layer, nest, v, i, g, reuse, whole)
    return words


@kernel
def _link_possible(layer, nest, v, i, g, reuse, whole, words):
    """Whether step i delivers the very set that the step before it delivered.

    Both sets are the whole tile, or the same new part of it.
    """
    previous = whole
    if g > 0:
        j = 0
        while nest.shift[j, nest.shift.shape[1] - 1] + 1 != g:
            j += 1
        previous = _new_words(layer, nest, v, j)
    if words == whole:
        return previous == whole
    return g > 0 and _next_record(nest, i, g, reuse) == g


@kernel
def _deliver_walk(arch, layer, flags, nest, s, v, reuse, alone):
    """The general case: several children, each event with its own multicast groups and links."""
    children, columns, rows = place_children(arch, layer, nest, s, v)
    n, classes = _translations(layer, nest, s, v)
    _weigh_events(nest, n, classes, reuse)
    _child_extents(nest, s)
    whole = _child_words(nest, s, v)
    sizes, groups = group_children(nest, children, columns, rows, alone, False, 0)
    if sizes < 0 or add_groups(nest, s, v, 0, sizes, whole) != OK:
        return BAD_TOO_MANY_GROUPS
    links = flags[s, NO_LINK] >> v & 1 == 0
    for i in range(n):
        step = 0
        for o in range(layer.side.shape[1] - 1):
            step += coordinate_weight(layer, v, o) * nest.shift[i, o]
        for g in range(classes + 1):
            times = nest.walk[0, i, g]
            words = _event_words(layer, nest, v, i, g, reuse, whole) if times > 0.0 else 0.0
            if words == 0.0:
                continue
            which, used = 0, sizes
            if links and _link_possible(layer, nest, v, i, g, reuse, whole, words):
                served = find_served(nest, children, columns, rows, step)
                if served > 0:
                    fewer, fewer_groups = group_children(nest, children, columns, rows, alone, True, 1)
                    if fewer < 0:
                        return BAD_TOO_MANY_GROUPS
                    if fewer_groups < groups:
                        which, used = 1, fewer
                        nest.flow[s, v, LINK] += served * words * times
            if add_groups(nest, s, v, which, used, words * times) != OK:
                return BAD_TOO_MANY_GROUPS
    content = 0.0
    for i in range(nest.n_bucket[s, v]):
        content += nest.bucket[s, v, i, B_ACCESSES]
    nest.flow[s, v, CONTENT] = content
    return OK


@kernel
def _partition(nest, v):
    """Share of the tensor that one instance sees, before bypassing (7.5)."""
    top = nest.tile.shape[0] - 1
    nest.part[top, v] = nest.tile[top, v]
    for s in range(top - 1, -1, -1):
        inside = nest.tile[s, v]
        union = inside
        for i in range(nest.ops[N_REAL]):
            m = nest.real[i]
            if nest.loop[m, LEVEL] == s + 1 and nest.loop[m, KIND] != TEMPORAL:
                union = nest.box[m + 1, v]
        nest.part[s, v] = nest.part[s + 1, v] * inside // union


@kernel
def _received(nest, s, v):
    """Words that all children of level s receive, a multicast counted once per receiver."""
    received = 0.0
    for i in range(nest.n_bucket[s, v]):
        received += nest.bucket[s, v, i, B_ACCESSES] * nest.bucket[s, v, i, B_MULTICAST]
    return received


@kernel
def _share(nest, v):
    """Words that arrive per instance, from the direct outer neighbour and before bypassing (7.6)."""
    top = nest.tile.shape[0] - 1
    nest.flow[top, v, SHARE] = 0.0
    for s in range(top):
        nest.flow[s, v, SHARE] = _received(nest, s + 1, v) / nest.fanout[s + 1, v]


@kernel
def _bypass(nest, v):
    """Hand the traffic of levels that do not keep `v` to the next outer one (7.8)."""
    n_levels = nest.tile.shape[0]
    outermost = 0
    for s in range(n_levels):
        if nest.kept[s, v]:
            outermost = s
            continue
        if s + 1 < n_levels:
            scale = nest.flow[s, v, CONTENT] * nest.fanout[s + 1, v] / _received(nest, s + 1, v)
            content = 0.0
            for i in range(nest.n_bucket[s + 1, v]):
                nest.bucket[s + 1, v, i, B_ACCESSES] *= scale
                content += nest.bucket[s + 1, v, i, B_ACCESSES]
            nest.flow[s + 1, v, LINK] = 0.0
            nest.flow[s + 1, v, CONTENT] = content
        nest.part[s, v] = 0
        nest.flow[s, v, CONTENT] = 0.0
        nest.flow[s, v, SHARE] = 0.0
    for s in range(outermost + 1, n_levels):
        nest.n_bucket[s, v] = 0
        nest.fanout[s, v] = 0
        nest.flow[s, v, LINK] = 0.0
    nest.flow[outermost, v, SHARE] = 0.0


@kernel
def _peers(nest, v):
    """Neighbours' copies are read there and filled here (7.9)."""
    for s in range(nest.tile.shape[0] - 1, 0, -1):
        if nest.flow[s, v, LINK] != 0.0:
            instances = nest.space[s, 0] * nest.space[s, 1]  # of storage s - 1
            nest.flow[s - 1, v, PEER] += nest.flow[s, v, LINK] / instances


@kernel
def _half_away(x):
    return int(math.floor(x + 0.5))


@kernel
def _count(layer, accounting, nest, v):
    """Reads, fills, updates and temporal reductions (7.10)."""
    for s in range(nest.tile.shape[0]):
        count = nest.count[s, v]
        count[:] = 0
        if not nest.kept[s, v]:
            continue
        content, share = nest.flow[s, v, CONTENT], nest.flow[s, v, SHARE]
        peer, part = nest.flow[s, v, PEER], float(nest.part[s, v])
        if not layer.read_write[v]:
            count[READ] = _half_away(content + peer)
            count[FILL] = int(share + peer)
            continue
        first = 0.0 if accounting == COUNT_ALL else part
        count[UPDATE] = _half_away(content)
        count[READ] = _half_away(content + peer - first)
        count[REDUCE] = count[READ]
        if accounting == ELIDE_FIRST_FILL and nest.kin[s, v, PARENT] >= 0:
            count[FILL] = _half_away(share + peer - part)
        elif nest.kin[s, v, PARENT] >= 0 and accounting != COUNT_ALL:
            count[FILL] = int(share + peer)
        else:
            count[FILL] = _half_away(share + peer)
        if count[FILL] < 0 or count[READ] < 0:
            nest.info[0], nest.info[1], nest.info[2] = s, v, min(count[FILL], count[READ])
            return BAD_NEGATIVE_FILLS
    return OK
