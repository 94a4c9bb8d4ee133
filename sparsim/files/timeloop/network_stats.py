"""Blocks of networks in a stats text (model 16)."""

from collections.abc import Callable

from sparsim.files.timeloop.stats_rows import real
from sparsim.model.result import Bucket, NetworkResult, NetworkTraffic

_CONNECTIONS = {"read": "1", "update": "2", "both": "3"}


def network_block(network: NetworkResult) -> str:
    """Return the lines of one network."""
    kind = "mesh" if network.named is None else network.named.kind
    specs, tensor_rows = _NETWORKS[kind]
    tensors = "".join(f"    {tensor.dataspace}:\n{tensor_rows(tensor)}" for tensor in network.tensors)
    return f"""\
{network.name}

    SPECS
    -----
{specs(network)}
    STATS
    -----
{tensors}"""


def _mesh_specs(network: NetworkResult) -> str:
    return f"""\
        Type            : Legacy
        Legacy sub-type : {network.type.replace(":", "_")}
        ConnectionType  : {_CONNECTIONS[network.direction]}
        Word bits       : {network.word_bits}
        Router energy   : {real(network.router_energy_pj)} pJ
        Wire energy     : {real(network.wire_energy_pj_per_bit_mm)} pJ/b/mm
        Ingress energy  : {real(network.energy_per_ingress_pj)} pJ
        Fill latency    : {network.fill_latency_cycles}
        Drain latency   : {network.drain_latency_cycles}
"""


def _multicast_specs(network: NetworkResult) -> str:
    assert network.named is not None
    return f"""\
        Type            : SimpleMulticast
        ConnectionType  : {_CONNECTIONS[network.direction]}
        Word bits       : {network.word_bits}
        Action Name       : {network.named.action}
"""


def _tree_specs(network: NetworkResult) -> str:
    assert network.named is not None
    adder, wire = network.named.adder_energy_pj, network.wire_energy_pj_per_bit_mm
    adder_line = f"        Adder energy    : {adder:.2f} pJ\n" if adder else ""
    wire_line = f"        Wire energy     : {wire:.2f} pJ/b/mm\n" if wire else ""
    return f"""\
        Type            : ReductionTree
        ConnectionType  : {_CONNECTIONS[network.direction]}
        Word bits       : {network.word_bits}
{adder_line}{wire_line}\
        Fill latency     : 0
        Drain latency     : {network.drain_latency_cycles}
"""


def _multicast_tensor(tensor: NetworkTraffic) -> str:
    return f"""\
        Fanout                                  : {tensor.fanout}
        Multicast factor                        : {tensor.multicast}
        Ingresses                               : {tensor.ingresses:.2f}
        Energy (per-instance)                   : {tensor.energy_per_instance_pj:.2f} pJ
        Energy (total)                          : {tensor.energy_pj:.2f} pJ
"""


def _tree_tensor(tensor: NetworkTraffic) -> str:
    return f"""\
        Spatial reductions                      : {tensor.spatial_reductions}
        Average number of hops                  : {tensor.average_hops:.2f}
        Energy (per-hop)                        : {tensor.energy_per_hop_pj * 1000:.2f} fJ
        Energy (per-instance)                   : {tensor.energy_per_instance_pj:.2f} pJ
        Energy (total)                          : {tensor.energy_pj:.2f} pJ
        Spatial Reduction Energy (per-instance) : {tensor.reduction_energy_per_instance_pj:.2f} pJ
        Spatial Reduction Energy (total)        : {tensor.reduction_energy_pj:.2f} pJ
"""


def _mesh_tensor(tensor: NetworkTraffic) -> str:
    remote, buckets = tensor.distributed, "".join(map(_bucket, sorted(tensor.buckets)))
    factor = ""
    if remote is not None:
        factor = f"        Multicast factor (distributed)          : {remote.multicast}\n"
        buckets += (
            f"        Ingresses (distributed)                 : {remote.ingresses:.2f}\n{_bucket(remote)}"
        )
    return f"""\
        Fanout                                  : {tensor.fanout}
        Multicast factor                        : {tensor.multicast}
{factor}\
        Ingresses                               : {tensor.ingresses:.2f}
{buckets}\
        Link transfers                          : {tensor.link_transfers}
        Spatial reductions                      : {tensor.spatial_reductions}
        Average number of hops                  : {tensor.average_hops:.2f}
        Energy (per-hop)                        : {tensor.energy_per_hop_pj * 1000:.2f} fJ
        Energy (per-instance)                   : {tensor.energy_per_instance_pj:.2f} pJ
        Energy (total)                          : {tensor.energy_pj:.2f} pJ
        Link transfer energy (per-instance)     : {tensor.link_energy_per_instance_pj:.2f} pJ
        Link transfer energy (total)            : {tensor.link_energy_pj:.2f} pJ
        Spatial Reduction Energy (per-instance) : {tensor.reduction_energy_per_instance_pj:.2f} pJ
        Spatial Reduction Energy (total)        : {tensor.reduction_energy_pj:.2f} pJ
"""


_NETWORKS: dict[str, tuple[Callable[[NetworkResult], str], Callable[[NetworkTraffic], str]]] = {
    "mesh": (_mesh_specs, _mesh_tensor),
    "multicast": (_multicast_specs, _multicast_tensor),
    "reduction_tree": (_tree_specs, _tree_tensor),
}


def _bucket(bucket: Bucket) -> str:
    return f"            @multicast {bucket.multicast} @scatter {bucket.scatter}: {bucket.ingresses:.2f}\n"
