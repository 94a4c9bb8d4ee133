"""Receivers of the same words at the same time: multicast groups, hops, neighbours (model 7.4, 15.1).

The children of a level are numbered with the first-listed spatial loop fastest and sit on a grid of
`columns` x `rows`; child i at (i % columns, i // columns). A child's data offset is encoded in one integer
`key`, so that sums and differences of offsets are sums and differences of keys.
"""

from sparsim.model import arrays as k
from sparsim.model.kernels.jit import kernel

EVERYONE, UNSERVED = 0, 1  # the children that are grouped, as rows of NestPack.group


@kernel
def coordinate_shift(layer, v, dim, stride, o):
    """How far one step of a loop over `dim` moves coordinate `o` of dataspace `v` (model 7.1)."""
    move = 0
    for i in range(layer.side[v, o], layer.side[v, o + 1]):
        if layer.term[i, k.TERM_DIM] == dim:
            move += layer.term[i, k.TERM_COEFFICIENT] * stride
    return move


@kernel
def coordinate_weight(layer, v, o):
    """Return the weight of coordinate `o` in the key, large enough that differences of offsets cannot carry
    into the next coordinate.
    """
    weight = 1
    for q in range(o):
        reach = 1
        for i in range(layer.side[v, q], layer.side[v, q + 1]):
            reach += layer.term[i, k.TERM_SIZE] * (layer.bound[layer.term[i, k.TERM_DIM]] - 1)
        weight *= 2 * reach + 1
    return weight


@kernel
def shift_key(layer, v, dim, stride):
    """One step of a loop as a difference of keys."""
    key = 0
    for o in range(layer.side.shape[1] - 1):
        key += coordinate_weight(layer, v, o) * coordinate_shift(layer, v, dim, stride, o)
    return key


@kernel
def place_children(arch, layer, nest, s, v):
    """Fill nest.key; returns (children, columns, rows)."""
    children, x, y = 1, 1, 1
    nest.key[0] = 0
    for i in range(nest.ops[k.N_REAL]):
        loop = nest.loop[nest.real[i]]
        if loop[k.LEVEL] != s or loop[k.KIND] == k.TEMPORAL:
            continue
        step = shift_key(layer, v, loop[k.DIM], loop[k.STRIDE])
        for n in range(1, loop[k.BOUND]):
            for j in range(children):
                nest.key[n * children + j] = nest.key[j] + n * step
        children *= loop[k.BOUND]
        if loop[k.KIND] == k.SPATIAL_X:
            x *= loop[k.BOUND]
        elif loop[k.KIND] == k.SPATIAL_Y:
            y *= loop[k.BOUND]
    return children, max(arch.fan[s, k.X], x), max(arch.fan[s, k.Y], y)


@kernel
def find_served(nest, children, columns, rows, step):
    """Mark the children that find their words at a neighbour, and return their number; `step` is the key of
    the move.

    Child i is served if a grid neighbour j held the same words before the move: key_j = key_i + step.
    """
    key = nest.key
    found = 0
    for i in range(children):
        want = key[i] + step
        h, w = i % columns, i // columns
        served = False
        if columns > 1:
            served = (h >= 1 and key[i - 1] == want) or (
                h < columns - 1 and i + 1 < children and key[i + 1] == want
            )
        if not served and rows > 1:
            served = (w >= 1 and key[i - columns] == want) or (
                w < rows - 1 and i + columns < children and key[i + columns] == want
            )
        nest.served[i] = served
        found += served
    return found


@kernel
def _group_hops(nest, first, last, columns, rows):
    """Hops of the group order[first:last]: along the row of the grid's left edge, then up and down."""
    centre = (rows - 1) / 2
    furthest = 0
    for i in range(first, last):
        h, w = nest.order[i] % columns, nest.order[i] // columns
        furthest = max(furthest, h)
        if nest.span[h, k.LEAST] < 0:
            nest.span[h, k.LEAST] = w
            nest.span[h, k.MOST] = w
        else:
            nest.span[h, k.LEAST] = min(nest.span[h, k.LEAST], w)
            nest.span[h, k.MOST] = max(nest.span[h, k.MOST], w)
    hops = float(furthest)
    for i in range(first, last):
        h = nest.order[i] % columns
        if nest.span[h, k.LEAST] >= 0:
            hops += max(centre - nest.span[h, k.LEAST], 0.0) + max(nest.span[h, k.MOST] - centre, 0.0)
            nest.span[h, k.LEAST] = -1
    return hops


@kernel
def _sort_by_key(order, n, key):
    """Sort order[:n] by key, with a shell sort, which is short and compiles quickly."""
    gap = 1
    while 3 * gap + 1 < n:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, n):
            child, j = order[i], i
            while j >= gap and key[order[j - gap]] > key[child]:
                order[j] = order[j - gap]
                j -= gap
            order[j] = child
        gap //= 3


@kernel
def group_children(nest, children, columns, rows, alone, which):
    """Fill nest.group[which] with (size, number, sum of hops) per group size; returns (sizes, groups).

    `alone`: every child is a group of its own. `which` is EVERYONE, or UNSERVED for all children
    but the served ones. A negative number of sizes means that there are too many different ones.
    """
    n = 0
    for i in range(children):
        if which == EVERYONE or not nest.served[i]:
            nest.order[n] = i
            n += 1
    if not alone:
        _sort_by_key(nest.order, n, nest.key)
    group = nest.group[which]
    sizes, groups, first = 0, 0, 0
    while first < n:
        last = first + 1
        while not alone and last < n and nest.key[nest.order[last]] == nest.key[nest.order[first]]:
            last += 1
        hops = _group_hops(nest, first, last, columns, rows)
        i = 0
        while i < sizes and group[i, 0] != last - first:
            i += 1
        if i == sizes:
            if sizes == group.shape[0]:
                return -1, 0
            group[i, 0], group[i, 1], group[i, 2] = last - first, 0.0, 0.0
            sizes += 1
        group[i, 1] += 1.0
        group[i, 2] += hops
        groups += 1
        first = last
    return sizes, groups


@kernel
def add_bucket(nest, s, v, multicast, scatter, accesses, hops):
    """Add to the bucket with this key; buckets stay in ascending order of (multicast, scatter)."""
    bucket = nest.bucket[s, v]
    n = nest.n_bucket[s, v]
    i = 0
    while i < n and (
        bucket[i, k.B_MULTICAST] < multicast
        or (bucket[i, k.B_MULTICAST] == multicast and bucket[i, k.B_SCATTER] < scatter)
    ):
        i += 1
    if i == n or bucket[i, k.B_MULTICAST] != multicast or bucket[i, k.B_SCATTER] != scatter:
        if n == bucket.shape[0]:
            return k.BAD_TOO_MANY_GROUPS
        for j in range(n, i, -1):
            for field in range(4):
                bucket[j, field] = bucket[j - 1, field]
        bucket[i, k.B_MULTICAST], bucket[i, k.B_SCATTER] = multicast, scatter
        bucket[i, k.B_ACCESSES], bucket[i, k.B_HOPS] = 0.0, 0.0
        nest.n_bucket[s, v] = n + 1
    bucket[i, k.B_ACCESSES] += accesses
    bucket[i, k.B_HOPS] += hops
    return k.OK


@kernel
def add_groups(nest, s, v, which, sizes, words):
    """Deliver `words` words to every group of nest.group[which]."""
    for i in range(sizes):
        size, number, hops = nest.group[which, i, 0], nest.group[which, i, 1], nest.group[which, i, 2]
        status = add_bucket(nest, s, v, size, number, number * words, hops * words)
        if status != k.OK:
            return status
    return k.OK
