"""Reader of the loop nest of a `map.txt` from Timeloop 3.0.3 or 4.x, as a mapping."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sparsim.errors import FormatError, near
from sparsim.records import Architecture, Layer, LevelMapping, Mapping, Nest

_LEVEL = re.compile(r"(?P<name>\S.*?) \[ (?P<tiles>.*)\]\s*")
_TILE = re.compile(r"(?P<name>[^\s:]+)(:\d+)?( \(\d+\))?")
_LOOP = re.compile(
    r"\|\s*for (?P<dim>\S+) in \[0:(?P<bound>\d{1,18})(?P<last>,\d+)?\)( \(Spatial-(?P<axis>[XY])\))?"
)
_RULE = re.compile(r"[\s-]*|\|?\s*<< Compute >>\s*")


def read_map_text(text: str, arch: Architecture, layer: Layer, name: str = "map.txt") -> Mapping:
    """The mapping of `layer` that the text shows. What the text does not show is at its default.

    Raises FormatError for lines of another kind, unknown names, and imperfect factors.
    """
    levels: list[_Level] = []
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{name}, line {number}"
        if loop := _LOOP.fullmatch(line):
            if not levels:
                raise FormatError("there is a loop above the first level", path=where)
            if loop["last"]:
                raise FormatError(f"imperfect factor '{line.strip(' |')}' is not supported", path=where)
            _check(loop["dim"], layer.shape.dims, "dim", where)
            levels[-1].loops.append((loop["dim"], int(loop["bound"]), loop["axis"] or ""))
        elif head := _LEVEL.fullmatch(line):
            _check(head["name"], [level.name for level in arch.storage], "level", where)
            kept = [tile["name"] for tile in _TILE.finditer(head["tiles"])]
            for dataspace in kept:
                _check(dataspace, [d.name for d in layer.shape.dataspaces], "dataspace", where)
            levels.append(_Level(head["name"], kept))
        elif not _RULE.fullmatch(line):
            raise FormatError(f"'{line.strip()}' is neither a level nor a loop", path=where)
    if not levels:
        raise FormatError("must begin with a level, 'NAME [ TENSOR:SIZE ... ]'", path=name)
    return Mapping(levels=tuple(level.mapping(layer) for level in levels))


def _check(name: str, known: Sequence[str], what: str, where: str) -> None:
    if name not in known:
        raise FormatError(f"unknown {what} '{name}'", path=where, hint=near(name, known))


class _Level:
    def __init__(self, name: str, kept: list[str]) -> None:
        self.name, self.kept = name, kept
        self.loops: list[tuple[str, int, str]] = []  # dim, bound, axis; outermost first

    def mapping(self, layer: Layer) -> LevelMapping:
        temporal = [(dim, bound) for dim, bound, axis in self.loops if not axis]
        along = {a: [(dim, bound) for dim, bound, axis in self.loops if axis == a] for a in "XY"}
        spatial = [*along["Y"], *along["X"]]
        return LevelMapping(
            level=self.name,
            temporal=_nest(temporal),
            spatial=_nest(spatial, len(along["X"])) if spatial else None,
            bypass=tuple(d.name for d in layer.shape.dataspaces if d.name not in self.kept),
        )


def _nest(loops: list[tuple[str, int]], split_x: int | None = None) -> Nest:
    return Nest(factors=dict(loops), order=tuple(dim for dim, _ in loops), split_x=split_x)
