"""Writers of results as plain data."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sparsim.fileio.writing import write_bytes, write_text


def write_json(path: str | Path, content: Any, *, durable: bool = True) -> None:
    """Write records or plain data as readable JSON; nan and infinity become null."""
    write_bytes(path, json_text(content).encode(), durable=durable)


def json_text(content: Any) -> str:
    """Records or plain data as readable JSON with an end of line; nan and infinity become null."""
    import msgspec  # imported late, because `import gmp` needs only the CSV functions of this module

    encoded = msgspec.json.encode(content, enc_hook=_plain)
    return msgspec.json.format(encoded, indent=1).decode() + "\n"


def _plain(value: Any) -> Any:
    """Convert values that msgspec does not know: NumPy numbers, subclasses of str such as torch's version,
    and other sequences than lists and tuples.
    """
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Sequence):
        return list(value)
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{value!r} is a {type(value).__name__}, which JSON cannot hold")


def write_csv(path: str | Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write a line with the keys of the first row and a line for each row; None is left blank."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
