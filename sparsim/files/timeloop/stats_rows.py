"""Rows of a stats text, which all blocks are made of."""

from collections.abc import Iterable


def real(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def table(rows: Iterable[tuple[str, str]], *, indent: int, width: int) -> list[str]:
    return [f"{' ' * indent}{label:<{width}}: {value}" for label, value in rows]
