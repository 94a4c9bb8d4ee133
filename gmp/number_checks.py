"""Checks of numbers that users give. The functions return them, or raise PruningError with the allowed
values.

`what` names the number in the message.
"""

import math
from numbers import Integral, Real
from typing import Any, TypeGuard

from gmp.errors import PruningError


def is_number(value: object) -> TypeGuard[float]:
    """Return whether `value` is a finite number that a float can hold, including NumPy's."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer too large for a float
        return False


def is_count(value: object) -> TypeGuard[int]:
    """Return whether `value` is a positive whole number, including NumPy's."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1


def fraction(value: Any, what: str) -> float:
    _require(is_number(value) and 0 <= value <= 1, value, what, "a number between 0 and 1")
    return float(value)


def at_least_zero(value: Any, what: str, kind: str = "number") -> float:
    _require(is_number(value) and value >= 0, value, what, f"a {kind} of at least 0")
    return float(value)


def above_zero(value: Any, what: str) -> float:
    _require(is_number(value) and value > 0, value, what, "a number greater than 0")
    return float(value)


def whole(value: Any, what: str) -> int:
    _require(is_count(value), value, what, "a positive whole number")
    return int(value)


def seed_number(value: Any) -> int:
    allowed = isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0
    _require(allowed, value, "seed", "a whole number of at least 0")
    return int(value)


def returned(value: Any, what: str) -> float:
    """Check what a user's function has returned: a finite number, or a tensor of one."""
    try:
        number = float(value)
    except (TypeError, ValueError, RuntimeError):
        number = math.nan
    if not math.isfinite(number):
        raise PruningError(f"{what} is {value!r}; it must be a finite number")
    return number


def _require(allowed: bool, value: Any, what: str, wanted: str) -> None:
    if not allowed:
        raise PruningError(f"{what} must be {wanted}, got {value!r}")
