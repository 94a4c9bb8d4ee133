"""Conversion of nodes to the flat list of levels, and the directives, of documents of version 0.3.

Every fan-out becomes a level of its own, which stores nothing: `inter_NAME_spatial`.
"""

from dataclasses import dataclass
from typing import Any

from sparsim.files.timeloop_v4.constraint_macros import complete_permutation
from sparsim.files.timeloop_v4.constraints import Constraint
from sparsim.files.timeloop_v4.node_tree import Leaf
from sparsim.files.timeloop_v4.values import mapping_of
from sparsim.files.yaml_reading import YamlMap
from sparsim.records import Layer
from sparsim.records.number_limits import MAX_INT

_FOR_ESTIMATES = ("subclass", "required_actions", "energy_scale", "area_scale")  # attributes of components
_INWARDS = ("network_read", "network_update")
_DUMMY = "dummy_storage"  # the class name of a fan-out
_ONE_WORD = {"width": 1, "depth": 1, "datawidth": 1}
_NAMES = {
    "no_reuse": {"temporal": "no_temporal_reuse", "spatial": "no_multicast_no_reduction"},
    "no_link_transfer": {"spatial": "no_link_transfer"},
}
_COUNTS = ("split", "default_max_factor", "default_min_factor", "remainders")


@dataclass
class Flat:
    """An architecture of version 0.3: its name, its levels, and the directives that are due to nodes."""

    name: str
    levels: list[YamlMap]
    directives: list[YamlMap]


def flatten(leaves: list[Leaf], layer: Layer | None) -> Flat:
    """Walk the leaves in document order with a running mesh.

    Without a layer there are no directives.
    """
    first = leaves[0] if leaves else None
    name = f"{first.name}_top_level" if first is not None and first.tag == "!Container" else "top_level"
    flat = Flat(name, [], [])
    x = y = 1
    for leaf in leaves:
        if leaf.tag == "!Nothing":
            continue
        if leaf.is_network:
            flat.levels.append(_network(leaf))
            continue
        if leaf.fanout > 1:
            dummy = f"inter_{leaf.name}_spatial"
            level = _level(leaf, dummy, _DUMMY, _ONE_WORD, (x, y))
            _take_networks(flat.levels, leaf, level)
            flat.levels.append(level)
            x, y = x * leaf.mesh[0], y * leaf.mesh[1]
            if max(x, y) > MAX_INT:
                raise leaf.node.error(f"more than {MAX_INT} instances are side by side here", "spatial")
            if layer is not None:
                _add_dummy(flat, leaf, dummy, layer)
        elif leaf.tag == "!Container" and (leaf.constraints or leaf.sparse):
            leaf.node.warn(
                "the container has no fan-out, so its constraints and sparse options have no effect"
            )
        if leaf.tag == "!Component":
            flat.levels.append(_level(leaf, leaf.name, leaf.kind, leaf.attributes, (x, y)))
            if layer is not None:
                _add_component(flat, leaf, layer)
    return flat


def _network(leaf: Leaf) -> YamlMap:
    node = leaf.node.data
    if leaf.fanout > 1:
        raise leaf.node.error(f"'{leaf.name}' is a network, which has no fan-out", "spatial")
    inside = mapping_of({key: value for key, value in leaf.attributes.items() if value is not None}, node)
    inside.lines |= {key: leaf.lines[key] for key in inside if key in leaf.lines}
    return mapping_of({"name": leaf.name, "class": leaf.kind, "attributes": inside}, node)


def _take_networks(outside: list[YamlMap], leaf: Leaf, fanout: YamlMap) -> None:
    """Let a fan-out name the networks of the next outer level, because words are distributed there."""
    level = next((one for one in reversed(outside) if not _is_network(one)), None)
    if level is None:
        return
    attributes, taken = level["attributes"], fanout["attributes"]
    for key in [key for key in attributes if key.replace("-", "_") in _INWARDS]:
        if level["class"] == _DUMMY:
            text = f"the network '{attributes[key]}' would have to span the fan-out outside as well"
            raise leaf.node.error(text, "spatial")
        taken[key] = attributes.pop(key)
        taken.lines[key] = attributes.lines[key]


def _is_network(level: YamlMap) -> bool:
    return "meshX" not in level["attributes"]


def _level(leaf: Leaf, name: str, kind: str, attributes: dict[str, Any], mesh: tuple[int, int]) -> YamlMap:
    node = leaf.node.data
    x, y = mesh
    own = {key: value for key, value in attributes.items() if value is not None}
    inside = mapping_of({**own, "meshX": x, "meshY": y}, node)
    inside.lines |= {key: leaf.lines[key] for key in own if key in leaf.lines}
    estimated = {key: node[key] for key in _FOR_ESTIMATES if name == leaf.name and key in node}
    return mapping_of({"name": f"{name}[1..{x * y}]", "class": kind, **estimated, "attributes": inside}, node)


def _add_dummy(flat: Flat, leaf: Leaf, name: str, layer: Layer) -> None:
    """The directives of the level that stands for a fan-out: its loops in space are all that it has."""
    dims = layer.shape.dims
    for kind, constraint in leaf.constraints.items():
        if kind == "spatial":
            complete_permutation(constraint, layer)
            flat.directives.append(_directive(constraint, name))
        elif leaf.tag == "!Container":
            constraint.node.warn(f"a {kind} constraint of a container has no effect")
    node = leaf.node.data
    ones = {"factors": ",".join(f"{dim}=1" for dim in dims), "permutation": "".join(dims)}
    flat.directives.append(mapping_of({"target": name, "type": "temporal", **ones}, node))
    bypassed = [space.name for space in layer.shape.dataspaces]
    flat.directives.append(mapping_of({"target": name, "type": "bypass", "bypass": bypassed}, node))
    if leaf.tag == "!Container" and leaf.sparse is not None:
        leaf.node.warn("sparse options of a container have no effect", "sparse_optimizations")


def _add_component(flat: Flat, leaf: Leaf, layer: Layer) -> None:
    for kind, constraint in leaf.constraints.items():
        if kind == "spatial":
            if leaf.fanout == 1 and any(value != 1 for value in constraint.factors.values()):
                flat.directives.append(_directive(constraint, leaf.name))
        elif not leaf.is_storage:
            if kind == "temporal" and any(value > 1 for value in constraint.factors.values()):
                constraint.node.warn("the constraint of a compute unit has no effect")
        else:
            if kind == "temporal":
                complete_permutation(constraint, layer)
            flat.directives.append(_directive(constraint, leaf.name))


def _factor(constraint: Constraint, dim: str, sign: str, value: int) -> str:
    """A factor, with the size of the last tile where it does not divide the bound."""
    rest = constraint.remainders.get(dim) if sign == "=" else None
    return f"{dim}{sign}{value}" if rest is None else f"{dim}{sign}{value},{rest}"


def _directive(constraint: Constraint, target: str) -> YamlMap:
    kind = constraint.kind
    found: dict[str, Any] = {"target": target, "type": "bypass" if kind == "dataspace" else kind}
    if kind == "dataspace":
        found |= {key: constraint.names[key] for key in ("keep", "bypass") if constraint.names.get(key)}
    else:
        if constraint.factors:
            found["factors"] = ",".join(
                _factor(constraint, *each, n) for each, n in constraint.factors.items()
            )
        if constraint.permutation:
            found["permutation"] = "".join(constraint.permutation)
        found |= {key: constraint.counts[key] for key in _COUNTS if key in constraint.counts}
        for key, names in constraint.names.items():
            if names and kind in _NAMES.get(key, ()):
                found[_NAMES[key][kind]] = names
    return mapping_of(found, constraint.node.data)
