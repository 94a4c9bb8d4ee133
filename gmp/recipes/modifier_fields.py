"""Checks of the fields of modifiers. Each check returns the value to keep, or raises an error with the
allowed values.
"""

import dataclasses
import re
from collections.abc import Callable
from typing import Any

from gmp.number_checks import is_count, is_number
from gmp.sharing.weight_sharing import MOST_ENTRIES

ALL = "__ALL__"
ALL_PRUNABLE = "__ALL_PRUNABLE__"
FROM_PARAM = "__FROM_PARAM__"
TO_THE_END = -1.0


class NotAllowedError(Exception):
    """A value is not allowed; the message says what is. It is converted to a RecipeError with file and
    line.
    """


def key(check: Callable[[Any], Any], default: Any = dataclasses.MISSING) -> Any:
    """A field of a modifier; `check` returns the value to keep, or raises NotAllowedError."""
    return dataclasses.field(default=default, metadata={"check": check})


def _number(holds: Callable[[float], bool], what: str) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        if not is_number(value) or not holds(value):
            raise NotAllowedError(what)
        return float(value)

    return check


at_least_zero = _number(lambda x: x >= 0, "a number of at least 0")
above_zero = _number(lambda x: x > 0, "a number greater than 0")
fraction = _number(lambda x: 0 <= x <= 1, "a number between 0 and 1")
end = _number(lambda x: x >= 0 or x == TO_THE_END, "an epoch of at least 0, or -1 for the end of the recipe")
frequency = _number(lambda x: x > 0 or x == -1, "a number of epochs greater than 0, or -1 for each step")
_start = _number(lambda x: x >= 0 or x == -1, "an epoch of at least 0, or -1 for the beginning")


def start(value: Any) -> float:
    return max(_start(value), 0.0)


def entries(value: Any) -> int:
    if not is_count(value) or value > MOST_ENTRIES:
        raise NotAllowedError(f"a whole number from 1 to {MOST_ENTRIES}")
    return int(value)


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise NotAllowedError("true or false")
    return value


def one_of(*names: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in names:
            raise NotAllowedError(" or ".join(names))
        return str(value)

    return check


def unused_end(value: Any) -> float:
    """Ignore an end in modifiers without one: some recipes have it, and sparseml ignores it, too."""
    end(value)
    return TO_THE_END


def only(allowed: Any) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if value != allowed:
            raise NotAllowedError(f"{allowed}, the only supported value")
        return value

    return check


def groups(value: Any) -> tuple[int, ...]:
    """Indices of the optimizer's parameter groups; () is all of them."""
    indices = [] if value is None else value if isinstance(value, list) else [value]
    if any(isinstance(index, bool) or not isinstance(index, int) or index < 0 for index in indices):
        raise NotAllowedError("a list of indices of parameter groups")
    return tuple(indices)


def scheduler_arguments(value: Any) -> dict[str, Any]:
    """Check that arguments are numbers, and `milestones` a list of numbers."""
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise NotAllowedError("a mapping of the scheduler's arguments")
    for name, given in value.items():
        numbers = given if name == "milestones" else [given]
        if not isinstance(numbers, list) or not all(is_number(number) for number in numbers):
            raise NotAllowedError("numbers, and a list of numbers as milestones")
    return value


def params(value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if names is None:
        return ()
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise NotAllowedError(f"a list of names of parameters, 're:' patterns, {ALL_PRUNABLE} or {ALL}")
    for name in names:
        if name.startswith("re:"):
            try:
                re.compile(name[3:])
            except re.error as error:
                raise NotAllowedError(f"a regular expression after 're:' ({error})") from None
    return tuple(names)


def initial(value: Any) -> float | None:
    """Check an initial sparsity; None stands for the sparsity that a weight already has."""
    if value == FROM_PARAM:
        return None
    try:
        return fraction(value)
    except NotAllowedError:
        raise NotAllowedError(f"a number between 0 and 1, or {FROM_PARAM}") from None


def final(value: Any) -> float | tuple[tuple[float, tuple[str, ...]], ...]:
    if not isinstance(value, dict):
        return fraction(value)
    if not value:
        raise NotAllowedError("a number between 0 and 1, or a mapping of such numbers to lists of weights")
    return tuple((fraction(sparsity), params(names)) for sparsity, names in value.items())


def pattern(value: Any) -> str:
    """Translate a pattern to the spelling of gmp.patterns.

    A list is [outputs, inputs] of a block, and block4 is 1x4.
    """
    named = {"unstructured": "1x1", "block4": "block(1,4)", "tensorrt": "2:4"}
    if isinstance(value, str) and value in named:
        return named[value]
    if isinstance(value, str) and re.fullmatch(r"[0-9]+:[0-9]+", value):
        return value
    if isinstance(value, list) and len(value) == 2 and all(type(n) is int and n > 0 for n in value):
        return f"block({value[0]},{value[1]})"
    raise NotAllowedError("unstructured, block4, 'n:m' or [outputs, inputs] of a block")
