"""The notation of loops in mappings: `DRAM: Q64 C2 | GLB [bypass Weights]: M2 P128 M8X | ...`.

Levels and loops are listed outer to inner. A loop is a dim and its factor; spatial loops follow the temporal
ones of their level and end with the axis along which they are spread. docs/reference/mapspace.md describes
the notation; `sparsim.records.mapping` makes records of it.
"""

import json
import re
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as Dict
from itertools import groupby
from typing import NamedTuple

from sparsim.errors import SpecError, near

_PLAIN = re.compile(r'[^\s"|:;=\[\](){}]+')  # names without quotes
_TOKEN = re.compile(rf'"(?:[^"\\]|\\.)*"|{_PLAIN.pattern}|\n|\S')
_LETTERS = re.compile(r"[^\W\d]+")
_FACTOR = re.compile(rf"({_LETTERS.pattern})([0-9]{{1,30}})([XY]?)")  # such as M8 or M8X
_NUMBER = re.compile(r"([0-9]{1,30})([XY]?)")


class Loop(NamedTuple):
    """A loop. An empty `axis` means temporal; a dim with `factor` None has only a place in the order; with
    `free` it has no place.
    """

    dim: str
    factor: int | None
    axis: str
    free: bool = False


def loops_text(loops: Iterable[Loop]) -> str:
    found = []
    for (free, unit, axis), group in groupby(loops, lambda loop: (loop.free, loop.factor is None, loop.axis)):
        if unit:
            found.append(f"({' '.join(quoted(loop.dim) for loop in group)}){axis}")
        elif free:
            found.append(f"{{{' '.join(loop_text(loop.dim, loop.factor) for loop in group)}}}{axis}")
        else:
            found += [loop_text(loop.dim, loop.factor) + axis for loop in group]
    return " ".join(found)


def loop_text(dim: str, factor: int | None) -> str:
    """Return a temporal loop as text; callers add the axis of a spatial one."""
    return f"{dim}{factor}" if _LETTERS.fullmatch(dim) else f"{quoted(dim)}={factor}"


def modifiers_text(modifiers: Dict[str, Sequence[str]]) -> str:
    parts = [" ".join([kind, *map(quoted, names)]) for kind, names in modifiers.items()]
    return f"[{'; '.join(parts)}]" if parts else ""


def quoted(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else json.dumps(name, ensure_ascii=False)


class Token(NamedTuple):
    """A token, whose `kind` is "name", a sign, or "" at the end. A `quoted` token is a name as a whole."""

    kind: str
    value: str
    start: int
    end: int
    quoted: bool = False


class Reader:
    """Reader of the tokens of a text, with errors that name the position."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = [self._token(match) for match in _TOKEN.finditer(text)]
        self.tokens.append(Token("", "", len(text), len(text)))

    def _token(self, match: re.Match[str]) -> Token:
        start, end, found = match.start(), match.end(), match[0]
        if not found.startswith('"'):
            return Token("name" if _PLAIN.fullmatch(found) else found, found, start, end)
        try:
            return Token("name", json.loads(found, strict=False), start, end, quoted=True)
        except ValueError:
            raise self.error(f"{found} is not a quoted name", Token("", "", start, end)) from None

    @property
    def here(self) -> Token:
        return self.tokens[0]

    def take(self, *kinds: str) -> Token | None:
        """Return the next token if it is one of these, else None."""
        return self.tokens.pop(0) if self.here.kind in kinds else None

    def need(self, kind: str, what: str) -> Token:
        found = self.take(kind)
        if found is None:
            shown = f"'{self.here.value}'" if self.here.value.strip() else "the end of the line"
            raise self.error(f"expected {what}, got {shown}", self.here)
        return found

    def error(self, message: str, token: Token, hint: str = "") -> SpecError:
        before = self.text[: token.start]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return SpecError(message, path=f"mapping, line {line}, column {column}", hint=hint)

    def skip_separators(self) -> None:
        while self.take("|", "\n"):
            pass

    def names(self) -> list[str]:
        found = []
        while name := self.take("name"):
            found.append(name.value)
        return found

    def modifiers(self, known: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Read modifiers such as `[bypass Weights Inputs; split_x 2]`, if there are any."""
        found: dict[str, tuple[str, ...]] = {}
        if self.take("[") is None:
            return found
        while True:
            kind = self.need("name", f"one of {', '.join(known)}")
            if kind.value not in known:
                raise self.error(f"unknown setting '{kind.value}'", kind, near(kind.value, known))
            if kind.value in found:
                raise self.error(f"'{kind.value}' appears twice", kind)
            found[kind.value] = tuple(self.names())
            if self.take("]"):
                return found
            self.need(";", "';' or ']'")


def misplaced(before: Sequence[Loop], loop: Loop) -> str:
    """Return why a loop cannot follow the others of its level; "" if it can."""
    if any(loop.dim == other.dim and bool(loop.axis) == bool(other.axis) for other in before):
        return f"dim '{loop.dim}' has two {'spatial' if loop.axis else 'temporal'} loops here"
    outer = before[-1] if before else loop
    if outer.axis and not loop.axis:
        return f"the temporal loop over '{loop.dim}' must come before the spatial ones"
    if outer.axis == "X" and loop.axis == "Y":
        return f"the loop over '{loop.dim}' along Y must come before those along X"
    if loop.free and not outer.free and bool(outer.axis) == bool(loop.axis):
        return f"the loop over '{loop.dim}' in braces must come before those that have a place in the order"
    return ""


def next_loops(reader: Reader) -> list[Loop]:
    """Read `M8X`, `M=8X`, or several loops in parentheses (without factors) or braces (without a place in the
    order).
    """
    if reader.take("("):
        dims = reader.names()
        axis = _axis_behind(reader, reader.need(")", "a dim or ')'"))
        return [Loop(dim, None, axis) for dim in dims]
    if reader.take("{"):
        inside = []
        while reader.here.kind == "name":
            inside.append(_loop(reader))
        axis = _axis_behind(reader, reader.need("}", "a loop or '}'"))
        return [loop._replace(axis=axis, free=True) for loop in inside]
    return [_loop(reader)]


def _loop(reader: Reader) -> Loop:
    example = "a loop, as 'M8', or 'M8X' if it is spatial,"
    name = reader.need("name", example)
    if reader.take("="):
        number = reader.need("name", "a factor")
        if found := _NUMBER.fullmatch(number.value):
            return Loop(name.value, int(found[1]), found[2])
        raise reader.error(f"expected a factor, got '{number.value}'", number)
    found = None if name.quoted else _FACTOR.fullmatch(name.value)
    if found is None:
        capital = name.value.upper()
        hint = f"did you mean '{capital}'?" if _FACTOR.fullmatch(capital) else ""
        raise reader.error(f"expected {example}, got '{name.value}'", name, hint)
    return Loop(found[1], int(found[2]), found[3])


def _axis_behind(reader: Reader, close: Token) -> str:
    touches = reader.here.start == close.end and reader.here.value in ("X", "Y")
    return reader.need("name", "an axis").value if touches else ""
