"""Records in which R and P are the width and S and Q the height, with the names that `sparsim` uses.

In `sparsim` R and P mean height, S and Q width. Timeloop's `cnn-layer` and documents of version 1 have it the
other way round.
"""

import re
from typing import Any, TypeVar

import msgspec

from sparsim.records.record import Record

SWAPPED = {"R": "S", "S": "R", "P": "Q", "Q": "P"}
_FIELDS_OF_DIMS = (
    "dims", "projection", "bounds", "factors", "order", "inner", "outer", "at_least", "at_most",
    "divisibility", "flattened", "spread",
)  # fmt: skip

T = TypeVar("T", bound=Record)


def swap_axes(record: T) -> T:
    """Return the record with R and S, and P and Q, exchanged wherever a dim is named."""
    return msgspec.convert(_swapped(record.to_dict(), names_dims=False), type(record))


def _swapped(value: Any, *, names_dims: bool) -> Any:
    if isinstance(value, dict):
        return {
            SWAPPED.get(key, key) if names_dims else key: (
                item
                if key == "provenance"
                else _swapped(item, names_dims=names_dims or key in _FIELDS_OF_DIMS)
            )
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_swapped(item, names_dims=names_dims) for item in value]
    if isinstance(value, str) and names_dims:
        return re.sub(r"\b[RSPQ]\b", lambda match: SWAPPED[match[0]], value)
    return value
