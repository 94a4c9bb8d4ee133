"""The stages of the model in order (model 1.3): nest -> density -> cost, for one or many evaluations."""

import numpy as np

from sparsim.model import arrays as k
from sparsim.model.kernels.dense_lanes import (
    UNSETTLED,
    count_lanes,
    dense_costs,
    is_laned,
    write_lanes,
)
from sparsim.model.kernels.dense_traffic import dense_traffic
from sparsim.model.kernels.energy_and_cycles import (
    check_capacity,
    level_accesses,
    level_costs,
    level_cycles,
)
from sparsim.model.kernels.format_ranks import check_formats, match_ranks
from sparsim.model.kernels.gating_and_skipping import (
    choose_entries,
    count_coding,
    format_counts,
    propagate,
    split_computes,
    take_counted,
)
from sparsim.model.kernels.jit import kernel, machine_code
from sparsim.model.kernels.leader_tiles import find_leaders
from sparsim.model.kernels.loop_nest import build_nest, check_instances, relate_levels
from sparsim.model.kernels.network_energy import network_energy
from sparsim.model.kernels.pack_pointers import first_unlike, opened, row_of
from sparsim.model.kernels.sparse_lanes import is_sparse_laned, sparse_costs
from sparsim.model.kernels.spatial_skipping import spatial_skipping
from sparsim.model.kernels.tile_formats import tile_statistics


@kernel
def _analyse(arch, layer, policy, mapping, b, accounting, want_hops, nest, related):
    """Run the part of the analysis of mapping `b` that does not depend on densities.

    `related` says whether kept and kin of the nest hold for the flags of the mapping before. Returns a
    status, and whether they hold now.
    """
    flags, active = mapping.flags[b], policy.switch[k.ACTIVE]
    related = related and _is_kept_alike(mapping.flags, b)
    status = build_nest(arch, layer, mapping.factor[b], mapping.order[b], mapping.split[b], nest)
    if status == k.OK and not related:
        status = relate_levels(flags, nest)
    if status == k.OK and not policy.switch[k.ANY_SPATIAL]:
        status = check_instances(arch, nest)
    if status == k.OK and active and not related:
        status = check_formats(arch, layer, policy, nest)
    related = related or status == k.OK
    if status == k.OK:
        status = dense_traffic(arch, layer, flags, accounting, want_hops, nest)
    if status == k.OK and active:
        status = match_ranks(arch, layer, policy, nest)
        if status == k.OK:
            status = find_leaders(arch, layer, policy, nest)
    return status, related


@kernel
def _is_kept_alike(flags, b):
    """Return whether mapping `b` keeps the same dataspaces at each level as the mapping before."""
    alike = True
    for s in range(flags.shape[1]):
        alike = alike and flags[b, s, k.KEEP] == flags[b - 1, s, k.KEEP]
    return alike


@kernel
def _everything_actual(nest, sparse):
    """Mark all dense counts as actual, because there is no sparse processing."""
    kept, dense, count, space, avg = nest.kept, nest.counts, sparse.counts, sparse.space, sparse.avg
    for v in range(kept.shape[1]):
        for h in range(space.shape[0]):
            x, y = nest.space[h, k.X], nest.space[h, k.Y]
            space[h, v, k.X], space[h, v, k.Y], avg[h, v] = x, y, float(x * y)
        for s in range(kept.shape[0]):
            if not kept[s, v]:
                continue
            sparse.rho[s, v], sparse.ratio[s, v] = 1.0, 1.0
            sparse.capacity[s, v] = nest.tile[s, v]
            sparse.reductions[s, v] = dense[s, v, k.REDUCE]
            for a in range(3):
                count[s, v, a, k.RANDOM] = dense[s, v, a]
                count[s, v, a, k.GATED], count[s, v, a, k.SKIPPED] = 0, 0
    sparse.compute[k.RANDOM], sparse.compute[k.GATED], sparse.compute[k.SKIPPED] = nest.ops[k.OPS], 0, 0
    sparse.compute_avg[0] = nest.ops[k.UNITS]


@kernel
def apply_densities(arch, layer, density, policy, table, nest, sparse):
    """Compute sparse counts from densities. Returns a status."""
    if not policy.switch[k.ACTIVE]:
        _everything_actual(nest, sparse)
        return k.OK
    status = tile_statistics(arch, layer, density, policy, table, nest, sparse)
    if status != k.OK:
        return status
    choose_entries(arch, layer, density, policy, table, nest, sparse)
    status = spatial_skipping(arch, layer, density, policy, table, nest, sparse)
    if status != k.OK or table.probe[0]:
        return status
    status = format_counts(layer, policy, nest, sparse)
    if status != k.OK:
        return status
    status, computes, left_out_a, left_out_b = propagate(layer, policy, table, nest, sparse)
    if status != k.OK:
        return status
    take_counted(layer, policy, table, nest, sparse)
    count_coding(layer, policy, nest, sparse)
    return split_computes(layer, density, policy, table, nest, sparse, computes, left_out_a, left_out_b)


@kernel
def add_cost(arch, layer, policy, networks, nest, sparse, cost):
    """Compute capacity, energy and cycles; cost.total := (pJ, cycles). Returns a status."""
    status = check_capacity(arch, policy, nest, sparse)
    if status != k.OK:
        return status
    level_costs(arch, layer, policy, nest, sparse, cost)
    level_cycles(arch, nest, sparse, cost)
    energy, cycles, good = 0.0, 0, sparse.compute[k.RANDOM] >= 0
    for h in range(cost.level_pj.shape[0]):
        good = good and cost.level_pj[h] >= 0.0 and cost.cycles[h] >= 0
        energy += cost.level_pj[h]
        cycles = max(cycles, cost.cycles[h])
    if networks:
        energy = network_energy(arch, layer, nest, cost, energy)
    cost.total[k.PJ], cost.total[k.CYCLES] = energy, float(cycles + arch.latency[0])
    if not good or not 0.0 <= energy < np.inf or cost.total[k.CYCLES] > k.MAX_COUNT:
        nest.info[0], nest.info[2], nest.info[3] = 0, energy, cost.total[k.CYCLES]
        return k.BAD_TOTAL
    return k.OK


@kernel
def _is_counted(sparse):
    """Return whether no count is below 0, which sums would hide."""
    good = True
    for s in range(sparse.counts.shape[0]):
        for v in range(sparse.counts.shape[1]):
            good = good and sparse.reductions[s, v] >= 0
            for a in range(sparse.coded.shape[2]):
                good = good and sparse.coded[s, v, a] >= 0
            for a in range(sparse.counts.shape[2]):
                for kind in range(sparse.counts.shape[3]):
                    good = good and sparse.counts[s, v, a, kind] >= 0
                    for r in range(sparse.format.shape[4]):
                        for p in range(sparse.format.shape[5]):
                            good = good and sparse.format[s, v, a, kind, r, p] >= 0
    for kind in range(sparse.compute.shape[0]):
        good = good and sparse.compute[kind] >= 0
    return good


@kernel
def _is_priced(sparse, cost):
    """Return whether no energy is negative, infinite or nan."""
    good = True
    for h in range(cost.level_pj.shape[0]):
        good = good and 0.0 <= cost.level_pj[h] < np.inf
        for v in range(sparse.avg.shape[1]):
            good = good and 0.0 <= sparse.avg[h, v] < np.inf
    for s in range(cost.energy.shape[0]):
        for v in range(cost.energy.shape[1]):
            good = good and 0.0 <= cost.energy[s, v] < np.inf
            for p in range(cost.network_pj.shape[2]):
                good = good and 0.0 <= cost.network_pj[s, v, p] < np.inf
    return good


@kernel
def _side_by_side(
    arch, layer, density, policy, table, mapping, first, last, accounting, nest, sparse, lane, out
):  # fmt: skip
    """Evaluate some mappings in lanes; those that are left to the other kernels have status UNSETTLED."""
    active = policy.switch[k.ACTIVE]
    alike = True
    for b in range(first + 1, last):
        alike = alike and (not active or _is_kept_alike(mapping.flags, b))
    if not alike:
        for b in range(first, last):
            out[b, k.STATUS] = UNSETTLED
        return
    count_lanes(arch, layer, mapping, first, last, accounting, nest.key.shape[0], lane)
    if active:
        sparse_costs(arch, layer, density, policy, table, mapping, first, last, nest, sparse, lane)
    else:
        dense_costs(arch, layer, lane)
    write_lanes(arch, first, last, lane, out)


@kernel
def run(
    mode, arch, layers, densities, policy, table, mapping, first, last, accounting, networks, nests, sparse,
    cost, written, lane
):  # fmt: skip
    """Evaluate the rows from `first` to `last` - 1.

    With ANALYSE in `mode`, row i of `mapping` is analysed as far as this does not depend on densities. With
    FINISH, the evaluation of the analysed nest is completed. `layers`, `densities` and `nests` have a leading
    axis; row i of it is used with STACKED, and row 0 otherwise. The results in `written.out[i]` are pJ,
    cycles and status, followed by the accesses of every storage level and the pJ of every hardware level if
    there are columns for them. `networks` says whether hops and energies of networks are counted.

    With COUNTED, row i of `layers` and `densities` is used, counts[i] is set to the actual accesses, and
    every term of the sums is checked. If a mapping does not fit, out[i] has the storage level in place of pJ.

    With COSTS_ONLY, only `written.out` holds results afterwards, so that mappings may share the work.
    """
    out, counts = written.out, written.counts
    row, n_levels = first if mode & (k.STACKED | k.COUNTED) else 0, nests.kept.shape[1]
    y, d, n = row_of(layers, row), row_of(densities, row), row_of(nests, first if mode & k.STACKED else 0)
    related = False
    laned = mode & k.COSTS_ONLY != 0 and is_laned(arch, y, networks)
    laned = laned and (not policy.switch[k.ACTIVE] or is_sparse_laned(d, policy, accounting))
    if laned:
        for i in range(first, last, k.LANES):
            stop = min(i + k.LANES, last)
            _side_by_side(arch, y, d, policy, table, mapping, i, stop, accounting, n, sparse, lane, out)
    for i in range(first, last):
        if laned and out[i, k.STATUS] != UNSETTLED:
            related = False
            continue
        if mode & (k.STACKED | k.COUNTED) and i > first:
            y, d = row_of(layers, i), row_of(densities, i)
        if mode & k.STACKED and i > first:
            n = row_of(nests, i)
        if mode & k.COUNTED:
            n.info[0], n.info[1], n.info[2], n.info[3] = 0.0, 0.0, 0.0, 0.0
        status = k.OK
        if mode & k.ANALYSE:
            status, related = _analyse(arch, y, policy, mapping, i, accounting, networks, n, related)
        if status == k.OK and mode & k.FINISH:
            status = apply_densities(arch, y, d, policy, table, n, sparse)
            if status == k.OK and not table.probe[0]:
                status = add_cost(arch, y, policy, networks, n, sparse, cost)
            if status == k.OK:
                out[i, k.PJ], out[i, k.CYCLES] = cost.total[k.PJ], cost.total[k.CYCLES]
                for s in range(min(out.shape[1] - 3, n_levels)):
                    out[i, 3 + s] = level_accesses(n, sparse, s)
                for h in range(out.shape[1] - 3 - n_levels):
                    out[i, 3 + n_levels + h] = cost.level_pj[h]
        if mode & k.COUNTED:
            if status == k.OK and not (_is_counted(sparse) and _is_priced(sparse, cost)):
                status = k.BAD_TOTAL
            if status != k.OK:
                out[i, k.PJ] = n.info[0]
            for s in range(counts.shape[1]):
                for v in range(counts.shape[2]):
                    for a in range(counts.shape[3]):
                        counts[i, s, v, a] = sparse.counts[s, v, a, k.RANDOM]
        out[i, k.STATUS] = status


@machine_code
def run_on_objects(mode, packs, first, last, accounting, networks, ints, reals):
    """Call `run` for packs that are Python objects; `packs` is a tuple of them in the order of `run`.

    This is the only entry point, because the whole kernel is optimised again for each entry point. `ints` and
    `reals` are the addresses of the types that elements must have. Returns 0, or the position, from 1, of the
    first pack that has an array of another kind; in this case nothing is computed.
    """
    wrong = first_unlike(packs, ints, reals)
    if wrong == 0:
        run(
            mode, opened(packs, 0), opened(packs, 1), opened(packs, 2), opened(packs, 3), opened(packs, 4),
            opened(packs, 5), first, last, accounting, networks, opened(packs, 6), opened(packs, 7),
            opened(packs, 8), opened(packs, 9), opened(packs, 10),
        )  # fmt: skip
    return wrong
