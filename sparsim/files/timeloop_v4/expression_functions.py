"""The functions and constants that an expression of a version 0.4 document may name."""

import math
import os
from collections.abc import Callable
from typing import Any

from sparsim.files.timeloop_v4.bounded_operations import (
    MAX_ITEMS,
    MAX_TEXT,
    Steps,
    TooLargeError,
    calculate,
    checked,
    size,
)

_MAX_ARGUMENTS = 100  # most arguments of a call
_MAX_COMBINATIONS = 1000  # the largest n of n! and of "n over k"
_CONSTANTS = {name: getattr(math, name) for name in ("pi", "e", "tau", "inf", "nan")}
_OF_ONE = {"factorial", "comb", "perm"}
_OWN = {"pow", "prod"}  # functions of math whose intermediate results must be bounded
_LISTS = {"fsum", "dist", "sumprod", "hypot"}

Function = Callable[..., Any]


class SpecObject:
    """An object of a document in expressions, with named values as attributes and by index."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields

    def __repr__(self) -> str:
        return "a part of the document"

    def get(self, name: Any, default: Any = None) -> Any:
        return self.fields.get(name, default)


def functions(steps: Steps) -> dict[str, Any]:
    """The functions by name; each counts the values that it goes through as `steps`."""
    found: dict[str, Any] = dict(_CONSTANTS)
    for name in dir(math):
        if not name.startswith("_") and name not in _CONSTANTS and name not in _OWN:
            found[name] = _of_math(name, steps)

    def values(of: Any) -> list[Any]:
        if isinstance(of, str | dict | list | tuple | range | enumerate | map):
            items = []
            for item in steps.counted(of):
                items.append(item)
                if len(items) > MAX_ITEMS:
                    raise TooLargeError(f"a list has more than {MAX_ITEMS} values")
            return items
        raise TypeError(f"a {type(of).__name__} has no items")

    def total(of: Any, start: Any = 0) -> Any:
        for item in values(of):
            start = calculate("+", start, item)
            steps.take(size(start) if isinstance(start, list | tuple) else 1)
        return start

    def product(of: Any, start: Any = 1) -> Any:
        for item in values(of):
            start = calculate("*", start, item)
            steps.take(size(start) if isinstance(start, list | tuple) else 1)
        return start

    def text(value: Any = "") -> str:
        steps.take(size(value) if isinstance(value, list | tuple | dict) else 1)
        if not isinstance(value, str | int | float | list | tuple | dict | range | type(None)):
            raise TypeError(f"a {type(value).__name__} has no text")
        return str(checked(value))

    def power(base: Any, exponent: Any, modulus: Any = None) -> Any:
        if modulus is None:
            return calculate("**", base, exponent)
        if isinstance(exponent, int):
            steps.take(exponent.bit_length())
        return pow(base, exponent, modulus)

    def rounded(value: Any, digits: Any = None) -> Any:
        if digits is not None and abs(digits) > 400:
            raise TooLargeError("rounds to more than 400 digits")
        return round(value, digits)

    def length(of: Any) -> int:
        if isinstance(of, SpecObject):
            return len(of.fields)
        return len(of) if isinstance(of, str | list | tuple | dict | range) else len(values(of))

    def largest(*of: Any, default: Any = None) -> Any:
        return max(values(of[0]), default=default) if len(of) == 1 else max(of)

    def smallest(*of: Any, default: Any = None) -> Any:
        return min(values(of[0]), default=default) if len(of) == 1 else min(of)

    def numbered(of: Any, start: int = 0) -> list[tuple[int, Any]]:
        return list(enumerate(values(of), start))

    def mapped(function: Function, *of: Any) -> list[Any]:
        return [function(*items) for items in zip(*map(values, of), strict=False)]

    return found | {
        "abs": abs, "round": rounded, "sum": total, "range": range, "len": length, "min": smallest,
        "max": largest, "float": _plain(float), "int": _plain(int), "str": text, "bool": bool,
        "list": lambda of=(): values(of), "tuple": lambda of=(): tuple(values(of)), "enumerate": numbered,
        "map": mapped, "pow": power, "prod": product, "getcwd": os.getcwd,
    }  # fmt: skip


def call(function: Any, arguments: list[Any], named: dict[str, Any]) -> Any:
    """The result of a function for expressions, bounded."""
    if len(arguments) + len(named) > _MAX_ARGUMENTS:
        raise TooLargeError(f"a call has more than {_MAX_ARGUMENTS} arguments")
    return checked(function(*arguments, **named))


def _plain(kind: type) -> Function:
    def convert(value: Any = 0, *base: int) -> Any:
        if not isinstance(value, str | int | float):
            raise TypeError(f"a {type(value).__name__} is not a number")
        if isinstance(value, str) and len(value) > min(MAX_TEXT, 1000):
            raise TooLargeError("a number has more than 1000 digits")
        return kind(value, *base)

    return convert


def _of_math(name: str, steps: Steps) -> Function:
    function = getattr(math, name)

    def bounded(*arguments: Any) -> Any:
        for value in arguments:
            checked(value)
            steps.take(size(value) if isinstance(value, list | tuple | range) else 1)
            if isinstance(value, list | tuple | range) and name not in _LISTS:
                raise TypeError(f"'{name}' takes numbers")
            if name in _OF_ONE and isinstance(value, int) and value > _MAX_COMBINATIONS:
                raise TooLargeError(f"'{name}' of more than {_MAX_COMBINATIONS}")
        return function(*arguments)

    return bounded
