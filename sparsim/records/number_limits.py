"""Limits on the numbers in records, which keep counts within machine integers and sums finite.

Kernels count in 64-bit integers and in doubles. Within these limits both can hold every product of a size, a
width and a bound, and every sum of energies; kernels check numbers that depend on a mapping.
"""

import math
import operator
from collections.abc import Collection, Hashable, Iterable
from decimal import Decimal
from numbers import Real
from typing import TypeVar

from sparsim.errors import SpecError

MAX_INT = 2**31 - 1  # widths, sides of a mesh, latencies
MAX_COUNT = 2**53  # sizes, bounds, factors: a double counts exactly up to this number
MAX_REAL = 1e30  # energies in pJ, areas in um^2, lengths in um
MAX_NAMES = 32  # dims, dataspaces, storage levels: sets of them are bits of one integer
MAX_PARTS = 64  # coordinates of a dataspace, ranks of a format, options of a policy and the like

T = TypeVar("T", bound=Hashable)


def check_whole(where: str, field: str, value: int | None, least: int = 0, most: int = MAX_COUNT) -> None:
    """Raise SpecError unless `value` is None or a whole number from `least` to `most`."""
    if value is None:
        return
    try:
        whole = operator.index(value)
    except TypeError:
        raise SpecError(f"{field} must be a whole number, got {value!r}", path=where) from None
    if whole < least:
        raise SpecError(f"{field} must be at least {least}, got {shown(whole)}", path=where)
    if whole > most:
        raise SpecError(f"{field} must be at most {most}, got {shown(whole)}", path=where)


def check_real(where: str, field: str, value: float | None, most: float = MAX_REAL, unit: str = "") -> None:
    """Raise SpecError unless `value` is None or a number from 0 to `most`."""
    if value is None:
        return
    number = as_real(where, field, value)
    if not 0 <= number < math.inf:  # also refuses nan
        raise SpecError(f"{field} must be at least 0, got {number:g}{unit}", path=where)
    if number > most:
        raise SpecError(f"{field} must be at most {most:g}, got {number:g}{unit}", path=where)


def check_above_zero(where: str, field: str, value: float | None) -> None:
    """Raise SpecError unless `value` is None or a number above 0, up to `MAX_REAL`."""
    if value is None:
        return
    number = as_real(where, field, value)
    if not 0 < number < math.inf:  # also refuses nan
        raise SpecError(f"{field} must be greater than 0, got {number:g}", path=where)
    check_real(where, field, number)


def as_real(where: str, field: str, value: float) -> float:
    """Return the number as a double. Raises SpecError for other types, and for whole numbers beyond all
    doubles.
    """
    if type(value) is float:  # a check for the abstract class of numbers takes ten times as long
        return value
    if not isinstance(value, Real):
        raise SpecError(f"{field} must be a number, got {value!r}", path=where)
    try:
        return float(value)
    except OverflowError:
        raise SpecError(
            f"{field} must be at most {MAX_REAL:g}, got {shown(int(value))}", path=where
        ) from None


def check_number(where: str, kind: str, items: Collection[object], most: int) -> None:
    """Raise SpecError if there are more than `most` of a kind of item."""
    if len(items) > most:
        raise SpecError(f"there must be at most {most} {kind}, got {len(items)}", path=where)


def repeated(names: Iterable[T]) -> T | None:
    """Return the first name that occurs twice in a list, if there is one."""
    seen: set[T] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def shown(number: int) -> str:
    """Return a whole number as text; Python refuses to convert very long ones."""
    return str(number) if abs(number) < 10**30 else f"a number of {number.bit_length()} bits"


def rounded(number: int) -> str:
    """Return a whole number of any size, also beyond all doubles, with three digits."""
    return f"{Decimal(number):.3g}"
