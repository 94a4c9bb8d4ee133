"""Names with ranges, `storage[1..width*depth]`, and actions with arguments, `read(data_delta=0)`."""

import itertools
import re
from collections.abc import Mapping
from typing import Any

from sparsim.files.accelergy.attribute_values import Expressions
from sparsim.files.timeloop.document_node import Node
from sparsim.files.timeloop_v4.safe_expressions import Scope
from sparsim.records.number_limits import MAX_INT

_BRACKET = re.compile(r"\[([^\[\]]*)\]")
_MOST_COMBINATIONS = 1000
_OF_EVERY_ACTION = ("global_cycle_seconds", "action_latency_cycles")  # these nodes pass attributes on


def base_and_count(
    node: Node, key: str, name: str, expressions: Expressions, scope: Scope
) -> tuple[str, int]:
    """Split names: `a[0..3]` is ("a", 4), `a[2]` and `a` are ("a", 1). Raises SpecError."""
    count = 1
    for inside in _BRACKET.findall(name):
        first, dots, last = inside.partition("..")
        if dots:
            low, high = (expressions.whole(bound, node, key, scope) for bound in (first, last))
            if high < low:
                raise node.error(f"the range of '{name}' is empty: {low} to {high}", key)
            count *= high - low + 1
    if count > MAX_INT:
        raise node.error(f"'{name}' stands for {count} instances, at most {MAX_INT} are allowed", key)
    base = _BRACKET.sub("", name)
    if "[" in base or "]" in base or not base:
        raise node.error(f"must be a name with a range, NAME[FIRST..LAST], got '{name}'", key)
    return base, count


def argument_values(action: Node, expressions: Expressions, scope: Scope) -> list[dict[str, int]]:
    """Return every combination of an action's arguments, whose ranges may be expressions. Raises
    SpecError.
    """
    arguments = action.child("arguments")
    ranges: dict[str, range] = {}
    total = 1
    for name in arguments.data if arguments is not None else ():
        assert arguments is not None
        text = str(arguments.data[name])
        first, dots, last = text.partition("..")
        if not dots:
            if name in _OF_EVERY_ACTION:
                continue
            raise arguments.error(f"must be a range FIRST..LAST, got '{text}'", name)
        low, high = (expressions.whole(bound, arguments, name, scope) for bound in (first, last))
        total *= max(high - low + 1, 0)
        if not 0 < total <= _MOST_COMBINATIONS:
            raise arguments.error(
                f"must give between 1 and {_MOST_COMBINATIONS} combinations, gives {total}", name
            )
        ranges[name] = range(low, high + 1)
    return [dict(zip(ranges, values, strict=True)) for values in itertools.product(*ranges.values())]


def with_arguments(action: str, arguments: Mapping[str, Any]) -> str:
    """Return the name of an action for certain arguments."""
    if not arguments:
        return action
    return f"{action}({', '.join(f'{name}={value}' for name, value in sorted(arguments.items()))})"


def split_arguments(name: str) -> tuple[str, dict[str, int]]:
    """The inverse of `with_arguments`."""
    action, _, inside = name.removesuffix(")").partition("(")
    pairs = (pair.partition("=") for pair in inside.split(", ")) if inside else ()
    return action, {key: int(value) for key, _, value in pairs}
