"""Dense costs of many mappings side by side, where boxes multiply (model 7.3, 7.5, 7.8, 7.10, 13, 14).

All arrays end with an axis of lanes, one per mapping, and the innermost loops run over lanes, so that one
instruction works on several mappings. Where tiles never overlap, all counts are products of factors, which
doubles hold exactly; divisions that the general kernels round have whole results here. Lanes whose mapping
needs another rule, or fails in another way than by size, are left to those kernels. `sparse_lanes` continues
from the counts where there is sparse processing.
"""

import numpy as np

from sparsim.model import arrays as k
from sparsim.model.kernels.jit import kernel

UNSETTLED = -1  # status of a mapping that is left to the other kernels


@kernel
def is_laned(arch, layer, networks):
    """Return whether mappings of a layer on an accelerator can be counted side by side."""
    if networks or layer.cut[0] or arch.first_tiling[1] > 1:
        return False
    points = 1.0
    for d in range(layer.bound.shape[0]):
        points *= layer.bound[d]
    good = points <= k.MAX_COUNT / 4.0
    for v in range(layer.plain.shape[0]):
        good = good and layer.plain[v] == 1
    for s in range(arch.fan.shape[0]):
        good = good and not arch.support[s, k.DISTRIBUTES] and not arch.support[s, k.SHARES]
        good = good and arch.limit[s, k.METADATA_BITS] >= 0.0
    return good


@kernel
def count_lanes(arch, layer, mapping, first, last, accounting, places, lane):
    """Load the mappings `first` .. `last` - 1, at most one per lane, and compute their dense counts. `places`
    is the most children of a level.
    """
    _load(layer, mapping, first, last, lane)
    _check_factors(layer, lane)
    _spread(arch, layer, places, lane)
    for s in range(lane.held.shape[0]):
        fill_lanes(lane.held[s], 0.0)
    for v in range(layer.plain.shape[0]):
        _tiles(arch, layer, v, lane)
        _deliver(arch, layer, v, lane)
        _count(layer, accounting, v, lane)


@kernel
def dense_costs(arch, layer, lane):
    """Compute energy and cycles where there is no sparse processing."""
    _computes(arch, layer, lane)
    for s in range(lane.held.shape[0]):
        _hold(arch, s, lane)
        _level_energy(arch, layer, s, lane)
        if is_limited(arch, s):
            _demand(s, lane)
            slow_down(arch, s, lane)


@kernel
def _load(layer, mapping, first, last, lane):
    """Fill factor, place, split, kept and status; surplus lanes repeat the last mapping."""
    order, given, flags, place, kept = mapping.order, mapping.factor, mapping.flags, lane.place, lane.kept
    n_dims, n_data = order.shape[2], kept.shape[1]
    every_dim, all_data = (1 << n_dims) - 1, (1 << n_data) - 1
    for j in range(k.LANES):
        b = min(first + j, last - 1)
        good = True
        for t in range(order.shape[1]):
            dims, bounds, places, factors = order[b, t], given[b, t], place[t], lane.factor[t]
            seen = 0
            for i in range(n_dims):
                dim = dims[i]
                if 0 <= dim < n_dims:
                    seen |= 1 << dim
                    places[dim, j] = i
                whole = 1 <= bounds[i] <= layer.bound[i]
                good = good and whole
                if layer.bound[i] > 1:
                    factors[i, j] = bounds[i] if whole else 1
            good = good and seen == every_dim
            lane.split[t, j] = mapping.split[b, t]
        somewhere = 0
        for s in range(flags.shape[1]):
            keep = flags[b, s, k.KEEP]
            somewhere |= keep
            for v in range(n_data):
                kept[s, v, j] = keep >> v & 1
            good = good and flags[b, s, k.NO_MULTICAST] | flags[b, s, k.NO_REUSE] == 0
        good = good and somewhere & all_data == all_data
        lane.status[j] = k.OK if good else UNSETTLED


@kernel
def checked(status, holds, failure):
    """Return the status after a check; the first failure counts."""
    return status if holds or status != k.OK else failure


@kernel
def fill_lanes(row, value):
    """row[:] = value."""
    for j in range(k.LANES):
        row[j] = value


@kernel
def multiply_lanes(row, factor):
    """row *= factor."""
    for j in range(k.LANES):
        row[j] *= factor[j]


@kernel
def copy_lanes(source, row):
    """row[:] = source."""
    for j in range(k.LANES):
        row[j] = source[j]


@kernel
def _check_factors(layer, lane):
    """Require that the factors of every dim multiply to its bound."""
    status, product = lane.status, lane.row
    for d in range(layer.bound.shape[0]):
        if layer.bound[d] == 1:
            continue
        fill_lanes(product, 1.0)
        for t in range(lane.factor.shape[0]):
            multiply_lanes(product, lane.factor[t, d])
        bound = float(layer.bound[d])
        for j in range(k.LANES):
            status[j] = checked(status[j], product[j] == bound, UNSETTLED)


@kernel
def _spread(arch, layer, places, lane):
    """Fill space and steps, and require instances for them (model 12.4, 13.2)."""
    status, children = lane.status, lane.row
    n_levels = lane.held.shape[0]
    fill_lanes(lane.steps[n_levels], 1.0)
    fill_lanes(lane.space[n_levels, k.X], 1.0)
    fill_lanes(lane.space[n_levels, k.Y], 1.0)
    for s in range(n_levels - 1, -1, -1):
        x, y = lane.space[s, k.X], lane.space[s, k.Y]
        spatial, temporal = _nests(arch, s)
        copy_lanes(lane.steps[s + 1], lane.steps[s])
        copy_lanes(lane.space[s + 1, k.X], x)
        copy_lanes(lane.space[s + 1, k.Y], y)
        fill_lanes(children, 1.0)
        for d in range(layer.bound.shape[0]):
            if layer.bound[d] == 1:
                continue
            multiply_lanes(lane.steps[s], lane.factor[temporal, d])
            if spatial < temporal:
                factor, place, split = lane.factor[spatial, d], lane.place[spatial, d], lane.split[spatial]
                for j in range(k.LANES):
                    bound, on_x = factor[j], place[j] < split[j]
                    children[j] *= bound
                    x[j] *= bound if on_x else 1.0
                    y[j] *= 1.0 if on_x else bound
        for j in range(k.LANES):
            status[j] = checked(status[j], children[j] <= places, k.BAD_CHILDREN)
    for h in range(n_levels + 1):
        x, y = lane.space[h, k.X], lane.space[h, k.Y]
        most_x, most_y = float(arch.mesh[h, k.X]), float(arch.mesh[h, k.Y])
        for j in range(k.LANES):
            fits = x[j] <= most_x and y[j] <= most_y
            status[j] = checked(status[j], fits, k.BAD_INSTANCES)


@kernel
def _nests(arch, s):
    """Return the spatial and the temporal tiling level of storage level s, which are the same if there are no
    children to spread over.
    """
    return arch.first_tiling[s], arch.first_tiling[s + 1] - 1


@kernel
def _concerns(layer, v, d):
    return layer.bound[d] > 1 and layer.relevant[v] >> d & 1 == 1


@kernel
def _tiles(arch, layer, v, lane):
    """Fill tile and groups of dataspace v, and add what the levels keep to held."""
    words = lane.row
    fill_lanes(words, 1.0)
    for s in range(lane.tile.shape[0]):
        spatial, temporal = _nests(arch, s)
        fill_lanes(lane.groups[s], 1.0)
        for d in range(layer.bound.shape[0]):
            if _concerns(layer, v, d):
                multiply_lanes(words, lane.factor[temporal, d])
                if spatial < temporal:
                    multiply_lanes(words, lane.factor[spatial, d])
                    multiply_lanes(lane.groups[s], lane.factor[spatial, d])
        copy_lanes(words, lane.tile[s, v])
        held, kept = lane.held[s], lane.kept[s, v]
        for j in range(k.LANES):
            held[j] += words[j] * kept[j]


@kernel
def _deliver(arch, layer, v, lane):
    """Fill the words that a child of every level receives (model 7.3): temporal loops count from the
    innermost relevant one outward, and all of them do for the arithmetic.
    """
    n_dims, times, nearest, inside = layer.bound.shape[0], lane.times, lane.nearest, lane.row
    fill_lanes(times, 1.0)
    for s in range(lane.tile.shape[0] - 1, 0, -1):
        _, t = _nests(arch, s)
        fill_lanes(nearest, float(n_dims))
        for d in range(n_dims):
            if _concerns(layer, v, d):
                factor, place = lane.factor[t, d], lane.place[t, d]
                for j in range(k.LANES):
                    here, before = place[j], nearest[j]
                    nearest[j] = here if factor[j] > 1.0 and here < before else before
        fill_lanes(inside, 1.0)
        for d in range(n_dims):
            if layer.bound[d] > 1:
                factor, place = lane.factor[t, d], lane.place[t, d]
                for j in range(k.LANES):
                    bound = factor[j]
                    inside[j] *= bound if place[j] >= nearest[j] else 1.0
        words, tile, outside = lane.words[s], lane.tile[s - 1, v], lane.steps[s + 1]
        for j in range(k.LANES):
            more, same = outside[j] * inside[j], times[j]
            times[j] = more if nearest[j] < n_dims else same
            words[j] = times[j] * tile[j]
    copy_lanes(lane.steps[0], lane.words[0])


@kernel
def _count(layer, accounting, v, lane):
    """Fill counts of dataspace v (model 7.8, 7.10): levels that do not keep it pass their traffic outward."""
    content, part, parent = lane.content, lane.row, lane.nearest
    n_levels = content.shape[0]
    for s in range(n_levels):
        here, groups, words = content[s], lane.groups[s], lane.words[s]
        inner, kept = content[max(s - 1, 0)], lane.kept[max(s - 1, 0), v]
        for j in range(k.LANES):
            here[j] = groups[j] * (words[j] if s == 0 or kept[j] > 0.0 else inner[j])
    copy_lanes(lane.tile[n_levels - 1, v], part)
    fill_lanes(parent, 0.0)
    for s in range(n_levels - 1, -1, -1):
        _count_level(layer, accounting, s, v, part, parent, lane)
        groups, kept = lane.groups[s], lane.kept[s, v]
        for j in range(k.LANES):
            part[j] /= groups[j]
            parent[j] = 1.0 if kept[j] > 0.0 else parent[j]


@kernel
def _count_level(layer, accounting, s, v, part, parent, lane):
    """Fill counts of level s; `parent` tells whether a level outside keeps the dataspace."""
    status, content, kept = lane.status, lane.content[s], lane.kept[s, v]
    words = lane.words[min(s + 1, lane.words.shape[0] - 1)]
    reads, fills, updates = (
        lane.counts[s, v, k.READ],
        lane.counts[s, v, k.FILL],
        lane.counts[s, v, k.UPDATE],
    )
    writes = layer.read_write[v] == 1
    first_read = 1.0 if writes and accounting != k.COUNT_ALL else 0.0
    first_fill = 1.0 if writes and accounting in k.FREE_FIRST_FILL else 0.0
    drain = 1.0 if writes and accounting == k.COUNT_DRAINS else 0.0
    update = 1.0 if writes else 0.0
    for j in range(k.LANES):
        arriving = words[j] * parent[j]
        reads[j] = (content[j] - first_read * part[j] + drain * arriving) * kept[j]
        fills[j] = (arriving - first_fill * part[j] * parent[j]) * kept[j]
        updates[j] = update * content[j] * kept[j]
        status[j] = checked(status[j], reads[j] >= 0.0 and fills[j] >= 0.0, UNSETTLED)


@kernel
def _computes(arch, layer, lane):
    """Start the sums over levels with the energy and the cycles of the arithmetic (model 14.2, 14.3)."""
    points = 1
    for d in range(layer.bound.shape[0]):
        points *= layer.bound[d]
    price = 0.0
    for o in (k.RANDOM, k.SKIPPED, k.GATED):
        price += (points if o == k.RANDOM else 0) * arch.compute_energy[o]
    x, y = lane.space[0, k.X], lane.space[0, k.Y]
    for j in range(k.LANES):
        lane.energy[j] = price
        lane.status[j] = checked(lane.status[j], price >= 0.0, UNSETTLED)
        lane.compute[j] = np.ceil(points / (x[j] * y[j]))
        lane.cycles[j] = lane.compute[j]


@kernel
def _hold(arch, s, lane):
    """Require that level s holds its tiles, and that they fill enough of it (model 13.1)."""
    status, held = lane.status, lane.held[s]
    size, least = arch.limit[s, k.SIZE], arch.limit[s, k.MIN_WORDS]
    if size >= 0.0:
        for j in range(k.LANES):
            status[j] = checked(status[j], held[j] <= size, k.BAD_CAPACITY)
            status[j] = checked(status[j], held[j] >= least, k.BAD_UTILIZATION)


@kernel
def _level_energy(arch, layer, s, lane):
    """Add the energy of level s, and fill its accesses (model 14.1, 14.2, 16.5)."""
    level, accesses, x, y = lane.row, lane.accesses[s], lane.space[s + 1, k.X], lane.space[s + 1, k.Y]
    block, address = float(arch.width[s, k.BLOCK]), arch.addr_gen[s]
    most = float(arch.mesh[s + 1, k.INSTANCES] // arch.width[s, k.CLUSTER])
    read_pj, fill_pj, update_pj = arch.energy[s, k.READ], arch.energy[s, k.FILL], arch.energy[s, k.UPDATE]
    fill_lanes(level, 0.0)
    fill_lanes(accesses, 0.0)
    for v in range(layer.plain.shape[0]):
        reads, fills, updates = lane.counts[s, v, 0], lane.counts[s, v, 1], lane.counts[s, v, 2]
        moved = updates if layer.read_write[v] else reads
        for j in range(k.LANES):
            instances = x[j] * y[j]
            clusters = instances if instances < most else most
            energy = np.ceil(reads[j] / block) * read_pj
            energy += np.ceil(fills[j] / block) * fill_pj
            energy += np.ceil(updates[j] / block) * update_pj
            tensor = energy / (instances / clusters) * instances
            if address > 0.0:
                tensor += (moved[j] + fills[j]) * address * clusters
            level[j] += tensor
            accesses[j] += np.floor(instances * (reads[j] + fills[j] + updates[j]))
    for j in range(k.LANES):
        lane.status[j] = checked(lane.status[j], level[j] >= 0.0, UNSETTLED)
        lane.energy[j] += level[j]


@kernel
def _slower(slowdown, limit, demand):
    return limit / demand if 0.0 <= limit < demand and limit / demand < slowdown else slowdown


@kernel
def is_limited(arch, s):
    """Return whether the bandwidth of level s has limits."""
    limit = arch.limit[s]
    return limit[k.READ_BW] >= 0.0 or limit[k.WRITE_BW] >= 0.0 or limit[k.SHARED_BW] >= 0.0


@kernel
def _demand(s, lane):
    """Fill the words that an instance of level s reads and writes per cycle."""
    read, write, compute = lane.times, lane.nearest, lane.compute
    fill_lanes(read, 0.0)
    fill_lanes(write, 0.0)
    for v in range(lane.counts.shape[1]):
        reads, fills, updates = lane.counts[s, v, 0], lane.counts[s, v, 1], lane.counts[s, v, 2]
        for j in range(k.LANES):
            read[j] += reads[j] / compute[j]
            write[j] += (fills[j] + updates[j]) / compute[j]


@kernel
def slow_down(arch, s, lane):
    """Let level s slow the mapping down to its bandwidths, whose demand is in times and nearest (model
    14.3).
    """
    read, write, compute, cycles, limit = lane.times, lane.nearest, lane.compute, lane.cycles, arch.limit[s]
    for j in range(k.LANES):
        slowdown = _slower(1.0, limit[k.READ_BW], read[j])
        slowdown = _slower(slowdown, limit[k.WRITE_BW], write[j])
        slowdown = _slower(slowdown, limit[k.SHARED_BW], write[j] + read[j])
        slow = np.ceil(compute[j] / slowdown)
        slow = slow if slow < k.MAX_COUNT + 2.0 else k.MAX_COUNT + 2.0
        cycles[j] = slow if slowdown != 1.0 and slow > cycles[j] else cycles[j]


@kernel
def write_lanes(arch, first, last, lane, out):
    """Write the status of the mappings into `out`, which is UNSETTLED where they are left to the other
    kernels, and the results of those that are valid, as `run` does.
    """
    for i in range(first, last):
        energy, cycles = lane.energy[i - first], lane.cycles[i - first] + arch.latency[0]
        good = 0.0 <= energy < np.inf and cycles <= k.MAX_COUNT
        out[i, k.STATUS] = checked(lane.status[i - first], good, UNSETTLED)
        if out[i, k.STATUS] == k.OK:
            out[i, k.PJ], out[i, k.CYCLES] = energy, cycles
            for s in range(min(lane.accesses.shape[0], out.shape[1] - 3)):
                out[i, 3 + s] = lane.accesses[s, i - first]
