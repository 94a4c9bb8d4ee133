"""Enumerate the candidates of a mapspace, rejecting early whatever cannot be valid or cannot be best.

Dims are assigned from the last to the first; a partial assignment that already breaks a limit takes all of
its completions with it.
"""

import math

from sparsim.mapper.kernels.lower_bounds import EXACT, TEST_FAN, bound_candidate, measure
from sparsim.model.arrays import HAS_FORMAT, KEEP, MIN_WORDS, SIZE, TABULATED
from sparsim.model.kernels.fill import fill
from sparsim.model.kernels.jit import entry, kernel
from sparsim.model.kernels.loop_nest import box_words
from sparsim.model.kernels.pack_pointers import by_pointer
from sparsim.model.kernels.tile_densities import most_nonzeros

ENERGY, DELAY, EDP = 0, 1, 2  # objectives
FAN_OUT, CAPACITY, LOWER_BOUND = 0, 1, 2  # reasons of a rejection; the first also for too few instances
PASSED = -1


@kernel
def _exceeds(objective, limit, cycles, energy):
    """Whether (cycles, energy) is worse than `limit` in the order of the objectives."""
    for i in range(objective.shape[0]):
        value = energy
        if objective[i] == DELAY:
            value = cycles
        elif objective[i] == EDP:
            value = energy * cycles
        if value != limit[i]:
            return value > limit[i]
    return False


@kernel
def _fits_fan(arch, bound, space, w, r):
    """Take over the spatial factors of dim r; whether no level uses too many instances (model 17.6)."""
    for t in range(arch.tiling.shape[0]):
        if arch.tiling[t, 1] == 0:
            continue
        f = w.factor[t, r]
        for i in range(3):
            w.used[r, t, i] = w.used[r + 1, t, i]
        w.used[r, t, 2] *= f
        axis = space.axis[t, r]
        if axis < 2:
            w.used[r, t, axis] *= f
        x, y = space.fan[t, 0], space.fan[t, 1]
        if w.used[r, t, 0] > x or w.used[r, t, 1] > y or w.used[r, t, 2] > x * y:
            if bound.switch[TEST_FAN]:
                return False
    return True


@kernel
def _most_units(arch, bound, space, w, r):
    """Units of arithmetic that a completion of dims r and up can use at most."""
    units, most = 1.0, 1.0
    for t in range(arch.tiling.shape[0]):
        if arch.tiling[t, 1] == 1:
            units *= w.used[r, t, 2]
            most *= space.fan[t, 0] * space.fan[t, 1]
    units *= space.widest[r]
    return min(units, most) if bound.switch[TEST_FAN] else units


@kernel
def _stored_words(layer, density, policy, bound, v, s, points):
    """Words that a level must have room for, at most those of the full check (model 13.1, 13.3)."""
    if bound.switch[EXACT] or not policy.format[s, v, HAS_FORMAT]:
        return points
    if density.kind[v] == TABULATED:
        return 0
    return most_nonzeros(density.kind[v], density.density[v], layer.words[v], points)


@kernel
def _fits_levels(arch, layer, density, policy, bound, space, w, r):
    """Whether the tiles of the dims from r on fit every level that has to keep them."""
    fits = True
    extent = 1
    for t in range(arch.tiling.shape[0]):
        extent *= w.factor[t, r]
        if arch.tiling[t, 1] == 0:
            w.extent[arch.tiling[t, 0], r] = extent
    for s in range(w.tile.shape[0]):
        words = 0
        for v in range(w.tile.shape[1]):
            least = w.least[r + 1, s, v]
            if layer.plain[v]:
                if layer.relevant[v] >> r & 1:
                    least *= w.extent[s, r]
            else:
                for dim in range(w.ext.shape[0]):
                    w.ext[dim] = w.extent[s, dim] if dim >= r else 1
                least = box_words(layer, v, w.ext)
            w.least[r, s, v] = least
            if space.always[s] >> v & 1:
                words += _stored_words(layer, density, policy, bound, v, s, least)
        if arch.limit[s, SIZE] >= 0.0 and words > arch.limit[s, SIZE]:
            fits = False
    return fits


@kernel
def _fits_choice(arch, layer, density, policy, bound, keep, w):
    """The full capacity check of complete tiles, data only (model 13.2)."""
    for s in range(w.tile.shape[0]):
        if arch.limit[s, SIZE] < 0.0:
            continue
        words = 0
        for v in range(w.tile.shape[1]):
            if keep[s] >> v & 1:
                words += _stored_words(layer, density, policy, bound, v, s, w.tile[s, v])
        if words > arch.limit[s, SIZE]:
            return False
        if bound.switch[EXACT] and words < arch.limit[s, MIN_WORDS]:
            return False
    return True


@kernel
def take_factors(space, index, r, factor):
    """Copy the factors of dim r."""
    for t in range(factor.shape[0]):
        factor[t, r] = space.rows[space.start[r] + index[r], t]


@kernel
def _utilization(arch, space, w):
    """Share of all instances that the measured factors use."""
    share = 1.0
    for t in range(arch.tiling.shape[0]):
        if arch.tiling[t, 1] == 1:
            share *= w.children[arch.tiling[t, 0]] / (space.fan[t, 0] * space.fan[t, 1])
    return share


@kernel
def _bound_choices(a, y, d, p, b, sp, w, objective, limit, index, n, out, values, rejected):
    """Append the bypass choices of the measured factors that pass to `n` candidates; their new number."""
    n_dims = index.shape[0]
    for choice in range(sp.keep.shape[0]):
        if not _fits_choice(a, y, d, p, b, sp.keep[choice], w):
            rejected[CAPACITY] += 1.0
            continue
        bound_candidate(a, y, d, p, b, sp, w.factor, sp.place, sp.free, sp.keep[choice], w, w.out)
        if _exceeds(objective, limit, w.out[0], w.out[1]):
            rejected[LOWER_BOUND] += 1.0
            continue
        for dim in range(n_dims):
            out[n, dim] = index[dim]
        out[n, n_dims] = choice
        values[n, 0], values[n, 1] = w.out[0], w.out[1]
        n += 1
    return n


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
    steps,
    out,
    values,
    rejected,
):
    """Entry: go on from `index` (R,); dims from `cut` on stay as they are.

    Fills `out` (n, R + 1) and `values` (n, 2: cycles, pJ) with candidates that may be valid and no worse than
    `limit`, adds to `rejected` (3,) by reason, stops after `steps` assignments and choices or when `out` is
    full. Returns (number, whether all is done).
    """
    a, y, d, p = by_pointer(arch), by_pointer(layer), by_pointer(density), by_pointer(policy)
    b, sp, w = by_pointer(bound), by_pointer(space), by_pointer(work)
    n_dims, n_keep = index.shape[0], sp.keep.shape[0]
    for t in range(w.used.shape[1]):
        fill(w.used[n_dims, t], 1)
    for s in range(w.least.shape[1]):
        fill(w.least[n_dims, s], 1)
    n, r = 0, n_dims - 1
    while steps > 0:
        steps -= 1
        take_factors(sp, index, r, w.factor)
        reason = PASSED
        if not _fits_fan(a, b, sp, w, r):
            reason = FAN_OUT
        elif not _fits_levels(a, y, d, p, b, sp, w, r):
            reason = CAPACITY
        elif objective[0] == DELAY:
            if math.ceil(b.compute[0] / _most_units(a, b, sp, w, r)) + a.latency > limit[0]:
                reason = LOWER_BOUND
        if reason == PASSED and r > 0:
            r -= 1
            continue
        if reason == PASSED:
            measure(a, y, w.factor, w)
            if _utilization(a, sp, w) < sp.parallelism[0]:
                reason = FAN_OUT
        if reason != PASSED:
            completions = float(n_keep)
            for dim in range(min(r, cut)):  # the others stay as they are
                completions *= sp.start[dim + 1] - sp.start[dim]
            rejected[reason] += completions
        else:
            steps -= n_keep
            n = _bound_choices(a, y, d, p, b, sp, w, objective, limit, index, n, out, values, rejected)
        while r < cut:
            index[r] += 1
            if index[r] < sp.start[r + 1] - sp.start[r]:
                break
            index[r] = 0
            r += 1
        if r >= cut:
            return n, True
        if n + n_keep > out.shape[0]:
            break
    return n, False


@kernel
def _choices(space, factor, t, real):
    """(orders, splits) of tiling level t; fills `real` with the free dims that have a loop."""
    n, orders, loops = 0, 1, 0
    for i in range(factor.shape[1]):
        dim = space.place[t, i]
        if factor[t, dim] == 1:
            continue
        loops += 1
        if space.free[t, 0] <= i < space.free[t, 1]:
            real[n] = dim
            n += 1
            orders *= n
    return n, orders, (loops + 1 if space.split[t] < 0 else 1)


@kernel
def count_choices(space, factor, real, out):
    """out[t] := (orders, splits): numbers of different ones."""
    for t in range(factor.shape[0]):
        _, out[t, 0], out[t, 1] = _choices(space, factor, t, real)


@kernel
def _arrange(space, factor, t, number, split, n, real, order):
    """order := order `number` of tiling level t; returns how many loops run along X.

    Free dims without a loop come first, the others follow by factorial digits (model 17.3).
    """
    at = 0
    for i in range(space.free[t, 0]):
        order[at] = space.place[t, i]
        at += 1
    for i in range(space.free[t, 0], space.free[t, 1]):
        if factor[t, space.place[t, i]] == 1:
            order[at] = space.place[t, i]
            at += 1
    orders = 1
    for i in range(n):
        orders *= i + 1
    for left in range(n, 0, -1):
        orders //= left
        digit = number // orders
        number %= orders
        order[at] = real[digit]
        at += 1
        for i in range(digit, left - 1):
            real[i] = real[i + 1]
    for i in range(space.free[t, 1], order.shape[0]):
        order[i] = space.place[t, i]
    if space.split[t] >= 0:
        return space.split[t]
    for i in range(order.shape[0]):
        if split == 0:
            return i
        if factor[t, order[i]] > 1:
            split -= 1
    return order.shape[0]


@kernel
def _fits_axes(arch, space, factor, order, split):
    """Whether every spatial level has the instances along X and along Y (model 17.6)."""
    for t in range(arch.tiling.shape[0]):
        if arch.tiling[t, 1] == 0:
            continue
        x, y = 1, 1
        for i in range(order.shape[1]):
            if i < split[t]:
                x *= factor[t, order[t, i]]
            else:
                y *= factor[t, order[t, i]]
        if x > space.fan[t, 0] or y > space.fan[t, 1]:
            return False
    return True


@kernel
def _assemble(arch, space, candidate, digit, real, factor, order, split, flags):
    """One row of a MappingPack from a candidate and its (order, split) numbers per tiling level."""
    n_dims = factor.shape[1]
    for r in range(n_dims):
        take_factors(space, candidate, r, factor)
    for t in range(factor.shape[0]):
        n, _, _ = _choices(space, factor, t, real)
        split[t] = _arrange(space, factor, t, digit[t, 0], digit[t, 1], n, real, order[t])
    for s in range(flags.shape[0]):
        for i in range(flags.shape[1]):
            flags[s, i] = space.flags[s, i]
        flags[s, KEEP] = space.keep[candidate[n_dims], s]


@kernel
def _verdict(a, y, d, p, b, sp, w, m, i, keep, objective, limit):
    """The reason to reject row i of the mappings, or PASSED; leaves its bound in w.out."""
    if b.switch[TEST_FAN] and not _fits_axes(a, sp, m.factor[i], m.order[i], m.split[i]):
        return FAN_OUT
    measure(a, y, m.factor[i], w)
    if _utilization(a, sp, w) < sp.parallelism[0]:
        return FAN_OUT
    if not _fits_choice(a, y, d, p, b, keep, w):
        return CAPACITY
    bound_candidate(a, y, d, p, b, sp, m.factor[i], m.order[i], w.fixed, keep, w, w.out)
    return LOWER_BOUND if _exceeds(objective, limit, w.out[0], w.out[1]) else PASSED


@entry
def assemble_candidates(
    arch, layer, density, policy, bound, space, work, objective, limit, candidate, draw, mapping, reason
):
    """Entry: rows of `mapping` from `candidate` (n, R + 1) and numbers `draw` (n, T, 2) of any size, which
    become order and split numbers (model 17.3); reason[i]: PASSED, or why the row is rejected."""
    a, y, d, p = by_pointer(arch), by_pointer(layer), by_pointer(density), by_pointer(policy)
    b, sp, w, m = by_pointer(bound), by_pointer(space), by_pointer(work), by_pointer(mapping)
    n_dims = candidate.shape[1] - 1
    for i in range(candidate.shape[0]):
        for r in range(n_dims):
            take_factors(sp, candidate[i], r, m.factor[i])
        count_choices(sp, m.factor[i], w.real, w.choices)
        for t in range(draw.shape[1]):
            for j in range(2):
                draw[i, t, j] %= w.choices[t, j]
        _assemble(a, sp, candidate[i], draw[i], w.real, m.factor[i], m.order[i], m.split[i], m.flags[i])
        reason[i] = _verdict(a, y, d, p, b, sp, w, m, i, sp.keep[candidate[i, n_dims]], objective, limit)
