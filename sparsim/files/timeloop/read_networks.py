"""Networks that documents define and levels name (model 15.3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from sparsim.errors import near
from sparsim.files.timeloop.document_node import Node, or_default
from sparsim.files.timeloop.read_energy_tables import component_name, find_actions
from sparsim.records import NamedNetwork, Transfer

NETWORK_CLASSES = ("XY_NoC", "Legacy", "ReductionTree", "SimpleMulticast")
_KINDS: dict[str, Literal["mesh", "multicast", "reduction_tree"]] = {
    "XY_NoC": "mesh", "Legacy": "mesh", "ReductionTree": "reduction_tree", "SimpleMulticast": "multicast",
}  # fmt: skip
NETWORK_CLASS = {kind: name for name, kind in _KINDS.items()}
_WORD_BITS = ("network-word-bits", "word-bits", "word_width", "datawidth")
_EVERY = (*_WORD_BITS, "fill_latency", "drain_latency")
_KEYS = {
    "mesh": (
        *_EVERY, "network-type", "router-energy", "wire-energy", "tile-width", "energy-per-hop",
        "energy-per-ingress",
    ),
    "multicast": (*_EVERY, "action_name", "multicast_factor_argument", "per_datatype_ERT"),
    "reduction_tree": (*_EVERY, "adder-energy", "wire-energy"),
}  # fmt: skip


class Ends(NamedTuple):
    """A level's attributes, and its keys for the networks to the inner and to the outer level."""

    attributes: Node
    inward: tuple[str, str] = ("network_read", "network_update")
    outward: tuple[str, str] = ("network_fill", "network_drain")
    instances: int = 1


def read_networks(
    ends: Sequence[Ends], components: dict[str, Node], ert: Node | None
) -> list[dict[str, NamedNetwork]]:
    """Per storage level from outside what it names: networks for `read` and for `update`.

    `ends`: of the storage levels from outside, and of the compute units. Raises SpecError where both ends do
    not agree, and for networks that nothing can be.
    """
    _refuse_outermost(ends[0])
    places: dict[str, str] = {}
    found: list[dict[str, NamedNetwork]] = []
    for outer, inner in pairwise(ends):
        networks: dict[str, NamedNetwork] = {}
        for kind, key, other in zip(("read", "update"), outer.inward, inner.outward, strict=True):
            name, there = outer.attributes.text(key), inner.attributes.text(other)
            if name != there:
                end, at = (inner.attributes, other) if there is not None else (outer.attributes, key)
                text = f"names the network '{there or name}', and '{key}' of the level outside '{name}'"
                if there is None:
                    text = f"names the network '{name}', and no '{other}' of the level inside does"
                elif name is None:
                    text = f"names the network '{there}', and no '{key}' of the level outside does"
                raise end.error(text, at)
            if name is None:
                continue
            here = outer.attributes.where(key)
            if name in places and name not in [network.name for network in networks.values()]:
                raise outer.attributes.error(f"network '{name}' is already named in {places[name]}", key)
            places[name] = here
            if name not in components:
                raise outer.attributes.error(f"unknown network '{name}'", key, hint=near(name, components))
            network = networks[kind] = _network(components[name], name, ert)
            if network.kind == "reduction_tree":
                _check_tree(components[name], outer, kind)
        found.append(networks)
    for name, component in components.items():
        if name not in places:
            component.warn("the user-defined network is ignored, because no level names it")
    return found


def _refuse_outermost(end: Ends) -> None:
    for key in end.outward:
        if end.attributes.has(key):
            raise end.attributes.error("belongs to the outermost level, which has no level outside", key)


def _check_tree(component: Node, outer: Ends, direction: str) -> None:
    name = component.text("name")
    if direction == "read":
        text = f"'{name}' is a ReductionTree, which carries only updates: '{outer.inward[1]}' may name it"
        raise outer.attributes.error(text, outer.inward[0])
    if outer.instances > 1:
        counted = "but only the energy of one is counted, as in Timeloop"
        component.warn(f"there are {outer.instances} trees '{name}', {counted}")


def _network(component: Node, name: str, ert: Node | None) -> NamedNetwork:
    given = component.text("class") or ""
    if given not in _KINDS:
        raise component.error(
            f"must be one of {', '.join(_KINDS)}, got '{given}'", "class", near(given, _KINDS)
        )
    kind = _KINDS[given]
    a = component.child("attributes") or component
    a.report_unknown((*_KEYS[kind], *(("name", "class") if a is component else ())), harmless=())
    action = a.required(a.text("action_name"), "action_name") if kind == "multicast" else ""
    if kind == "multicast" and ert is None:
        component.warn(f"there is no ERT, so transfers in the network '{name}' cost nothing")
    transfers = () if kind != "multicast" or ert is None else tuple(_transfers(a, name, action, ert))
    with a.located():
        return NamedNetwork(
            name=name,
            kind=kind,
            word_bits=or_default(a.integer(*_WORD_BITS), 16),
            latency_cycles=or_default(a.integer("fill_latency"), 0),
            action=action,
            argument=(a.text("multicast_factor_argument") or "") if kind == "multicast" else "",
            transfers=transfers,
            **(read_mesh(a) if kind == "mesh" else _read_tree(a) if kind == "reduction_tree" else {}),
        )


def read_mesh(a: Node) -> dict[str, Any]:
    """Read the common parameters of the mesh of a level and of a named one."""
    kind = a.text("network-type") or ""
    if kind not in ("", "1:1", "1:N", "M:N"):
        raise a.error(f"must be 1:1, 1:N or M:N, got '{kind}'", "network-type")
    return {
        "type": kind,
        "router_energy_pj": a.number("router-energy"),
        "wire_energy_pj_per_bit_mm": a.number("wire-energy"),
        "energy_per_hop_pj": a.number("energy-per-hop"),
        "energy_per_ingress_pj": a.number("energy-per-ingress"),
        "tile_width_um": a.number("tile-width"),
    }


def _read_tree(a: Node) -> dict[str, Any]:
    return {"wire_energy_pj_per_bit_mm": a.number("wire-energy"), "adder_energy_pj": a.number("adder-energy")}


def _transfers(a: Node, name: str, action: str, ert: Node) -> Iterator[Transfer]:
    """Yield the energies of an action, or of the actions with the dataspaces' names appended."""
    argument, prefix = a.text("multicast_factor_argument"), f"{action}_"
    actions = {
        key: rows for full, found in find_actions(ert).items() if component_name(full) == name
        for key, rows in found.items()
    }  # fmt: skip
    # as in the reference, the presence of the attribute matters, not its value
    names = [key for key in actions if key.startswith(prefix)] if a.has("per_datatype_ERT") else [action]
    if not set(names) & set(actions):
        wanted = f"{prefix}DATASPACE" if a.has("per_datatype_ERT") else action
        raise ert.error(f"the network '{name}' has no action '{wanted}'", "tables", near(action, actions))
    for key in names:
        rows = actions[key]
        for row in rows:
            factor = None
            if len(rows) > 1:
                if argument is None:
                    text = f"has several energies of '{key}' in the ERT, but no 'multicast_factor_argument'"
                    raise a.error(text)
                arguments = row.child("arguments") or row.blank()
                factor = arguments.required(arguments.integer(argument), argument)
            with row.located():
                yield Transfer(
                    dataspace=key.removeprefix(prefix) if a.has("per_datatype_ERT") else None,
                    multicast=factor,
                    energy_pj=row.required(row.number("energy"), "energy"),
                )
