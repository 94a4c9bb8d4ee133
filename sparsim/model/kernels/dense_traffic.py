"""Dense traffic: what every level delivers to the next, and the counts that follow (model 7).

Densities are not used in this module. All numbers are for the instance at spatial coordinate 0.
"""

import math

from sparsim.model import arrays as k
from sparsim.model.kernels.distributed_multicast import distribute
from sparsim.model.kernels.imperfect_factors import cut_short
from sparsim.model.kernels.jit import kernel
from sparsim.model.kernels.temporal_walk import count_events, deliver_walk


@kernel
def dense_traffic(arch, layer, flags, accounting, want_hops, nest):
    """Compute buckets, content, shares, bypass and peers, then reads, fills and updates of every level and
    dataspace.
    """
    for v in range(nest.tile.shape[1]):
        _deliver_plain(arch, layer, flags, nest, v)
        if want_hops or not layer.plain[v] or _may_reload(flags, nest, v):
            for s in range(nest.tile.shape[0]):
                status = _deliver_exact(arch, layer, flags, accounting, want_hops, nest, s, v)
                if status != k.OK:
                    return status
        _share(nest, v)
        status = distribute(arch, layer, want_hops, nest, v)
        if status != k.OK:
            return status
        _bypass(nest, v)
        _peers(nest, v)
        if layer.cut[0]:
            cut_short(layer, flags, nest, v)
        status = _count(layer, accounting, nest, v)
        if status != k.OK:
            return status
    return k.OK


@kernel
def _may_reload(flags, nest, v):
    """Whether children may receive words that they or neighbours already hold: compute units, or levels
    without reuse.
    """
    if nest.fanout[0, v] > 1:
        return True
    for s in range(flags.shape[0]):
        if flags[s, k.NO_REUSE] >> v & 1:
            return True
    return False


@kernel
def _deliver_plain(arch, layer, flags, nest, v):
    """Compute one bucket per level, and partitions (model 7.5), which is sufficient where tiles never
    overlap.

    The words that one child receives are not multiplied by temporal loops inside the first relevant one, and
    by all loops from there on (model 7.3). One walk over the loops, from the outermost inward, serves all
    levels.
    """
    loops, real, first_real, tile, part = nest.loop, nest.real, nest.first_real, nest.tile, nest.part
    flow, bucket, n_bucket, fanout, tiling = nest.flow, nest.bucket, nest.n_bucket, nest.fanout, arch.tiling
    relevant, outside, last = (
        layer.relevant[v],
        nest.outside,
        nest.ops[k.N_REAL],
    )  # last relevant loop in time
    part[tile.shape[0] - 1, v] = tile[tile.shape[0] - 1, v]
    children, groups = 1, 1
    for t in range(tiling.shape[0] - 1, -1, -1):
        s = tiling[t, k.TILING_LEVEL]
        if tiling[t, k.IS_SPATIAL]:
            for i in range(first_real[t], first_real[t + 1]):
                loop = loops[real[i]]
                children *= loop[k.BOUND]
                groups *= loop[k.BOUND] if relevant >> loop[k.DIM] & 1 else 1
        else:
            for i in range(first_real[t + 1] - 1, first_real[t] - 1, -1):
                last = i if relevant >> loops[real[i], k.DIM] & 1 else last
        if t > arch.first_tiling[s]:
            continue
        # all loops inside level s have been visited
        reuse = s > 0 and flags[s - 1, k.NO_REUSE] >> v & 1 == 0
        words = outside[last if reuse else first_real[t]] * (tile[s - 1, v] if s > 0 else 1)
        if flags[s, k.NO_MULTICAST] >> v & 1:
            groups = children
        bucket[s, v, 0, k.B_MULTICAST], bucket[s, v, 0, k.B_SCATTER] = 1.0, groups
        if groups < children:
            bucket[s, v, 0, k.B_MULTICAST] = children // groups
        bucket[s, v, 0, k.B_ACCESSES], bucket[s, v, 0, k.B_HOPS] = groups * words, 0.0
        n_bucket[s, v], fanout[s, v] = 1, children
        flow[s, v, k.CONTENT], flow[s, v, k.LINK], flow[s, v, k.PEER] = groups * words, 0.0, 0.0
        if s > 0:
            part[s - 1, v] = part[s, v]
            if children > 1:
                part[s - 1, v] = part[s, v] * tile[s - 1, v] // nest.box[first_real[t + 1], v]
        children, groups = 1, 1


@kernel
def _deliver_exact(arch, layer, flags, accounting, want_hops, nest, s, v):
    """Replace the single bucket of level s where tiles overlap, neighbours help, or hops are asked for."""
    reuse = s > 0 and flags[s - 1, k.NO_REUSE] >> v & 1 == 0
    rests = accounting == k.TIMELOOP_4
    if nest.fanout[s, v] > 1 and (want_hops or not layer.plain[v] or not reuse):
        alone = flags[s, k.NO_MULTICAST] >> v & 1 == 1
        return deliver_walk(arch, layer, flags, nest, s, v, reuse, rests, alone)
    if reuse and not layer.plain[v]:
        words = count_events(layer, nest, s, v, reuse, rests)
        nest.bucket[s, v, 0, k.B_ACCESSES] = words
        nest.flow[s, v, k.CONTENT] = words
    return k.OK


@kernel
def _share(nest, v):
    """Words that arrive per instance, from the direct outer neighbour and before bypassing (model 7.6).

    Every bucket is divided separately, as in the reference. The sum may therefore be slightly below a whole
    number by rounding, and truncated fills of operands one word fewer.
    """
    flow, bucket, n_bucket, fanout = nest.flow, nest.bucket, nest.n_bucket, nest.fanout
    top = flow.shape[0] - 1
    flow[top, v, k.SHARE] = 0.0
    for s in range(top):
        share = 0.0
        for i in range(n_bucket[s + 1, v]):
            received = bucket[s + 1, v, i, k.B_ACCESSES] * bucket[s + 1, v, i, k.B_MULTICAST]
            share += received / fanout[s + 1, v]
        flow[s, v, k.SHARE] = share


@kernel
def _received(bucket, n, s, v):
    """Words that all children of level s receive, a multicast counted once per receiver."""
    received = 0.0
    for i in range(n):
        received += bucket[s, v, i, k.B_ACCESSES] * bucket[s, v, i, k.B_MULTICAST]
    return received


@kernel
def _bypass(nest, v):
    """Assign the traffic of levels that do not keep `v` to the next outer one (model 7.8)."""
    kept, flow, part, bucket = nest.kept, nest.flow, nest.part, nest.bucket
    n_bucket, fanout = nest.n_bucket, nest.fanout
    n_levels = flow.shape[0]
    outermost = 0
    for s in range(n_levels):
        if kept[s, v]:
            outermost = s
            continue
        if s + 1 < n_levels:
            received = _received(bucket, n_bucket[s + 1, v], s + 1, v)
            scale = flow[s, v, k.CONTENT] * fanout[s + 1, v] / received
            content = 0.0
            for i in range(n_bucket[s + 1, v]):
                bucket[s + 1, v, i, k.B_ACCESSES] *= scale
                content += bucket[s + 1, v, i, k.B_ACCESSES]
            flow[s + 1, v, k.LINK] = 0.0
            flow[s + 1, v, k.CONTENT] = content
        part[s, v] = 0
        flow[s, v, k.CONTENT] = 0.0
        flow[s, v, k.SHARE] = 0.0
    for s in range(outermost + 1, n_levels):
        n_bucket[s, v] = 0
        fanout[s, v] = 0
        flow[s, v, k.LINK] = 0.0
    flow[outermost, v, k.SHARE] = 0.0


@kernel
def _peers(nest, v):
    """Count reads of neighbours' copies at the neighbours, and fills at the receivers (model 7.9)."""
    flow, space = nest.flow, nest.space
    for s in range(flow.shape[0] - 1, 0, -1):
        if flow[s, v, k.LINK] != 0.0:
            instances = space[s, k.X] * space[s, k.Y]  # of storage s - 1
            flow[s - 1, v, k.PEER] += flow[s, v, k.LINK] / instances


@kernel
def _half_away(x):
    """C's `round`, also of negative halves."""
    whole = math.floor(abs(x) + 0.5)
    return int(whole if x >= 0.0 else -whole)


@kernel
def _count(layer, accounting, nest, v):
    """Reads, fills, updates and temporal reductions (model 7.10)."""
    kept, flow, count, kin = nest.kept, nest.flow, nest.counts, nest.kin
    writes = layer.read_write[v] == 1
    for s in range(flow.shape[0]):
        reads, fills, updates, drains = 0, 0, 0, 0
        if kept[s, v]:
            content, arriving = flow[s, v, k.CONTENT], flow[s, v, k.SHARE] + flow[s, v, k.PEER]
            peer, part = flow[s, v, k.PEER], float(nest.part[s, v])
            if not content + arriving <= k.MAX_COUNT:  # also nan
                nest.info[0], nest.info[1], nest.info[2] = s, v, content + arriving
                return k.BAD_COUNT
            if not writes:
                reads, fills = _half_away(content + peer), int(arriving)
            else:
                first = 0.0 if accounting == k.COUNT_ALL else part
                updates, reads = _half_away(content), _half_away(content + peer - first)
                if kin[s, v, k.PARENT] < 0 or accounting == k.COUNT_ALL:
                    fills = _half_away(arriving)
                elif accounting in k.FREE_FIRST_FILL:
                    fills = _half_away(arriving - part)
                else:
                    fills = int(arriving)
                if accounting == k.COUNT_DRAINS and kin[s, v, k.PARENT] >= 0:
                    drains = _half_away(content + peer - first + flow[s, v, k.SHARE]) - reads
        count[s, v, k.REDUCE], count[s, v, k.DRAIN] = reads if writes else 0, drains
        reads += drains
        count[s, v, k.READ], count[s, v, k.FILL], count[s, v, k.UPDATE] = reads, fills, updates
        if fills < 0 or reads < 0:
            nest.info[0], nest.info[1], nest.info[2] = s, v, min(fills, reads)
            return k.BAD_NEGATIVE_FILLS
    return k.OK
