"""Checks that a study can have results: limits do not contradict each other, and some points pass the
filters.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from sparsim.errors import SpecError
from sparsim.sweep.axes import AxisValues, grid, grid_size
from sparsim.sweep.expressions import Expression
from sparsim.sweep.study import SHORT_NAMES
from sparsim.sweep.sweep_row import Point

MOST_POINTS = 20_000  # largest grid on which filters are tried
_MIRRORED = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE, ast.Eq: ast.Eq}


def check_limits(limits: Iterable[Expression], where: str) -> None:
    """Refuse comparisons of one name with numbers that no value can fulfil. Raises SpecError."""
    intervals: dict[str, tuple[float, bool, float, bool]] = {}  # low, whether open, high, whether open
    said: dict[str, list[str]] = {}
    for limit in limits:
        for name, kind, number in _comparisons(ast.parse(limit.text, mode="eval").body):
            low, low_open, high, high_open = intervals.get(name, (-math.inf, False, math.inf, False))
            if kind in (ast.Gt, ast.GtE, ast.Eq) and (number, kind is ast.Gt) > (low, low_open):
                low, low_open = number, kind is ast.Gt
            if kind in (ast.Lt, ast.LtE, ast.Eq) and (number, kind is not ast.Lt) < (high, not high_open):
                high, high_open = number, kind is ast.Lt
            intervals[name] = low, low_open, high, high_open
            said.setdefault(name, []).append(f"'{limit.text}'")
            if low > high or (low == high and (low_open or high_open)):
                texts = " and ".join(dict.fromkeys(said[name]))
                raise SpecError(f"no value of '{name}' fulfils {texts}", path=where)


def _comparisons(node: ast.AST) -> Iterator[tuple[str, Any, float]]:
    """Yield the required comparisons of names with numbers, as (name, operator, number)."""
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        for value in node.values:
            yield from _comparisons(value)
    if not isinstance(node, ast.Compare):
        return
    sides = [node.left, *node.comparators]
    for left, operator, right in zip(sides, node.ops, sides[1:], strict=False):
        kind = type(operator)
        if kind not in _MIRRORED:
            continue
        if isinstance(left, ast.Name) and (number := _number(right)) is not None:
            yield SHORT_NAMES.get(left.id, left.id), kind, number
        elif isinstance(right, ast.Name) and (number := _number(left)) is not None:
            yield SHORT_NAMES.get(right.id, right.id), _MIRRORED[kind], number


def _number(node: ast.AST) -> float | None:
    """Return the number that a node represents, with its sign."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = _number(node.operand)
        return None if number is None else -number
    is_number = isinstance(node, ast.Constant) and isinstance(node.value, int | float)
    return float(node.value) if is_number else None  # type: ignore[attr-defined]


def check_filters(
    axes: Sequence[AxisValues], filters: Sequence[Expression], refusal: Callable[[Point], str], where: str
) -> None:
    """Refuse filters that no point of a small grid passes. Raises SpecError."""
    if filters and grid_size(axes) <= MOST_POINTS and all(map(refusal, grid(axes))):
        texts = " and ".join(f"'{expression.text}'" for expression in filters)
        raise SpecError(f"no point passes {texts}", path=where)
