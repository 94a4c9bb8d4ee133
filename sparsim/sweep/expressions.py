"""Arithmetic and comparisons on the values of axes: filters, limits, conditions and derived values.

`compile_expression("lanes * rows <= 1024", names)` checks the expression node by node and returns a function
of the values. Numbers, text, names, + - * / // % **, comparisons, and, or, not, in, x if c else y, lists, and
the functions of `FUNCTIONS`; nothing else.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Any, NamedTuple

from sparsim.errors import SpecError, near

MOST_CHARACTERS = 1000
MOST_NODES = 200
LARGEST_EXPONENT = 64
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs, "min": min, "max": max, "round": round, "int": int, "float": float, "ceil": math.ceil,
    "floor": math.floor, "sqrt": math.sqrt, "log2": math.log2,
}  # fmt: skip
_NODES = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.USub, ast.UAdd, ast.Not, ast.BinOp, ast.Add,
    ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.Compare, ast.Eq, ast.NotEq, ast.Lt,
    ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.IfExp, ast.List, ast.Tuple, ast.Constant, ast.Name,
    ast.Load, ast.Call,
)  # fmt: skip


class Expression(NamedTuple):
    """A checked expression.

    Attributes
    ----------
    text : str
    names : frozenset of str
        The names whose values it needs.
    """

    text: str
    names: frozenset[str]

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """The value for the given values of the names. Raises SpecError where there is none."""
        try:
            found = eval(_code(self.text), {"__builtins__": {}, **FUNCTIONS, "_power": _power}, dict(values))
        except SpecError:
            raise
        except (ArithmeticError, TypeError, ValueError) as error:
            raise SpecError(f"'{self.text}': {error}") from None
        if isinstance(found, float) and not math.isfinite(found):
            raise SpecError(f"'{self.text}' must be a finite number, got {found}")
        return found


def compile_expression(text: str, known: Collection[str], path: str = "") -> Expression:
    """Check an expression on the names `known`.

    Raises
    ------
    SpecError
        For what is no expression, too long, or uses unknown names and anything but arithmetic.
    """
    text = str(text).strip()
    if len(text) > MOST_CHARACTERS:
        raise SpecError(
            f"an expression must have at most {MOST_CHARACTERS} characters, has {len(text)}", path=path
        )
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise SpecError(f"'{text}' is not an expression", path=path) from None
    nodes = list(ast.walk(tree))
    if len(nodes) > MOST_NODES:
        raise SpecError(f"an expression must have at most {MOST_NODES} parts, has {len(nodes)}", path=path)
    functions = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    names = {node.id for node in nodes if isinstance(node, ast.Name) and id(node) not in functions}
    for node in nodes:
        _check(node, text, path)
    for name in sorted(names):
        if name not in known:
            raise SpecError(f"'{text}': unknown name '{name}'", path=path, hint=near(name, known))
    return Expression(text, frozenset(names))


@cache
def _code(text: str) -> Any:
    """Return the code of a checked expression, compiled once per process."""
    tree = _Powers().visit(ast.parse(text, mode="eval"))
    return compile(ast.fix_missing_locations(tree), "<expression>", "eval")


def _check(node: ast.AST, text: str, path: str) -> None:
    if not isinstance(node, _NODES):
        raise SpecError(f"'{text}' has a {type(node).__name__}, which is not arithmetic", path=path)
    if isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name) or node.keywords:
            raise SpecError(f"'{text}' is not arithmetic", path=path)
        if node.func.id not in FUNCTIONS:
            raise SpecError(
                f"'{text}': unknown function '{node.func.id}'", path=path, hint=near(node.func.id, FUNCTIONS)
            )
    if isinstance(node, ast.Constant) and not isinstance(node.value, bool | int | float | str):
        raise SpecError(f"'{text}' has the constant {node.value!r}, which is not a number", path=path)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Mod):
        for side in (node.left, node.right):
            if isinstance(side, ast.Constant | ast.List | ast.Tuple) and not _is_number(side):
                raise SpecError(f"'{text}' multiplies something that is not a number", path=path)


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float)


class _Powers(ast.NodeTransformer):
    """Transformer that replaces every `**` by a call of `_power`."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Pow):
            return node
        return ast.Call(ast.Name("_power", ast.Load()), [node.left, node.right], [])


def _power(base: Any, exponent: Any) -> Any:
    if abs(exponent) > LARGEST_EXPONENT or abs(base) > 2**64:
        raise SpecError(f"exponents must be at most {LARGEST_EXPONENT}, got {base} ** {exponent}")
    return base**exponent
