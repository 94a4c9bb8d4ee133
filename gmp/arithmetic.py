"""The arithmetic of recipes: `eval(num_epochs * 2 / 3)`, parsed with `ast` and never run as Python.

Numbers, names, + - * / // % **, parentheses, and abs, min, max, round, int, float; nothing else.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable

from gmp.errors import RecipeError
from sparsim.errors import near

Number = int | float

_MAX_LENGTH = 1000


def _round(number: Number, digits: int | None = None) -> Number:
    """Digits of floats only: those of integers cost 10 ** digits."""
    return round(number) if digits is None else round(float(number), digits)


_FUNCTIONS: dict[str, Callable[..., Number]] = {
    "abs": abs,
    "float": float,
    "int": int,
    "max": max,
    "min": min,
    "round": _round,
}
_UNARY: dict[type[ast.unaryop], Callable[[Number], Number]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}


def _power(base: Number, exponent: Number) -> Number:
    """In floats, which overflow at once where integers would grow for hours."""
    result = float(base) ** float(exponent)
    if isinstance(result, complex):
        raise ValueError(f"{base} ** {exponent} is not a real number")
    whole = isinstance(base, int) and isinstance(exponent, int) and abs(result) < 2**53 and exponent >= 0
    return int(result) if whole else result


_BINARY: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}


def evaluate(expression: str, variable: Callable[[str], Number]) -> Number:
    """The finite number that `expression` stands for; `variable` gives the value of a name, or raises.

    Raises RecipeError for anything but arithmetic, and for a result that is no finite number.
    """
    if len(expression) > _MAX_LENGTH:
        raise RecipeError(f"an expression of {len(expression)} characters, {_MAX_LENGTH} are allowed")
    try:
        tree = ast.parse(expression.strip(), mode="eval")
        result = _value(tree.body, variable)
        if math.isfinite(result):
            return result
        reason = "the result is not finite"
    except (SyntaxError, RecursionError, MemoryError):
        reason = "not an expression"
    except ZeroDivisionError:
        reason = "division by zero"
    except OverflowError:
        reason = "the result is too large"
    except TypeError:
        reason = "a function with wrong arguments"
    except ValueError as error:
        if isinstance(error, RecipeError):
            raise
        reason = str(error)
    raise RecipeError(f"eval({expression}): {reason}")


def _value(node: ast.expr, variable: Callable[[str], Number]) -> Number:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value  # type: ignore[return-value]
    if isinstance(node, ast.Name):
        return variable(node.id)
    if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
        return _UNARY[type(node.op)](_value(node.operand, variable))
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        return _BINARY[type(node.op)](_value(node.left, variable), _value(node.right, variable))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        if node.func.id not in _FUNCTIONS:
            raise ValueError(f"unknown function '{node.func.id}', {near(node.func.id, _FUNCTIONS)}")
        return _FUNCTIONS[node.func.id](*(_value(argument, variable) for argument in node.args))
    raise ValueError(f"'{ast.unparse(node)}' is not arithmetic")
