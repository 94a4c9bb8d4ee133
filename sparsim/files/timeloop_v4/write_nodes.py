"""Writer of documents of version 0.4: levels as nodes, and a level of the mapping for each fan-out.

In version 0.4 the loops in space belong to a level of their own, `inter_NAME_spatial`, which stores nothing.
"""

from __future__ import annotations

from typing import Any, TypeVar

import yaml
from msgspec.structs import replace

from sparsim.errors import SpecError
from sparsim.files.timeloop.write_constraints import FANOUT
from sparsim.records import (
    Accelerator,
    Architecture,
    Compute,
    Layer,
    LevelConstraint,
    LevelMapping,
    Mapping,
    Mapspace,
    Storage,
)
from sparsim.records.architecture import Network

_PLACES = ("instances", "meshX", "meshY")
_Level = TypeVar("_Level", LevelMapping, LevelConstraint)
_IN_SPACE = ("no_link_transfer", "no_multicast_no_reduction")


class _Node(dict[str, Any]):
    """A node of the architecture with its tag."""

    def __init__(self, tag: str, **fields: Any) -> None:
        self.tag = tag
        super().__init__(fields)


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(_Node, lambda dumper, node: dumper.represent_mapping(node.tag, node))


def node_text(key: str, document: Any) -> str:
    text: str = yaml.dump(
        {key: document}, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=120
    )
    return text


def with_fanouts(
    accelerator: Accelerator, layer: Layer, mapping: Mapping | None, mapspace: Mapspace | None
) -> tuple[Accelerator, Mapping | None, Mapspace | None]:
    """The accelerator, the mapping and the mapspace with a level for each fan-out that has none.

    Raises SpecError for a network with parameters of its own, which version 0.4 cannot place.
    """
    arch = accelerator.architecture
    mapped = {level.level: level for level in mapping.levels} if mapping else {}
    constrained = {level.level: level for level in mapspace.levels} if mapspace else {}
    everything = tuple(dataspace.name for dataspace in layer.shape.dataspaces)
    levels: list[Storage] = []
    found: list[LevelMapping] = []
    limits: list[LevelConstraint] = []
    inner: list[Storage | Compute] = [*arch.storage[1:], arch.compute]
    for level, below in zip(arch.storage, inner, strict=True):
        if level.network.named:
            raise SpecError(f"the networks that '{level.name}' names cannot be written in version 0.4")
        mine = mapped.get(level.name, LevelMapping(level=level.name))
        limit = constrained.get(level.name, LevelConstraint(level=level.name))
        levels.append(level)
        if below.mesh == (1, 1) or FANOUT.fullmatch(level.name):
            found.append(mine)
            limits.append(limit)
            continue
        if level.network != Network():
            raise SpecError(f"the network of '{level.name}' has parameters, which version 0.4 cannot place")
        fanout = Storage(name=f"inter_{below.name}_spatial", size_words=1)
        levels.append(fanout)
        found += _split(mine, LevelMapping(level=fanout.name, spatial=mine.spatial, bypass=everything))
        limits += _split(limit, LevelConstraint(level=fanout.name, spatial=limit.spatial))
    flat = replace(accelerator, architecture=replace(arch, storage=tuple(levels)))
    if mapping is not None:
        mapping = replace(mapping, levels=tuple(found))
    return flat, mapping, None if mapspace is None else replace(mapspace, levels=tuple(limits))


def _split(level: _Level, fanout: _Level) -> tuple[_Level, _Level]:
    """A level without what belongs to its loops in space, and the level of the fan-out with it."""
    flags = {key: getattr(level, key) for key in _IN_SPACE}
    return replace(level, spatial=None, **dict.fromkeys(_IN_SPACE, ())), replace(fanout, **flags)


def with_nodes(documents: dict[str, Any], arch: Architecture) -> dict[str, Any]:
    """Documents of version 0.3, whose fan-outs are levels, in version 0.4."""
    (inside,) = documents["architecture"]["subtree"]
    nodes: list[_Node] = []
    mesh: dict[str, Any] = {}  # fan-out of the next component, if it has its own
    for entry, below in zip(inside["local"], [*arch.storage[1:], arch.compute, None], strict=True):
        fanout = FANOUT.fullmatch(entry["name"])
        if fanout and below is not None and below.mesh != (1, 1):
            mesh = {"spatial": {"meshX": below.mesh[0], "meshY": below.mesh[1]}}
            if fanout["name"] != below.name:
                nodes.append(_Node("!Container", name=fanout["name"], **mesh))
                mesh = {}
            continue
        attributes = {key.replace("-", "_"): v for key, v in _without(entry["attributes"], _PLACES).items()}
        fields = {"name": entry["name"], "class": entry["class"], **mesh, "attributes": attributes}
        nodes.append(_Node("!Component", **fields))
        mesh = {}
    found = documents | {"architecture": {"version": 0.4, "nodes": nodes}}
    for key in ("problem", "ERT", "ART"):
        if key in found:
            found[key] = found[key] | {"version": 0.4}
    if "sparse_optimizations" in found:
        named = found["sparse_optimizations"]["targets"]
        targets = [{"target": item["name"], **_without(item, ("name",))} for item in named]
        found["sparse_optimizations"] = {"targets": targets}
    return found


def _without(fields: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key not in keys}
