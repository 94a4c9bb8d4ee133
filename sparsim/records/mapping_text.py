"""Mappings as text: `DRAM: Q64 C2 | GLB [bypass Weights]: M2 P128 M8X | ...`.

Levels and loops stand outer to inner. A loop is a dim and its factor; spatial loops follow the temporal ones
of their level and end in the axis that they are spread along. docs/mapspace.md describes the notation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as Dict
from itertools import groupby
from typing import NamedTuple, get_args

from sparsim.errors import SpecError, near
from sparsim.records.mapping import Divisibility, LevelMapping, Mapping, Nest

_PLAIN = re.compile(r'[^\s"|:;=\[\](){}]+')  # names that need no quotes
_TOKEN = re.compile(rf'"(?:[^"\\]|\\.)*"|{_PLAIN.pattern}|\n|\S')
_LETTERS = re.compile(r"[^\W\d]+")
_FACTOR = re.compile(rf"({_LETTERS.pattern})([0-9]{{1,30}})([XY]?)")  # as in M8 or M8X
_NUMBER = re.compile(r"([0-9]{1,30})([XY]?)")
_FLAGS = ("bypass", "no_link_transfer", "no_multicast_no_reduction", "no_temporal_reuse")
_POLICIES: tuple[Divisibility, ...] = get_args(Divisibility)


class _Loop(NamedTuple):
    """`axis` "": temporal. `factor` None: the dim has a place in the order only; `free`: it has no place."""

    dim: str
    factor: int | None
    axis: str
    free: bool = False


def to_text(mapping: Mapping) -> str:
    """The mapping in one line, from which `parse` makes an equal one."""
    policies = {p: [d for d, its in mapping.divisibility.items() if its == p] for p in _POLICIES}
    head = _modifiers_text({policy: dims for policy, dims in policies.items() if dims})
    return " | ".join(filter(None, [head, *map(_level_text, mapping.levels)]))


def _level_text(level: LevelMapping) -> str:
    named: dict[str, Sequence[str]] = {flag: getattr(level, flag) for flag in _FLAGS}
    modifiers = {flag: names for flag, names in named.items() if names}
    loops = _loops(level.temporal, [""] * len(level.temporal.order), "")
    if (nest := level.spatial) is not None:
        listed, split = len(nest.order), nest.split_x
        along_x = listed if split is None else max(0, min(split, listed))
        axes = ["Y"] * (listed - along_x) + ["X"] * along_x
        spatial = _loops(nest, axes, "X" if split is None else "Y")
        if _split_of(spatial) != split:
            modifiers["split_x"] = [str(split)]
        elif not spatial:
            modifiers["spatial"] = []
        loops += spatial
    head = f"{_quoted(level.level)} {_modifiers_text(modifiers)}".rstrip()
    return f"{head}: {_loops_text(loops)}".rstrip()


def _loops(nest: Nest, axes: Sequence[str], free_axis: str) -> list[_Loop]:
    """Outer to inner: those without a place in the order lie outside of the others."""
    free = [_Loop(dim, n, free_axis, free=True) for dim, n in nest.factors.items() if dim not in nest.order]
    placed = [_Loop(dim, nest.factors.get(dim), axis) for dim, axis in zip(nest.order, axes, strict=True)]
    return free + placed


def _split_of(spatial: Sequence[_Loop]) -> int | None:
    """`split_x` as the axes say it: None if all loops run along X."""
    if all(loop.axis == "X" for loop in spatial):
        return None
    return sum(loop.axis == "X" for loop in spatial)


def _loops_text(loops: Iterable[_Loop]) -> str:
    found = []
    for (free, unit, axis), group in groupby(loops, lambda loop: (loop.free, loop.factor is None, loop.axis)):
        if unit:
            found.append(f"({' '.join(_quoted(loop.dim) for loop in group)}){axis}")
        elif free:
            found.append(f"{{{' '.join(loop_text(loop.dim, loop.factor) for loop in group)}}}{axis}")
        else:
            found += [loop_text(loop.dim, loop.factor) + axis for loop in group]
    return " ".join(found)


def loop_text(dim: str, factor: int | None) -> str:
    """A temporal loop; the axis of a spatial one follows."""
    return f"{dim}{factor}" if _LETTERS.fullmatch(dim) else f"{_quoted(dim)}={factor}"


def _modifiers_text(modifiers: Dict[str, Sequence[str]]) -> str:
    parts = [" ".join([kind, *map(_quoted, names)]) for kind, names in modifiers.items()]
    return f"[{'; '.join(parts)}]" if parts else ""


def _quoted(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def parse(text: str) -> Mapping:
    """The mapping that `text` describes; levels are separated by `|` or by ends of lines.

    Raises SpecError, with line and column in its path, for text that is no mapping.
    """
    reader = _Reader(text)
    reader.skip_separators()
    start = reader.here
    divisibility: dict[str, Divisibility] = {}
    for policy, dims in reader.modifiers(_POLICIES).items():
        for dim in dims:
            if dim in divisibility:
                raise reader.error(f"dim '{dim}' has two policies", start)
            divisibility[dim] = next(one for one in _POLICIES if one == policy)
    levels = []
    reader.skip_separators()
    while reader.here.kind:
        levels.append(_level(reader))
        reader.skip_separators()
    return Mapping(levels=tuple(levels), divisibility=divisibility)


class _Token(NamedTuple):
    """`kind` is "name", a sign, or "" at the end. What is `quoted` is a name as a whole."""

    kind: str
    value: str
    start: int
    end: int
    quoted: bool = False


class _Reader:
    """The tokens of a text one after the other, and errors that say where they are."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = [self._token(match) for match in _TOKEN.finditer(text)]
        self.tokens.append(_Token("", "", len(text), len(text)))

    def _token(self, match: re.Match[str]) -> _Token:
        start, end, found = match.start(), match.end(), match[0]
        if not found.startswith('"'):
            return _Token("name" if _PLAIN.fullmatch(found) else found, found, start, end)
        try:
            return _Token("name", json.loads(found, strict=False), start, end, quoted=True)
        except ValueError:
            raise self.error(f"{found} is no quoted name", _Token("", "", start, end)) from None

    @property
    def here(self) -> _Token:
        return self.tokens[0]

    def take(self, *kinds: str) -> _Token | None:
        """The next token if it is one of these, else None."""
        return self.tokens.pop(0) if self.here.kind in kinds else None

    def need(self, kind: str, what: str) -> _Token:
        found = self.take(kind)
        if found is None:
            shown = f"'{self.here.value}'" if self.here.value.strip() else "the end of the line"
            raise self.error(f"{shown} where {what} is expected", self.here)
        return found

    def error(self, message: str, token: _Token, hint: str = "") -> SpecError:
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
        """`[bypass Weights Inputs; split_x 2]`, or nothing."""
        found: dict[str, tuple[str, ...]] = {}
        if self.take("[") is None:
            return found
        while True:
            kind = self.need("name", f"one of {', '.join(known)}")
            if kind.value not in known:
                raise self.error(f"'{kind.value}' is unknown here", kind, near(kind.value, known))
            if kind.value in found:
                raise self.error(f"'{kind.value}' is given twice", kind)
            found[kind.value] = tuple(self.names())
            if self.take("]"):
                return found
            self.need(";", "';' or ']'")


def _level(reader: _Reader) -> LevelMapping:
    level = reader.need("name", "the name of a level")
    modifiers = reader.modifiers((*_FLAGS, "split_x", "spatial"))
    reader.need(":", "':' after the level")
    loops: list[_Loop] = []
    while reader.here.kind not in ("|", "\n", ""):
        start = reader.here
        for loop in _next_loops(reader):
            if problem := _misplaced(loops, loop):
                raise reader.error(problem, start)
            loops.append(loop)
    spatial = [loop for loop in loops if loop.axis]
    split = _split_of(spatial)
    given = modifiers.pop("split_x", None)
    if given is not None:
        if len(given) != 1 or not re.fullmatch(r"-?[0-9]{1,30}", given[0]):
            raise reader.error("split_x takes one whole number", level)
        split = int(given[0])
    has_spatial = modifiers.pop("spatial", None) is not None or given is not None or bool(spatial)
    try:
        return LevelMapping(
            level=level.value,
            temporal=_nest([loop for loop in loops if not loop.axis], None),
            spatial=_nest(spatial, split) if has_spatial else None,
            **modifiers,
        )
    except SpecError as error:
        raise reader.error(error.message, level, error.hint) from None


def _misplaced(before: Sequence[_Loop], loop: _Loop) -> str:
    """Why a loop cannot stand behind the others of its level; "" if it can."""
    if any(loop.dim == other.dim and bool(loop.axis) == bool(other.axis) for other in before):
        return f"dim '{loop.dim}' has two {'spatial' if loop.axis else 'temporal'} loops here"
    outer = before[-1] if before else loop
    if outer.axis and not loop.axis:
        return f"the temporal loop over '{loop.dim}' stands behind a spatial one"
    if outer.axis == "X" and loop.axis == "Y":
        return f"the loop over '{loop.dim}' along Y stands behind one along X"
    if loop.free and not outer.free and bool(outer.axis) == bool(loop.axis):
        return f"the loop over '{loop.dim}' in braces stands behind one that has a place in the order"
    return ""


def _nest(loops: Iterable[_Loop], split: int | None) -> Nest:
    loops = list(loops)
    return Nest(
        factors={loop.dim: loop.factor for loop in loops if loop.factor is not None},
        order=tuple(loop.dim for loop in loops if not loop.free),
        split_x=split,
    )


def _next_loops(reader: _Reader) -> list[_Loop]:
    """`M8X`, `M=8X`, or several in parentheses (without factors) or braces (without a place in the order)."""
    if reader.take("("):
        dims = reader.names()
        axis = _axis_behind(reader, reader.need(")", "a dim or ')'"))
        return [_Loop(dim, None, axis) for dim in dims]
    if reader.take("{"):
        inside = []
        while reader.here.kind == "name":
            inside.append(_loop(reader))
        axis = _axis_behind(reader, reader.need("}", "a loop or '}'"))
        return [loop._replace(axis=axis, free=True) for loop in inside]
    return [_loop(reader)]


def _loop(reader: _Reader) -> _Loop:
    example = "a loop, as 'M8', or 'M8X' if it is spatial,"
    name = reader.need("name", example)
    if reader.take("="):
        number = reader.need("name", "a factor")
        if found := _NUMBER.fullmatch(number.value):
            return _Loop(name.value, int(found[1]), found[2])
        raise reader.error(f"'{number.value}' where a factor is expected", number)
    found = None if name.quoted else _FACTOR.fullmatch(name.value)
    if found is None:
        capital = name.value.upper()
        hint = f"did you mean '{capital}'?" if _FACTOR.fullmatch(capital) else ""
        raise reader.error(f"'{name.value}' where {example} is expected", name, hint)
    return _Loop(found[1], int(found[2]), found[3])


def _axis_behind(reader: _Reader, close: _Token) -> str:
    touches = reader.here.start == close.end and reader.here.value in ("X", "Y")
    return reader.need("name", "an axis").value if touches else ""
