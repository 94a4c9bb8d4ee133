"""Conversion of the networks between levels to arrays (model 15)."""

import math
import zlib
from typing import NamedTuple, TypedDict

import numpy as np

from sparsim.model import arrays as packs
from sparsim.model.arrays import Ints, Reals
from sparsim.records import Architecture, NamedNetwork
from sparsim.records.architecture import Direction
from sparsim.records.energy_table import ResolvedEnergy

KINDS = {"mesh": packs.MESH, "multicast": packs.MULTICAST, "reduction_tree": packs.REDUCTION_TREE}
DIRECTIONS = {"both": packs.BOTH, "read": packs.READS, "update": packs.UPDATES}


class PlacedNetwork(NamedTuple):
    """A network below storage level `s`; `named` is None for the automatic one."""

    name: str  # as reports have it
    s: int
    direction: Direction
    named: NamedNetwork | None

    @property
    def kind(self) -> int:
        return packs.MESH if self.named is None else KINDS[self.named.kind]


class NetworkPacks(TypedDict):
    network: Ints
    wire: Reals
    transfer: Reals


def placed_networks(arch: Architecture) -> list[PlacedNetwork]:
    """Return the networks sorted by name, as in the arrays."""
    names = [arch.compute.name, *(level.name for level in arch.storage[::-1])]
    found = [
        PlacedNetwork(f"{level.name} <==> {names[s]}" if named is None else named.name, s, direction, named)
        for s, level in enumerate(arch.storage[::-1])
        for named, direction in level.network.directions
    ]
    return sorted(found)


def lower_networks(arch: Architecture, resolved: ResolvedEnergy) -> NetworkPacks:
    """Return the arrays of an `ArchPack` that describe networks."""
    networks, tiles = placed_networks(arch), _tile_widths_um(arch, resolved)
    prices = [
        (e, name_number(one.dataspace) if one.dataspace else 0, one.multicast or 0, one.energy_pj)
        for e, network in enumerate(networks)
        for one in (network.named.transfers if network.named is not None else ())
    ]
    rows = [(network.s, network.kind, DIRECTIONS[network.direction]) for network in networks]
    return {
        "network": np.array(rows, np.int64),
        "wire": np.array(
            [_wire(arch, resolved, network, tiles[network.s]) for network in networks], np.float64
        ),
        "transfer": np.array(prices, np.float64).reshape(-1, 4),
    }


def _tile_widths_um(arch: Architecture, resolved: ResolvedEnergy) -> list[float]:
    """Return, per storage level, innermost first, the side length of the hardware below one port of its
    network.
    """
    area, widths = resolved.compute_area, []
    instances = [math.prod(arch.total_mesh(i)) for i in range(len(arch.storage) + 1)][::-1]
    for s, own in enumerate(resolved.areas[::-1]):
        widths.append(math.sqrt(area))
        area = own + area * (instances[s] // instances[s + 1])
    return widths


def _wire(
    arch: Architecture, resolved: ResolvedEnergy, network: PlacedNetwork, tile_um: float
) -> tuple[float, float, float, float]:
    """Return Return Return pJ per hop, router, ingress and addition (model 15.2, 15.3)."""
    level = arch.storage[-1 - network.s]
    net = network.named or level.network
    per_mm = net.wire_energy_pj_per_bit_mm or 0.0
    if network.named is None:
        per_mm = resolved.wire_pj_per_bit_mm or per_mm
    hop = net.energy_per_hop_pj
    if hop is None:
        word_bits = level.word_bits if net.word_bits is None else net.word_bits
        width_um = tile_um if net.tile_width_um is None else net.tile_width_um
        hop = word_bits * (width_um / 1000) * per_mm
    adder = network.named.adder_energy_pj if network.named is not None else None
    return hop, net.router_energy_pj or 0.0, net.energy_per_ingress_pj or 0.0, adder or 0.0


def name_number(name: str) -> int:
    """Return a number that represents a name in kernels; it is not 0, and exact as a double."""
    return 1 + zlib.crc32(name.encode())
