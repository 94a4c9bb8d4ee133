"""The arithmetic of recipes: `eval(num_epochs * 2 / 3)`, parsed with `ast` and never run as Python.

Numbers, names, + - * / // % **, parentheses, and abs, min, max, round, int, float; nothing else.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping

from gmp.errors import RecipeError
from sparsim.errors import near

Number = int | float

_MAX_LENGTH = 1000
_MAX_DEPTH = 100
_TOO_DEEP = f"nested more than {_MAX_DEPTH} deep"


def _round(number: Number, digits: int | None = None) -> Number:
    """Round; digits are allowed for floats only, because those of integers cost 10 ** digits."""
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
    """Compute a power in floats, which overflow at once where integers would grow for hours."""
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

    Every name is asked for once, before anything is computed. Raises RecipeError for anything but arithmetic,
    for what is too long or nested too deep, and for a result that is no finite number.
    """
    if len(expression) > _MAX_LENGTH:
        raise RecipeError(f"an expression must have at most {_MAX_LENGTH} characters, has {len(expression)}")
    try:
        tree = ast.parse(expression.strip(), mode="eval")
        values = {name: variable(name) for name in _names(tree.body)}
        result = _value(tree.body, values)
        if math.isfinite(result):
            return result
        reason = "the result is not finite"
    except SyntaxError as error:
        reason = _TOO_DEEP if "too many nested" in str(error) else "it is not an expression"
    except (RecursionError, MemoryError):
        reason = _TOO_DEEP
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
    shown = expression if len(expression) <= 100 else f"{expression[:97]}..."
    raise RecipeError(f"eval({shown}): {reason}")


def _names(node: ast.expr) -> list[str]:
    """The names of variables, outer ones first. Raises ValueError where the tree is too deep."""
    found: dict[str, None] = {}
    level: list[ast.AST] = [node]
    functions: set[int] = set()
    for _ in range(_MAX_DEPTH):
        functions |= {id(inner.func) for inner in level if isinstance(inner, ast.Call)}
        names = (inner for inner in level if isinstance(inner, ast.Name) and id(inner) not in functions)
        found |= dict.fromkeys(name.id for name in names)
        level = [child for inner in level for child in ast.iter_child_nodes(inner)]
        if not level:
            return list(found)
    raise ValueError(_TOO_DEEP)


def _value(node: ast.expr, values: Mapping[str, Number]) -> Number:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value  # type: ignore[return-value]
    if isinstance(node, ast.Name):
        return values[node.id]
    if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
        return _UNARY[type(node.op)](_value(node.operand, values))
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        return _BINARY[type(node.op)](_value(node.left, values), _value(node.right, values))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        if node.func.id not in _FUNCTIONS:
            raise ValueError(f"unknown function '{node.func.id}', {near(node.func.id, _FUNCTIONS)}")
        return _FUNCTIONS[node.func.id](*(_value(argument, values) for argument in node.args))
    raise ValueError(f"'{ast.unparse(node)}' is not arithmetic")
