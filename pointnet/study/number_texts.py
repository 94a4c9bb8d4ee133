"""Formatting of numbers in the sentences, tables and figures of a report."""

from collections.abc import Sequence

_MINUS, _NO_BREAK = "\u2212", "\u00a0"


def percent(fraction: float, digits: int = 1) -> str:
    number = round(100 * fraction, digits) + 0.0  # zero has no minus sign
    return f"{number:.{digits}f}{_NO_BREAK}%".replace("-", _MINUS)


def interval(bounds: tuple[float, float]) -> str:
    low, high = bounds
    return f"{100 * low:.1f} to {percent(high)}"


def signed(number: float, unit: str) -> str:
    """Return the number with a sign, unless it is rounded to zero."""
    rounded = round(number, 1)
    return f"{rounded:+.1f}{_NO_BREAK}{unit}".replace("-", _MINUS) if rounded else f"0.0{_NO_BREAK}{unit}"


def change(saved: float, fewer: str, more: str, same: str) -> str:
    """Return a saving in words: "41.2 % less energy", "0.1 % more energy", "the same energy"."""
    if round(100 * saved, 1) == 0:
        return same
    return f"{percent(abs(saved))} {fewer if saved > 0 else more}"


def listed(items: Sequence[str]) -> str:
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)
