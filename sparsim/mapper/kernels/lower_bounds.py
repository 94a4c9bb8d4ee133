"""A proven lower bound on energy and cycles of every mapping with given factors, whatever its free orders;
also where some of the factors in time are open.

It counts accesses that no order can avoid: a tile is delivered once for every iteration of the loops that
move it, and of all loops outside of those (model 7.3); counts shrink by no more than densities allow (model
9.5, 10.2). Metadata and networks are not included, and leakage is included for one instance of every level.
"""

import math

from sparsim.model import arrays as k
from sparsim.model.kernels.fill import fill
from sparsim.model.kernels.jit import kernel
from sparsim.model.kernels.loop_nest import box_words
from sparsim.model.kernels.tile_densities import most_nonzeros, nonzeros_in_tensor

ENERGY, DELAY, EDP, ACCESSES = 0, 1, 2, 3  # objectives; from the last on accesses of the storage levels
CYCLES_OUT, PJ_OUT, ACCESSES_OUT = 0, 1, 2  # fields of a bound; from the last on those of the storage levels
BOUNDED, EXACT, TEST_FAN = 0, 1, 2  # BoundPack.switch fields
USED = 3  # after the actions: field of a share
ALMOST = 1.0 - 1e-9  # tolerance for the rounding of a dozen products of doubles
ROUNDED_AWAY = 3.0  # words that floors and truncations of a sparse count may remove


@kernel
def value_of(objective, bound):
    """Return one objective from cycles, energy and accesses."""
    if objective >= ACCESSES:
        return bound[ACCESSES_OUT + objective - ACCESSES]
    if objective == DELAY:
        return bound[CYCLES_OUT]
    return bound[PJ_OUT] * bound[CYCLES_OUT] if objective == EDP else bound[PJ_OUT]


@kernel
def exceeds(objective, limit, bound):
    """Return whether a bound is worse than `limit` in the order of the objectives."""
    for i in range(objective.shape[0]):
        value = value_of(objective[i], bound)
        if value != limit[i]:
            return value > limit[i]
    return False


@kernel
def count_instances(arch, factor, w):
    """Fill children and instances from the spatial factors."""
    n_levels = w.children.shape[0]
    fill(w.children, 1)
    for t in range(arch.tiling.shape[0]):
        if arch.tiling[t, k.IS_SPATIAL] == 1:
            for dim in range(factor.shape[1]):
                w.children[arch.tiling[t, k.TILING_LEVEL]] *= factor[t, dim]
    instances = 1
    for s in range(n_levels - 1, -1, -1):
        w.instances[s] = instances
        instances *= w.children[s]
    w.instances[n_levels] = instances


@kernel
def utilization(arch, space, w):
    """Return the share of all instances in use."""
    share = 1.0
    for t in range(arch.tiling.shape[0]):
        if arch.tiling[t, k.IS_SPATIAL] == 1:
            share *= w.children[arch.tiling[t, k.TILING_LEVEL]] / (space.fan[t, k.X] * space.fan[t, k.Y])
    return share


@kernel
def fill_tiles(arch, layer, factor, w):
    """Fill tile from all factors (model 3.2)."""
    fill(w.ext, 1)
    for t in range(arch.tiling.shape[0]):
        for dim in range(factor.shape[1]):
            w.ext[dim] *= factor[t, dim]
        if arch.tiling[t, k.IS_SPATIAL] == 0:
            for v in range(w.tile.shape[1]):
                w.tile[arch.tiling[t, k.TILING_LEVEL], v] = box_words(layer, v, w.ext)


@kernel
def count_groups(arch, layer, bound, space, factor, w):
    """Fill groups (model 7.4) and part, at most the partition words (model 7.5), from the spatial factors."""
    n_levels, n_data = w.groups.shape[0], w.groups.shape[1]
    for v in range(n_data):
        part = layer.words[v]
        for s in range(n_levels - 1, -1, -1):
            groups = 1
            for t in range(arch.first_tiling[s], arch.first_tiling[s + 1]):
                if arch.tiling[t, k.IS_SPATIAL] == 1:
                    for dim in range(factor.shape[1]):
                        if bound.distinct[v] >> dim & 1:
                            groups *= factor[t, dim]
            w.part[s, v] = part
            if layer.plain[v]:
                part //= groups
            w.groups[s, v] = w.children[s] if space.flags[s, k.NO_MULTICAST] >> v & 1 else groups


@kernel
def count_deliveries(arch, layer, bound, space, factor, place, free, rest, w):
    """Fill words (model 7.3, 7.4); `place` and `free` are those of a SpacePack, `rest` as in `bound_tiles`.

    words[s, v]: iterations that deliver to one child of level s a tile of v that it does not hold.
    """
    n_data, n_dims = w.tile.shape[1], place.shape[1]
    for v in range(n_data):
        relevant, distinct, plain = layer.relevant[v], bound.distinct[v], layer.plain[v] == 1
        steps, paid = 1.0, 1.0
        for t in range(arch.tiling.shape[0] - 1, -1, -1):
            s = arch.tiling[t, k.TILING_LEVEL]
            if arch.tiling[t, k.IS_SPATIAL] == 0:
                idle = 1
                for i in range(n_dims - 1, -1, -1):
                    dim = place[t, i]
                    f = factor[t, dim]
                    if i < free[t, k.START]:
                        steps *= idle
                        idle = 1
                    if f == 1:
                        continue
                    if not plain:
                        steps *= f
                        if distinct >> dim & 1:
                            paid *= f
                    elif relevant >> dim & 1:
                        steps *= f
                        paid = steps
                    elif i < free[t, k.STOP]:  # in the best case the loops that move nothing are innermost
                        idle *= f
                    else:
                        steps *= f
                steps *= idle
            if t == arch.first_tiling[s]:
                again = (s == 0 or space.flags[s - 1, k.NO_REUSE] >> v & 1 == 1) and w.children[s] == 1
                w.words[s, v] = (steps if again else paid) * rest[n_data if again and s == 0 else v]


@kernel
def stored_share(kind, density, total, points):
    """(share, chance): least expected density of a tile, least chance that it is not dropped as empty, the
    latter under a parent with metadata; together with the reference's peculiarities (model 9.5).
    """
    if kind == k.FIXED:
        x = points * density
        low = math.floor(x)
        above = x - low
        if int(math.floor(low / points * points)) > 0:
            return density, 1.0
        return (density if low == 0.0 else above * math.ceil(x) / points), above
    if kind == k.HYPERGEOMETRIC:
        nonzeros = nonzeros_in_tensor(density, total)
        if points <= total - nonzeros:
            return nonzeros / total, nonzeros / total
        if points >= total:
            return nonzeros / total, 1.0 if nonzeros > 1 else 0.0
    return 0.0, 0.0


@kernel
def stored_words(layer, density, policy, bound, v, s, points):
    """Return a lower bound of the words that a level must store in the full check (model 13.1, 13.3)."""
    if bound.switch[EXACT] or not policy.format[s, v, k.HAS_FORMAT]:
        return points
    if density.kind[v] == k.TABULATED:
        return 0
    return most_nonzeros(density.kind[v], density.density[v], layer.words[v], points)


@kernel
def _shares(layer, density, policy, bound, keep, v, tile, complete, w):
    """Fill share[s, a]: least part of the dense accesses of v that stay actual, instances included; and
    share[s, USED]: least part of the instances that are used.
    """
    share = w.share
    n_levels, last = share.shape[0], bound.stored.shape[1] - 1
    outer_format = False
    for s in range(n_levels - 1, -1, -1):
        share[s, k.READ], share[s, k.FILL], share[s, k.UPDATE], share[s, USED] = 1.0, 1.0, 1.0, 1.0
        if not keep[s] >> v & 1:
            continue
        part = 1.0
        if outer_format or policy.format[s, v, k.HAS_FORMAT]:
            if complete:
                stored, chance = stored_share(density.kind[v], density.density[v], layer.words[v], tile[s, v])
            else:
                i = min(tile[s, v], last)
                stored, chance = bound.stored[v, i, 0], bound.stored[v, i, 1]
            share[s, USED] = chance if outer_format else 1.0
            part = stored if policy.format[s, v, k.HAS_FORMAT] else chance
            if outer_format and policy.format[s, v, k.IS_COMPRESSED]:
                part *= chance  # least number of vector accesses per block (model 14.1)
        share[s, k.READ], share[s, k.FILL], share[s, k.UPDATE] = part, part, part
        outer_format = policy.format[s, v, k.HAS_FORMAT] == 1
    for f in range(policy.saf.shape[0]):
        mine = False
        for g in range(policy.saf[f, k.SAF_OPTION0], policy.saf[f, k.SAF_OPTION1]):
            mine = mine or policy.option[g, k.OPT_TARGET] == v
        level = policy.saf[f, k.SAF_LEVEL]
        while level < n_levels and not keep[level] >> v & 1:
            level += 1
        if mine and level < n_levels:
            share[level, k.READ] *= bound.left[f]
            share[level, k.UPDATE] *= bound.left[f]
            for s in range(level):
                for a in range(3):
                    share[s, a] *= bound.left[f]


@kernel
def bound_tiles(
    arch, layer, density, policy, bound, space, factor, place, free, keep, tile, rest, complete, w, out
):
    """out := (cycles, pJ, accesses of every level), at most those of every valid mapping with these factors
    and `keep`.

    Dims whose factors in time are open have ones in `factor`, and those of which v has no word twice multiply
    its deliveries by rest[v], all of them by the last of `rest`. Then tiles (S, D) may grow; `complete` ones
    do not. Instances, groups and part of `w` are those of the spatial factors.
    """
    n_levels, n_data = tile.shape[0], tile.shape[1]
    cycles = math.ceil(bound.compute[0] / w.instances[n_levels])
    energy = bound.compute[1]
    for s in range(n_levels):
        out[ACCESSES_OUT + s] = 0.0
    if not bound.switch[BOUNDED]:
        out[0], out[1] = cycles + arch.latency[0], energy + bound.leak[0] * cycles
        return
    count_deliveries(arch, layer, bound, space, factor, place, free, rest, w)
    for s in range(n_levels):
        fill(w.moved[s], 0.0)
    exact, existing = bound.switch[EXACT] == 1, bound.existing[0]
    accounting = bound.accounting[0]
    for v in range(n_data):
        if not exact:
            _shares(layer, density, policy, bound, keep, v, tile, complete, w)
        outermost = 0
        for s in range(n_levels):
            if keep[s] >> v & 1:
                outermost = s
        content = w.words[0, v] * existing
        for s in range(outermost + 1):
            content *= w.groups[s, v]
            if not keep[s] >> v & 1:
                continue
            arriving = tile[s, v] * w.words[s + 1, v] * existing if s < outermost else 0.0
            reads, fills, updates, drains = content, arriving, 0.0, 0.0
            if may_lose_a_word(layer, v, w.instances[s]):
                fills -= 1.0
            if layer.read_write[v]:
                updates = content
                if accounting != k.COUNT_ALL:
                    reads -= w.part[s, v]
                    if accounting in k.FREE_FIRST_FILL and s < outermost:
                        fills -= w.part[s, v]
                if accounting == k.COUNT_DRAINS:
                    drains = arriving
            energy += _access_energy(arch, w, s, exact, reads, fills, updates, drains)
            words = w.instances[s] * _dense_words(reads, fills, updates, drains)
            if not exact and w.share[s, USED] < 1.0:
                words = math.floor(words * ALMOST * w.share[s, USED])
            out[ACCESSES_OUT + s] += words
            content = arriving
    cycles = _bandwidth(arch, w, cycles)
    out[0], out[1] = cycles + arch.latency[0], (energy + bound.leak[0] * cycles) * ALMOST


@kernel
def may_lose_a_word(layer, v, instances):
    """Whether fills may be a word below what arrives: they are truncated, and an operand with windows arrives
    in several buckets, whose shares are rounded unless instances are a power of two (model 7.6).
    """
    return not layer.plain[v] and not layer.read_write[v] and instances & (instances - 1) != 0


@kernel
def _least_count(words):
    """Return the least count that is rounded from at least `words`."""
    return max(math.ceil(words * ALMOST - 0.5), 0.0)


@kernel
def _dense_words(reads, fills, updates, drains):
    """Return the least words of one instance, with each count rounded as in the model."""
    words = 0.0
    for count in (reads, fills, updates, drains):
        words += _least_count(count)
    return words


@kernel
def _access_energy(arch, w, s, exact, reads, fills, updates, drains):
    """Return the least energy of a dataspace at level s, all instances; words are added to w.moved (model
    14.1 to 14.3). Drains are reads of which at least the share of fills stays.
    """
    block, instances = arch.width[s, k.BLOCK], w.instances[s]
    energy = 0.0
    for a in range(3):
        count, more = reads, drains
        if a == k.FILL:
            count, more = fills, 0.0
        elif a == k.UPDATE:
            count, more = updates, 0.0
        if exact or w.share[s, a] == 1.0:
            count = _least_count(count) + _least_count(more)
        else:
            more *= ALMOST * w.share[s, k.FILL]
            count = max(count * ALMOST * w.share[s, a] + more - ROUNDED_AWAY, 0.0)
        vectors = math.ceil(count / block) if exact else count / block
        energy += vectors * arch.energy[s, k.DATA_ACTIONS + a]
        w.moved[s, 0 if a == k.READ else 1] += count
    return energy * min(instances, arch.mesh[s + 1, k.INSTANCES] // arch.width[s, k.CLUSTER])


@kernel
def _bandwidth(arch, w, cycles):
    """Return the larger of `cycles` and the cycles that memories need for the words moved."""
    read, write = 0.0, 0.0
    for s in range(w.moved.shape[0]):
        if not arch.support[s, k.SHARES]:
            read, write = 0.0, 0.0
        read, write = read + w.moved[s, 0], write + w.moved[s, 1]
        need = 0.0
        if arch.limit[s, k.READ_BW] > 0.0:
            need = max(need, read / arch.limit[s, k.READ_BW])
        if arch.limit[s, k.WRITE_BW] > 0.0:
            need = max(need, write / arch.limit[s, k.WRITE_BW])
        if arch.limit[s, k.SHARED_BW] > 0.0:
            need = max(need, (read + write) / arch.limit[s, k.SHARED_BW])
        need = math.ceil(need * ALMOST)
        if need > max(cycles, 1):
            cycles = need
    return cycles
