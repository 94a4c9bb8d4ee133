"""Mapping directives (model chapter 5)."""

from __future__ import annotations

import re
from typing import NamedTuple

from sparsim.errors import near
from sparsim.files.timeloop.document_node import Node
from sparsim.records import Architecture, Layer, LevelMapping, Mapping, Nest

_FACTOR = re.compile(r"([A-Za-z]+)\s*=*\s*([0-9]+)(?:,([0-9]+))?")
_SEPARATORS = re.compile(r"[\s,;]*")
_KEYS = {
    "temporal": ("target", "type", "factors", "permutation", "no_temporal_reuse"),
    "spatial": (
        "target", "type", "factors", "permutation", "split", "no_link_transfer", "no_multicast_no_reduction",
    ),
    "bypass": ("target", "type", "keep", "bypass"),
}  # fmt: skip
_TYPES = {"temporal": "temporal", "spatial": "spatial", "datatype": "bypass", "bypass": "bypass"}


class _Parts:
    """The content of the directives of one level so far."""

    def __init__(self) -> None:
        self.nests: dict[str, Nest] = {}
        self.nodes: dict[str, Node] = {}
        self.bypass: set[str] = set()
        self.flags: dict[str, tuple[str, ...]] = {}


class Known(NamedTuple):
    """The names that directives may use."""

    levels: tuple[str, ...]  # outer to inner
    layer: Layer
    dataspaces: tuple[str, ...]


def known_names(arch: Architecture, layer: Layer) -> Known:
    return Known(
        tuple(level.name for level in arch.storage), layer, tuple(d.name for d in layer.shape.dataspaces)
    )


def read_mapping(directives: list[Node], arch: Architecture, layer: Layer) -> Mapping:
    """The levels that the directives mention, outer to inner. Raises SpecError."""
    known = known_names(arch, layer)
    parts: dict[str, _Parts] = {}
    for node in directives:
        kind = _kind(node)
        level = parts.setdefault(target_level(node, known.levels), _Parts())
        node.report_unknown((*_KEYS[kind], "stream"))  # the key of an older program, in many documents
        if kind == "bypass":
            _set_bypass(node, level, known)
            continue
        _add_nest(node, kind, level, known)
        for key in _KEYS[kind]:
            if key.startswith("no_") and node.holds(key):
                level.flags[key] = known_dataspaces(node, key, known)
    return Mapping(
        levels=tuple(_level_mapping(name, parts[name], known) for name in known.levels if name in parts)
    )


def _kind(node: Node) -> str:
    given = node.required(node.text("type"), "type")
    if given == "skew":
        raise node.error("skewed mappings are not supported", "type")
    if given not in _TYPES:
        raise node.error(f"unknown directive type '{given}'", "type", hint=near(given, _TYPES))
    return _TYPES[given]


def target_level(node: Node, levels: tuple[str, ...], key: str = "target") -> str:
    """Find a level by its name, or by an index that counts storage levels from the innermost."""
    name = node.required(node.text(key), key)
    if name in levels:
        return name
    if name.isdecimal():
        index = node.from_digits(name, key)
        if index >= len(levels):
            raise node.error(f"must be between 0 (innermost) and {len(levels) - 1}, got {name}", key)
        return levels[-1 - index]
    raise node.error(f"unknown level '{name}'", key, hint=near(name, levels))


def known_dataspaces(node: Node, key: str, known: Known) -> tuple[str, ...]:
    names = node.names(key)
    for name in names:
        if name not in known.dataspaces:
            raise node.error(f"unknown dataspace '{name}'", key, hint=near(name, known.dataspaces))
    return names


def _set_bypass(node: Node, level: _Parts, known: Known) -> None:
    kept, bypassed = set(known_dataspaces(node, "keep", known)), set(known_dataspaces(node, "bypass", known))
    if kept & bypassed:
        both = ", ".join(sorted(kept & bypassed))
        node.warn(f"{both} is also in 'keep', so 'bypass' is used", "bypass")
    level.bypass = level.bypass - kept | bypassed


def _add_nest(node: Node, kind: str, level: _Parts, known: Known) -> None:
    split = node.integer("split") if kind == "spatial" else None
    if split is not None and split < 0:
        raise node.error(f"must be at least 0, got {split}", "split")
    order = _permutation(node, known)
    with node.located():
        nest = Nest(factors=_factors(node, known), order=order[::-1], split_x=split)
    if kind in level.nests:
        first = level.nodes[kind].where()
        node.warn(f"a second {kind} directive for '{node.text('target')}' replaces the one at {first}")
    level.nests[kind], level.nodes[kind] = nest, node


def _factors(node: Node, known: Known) -> dict[str, int]:
    """Read factors from text like `C=4 M2 P 8 # comment`; a factor of 0 is the whole bound of the dim."""
    text = (node.text("factors") or "").partition("#")[0]
    factors: dict[str, int] = {}
    end = 0
    for match in _FACTOR.finditer(text):
        report_rest(node, text[end : match.start()])
        end = match.end()
        dim, factor = match[1], node.from_digits(match[2], "factors")
        if dim not in known.layer.shape.dims:
            raise node.error(f"unknown dim '{dim}'", "factors", hint=near(dim, known.layer.shape.dims))
        if factor == 0:
            factor = known.layer.bounds[dim]
        if match[3] is not None and node.from_digits(match[3], "factors") != factor:
            raise node.error(f"imperfect factor '{match[0].strip()}' is not supported", "factors")
        if factors.get(dim, factor) != factor:
            node.warn(f"dim '{dim}' has two factors, so the last is used", "factors")
        factors[dim] = factor
    report_rest(node, text[end:])
    return factors


def report_rest(node: Node, text: str) -> None:
    if not _SEPARATORS.fullmatch(text):
        node.warn(f"'{text.strip()}' is not a factor and is ignored", "factors")


def _permutation(node: Node, known: Known) -> tuple[str, ...]:
    """Read a permutation, innermost dim first."""
    dims = tuple("".join((node.text("permutation") or "").split()))
    for dim in dims:
        if dim not in known.layer.shape.dims:
            raise node.error(f"unknown dim '{dim}'", "permutation", hint=near(dim, known.layer.shape.dims))
    return dims


def _level_mapping(name: str, parts: _Parts, known: Known) -> LevelMapping:
    return LevelMapping(
        level=name,
        temporal=parts.nests.get("temporal", Nest()),
        spatial=parts.nests.get("spatial"),
        bypass=tuple(v for v in known.dataspaces if v in parts.bypass),
        no_link_transfer=parts.flags.get("no_link_transfer", ()),
        no_multicast_no_reduction=parts.flags.get("no_multicast_no_reduction", ()),
        no_temporal_reuse=parts.flags.get("no_temporal_reuse", ()),
    )
