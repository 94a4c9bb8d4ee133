"""Interpretation of the scalars of version 0.4 documents: text, a number, or an expression that is
evaluated.
"""

import re
from typing import Any

from sparsim.files.timeloop.document_node import Node, describe
from sparsim.files.timeloop_v4.safe_expressions import Evaluator, ExpressionError, Scope
from sparsim.files.timeloop_v4.tagged_yaml import Quoted, number_of
from sparsim.files.yaml_reading import YamlMap

_NODE = re.compile(r"[0-9.]+ ?nm")  # a technology, which is no expression although it is rarely in quotes
_KINDS = {int: "a whole number", float: "a number", bool: "true or false"}


class Values:
    """Reads the values of one set of documents."""

    def __init__(self) -> None:
        self.evaluator = Evaluator()

    def expression(self, text: str, node: Node, key: str, scope: Scope) -> Any:
        try:
            return self.evaluator.evaluate(text, scope)
        except ExpressionError as error:
            raise node.error(str(error), key, error.hint) from None

    def attribute(self, node: Node, key: str, scope: Scope) -> Any:
        """The value of an attribute or a variable, where text without quotes is an expression.

        Lists and mappings are not looked into.
        """
        value = node.data[key]
        if isinstance(value, Quoted):
            return str(value)
        if not isinstance(value, str):
            return value
        number = number_of(value)
        if number is not None:
            return number
        if _NODE.fullmatch(value):
            node.warn(f"'{value}' is read as text, but Timeloop's front end needs quotes around it", key)
            return value
        return self.expression(value, node, key, scope)

    def typed(self, node: Node, key: str, kind: type, scope: Scope) -> Any:
        """The value where an int, a float or a bool is wanted; None if there is none."""
        value = node.get(key)
        if isinstance(value, str):
            number = number_of(value)
            value = number if number is not None else self.expression(value, node, key, scope)
        if value is None or (kind is float and isinstance(value, int) and not isinstance(value, bool)):
            return value
        if type(value) is not kind:
            hint = "'//' divides whole numbers" if isinstance(value, float) and kind is int else ""
            raise node.error(f"must be {_KINDS[kind]}, got {describe(value)}", key, hint)
        return value

    def plain(self, value: Any, node: Node, key: str, scope: Scope) -> Any:
        """The value elsewhere: text is an expression only in parentheses. Lists are looked into."""
        if isinstance(value, list):
            return [self.plain(item, node, key, scope) for item in value]
        if isinstance(value, str) and not isinstance(value, Quoted) and is_forced(value):
            return self.expression(value, node, key, scope)
        return value

    def names(self, node: Node, key: str, scope: Scope) -> list[str]:
        """A list of names; empty if the key is missing."""
        value = self.plain(node.get(key), node, key, scope)
        if value is None:
            return []
        items = list(value) if isinstance(value, list | tuple) else [value]
        for item in items:
            if not isinstance(item, str):
                raise node.error(f"must hold names, got {describe(item)}", key)
        return items


def is_forced(text: str) -> bool:
    """Return whether text is an expression in any place."""
    stripped = text.strip()
    return stripped.startswith("(") and stripped.endswith(")")


def mapping_of(values: dict[str, Any], like: YamlMap | None = None) -> YamlMap:
    """A mapping for the reader of version 0.3, with the lines of `like`, whose place it takes."""
    result = YamlMap()
    result.update(values)
    lines = like.lines if like is not None else {}
    first = min(lines.values(), default=1)
    result.lines = {key: lines.get(key, first) for key in values}
    return result
