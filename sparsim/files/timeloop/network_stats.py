"""Blocks of networks in a stats text (model 16)."""

from collections.abc import Callable

from sparsim.files.timeloop.stats_rows import real, table
from sparsim.model.result import Bucket, NetworkResult, NetworkTraffic

_CONNECTIONS = {"read": "1", "update": "2", "both": "3"}


def network_block(network: NetworkResult) -> list[str]:
    """Return the lines of one network."""
    kind = "mesh" if network.named is None else network.named.kind
    specs, tensor_rows = _NETWORKS[kind]
    lines = [network.name, "", "    SPECS", "    -----", *specs(network), "", "    STATS", "    -----"]
    for tensor in network.tensors:
        lines += [f"    {tensor.dataspace}:", *tensor_rows(tensor)]
    return [*lines, ""]


def _mesh_specs(network: NetworkResult) -> list[str]:
    specs = [
        ("Type", "Legacy"),
        ("Legacy sub-type", network.type.replace(":", "_")),
        ("ConnectionType", _CONNECTIONS[network.direction]),
        ("Word bits", str(network.word_bits)),
        ("Router energy", f"{real(network.router_energy_pj)} pJ"),
        ("Wire energy", f"{real(network.wire_energy_pj_per_bit_mm)} pJ/b/mm"),
        ("Ingress energy", f"{real(network.energy_per_ingress_pj)} pJ"),
        ("Fill latency", str(network.fill_latency_cycles)),
        ("Drain latency", str(network.drain_latency_cycles)),
    ]
    return table(specs, indent=8, width=16)


def _multicast_specs(network: NetworkResult) -> list[str]:
    assert network.named is not None
    specs = [
        ("Type", "SimpleMulticast"),
        ("ConnectionType", _CONNECTIONS[network.direction]),
        ("Word bits", str(network.word_bits)),
    ]
    return [*table(specs, indent=8, width=16), f"        Action Name       : {network.named.action}"]


def _tree_specs(network: NetworkResult) -> list[str]:
    assert network.named is not None
    adder, wire = network.named.adder_energy_pj, network.wire_energy_pj_per_bit_mm
    specs = [
        ("Type", "ReductionTree"),
        ("ConnectionType", _CONNECTIONS[network.direction]),
        ("Word bits", str(network.word_bits)),
        *([("Adder energy", f"{adder:.2f} pJ")] if adder else []),
        *([("Wire energy", f"{wire:.2f} pJ/b/mm")] if wire else []),
    ]
    latencies = [("Fill latency", "0"), ("Drain latency", str(network.drain_latency_cycles))]
    return [
        *table(specs, indent=8, width=16),
        *(f"        {label}     : {cycles}" for label, cycles in latencies),
    ]


def _multicast_tensor(tensor: NetworkTraffic) -> list[str]:
    rows = [
        ("Fanout", str(tensor.fanout)),
        ("Multicast factor", str(tensor.multicast)),
        ("Ingresses", f"{tensor.ingresses:.2f}"),
        ("Energy (per-instance)", f"{tensor.energy_per_instance_pj:.2f} pJ"),
        ("Energy (total)", f"{tensor.energy_pj:.2f} pJ"),
    ]
    return table(rows, indent=8, width=40)


def _tree_tensor(tensor: NetworkTraffic) -> list[str]:
    return table([*_reductions(tensor), *_spatial_energies(tensor)], indent=8, width=40)


def _reductions(tensor: NetworkTraffic) -> list[tuple[str, str]]:
    return [
        ("Spatial reductions", str(tensor.spatial_reductions)),
        ("Average number of hops", f"{tensor.average_hops:.2f}"),
        ("Energy (per-hop)", f"{tensor.energy_per_hop_pj * 1000:.2f} fJ"),
        ("Energy (per-instance)", f"{tensor.energy_per_instance_pj:.2f} pJ"),
        ("Energy (total)", f"{tensor.energy_pj:.2f} pJ"),
    ]


def _spatial_energies(tensor: NetworkTraffic) -> list[tuple[str, str]]:
    return [
        ("Spatial Reduction Energy (per-instance)", f"{tensor.reduction_energy_per_instance_pj:.2f} pJ"),
        ("Spatial Reduction Energy (total)", f"{tensor.reduction_energy_pj:.2f} pJ"),
    ]


def _mesh_tensor(tensor: NetworkTraffic) -> list[str]:
    head = [
        ("Fanout", str(tensor.fanout)),
        ("Multicast factor", str(tensor.multicast)),
    ]
    remote = tensor.distributed
    if remote is not None:
        head.append(("Multicast factor (distributed)", str(remote.multicast)))
    head.append(("Ingresses", f"{tensor.ingresses:.2f}"))
    tail = [
        ("Link transfers", str(tensor.link_transfers)),
        *_reductions(tensor),
        ("Link transfer energy (per-instance)", f"{tensor.link_energy_per_instance_pj:.2f} pJ"),
        ("Link transfer energy (total)", f"{tensor.link_energy_pj:.2f} pJ"),
        *_spatial_energies(tensor),
    ]
    buckets = [_bucket(bucket) for bucket in sorted(tensor.buckets)]
    if remote is not None:
        rows = [("Ingresses (distributed)", f"{remote.ingresses:.2f}")]
        buckets += [*table(rows, indent=8, width=40), _bucket(remote)]
    return [*table(head, indent=8, width=40), *buckets, *table(tail, indent=8, width=40)]


_NETWORKS: dict[str, tuple[Callable[[NetworkResult], list[str]], Callable[[NetworkTraffic], list[str]]]] = {
    "mesh": (_mesh_specs, _mesh_tensor),
    "multicast": (_multicast_specs, _multicast_tensor),
    "reduction_tree": (_tree_specs, _tree_tensor),
}


def _bucket(bucket: Bucket) -> str:
    return f"            @multicast {bucket.multicast} @scatter {bucket.scatter}: {bucket.ingresses:.2f}"
