"""Capacity, vector accesses, energy, bandwidth and cycles (model 12.4, 13, 14)."""

import math

import numpy as np

from sparsim.model import arrays as k
from sparsim.model.kernels.jit import kernel


@kernel
def check_capacity(arch, policy, nest, sparse):
    """Whether every memory holds the tiles of its levels, and has the instances that the mapping uses (model
    12.4, 13.2).
    """
    kept, capacity, form, limit = nest.kept, sparse.capacity, policy.format, arch.limit
    space, avg, mesh = sparse.space, sparse.avg, arch.mesh
    n_levels, n_data = kept.shape[0], kept.shape[1]
    words, bits = 0.0, 0.0
    for s in range(n_levels):
        if limit[s, k.SIZE] < 0.0:
            continue
        if not arch.support[s, k.SHARES]:
            words, bits = 0.0, 0.0
        for v in range(n_data):
            if kept[s, v]:
                words += capacity[s, v]
                if form[s, v, k.HAS_FORMAT]:
                    bits += _capacity_bits(policy, sparse, s, v)
        nest.info[0], nest.info[2] = s, words
        if words > limit[s, k.SIZE]:
            nest.info[3] = limit[s, k.SIZE]
            return k.BAD_CAPACITY
        if bits > limit[s, k.METADATA_BITS]:
            nest.info[2], nest.info[3] = bits, limit[s, k.METADATA_BITS]
            return k.BAD_METADATA_CAPACITY
        if words < limit[s, k.MIN_WORDS] and not (s + 1 < n_levels and arch.support[s + 1, k.SHARES]):
            nest.info[3] = limit[s, k.MIN_WORDS]
            return k.BAD_UTILIZATION
    for h in range(n_levels + 1):
        for v in range(n_data):
            if h > 0 and not kept[h - 1, v]:
                continue
            x, y = space[h, v, k.X], space[h, v, k.Y]
            used = avg[h, v] if h > 0 else float(x * y)
            if x > mesh[h, k.X] or y > mesh[h, k.Y] or used > mesh[h, k.INSTANCES]:
                nest.info[0], nest.info[1], nest.info[2], nest.info[3] = h - 1, x, y, h
                return k.BAD_INSTANCES
    return k.OK


@kernel
def _capacity_bits(policy, sparse, s, v):
    """Format bits of the fullest tile (model 13.1)."""
    bits = 0.0
    for r in range(policy.format[s, v, k.N_RANKS]):
        bits += sparse.capacity_units[s, v, r, k.METADATA] * policy.rank[s, v, r, k.RANK_METADATA_BITS]
        bits += sparse.capacity_units[s, v, r, k.PAYLOAD] * policy.rank[s, v, r, k.RANK_PAYLOAD_BITS]
    return np.ceil(bits)


@kernel
def _format_bits(format_words, rank, ranks, s, v, a, o):
    """Bits of the format words of one action."""
    bits = 0.0
    for r in range(ranks):
        bits += float(format_words[s, v, a, o, r, k.METADATA]) * rank[s, v, r, k.RANK_METADATA_BITS]
        bits += float(format_words[s, v, a, o, r, k.PAYLOAD]) * rank[s, v, r, k.RANK_PAYLOAD_BITS]
    return bits


@kernel
def _data_energy(arch, sparse, cost, s, v):
    """Fill the data part of vector and words; returns its energy in pJ (model 14.1, 14.2)."""
    vector, words, count, price = cost.vector, cost.words, sparse.counts, arch.energy
    block, ratio = arch.width[s, k.BLOCK], sparse.ratio[s, v]
    energy, read, write = 0.0, 0.0, 0.0
    for o in range(3):
        for a in range(3):
            scalars = count[s, v, a, o]
            i = k.DATA_ACTIONS + 3 * o + a
            if scalars == 0:
                vector[s, v, i] = 0.0
                continue
            blocks = scalars if block == 1 else (scalars + block - 1) // block
            vector[s, v, i] = blocks * ratio
            energy += vector[s, v, i] * price[s, i]
            if o != k.SKIPPED:
                if a == k.READ:
                    read += scalars
                else:
                    write += scalars
    words[s, v, k.READ_WORDS], words[s, v, k.WRITE_WORDS] = read, write
    words[s, v, k.FORMAT_READ_BITS], words[s, v, k.FORMAT_WRITE_BITS] = 0.0, 0.0
    return energy


@kernel
def _format_energy(arch, policy, sparse, cost, s, v, energy):
    """Do the same for format words, which are added to `energy` one by one as in the reference, so that
    roundings agree.

    Without a metadata storage they are not counted.
    """
    vector, words, price = cost.vector, cost.words, arch.energy
    format_words, rank, ranks = sparse.format, policy.rank, policy.format[s, v, k.N_RANKS]
    width = arch.width[s, k.METADATA_WIDTH]
    for a in range(3):
        for o in range(3):
            i = k.METADATA_ACTIONS + 3 * a + o
            bits = _format_bits(format_words, rank, ranks, s, v, a, o) if width > 0 else 0.0
            vector[s, v, i] = 0.0
            if bits > 0.0:
                vector[s, v, i] = np.ceil(bits / width)
                energy += vector[s, v, i] * price[s, i]
                if o != k.SKIPPED:
                    words[s, v, k.FORMAT_READ_BITS if a == k.READ else k.FORMAT_WRITE_BITS] += bits
    return energy


@kernel
def level_costs(arch, layer, policy, nest, sparse, cost):
    """Energy of every storage level and of the computes; words moved (model 14.1, 14.2)."""
    kept, space, avg, coded = nest.kept, sparse.space, sparse.avg, sparse.coded
    energies, clusters_of, level_pj, price = cost.energy, cost.clusters, cost.level_pj, arch.energy
    n_levels, n_data = kept.shape[0], kept.shape[1]
    active = policy.switch[k.ACTIVE] == 1
    level_pj[0] = 0.0
    for o in (k.RANDOM, k.SKIPPED, k.GATED):  # the order of the reference, as everywhere in this module
        level_pj[0] += sparse.compute[o] * arch.compute_energy[o]
    for s in range(n_levels):
        level = 0.0
        for v in range(n_data):
            energies[s, v] = 0.0
            clusters_of[s, v] = 0
            if not kept[s, v]:
                continue
            instances = space[s + 1, v, k.X] * space[s + 1, v, k.Y]
            clusters = min(instances, arch.mesh[s + 1, k.INSTANCES] // arch.width[s, k.CLUSTER])
            clusters_of[s, v] = clusters
            energy = _data_energy(arch, sparse, cost, s, v)
            if active and policy.format[s, v, k.HAS_FORMAT]:
                energy = _format_energy(arch, policy, sparse, cost, s, v, energy)
            energy += coded[s, v, k.DECOMPRESSIONS] * price[s, k.DECOMPRESS]
            energy += coded[s, v, k.COMPRESSIONS] * price[s, k.COMPRESS]
            if avg[s + 1, v] > 0.0:
                energies[s, v] = energy / (instances / clusters)
            tensor = energies[s, v] * avg[s + 1, v]
            if arch.addr_gen[s] > 0.0:
                tensor += _address_generations(layer, sparse, s, v) * arch.addr_gen[s] * clusters
            level += tensor
        level_pj[s + 1] = level


@kernel
def _address_generations(layer, sparse, s, v):
    """Addresses per cluster: skipped accesses need none (model 14.2)."""
    a = k.UPDATE if layer.read_write[v] else k.READ
    n = sparse.counts[s, v, a, k.RANDOM] + sparse.counts[s, v, a, k.GATED]
    return n + sparse.counts[s, v, k.FILL, k.RANDOM] + sparse.counts[s, v, k.FILL, k.GATED]


@kernel
def level_accesses(nest, sparse, s):
    """Dense words that all instances of a level read, fill and update (model 16.5)."""
    total = 0.0
    for v in range(nest.kept.shape[1]):
        if nest.kept[s, v]:
            words = nest.counts[s, v, k.READ] + nest.counts[s, v, k.FILL] + nest.counts[s, v, k.UPDATE]
            total += math.floor(sparse.avg[s + 1, v] * words)
    return total


@kernel
def level_cycles(arch, nest, sparse, cost):
    """Cycles of the computes and of every level under its bandwidth limits (model 12.4, 14.3).

    A level's demand is that of its tensors' words per instance, on average over the utilised ones, and of the
    levels inside that share its memory.
    """
    kept, space, avg, words, limit = nest.kept, sparse.space, sparse.avg, cost.words, arch.limit
    n_levels, n_data = kept.shape[0], kept.shape[1]
    busy = float(sparse.compute[k.RANDOM] + sparse.compute[k.GATED])
    ops, steps = nest.ops[k.OPS], nest.ops[k.STEPS]
    if ops < steps * nest.ops[k.UNITS]:  # with imperfect factors, finished units wait for the fullest one
        compute_cycles = int(math.ceil(steps * (busy / ops)))
    else:
        compute_cycles = int(math.ceil(busy / sparse.compute_avg[0]))
    cost.cycles[0] = compute_cycles
    at_least = max(compute_cycles, 1)  # moving words takes time even if nothing is left to compute
    read, write = 0.0, 0.0
    for s in range(n_levels):
        slowdown = 1.0
        limited = limit[s, k.READ_BW] >= 0.0 or limit[s, k.WRITE_BW] >= 0.0 or limit[s, k.SHARED_BW] >= 0.0
        if limited:
            word_bits = float(arch.width[s, k.WORD_BITS])
            if not arch.support[s, k.SHARES]:
                read, write = 0.0, 0.0
            for v in range(n_data):
                if kept[s, v] and avg[s + 1, v] > 0.0:
                    spread = space[s + 1, v, k.X] * space[s + 1, v, k.Y] / avg[s + 1, v]
                    r = words[s, v, k.READ_WORDS] + words[s, v, k.FORMAT_READ_BITS] // word_bits
                    w = words[s, v, k.WRITE_WORDS] + words[s, v, k.FORMAT_WRITE_BITS] // word_bits
                    read += np.ceil(r / spread) / at_least
                    write += np.ceil(w / spread) / at_least
            slowdown = _throttle(slowdown, limit[s, k.READ_BW], read)
            slowdown = _throttle(slowdown, limit[s, k.WRITE_BW], write)
            slowdown = _throttle(slowdown, limit[s, k.SHARED_BW], write + read)
        cost.slowdown[s] = slowdown
        cost.cycles[s + 1] = compute_cycles if slowdown == 1.0 else _whole(at_least / slowdown)


@kernel
def _whole(cycles):
    """Round cycles up; numbers beyond exact counts become one more, which `add_cost` refuses."""
    return int(min(np.ceil(cycles), k.MAX_COUNT + 2.0))


@kernel
def _throttle(slowdown, limit, demand):
    if 0.0 <= limit < demand:
        return min(slowdown, limit / demand)
    return slowdown
