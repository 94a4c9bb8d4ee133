"""The components of an architecture with the attributes that they inherit."""

from collections import ChainMap
from typing import Any, NamedTuple

from sparsim.files.accelergy.attribute_values import Expressions
from sparsim.files.timeloop.document_node import Node
from sparsim.files.timeloop.read_architecture import COMPUTE_CLASSES, STORAGE_CLASSES
from sparsim.files.timeloop.read_energy_tables import component_name

_WORD_BITS = ("word-bits", "word_bits", "word_width", "datawidth")
_OF_COMPUTES = ("width", "multiplier_width", "exponent", "mantissa", *_WORD_BITS)
_DEFAULT_BITS = 16  # default bits of a word in Timeloop's documents
_IN_CAPITALS_TOO = (
    "technology", "global_cycle_seconds", "action_latency_cycles", "cycle_seconds", "n_instances",
)  # fmt: skip
_BLOCK = ("block-size", "block_size", "n_words")


class Placed(NamedTuple):
    """A component with its place. `path` has the ranges of all nodes, `name` is its own name."""

    node: Node
    path: str
    name: str
    kind: str
    attributes: dict[str, Any]
    required_actions: tuple[str, ...]
    energy_scale: float
    area_scale: float

    @property
    def is_storage(self) -> bool:
        return any(one in (self.node.text("class") or "") for one in STORAGE_CLASSES)

    @property
    def is_compute(self) -> bool:
        return not self.is_storage and any(one in (self.node.text("class") or "") for one in COMPUTE_CLASSES)


class ArchitectureWalk:
    """Reads components in document order.

    Parameters
    ----------
    expressions : Expressions
    variables : dict
    is_evaluated : bool
        Whether the attributes are values already, in which text is text.
    """

    def __init__(self, expressions: Expressions, variables: dict[str, Any], is_evaluated: bool) -> None:
        self.expressions, self.variables, self.is_evaluated = expressions, variables, is_evaluated

    def components(self, root: Node) -> list[Placed]:
        """Return the components. Raises SpecError for attributes whose expressions fail."""
        found: list[Placed] = []
        self._visit(root, "", dict(self.variables), found)
        return found

    def _visit(self, node: Node, path: str, outer: dict[str, Any], found: list[Placed]) -> None:
        """Add the local components of a node, then those below it."""
        inherited = outer | self._values(node.child("attributes"), outer)
        for component in node.children("local"):
            if component.has("name") and component.has("class"):
                found.append(self._placed(component, path, inherited))
        for below in node.children("subtree"):
            name = below.text("name") or ""
            self._visit(below, f"{path}{name}." if name else path, inherited, found)

    def _placed(self, node: Node, path: str, inherited: dict[str, Any]) -> Placed:
        kind = node.text("subclass") or node.text("class") or ""
        attributes = inherited | self._values(node.child("attributes"), inherited)
        for key in _IN_CAPITALS_TOO:
            if key not in attributes and key.upper() in attributes:
                attributes[key] = attributes[key.upper()]
        found = Placed(node, "", "", kind, attributes, (), 1.0, 1.0)
        if found.is_storage:
            attributes = _with_sizes(attributes)
        elif found.is_compute and not any(key in attributes for key in _OF_COMPUTES):
            attributes = {**attributes, "datawidth": _DEFAULT_BITS}
        name = node.required(node.text("name"), "name")
        scales = [
            self.expressions.number(node, key, attributes) if node.has(key) else 1.0
            for key in ("energy_scale", "area_scale")
        ]
        required = node.names("required_actions") if node.has("required_actions") else ()
        return found._replace(
            path=path + name, name=component_name(name), attributes=attributes, required_actions=required,
            energy_scale=scales[0], area_scale=scales[1],
        )  # fmt: skip

    def _values(self, node: Node | None, outer: dict[str, Any]) -> dict[str, Any]:
        own: dict[str, Any] = {}
        for key in node.data if node is not None else ():
            assert node is not None
            if node.data[key] is None:
                continue
            scope = ChainMap(own, outer)
            own[key] = node.data[key] if self.is_evaluated else self.expressions.value(node, key, scope)
        return own


def _with_sizes(given: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes with the width and the depth that Timeloop computes from words, blocks and
    entries.
    """

    def number(*keys: str) -> int | float | None:
        values = (given.get(key) for key in keys)
        return next((value for value in values if isinstance(value, int | float)), None)

    found = dict(given)
    word, block = number(*_WORD_BITS) or _DEFAULT_BITS, number(*_BLOCK) or 1
    if number("width", "memory_width", "data_storage_width") is None:
        found["width"] = word * block * (number("cluster-size", "cluster_size") or 1)
    if number("depth", "memory_depth", "data_storage_depth") is None:
        entries, kilobytes = number("entries"), number("sizeKB")
        if entries is not None:
            found["depth"] = max(1, entries // block)
        elif kilobytes is not None:
            found["depth"] = max(1, kilobytes * 1024 * 8 // (word * block))
    return found
