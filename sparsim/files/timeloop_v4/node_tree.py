"""The `nodes` of a version 0.4 architecture: components, containers and branches, expressions evaluated."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod
from typing import Any

from sparsim.errors import SpecError, near
from sparsim.files.timeloop.document_node import Node, describe
from sparsim.files.timeloop.read_architecture import COMPUTE_CLASSES, STORAGE_CLASSES
from sparsim.files.timeloop.read_networks import NETWORK_CLASSES
from sparsim.files.timeloop_v4.cimloop_arrays import ARRAY, NODE_KEY, split_of
from sparsim.files.timeloop_v4.constraints import Constraint, ConstraintReader
from sparsim.files.timeloop_v4.expression_functions import SpecObject
from sparsim.files.timeloop_v4.safe_expressions import Scope
from sparsim.files.timeloop_v4.values import Values
from sparsim.files.yaml_reading import YamlMap
from sparsim.records.number_limits import MAX_INT

_CLASSES = (*STORAGE_CLASSES, *COMPUTE_CLASSES, *NETWORK_CLASSES)
_BRANCHES = ("!Hierarchical", "!Parallel", "!Pipelined")
_LEAVES = ("!Component", "!Container", "!Nothing")
_COMMON = ("name", "attributes", "spatial", "constraints", "sparse_optimizations")
_KEYS = {
    "!Component": (
        *_COMMON, "class", "subclass", "enabled", "required_actions", "area_scale", "energy_scale",
    ),
    "!Container": (*_COMMON, "networks"),
    "!Nothing": ("name", "constraints"),
}  # fmt: skip
_MAX_NODES = 500  # every node has a copy of the attributes of the containers around it
_MAX_ATTRIBUTES = 1_000


@dataclass
class Leaf:
    """A component, a container, or the `!Nothing` of a parallel branch."""

    node: Node
    tag: str
    name: str
    kind: str = ""  # the name of the class
    attributes: dict[str, Any] = field(default_factory=dict)  # including those of the containers around it
    lines: dict[str, int] = field(default_factory=dict)  # lines of the attributes
    mesh: tuple[int, int] = (1, 1)
    constraints: dict[str, Constraint] = field(default_factory=dict)
    sparse: Node | None = None
    enabled: bool = True

    @property
    def fanout(self) -> int:
        return self.mesh[0] * self.mesh[1]

    @property
    def is_storage(self) -> bool:
        return _is_of(self.kind, STORAGE_CLASSES)

    @property
    def is_compute(self) -> bool:
        return not self.is_storage and _is_of(self.kind, COMPUTE_CLASSES)

    @property
    def is_network(self) -> bool:
        return _is_of(self.kind, NETWORK_CLASSES) and not self.is_storage and not self.is_compute


@dataclass
class Branch:
    node: Node
    tag: str
    nodes: list[Leaf | Branch]

    def leaves(self) -> list[Leaf]:
        """Return all leaves below, in document order."""
        found: list[Leaf] = []
        for node in self.nodes:
            found += node.leaves() if isinstance(node, Branch) else [node]
        return found


class TreeReader:
    """Reads nodes in document order.

    Parameters
    ----------
    values : Values
    constraints : ConstraintReader, optional
        Without it constraints are passed over.
    spec : dict
        The architecture's part of what expressions see as `spec`; nodes are added to it by name.
    is_cimloop : bool
        Whether nodes may be what CiMLoop adds.
    """

    def __init__(
        self,
        values: Values,
        constraints: ConstraintReader | None,
        spec: dict[str, Any],
        *,
        is_cimloop: bool = False,
    ) -> None:
        self.values, self.constraints, self.spec = values, constraints, spec
        self.is_cimloop = is_cimloop
        self.places: dict[str, str] = {}
        self.count = 0

    def read(self, root: Node, nodes: list[Node], scope: Scope) -> Branch:
        """Return the tree of an architecture. Raises SpecError."""
        ahead: dict[str, Any] = {}
        scope = ChainMap({}, scope, ahead)
        self._announce(nodes, scope, ahead)
        tree = Branch(root, "!Hierarchical", self._list(nodes, scope, {}))
        components = [leaf for leaf in tree.leaves() if leaf.tag == "!Component" and not leaf.is_network]
        computes = [leaf for leaf in components if leaf.is_compute]
        if not components or computes != components[-1:]:
            found = ", ".join(f"'{leaf.name}'" for leaf in computes) or "there is none"
            raise root.error(f"the last component, and only it, must be a compute unit: {found}")
        _warn_of_fanouts(tree)
        return tree

    def _announce(self, nodes: list[Node], scope: Scope, ahead: dict[str, Any]) -> None:
        """Add properties of later nodes that expressions can use: fan-outs that variables define."""
        self.count += len(nodes)
        if self.count > _MAX_NODES:
            raise nodes[0].error(f"an architecture has more than {_MAX_NODES} nodes")
        for node in nodes:
            name = node.get("name")
            if isinstance(name, str) and node.data.tag not in _BRANCHES:
                with suppress(SpecError):
                    mesh = self._mesh(node, scope)
                    ahead[name] = SpecObject({"get_fanout": _giving(prod(mesh)), "spatial": _seen_mesh(mesh)})
            self._announce(node.children("nodes"), scope, ahead)

    def _list(self, nodes: list[Node], outer: Scope, inherited: dict[str, Any]) -> list[Leaf | Branch]:
        scope: Scope = ChainMap({}, outer)
        found: list[Leaf | Branch] = []
        for node in nodes:
            tag = node.data.tag
            if tag == ARRAY and self.is_cimloop:
                tag = "!Container"
            if tag in _BRANCHES:
                for key in node.data:
                    if key not in ("nodes", "name"):
                        raise node.error(f"unknown key '{key}' of a {tag}", key, near(key, ("nodes",)))
                below = self._list(node.children("nodes"), scope, inherited)
                found.append(Branch(node, tag, below))
            elif tag in _LEAVES:
                leaf = self._leaf(node, tag, scope, inherited)
                if leaf.tag == "!Container":
                    own = {key: (value, leaf.lines[key]) for key, value in leaf.attributes.items()}
                    inherited = inherited | own
                    scope.update(leaf.attributes)
                if leaf.enabled:
                    found.append(leaf)
                if "networks" in node.data:
                    found += self._networks(node, scope, inherited)
            else:
                allowed = ", ".join((*_LEAVES, *_BRANCHES))
                given = f"the tag '{tag}' is not supported" if tag else "the tag of a node is missing"
                raise node.error(f"{given}; choose one of {allowed}")
        return found

    def _networks(self, container: Node, scope: Scope, inherited: dict[str, Any]) -> list[Leaf]:
        """The networks in a container's list, which count as nodes after it."""
        found = []
        for node in container.children("networks"):
            leaf = self._leaf(node, "!Component", scope, inherited)
            if not leaf.is_network:
                text = f"of a network must be one of {', '.join(NETWORK_CLASSES)}, got '{leaf.kind}'"
                raise node.error(text, "class")
            found.append(leaf)
        return found

    def _leaf(self, node: Node, tag: str, scope: Scope, inherited: dict[str, Any]) -> Leaf:
        for key in node.data:
            if self.is_cimloop and key == NODE_KEY:
                continue
            if key.replace("-", "_") not in _KEYS[tag]:
                raise node.error(f"unknown key '{key}' of a {tag}", key, near(key, _KEYS[tag]))
        name = self._name(node, tag, scope)
        leaf = Leaf(node, tag, name)
        own: dict[str, Any] = {"name": name}
        inner: Scope = ChainMap(own, scope)
        seen = SpecObject({"name": name, "get_fanout": lambda: leaf.fanout})
        if tag != "!Nothing":
            scope[name] = self.spec[name] = seen
        self._attributes(leaf, inherited, inner)
        if tag == "!Component":
            node.required(node.text("class"), "class")
        for key in node.data:
            if node.data[key] is not None:
                self._field(leaf, key.replace("-", "_"), own, inner)
        if node.data.tag == ARRAY and self.constraints is not None:
            spatial = leaf.constraints.setdefault("spatial", Constraint(node, "spatial"))
            spatial.counts["split"] = split_of(leaf.mesh)
        seen.fields |= {
            "attributes": SpecObject(leaf.attributes), "class": leaf.kind, "spatial": _seen_mesh(leaf.mesh),
        }  # fmt: skip
        return leaf

    def _name(self, node: Node, tag: str, scope: Scope) -> str:
        if tag == "!Nothing":
            return "!Nothing"
        given = node.required(node.text("name"), "name")
        name = str(self.values.plain(given, node, "name", scope))
        if name in self.places:
            raise node.error(
                f"a second node has the name '{name}'; the first is at {self.places[name]}", "name"
            )
        self.places[name] = node.where("name")
        return name

    def _attributes(self, leaf: Leaf, inherited: dict[str, Any], scope: Scope) -> None:
        """Fill the attributes: those of containers around, then its own, which may use the former."""
        leaf.attributes = {key: value for key, (value, _) in inherited.items()}
        leaf.lines = {key: line for key, (_, line) in inherited.items()}
        node = leaf.node.child("attributes")
        own: dict[str, Any] = {}
        inner: Scope = ChainMap(own, scope)
        for key in node.data if node is not None else ():
            assert node is not None
            own[key] = self.values.attribute(node, key, inner)
            leaf.lines[key] = node.data.lines[key]
        same = {key.replace("-", "_") for key in own}
        kept = {key: value for key, value in leaf.attributes.items() if key.replace("-", "_") not in same}
        leaf.attributes = kept | own
        if len(leaf.attributes) > _MAX_ATTRIBUTES:
            text = f"has {len(leaf.attributes)} attributes, those of containers included"
            raise leaf.node.error(f"{text}, at most {_MAX_ATTRIBUTES} are allowed", "attributes")

    def _field(self, leaf: Leaf, key: str, own: dict[str, Any], scope: Scope) -> None:
        node, values = leaf.node, self.values
        if key == "attributes":
            own["attributes"] = SpecObject(leaf.attributes)
        elif key == "class":
            leaf.kind = own["class"] = str(values.plain(node.text(key), node, key, scope))
            if not _is_of(leaf.kind, _CLASSES):
                raise node.error(
                    f"unknown class '{leaf.kind}'", key, f"a class contains one of {', '.join(_CLASSES)}"
                )
        elif key == "enabled":
            leaf.enabled = values.typed(node, key, bool, scope)
        elif key == "spatial":
            leaf.mesh = self._mesh(node, scope)
        elif key == "constraints" and self.constraints and (group := node.child(key)) is not None:
            leaf.constraints = self.constraints.inline(group, scope)
        elif key == "sparse_optimizations" and (group := node.child(key)) is not None:
            leaf.sparse = group

    def _mesh(self, node: Node, scope: Scope) -> tuple[int, int]:
        spatial = node.child("spatial")
        if spatial is None:
            return (1, 1)
        sides = []
        for key in spatial.data:
            if key not in ("meshX", "meshY"):
                raise spatial.error(f"unknown key '{key}'", key, near(key, ("meshX", "meshY")))
        for key in ("meshX", "meshY"):
            side = self.values.typed(spatial, key, int, scope)
            if side is not None and not 1 <= side <= MAX_INT:
                raise spatial.error(f"must be between 1 and {MAX_INT}, got {describe(side)}", key)
            sides.append(1 if side is None else side)
        return sides[0], sides[1]


def _giving(value: int) -> Callable[[], int]:
    return lambda: value


def _seen_mesh(mesh: tuple[int, int]) -> SpecObject:
    return SpecObject({"meshX": mesh[0], "meshY": mesh[1]})


def _is_of(kind: str, classes: tuple[str, ...]) -> bool:
    return any(name in kind for name in classes)


def _warn_of_fanouts(branch: Branch) -> None:
    """Warn of nodes after a nested list with a fan-out, which nothing closes."""
    for node, later in pairwise(branch.nodes):
        if isinstance(node, Branch) and any(leaf.fanout > 1 for leaf in node.leaves()):
            later.node.warn(f"lies inside the fan-out of the {node.tag} before it")
    for node in branch.nodes:
        if isinstance(node, Branch):
            _warn_of_fanouts(node)


def sparse_group(node: Node, values: Values, scope: Scope) -> YamlMap:
    """The sparse options of a node, with their expressions evaluated."""
    return _evaluated(node, values, scope)


def _evaluated(node: Node, values: Values, scope: Scope) -> YamlMap:
    result = YamlMap()
    result.lines = dict(node.data.lines)
    for key, value in node.data.items():
        if isinstance(value, YamlMap):
            child = node.child(key)
            assert child is not None
            result[key] = _evaluated(child, values, scope)
        elif isinstance(value, list) and value and isinstance(value[0], YamlMap):
            result[key] = [_evaluated(child, values, scope) for child in node.children(key)]
        elif key.replace("-", "_") in ("metadata_word_bits", "payload_word_bits"):
            result[key] = values.typed(node, key, int, scope)
        else:
            result[key] = values.plain(value, node, key, scope)
    return result
