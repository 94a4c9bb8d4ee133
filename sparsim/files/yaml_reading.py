"""Reader of YAML files as plain Python data: YAML 1.2 scalars, no duplicate keys, and the line of every
key.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from yaml import (
    AliasEvent,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from sparsim.errors import FormatError
from sparsim.fileio.reading import read_text, reading

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser is about ten times as fast
_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
CORE_TAGS = "tag:yaml.org,2002:"
_NUMBER_STARTS = frozenset("+-.0123456789")
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")  # 010 and 0x10 mean different numbers to different programs
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_MAX_DEPTH = 100
MAX_DIGITS = 18  # fits 64 bits, with and without a sign
_MAX_WRITTEN = 500_000  # most values of a file: the parser reads about 200,000 per second
_MAX_TAG_LINES = 100  # the parser compares each %TAG directive with all others
_MAX_VALUES = 2_000_000  # aliases of aliases of aliases can describe more than any memory holds


class YamlMap(dict[str, Any]):
    """A mapping that remembers where it was written: `lines[key]` is the line of a key, from 1.

    `tag` is the YAML tag that stands before it, as in `!Container {}`, where the reader keeps tags.
    """

    __slots__ = ("lines", "tag")

    def __init__(self) -> None:
        self.lines: dict[str, int] = {}
        self.tag = ""


def load_yaml(path: str | Path, text: str | None = None) -> YamlMap:
    """The mapping that the file holds, in file order. Its `text` may be at hand.

    Scalars follow YAML 1.2's core schema: `1e-05` and `1E3` are numbers, `yes`, `off`, `N`, `12:30` text; so
    are, other than there, `010`, `0o10` and `0x10`. Anchors and merge keys are resolved.

    Raises FormatError for a file that is missing, empty, binary, not YAML, not a mapping, has a key twice,
    control characters in its text, or a tag that names no type of YAML.
    """
    with reading(path, "a YAML file"):
        return parse_yaml(read_text(path, what="a YAML file") if text is None else text, str(path))


def parse_yaml(text: str, name: str, builder: type[Builder] | None = None) -> YamlMap:
    """Like `load_yaml`, for text that is at hand; `name` stands for the file in messages.

    `builder` may be a `Builder` with rules of its own.
    """
    if text.count("%TAG") > _MAX_TAG_LINES:
        raise FormatError(f"has more than {_MAX_TAG_LINES} '%TAG' directives", path=name)
    try:
        controls = "\\" in text or _CONTROL.search(text) is not None
        root = (builder or Builder)(_Loader(text), name, may_hold_controls=controls).document()
    except UnicodeEncodeError as error:  # a template can make half of a surrogate pair
        code = ord(error.object[error.start])
        raise FormatError(f"not a text file: character U+{code:04X} at {error.start}", path=name) from None
    except yaml.reader.ReaderError as error:
        code = error.character if isinstance(error.character, int) else ord(error.character)
        raise FormatError(f"not a text file: character U+{code:04X} at {error.position}", path=name) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise FormatError(f"not YAML: {error.problem or error.context}", path=where) from None
    if not isinstance(root, YamlMap):
        kind = "a list" if isinstance(root, list) else "plain text"
        raise FormatError(f"must be a mapping of keys to values, got {kind}", path=name)
    return root


def plain_scalar(text: str) -> Any:
    """What unquoted text means: None, a bool, an int, a float, or the text itself (see `load_yaml`)."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


_scalar_of_parser = lru_cache(maxsize=4096)(plain_scalar)  # not for subclasses of str, which equal others
_TYPES: dict[str, tuple[type, ...]] = {
    "null": (type(None),), "bool": (bool,), "int": (int,), "float": (int, float), "str": (str,),
    "seq": (list,), "map": (YamlMap,),
}  # fmt: skip


class Extent(NamedTuple):
    """How many values a value stands for, itself included, and how deep they are nested."""

    size: int = 1
    height: int = 1


class Builder:
    """Turns the events of the parser into data; the composer of PyYAML recurses in C without a limit."""

    merge_keys: tuple[str, ...] = ("<<",)

    def __init__(self, loader: Any, name: str, *, may_hold_controls: bool) -> None:
        self.next = loader.get_event
        self.written = 0  # number of values that were read
        self.named = 0  # number of values that aliases represent
        self.merged = 0  # number of values that merge keys have named
        self.name = name
        self.may_hold_controls = may_hold_controls
        self.anchors: dict[str, Any] = {}
        self.extents: dict[int, tuple[Extent, Any]] = {}  # by id, with the value, so that ids stay its own

    def document(self) -> Any:
        self.next()  # start of the stream
        if isinstance(self.next(), StreamEndEvent):
            raise FormatError("is empty", path=self.name)
        root = self.value(self.next(), 0)
        self.next()  # end of the document
        event = self.next()
        if not isinstance(event, StreamEndEvent):
            raise FormatError("a second document starts here; a file must hold one", path=self.where(event))
        if root is None:
            raise FormatError("is empty", path=self.name)
        return root

    def value(self, event: Any, depth: int) -> Any:
        """Return the value that starts with `event`."""
        self.written += 1
        if self.written > _MAX_WRITTEN:
            raise FormatError(f"holds more than {_MAX_WRITTEN} values", path=self.where(event))
        kind = type(event)
        if kind is AliasEvent:
            return self.alias(event, depth)
        if depth >= _MAX_DEPTH:
            raise FormatError(f"nested more than {_MAX_DEPTH} deep", path=self.where(event))
        if kind is ScalarEvent:
            text = event.value  # most values need no more than this
            special = event.style or event.tag or len(text) > MAX_DIGITS
            value = self.scalar(event) if special else _scalar_of_parser(text)
        elif kind is SequenceStartEvent:
            value = self.sequence(event, depth)
        else:
            value = self.mapping(event, depth)
        if event.tag:
            value = self.tagged(event, value)
        if event.anchor:
            self.anchors[event.anchor] = value
        return value

    def tagged(self, event: Any, value: Any) -> Any:
        """Return a value with the type that its tag names, as in `!!str 10`."""
        name = event.tag.removeprefix(CORE_TAGS)
        if type(event) is ScalarEvent:
            value = self.text(event) if name in ("!", "str") else plain_scalar(event.value)
        if name != "!" and type(value) not in _TYPES.get(name, ()):
            shown = event.tag.replace(CORE_TAGS, "!!")
            raise FormatError(f"the tag '{shown}' is not supported here", path=self.where(event))
        return value

    def alias(self, event: Any, depth: int) -> Any:
        """Return the value that an alias represents."""
        if event.anchor not in self.anchors:
            raise FormatError(f"alias '*{event.anchor}' has no anchor before it", path=self.where(event))
        value = self.anchors[event.anchor]
        extent = self.extent(value)
        if depth + extent.height > _MAX_DEPTH:
            raise FormatError(f"nested more than {_MAX_DEPTH} deep", path=self.where(event))
        self.named += extent.size
        if self.named > _MAX_VALUES:
            raise FormatError(f"aliases stand for more than {_MAX_VALUES} values", path=self.where(event))
        return value

    def extent(self, value: Any) -> Extent:
        """Return the extent of a complete value."""
        if not isinstance(value, dict | list):
            return Extent()
        if id(value) not in self.extents:
            inner = [self.extent(item) for item in (value.values() if isinstance(value, dict) else value)]
            found = Extent(
                1 + sum(extent.size for extent in inner),
                1 + max((extent.height for extent in inner), default=0),
            )
            self.extents[id(value)] = found, value
        return self.extents[id(value)][0]

    def sequence(self, start: Any, depth: int) -> list[Any]:
        result = []
        following = self.next
        while type(event := following()) is not SequenceEndEvent:
            result.append(self.value(event, depth + 1))
        return result

    def mapping(self, start: Any, depth: int) -> YamlMap:
        result = YamlMap()
        merges: list[tuple[str, Any, Any]] = []  # merge key, what it names, where
        following, lines, merge_keys = self.next, result.lines, self.merge_keys
        while type(event := following()) is not MappingEndEvent:
            line = event.start_mark.line + 1
            if type(event) is not ScalarEvent:
                raise FormatError("a key is not plain text", path=self.where(event))
            key = self.text(event) if self.may_hold_controls else event.value
            value = self.value(following(), depth + 1)
            if key in merge_keys and not event.style:
                merges.append((key, value, event))
            elif key in result:
                raise FormatError(
                    f"key '{key}' appears twice, first in line {lines[key]}", path=self.where(event)
                )
            else:
                result[key], lines[key] = value, line
        for key, value, event in merges:
            self.merge(result, key, self.sources(key, value, event), event)
        return result

    def sources(self, key: str, value: Any, event: Any) -> list[YamlMap]:
        """The mappings that a merge key names."""
        found: list[YamlMap] = value if isinstance(value, list) else [value]
        if not all(isinstance(source, YamlMap) for source in found):
            raise FormatError(f"'{key}' must merge a mapping", path=self.where(event))
        return found

    def merge(self, into: YamlMap, key: str, sources: list[YamlMap], event: Any) -> None:
        """Add the entries that `<<` names; existing entries are kept."""
        for source in sources:
            self.merged += len(source)
            if self.merged > _MAX_VALUES:
                raise FormatError(f"merges more than {_MAX_VALUES} values", path=self.where(event))
            for name in source:
                if name not in into:
                    into[name] = source[name]
                    into.lines[name] = source.lines[name]

    def scalar(self, event: Any) -> Any:
        if event.style:  # quoted, or a block of text
            return self.text(event)
        if len(event.value) > MAX_DIGITS and _INT.fullmatch(event.value):
            raise FormatError(f"a number has more than {MAX_DIGITS} digits", path=self.where(event))
        return plain_scalar(event.value)

    def text(self, event: Any) -> str:
        """The text of a scalar, in which only quotes allow for control characters: no name has any."""
        text: str = event.value
        if self.may_hold_controls and (found := _CONTROL.search(text)):
            code = f"U+{ord(found[0]):04X}"
            raise FormatError(f"a text has the control character {code}", path=self.where(event))
        return text

    def where(self, event: Any) -> str:
        return f"{self.name}:{self.line(event)}"

    def line(self, event: Any) -> int:
        line: int = event.start_mark.line + 1
        return line
