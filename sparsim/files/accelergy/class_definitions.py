"""Classes of components that documents define, compound ones and the defaults of primitive ones."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sparsim.files.timeloop.document_node import Context, Node
from sparsim.files.yaml_reading import YamlMap

_SECTIONS = ("compound_components", "primitive_components", "components")
_KEYS = ("name", "attributes", "subcomponents", "actions", "primitive_type", "version")


class ClassDefinition(NamedTuple):
    """`primitive_type`: the class that estimates it in place of its subcomponents."""

    node: Node
    name: str
    attributes: Node | None
    subcomponents: list[Node]
    actions: dict[str, Node]
    primitive_type: str | None

    @property
    def is_compound(self) -> bool:
        return self.node.has("subcomponents") and self.primitive_type is None


def has_definitions(files: Sequence[tuple[str, YamlMap]]) -> bool:
    return any(_is_section(key) for _, data in files for key in data)


def read_definitions(files: Sequence[tuple[str, YamlMap]], context: Context) -> dict[str, ClassDefinition]:
    """The classes of all files by name.

    Raises SpecError for an invalid definition and for two of the same name.
    """
    found: dict[str, ClassDefinition] = {}
    for file, data in files:
        root = Node(data, file, "", context)
        for key in data:
            section = root.child(key) if _is_section(key) else None
            for node in _flat(section, "classes") if section is not None else ():
                one = _definition(node)
                earlier = found.setdefault(one.name, one)
                if earlier.node.data != node.data:
                    raise node.error(f"class '{one.name}' is defined differently at {earlier.node.where()}")
    return found


def _flat(section: Node, key: str) -> list[Node]:
    """The mappings of a list, and of lists in it: templates include several files as a list of lists."""
    nodes = []
    for i, item in enumerate(section.items(key) or []):
        one = YamlMap()
        one[key], one.lines = _mappings(item), {key: section.data.lines.get(section.spelled(key), 1)}
        nodes += Node(one, section.file, f"{section.path}[{i}]", section.context).children(key)
    return nodes


def _mappings(item: Any) -> list[Any]:
    if not isinstance(item, list):
        return [item]
    return [found for below in item for found in _mappings(below)]


def _is_section(key: str) -> bool:
    return key.replace("-", "_") in _SECTIONS


def _definition(node: Node) -> ClassDefinition:
    name = node.required(node.text("name"), "name")
    node.report_unknown(_KEYS)
    actions = {one.required(one.text("name"), "name"): one for one in node.children("actions")}
    for action, one in actions.items():
        if "(" in action:
            raise one.error(f"must be a name, got '{action}'", "name")
    attributes = node.child("attributes")
    subcomponents = node.children("subcomponents")
    return ClassDefinition(node, name, attributes, subcomponents, actions, node.text("primitive_type"))
