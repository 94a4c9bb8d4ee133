"""Energy of the networks between levels from walked traffic, in plain Python floats (model 15.2, 15.3)."""

from __future__ import annotations

import math
from collections.abc import Iterator

from naive.nest import Problem
from naive.traffic import Traffic
from sparsim.records import NamedNetwork, Network


def network_energies(
    problem: Problem, traffic: dict[tuple[int, int], Traffic], areas: list[float]
) -> dict[str, float]:
    """pJ of all instances by the network's name. `areas`: um^2 of one of every level, arithmetic first."""
    below, found = areas[0], {}
    for s, level in enumerate(problem.levels):
        inner = problem.levels[s - 1].name if s else problem.arch.compute.name
        width = math.sqrt(below)
        for name, network, direction in _networks(level.network, f"{level.name} <==> {inner}"):
            each = [
                _energy(problem, traffic[s, v], network, direction, s, v, width)
                for v in range(len(problem.names))
            ]
            instances = math.prod(loop.bound for loop in problem.loops if loop.level > s and loop.kind != "t")
            if isinstance(network, NamedNetwork) and network.kind == "reduction_tree":
                instances = 1
            found[name] = 0.0
            for pj in each:
                found[name] += pj * instances
        below = areas[s + 1] + below * math.prod(problem.fan_out(s))
    return dict(sorted(found.items()))


def _networks(own: Network, name: str) -> Iterator[tuple[str, Network | NamedNetwork, str]]:
    first = own.read or own
    reads_and_updates = own.update in (None, own.read)
    yield (own.read.name if own.read else name), first, "both" if reads_and_updates else "read"
    if own.update is not None and not reads_and_updates:
        yield own.update.name, own.update, "update"


def _energy(
    problem: Problem,
    traffic: Traffic,
    network: Network | NamedNetwork,
    direction: str,
    s: int,
    v: int,
    width: float,
) -> float:
    """Per instance of the level outside."""
    buckets = sorted(traffic.buckets.items())
    kind = network.kind if isinstance(network, NamedNetwork) else "mesh"
    level = problem.levels[s]
    if kind == "multicast":
        moved = [(m, accesses) for (m, _), (accesses, _) in buckets if accesses > 0]
        energy = 0.0
        for transfer in network.transfers if moved else ():
            if transfer.dataspace in (None, problem.names[v]) and transfer.multicast in (None, moved[-1][0]):
                energy += transfer.energy_pj * moved[-1][1]
        return energy
    bits = level.word_bits if network.word_bits is None else network.word_bits
    wire = network.wire_energy_pj_per_bit_mm or 0.0
    if kind == "reduction_tree":
        if not problem.writes[v]:
            return 0.0
        halves = sum(math.floor(math.log2(m)) * accesses for (m, _), (accesses, _) in buckets)
        adds = sum((m - 1) * int(accesses) for (m, _), (accesses, _) in buckets)
        return halves / 2 * (bits * (width / 1000) * wire) + adds * (network.adder_energy_pj or 0.0)
    width = width if network.tile_width_um is None else network.tile_width_um
    hop = bits * (width / 1000) * wire if network.energy_per_hop_pj is None else network.energy_per_hop_pj
    can_add = level.technology != "DRAM" if level.reduction_supported is None else level.reduction_supported
    twice = problem.writes[v] and direction != "read" and not can_add
    hops = words = routers = 0.0
    for accesses, path in traffic.buckets.values():
        entering = 2 * accesses - traffic.part if twice else accesses
        words += entering
        if entering > 0:
            hops += path / entering * entering
            routers += (1 + path // entering) * entering
    router = network.router_energy_pj or 0.0
    moving = hops * hop + routers * router + words * (network.energy_per_ingress_pj or 0.0)
    return moving + traffic.link * (hop + 2 * router)
