"""Energy of the networks between levels (model 15.2, 15.3). Sparsity does not change their traffic."""

import numpy as np

from sparsim.model import arrays as k
from sparsim.model.kernels.jit import kernel


@kernel
def _ingress(arch, layer, nest, s, v, accesses):
    """Words of a bucket that enter the network; results travel both ways where the level cannot add."""
    if layer.read_write[v] and not arch.support[s, k.CAN_REDUCE]:
        return 2.0 * accesses - nest.part[s, v]
    return accesses


@kernel
def _transfers(arch, layer, nest, s, v):
    """pJ of words that move in networks with names; like in the reference the largest multicast wins."""
    receivers, scatter, accesses = 0.0, 0.0, 0.0
    for i in range(nest.n_bucket[s, v]):
        bucket = nest.bucket[s, v, i]
        many, wide = bucket[k.B_MULTICAST], bucket[k.B_SCATTER]
        if bucket[k.B_ACCESSES] > 0.0 and (many > receivers or (many == receivers and wide > scatter)):
            receivers, scatter, accesses = many, wide, bucket[k.B_ACCESSES]
    energy = 0.0
    for i in range(arch.transfer.shape[0]):
        row = arch.transfer[i]
        if row[k.T_LEVEL] == s and (row[k.T_DATASPACE] == 0.0 or row[k.T_DATASPACE] == layer.number[v]):
            if row[k.T_RECEIVERS] == 0.0 or row[k.T_RECEIVERS] == receivers:
                energy += row[k.T_PJ] * accesses
    return energy


@kernel
def network_energy(arch, layer, nest, cost, total):
    """Fill network_pj; returns `total` plus the energy of every network, all instances, in pJ.

    Networks are added by name, like in the reference, so that roundings agree.
    """
    for place in range(arch.by_name.shape[0]):
        s = arch.by_name[place]
        instances = nest.space[s + 1, k.X] * nest.space[s + 1, k.Y]
        hop, router, ingress_pj = (
            arch.wire[s, k.HOP_PJ],
            arch.wire[s, k.ROUTER_PJ],
            arch.wire[s, k.INGRESS_PJ],
        )
        network = 0.0
        for v in range(nest.tile.shape[1]):
            hops, ingresses, routers = 0.0, 0.0, 0.0
            for i in range(nest.n_bucket[s, v] + 1):
                bucket = nest.bucket[s, v, i] if i < nest.n_bucket[s, v] else nest.remote[s, v]
                if i == nest.n_bucket[s, v] and bucket[k.B_ACCESSES] == 0.0:
                    continue
                ingress = _ingress(arch, layer, nest, s, v, bucket[k.B_ACCESSES])
                ingresses += ingress
                if ingress > 0.0:
                    per_word = bucket[k.B_HOPS] / ingress
                    hops += per_word * ingress
                    routers = np.floor(routers + (1.0 + np.floor(per_word)) * ingress)
            cost.network_pj[s, v, k.TRAFFIC_PJ] = hops * hop + routers * router + ingresses * ingress_pj
            cost.network_pj[s, v, k.TRAFFIC_PJ] += _transfers(arch, layer, nest, s, v)
            cost.network_pj[s, v, k.LINKS_PJ] = nest.flow[s, v, k.LINK] * (hop + 2.0 * router)
            network += (cost.network_pj[s, v, k.TRAFFIC_PJ] + cost.network_pj[s, v, k.LINKS_PJ]) * instances
        total += network
    return total
