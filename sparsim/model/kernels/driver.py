"""The stages in order (model 1.3): nest -> density -> cost; one mapping, many, or one fixed network."""

import numpy as np

from sparsim.model.arrays import (
    ACTIVE,
    ANY_SPATIAL,
    BAD_TOTAL,
    GATED,
    MAX_COUNT,
    OK,
    OPS,
    RANDOM,
    REDUCE,
    SKIPPED,
    UNITS,
    DensityPack,
    LayerPack,
    NestPack,
)
from sparsim.model.kernels.dense_traffic import dense_traffic
from sparsim.model.kernels.energy_and_cycles import check_capacity, level_costs, level_cycles
from sparsim.model.kernels.format_ranks import check_formats, match_ranks
from sparsim.model.kernels.gating_and_skipping import (
    choose_entries,
    count_coding,
    format_counts,
    propagate,
    split_computes,
    take_counted,
)
from sparsim.model.kernels.jit import entry, inlined
from sparsim.model.kernels.leader_tiles import find_leaders
from sparsim.model.kernels.loop_nest import build_nest, check_instances
from sparsim.model.kernels.network_energy import network_energy
from sparsim.model.kernels.pack_pointers import by_pointer
from sparsim.model.kernels.spatial_skipping import spatial_skipping
from sparsim.model.kernels.tile_formats import tile_statistics


@inlined
def _analyse(arch, layer, policy, mapping, b, accounting, want_hops, nest):
    """Everything about mapping `b` that does not depend on densities. Returns a status."""
    flags = mapping.flags[b]
    status = build_nest(arch, layer, mapping.factor[b], mapping.order[b], mapping.split[b], flags, nest)
    if status == OK and not policy.switch[ANY_SPATIAL]:
        status = check_instances(arch, nest)
    if status == OK and policy.switch[ACTIVE]:
        status = check_formats(arch, layer, policy, nest)
    if status == OK:
        status = dense_traffic(arch, layer, flags, accounting, want_hops, nest)
    if status == OK and policy.switch[ACTIVE]:
        status = match_ranks(arch, layer, policy, nest)
        if status == OK:
            status = find_leaders(arch, layer, policy, nest)
    return status


@inlined
def _everything_actual(nest, sparse):
    """Without sparse processing all dense counts happen."""
    kept, dense, count, space, avg = nest.kept, nest.counts, sparse.counts, sparse.space, sparse.avg
    for v in range(kept.shape[1]):
        for h in range(space.shape[0]):
            x, y = nest.space[h, 0], nest.space[h, 1]
            space[h, v, 0], space[h, v, 1], avg[h, v] = x, y, float(x * y)
        for s in range(kept.shape[0]):
            if not kept[s, v]:
                continue
            sparse.rho[s, v], sparse.ratio[s, v] = 1.0, 1.0
            sparse.capacity[s, v] = nest.tile[s, v]
            sparse.reductions[s, v] = dense[s, v, REDUCE]
            for a in range(3):
                count[s, v, a, RANDOM] = dense[s, v, a]
                count[s, v, a, GATED], count[s, v, a, SKIPPED] = 0, 0
    sparse.compute[RANDOM], sparse.compute[GATED], sparse.compute[SKIPPED] = nest.ops[OPS], 0, 0
    sparse.compute_avg[0] = nest.ops[UNITS]


@inlined
def apply_densities(arch, layer, density, policy, table, nest, sparse):
    """What densities make of the nest. Returns a status."""
    if not policy.switch[ACTIVE]:
        _everything_actual(nest, sparse)
        return OK
    status = tile_statistics(arch, layer, density, policy, table, nest, sparse)
    if status != OK:
        return status
    choose_entries(arch, layer, density, policy, table, nest, sparse)
    status = spatial_skipping(arch, layer, density, policy, table, nest, sparse)
    if status != OK or table.probe[0]:
        return status
    status = format_counts(layer, policy, nest, sparse)
    if status != OK:
        return status
    status, computes, left_out_a, left_out_b = propagate(layer, policy, table, nest, sparse)
    if status != OK:
        return status
    take_counted(layer, policy, table, nest, sparse)
    count_coding(layer, policy, nest, sparse)
    return split_computes(layer, density, policy, table, nest, sparse, computes, left_out_a, left_out_b)


@inlined
def add_cost(arch, layer, policy, networks, nest, sparse, cost):
    """Capacity, energy and cycles; cost.total := (pJ, cycles). Returns a status."""
    status = check_capacity(arch, policy, nest, sparse)
    if status != OK:
        return status
    level_costs(arch, layer, policy, nest, sparse, cost)
    level_cycles(arch, nest, sparse, cost)
    energy, cycles, good = 0.0, 0, sparse.compute[RANDOM] >= 0
    for h in range(cost.level_pj.shape[0]):
        good = good and cost.level_pj[h] >= 0.0 and cost.cycles[h] >= 0
        energy += cost.level_pj[h]
        cycles = max(cycles, cost.cycles[h])
    if networks:
        energy = network_energy(arch, layer, nest, cost, energy)
    cost.total[0], cost.total[1] = energy, float(cycles + arch.latency)
    if not good or not 0.0 <= energy < np.inf or cost.total[1] > MAX_COUNT:
        nest.info[0], nest.info[2], nest.info[3] = 0, energy, cost.total[1]
        return BAD_TOTAL
    return OK


@entry
def analyse_one(arch, layer, policy, mapping, b, accounting, want_hops, nest):
    """Entry: mapping `b` up to where densities come in. Returns a status."""
    return _analyse(
        by_pointer(arch), by_pointer(layer), by_pointer(policy), by_pointer(mapping), b, accounting,
        want_hops, by_pointer(nest),
    )  # fmt: skip


@entry
def finish_one(arch, layer, density, policy, table, networks, nest, sparse, cost):
    """Entry: an analysed nest to the end. `networks`: whether to count them. Returns a status."""
    return _finish(
        by_pointer(arch), by_pointer(layer), by_pointer(density), by_pointer(policy), by_pointer(table),
        networks, by_pointer(nest), by_pointer(sparse), by_pointer(cost),
    )  # fmt: skip


@inlined
def _finish(arch, layer, density, policy, table, networks, nest, sparse, cost):
    status = apply_densities(arch, layer, density, policy, table, nest, sparse)
    if status == OK and not table.probe[0]:
        status = add_cost(arch, layer, policy, networks, nest, sparse, cost)
    return status


@entry
def run_batch(
    arch, layer, density, policy, table, mapping, first, last, accounting, networks, nest, sparse, cost, out
):
    """Entry: mappings first..last-1; out[b] := (pJ, cycles, status). `networks`: whether to count them."""
    a, y, d, p, t = (
        by_pointer(arch), by_pointer(layer), by_pointer(density), by_pointer(policy), by_pointer(table),
    )  # fmt: skip
    m, n, s, c = by_pointer(mapping), by_pointer(nest), by_pointer(sparse), by_pointer(cost)
    for b in range(first, last):
        status = _analyse(a, y, p, m, b, accounting, networks, n)
        if status == OK:
            status = _finish(a, y, d, p, t, networks, n, s, c)
        out[b, 2] = status
        if status == OK:
            out[b, 0], out[b, 1] = cost.total[0], cost.total[1]


@entry
def run_frozen(arch, layers, densities, policy, table, networks, nests, sparse, cost, out):
    """Entry: analysed nests of N layers; out[i] := (pJ, cycles, status, pJ of every hardware level)."""
    a, p, t, s, c = (
        by_pointer(arch), by_pointer(policy), by_pointer(table), by_pointer(sparse), by_pointer(cost),
    )  # fmt: skip
    for i in range(out.shape[0]):
        layer = by_pointer(_pick_layer(layers, i))
        density = by_pointer(DensityPack(densities.kind[i], densities.density[i]))
        status = _finish(a, layer, density, p, t, networks, by_pointer(_pick_nest(nests, i)), s, c)
        out[i, 2] = status
        if status == OK:
            out[i, 0], out[i, 1] = cost.total[0], cost.total[1]
            for h in range(cost.level_pj.shape[0]):
                out[i, 3 + h] = cost.level_pj[h]


@inlined
def _pick_layer(layers, i):
    """Row i of a LayerPack whose arrays have a leading axis N."""
    return LayerPack(
        layers.bound[i], layers.term[i], layers.side[i], layers.relevant[i], layers.plain[i],
        layers.read_write[i], layers.words[i], layers.operand[i], layers.real[i], layers.cut[i],
    )  # fmt: skip


@inlined
def _pick_nest(nests, i):
    """Row i of a NestPack whose arrays have a leading axis N."""
    return NestPack(
        nests.loop[i], nests.real[i], nests.box[i], nests.space[i], nests.tile[i], nests.kept[i],
        nests.kin[i], nests.part[i], nests.flow[i], nests.bucket[i], nests.n_bucket[i],
        nests.remote[i], nests.fanout[i],
        nests.counts[i], nests.ops[i], nests.fiber[i], nests.taken[i], nests.sub[i], nests.sub_loop[i],
        nests.lead[i],
        nests.lead_words[i], nests.lead_box[i], nests.lead_loop[i], nests.base_box[i], nests.ext[i],
        nests.info[i],
        nests.key[i], nests.order[i], nests.served[i], nests.span[i], nests.walk[i], nests.shift[i],
        nests.group[i],
    )  # fmt: skip
