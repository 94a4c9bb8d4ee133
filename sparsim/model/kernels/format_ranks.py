"""Which loops each rank of a tensor format stands for (model 9.2, 9.3, 9.7)."""

from sparsim.model import arrays as k
from sparsim.model.kernels.fill import fill
from sparsim.model.kernels.jit import kernel
from sparsim.model.kernels.loop_nest import box_words

NO_RULE = -1


@kernel
def check_formats(arch, layer, policy, nest):
    """Return whether the formats of neighbouring levels are compatible (model 9.7)."""
    if not policy.switch[k.ANY_FORMAT]:
        return k.OK
    for v in range(nest.tile.shape[1]):
        for s in range(nest.tile.shape[0] - 1, -1, -1):
            child = nest.kin[s, v, k.CHILD]
            if not nest.kept[s, v] or child < 0:
                continue
            nest.info[0], nest.info[1] = child, v
            outer, inner = policy.format[s, v], policy.format[child, v]
            if outer[k.IS_COMPRESSED] and not inner[k.IS_COMPRESSED]:
                if not arch.support[child, k.CAN_DECOMPRESS]:
                    return k.BAD_NO_DECOMPRESSION
                if layer.read_write[v] and not arch.support[child, k.CAN_COMPRESS]:
                    return k.BAD_NO_COMPRESSION
            if inner[k.IS_COMPRESSED]:
                if not outer[k.IS_COMPRESSED]:
                    return k.BAD_UNCOMPRESSED_PARENT
                if inner[k.N_RANKS] > outer[k.N_RANKS]:
                    return k.BAD_MORE_CHILD_RANKS
    return k.OK


@kernel
def match_ranks(arch, layer, policy, nest):
    """Fill fiber, sub and sub_loop, inner to outer, where there is a format or a parent that builds on it."""
    if not policy.switch[k.ANY_FORMAT]:
        return k.OK
    kept, kin, form = nest.kept, nest.kin, policy.format
    for v in range(kept.shape[1]):
        for s in range(kept.shape[0]):
            if not kept[s, v]:
                continue
            parent = kin[s, v, k.PARENT]
            if form[s, v, k.HAS_FORMAT] or (parent >= 0 and form[parent, v, k.IS_COMPRESSED]):
                status = _match(arch, layer, policy, nest, s, v)
                if status != k.OK:
                    nest.info[0], nest.info[1] = s, v
                    return status
    return k.OK


@kernel
def _match(arch, layer, policy, nest, s, v):
    form, rank, fiber = policy.format, policy.rank, nest.fiber
    sub, sub_loop = nest.sub, nest.sub_loop
    child = nest.kin[s, v, k.CHILD]
    base = 0
    sub[s, v, 0], sub_loop[s, v, 0] = 1, 0
    ranks = max(form[s, v, k.N_RANKS], 1)
    if form[s, v, k.IS_COMPRESSED] and child >= 0 and nest.tile[child, v] > 1:
        base = max(form[child, v, k.N_RANKS], 1)
        if base > ranks:
            return k.BAD_RANK_ALIGNMENT
        for r in range(base):
            if (
                form[child, v, k.IS_COMPRESSED]
                and rank[s, v, r, k.RANK_KIND] != rank[child, v, r, k.RANK_KIND]
            ):
                return k.BAD_RANK_ALIGNMENT
            fiber[s, v, r] = fiber[child, v, r]
            for end in range(2):
                nest.taken[s, v, r, end] = nest.taken[child, v, r, end]
        for r in range(base + 1):
            sub[s, v, r], sub_loop[s, v, r] = sub[child, v, r], sub_loop[child, v, r]
    n = _collect(arch, layer, nest, s, v, child + 1, base == 0)
    if form[s, v, k.HAS_FORMAT] and form[s, v, k.INNER_FIRST]:
        return _inner_to_outer(layer, policy, nest, s, v, base, ranks, n)
    return _outer_to_inner(layer, policy, nest, s, v, base, ranks, n)


@kernel
def _collect(arch, layer, nest, s, v, lowest, whole_tile):
    """nest.order := the relevant loops of levels lowest..s, innermost first; nest.served := their bounds;
    nest.key := words of the boxes inside them.

    `whole_tile`: the innermost of them over each dim also stands for that dim's loops further inside.
    Returns how many they are. Of the loops of bound 1 only the first can matter, as the innermost loop. The
    innermost loops over all dims are those of the first tiling level.
    """
    loops, real, order, bound = nest.loop, nest.real, nest.order, nest.served
    relevant, n_dims, t = layer.relevant[v], layer.bound.shape[0], arch.first_tiling[lowest]
    words, inside = nest.key, nest.first_real[t]
    n = 0
    for m in range(t * n_dims, (t + 1) * n_dims):
        loop = loops[m]
        inside += int(loop[k.BOUND] > 1)
        order[n], bound[n], words[n] = m, loop[k.BOUND], nest.box[inside, v]
        if whole_tile:
            bound[n] *= loop[k.STRIDE]
        n += int(relevant >> loop[k.DIM] & 1 and (bound[n] > 1 or n == 0))
    for i in range(nest.first_real[t + 1], nest.first_real[arch.first_tiling[s + 1]]):
        loop = loops[real[i]]
        order[n], bound[n], words[n] = real[i], loop[k.BOUND], nest.box[i + 1, v]
        n += int(relevant >> loop[k.DIM] & 1)
    return n


@kernel
def _rule(rank, flat, s, v, r, dim):
    """The bit mask of the first list of rank r that holds `dim`; NO_RULE if there is none."""
    for i in range(rank[s, v, r, k.RANK_LISTS]):
        if flat[s, v, r, i] >> dim & 1:
            return flat[s, v, r, i]
    return NO_RULE


@kernel
def _set_rank(layer, nest, s, v, r, first, last, tile_loop):
    """Rank r takes the collected loops first..last-1; the tile above it is the box inside collected loop
    `tile_loop` (-1: one point).
    """
    loop, order, bound = nest.loop, nest.order, nest.served
    length = 1
    if layer.plain[v]:
        for i in range(first, last):
            length *= bound[i]
    elif last > first:
        fill(nest.ext, 1)
        for i in range(first, last):
            nest.ext[loop[order[i], k.DIM]] *= bound[i]
        length = box_words(layer, v, nest.ext)
    nest.fiber[s, v, r] = length
    nest.taken[s, v, r, k.START], nest.taken[s, v, r, k.STOP] = first, last
    nest.sub_loop[s, v, r + 1] = order[tile_loop] + 1 if tile_loop >= 0 else 0
    nest.sub[s, v, r + 1] = nest.key[tile_loop] if tile_loop >= 0 else 1


@kernel
def _outer_to_inner(layer, policy, nest, s, v, base, ranks, n):
    """Ranks take loops from the outermost on, each as many as its rule allows (model 9.3, 20.2).

    A rank that knows no list for the next loop stays empty and ends up above all matched ones.
    """
    loop, order, bound = nest.loop, nest.order, nest.served
    rank, flat = policy.rank, policy.flat
    has = policy.format[s, v, k.HAS_FORMAT] == 1
    inner = min(n, 1) - 1
    j, r, empty = n - 1, ranks, 0
    lowest = ranks  # matched ranks fill up from here downward
    while r > base:
        while j >= 0 and bound[j] == 1:
            j -= 1
        if j < 0:
            break
        r -= 1
        rule = _rule(rank, flat, s, v, r, loop[order[j], k.DIM]) if has else NO_RULE
        if has and rank[s, v, r, k.RANK_LISTS] > 0 and rule == NO_RULE:
            empty += 1
            continue
        first = j
        if rule != NO_RULE or not has:
            while first > 0 and (
                not has or bound[first - 1] == 1 or rule >> loop[order[first - 1], k.DIM] & 1
            ):
                first -= 1
        lowest -= 1
        _set_rank(layer, nest, s, v, lowest, first, j + 1, j)
        j = first - 1
    if not _all_taken(nest, 0, j + 1, ranks):
        return k.BAD_RANK_COUNT
    if empty > 0:
        for q in range(lowest, ranks):
            nest.fiber[s, v, q - empty] = nest.fiber[s, v, q]
            for end in range(2):
                nest.taken[s, v, q - empty, end] = nest.taken[s, v, q, end]
            nest.sub[s, v, q - empty + 1] = nest.sub[s, v, q + 1]
            nest.sub_loop[s, v, q - empty + 1] = nest.sub_loop[s, v, q + 1]
        for q in range(ranks - empty, ranks):
            _set_rank(layer, nest, s, v, q, n, n, inner)
    for q in range(base, lowest - empty):
        _set_rank(layer, nest, s, v, q, n, n, inner)
    return k.OK


@kernel
def _inner_to_outer(layer, policy, nest, s, v, base, ranks, n):
    """Ranks take loops from the inside; the tile above a rank is that of its innermost loop (model 20.3)."""
    loop, order, bound = nest.loop, nest.order, nest.served
    rank, flat = policy.rank, policy.flat
    inner = min(n, 1) - 1
    r, j = base, 0
    while r < ranks and j < n:
        while j < n and bound[j] == 1:
            j += 1
        if j == n:
            break
        rule = _rule(rank, flat, s, v, r, loop[order[j], k.DIM])
        if rank[s, v, r, k.RANK_LISTS] > 0 and rule == NO_RULE:
            _set_rank(layer, nest, s, v, r, j, j, -1)
            r += 1
            continue
        last = j + 1
        while rule != NO_RULE and last < n and (bound[last] == 1 or rule >> loop[order[last], k.DIM] & 1):
            last += 1
        _set_rank(layer, nest, s, v, r, j, last, j)
        j = last
        r += 1
    while r < ranks:
        _set_rank(layer, nest, s, v, r, n, n, inner)
        r += 1
    return k.OK if _all_taken(nest, j, n, ranks) else k.BAD_RANK_COUNT


@kernel
def _all_taken(nest, first, last, ranks):
    """Return whether the loops that no rank has taken have bound 1; otherwise `info` holds the number of
    ranks needed.
    """
    more = 0
    for j in range(first, last):
        if nest.served[j] > 1:
            more += 1
    if more > 0:
        nest.info[2], nest.info[3] = ranks + more, ranks
    return more == 0
