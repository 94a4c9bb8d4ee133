"""Capacity, vector accesses, energy, bandwidth and cycles (model-spec 12.4, 13, 14)."""

import math

from sparsim.kernels.jit import kernel
from sparsim.packs import (
    ACTIVE,
    BAD_CAPACITY,
    BAD_INSTANCES,
    BAD_METADATA_CAPACITY,
    BAD_UTILIZATION,
    BLOCK,
    CLUSTER,
    COMPRESS,
    DATA_ACTIONS,
    DECOMPRESS,
    FILL,
    GATED,
    HAS_FORMAT,
    METADATA,
    METADATA_ACTIONS,
    METADATA_BITS,
    METADATA_WIDTH,
    MIN_WORDS,
    N_ACTIONS,
    N_RANKS,
    OK,
    PAYLOAD,
    RANDOM,
    RANK_METADATA_BITS,
    RANK_PAYLOAD_BITS,
    READ,
    READ_BW,
    SHARED_BW,
    SIZE,
    UPDATE,
    WORD_BITS,
    WRITE_BW,
)

READ_WORDS, WRITE_WORDS, FORMAT_READ_BITS, FORMAT_WRITE_BITS = 0, 1, 2, 3


@kernel
def check_capacity(arch, policy, nest, sparse):
    """Whether every level holds its tiles and has the instances that the mapping uses (12.4, 13.2)."""
    n_levels, n_data = nest.tile.shape
    for s in range(n_levels):
        words, bits = 0.0, 0.0
        for v in range(n_data):
            if nest.kept[s, v]:
                words += sparse.capacity[s, v]
                if policy.format[s, v, HAS_FORMAT]:
                    bits += capacity_bits(policy, sparse, s, v)
        nest.info[0] = s
        if arch.limit[s, SIZE] >= 0.0:
            if words > arch.limit[s, SIZE]:
                nest.info[2], nest.info[3] = words, arch.limit[s, SIZE]
                return BAD_CAPACITY
            if bits > arch.limit[s, METADATA_BITS]:
                nest.info[2], nest.info[3] = bits, arch.limit[s, METADATA_BITS]
                return BAD_METADATA_CAPACITY
            if words < arch.limit[s, MIN_WORDS]:
                nest.info[2], nest.info[3] = words, arch.limit[s, MIN_WORDS]
                return BAD_UTILIZATION
    for h in range(n_levels + 1):
        nest.info[0] = h - 1
        for v in range(n_data):
            if h > 0 and not nest.kept[h - 1, v]:
                continue
            x, y = sparse.space[h, v, 0], sparse.space[h, v, 1]
            used = sparse.avg[h, v] if h > 0 else float(x * y)
            if x > arch.mesh[h, 0] or y > arch.mesh[h, 1] or used > arch.mesh[h, 2]:
                nest.info[1], nest.info[2], nest.info[3] = x, y, h
                return BAD_INSTANCES
    return OK


@kernel
def capacity_bits(policy, sparse, s, v):
    """Format bits of the fullest tile (13.1)."""
    bits = 0.0
    for r in range(policy.format[s, v, N_RANKS]):
        bits += sparse.capacity_units[s, v, r, METADATA] * policy.rank[s, v, r, RANK_METADATA_BITS]
        bits += sparse.capacity_units[s, v, r, PAYLOAD] * policy.rank[s, v, r, RANK_PAYLOAD_BITS]
    return math.ceil(bits)


@kernel
def format_bits(arch, policy, sparse, s, v, a, o):
    """Bits of the format words of one action; 0 where the level has no metadata storage."""
    bits = 0
    if arch.width[s, METADATA_WIDTH] > 0:
        for r in range(policy.format[s, v, N_RANKS]):
            bits += sparse.format[s, v, a, o, r, METADATA] * policy.rank[s, v, r, RANK_METADATA_BITS]
            bits += sparse.format[s, v, a, o, r, PAYLOAD] * policy.rank[s, v, r, RANK_PAYLOAD_BITS]
    return bits


@kernel
def _access_energy(arch, policy, sparse, cost, s, v):
    """Fill vector and words; returns the energy of one cluster's accesses in pJ (14.1, 14.2)."""
    vector, words, block = cost.vector[s, v], cost.words[s, v], arch.width[s, BLOCK]
    words[:] = 0.0
    for o in range(3):
        for a in range(3):
            count = sparse.count[s, v, a, o]
            vector[DATA_ACTIONS + 3 * o + a] = 0.0
            if count != 0:
                vector[DATA_ACTIONS + 3 * o + a] = (count + block - 1) // block * sparse.ratio[s, v]
            if o == RANDOM or o == GATED:
                words[READ_WORDS if a == READ else WRITE_WORDS] += count
    coded = policy.switch[ACTIVE] and policy.format[s, v, HAS_FORMAT]
    for a in range(3):
        for o in range(3):
            i = METADATA_ACTIONS + 3 * a + o
            vector[i] = 0.0
            if coded:
                bits = format_bits(arch, policy, sparse, s, v, a, o)
                if bits > 0:
                    vector[i] = math.ceil(bits / arch.width[s, METADATA_WIDTH])
                if o == RANDOM or o == GATED:
                    words[FORMAT_READ_BITS if a == READ else FORMAT_WRITE_BITS] += bits
    vector[DECOMPRESS], vector[COMPRESS] = sparse.coded[s, v, 0], sparse.coded[s, v, 1]
    energy = 0.0
    for i in range(N_ACTIONS):
        energy += vector[i] * arch.energy[s, i]
    return energy


@kernel
def level_costs(arch, layer, policy, nest, sparse, cost):
    """Energy of every storage level and of the computes; words moved (14.1, 14.2)."""
    n_levels, n_data = nest.tile.shape
    cost.level_pj[0] = 0.0
    for o in range(3):
        cost.level_pj[0] += sparse.compute[o] * arch.compute_energy[o]
    for s in range(n_levels):
        level = 0.0
        for v in range(n_data):
            cost.energy[s, v] = 0.0
            cost.clusters[s, v] = 0
            if not nest.kept[s, v]:
                continue
            instances = sparse.space[s + 1, v, 0] * sparse.space[s + 1, v, 1]
            clusters = min(instances, arch.mesh[s + 1, 2] // arch.width[s, CLUSTER])
            cost.clusters[s, v] = clusters
            energy = _access_energy(arch, policy, sparse, cost, s, v)
            if sparse.avg[s + 1, v] > 0.0:
                cost.energy[s, v] = energy / (instances / clusters)
            level += cost.energy[s, v] * sparse.avg[s + 1, v]
            level += address_generations(layer, sparse, s, v) * arch.addr_gen[s] * clusters
        cost.level_pj[s + 1] = level


@kernel
def address_generations(layer, sparse, s, v):
    """Addresses per cluster: skipped accesses need none (14.2)."""
    a = UPDATE if layer.read_write[v] else READ
    n = sparse.count[s, v, a, RANDOM] + sparse.count[s, v, a, GATED]
    return n + sparse.count[s, v, FILL, RANDOM] + sparse.count[s, v, FILL, GATED]


@kernel
def words_demanded(arch, sparse, cost, s, v):
    """(words read, words written) per instance, on average over the utilised ones (14.3)."""
    word_bits = arch.width[s, WORD_BITS]
    words = cost.words[s, v]
    read = words[READ_WORDS] + words[FORMAT_READ_BITS] // word_bits
    write = words[WRITE_WORDS] + words[FORMAT_WRITE_BITS] // word_bits
    spread = sparse.space[s + 1, v, 0] * sparse.space[s + 1, v, 1] / sparse.avg[s + 1, v]
    return math.ceil(read / spread), math.ceil(write / spread)


@kernel
def level_cycles(arch, nest, sparse, cost):
    """Cycles of the computes and of every level under its bandwidth limits (12.4, 14.3)."""
    n_levels, n_data = nest.tile.shape
    busy = float(sparse.compute[RANDOM] + sparse.compute[GATED])
    compute_cycles = math.ceil(busy / sparse.compute_avg[0])
    cost.cycles[0] = int(compute_cycles)
    for s in range(n_levels):
        slowdown = 1.0
        if compute_cycles > 0.0:
            read, write = 0.0, 0.0
            for v in range(n_data):
                if nest.kept[s, v] and sparse.avg[s + 1, v] > 0.0:
                    r, w = words_demanded(arch, sparse, cost, s, v)
                    read += r / compute_cycles
                    write += w / compute_cycles
            slowdown = _throttle(slowdown, arch.limit[s, READ_BW], read)
            slowdown = _throttle(slowdown, arch.limit[s, WRITE_BW], write)
            slowdown = _throttle(slowdown, arch.limit[s, SHARED_BW], write + read)
        cost.slowdown[s] = slowdown
        cost.cycles[s + 1] = int(math.ceil(compute_cycles / slowdown))


@kernel
def _throttle(slowdown, limit, demand):
    if 0.0 <= limit < demand:
        return min(slowdown, limit / demand)
    return slowdown
