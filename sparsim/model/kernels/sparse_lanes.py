"""Sparse costs of many mappings side by side: the rules of `tile_formats`, `gating_and_skipping` and
`energy_and_cycles` for fixed-structured densities and policies without choices (model 9 to 14).

The mappings of a group keep the same dataspaces, so that the innermost loops over lanes meet no decisions
about formats and entries. Counts are whole doubles. Lanes that fail in another way than by size are left to
the other kernels, and so are groups that need another rule.
"""

import numpy as np

from sparsim.model import arrays as k
from sparsim.model.kernels.dense_lanes import (
    UNSETTLED,
    checked,
    copy_lanes,
    fill_lanes,
    is_limited,
    slow_down,
)
from sparsim.model.kernels.format_ranks import check_formats, match_ranks
from sparsim.model.kernels.gating_and_skipping import split_computes, to_millionths
from sparsim.model.kernels.jit import kernel
from sparsim.model.kernels.lane_costs import add_level, hold
from sparsim.model.kernels.leader_tiles import find_leaders
from sparsim.model.kernels.loop_nest import grow_boxes, list_loops, relate_levels
from sparsim.model.kernels.tile_densities import fixed_chance_of_none, fixed_most
from sparsim.model.kernels.tile_formats import small_tile_ratio


@kernel
def is_sparse_laned(density, policy, accounting):
    """Return whether this module covers densities, policy and accounting."""
    good = not policy.switch[k.ANY_SPATIAL] and accounting != k.COUNT_DRAINS
    for v in range(density.kind.shape[0]):
        good = good and density.kind[v] == k.FIXED
    for f in range(policy.saf.shape[0]):
        good = good and policy.saf[f, k.SAF_OPTION1] - policy.saf[f, k.SAF_OPTION0] == 1
    return good


@kernel
def sparse_costs(arch, layer, density, policy, table, mapping, first, last, nest, sparse, lane):
    """Compute energy and cycles of the mappings whose dense counts are in the lanes."""
    fill_lanes(lane.computes, 1.0)
    for d in range(layer.bound.shape[0]):
        for j in range(k.LANES):
            lane.computes[j] *= layer.bound[d]
    for s in range(lane.held.shape[0]):
        fill_lanes(lane.held[s], 0.0)
        fill_lanes(lane.bits[s], 0.0)
    good = relate_levels(mapping.flags[first], nest) == k.OK
    good = good and check_formats(arch, layer, policy, nest) == k.OK
    if good:
        _match(arch, layer, policy, mapping, first, last, nest, lane)
        good = _enter(density, policy, nest, sparse, lane)
    for v in range(layer.plain.shape[0]):
        for s in range(lane.held.shape[0]):
            if good and nest.kept[s, v]:
                _expect(arch, density, policy, nest, s, v, lane)
                _count_stored(policy, s, v, lane)
        good = good and _propagate(layer, policy, nest, sparse, v, lane)
    if not good:
        fill_lanes(lane.status, UNSETTLED)
        return
    _computes(arch, layer, density, policy, table, nest, sparse, lane)
    for s in range(lane.held.shape[0]):
        hold(arch, policy, nest, s, lane)
        add_level(arch, layer, policy, nest, sparse, s, lane)
        if is_limited(arch, s):
            slow_down(arch, s, lane)


@kernel
def _match(arch, layer, policy, mapping, first, last, nest, lane):
    """Fill fiber, sub and lead_words, one mapping after the other."""
    coded = 0
    for s in range(nest.kept.shape[0]):
        for v in range(nest.kept.shape[1]):
            coded |= policy.format[s, v, k.HAS_FORMAT] << v
    for j in range(last - first):
        if lane.status[j] != k.OK:
            continue
        b = first + j
        status = list_loops(arch, layer, mapping.factor[b], mapping.order[b], nest)
        _mark_spatial(arch, mapping.split[b], nest)
        for v in range(nest.kept.shape[1]):
            if coded >> v & 1:
                grow_boxes(arch, layer, nest, v)
        if status == k.OK:
            status = match_ranks(arch, layer, policy, nest)
        if status == k.OK:
            status = find_leaders(arch, layer, policy, nest)
        if status != k.OK:
            lane.status[j] = UNSETTLED
            continue
        for s in range(nest.kept.shape[0]):
            for v in range(nest.kept.shape[1]):
                if nest.kept[s, v] and policy.format[s, v, k.HAS_FORMAT]:
                    for r in range(policy.format[s, v, k.N_RANKS]):
                        lane.fiber[s, v, r, j] = nest.fiber[s, v, r]
                        lane.sub[s, v, r, j] = nest.sub[s, v, r]
        for g in range(nest.lead_words.shape[0]):
            for q in range(nest.lead_words.shape[1]):
                lane.lead_words[g, q, j] = nest.lead_words[g, q]


@kernel
def _mark_spatial(arch, split, nest):
    """Make the loops of spatial tiling levels spatial, which are all temporal after `list_loops`."""
    n_dims = nest.ext.shape[0]
    for t in range(arch.tiling.shape[0]):
        if arch.tiling[t, k.IS_SPATIAL]:
            for i in range(n_dims):
                nest.loop[t * n_dims + i, k.KIND] = k.SPATIAL_X if i < split[t] else k.SPATIAL_Y


@kernel
def _enter(density, policy, nest, sparse, lane):
    """Fill saf and p (model 10.2). Returns False where several entries meet at one tensor of a level."""
    for s in range(nest.kept.shape[0]):
        for v in range(nest.kept.shape[1]):
            sparse.saf[s, v] = 0
    for f in range(policy.saf.shape[0]):
        g = policy.saf[f, k.SAF_OPTION0]
        first, target = policy.option[g, k.OPT_LEADER0], policy.option[g, k.OPT_TARGET]
        level = nest.lead[g, k.LEAD_LEVEL]
        if sparse.saf[level, target] != 0:
            return False
        sparse.saf[level, target] = policy.saf[f, k.SAF_KIND]
        p = lane.p[level, target]
        fill_lanes(p, 1.0)
        for q in range(first, policy.option[g, k.OPT_LEADER1]):
            words, share = lane.lead_words[g, q - first], density.density[policy.leader[q]]
            for j in range(k.LANES):
                empty = fixed_chance_of_none(words[j], share)
                p[j] *= 1.0 - empty if words[j] > 0.0 else 1.0
        for j in range(k.LANES):
            p[j] = 1.0 - p[j]
    return True


@kernel
def _expect(arch, density, policy, nest, s, v, lane):
    """Fill avg, rho, ratio and units of a kept tile, and add what it takes to held and bits (model 9.5,
    13.1).
    """
    low, high, most, full = lane.rows[0], lane.rows[1], lane.rows[4], lane.rows[5]
    p_low, p_high = lane.rows[2], lane.rows[3]
    tile, avg, rho, held = lane.tile[s, v], lane.avg[s, v], lane.rho[s, v], lane.held[s]
    x, y, parent = lane.space[s + 1, k.X], lane.space[s + 1, k.Y], nest.kin[s, v, k.PARENT]
    drops = parent >= 0 and policy.format[parent, v, k.HAS_FORMAT] == 1
    has = policy.format[s, v, k.HAS_FORMAT] == 1
    share, block = density.density[v], float(arch.width[s, k.BLOCK])
    for j in range(k.LANES):
        points = tile[j]
        mean = points * share
        below, above = np.floor(mean), np.ceil(mean)
        p, q = 1.0 - (mean - below), mean - below
        full[j] = np.ceil(below / block) * p + np.ceil(above / block) * q
        kept = 1.0
        if drops and np.floor(below / points * points) == 0.0:
            kept = 1.0 - p
            q = q / kept if p < 1.0 else 0.0
            p = 0.0
        avg[j] = x[j] * y[j] * kept
        words = p * below + q * above
        rho[j] = words / points
        low[j], high[j], p_low[j], p_high[j] = below, above, p, q
        most[j] = float(fixed_most(points, share)) if has else points
        held[j] += most[j]
    if has:
        _expect_units(policy, s, v, lane)
    ratio = lane.ratio[s, v]
    fill_lanes(ratio, 1.0)
    if policy.format[s, v, k.IS_COMPRESSED] and block > 1.0:
        for j in range(k.LANES):
            ratio[j] = small_tile_ratio(arch.width[s, k.BLOCK], rho[j], int(tile[j]), full[j])
            lane.status[j] = checked(lane.status[j], ratio[j] >= 0.0, UNSETTLED)


@kernel
def _expect_units(policy, s, v, lane):
    """Fill units from the two occupancies, their chances and the largest one, which are in the rows."""
    low, high, most = lane.rows[0], lane.rows[1], lane.rows[4]
    p_low, p_high, ranks = lane.rows[2], lane.rows[3], policy.format[s, v, k.N_RANKS]
    _rank_units(policy, s, v, ranks, low, lane)
    for r in range(ranks):
        for u in range(2):
            units, unit = lane.units[s, v, r, u], lane.unit[r, u]
            for j in range(k.LANES):
                units[j] = p_low[j] * unit[j]
    _rank_units(policy, s, v, ranks, high, lane)
    for r in range(ranks):
        for u in range(2):
            units, unit = lane.units[s, v, r, u], lane.unit[r, u]
            for j in range(k.LANES):
                units[j] += p_high[j] * unit[j]
    _rank_units(policy, s, v, ranks, most, lane)
    _hold_bits(policy, s, v, ranks, lane)


@kernel
def _hold_bits(policy, s, v, ranks, lane):
    """Add the format bits of the fullest tile, whose units are in `unit`."""
    bits, held = lane.rows[0], lane.bits[s]
    fill_lanes(bits, 0.0)
    for r in range(ranks):
        for u in range(2):
            price, unit = float(policy.rank[s, v, r, k.RANK_METADATA_BITS + u]), lane.unit[r, u]
            for j in range(k.LANES):
                bits[j] += unit[j] * price
    for j in range(k.LANES):
        held[j] += np.ceil(bits[j])


@kernel
def _rank_units(policy, s, v, ranks, nonzeros, lane):
    """unit[r] := (metadata, payload) units of rank r of a tile with so many nonzeros (model 9.1, 9.4)."""
    tile, fibers, free = lane.tile[s, v], lane.times, lane.nearest
    whole_tile_rank = 0 if policy.format[s, v, k.INNER_FIRST] else ranks - 1
    for r in range(ranks + 1):
        none, sub = lane.none[r], lane.sub[s, v, r] if r < ranks else tile
        for j in range(k.LANES):
            x = sub[j] * (nonzeros[j] / tile[j])
            none[j] = 1.0 - x if x < 1.0 else 0.0
    fill_lanes(fibers, 1.0)
    for r in range(ranks - 1, -1, -1):
        length, kind = lane.fiber[s, v, r], policy.rank[s, v, r, k.RANK_KIND]
        inside, outside = lane.none[r], lane.none[r + 1]
        metadata, payload, whole = lane.unit[r, k.METADATA], lane.unit[r, k.PAYLOAD], r == whole_tile_rank
        for j in range(k.LANES):
            alive, filled = fibers[j] * (1.0 - outside[j]), length[j] * (1.0 - inside[j])
            one, two = 0.0, 0.0
            if kind == k.RANK_UOP:
                two = alive * (length[j] + 1.0)
            elif kind == k.RANK_UB:
                one = fibers[j] * length[j]
                two = one
            elif kind == k.RANK_RLE:
                one = alive * filled
                two = one
            elif kind == k.RANK_CP:
                one = alive * np.ceil(filled)
                two = one
            elif kind == k.RANK_B:
                one = alive * length[j]
                two = alive * np.ceil(filled)
            used = length[j] > 1.0 or whole
            metadata[j], payload[j] = one if used else 0.0, two if used else 0.0
            fibers[j] *= length[j]
    fill_lanes(free, 1.0)  # the innermost rank with units has no payload
    for r in range(ranks):
        metadata, payload = lane.unit[r, k.METADATA], lane.unit[r, k.PAYLOAD]
        for j in range(k.LANES):
            first = free[j] > 0.0 and (metadata[j] != 0.0 or payload[j] != 0.0)
            payload[j] = 0.0 if first else payload[j]
            free[j] = 0.0 if first else free[j]


@kernel
def _count_stored(policy, s, v, lane):
    """Fill work and the format words of a level (model 9.6, 11.1)."""
    tile, rho, status = lane.tile[s, v], lane.rho[s, v], lane.status
    for a in range(3):
        dense, work = lane.counts[s, v, a], lane.work[s, a]
        if not policy.format[s, v, k.HAS_FORMAT]:
            copy_lanes(dense, work)
            continue
        for j in range(k.LANES):
            work[j] = dense[j] - np.floor(dense[j] * (1.0 - rho[j]))
        for r in range(policy.format[s, v, k.N_RANKS]):
            for u in range(2):
                units, words = lane.units[s, v, r, u], lane.format[s, v, a, k.RANDOM, r, u]
                for j in range(k.LANES):
                    words[j] = np.ceil(units[j] * (dense[j] / tile[j]))
                    status[j] = checked(status[j], words[j] <= k.MAX_COUNT, UNSETTLED)


@kernel
def _propagate(layer, policy, nest, sparse, v, lane):
    """Apply the entries of dataspace v to their levels, to one level after the other inside them, and to the
    computes (model 11.2 to 11.4). Returns False if there are further entries inside.
    """
    fill_lanes(lane.left_out[v], 0.0)
    for s in range(nest.kept.shape[0] - 1, -1, -1):
        if not nest.kept[s, v]:
            continue
        kind, p = sparse.saf[s, v], lane.p[s, v]
        for a in range(3):
            copy_lanes(lane.work[s, a], lane.actual[s, v, a, k.RANDOM])
        if kind == 0:
            continue
        _split(layer, policy, nest, s, v, kind, p, lane)
        for inner in range(s - 1, -1, -1):
            if nest.kept[inner, v]:
                if sparse.saf[inner, v] != 0:
                    return False
                _reduce(policy, inner, s, v, p, lane)
        if not layer.read_write[v]:
            for j in range(k.LANES):
                lane.computes[j] -= np.floor(lane.computes[j] * p[j])
                lane.left_out[v, j] = to_millionths(p[j])
    return True


@kernel
def _take(row, p):
    """row -= the share p of it, rounded down."""
    for j in range(k.LANES):
        row[j] -= np.floor(row[j] * p[j])


@kernel
def _reduce(policy, inner, outer, v, p, lane):
    """Remove accesses at the level `inner` by an entry at `outer`; format words only of rank 0, and only if
    the outer level has exactly one rank.
    """
    for a in range(3):
        _take(lane.work[inner, a], p)
    if policy.format[inner, v, k.HAS_FORMAT] and policy.format[outer, v, k.N_RANKS] == 1:
        for a in (k.READ, k.FILL):
            for u in range(2):
                _take(lane.format[inner, v, a, k.RANDOM, 0, u], p)


@kernel
def _divide(row, removed, p, up):
    """Move the share p of a row to `removed`, rounded up or down."""
    for j in range(k.LANES):
        part = row[j] * p[j]
        removed[j] = np.ceil(part) if up else np.floor(part)
        row[j] -= removed[j]


@kernel
def _split(layer, policy, nest, s, v, kind, p, lane):
    """Turn part of the reads and updates of this level into gated or skipped ones (model 11.3)."""
    for a in (k.READ, k.UPDATE):
        up = a == k.READ and layer.read_write[v] == 1
        _divide(lane.actual[s, v, a, k.RANDOM], lane.actual[s, v, a, kind], p, up)
    if not policy.format[s, v, k.HAS_FORMAT]:
        return
    child, ranks = nest.kin[s, v, k.CHILD], policy.format[s, v, k.N_RANKS]
    if child >= 0:
        ranks = min(ranks, policy.format[child, v, k.N_RANKS])
    for r in range(policy.format[s, v, k.N_RANKS]):
        for a in (k.READ, k.UPDATE):
            for u in range(2):
                words, removed = lane.format[s, v, a, k.RANDOM, r, u], lane.format[s, v, a, kind, r, u]
                if r < ranks:
                    _divide(words, removed, p, False)
                else:
                    fill_lanes(removed, 0.0)


@kernel
def _computes(arch, layer, density, policy, table, nest, sparse, lane):
    """Start the sums over levels with the energy and the cycles of the arithmetic (model 12, 14.2, 14.3)."""
    x, y, a, b = lane.space[0, k.X], lane.space[0, k.Y], layer.operand[0], layer.operand[1]
    for j in range(k.LANES):
        if lane.status[j] != k.OK:
            continue
        status = split_computes(
            layer, density, policy, table, nest, sparse, lane.computes[j], lane.left_out[a, j],
            lane.left_out[b, j],
        )  # fmt: skip
        energy = 0.0
        for o in (k.RANDOM, k.SKIPPED, k.GATED):
            energy += sparse.compute[o] * arch.compute_energy[o]
        good = status == k.OK and sparse.compute[k.RANDOM] >= 0 and energy >= 0.0
        lane.status[j] = checked(lane.status[j], good, UNSETTLED)
        cycles = np.ceil(float(sparse.compute[k.RANDOM] + sparse.compute[k.GATED]) / (x[j] * y[j]))
        lane.energy[j], lane.cycles[j], lane.compute[j] = energy, cycles, max(cycles, 1.0)
