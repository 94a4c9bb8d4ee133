"""Typed look-ups in Timeloop documents, with the conversions of the reference and messages that say where."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from sparsim.errors import LONGEST_NAME, SpecError
from sparsim.files.yaml_reading import MAX_DIGITS, YamlMap, plain_scalar
from sparsim.records.record import Record

_FLAGS = {
    "true": True,
    "yes": True,
    "on": True,
    "y": True,
    "false": False,
    "no": False,
    "off": False,
    "n": False,
}
_RANGE = re.compile(r"(?P<name>[^\[]*)\[\s*(?P<first>\d+)\s*\.\.\s*(?P<last>\d+)\s*\]")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
_NEAR = 0.7  # least similarity at which a key with the same first letter is considered a misspelling

T = TypeVar("T")


class Context(NamedTuple):
    """Context that all documents of one reading share."""

    variables: dict[str, Any]
    warnings: list[str]


class Node:
    """A mapping somewhere in a document. `path` is its keys and indices from the top of `file`."""

    def __init__(self, data: YamlMap, file: str, path: str, context: Context) -> None:
        self.data, self.file, self.path, self.context = data, file, path, context
        self._spellings: dict[str, str] | None = None  # keys of the mapping by their form with hyphens

    def spelled(self, key: str) -> str:
        """Return the spelling of `key` in this mapping; hyphens and underscores are equal."""
        if key in self.data or not ("_" in key or "-" in key):
            return key
        if self._spellings is None:
            self._spellings = {}
            for seen in self.data:
                self._spellings.setdefault(seen.replace("_", "-"), seen)
        return self._spellings.get(key.replace("_", "-"), key)

    def get(self, key: str) -> Any:
        """Return the value of `key`, in either spelling; None if it is missing."""
        value = self.data.get(key)
        return self.data.get(self.spelled(key)) if value is None else value

    def holds(self, key: str) -> bool:
        """Return whether `key` is present, even if it is empty."""
        return self.spelled(key) in self.data

    def where(self, key: str | None = None) -> str:
        key = self.spelled(key) if key else None
        line = self.data.lines.get(key) if key else min(self.data.lines.values(), default=None)
        place = f"{self.file}:{line}" if line else self.file
        path = ".".join(part for part in (self.path, key) if part)
        return f"{place}: {path}" if path else place

    def error(self, message: str, key: str | None = None, hint: str = "") -> SpecError:
        return SpecError(message, path=self.where(key), hint=hint)

    def warn(self, message: str, key: str | None = None) -> None:
        self.context.warnings.append(f"{self.where(key)}: {message}")

    @contextmanager
    def located(self, key: str | None = None) -> Iterator[None]:
        """Put this place in front of errors of the records that are made in the block."""
        try:
            yield
        except SpecError as error:
            if error.path.startswith(self.file):
                raise
            raise error.within(self.where(key)) from None

    # Scalars. The first of the keys that is present and not null is used.

    def has(self, *keys: str) -> bool:
        return any(self.get(key) is not None for key in keys)

    def integer(self, *keys: str) -> int | None:
        """Return a whole number; None if no key is present."""
        return self._convert(keys, _integer, "a whole number of 64 bits")

    def from_digits(self, digits: str, key: str) -> int:
        """Return the whole number `digits`, part of the text of `key`; Python refuses very long ones."""
        if len(digits) > MAX_DIGITS:
            raise self.error(f"must be a number of at most {MAX_DIGITS} digits, got {len(digits)}", key)
        return int(digits)

    def number(self, *keys: str, infinite: bool = False) -> float | None:
        """Return a number, finite unless `infinite` is allowed; None if no key is present."""
        for key in keys:
            value = self.get(key)
            if isinstance(value, str) and value in self.context.variables:
                self.warn(f"is the variable '{value}', which Timeloop reads as 0 here", key)
        return self._convert(keys, _number if infinite else _finite, "a finite number")

    def flag(self, key: str) -> bool | None:
        return self._convert((key,), _flag, "true or false")

    def text(self, key: str) -> str | None:
        value = self.data.get(key)
        if type(value) is str and not self.context.variables:  # what most values are
            return value
        return self._convert((key,), _text, "text")

    def _convert(self, keys: tuple[str, ...], convert: Callable[[Any], T | None], kind: str) -> T | None:
        for key in keys:
            value = self.get(key)
            if value is None:
                continue
            for _ in self.context.variables:  # a variable may name another one
                if isinstance(value, str):
                    value = self.context.variables.get(value, value)
            result = convert(value)
            if result is None:
                octal = isinstance(value, str) and _LEADING_ZERO.fullmatch(value)
                hint = "Timeloop reads a number with a leading 0 as octal" if octal else ""
                raise self.error(f"must be {kind}, got {describe(value)}", key, hint=hint)
            return result
        return None

    # Structure.

    def required(self, value: T | None, key: str) -> T:
        if value is None:
            raise self.error(f"'{key}' is missing", hint=self.misspelt(key))
        return value

    def child(self, key: str) -> Node | None:
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, YamlMap):
            raise self.error(f"must be a mapping, got {describe(value)}", key)
        path = ".".join(part for part in (self.path, self.spelled(key)) if part)
        return Node(value, self.file, path, self.context)

    def blank(self) -> Node:
        return Node(YamlMap(), self.file, self.path, self.context)

    def items(self, key: str) -> list[Any] | None:
        value = self.get(key)
        if value is not None and not isinstance(value, list):
            raise self.error(f"must be a list, got {describe(value)}", key)
        return value

    def children(self, key: str) -> list[Node]:
        """Return the mappings of a list; none if the key is missing."""
        prefix = ".".join(part for part in (self.path, self.spelled(key)) if part)
        nodes = []
        for i, value in enumerate(self.items(key) or []):
            if not isinstance(value, YamlMap):
                raise self.error(f"item {i} must be a mapping, got {describe(value)}", key)
            nodes.append(Node(value, self.file, f"{prefix}[{i}]", self.context))
        return nodes

    def names(self, key: str) -> tuple[str, ...]:
        """A list of names; empty if the key is missing."""
        return tuple(self._name(value, key) for value in self.items(key) or [])

    def _name(self, value: Any, key: str) -> str:
        name = _text(value)
        if name is None:
            raise self.error(f"must hold names, got {describe(value)}", key)
        return name

    # Keys that are not read.

    def report_unknown(self, known: Iterable[str], harmless: Iterable[str] | None = None) -> None:
        """Warn of keys outside of `known`.

        With `harmless` the mapping is also written for other programs: these keys are passed over, and others
        are reported only if they look like a misspelt known one.
        """
        known = tuple(known)
        plain = _hyphenated(known)
        if plain.issuperset(self.data):
            return
        spellings: dict[str, str] = {}
        for key in self.data:
            if (same := key.replace("_", "-")) in plain:
                if (other := spellings.setdefault(same, key)) != key and self.data[other] != self.data[key]:
                    raise self.error(f"'{other}' is given as well and means the same", key)
                continue
            close = near_key(key, (*known, *(harmless or ())))
            if close in known:
                self.warn(f"unknown key is ignored (did you mean '{close}'?)", key)
            elif harmless is None:
                self.warn("unknown key is ignored", key)

    def misspelt(self, *keys: str) -> str:
        """Return a hint if some key of this mapping resembles one of `keys`."""
        for key in self.data:
            if key not in keys and (close := near_key(key, keys)):
                return f"there is '{key}'; did you mean '{close}'?"
        return ""


class _Content:
    """A node in a key, equal to nodes of the same mapping in memory, as equal texts are parsed once, or with
    `by_value` to nodes of equal mappings.
    """

    def __init__(self, node: Node, by_value: bool) -> None:
        self.data, self.file, self.path = node.data, node.file, node.path
        self.key = (repr(self.data) if by_value else id(self.data), self.path)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Content) and self.key == other.key


class _Kept(NamedTuple):
    result: Any
    warnings: tuple[str, ...]
    files: tuple[str, ...]


def read_once(read: Callable[..., T], *given: Node | Record | None, by_value: bool = False) -> T:
    """Return `read(*given)`, from a cache if it was called for the same contents before.

    `read` must depend on the contents alone. Warnings are repeated. With `by_value` documents with other
    contents may have equal parts.
    """
    nodes = [one for one in given if isinstance(one, Node)]
    context = nodes[0].context
    if context.variables:
        return read(*given)
    kept = _read(read, *(_Content(one, by_value) if isinstance(one, Node) else one for one in given))
    moved = by_value or kept.files != tuple(node.file for node in nodes)
    if kept.warnings and moved:  # warnings name their files and lines
        return read(*given)
    context.warnings.extend(kept.warnings)
    result: T = kept.result
    return result


@lru_cache(maxsize=512)
def _read(read: Callable[..., Any], *given: _Content | Record | None) -> _Kept:
    context = Context(variables={}, warnings=[])
    contents = [one for one in given if isinstance(one, _Content)]
    nodes = {id(one): Node(one.data, one.file, one.path, context) for one in contents}
    result = read(*(nodes.get(id(one), one) for one in given))
    return _Kept(result, tuple(context.warnings), tuple(one.file for one in contents))


@lru_cache(maxsize=256)
def _hyphenated(keys: tuple[str, ...]) -> frozenset[str]:
    return frozenset(key.replace("_", "-") for key in keys)


def or_default(value: T | None, default: T) -> T:
    return default if value is None else value


def near_key(key: str, known: Iterable[str]) -> str | None:
    """Return the known key that `key` is, or probably should be."""
    known = tuple(known)
    if key in known or len(key) > LONGEST_NAME:
        return key if key in known else None
    plain = _plain(key)
    best, similarity = None, _NEAR
    for candidate in known:
        ratio = _similarity(plain, _plain(candidate))
        if ratio >= similarity:
            best, similarity = candidate, ratio
    return best


def _similarity(plain: str, other: str) -> float:
    """Return the similarity from 0 to 1, and 0 for words that cannot be similar enough, which are most in
    long lists.
    """
    both = len(plain) + len(other)
    if plain[:1] != other[:1] or 2 * min(len(plain), len(other)) < _NEAR * both:
        return 0.0
    return difflib.SequenceMatcher(None, plain, other).ratio()


def _plain(key: str) -> str:
    return key.lower().replace("-", "").replace("_", "")


def describe(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, str):
        return f"'{value}'" if len(value) <= 40 else f"'{value[:40]}...'"
    if callable(value):
        return "a function"
    text = f"{value}"
    return text if len(text) <= 40 else f"{text[:40]}..."


def _unquoted(text: str) -> Any:
    return plain_scalar(text) if len(text) < 100 else text  # Python refuses to convert very long numbers


def _integer(value: Any) -> int | None:
    if isinstance(value, str):  # the reference converts quoted numbers as well
        value = int(value, 16) if _HEXADECIMAL.fullmatch(value) else _unquoted(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and abs(value) < 2**63 else None


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        value = float(value) if _LEADING_ZERO.fullmatch(value) else _unquoted(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _finite(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and math.isfinite(number) else None


def _flag(value: Any) -> bool | None:
    if isinstance(value, str):
        return _FLAGS.get(value.lower())
    return value if isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, str | int | float) else None


def split_range(name: str) -> tuple[str, int]:
    """`PE[0..167]` is ("PE", 168); a name without a range stands for one instance (model 2.2)."""
    match = _RANGE.match(name)
    if not match:
        if "[" in name and ".." in name:
            raise SpecError(f"the range of '{name}' must be [FIRST..LAST]")
        return name.split("[")[0], 1
    if max(len(match["last"]), len(match["first"])) > MAX_DIGITS:
        raise SpecError(f"the range of '{name[:40]}...' has numbers of more than {MAX_DIGITS} digits")
    count = int(match["last"]) - int(match["first"]) + 1
    if count < 1:
        raise SpecError(f"the range of '{name}' is empty")
    return match["name"], count
