"""Enumerate the candidates of a mapspace, rejecting early whatever cannot be valid or cannot be best.

Decisions are taken from the last to the first: the spatial factors of each dim, then what is kept where, then
the factors in time of each dim. A decision that breaks a limit, or that leaves nothing as good as the best,
is rejected with all decisions that could follow.
"""

import math

from sparsim.mapper.kernels.lower_bounds import (
    CYCLES_OUT,
    EXACT,
    PJ_OUT,
    TEST_FAN,
    bound_tiles,
    count_groups,
    count_instances,
    exceeds,
    stored_words,
    utilization,
    value_of,
)
from sparsim.model import arrays as k
from sparsim.model.kernels.fill import fill
from sparsim.model.kernels.jit import entry, kernel
from sparsim.model.kernels.loop_nest import box_words

# reasons of a rejection; the first also for too few instances and too many loops in time
FAN_OUT, CAPACITY, LOWER_BOUND = 0, 1, 2
PASSED = -1
NEAREST = 3  # after the reasons: the least bound of the first objective that was rejected
ROWS, KEEPS, SPREAD = 0, 1, 2  # kinds of decisions
DIM, KIND = 0, 1  # fields of a decision


@kernel
def _class_of(space, index, dim):
    """Return the class (of factorisations with equal spatial factors) that is decided for a dim."""
    at = space.spread_at[dim]
    return space.first_class[dim] + (index[at] if at >= 0 else 0)


@kernel
def _row_of(space, index, dim):
    """Return the factorisation of a dim, as an index into those of the dim."""
    at = space.rows_at[dim]
    return space.member[space.class_start[_class_of(space, index, dim)] + (index[at] if at >= 0 else 0)]


@kernel
def _options(space, index, r):
    """Return the number of options of decision r."""
    dim, kind = space.decision[r, DIM], space.decision[r, KIND]
    if kind == KEEPS:
        return space.keep.shape[0]
    if kind == SPREAD:
        return space.first_class[dim + 1] - space.first_class[dim]
    one = _class_of(space, index, dim)
    return space.class_start[one + 1] - space.class_start[one]


@kernel
def _completions(space, index, r):
    """Return the number of candidates once the decisions from r on are taken."""
    number = 1.0
    for dim in range(space.rows_at.shape[0]):
        if 0 <= space.spread_at[dim] < r:
            number *= space.start[dim + 1] - space.start[dim]
        elif 0 <= space.rows_at[dim] < r:
            one = _class_of(space, index, dim)
            number *= space.class_start[one + 1] - space.class_start[one]
    return number * space.keep.shape[0] if space.n_rows[0] < r else number


@kernel
def _take_spread(arch, space, w, index, dim):
    """Take over the spatial factors of a dim; those in time where they leave no choice, else ones."""
    row = space.start[dim] + _row_of(space, index, dim)
    for t in range(arch.tiling.shape[0]):
        free = space.rows_at[dim] >= 0 and arch.tiling[t, k.IS_SPATIAL] == 0
        w.factor[t, dim] = 1 if free else space.rows[row, t]


@kernel
def _fill_extents(arch, w, dim):
    """w.extent[:, dim] := extents of tiles, from the factors."""
    extent = 1
    for t in range(arch.tiling.shape[0]):
        extent *= w.factor[t, dim]
        if arch.tiling[t, k.IS_SPATIAL] == 0:
            w.extent[arch.tiling[t, k.TILING_LEVEL], dim] = extent


@kernel
def _forget_rows(arch, w, dim):
    """Mark the temporal factors of a dim as undecided."""
    for t in range(arch.tiling.shape[0]):
        if arch.tiling[t, k.IS_SPATIAL] == 0:
            w.factor[t, dim] = 1
    for s in range(w.below.shape[0]):
        w.extent[s, dim] = w.below[s, dim]


@kernel
def _fits_fan(arch, bound, space, w, r, dim):
    """Take over the spatial factors of a dim. Returns whether no level uses too many instances (model
    17.6).
    """
    for t in range(arch.tiling.shape[0]):
        if arch.tiling[t, k.IS_SPATIAL] == 0:
            continue
        f = w.factor[t, dim]
        for i in range(3):
            w.used[r, t, i] = w.used[r + 1, t, i]
        w.used[r, t, k.INSTANCES] *= f
        axis = space.axis[t, dim]
        if axis < 2:
            w.used[r, t, axis] *= f
        x, y = space.fan[t, k.X], space.fan[t, k.Y]
        if w.used[r, t, k.X] > x or w.used[r, t, k.Y] > y or w.used[r, t, k.INSTANCES] > x * y:
            if bound.switch[TEST_FAN]:
                return False
    return True


@kernel
def _most_units(arch, bound, space, w, r):
    """Return the most arithmetic units that can be used once the decisions from r on are taken."""
    units, most = 1.0, 1.0
    for t in range(arch.tiling.shape[0]):
        if arch.tiling[t, k.IS_SPATIAL] == 1:
            units *= w.used[r, t, k.INSTANCES]
            most *= space.fan[t, k.X] * space.fan[t, k.Y]
    units *= space.widest[r]
    return min(units, most) if bound.switch[TEST_FAN] else units


@kernel
def _start_tiles(arch, layer, bound, space, w, index, r):
    """Tiles, and what their number is multiplied by, where spatial factors alone are decided."""
    n_data = w.tile.shape[1]
    fill(w.rest[r], 1.0)
    for dim in range(w.ext.shape[0]):
        _fill_extents(arch, w, dim)
        if space.rows_at[dim] >= 0:
            left = float(space.left[_class_of(space, index, dim)])
            w.rest[r, n_data] *= left
            for v in range(n_data):
                if bound.distinct[v] >> dim & 1:
                    w.rest[r, v] *= left
    for s in range(w.tile.shape[0]):
        for dim in range(w.ext.shape[0]):
            w.below[s, dim] = w.extent[s, dim]
        for v in range(n_data):
            w.least[r, s, v] = box_words(layer, v, w.extent[s])


@kernel
def _grow_tiles(layer, bound, space, w, index, r, dim):
    """Take over the factors in time of a dim."""
    n_data = w.tile.shape[1]
    left = float(space.left[_class_of(space, index, dim)])
    for v in range(n_data):
        w.rest[r, v] = w.rest[r + 1, v] / (left if bound.distinct[v] >> dim & 1 else 1.0)
        for s in range(w.tile.shape[0]):
            least = w.least[r + 1, s, v]
            if not layer.plain[v]:
                least = box_words(layer, v, w.extent[s])
            elif layer.relevant[v] >> dim & 1:
                least = least // w.below[s, dim] * w.extent[s, dim]
            w.least[r, s, v] = least
    w.rest[r, n_data] = w.rest[r + 1, n_data] / left


@kernel
def too_many_loops(arch, space, factor):
    """Whether more loops in time than allowed have a bound above 1; those of open dims have none."""
    loops = 0
    for t in range(arch.tiling.shape[0]):
        if arch.tiling[t, k.IS_SPATIAL] == 0:
            for dim in range(factor.shape[1]):
                loops += factor[t, dim] > 1
    return loops > space.most_loops[0]


@kernel
def fits_levels(arch, layer, density, policy, bound, keep, tile, complete):
    """Return whether the data of tiles fit all memories that keep them (model 13.2), and whether `complete`
    ones fill the required minimum.
    """
    words, last = 0, tile.shape[0] - 1
    for s in range(tile.shape[0]):
        if arch.limit[s, k.SIZE] < 0.0:
            continue
        if not arch.support[s, k.SHARES]:
            words = 0
        for v in range(tile.shape[1]):
            if keep[s] >> v & 1:
                words += stored_words(layer, density, policy, bound, v, s, tile[s, v])
        if words > arch.limit[s, k.SIZE]:
            return False
        is_whole = s == last or not arch.support[s + 1, k.SHARES]
        if is_whole and complete and bound.switch[EXACT] and words < arch.limit[s, k.MIN_WORDS]:
            return False
    return True


@kernel
def _decide(a, y, d, p, b, sp, w, objective, limit, index, r):
    """Take decision r. Returns the reason to reject it, or PASSED. Its bound is left in w.out."""
    dim, kind = sp.decision[r, DIM], sp.decision[r, KIND]
    if kind == SPREAD:
        _take_spread(a, sp, w, index, dim)
        if not _fits_fan(a, b, sp, w, r, dim):
            return FAN_OUT
        w.out[CYCLES_OUT] = math.ceil(b.compute[0] / _most_units(a, b, sp, w, r)) + a.latency[0]
        for i in range(sp.floor.shape[0]):
            w.out[PJ_OUT + i] = sp.floor[i]
        return LOWER_BOUND if exceeds(objective, limit, w.out) else PASSED
    if kind == KEEPS:
        count_instances(a, w.factor, w)
        if utilization(a, sp, w) < sp.parallelism[0]:
            return FAN_OUT
        count_groups(a, y, b, sp, w.factor, w)
        _start_tiles(a, y, b, sp, w, index, r)
    else:
        row = sp.start[dim] + _row_of(sp, index, dim)
        for t in range(a.tiling.shape[0]):
            w.factor[t, dim] = sp.rows[row, t]
        _fill_extents(a, w, dim)
        _grow_tiles(y, b, sp, w, index, r, dim)
    if too_many_loops(a, sp, w.factor):
        return FAN_OUT
    keep, tile = sp.keep[index[sp.n_rows[0]]], w.least[r]
    if not fits_levels(a, y, d, p, b, keep, tile, r == 0):
        return CAPACITY
    bound_tiles(a, y, d, p, b, sp, w.factor, sp.loops, sp.loops_free, keep, tile, w.rest[r], r == 0, w, w.out)
    return LOWER_BOUND if exceeds(objective, limit, w.out) else PASSED


@kernel
def _begin_block(arch, space, w, index, cut):
    """Take over the decisions from `cut` on of the block that `index` names, and the factors of dims on which
    nothing is decided; whether there is such a block.
    """
    last = space.decision.shape[0]
    number = index[last]
    for r in range(cut, last):
        options = _options(space, index, r)
        index[r] = number % options
        number //= options
    for dim in range(space.rows_at.shape[0]):
        _take_spread(arch, space, w, index, dim)
    return number == 0


@entry
def enumerate_candidates(
    arch,
    layer,
    density,
    policy,
    bound,
    space,
    work,
    objective,
    limit,
    index,
    cut,
    stride,
    steps,
    out,
    values,
    rejected,
):
    """Entry: go on from `index` (K + 2,), the options decided on, the number of the block, and the decision
    at hand, -1: begin. `work` is as it was left.

    In a block the decisions from `cut` on stay; each of them has as many options whatever the others are.
    Goes through every `stride`-th block. Fills `out` (n, R + 1) and `values` (n, fields of a bound) with
    candidates that may be valid and no worse than `limit`, adds to `rejected` (4,) by reason, and keeps the
    least bound that was rejected at its end. Stops after `steps` decisions or when `out` is full. Returns
    (number, whether all is done).
    """
    n_dims, last = space.rows_at.shape[0], space.decision.shape[0]
    n, r = 0, index[last + 1]
    if r < 0:
        r = last - 1
        for t in range(work.used.shape[1]):
            fill(work.used[last, t], 1)
        if not _begin_block(arch, space, work, index, cut):
            return n, True
    while steps > 0 and n < out.shape[0]:
        steps -= 1
        reason = _decide(arch, layer, density, policy, bound, space, work, objective, limit, index, r)
        if reason == PASSED and r > 0:
            r -= 1
            continue
        if reason != PASSED:
            rejected[reason] += _completions(space, index, min(r, cut))
            if reason == LOWER_BOUND:
                rejected[NEAREST] = min(rejected[NEAREST], value_of(objective[0], work.out))
        else:
            for dim in range(n_dims):
                out[n, dim] = _row_of(space, index, dim)
            out[n, n_dims] = index[space.n_rows[0]]
            for i in range(values.shape[1]):
                values[n, i] = work.out[i]
            n += 1
        while r < cut:
            index[r] += 1
            if index[r] < _options(space, index, r):
                break
            index[r] = 0
            if space.decision[r, KIND] == ROWS:
                _forget_rows(arch, work, space.decision[r, DIM])
            r += 1
        if r >= cut:
            index[last] += stride
            r = last - 1
            if not _begin_block(arch, space, work, index, cut):
                return n, True
    index[last + 1] = r
    return n, False
