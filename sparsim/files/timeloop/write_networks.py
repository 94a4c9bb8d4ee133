"""Conversion of named networks to components of Timeloop's documents, and tables of their energies (model
15.3).
"""

from collections.abc import Iterator
from typing import Any

from sparsim.errors import SpecError
from sparsim.files.timeloop.read_networks import NETWORK_CLASS
from sparsim.records import Architecture, NamedNetwork, Network, Transfer
from sparsim.records.architecture import MESH_FIELDS

Document = dict[str, Any]

_KEYS = {
    "router_energy_pj": "router-energy", "wire_energy_pj_per_bit_mm": "wire-energy",
    "energy_per_hop_pj": "energy-per-hop", "energy_per_ingress_pj": "energy-per-ingress",
    "tile_width_um": "tile-width", "adder_energy_pj": "adder-energy",
}  # fmt: skip
_ARGUMENT = "receivers"


def mesh_attributes(network: Network | NamedNetwork) -> Document:
    """What a level's own mesh, and one with a name, are given alike."""
    kind = {"network-type": network.type} if network.type else {}
    values = ((_KEYS[field], getattr(network, field)) for field in MESH_FIELDS)
    return kind | {key: value for key, value in values if value is not None}


def network_names(arch: Architecture) -> list[Document]:
    """The attributes that name networks, of every storage level from outside and of the compute units."""
    found: list[Document] = [{} for _ in range(len(arch.storage) + 1)]
    for i, level in enumerate(arch.storage):
        last = i + 1 == len(arch.storage)
        ends = (("read", "operand" if last else "fill"), ("update", "result" if last else "drain"))
        for network, (outer, inner) in zip((level.network.read, level.network.update), ends, strict=True):
            if network is not None:
                found[i][f"network_{outer}"] = found[i + 1][f"network_{inner}"] = network.name
    return found


def network_components(arch: Architecture) -> list[Document]:
    """Return the components that levels name."""
    found = []
    for network in _named(arch):
        attributes: Document = {
            "network-word-bits": network.word_bits,
            "fill_latency": network.latency_cycles,
        }
        attributes |= mesh_attributes(network)
        if network.adder_energy_pj is not None:
            attributes[_KEYS["adder_energy_pj"]] = network.adder_energy_pj
        if network.kind == "multicast":
            attributes["action_name"] = network.action
            attributes["multicast_factor_argument"] = network.argument or _ARGUMENT
            if any(transfer.dataspace is not None for transfer in network.transfers):
                attributes["per_datatype_ERT"] = True
        found.append({"name": network.name, "class": NETWORK_CLASS[network.kind], "attributes": attributes})
    return found


def network_actions(arch: Architecture) -> dict[str, list[Document]]:
    """The actions of each network in an ERT, by its name.

    Raises SpecError for prices that an ERT cannot express.
    """
    return {network.name: list(_actions(network)) for network in _named(arch) if network.kind == "multicast"}


def _named(arch: Architecture) -> list[NamedNetwork]:
    return [network for level in arch.storage for network in level.network.named]


def _actions(network: NamedNetwork) -> Iterator[Document]:
    by_name: dict[str | None, list[Transfer]] = {}
    for transfer in network.transfers:
        by_name.setdefault(transfer.dataspace, []).append(transfer)
    for dataspace, transfers in by_name.items():
        alone = len(transfers) == 1
        if (None in by_name and len(by_name) > 1) or any((t.multicast is None) != alone for t in transfers):
            text = "prices for some dataspaces or receivers beside prices for all cannot be written in an ERT"
            raise SpecError(text, path=f"network {network.name}")
        for transfer in transfers:
            arguments = {} if alone else {network.argument or _ARGUMENT: transfer.multicast}
            name = network.action if dataspace is None else f"{network.action}_{dataspace}"
            yield {"name": name, "arguments": arguments, "energy": transfer.energy_pj}
