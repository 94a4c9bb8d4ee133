"""The sections of a set of version 0.4 documents: the meaning of top-level keys, and files combined."""

from collections.abc import Sequence
from typing import Any

from sparsim.errors import SpecError, near
from sparsim.files.timeloop.document_node import Context, Node
from sparsim.files.yaml_reading import YamlMap

_EXACT = (
    "architecture", "problem", "mapper", "variables", "mapspace", "sparse_optimizations", "ERT", "ART",
)  # fmt: skip
_UNREAD = ("ERT_summary", "ART_summary", "flattened_architecture")  # sections of Accelergy's output
_BY_PART = ("components", "constraints", "mapping", "globals")  # a key that contains one of them is it
_JOINED = {"nodes", "targets", "tables", "classes", "expression_custom_functions"}  # lists that are appended
_VERSION = 0.4
_VERSIONED = ("architecture", "problem", "constraints")


class Sections:
    """The sections by name, each with the contents of all files, and the lists of `Node`s in them."""

    def __init__(self, files: Sequence[tuple[str, YamlMap]], context: Context) -> None:
        self.context = context
        self.files = files
        self.parts: dict[str, list[Node]] = {}  # the mappings of a section
        self.directives: list[Node] = []  # directives of mappings in lists without a mapping around them
        for file, data in files:
            root = Node(_without_ignored(data, {}), file, "", context)
            for key in root.data:
                if key not in _UNREAD:
                    self._add(root, key)

    def _add(self, root: Node, key: str) -> None:
        section = section_of(key)
        if section is None:
            raise root.error(f"unknown key '{key}'", key, near(key, (*_EXACT, *_BY_PART)))
        if section == "mapping":
            if isinstance(root.data[key], YamlMap) and root.data[key].get("type") == "fused":
                raise root.error("mappings of the type 'fused' (LoopTree) are not supported", key)
            self.directives += root.children(key)
        elif section == "variables" and isinstance(root.data[key], list):
            self.parts.setdefault(section, []).extend(root.children(key))
        elif section == "components" and isinstance(root.data[key], list):
            return
        elif (part := root.child(key)) is not None:
            allowed = (None, _VERSION, 0.3) if section == "problem" else (None, _VERSION)
            if section in _VERSIONED and part.number("version") not in allowed:
                hint = (
                    "an architecture of another file has nodes, as version 0.4; give documents of one version"
                )
                raise part.error(f"must be {_VERSION}, got {part.get('version')}", "version", hint)
            self.parts.setdefault(section, []).append(part)

    def one(self, section: str) -> Node | None:
        """Return the section as one mapping; None if no file has it. Raises SpecError for contradictions."""
        parts = self.parts.get(section)
        if not parts:
            return None
        first = parts[0]
        if len(parts) == 1:
            return first
        merged = first.data
        for part in parts[1:]:
            merged = _combined(merged, part.data, part, ())
        return Node(merged, first.file, first.path, self.context)

    def listed(self, section: str, key: str) -> list[Node]:
        """Return the mappings of the list `key` of all parts of a section."""
        return [child for part in self.parts.get(section, ()) for child in part.children(key)]


def section_of(key: str) -> str | None:
    """Return the section that a top-level key belongs to; None for an unknown key."""
    plain = key.replace("-", "_")
    if plain in _EXACT:
        return plain
    return next((name for name in _BY_PART if name in plain), None)


def _without_ignored(value: Any, known: dict[int, Any]) -> Any:
    """Remove keys that contain `ignore`; `known` has what was seen, by id."""
    if not isinstance(value, list | YamlMap):
        return value
    if id(value) not in known:
        known[id(value)] = _copied(value, known)
    return known[id(value)]


def _copied(value: list[Any] | YamlMap, known: dict[int, Any]) -> Any:
    if isinstance(value, list):
        items = [_without_ignored(item, known) for item in value]
        return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
    kept = {key: _without_ignored(item, known) for key, item in value.items() if "ignore" not in key}
    if len(kept) == len(value) and all(kept[key] is value[key] for key in kept):
        return value
    result = YamlMap()
    result.update(kept)
    result.lines, result.tag = {key: value.lines[key] for key in kept}, value.tag
    return result


def _combined(a: YamlMap, b: YamlMap, where: Node, path: tuple[str, ...]) -> YamlMap:
    result = YamlMap()
    result.update(a)
    result.lines, result.tag = dict(a.lines), a.tag
    for key, value in b.items():
        if key not in a:
            result[key], result.lines[key] = value, b.lines[key]
        elif isinstance(a[key], YamlMap) and isinstance(value, YamlMap):
            result[key] = _combined(a[key], value, where, (*path, key))
        elif isinstance(a[key], list) and isinstance(value, list) and key in _JOINED:
            result[key] = [*a[key], *value]
        elif a[key] != value:
            name = ".".join((*path, key))
            raise SpecError(f"'{name}' is defined twice, with different contents", path=where.where())
    return result
