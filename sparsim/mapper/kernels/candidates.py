"""Assembly of mappings from candidates with numbers of orders and splits, and their immediate rejection."""

from sparsim.mapper.kernels.enumeration import (
    CAPACITY,
    FAN_OUT,
    LOWER_BOUND,
    PASSED,
    fits_levels,
    too_many_loops,
)
from sparsim.mapper.kernels.lower_bounds import (
    TEST_FAN,
    bound_tiles,
    count_groups,
    count_instances,
    exceeds,
    fill_tiles,
    utilization,
)
from sparsim.model import arrays as k
from sparsim.model.kernels.fill import fill
from sparsim.model.kernels.jit import entry, kernel


@kernel
def take_factors(space, index, r, factor):
    """Copy the factors of dim r."""
    for t in range(factor.shape[0]):
        factor[t, r] = space.rows[space.start[r] + index[r], t]


@kernel
def _choices(space, factor, t, real):
    """(free dims with a loop, orders, splits) of tiling level t; fills `real` with the first."""
    n, orders, loops = 0, 1, 0
    start, stop, split = space.free[t, k.START], space.free[t, k.STOP], space.split[t]
    for i in range(factor.shape[1]):
        dim = space.place[t, i]
        if factor[t, dim] == 1:
            continue
        loops += 1
        if start <= i < stop:
            real[n] = dim
            n += 1
            orders *= n
    if split < 0:
        return n, orders, loops + 1
    return n, orders, 1 + max(min(n, stop - start - n, split - start, stop - split), 0)


@kernel
def count_choices(space, factor, real, out):
    """Set out[t] to the numbers of different (orders, splits)."""
    for t in range(factor.shape[0]):
        _, out[t, 0], out[t, 1] = _choices(space, factor, t, real)


@kernel
def _arrange(space, factor, t, number, split, n, real, order):
    """order := order `number` of tiling level t; returns how many loops run along X.

    Free dims without a loop stand innermost along each axis, the others follow by factorial digits (model
    17.3). Of a fixed number of loops along X, `split` more than necessary have a bound above 1 (model 17.4).
    """
    start, stop, fixed = space.free[t, k.START], space.free[t, k.STOP], space.split[t]
    for i in range(order.shape[0]):
        if i < start or i >= stop:
            order[i] = space.place[t, i]
    orders = 1
    for i in range(n):
        orders *= i + 1
    units, place = stop - start - n, start
    along_x = min(fixed - start, units) - split
    for at in range(start, stop):
        if units > 0 and (at < start + along_x or at >= fixed):
            while factor[t, space.place[t, place]] > 1:
                place += 1
            order[at] = space.place[t, place]
            place += 1
            units -= 1
            continue
        orders //= n
        digit = number // orders
        number %= orders
        order[at] = real[digit]
        n -= 1
        for i in range(digit, n):
            real[i] = real[i + 1]
    if fixed >= 0:
        return fixed
    for i in range(order.shape[0]):
        if split == 0:
            return i
        if factor[t, order[i]] > 1:
            split -= 1
    return order.shape[0]


@kernel
def _fits_axes(arch, space, factor, order, split):
    """Return whether every spatial level has the instances along X and along Y (model 17.6)."""
    for t in range(arch.tiling.shape[0]):
        if arch.tiling[t, k.IS_SPATIAL] == 0:
            continue
        x, y = 1, 1
        for i in range(order.shape[1]):
            if i < split[t]:
                x *= factor[t, order[t, i]]
            else:
                y *= factor[t, order[t, i]]
        if x > space.fan[t, k.X] or y > space.fan[t, k.Y]:
            return False
    return True


@kernel
def _assemble(arch, space, candidate, digit, real, factor, order, split, flags):
    """Make one row of a MappingPack from a candidate and its (order, split) numbers per tiling level."""
    n_dims = factor.shape[1]
    for r in range(n_dims):
        take_factors(space, candidate, r, factor)
    for t in range(factor.shape[0]):
        n, _, _ = _choices(space, factor, t, real)
        split[t] = _arrange(space, factor, t, digit[t, 0], digit[t, 1], n, real, order[t])
    for s in range(flags.shape[0]):
        for i in range(flags.shape[1]):
            flags[s, i] = space.flags[s, i]
        flags[s, k.KEEP] = space.keep[candidate[n_dims], s]


@kernel
def _verdict(a, y, d, p, b, sp, w, m, i, keep, objective, limit):
    """Return the reason to reject row i of the mappings, or PASSED. The bound is left in w.out."""
    if b.switch[TEST_FAN] and not _fits_axes(a, sp, m.factor[i], m.order[i], m.split[i]):
        return FAN_OUT
    factor, rest = m.factor[i], w.rest[0]
    count_instances(a, factor, w)
    if utilization(a, sp, w) < sp.parallelism[0] or too_many_loops(a, sp, factor):
        return FAN_OUT
    fill_tiles(a, y, factor, w)
    if not fits_levels(a, y, d, p, b, keep, w.tile, True):
        return CAPACITY
    count_groups(a, y, b, sp, factor, w)
    fill(rest, 1.0)
    bound_tiles(a, y, d, p, b, sp, factor, m.order[i], w.fixed, keep, w.tile, rest, True, w, w.out)
    return LOWER_BOUND if exceeds(objective, limit, w.out) else PASSED


@entry
def assemble_candidates(
    arch, layer, density, policy, bound, space, work, objective, limit, candidate, draw, mapping, reason
):
    """Entry: rows of `mapping` from `candidate` (n, R + 1) and numbers `draw` (n, T, 2) of any size, which
    become order and split numbers (model 17.3); reason[i]: PASSED, or why the row is rejected.
    """
    n_dims = candidate.shape[1] - 1
    for i in range(candidate.shape[0]):
        for r in range(n_dims):
            take_factors(space, candidate[i], r, mapping.factor[i])
        count_choices(space, mapping.factor[i], work.real, work.choices)
        for t in range(draw.shape[1]):
            for j in range(2):
                draw[i, t, j] %= work.choices[t, j]
        _assemble(
            arch, space, candidate[i], draw[i], work.real, mapping.factor[i], mapping.order[i],
            mapping.split[i], mapping.flags[i],
        )  # fmt: skip
        reason[i] = _verdict(
            arch, layer, density, policy, bound, space, work, mapping, i, space.keep[candidate[i, n_dims]],
            objective, limit,
        )  # fmt: skip
