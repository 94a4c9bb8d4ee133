"""Arithmetic on values from untrusted documents: every result is bounded before it is computed.

The expressions of documents and their templates share these operations. Values that are too large cause a
`TooLargeError` instead of a slow computation or a lack of memory.
"""

import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any

MAX_BITS = 2048  # most bits of a whole number
MAX_TEXT = 100_000  # characters
MAX_ITEMS = 50_000  # values in a list, those in its lists included


class TooLargeError(Exception):
    """A value or a computation exceeds the limits for documents."""


class Steps:
    """The number of remaining steps, which computations reduce."""

    def __init__(self, number: int) -> None:
        self.left = number

    def take(self, number: int = 1) -> None:
        self.left -= number
        if self.left < 0:
            raise TooLargeError("takes too many steps")

    def counted(self, values: Iterable[Any]) -> Iterator[Any]:
        """Yield the values, each of which counts as a step."""
        for value in values:
            self.take()
            yield value


def checked(value: Any) -> Any:
    """Return `value`. Raises TooLargeError if it exceeds the limits."""
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise TooLargeError(f"a number has more than {MAX_BITS} bits")
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise TooLargeError(f"a text has more than {MAX_TEXT} characters")
    if isinstance(value, (list, tuple, dict, range)):
        size(value)
    return value


def size(value: Any) -> int:
    """How many values a list or a mapping holds, with those inside: lists may hold one list many times."""
    if isinstance(value, range):
        return _within(max(0, (value.stop - value.start) // value.step))
    total, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        total = _within(total + 1)
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, (list, tuple)):
            _within(total + len(waiting) + len(item))
            waiting.extend(item)
    return total


def _within(items: int) -> int:
    if items > MAX_ITEMS:
        raise TooLargeError(f"a list has more than {MAX_ITEMS} values")
    return items


def _multiply(a: Any, b: Any) -> Any:
    for value, times in ((a, b), (b, a)):
        if isinstance(value, (str, list, tuple)) and isinstance(times, int):
            length = len(value) if isinstance(value, str) else size(value)
            if length * max(times, 0) > MAX_ITEMS:
                raise TooLargeError("a repetition is too long")
    return a * b


def _power(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int) and a.bit_length() * max(b, 0) > MAX_BITS:
        raise TooLargeError(f"a power has more than {MAX_BITS} bits")
    return a**b


def _left_shift(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int) and a.bit_length() + max(b, 0) > MAX_BITS:
        raise TooLargeError(f"a shifted number has more than {MAX_BITS} bits")
    return a << b


def _remainder(a: Any, b: Any) -> Any:
    if isinstance(a, str):
        raise TypeError("'%' does not format text here")
    return a % b


OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": _multiply, "/": operator.truediv, "//": operator.floordiv,
    "%": _remainder, "**": _power, "<<": _left_shift, ">>": operator.rshift,
    "&": operator.and_, "|": operator.or_, "^": operator.xor,
}  # fmt: skip


def calculate(sign: str, a: Any, b: Any) -> Any:
    """The result of a binary operation.

    Raises TooLargeError for a result beyond the bounds; otherwise what Python raises.
    """
    if isinstance(a, set) or isinstance(b, set):
        raise TypeError("sets are not supported")
    result = OPERATIONS[sign](a, b)
    if isinstance(result, complex):
        raise TypeError("the result is not a real number")
    return checked(result)
