"""Dense traffic: what every level delivers to the next, and the counts that follow (model-spec 7).

Densities play no part here. All numbers are for the instance at spatial coordinate 0.
"""

import math

import numpy as np

from sparsim.kernels.jit import kernel
from sparsim.kernels.multicast import (
    ALL,
    UNSERVED,
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
    B_SCATTER,
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
    for v in range(nest.tile.shape[1]):
        _deliver_plain(layer, flags, nest, v)
        if want_hops or not layer.plain[v] or _any_reuse_off(flags, v):
            for s in range(nest.tile.shape[0]):
                status = _deliver_exact(arch, layer, flags, want_hops, nest, s, v)
                if status != OK:
                    return status
        _share(nest, v)
        _bypass(nest, v)
        _peers(nest, v)
        status = _count(layer, accounting, nest, v)
        if status != OK:
            return status
    return OK


@kernel
def _any_reuse_off(flags, v):
    for s in range(flags.shape[0]):
        if flags[s, NO_REUSE] >> v & 1:
            return True
    return False


@kernel
def _deliver_plain(layer, flags, nest, v):
    """One bucket per level, and partitions (7.5): all there is where tiles never overlap.

    The words that one child gets are then free until the first relevant temporal loop, from where on every
    loop multiplies them (7.3). One walk over the loops, from the outermost inward, serves all levels.
    """
    loop, real, box, tile, part = nest.loop, nest.real, nest.box, nest.tile, nest.part
    flow, bucket, n_bucket, fanout = nest.flow, nest.bucket, nest.n_bucket, nest.fanout
    relevant = layer.relevant[v]
    s = tile.shape[0] - 1
    part[s, v] = tile[s, v]
    steps, paid = 1.0, 1.0
    children, groups, union = 1, 1, 0
    for i in range(nest.ops[N_REAL] - 1, -2, -1):
        m = real[i] if i >= 0 else -1
        while s > (loop[m, LEVEL] if i >= 0 else -1):  # all loops that matter to level s are behind us
            reuse = s > 0 and flags[s - 1, NO_REUSE] >> v & 1 == 0
            words = (paid if reuse else steps) * (tile[s - 1, v] if s > 0 else 1)
            if flags[s, NO_MULTICAST] >> v & 1:
                groups = children
            bucket[s, v, 0, B_MULTICAST], bucket[s, v, 0, B_SCATTER] = children // groups, groups
            bucket[s, v, 0, B_ACCESSES], bucket[s, v, 0, B_HOPS] = groups * words, 0.0
            n_bucket[s, v], fanout[s, v] = 1, children
            flow[s, v, CONTENT], flow[s, v, LINK], flow[s, v, PEER] = groups * words, 0.0, 0.0
            if s > 0:
                part[s - 1, v] = part[s, v] * tile[s - 1, v] // union if union > 0 else part[s, v]
            children, groups, union = 1, 1, 0
            s -= 1
        if i < 0:
            break
        bound = loop[m, BOUND]
        mine = relevant >> loop[m, DIM] & 1
        if loop[m, KIND] == TEMPORAL:
            steps *= bound
            if mine:
                paid = steps
        else:
            children *= bound
            if mine:
                groups *= bound
            if union == 0:
                union = box[m + 1, v]


@kernel
def _deliver_exact(arch, layer, flags, want_hops, nest, s, v):
    """Replace the single bucket of level s where tiles overlap, neighbours help, or hops are asked for."""
    reuse = s > 0 and flags[s - 1, NO_REUSE] >> v & 1 == 0
    if nest.fanout[s, v] > 1 and (want_hops or not layer.plain[v] or not reuse):
        alone = flags[s, NO_MULTICAST] >> v & 1 == 1
        return _deliver_walk(arch, layer, flags, nest, s, v, reuse, alone)
    if reuse and not layer.plain[v]:
        words = _count_events(layer, nest, s, v, reuse)
        nest.bucket[s, v, 0, B_ACCESSES] = words
        nest.flow[s, v, CONTENT] = words
    return OK


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
    nest.n_bucket[s, v] = 0
    children, columns, rows = place_children(arch, layer, nest, s, v)
    n, classes = _translations(layer, nest, s, v)
    _weigh_events(nest, n, classes, reuse)
    _child_extents(nest, s)
    whole = _child_words(nest, s, v)
    # typed, since a kernel is compiled once more for every constant that it is given
    everyone, unserved = np.int64(ALL), np.int64(UNSERVED)
    sizes, groups = group_children(nest, children, columns, rows, alone, everyone)
    if sizes < 0 or add_groups(nest, s, v, everyone, sizes, whole) != OK:
        return BAD_TOO_MANY_GROUPS
    links = flags[s, NO_LINK] >> v & 1 == 0
    for i in range(n):
        step = np.int64(0)
        for o in range(layer.side.shape[1] - 1):
            step += coordinate_weight(layer, v, o) * nest.shift[i, o]
        for g in range(classes + 1):
            times = nest.walk[0, i, g]
            words = _event_words(layer, nest, v, i, g, reuse, whole) if times > 0.0 else 0.0
            if words == 0.0:
                continue
            which, used = everyone, sizes
            if links and _link_possible(layer, nest, v, i, g, reuse, whole, words):
                served = find_served(nest, children, columns, rows, step)
                if served > 0:
                    fewer, fewer_groups = group_children(nest, children, columns, rows, alone, unserved)
                    if fewer < 0:
                        return BAD_TOO_MANY_GROUPS
                    if fewer_groups < groups:
                        which, used = unserved, fewer
                        nest.flow[s, v, LINK] += served * words * times
            if add_groups(nest, s, v, which, used, words * times) != OK:
                return BAD_TOO_MANY_GROUPS
    content = 0.0
    for i in range(nest.n_bucket[s, v]):
        content += nest.bucket[s, v, i, B_ACCESSES]
    nest.flow[s, v, CONTENT] = content
    return OK


@kernel
def _share(nest, v):
    """Words that arrive per instance, from the direct outer neighbour and before bypassing (7.6)."""
    flow, bucket, n_bucket, fanout = nest.flow, nest.bucket, nest.n_bucket, nest.fanout
    top = flow.shape[0] - 1
    flow[top, v, SHARE] = 0.0
    for s in range(top):
        flow[s, v, SHARE] = _received(bucket, n_bucket[s + 1, v], s + 1, v) / fanout[s + 1, v]


@kernel
def _received(bucket, n, s, v):
    """Words that all children of level s receive, a multicast counted once per receiver."""
    received = 0.0
    for i in range(n):
        received += bucket[s, v, i, B_ACCESSES] * bucket[s, v, i, B_MULTICAST]
    return received


@kernel
def _bypass(nest, v):
    """Hand the traffic of levels that do not keep `v` to the next outer one (7.8)."""
    kept, flow, part, bucket = nest.kept, nest.flow, nest.part, nest.bucket
    n_bucket, fanout = nest.n_bucket, nest.fanout
    n_levels = flow.shape[0]
    outermost = 0
    for s in range(n_levels):
        if kept[s, v]:
            outermost = s
            continue
        if s + 1 < n_levels:
            received = _received(bucket, n_bucket[s + 1, v], s + 1, v)
            scale = flow[s, v, CONTENT] * fanout[s + 1, v] / received
            content = 0.0
            for i in range(n_bucket[s + 1, v]):
                bucket[s + 1, v, i, B_ACCESSES] *= scale
                content += bucket[s + 1, v, i, B_ACCESSES]
            flow[s + 1, v, LINK] = 0.0
            flow[s + 1, v, CONTENT] = content
        part[s, v] = 0
        flow[s, v, CONTENT] = 0.0
        flow[s, v, SHARE] = 0.0
    for s in range(outermost + 1, n_levels):
        n_bucket[s, v] = 0
        fanout[s, v] = 0
        flow[s, v, LINK] = 0.0
    flow[outermost, v, SHARE] = 0.0


@kernel
def _peers(nest, v):
    """Neighbours' copies are read there and filled here (7.9)."""
    flow, space = nest.flow, nest.space
    for s in range(flow.shape[0] - 1, 0, -1):
        if flow[s, v, LINK] != 0.0:
            instances = space[s, 0] * space[s, 1]  # of storage s - 1
            flow[s - 1, v, PEER] += flow[s, v, LINK] / instances


@kernel
def _half_away(x):
    return int(math.floor(x + 0.5))


@kernel
def _count(layer, accounting, nest, v):
    """Reads, fills, updates and temporal reductions (7.10)."""
    kept, flow, count, kin = nest.kept, nest.flow, nest.counts, nest.kin
    writes = layer.read_write[v] == 1
    for s in range(flow.shape[0]):
        reads, fills, updates = 0, 0, 0
        if kept[s, v]:
            content, arriving = flow[s, v, CONTENT], flow[s, v, SHARE] + flow[s, v, PEER]
            peer, part = flow[s, v, PEER], float(nest.part[s, v])
            if not writes:
                reads, fills = _half_away(content + peer), int(arriving)
            else:
                first = 0.0 if accounting == COUNT_ALL else part
                updates, reads = _half_away(content), _half_away(content + peer - first)
                if kin[s, v, PARENT] < 0 or accounting == COUNT_ALL:
                    fills = _half_away(arriving)
                elif accounting == ELIDE_FIRST_FILL:
                    fills = _half_away(arriving - part)
                else:
                    fills = int(arriving)
        count[s, v, READ], count[s, v, FILL], count[s, v, UPDATE] = reads, fills, updates
        count[s, v, REDUCE] = reads if writes else 0
        if fills < 0 or reads < 0:
            nest.info[0], nest.info[1], nest.info[2] = s, v, min(fills, reads)
            return BAD_NEGATIVE_FILLS
    return OK
