"""Constraints of the mapspace and of the architecture, as one Mapspace (model 17.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from sparsim.errors import near
from sparsim.files.timeloop.document_node import Node
from sparsim.files.timeloop.imperfect_mapspaces import with_imperfect_dims
from sparsim.files.timeloop.read_mapping import Known, known_dataspaces, known_names, target_level
from sparsim.model.consistency import check_mapspace
from sparsim.records import Architecture, Layer, LevelConstraint, Mapspace, NestConstraint, SparsePolicy

_FACTOR = re.compile(r"([A-Za-z]+)\s*(<=|>=|=*)\s*([0-9]+)(?:,([0-9]+))?")
_SIGNS = {"<=": "at_most", ">=": "at_least"}
_COUNTS = (  # key, field of a NestConstraint, least value
    ("default_max_factor", "default_at_most", 1),
    ("default_min_factor", "default_at_least", 1),
    ("split", "split_x", 0),
)
_TYPES = {
    "temporal": "temporal", "spatial": "spatial", "datatype": "bypass", "bypass": "bypass",
    "bypassing": "bypass", "utilization": "parallelism", "parallelism": "parallelism",
}  # fmt: skip
_NEST_KEYS = ("factors", "permutation", "default_max_factor", "default_min_factor", "remainders")
_KEYS = {
    "temporal": (*_NEST_KEYS, "no_temporal_reuse"),
    "spatial": (*_NEST_KEYS, "split", "no_link_transfer", "no_multicast_no_reduction"),
    "bypass": ("keep", "bypass"),
    "parallelism": ("min",),
}
_PLACE = ("target", "name", "type")
_TEMPLATES = ("uber", "ruby")


class _Level:
    """Fields of a LevelConstraint, and of its NestConstraints, as far as they are known."""

    def __init__(self) -> None:
        self.nests: dict[str, dict[str, Any]] = {}
        self.keeps: dict[str, bool] = {}
        self.flags: dict[str, tuple[str, ...]] = {}


class _Reading:
    def __init__(self, known: Known) -> None:
        self.known = known
        self.levels = {name: _Level() for name in known.levels}
        self.min_parallelism = 0.0
        self.cut: dict[str, list[int]] = {}  # factors that need not divide the bound, by dim
        self.remainders: list[Node] = []
        self.places: dict[str, str] = {}

    def claim(self, what: str, node: Node, field: str) -> None:
        """Refuse `what` if it was constrained before."""
        if what in self.places:
            raise node.error(f"{what} is constrained twice, first in {self.places[what]}", field)
        self.places[what] = node.where(field)


def read_mapspace(
    lists: Sequence[list[Node]],
    arch: Architecture,
    layer: Layer,
    policy: SparsePolicy | None = None,
    ruby: Node | None = None,
) -> Mapspace:
    """The items of all lists, first that of the mapspace, then that of the architecture.

    `ruby`: where the template of that name is asked for, whose dims may be imperfect. Raises SpecError for
    unknown names and types, for what is constrained twice, and for what is not modelled.
    """
    reading = _Reading(known_names(arch, layer))
    for item in (item for items in lists for item in items):
        for level, kind, node in _parts(item, reading.known):
            if kind == "bypass":
                _add_bypass(node, level, reading)
            elif kind == "parallelism":
                _set_parallelism(node, level, reading)
            else:
                _add_nest(node, level, kind, reading)
        with item.located():
            check_mapspace(arch, layer.shape, _mapspace(reading))
    for node in reading.remainders if ruby is None else ():
        raise node.error("is supported only with the template 'ruby'", "remainders")
    return with_imperfect_dims(_mapspace(reading), arch, layer, policy, reading.cut, ruby)


def _mapspace(reading: _Reading) -> Mapspace:
    """Return the mapspace without levels that have no constraints."""
    levels = [_level_constraint(name, reading) for name in reading.known.levels]
    said = tuple(level for level in levels if level != LevelConstraint(level=level.level))
    return Mapspace(levels=said, min_parallelism=reading.min_parallelism)


def _level_constraint(name: str, reading: _Reading) -> LevelConstraint:
    level, dataspaces = reading.levels[name], reading.known.dataspaces
    spatial = level.nests.get("spatial")
    return LevelConstraint(
        level=name,
        temporal=NestConstraint(**level.nests.get("temporal", {})),
        spatial=None if spatial is None else NestConstraint(**spatial),
        keep=tuple(v for v in dataspaces if level.keeps.get(v) is True),
        bypass=tuple(v for v in dataspaces if level.keeps.get(v) is False),
        **level.flags,
    )


def find_template(parent: Node, key: str) -> Node | None:
    """Return the document under `key` if its template is `ruby`. Raises SpecError for unknown templates."""
    root = None if isinstance(parent.get(key), list) else parent.child(key)
    template = None if root is None else root.text("template")
    if root is not None and template not in (None, *_TEMPLATES):
        raise root.error(f"unknown template '{template}'", "template", hint=near(template, _TEMPLATES))
    return root if template == "ruby" else None


def find_items(parent: Node, key: str) -> list[Node]:
    """Return the items of the document under `key`, in any of its forms."""
    if isinstance(parent.get(key), list):
        return parent.children(key)
    root = parent.child(key)
    if root is None:
        return []
    listed = "constraints"
    if isinstance(root.get(listed), str):
        listed = f"constraints_{root.get(listed)}"
        if not root.has(listed):
            raise root.error(f"names a list '{listed}' that does not exist", "constraints")
    if not root.has(listed):
        listed = "targets"
    root.report_unknown(("template", "version", "constraints", "targets", listed))
    return root.children(listed)


def _parts(item: Node, known: Known) -> Iterator[tuple[str, str, Node]]:
    """(level, kind, where the fields are) of every constraint that an item holds."""
    level = target_level(
        item, known.levels, "target" if item.has("target") or not item.has("name") else "name"
    )
    nested = item.has("constraints")
    if nested:
        item.report_unknown((*_PLACE, "constraints"))
    for part in item.children("constraints") if nested else [item]:
        kind = _kind(part)
        fields = part.child("attributes")
        if fields is not None:
            part.report_unknown((*_PLACE, "attributes"))
            fields.report_unknown(_KEYS[kind])
        else:
            part.report_unknown((*_PLACE, *_KEYS[kind]))
        yield level, kind, fields or part


def _kind(node: Node) -> str:
    given = node.required(node.text("type"), "type")
    if given == "max_overbooked_proportion":
        raise node.error("overbooking is not supported", "type")
    if given not in _TYPES:
        raise node.error(f"unknown constraint type '{given}'", "type", hint=near(given, _TYPES))
    return _TYPES[given]


def _add_bypass(node: Node, level: str, reading: _Reading) -> None:
    kept = known_dataspaces(node, "keep", reading.known)
    bypassed = known_dataspaces(node, "bypass", reading.known)
    if both := sorted(set(kept) & set(bypassed)):
        raise node.error(f"{', '.join(both)} is also in 'keep'", "bypass")
    for field, names in (("keep", kept), ("bypass", bypassed)):
        for name in names:
            # as in Timeloop, the later one is used at the outermost level
            if level != reading.known.levels[0]:
                reading.claim(f"'{name}' at {level}", node, field)
            reading.levels[level].keeps[name] = field == "keep"


def _set_parallelism(node: Node, level: str, reading: _Reading) -> None:
    innermost = reading.known.levels[-1]
    if level != innermost:
        raise node.error(
            f"least parallelism must be given for the innermost level '{innermost}', got '{level}'"
        )
    value = node.required(node.number("min"), "min")
    if not 0.0 <= value <= 1.0:
        raise node.error(f"must be between 0 and 1, got {value:g}", "min")
    reading.claim("least parallelism", node, "min")
    reading.min_parallelism = value


def _add_nest(node: Node, level: str, kind: str, reading: _Reading) -> None:
    where = f"at {level}, {kind}"
    nest = reading.levels[level].nests.setdefault(kind, {})
    _add_factors(node, nest, where, reading)
    if node.integer("remainders"):
        reading.remainders.append(node)
    for field, name, least in _COUNTS:
        value = node.integer(field) if field in _KEYS[kind] else None
        if value is not None:
            reading.claim(f"'{field}' {where}", node, field)
            nest[name] = _checked(node, field, value, least)
    if node.has("permutation"):
        reading.claim(f"permutation {where}", node, "permutation")
        nest["outer"], nest["inner"] = _order(node, reading.known)
    for field in _KEYS[kind]:
        if field.startswith("no_") and node.has(field):
            reading.claim(f"'{field}' {where}", node, field)
            reading.levels[level].flags[field] = known_dataspaces(node, field, reading.known)


def _checked(node: Node, field: str, value: int, least: int) -> int:
    if value < least:
        raise node.error(f"must be at least {least}, got {value}", field)
    return value


def _add_factors(node: Node, nest: dict[str, Any], where: str, reading: _Reading) -> None:
    """Add factors from text like `C=4 M<=2 P>=8 # comment`."""
    layer = reading.known.layer
    text = (node.text("factors") or "").partition("#")[0]
    rest = re.sub(r"[\s,;]+", " ", _FACTOR.sub(" ", text)).strip()
    if rest:
        raise node.error(f"a factor must be D=f, D<=f or D>=f, got '{rest}'", "factors")
    for dim, sign, digits, last in _FACTOR.findall(text):
        if dim not in layer.shape.dims:
            raise node.error(f"unknown dim '{dim}'", "factors", hint=near(dim, layer.shape.dims))
        name = _SIGNS.get(sign, "factors")
        value = _checked(node, "factors", node.from_digits(digits, "factors"), 0 if name == "factors" else 1)
        if last and last != digits:
            if name != "factors" or not 0 < node.from_digits(last, "factors") < value:
                text = f"an imperfect factor must be D=f,r with r below f, got '{dim}{sign}{digits},{last}'"
                raise node.error(text, "factors")
            reading.cut.setdefault(dim, []).append(value)
        if name == "factors" and value > layer.bounds[dim]:
            node.warn(
                f"{dim}={value} is ignored, because the bound of '{dim}' is {layer.bounds[dim]}", "factors"
            )
            continue
        reading.claim(f"'{dim}{sign or '='}' {where}", node, "factors")
        nest.setdefault(name, {})[dim] = value


def _order(node: Node, known: Known) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(outer, inner), both outer to inner, from text like `RS_C`: innermost first, `_` for what is free."""
    text = "".join((node.text("permutation") or "").split())
    dims = text.replace("_", "", 1)
    for dim in dims:
        if dim not in known.layer.shape.dims:
            raise node.error(f"unknown dim '{dim}'", "permutation", hint=near(dim, known.layer.shape.dims))
        if dims.count(dim) > 1:
            raise node.error(f"dim '{dim}' appears twice in '{text}'", "permutation")
    inner, _, outer = text.partition("_")
    return tuple(outer[::-1]), tuple(inner[::-1])
