"""Capacity, energy and demand of levels for mappings that are evaluated side by side (model 13, 14)."""

import numpy as np

from sparsim.model import arrays as k
from sparsim.model.kernels.dense_lanes import UNSETTLED, checked, fill_lanes
from sparsim.model.kernels.jit import kernel


@kernel
def hold(arch, policy, nest, s, lane):
    """Require that level s holds its tiles and their format, and that they fill enough of it (model 13.1)."""
    status, held, bits, limit = lane.status, lane.held[s], lane.bits[s], arch.limit[s]
    if limit[k.SIZE] >= 0.0:
        for j in range(k.LANES):
            status[j] = checked(status[j], held[j] <= limit[k.SIZE], k.BAD_CAPACITY)
            status[j] = checked(status[j], bits[j] <= limit[k.METADATA_BITS], k.BAD_METADATA_CAPACITY)
            status[j] = checked(status[j], held[j] >= limit[k.MIN_WORDS], k.BAD_UTILIZATION)


@kernel
def add_level(arch, layer, policy, nest, sparse, s, lane):
    """Add the energy of level s, and fill its accesses and its demand (model 14.1 to 14.3, 16.5)."""
    level, accesses, read, write = lane.rows[5], lane.accesses[s], lane.times, lane.nearest
    x, y, compute, word_bits = lane.space[s + 1, k.X], lane.space[s + 1, k.Y], lane.compute, arch.width[s, 0]
    address = arch.addr_gen[s]
    most = float(arch.mesh[s + 1, k.INSTANCES] // arch.width[s, k.CLUSTER])
    energy, moved, filled = lane.rows[0], lane.rows[1], lane.rows[2]
    read_bits, write_bits = lane.rows[3], lane.rows[4]
    fill_lanes(level, 0.0)
    fill_lanes(accesses, 0.0)
    fill_lanes(read, 0.0)
    fill_lanes(write, 0.0)
    for v in range(nest.kept.shape[1]):
        if not nest.kept[s, v]:
            continue
        for row in range(5):
            fill_lanes(lane.rows[row], 0.0)
        for o in range(3):
            if o == k.RANDOM or o == sparse.saf[s, v]:
                _data_energy(arch, s, v, o, lane)
        if policy.format[s, v, k.HAS_FORMAT] and arch.width[s, k.METADATA_WIDTH] > 0:
            for a in range(3):
                for o in range(3):
                    if o == k.RANDOM or (o == sparse.saf[s, v] and a != k.FILL):
                        _format_energy(arch, policy, s, v, a, o, lane)
        _coding_energy(arch, layer, policy, nest, s, v, lane)
        avg, fills = lane.avg[s, v], lane.actual[s, v, k.FILL, k.RANDOM]
        reads, dense_fills, updates = lane.counts[s, v, 0], lane.counts[s, v, 1], lane.counts[s, v, 2]
        writes = layer.read_write[v] == 1
        for j in range(k.LANES):
            instances = x[j] * y[j]
            clusters = instances if instances < most else most
            used = avg[j] > 0.0
            each = energy[j] / (instances / clusters) if used else 0.0
            tensor = each * avg[j]
            if address > 0.0:
                addresses = filled[j] if writes else moved[j] + fills[j]
                tensor += addresses * address * clusters
            level[j] += tensor
            accesses[j] += np.floor(avg[j] * (reads[j] + dense_fills[j] + updates[j]))
            spread = instances / avg[j] if used else 1.0
            r, w = (
                moved[j] + np.floor(read_bits[j] / word_bits),
                filled[j] + np.floor(write_bits[j] / word_bits),
            )
            read[j] += np.ceil(r / spread) / compute[j] if used else 0.0
            write[j] += np.ceil(w / spread) / compute[j] if used else 0.0
            good = read_bits[j] <= k.MAX_COUNT and write_bits[j] <= k.MAX_COUNT
            lane.status[j] = checked(lane.status[j], good, UNSETTLED)
    for j in range(k.LANES):
        lane.status[j] = checked(lane.status[j], level[j] >= 0.0, UNSETTLED)
        lane.energy[j] += level[j]


@kernel
def _data_energy(arch, s, v, o, lane):
    """Add the energy of outcome o to row 0, and the words read and written to rows 1 and 2, unless they are
    skipped.
    """
    block, ratio = float(arch.width[s, k.BLOCK]), lane.ratio[s, v]
    moves = 1.0 if o != k.SKIPPED else 0.0
    for a in range(3):
        if a == k.FILL and o != k.RANDOM:
            continue
        words, price = lane.actual[s, v, a, o], arch.energy[s, k.DATA_ACTIONS + 3 * o + a]
        energy, moved = lane.rows[0], lane.rows[1] if a == k.READ else lane.rows[2]
        for j in range(k.LANES):
            energy[j] += np.ceil(words[j] / block) * ratio[j] * price
            moved[j] += words[j] * moves


@kernel
def _format_energy(arch, policy, s, v, a, o, lane):
    """Add the energy of the format words of one action to row 0, and their bits to row 3 or 4, unless they
    are skipped.
    """
    price, width = arch.energy[s, k.METADATA_ACTIONS + 3 * a + o], float(arch.width[s, k.METADATA_WIDTH])
    bits, energy, moved = lane.none[0], lane.rows[0], lane.rows[3] if a == k.READ else lane.rows[4]
    moves = 1.0 if o != k.SKIPPED else 0.0
    fill_lanes(bits, 0.0)
    for r in range(policy.format[s, v, k.N_RANKS]):
        for u in range(2):
            words, size = lane.format[s, v, a, o, r, u], float(policy.rank[s, v, r, k.RANK_METADATA_BITS + u])
            for j in range(k.LANES):
                bits[j] += words[j] * size
    for j in range(k.LANES):
        energy[j] += np.ceil(bits[j] / width) * price
        moved[j] += bits[j] * moves


@kernel
def _coding_energy(arch, layer, policy, nest, s, v, lane):
    """Add the energy of words that pass a decompressor or a compressor to row 0 (model 11.5)."""
    energy, parent = lane.rows[0], nest.kin[s, v, k.PARENT]
    if parent < 0 or policy.format[s, v, k.IS_COMPRESSED] or not policy.format[parent, v, k.IS_COMPRESSED]:
        return
    fills, updates = lane.actual[s, v, k.FILL, k.RANDOM], lane.actual[parent, v, k.UPDATE, k.RANDOM]
    compress = arch.energy[s, k.COMPRESS] if layer.read_write[v] else 0.0
    for j in range(k.LANES):
        energy[j] += fills[j] * arch.energy[s, k.DECOMPRESS]
        energy[j] += updates[j] * compress
