"""Distributed multicast under M:N networks: instances pass received words on to each other (model 7.7)."""

from sparsim.model import arrays as k
from sparsim.model.kernels.jit import kernel
from sparsim.model.kernels.multicast import place_children


@kernel
def distribute(arch, layer, want_hops, nest, v):
    """Turn multicasts of the outer level into scatters, after which each word travels on from the instance
    that received it. This is done once, innermost first.
    """
    bucket, n_bucket, remote, flow, part = nest.bucket, nest.n_bucket, nest.remote, nest.flow, nest.part
    for s in range(part.shape[0]):
        remote[s, v, k.B_ACCESSES] = 0.0
    for s in range(part.shape[0] - 1):
        if not arch.support[s, k.DISTRIBUTES]:
            continue
        outer = s + 1
        if n_bucket[s, v] != 1 or n_bucket[outer, v] != 1:
            nest.info[0], nest.info[1] = s, v
            return k.BAD_DISTRIBUTION
        size, groups = bucket[outer, v, 0, k.B_MULTICAST], bucket[outer, v, 0, k.B_SCATTER]
        if size == 1.0:
            continue
        accesses, hops = bucket[outer, v, 0, k.B_ACCESSES], bucket[outer, v, 0, k.B_HOPS]
        remote[outer, v, k.B_MULTICAST], remote[outer, v, k.B_SCATTER] = size, groups
        remote[outer, v, k.B_ACCESSES] = bucket[s, v, 0, k.B_ACCESSES]
        remote[outer, v, k.B_HOPS] = hops * bucket[s, v, 0, k.B_ACCESSES] / accesses
        bucket[outer, v, 0, k.B_MULTICAST], bucket[outer, v, 0, k.B_SCATTER] = 1.0, size * groups
        if want_hops:
            bucket[outer, v, 0, k.B_HOPS] = _unicast_hops(arch, layer, nest, outer, v) * accesses / groups
        part[s, v] = 1 + (part[s, v] - 1) // int(size)
        flow[s, v, k.CONTENT] = 1.0 + (flow[s, v, k.CONTENT] - 1.0) / size
        flow[s, v, k.SHARE] = 1.0 + (flow[s, v, k.SHARE] - 1.0) / size
        break
    return k.OK


@kernel
def _unicast_hops(arch, layer, nest, s, v):
    """Hops to every child of level s on its own."""
    children, columns, rows = place_children(arch, layer, nest, s, v)
    hops = 0.0
    for i in range(children):
        hops += i % columns + abs(i // columns - (rows - 1) / 2)
    return hops
