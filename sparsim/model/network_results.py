"""Conversion of packs to results of the networks between levels (model 15)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sparsim.model import arrays as packs
from sparsim.model.arrays import ArchPack, CostPack, LayerPack, NestPack
from sparsim.model.lower_networks import PlacedNetwork, placed_networks
from sparsim.model.result import Bucket, NetworkResult, NetworkTraffic
from sparsim.records import Architecture

Row = list[float]  # fields of a bucket: receivers, scatter, words and hops


class _Lists(NamedTuple):
    """Fields of packs as nested lists, with the axes of `sparsim.model.arrays`."""

    remote: list[list[Row]]
    part: list[list[int]]
    fanout: list[list[int]]
    link: list[list[float]]
    instances: list[int]
    network_pj: list[list[Row]]
    hop_pj: list[float]
    can_reduce: list[int]
    read_write: list[int]


def network_results(
    arch: Architecture,
    wire_pj_per_bit_mm: float | None,
    lowered: tuple[ArchPack, LayerPack],
    counted: tuple[NestPack, CostPack],
    dataspaces: Sequence[str],
) -> tuple[NetworkResult, ...]:
    """Return the results of every network, innermost first. `wire_pj_per_bit_mm` is that of the energy
    table.
    """
    nest, cost = counted
    # lists are ten times as fast as arrays for reading small arrays element by element
    lists = _Lists(
        remote=nest.remote.tolist(), part=nest.part.tolist(), fanout=nest.fanout.tolist(),
        link=nest.flow[..., packs.LINK].tolist(), instances=nest.space.prod(axis=1).tolist(),
        network_pj=cost.network_pj.tolist(), hop_pj=lowered[0].wire[:, packs.HOP_PJ].tolist(),
        can_reduce=lowered[0].support[:, packs.CAN_REDUCE].tolist(),
        read_write=lowered[1].read_write.tolist(),
    )  # fmt: skip
    number = nest.n_bucket.tolist()
    names = [*(level.name for level in arch.storage), arch.compute.name]
    most = int(nest.n_bucket.max())
    buckets = nest.bucket[:, :, :most].tolist()
    found = []
    for e, network in sorted(enumerate(placed_networks(arch)), key=lambda item: item[1][1:3]):
        level, named = arch.storage[-1 - network.s], network.named
        net = named or level.network
        wire = net.wire_energy_pj_per_bit_mm
        if named is None:
            wire = wire_pj_per_bit_mm or wire
        instances = lists.instances[network.s + 1]
        tensors = tuple(
            _traffic(network, e, v, name, lists, buckets[network.s][v][: number[network.s][v]])
            for v, name in enumerate(dataspaces)
        )
        counting = 1 if network.kind == packs.REDUCTION_TREE else instances  # like there
        each = (
            t.link_energy_per_instance_pj + t.energy_per_instance_pj + t.reduction_energy_per_instance_pj
            for t in tensors
        )
        fill, drain = _latencies(arch, network)
        found.append(
            NetworkResult(
                outer=level.name, inner=names[-1 - network.s], named=named, direction=network.direction,
                type=net.type, word_bits=level.word_bits if net.word_bits is None else net.word_bits,
                router_energy_pj=net.router_energy_pj, wire_energy_pj_per_bit_mm=wire,
                energy_per_ingress_pj=net.energy_per_ingress_pj, fill_latency_cycles=fill,
                drain_latency_cycles=drain, energy_pj=_added(pj * counting for pj in each), tensors=tensors,
            )
        )  # fmt: skip
    return tuple(found)


def _latencies(arch: Architecture, network: PlacedNetwork) -> tuple[int, int]:
    """Return the cycles of filling and of draining; 0 for a direction that the network does not serve."""
    own = arch.storage[-1 - network.s].network
    fill = own.fill_latency_cycles if own.read is None else own.read.latency_cycles
    drain = own.drain_latency_cycles if own.update is None else own.update.latency_cycles
    return (0 if network.direction == "update" else fill), (0 if network.direction == "read" else drain)


def _traffic(
    network: PlacedNetwork,
    e: int,
    v: int,
    dataspace: str,
    lists: _Lists,
    rows: list[Row],
) -> NetworkTraffic:
    s, kind = network.s, network.kind
    is_mesh, is_result = kind == packs.MESH, bool(lists.read_write[v])
    adds = is_result and network.direction != "read"  # results that leave the network were added in it
    if kind == packs.REDUCTION_TREE and not is_result:
        rows = []
    remote = [lists.remote[s][v]] if is_mesh and lists.remote[s][v][packs.B_ACCESSES] else []
    twice = is_mesh and adds and not lists.can_reduce[s]
    hops, reductions, buckets = 0.0, 0, []
    for row in rows + remote:
        words = 2.0 * row[packs.B_ACCESSES] - float(lists.part[s][v]) if twice else row[packs.B_ACCESSES]
        buckets.append(Bucket(int(row[packs.B_MULTICAST]), int(row[packs.B_SCATTER]), words))
        if words > 0 and kind != packs.MULTICAST:
            half = math.floor(math.log2(row[packs.B_MULTICAST])) * 0.5
            hops += row[packs.B_HOPS] / words * words if is_mesh else half * words
        if adds and kind != packs.MULTICAST:
            reductions = int(reductions + (row[packs.B_MULTICAST] - 1) * words)  # like there
    plain = buckets[: len(rows)]
    total = _added(bucket.ingresses for bucket in buckets)
    most = max((b.multicast for b in plain if is_mesh or b.ingresses > 0), default=0)
    instances = lists.instances[s + 1]
    energy, links, additions = lists.network_pj[e][v]
    return NetworkTraffic(
        dataspace=dataspace, fanout=lists.fanout[s][v], multicast=most,
        ingresses=_added(bucket.ingresses for bucket in plain), buckets=tuple(plain),
        distributed=buckets[-1] if remote else None,
        link_transfers=int(lists.link[s][v]) if is_mesh else 0, spatial_reductions=reductions,
        average_hops=hops / total if total > 0 else 0.0,
        energy_per_hop_pj=lists.hop_pj[e] if is_mesh or is_result else 0.0,
        energy_per_instance_pj=energy, energy_pj=energy * instances,
        link_energy_per_instance_pj=links, link_energy_pj=links * instances,
        reduction_energy_per_instance_pj=additions, reduction_energy_pj=additions * instances,
    )  # fmt: skip


def _added(values: Iterable[float]) -> float:
    """Return the sum, rounded after every addition as in the reference; `sum` rounds differently since Python
    3.12.
    """
    total = 0.0
    for value in values:
        total += value
    return total
