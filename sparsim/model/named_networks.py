"""Results of networks with names, which stand in the place of an automatic one (model 15.3)."""

from collections.abc import Sequence

from msgspec import structs

from sparsim.model.result import Bucket, NetworkResult, NetworkTraffic
from sparsim.records import NamedNetwork, Network


def named_networks(
    automatic: NetworkResult, network: Network, buckets: Sequence[Sequence[Bucket]], instances: int
) -> tuple[NetworkResult, ...]:
    """One for each network with a name; `buckets` are the words of each dataspace by their receivers."""
    results = []
    for named in network.named:
        is_read, is_update = named == network.read, named == (network.update or network.read)
        drain = network.drain_latency_cycles if network.update is None else named.latency_cycles
        tensors = tuple(
            _traffic(named, one, words, instances)
            for one, words in zip(automatic.tensors, buckets, strict=True)
        )
        results.append(
            structs.replace(
                automatic, named=named, direction="both" if is_read and is_update else "read" if is_read
                else "update", type="", word_bits=named.word_bits, router_energy_pj=None,
                wire_energy_pj_per_bit_mm=None, energy_per_ingress_pj=None,
                fill_latency_cycles=named.latency_cycles if is_read else 0,
                drain_latency_cycles=drain if is_update else 0,
                energy_pj=sum(one.energy_pj for one in tensors), tensors=tensors,
            )
        )  # fmt: skip
    return tuple(results)


def _traffic(
    network: NamedNetwork, automatic: NetworkTraffic, buckets: Sequence[Bucket], instances: int
) -> NetworkTraffic:
    """Like in the reference, the words with most receivers are all that cost energy."""
    moved = [bucket for bucket in buckets if bucket.ingresses > 0]
    most = max(moved, default=Bucket(0, 0, 0.0))
    energy = sum(
        transfer.energy_pj * most.ingresses
        for transfer in network.transfers
        if transfer.dataspace in (None, automatic.dataspace) and transfer.multicast in (None, most.multicast)
    )
    return structs.replace(
        automatic, multicast=most.multicast, ingresses=sum(bucket.ingresses for bucket in buckets),
        buckets=tuple(buckets), distributed=None, link_transfers=0, spatial_reductions=0, average_hops=0.0,
        energy_per_hop_pj=0.0, energy_per_instance_pj=energy, energy_pj=energy * instances,
        link_energy_per_instance_pj=0.0, link_energy_pj=0.0,
    )  # fmt: skip
