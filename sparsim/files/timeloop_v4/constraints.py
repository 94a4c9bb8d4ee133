"""Constraints and mapping directives of version 0.4: temporal, spatial and dataspace, per node.

Inline and listed constraints of a node and a type are joined; contradictions are errors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from sparsim.errors import near
from sparsim.files.timeloop.document_node import Node, describe
from sparsim.files.timeloop_v4.safe_expressions import Scope
from sparsim.files.timeloop_v4.tagged_yaml import Quoted
from sparsim.files.timeloop_v4.values import Values, is_forced

TYPES = ("temporal", "spatial", "dataspace")
_FACTOR = re.compile(r"([A-Za-z]\w*)(<=|>=|=)(-?[0-9]{1,18})")
_LOOPS = (
    "factors", "permutation", "default_max_factor", "default_min_factor", "remainders", "factors_only",
    "no_iteration_over_dataspaces", "must_iterate_over_dataspaces", "maximize_dims", "maximize_dims_capacity",
    "no_reuse",
)  # fmt: skip
_KEYS = {
    "temporal": (*_LOOPS, "rmw_first_update"),
    "spatial": (*_LOOPS, "split", "no_link_transfer"),
    "dataspace": ("keep", "bypass", "keep_only", "bypass_only", "no_coalesce"),
}
_COUNTS = ("split", "default_max_factor", "default_min_factor", "maximize_dims_capacity", "remainders")
_UNSUPPORTED = ("no_coalesce", "rmw_first_update")
_OLD_NAMES = {
    "no_temporal_reuse": "no_reuse", "no_multicast_no_reduction": "no_reuse", "bypassing": "bypass",
}  # fmt: skip

Factors = dict[tuple[str, str], int]  # (dim, sign) -> value


@dataclass
class Constraint:
    """All constraints of one node and type. None in place of a list of names means that there is no
    constraint.
    """

    node: Node
    kind: str
    factors: Factors = field(default_factory=dict)
    factors_only: Factors | None = None
    permutation: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)
    maximize: list[list[str]] = field(default_factory=list)
    remainders: dict[str, int] = field(default_factory=dict)  # for factors that do not divide the bound

    def join(self, other: Constraint) -> None:
        """Add the constraints of `other`. Raises SpecError for contradictions."""
        for factor in other.factors.items():
            add_factor(self.factors, factor, other.node)
        if other.factors_only is not None:
            self.factors_only = (self.factors_only or {}) | other.factors_only
        if other.permutation:
            if self.permutation and self.permutation != other.permutation:
                raise other.node.error(f"there is a second permutation; the first is at {self.node.where()}")
            self.permutation = other.permutation
        for key, count in other.counts.items():
            if self.counts.setdefault(key, count) != count:
                raise other.node.error(f"is {count}, and {self.counts[key]} at {self.node.where()}", key)
        for key, names in other.names.items():
            known = self.names.setdefault(key, [])
            known += [name for name in names if name not in known]
        self.maximize += other.maximize
        self.check(other.node)

    def check(self, node: Node) -> None:
        """Raise SpecError, which names `node`, for a dataspace that is kept and bypassed."""
        both = set(self.names.get("keep", ())) & set(self.names.get("bypass", ()))
        if both:
            raise node.error(f"{', '.join(sorted(both))} is in 'keep' and in 'bypass'")


def add_factor(factors: Factors, factor: tuple[tuple[str, str], int], node: Node) -> None:
    """Raises SpecError for a second fixed factor that is another one."""
    key, value = factor
    if key[1] == "=" and factors.get(key, value) != value:
        raise node.error(f"dim '{key[0]}' has the factors {factors[key]} and {value}")
    if key[1] == "<=":
        value = min(value, factors.get(key, value))
    elif key[1] == ">=":
        value = max(value, factors.get(key, value))
    factors[key] = value


class ConstraintReader:
    """Reads constraints with the values of one set of documents.

    Parameters
    ----------
    dataspaces : tuple of str
        What `"*"` stands for.
    """

    def __init__(self, values: Values, dataspaces: tuple[str, ...]) -> None:
        self.values, self.dataspaces = values, dataspaces

    def inline(self, group: Node, scope: Scope) -> dict[str, Constraint]:
        """The `constraints` of a node, by type."""
        found = {}
        for key in group.data:
            kind = key.replace("-", "_")
            if kind == "max_overbooked_proportion":
                if group.data[key]:
                    raise group.error("overbooking is not supported", key)
            elif kind not in TYPES:
                raise group.error(f"unknown constraint type '{key}'", key, near(key, TYPES))
            elif (part := group.child(key)) is not None:
                found[kind] = self.constraint(part, kind, scope)
        return found

    def constraint(self, node: Node, kind: str, scope: Scope) -> Constraint:
        """The constraint of a type that a mapping describes."""
        found = Constraint(node, kind)
        for seen in node.data:
            key = seen.replace("-", "_")
            if key in ("target", "type"):
                continue
            if key not in _KEYS[kind]:
                hint = (
                    f"version 0.4 calls it '{_OLD_NAMES[key]}'"
                    if key in _OLD_NAMES
                    else near(key, _KEYS[kind])
                )
                raise node.error(f"unknown key '{seen}' of a {kind} constraint", seen, hint)
            if node.data[seen] is not None:
                self._add(found, key, scope)
        found.check(node)
        return found

    def _add(self, found: Constraint, key: str, scope: Scope) -> None:
        node = found.node
        if key in _UNSUPPORTED:
            if node.get(key):
                raise node.error(f"'{key}' is not supported", key)
        elif key == "factors":
            self._factors(found.factors, node, key, scope)
        elif key == "factors_only":
            found.factors_only = {}
            self._factors(found.factors_only, node, key, scope)
        elif key == "permutation":
            found.permutation = self._permutation(node, scope)
        elif key in _COUNTS:
            count = self.values.typed(node, key, int, scope)
            if count is None or count < 0:
                raise node.error(f"must be at least 0, got {describe(count)}", key)
            found.counts[key] = count
        elif key == "maximize_dims":
            found.maximize = self._maximize(node, key, scope)
        else:
            found.names[key] = self._dataspaces(node, key, scope)

    def _dataspaces(self, node: Node, key: str, scope: Scope) -> list[str]:
        names = self.values.names(node, key, scope)
        if "*" in names:
            return list(self.dataspaces)
        for name in names:
            if name not in self.dataspaces:
                raise node.error(f"unknown dataspace '{name}'", key, near(name, self.dataspaces))
        return names

    def _factors(self, factors: Factors, node: Node, key: str, scope: Scope) -> None:
        value = node.get(key)
        if isinstance(value, str):
            if not isinstance(value, Quoted) and is_forced(value):
                value = self.values.expression(value, node, key, scope)
            if isinstance(value, str):
                value = value.split(",") if "," in value else value.split()
        if not isinstance(value, list | tuple):
            raise node.error(f"must be a list of factors, got {describe(value)}", key)
        for item in value:
            match = self._factor(item, node, key, scope)
            if int(match[3]) >= 0:  # a negative number means no constraint
                add_factor(factors, ((match[1], match[2]), int(match[3])), node)

    def _factor(self, item: Any, node: Node, key: str, scope: Scope) -> re.Match[str]:
        match = _FACTOR.fullmatch(item.strip()) if isinstance(item, str) else None
        if match is None and isinstance(item, str) and not isinstance(item, Quoted):
            if not is_forced(item) and re.match(r"\s*[A-Za-z]\w*\s*[<>=]", item):
                raise node.error(f"a factor must be D=f, D<=f or D>=f, got '{item}'", key)
            item = self.values.expression(item, node, key, scope)
            match = _FACTOR.fullmatch(item.strip()) if isinstance(item, str) else None
        if match is None:
            raise node.error(f"a factor must be D=f, D<=f or D>=f, got {describe(item)}", key)
        return match

    def _permutation(self, node: Node, scope: Scope) -> list[str]:
        value = self.values.plain(node.get("permutation"), node, "permutation", scope)
        if isinstance(value, str):
            value = value.split(",") if "," in value else list("".join(value.split()))
        if not isinstance(value, list | tuple) or not all(isinstance(dim, str) for dim in value):
            raise node.error(f"must be a list of dims, got {describe(value)}", "permutation")
        return [dim.strip() for dim in value if dim.strip()]

    def _maximize(self, node: Node, key: str, scope: Scope) -> list[list[str]]:
        value = self.values.plain(node.get(key), node, key, scope)
        if isinstance(value, list) and value and all(isinstance(dim, str) for dim in value):
            value = [value]
        if not isinstance(value, list) or not all(
            isinstance(dims, list) and all(isinstance(dim, str) for dim in dims) for dims in value
        ):
            raise node.error("must be a list of dims or a list of such lists", key)
        return value
