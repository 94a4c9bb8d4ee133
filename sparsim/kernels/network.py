"""Energy of the networks between levels (model-spec 15.2). Sparsity does not change their traffic."""

import math

from sparsim.kernels.jit import kernel
from sparsim.packs import (
    B_ACCESSES,
    B_HOPS,
    CAN_REDUCE,
    HOP_PJ,
    INGRESS_PJ,
    LINK,
    ROUTER_PJ,
)


@kernel
def bucket_ingress(arch, layer, nest, s, v, i):
    """Words of bucket i that enter the network; results travel both ways where the level cannot add."""
    accesses = nest.bucket[s, v, i, B_ACCESSES]
    if layer.read_write[v] and not arch.support[s, CAN_REDUCE]:
        return 2.0 * accesses - nest.part[s, v]
    return accesses


@kernel
def network_energy(arch, layer, nest, cost):
    """Fill network_pj; returns the energy of all networks and instances in pJ."""
    total = 0.0
    for s in range(nest.tile.shape[0]):
        instances = nest.space[s + 1, 0] * nest.space[s + 1, 1]
        hop, router, ingress_pj = arch.wire[s, HOP_PJ], arch.wire[s, ROUTER_PJ], arch.wire[s, INGRESS_PJ]
        for v in range(nest.tile.shape[1]):
            hops, ingresses, routers = 0.0, 0.0, 0.0
            for i in range(nest.n_bucket[s, v]):
                ingress = bucket_ingress(arch, layer, nest, s, v, i)
                ingresses += ingress
                if ingress > 0.0:
                    hops += nest.bucket[s, v, i, B_HOPS]
                    routers = math.floor(
                        routers + (1.0 + math.floor(nest.bucket[s, v, i, B_HOPS] / ingress)) * ingress
                    )
            cost.network_pj[s, v, 0] = hops * hop + routers * router + ingresses * ingress_pj
            cost.network_pj[s, v, 1] = nest.flow[s, v, LINK] * (hop + 2.0 * router)
            total += (cost.network_pj[s, v, 0] + cost.network_pj[s, v, 1]) * instances
    return total
