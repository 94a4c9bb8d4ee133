"""Reader of YAML with the extensions of version 0.4 documents: tags, significant quotes, and the deep merge
`<<<`.
"""

import json
import re
from typing import Any

from sparsim.errors import FormatError
from sparsim.files.yaml_reading import Builder, YamlMap, parse_yaml, plain_scalar

_NO_MERGE = "!nomerge"
_QUOTES = ("'", '"')
_UNQUOTED = "!unquoted"  # quoted text that is treated as unquoted, for objects that templates include
_MAX_MERGED = 200_000  # most values that deep merges copy
_RADIX = re.compile(r"[-+]?(?:0o[0-7_]+|0x[0-9a-fA-F_]+|0b[01_]+)")
_DIGITS = re.compile(r"[-+]?[0-9][0-9_]{0,30}")
_REAL = re.compile(r"[-+]?(?:[0-9][0-9_]*)?\.?[0-9_]*(?:[eE][-+]?[0-9]+)?")
_BARE = re.compile(r"[A-Za-z_][\w./*+<>=-]*")  # text with the same meaning without quotes everywhere


class Quoted(str):
    """Text in quotes, which is never an expression."""

    __slots__ = ()


class _TaggedBuilder(Builder):
    merge_keys = ("<<", "<<<")

    def __init__(self, loader: Any, name: str, *, may_hold_controls: bool) -> None:
        super().__init__(loader, name, may_hold_controls=may_hold_controls)
        self.whole: dict[int, Any] = {}  # values marked !nomerge by id; they stay alive, so ids are theirs
        self.copied = 0

    def tagged(self, event: Any, value: Any) -> Any:
        if event.tag == _NO_MERGE:
            self.whole[id(value)] = value
        elif event.tag != _UNQUOTED and not (isinstance(value, YamlMap) and event.tag.startswith("!")):
            value = super().tagged(event, value)
            return Quoted(value) if isinstance(value, str) else value
        return value

    def scalar(self, event: Any) -> Any:
        if event.tag and event.tag.startswith("!include"):
            hint = "a template's function include(...) reads the part of a file"
            raise FormatError(f"'{event.tag}' is not supported", path=self.where(event), hint=hint)
        if event.tag == _UNQUOTED:
            return self.text(event)
        if event.style in _QUOTES:
            return Quoted(self.text(event))
        return super().scalar(event)

    def mapping(self, start: Any, depth: int) -> YamlMap:
        result = super().mapping(start, depth)
        if start.tag and start.tag.startswith("!") and start.tag != _NO_MERGE:
            result.tag = start.tag
        return result

    def merge(self, into: YamlMap, key: str, sources: list[YamlMap], event: Any) -> None:
        if key == "<<":
            super().merge(into, key, sources, event)
        for source in sources if key == "<<<" else ():
            self._deepen(into, source, event)

    def _deepen(self, into: YamlMap, source: YamlMap, event: Any) -> None:
        """Add the content of `source`, recursively in mappings and to lists."""
        self._count(len(source), event)
        into.tag = into.tag or source.tag
        for key, value in source.items():
            own = into.get(key)
            if key not in into:
                into[key], into.lines[key] = value, source.lines[key]
            elif id(own) in self.whole:
                continue
            elif isinstance(own, YamlMap) and isinstance(value, YamlMap):
                into[key] = self._copy(own, event)
                self._deepen(into[key], value, event)
            elif isinstance(own, list) and isinstance(value, list):
                self._count(len(own) + len(value), event)
                into[key] = [*own, *value]

    def _copy(self, original: YamlMap, event: Any) -> YamlMap:
        self._count(len(original), event)
        copy = YamlMap()
        copy.update(original)
        copy.lines, copy.tag = dict(original.lines), original.tag
        return copy

    def _count(self, number: int, event: Any) -> None:
        self.copied += number
        if self.copied > _MAX_MERGED:
            raise FormatError(f"'<<<' merges more than {_MAX_MERGED} values", path=self.where(event))


def parse_tagged(text: str, name: str) -> YamlMap:
    """The mapping that the text holds, with tags, and text in quotes as `Quoted`.

    Raises FormatError as `parse_yaml` does; `name` stands for the file in messages.
    """
    return parse_yaml(text, name, _TaggedBuilder)


def number_of(text: str) -> int | float | None:
    """The number that unquoted text is in YAML 1.2 as Timeloop's front end reads it: 017 is 17, 0o17 15."""
    if _DIGITS.fullmatch(text):
        return int(text.replace("_", ""))
    if len(text) < 40 and _RADIX.fullmatch(text):
        return int(text.replace("_", ""), 0)
    if len(text) < 100 and any(c.isdigit() for c in text) and _REAL.fullmatch(text):
        try:
            return float(text.replace("_", ""))
        except ValueError:
            return None
    return None


def part_of(document: YamlMap, place: str, name: str) -> Any:
    """Return the value at a dotted path of a document. Raises FormatError, which names the file `name`."""
    found: Any = document
    for step in place.split(".") if place else ():
        if isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        elif isinstance(found, YamlMap) and step in found:
            found = found[step]
        else:
            raise FormatError(f"there is no '{step}' of '{place}' to include", path=name)
    return found


def flow_text(value: Any) -> str:
    """A value as YAML in one line, from which `parse_tagged` makes an equal one."""
    if isinstance(value, dict):
        tag = f"{value.tag} " if isinstance(value, YamlMap) and value.tag else ""
        inside = ", ".join(f"{json.dumps(str(key))}: {flow_text(item)}" for key, item in value.items())
        return f"{tag}{{{inside}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(flow_text, value))}]"
    if isinstance(value, Quoted):
        return json.dumps(str(value))
    if isinstance(value, str):
        bare = _BARE.fullmatch(value) and isinstance(plain_scalar(value), str)
        return value if bare else f"{_UNQUOTED} {json.dumps(value)}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return ".inf" if value > 0 else "-.inf"
    return repr(value)
