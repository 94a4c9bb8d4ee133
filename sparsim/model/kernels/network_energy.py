"""Energy of the networks between levels (model 15.2, 15.3). Sparsity does not change their traffic."""

import numpy as np

from sparsim.model import arrays as k
from sparsim.model.kernels.jit import kernel


@kernel
def _mesh(arch, layer, nest, e, v):
    """Energy of a mesh, by hops, routers and words. Results travel in both directions if the outer level
    cannot add and the network carries updates.
    """
    s = arch.network[e, k.N_LEVEL]
    twice = (
        layer.read_write[v]
        and arch.network[e, k.N_DIRECTION] != k.READS
        and not arch.support[s, k.CAN_REDUCE]
    )
    hops, ingresses, routers = 0.0, 0.0, 0.0
    for i in range(nest.n_bucket[s, v] + 1):
        bucket = nest.bucket[s, v, i] if i < nest.n_bucket[s, v] else nest.remote[s, v]
        if i == nest.n_bucket[s, v] and bucket[k.B_ACCESSES] == 0.0:
            continue
        ingress = 2.0 * bucket[k.B_ACCESSES] - nest.part[s, v] if twice else bucket[k.B_ACCESSES]
        ingresses += ingress
        if ingress > 0.0:
            per_word = bucket[k.B_HOPS] / ingress
            hops += per_word * ingress
            routers = np.floor(routers + (1.0 + np.floor(per_word)) * ingress)
    hop, router = arch.wire[e, k.HOP_PJ], arch.wire[e, k.ROUTER_PJ]
    traffic = hops * hop + routers * router + ingresses * arch.wire[e, k.INGRESS_PJ]
    return traffic, nest.flow[s, v, k.LINK] * (hop + 2.0 * router), 0.0


@kernel
def _multicast(arch, layer, nest, e, v):
    """Energy of transfers by the number of their receivers; as in the reference, the largest multicast
    determines it.
    """
    s = arch.network[e, k.N_LEVEL]
    receivers, scatter, accesses = 0.0, 0.0, 0.0
    for i in range(nest.n_bucket[s, v]):
        bucket = nest.bucket[s, v, i]
        many, wide = bucket[k.B_MULTICAST], bucket[k.B_SCATTER]
        if bucket[k.B_ACCESSES] > 0.0 and (many > receivers or (many == receivers and wide > scatter)):
            receivers, scatter, accesses = many, wide, bucket[k.B_ACCESSES]
    energy = 0.0
    for i in range(arch.transfer.shape[0]):
        row = arch.transfer[i]
        if row[k.T_NETWORK] == e and (row[k.T_DATASPACE] == 0.0 or row[k.T_DATASPACE] == layer.number[v]):
            if row[k.T_RECEIVERS] == 0.0 or row[k.T_RECEIVERS] == receivers:
                energy += row[k.T_PJ] * accesses
    return energy, 0.0, 0.0


@kernel
def _reduction_tree(arch, layer, nest, e, v):
    """Energy of a reduction tree, which adds results in pairs: each passes half a hop per level of the
    tree.
    """
    if not layer.read_write[v]:
        return 0.0, 0.0, 0.0
    s = arch.network[e, k.N_LEVEL]
    hops, additions = 0.0, 0.0
    for i in range(nest.n_bucket[s, v]):
        senders, accesses = nest.bucket[s, v, i, k.B_MULTICAST], nest.bucket[s, v, i, k.B_ACCESSES]
        additions = np.floor(additions + (senders - 1.0) * accesses)
        if accesses > 0.0:
            hops += np.floor(np.log2(senders)) * 0.5 * accesses
    return hops * arch.wire[e, k.HOP_PJ], 0.0, additions * arch.wire[e, k.ADDER_PJ]


@kernel
def network_energy(arch, layer, nest, cost, total):
    """Fill network_pj; returns `total` plus the energy of every network, all instances, in pJ.

    As in the reference, networks are added in the order of their names, so that roundings agree, and only one
    instance of a reduction tree is counted.
    """
    for e in range(arch.network.shape[0]):
        s, kind = arch.network[e, k.N_LEVEL], arch.network[e, k.N_KIND]
        instances = 1 if kind == k.REDUCTION_TREE else nest.space[s + 1, k.X] * nest.space[s + 1, k.Y]
        network = 0.0
        for v in range(nest.tile.shape[1]):
            if kind == k.MULTICAST:
                traffic, links, adders = _multicast(arch, layer, nest, e, v)
            elif kind == k.REDUCTION_TREE:
                traffic, links, adders = _reduction_tree(arch, layer, nest, e, v)
            else:
                traffic, links, adders = _mesh(arch, layer, nest, e, v)
            cost.network_pj[e, v, k.TRAFFIC_PJ] = traffic
            cost.network_pj[e, v, k.LINKS_PJ] = links
            cost.network_pj[e, v, k.ADDERS_PJ] = adders
            network += (traffic + links + adders) * instances
        total += network
    return total
