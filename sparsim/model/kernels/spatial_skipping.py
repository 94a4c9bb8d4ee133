"""Spatial skipping: fewer instances where a spatial loop meets empty tiles (model 10.6).

`reach[h, v]` is (X, Y, effective fraction, reduced?) of hardware level h; spatial loops of storage u act on
hardware level u, the level right inside.
"""

import math

from sparsim.model import arrays as k
from sparsim.model.kernels.fill import fill
from sparsim.model.kernels.jit import kernel
from sparsim.model.kernels.loop_nest import box_words
from sparsim.model.kernels.tile_densities import chance_of_none, most_nonzeros

FRACTION, REDUCED = 2, 3


@kernel
def spatial_skipping(arch, layer, density, policy, table, nest, sparse):
    """Fill space and compute_avg. If the policy skips spatially, reduce them and record its entries."""
    for v in range(nest.tile.shape[1]):
        for h in range(nest.space.shape[0]):
            sparse.space[h, v, k.X], sparse.space[h, v, k.Y] = nest.space[h, k.X], nest.space[h, k.Y]
    sparse.compute_avg[0] = nest.space[0, k.X] * nest.space[0, k.Y]
    if not policy.switch[k.ANY_SPATIAL]:
        return k.OK
    for v in range(nest.tile.shape[1]):
        _own_reduction(layer, density, policy, table, nest, sparse, v)
        _hand_inward(nest, sparse, v)
    for f in range(policy.saf.shape[0]):
        if policy.saf[f, k.SAF_KIND] == k.SPATIAL_SKIPPING:
            g, level = policy.saf[f, k.SAF_OPTION0], policy.saf[f, k.SAF_LEVEL]
            target = policy.option[g, k.OPT_TARGET]
            if not _directive(layer, density, policy, table, nest, sparse, level, g):
                nest.info[0], nest.info[1] = level, target
                return k.BAD_SPATIAL_LEADERS
            if sparse.saf[level, target] != 0 and sparse.saf_p[level, target] != 0.0:
                nest.info[0], nest.info[1] = level, target
                return k.BAD_SAF_CLASH
            sparse.saf[level, target] = k.SPATIAL_SKIPPING
    for v in range(nest.tile.shape[1]):
        _summarise(nest, sparse, v)
    average_units(sparse)
    return _check_fanout(arch, nest, sparse)


@kernel
def average_units(sparse):
    """Set compute_avg to the average number of units in use by the tensor that needs most (model 10.6 c)."""
    most = 1
    for v in range(sparse.avg.shape[1]):
        most = max(most, int(sparse.avg[0, v]))
    sparse.compute_avg[0] = most


@kernel
def _holder(nest, v, level):
    """The first level at or outside `level` that keeps v, or -1."""
    for s in range(level, nest.tile.shape[0]):
        if nest.kept[s, v]:
            return s
    return -1


@kernel
def _children(layer, density, counted, i, j, v, inside, fiber):
    """(chance that a box of `inside` words of v is empty, most nonempty ones in a fiber), by the density
    model, or for known masks counted[i, j].
    """
    if density.kind[v] == k.TABULATED:
        return counted[i, j, 0], counted[i, j, 1]
    kind, d, total = density.kind[v], density.density[v], layer.words[v]
    most = min(fiber // inside, most_nonzeros(kind, d, total, fiber))
    return chance_of_none(kind, d, total, inside), float(most)


@kernel
def _part(some, of_all):
    """Return some / of_all, or 1 for a denominator of 0, which `_check_fanout` refuses."""
    return some / of_all if of_all > 0 else 1.0


@kernel
def _shrink(reach, kind, elements, bound):
    axis = kind - k.SPATIAL_X
    reach[axis] = math.floor(reach[axis] * (elements / bound))


@kernel
def _own_reduction(layer, density, policy, table, nest, sparse, v):
    """Reduce the instances of levels by those that the metadata of v itself leaves idle (model 10.6 a)."""
    for h in range(nest.space.shape[0]):
        reach = sparse.reach[h, v]
        reach[k.X], reach[k.Y], reach[FRACTION], reach[REDUCED] = (
            nest.space[h, k.X],
            nest.space[h, k.Y],
            1.0,
            0.0,
        )
    for u in range(nest.tile.shape[0]):
        holder = _holder(nest, v, u)
        if holder < 0 or not policy.format[holder, v, k.HAS_FORMAT]:
            continue
        first = True
        for i in range(nest.ops[k.N_REAL]):
            m = nest.real[i]
            loop = nest.loop[m]
            if loop[k.LEVEL] != u or loop[k.KIND] == k.TEMPORAL:
                continue
            if not layer.relevant[v] >> loop[k.DIM] & 1:
                continue
            inside, fiber = nest.box[i, v], nest.box[i + 1, v]
            empty, most = _children(layer, density, table.spread, m, v, v, inside, fiber)
            if first:
                sparse.reach[u, v, FRACTION] = 1.0 - empty
                sparse.reach[u, v, REDUCED] = 1.0 if empty != 0.0 else 0.0
                first = False
            _shrink(sparse.reach[u, v], loop[k.KIND], most, loop[k.BOUND])


@kernel
def _hand_inward(nest, sparse, v):
    """Pass the reduction of a level on to all levels inside it."""
    for h in range(nest.tile.shape[0], 0, -1):
        x = _part(sparse.reach[h, v, k.X], sparse.space[h, v, k.X])
        y = _part(sparse.reach[h, v, k.Y], sparse.space[h, v, k.Y])
        if x == 1.0 and y == 1.0:
            continue
        sparse.space[h, v, k.X], sparse.space[h, v, k.Y] = (
            int(sparse.reach[h, v, k.X]),
            int(sparse.reach[h, v, k.Y]),
        )
        crossed = False
        for q in range(h - 1, -1, -1):
            sparse.reach[q, v, k.X] = math.floor(sparse.reach[q, v, k.X] * x)
            sparse.reach[q, v, k.Y] = math.floor(sparse.reach[q, v, k.Y] * y)
            crossed = crossed or sparse.reach[q, v, REDUCED] != 0.0
            if not crossed:
                sparse.reach[q, v, FRACTION] *= sparse.reach[h, v, FRACTION]


@kernel
def _directive(layer, density, policy, table, nest, sparse, level, g):
    """Option g of a spatial skipping entry: instances whose leader tile is empty stay idle (model 10.6 b).

    Leaders without metadata have no effect. Returns False if a second leader with metadata would have an
    effect, too.
    """
    target = policy.option[g, k.OPT_TARGET]
    sparse.reach[level, target, FRACTION] = 1.0
    known = False
    for q in range(policy.option[g, k.OPT_LEADER0], policy.option[g, k.OPT_LEADER1]):
        leader = policy.leader[q]
        holder = _holder(nest, leader, level)
        if holder < 0 or not policy.format[holder, leader, k.HAS_FORMAT]:
            continue
        if not known:
            _lead(layer, density, table, nest, sparse, level, target, leader, g)
        elif _spreads(layer, nest, level, leader):
            return False
        known = True
    return True


@kernel
def _spreads(layer, nest, level, v):
    """Whether spatial loops of `level` distribute v."""
    for m in range(nest.loop.shape[0]):
        loop = nest.loop[m]
        if loop[k.LEVEL] == level and loop[k.KIND] != k.TEMPORAL and loop[k.BOUND] > 1:
            if layer.relevant[v] >> loop[k.DIM] & 1:
                return True
    return False


@kernel
def _lead(layer, density, table, nest, sparse, level, target, leader, g):
    """Shrink the reach of `target` below `level` to where `leader` has nonzeros."""
    first = True
    for m in range(nest.loop.shape[0]):
        loop = nest.loop[m]
        if loop[k.LEVEL] != level or loop[k.KIND] == k.TEMPORAL or loop[k.BOUND] == 1:
            continue
        if not layer.relevant[leader] >> loop[k.DIM] & 1:
            continue
        ext = nest.ext
        fill(ext, 1)
        for i in range(m):
            ext[nest.loop[i, k.DIM]] *= nest.loop[i, k.BOUND]
        if nest.kin[level, target, k.CHILD] >= 0 and layer.relevant[target] >> loop[k.DIM] & 1:
            _stay(layer, nest, level, target, ext)
        inside = box_words(layer, leader, ext)
        ext[loop[k.DIM]] *= loop[k.BOUND]
        fiber = box_words(layer, leader, ext)
        empty, most = _children(layer, density, table.led, g, m, leader, inside, fiber)
        if first:
            sparse.reach[level, target, FRACTION] = 1.0 - empty
            first = False
        _shrink(sparse.reach[level, target], loop[k.KIND], most, loop[k.BOUND])


@kernel
def _stay(layer, nest, level, target, ext):
    """Widen the box by the temporal loops during which the target's tile stays where it is."""
    last = _holder(nest, target, level)
    if last < 0:
        last = nest.tile.shape[0] - 1
    for i in range(nest.loop.shape[0]):
        loop = nest.loop[i]
        if loop[k.LEVEL] < level or loop[k.KIND] != k.TEMPORAL or loop[k.BOUND] == 1:
            continue
        if loop[k.LEVEL] > last or layer.relevant[target] >> loop[k.DIM] & 1:
            return
        ext[loop[k.DIM]] *= loop[k.BOUND]


@kernel
def _summarise(nest, sparse, v):
    """Final expansion, average and probability of every level (model 10.6 c)."""
    for h in range(nest.tile.shape[0], -1, -1):
        x, y, fraction = sparse.reach[h, v, k.X], sparse.reach[h, v, k.Y], sparse.reach[h, v, FRACTION]
        shrink_x, shrink_y = 1.0, 1.0
        sparse.avg[h, v] = nest.space[h, k.X] * nest.space[h, k.Y] * fraction
        if h > 0:
            shrink_x, shrink_y = _part(x, sparse.space[h, v, k.X]), _part(y, sparse.space[h, v, k.Y])
        sparse.space[h, v, k.X], sparse.space[h, v, k.Y] = int(x), int(y)
        if h < nest.tile.shape[0] and sparse.saf[h, v] == k.SPATIAL_SKIPPING:
            sparse.saf_p[h, v] = 1.0 - fraction
        if shrink_x != 1.0 or shrink_y != 1.0:
            crossed = False
            for q in range(h - 1, -1, -1):
                crossed = crossed or sparse.saf[q, v] == k.SPATIAL_SKIPPING
                if not crossed:
                    sparse.reach[q, v, FRACTION] *= fraction
                sparse.reach[q, v, k.X] = math.floor(sparse.reach[q, v, k.X] * shrink_x)
                sparse.reach[q, v, k.Y] = math.floor(sparse.reach[q, v, k.Y] * shrink_y)


@kernel
def _check_fanout(arch, nest, sparse):
    for v in range(nest.tile.shape[1]):
        for s in range(nest.tile.shape[0]):
            for axis in range(2):
                outer = sparse.space[s + 1, v, axis]
                if outer == 0 or sparse.space[s, v, axis] == 0:
                    nest.info[0], nest.info[1] = s, v
                    return k.BAD_SPATIAL_ZERO
                need = sparse.space[s, v, axis] // outer
                if need > arch.fan[s, axis]:
                    nest.info[0], nest.info[1], nest.info[2], nest.info[3] = s, axis, need, arch.fan[s, axis]
                    return k.BAD_FANOUT
    return k.OK
