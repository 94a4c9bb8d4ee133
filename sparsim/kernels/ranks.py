"""Which loops each rank of a tensor format stands for (model-spec 9.2, 9.3, 9.7)."""

from sparsim.kernels.jit import kernel
from sparsim.kernels.nest import box_words
from sparsim.packs import (
    ANY_FORMAT,
    BAD_MORE_CHILD_RANKS,
    BAD_NO_COMPRESSION,
    BAD_NO_DECOMPRESSION,
    BAD_RANK_ALIGNMENT,
    BAD_RANK_COUNT,
    BAD_UNCOMPRESSED_PARENT,
    BOUND,
    CAN_COMPRESS,
    CAN_DECOMPRESS,
    CHILD,
    DIM,
    HAS_FORMAT,
    INNER_FIRST,
    IS_COMPRESSED,
    LEVEL,
    N_RANKS,
    OK,
    RANK_KIND,
    RANK_LISTS,
)

NO_RULE = -1


@kernel
def check_formats(arch, layer, policy, nest):
    """Whether neighbouring levels understand each other's formats (9.7)."""
    if not policy.switch[ANY_FORMAT]:
        return OK
    for v in range(nest.tile.shape[1]):
        for s in range(nest.tile.shape[0]):
            child = nest.kin[s, v, CHILD]
            if not nest.kept[s, v] or child < 0:
                continue
            nest.info[0], nest.info[1] = child, v
            outer, inner = policy.format[s, v], policy.format[child, v]
            if outer[IS_COMPRESSED] and not inner[IS_COMPRESSED]:
                if not arch.support[child, CAN_DECOMPRESS]:
                    return BAD_NO_DECOMPRESSION
                if layer.read_write[v] and not arch.support[child, CAN_COMPRESS]:
                    return BAD_NO_COMPRESSION
            if inner[IS_COMPRESSED]:
                if not outer[IS_COMPRESSED]:
                    return BAD_UNCOMPRESSED_PARENT
                if inner[N_RANKS] > outer[N_RANKS]:
                    return BAD_MORE_CHILD_RANKS
    return OK


@kernel
def match_ranks(layer, policy, nest):
    """Fill fiber, sub and sub_loop for every kept (level, dataspace), inner to outer."""
    if not policy.switch[ANY_FORMAT]:
        return OK
    for v in range(nest.tile.shape[1]):
        for s in range(nest.tile.shape[0]):
            if nest.kept[s, v]:
                nest.info[0], nest.info[1] = s, v
                status = _match(layer, policy, nest, s, v)
                if status != OK:
                    return status
    return OK


@kernel
def _match(layer, policy, nest, s, v):
    form = policy.format[s, v]
    child = nest.kin[s, v, CHILD]
    base = 0
    nest.sub[s, v, 0] = 1
    nest.sub_loop[s, v, 0] = 0
    ranks = max(form[N_RANKS], 1)
    if form[IS_COMPRESSED] and child >= 0 and nest.tile[child, v] > 1:
        base = max(policy.format[child, v, N_RANKS], 1)
        if base > ranks:
            return BAD_RANK_ALIGNMENT
        for r in range(base):
            if policy.format[child, v, IS_COMPRESSED] and (
                policy.rank[s, v, r, RANK_KIND] != policy.rank[child, v, r, RANK_KIND]
            ):
                return BAD_RANK_ALIGNMENT
            nest.fiber[s, v, r] = nest.fiber[child, v, r]
        for r in range(base + 1):
            nest.sub[s, v, r] = nest.sub[child, v, r]
            nest.sub_loop[s, v, r] = nest.sub_loop[child, v, r]
    n = _collect(layer, nest, s, v, child + 1, base == 0)
    if form[HAS_FORMAT] and form[INNER_FIRST]:
        return _inner_to_outer(layer, policy, nest, s, v, base, ranks, n)
    return _outer_to_inner(layer, policy, nest, s, v, base, ranks, n)


@kernel
def _collect(layer, nest, s, v, lowest, whole_tile):
    """nest.order := the relevant loops of levels lowest..s, innermost first; nest.served := their bounds.

    `whole_tile`: the innermost of them over each dim also stands for that dim's loops further inside.
    Returns how many they are.
    """
    n = 0
    ext = nest.ext  # per dim the product of bounds inside `lowest` that still waits for a loop
    ext[:] = 1
    for m in range(nest.loop.shape[0]):
        loop = nest.loop[m]
        if loop[LEVEL] > s:
            break
        dim, bound = loop[DIM], loop[BOUND]
        if not layer.relevant[v] >> dim & 1:
            continue
        if loop[LEVEL] < lowest:
            ext[dim] *= bound
            continue
        nest.order[n] = m
        nest.served[n] = bound
        if whole_tile:
            nest.served[n] *= ext[dim]
            ext[dim] = 1
        n += 1
    return n


@kernel
def _rule(policy, s, v, r, dim):
    """The bit mask of the first list of rank r that holds `dim`; NO_RULE if there is none."""
    for i in range(policy.rank[s, v, r, RANK_LISTS]):
        if policy.flat[s, v, r, i] >> dim & 1:
            return policy.flat[s, v, r, i]
    return NO_RULE


@kernel
def _take(nest, position, fiber_ext):
    """Let the rank at hand absorb the collected loop."""
    fiber_ext[nest.loop[nest.order[position], DIM]] *= nest.served[position]


@kernel
def _set_rank(layer, nest, s, v, r, loop_end):
    """Rank r gets the fiber of box nest.ext; the tile above it is the box inside loop `loop_end`."""
    nest.fiber[s, v, r] = box_words(layer, v, nest.ext)
    nest.sub_loop[s, v, r + 1] = loop_end
    nest.sub[s, v, r + 1] = nest.box[loop_end, v]


@kernel
def _outer_to_inner(layer, policy, nest, s, v, base, ranks, n):
    """Ranks take loops from the outermost on. A rank without a matching loop stays empty and moves to the
    top; matched ranks therefore fill up from the bottom of what is left (9.3, 20.2)."""
    has = policy.format[s, v, HAS_FORMAT] == 1
    inner = nest.order[0] + 1 if n > 0 else 0
    # first pass: how many ranks are matched, how many stay empty on the way
    j = n - 1
    r = ranks
    moved_up = 0
    matched = 0
    while r > base:
        while j >= 0 and nest.served[j] == 1:
            j -= 1
        if j < 0:
            break
        r -= 1
        rule = _rule(policy, s, v, r, nest.loop[nest.order[j], DIM]) if has else NO_RULE
        if has and policy.rank[s, v, r, RANK_LISTS] > 0 and rule == NO_RULE:
            moved_up += 1
            continue
        j = _absorb_inward(nest, has, rule, j)
        matched += 1
    while j >= 0:
        if nest.served[j] > 1:
            return BAD_RANK_COUNT
        j -= 1
    for top in range(ranks - moved_up, ranks):
        nest.ext[:] = 1
        _set_rank(layer, nest, s, v, top, inner)
    # second pass: the matched ranks lie below those, outermost first
    target = ranks - moved_up
    r, j = ranks, n - 1
    while matched > 0:
        while nest.served[j] == 1:
            j -= 1
        r -= 1
        rule = _rule(policy, s, v, r, nest.loop[nest.order[j], DIM]) if has else NO_RULE
        if has and policy.rank[s, v, r, RANK_LISTS] > 0 and rule == NO_RULE:
            continue
        last = _absorb_inward(nest, has, rule, j)
        nest.ext[:] = 1
        for i in range(last + 1, j + 1):
            _take(nest, i, nest.ext)
        target -= 1
        _set_rank(layer, nest, s, v, target, nest.order[j] + 1)
        j = last
        matched -= 1
    while target > base:
        target -= 1
        nest.ext[:] = 1
        _set_rank(layer, nest, s, v, target, inner)
    return OK


@kernel
def _absorb_inward(nest, has, rule, j):
    """The position left of the loops that a rank takes from position j on inward."""
    j -= 1
    if rule != NO_RULE or not has:
        while j >= 0 and (not has or nest.served[j] == 1 or rule >> nest.loop[nest.order[j], DIM] & 1):
            j -= 1
    return j


@kernel
def _inner_to_outer(layer, policy, nest, s, v, base, ranks, n):
    """Ranks take loops from the innermost on; the tile above a rank is that of its innermost loop (20.3)."""
    inner = nest.order[0] + 1 if n > 0 else 0
    r, j = base, 0
    while r < ranks and j < n:
        while j < n and nest.served[j] == 1:
            j += 1
        if j == n:
            break
        rule = _rule(policy, s, v, r, nest.loop[nest.order[j], DIM])
        nest.ext[:] = 1
        if policy.rank[s, v, r, RANK_LISTS] > 0 and rule == NO_RULE:
            _set_rank(layer, nest, s, v, r, 0)
            r += 1
            continue
        first = j
        _take(nest, j, nest.ext)
        j += 1
        while (
            rule != NO_RULE and j < n and (nest.served[j] == 1 or rule >> nest.loop[nest.order[j], DIM] & 1)
        ):
            _take(nest, j, nest.ext)
            j += 1
        _set_rank(layer, nest, s, v, r, nest.order[first] + 1)
        r += 1
    while r < ranks:
        nest.ext[:] = 1
        _set_rank(layer, nest, s, v, r, inner)
        r += 1
    while j < n:
        if nest.served[j] > 1:
            return BAD_RANK_COUNT
        j += 1
    return OK
