"""Remember what was made of immutable records, by identity: nothing is hashed at a call.

Records are frozen; who changes a dict inside one gets the old numbers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
LIMIT = 1024


def by_identity(function: Callable[..., T]) -> Callable[..., T]:
    """Call `function` once per tuple of argument objects. The arguments are kept, so that ids stay theirs."""
    seen: dict[tuple[int, ...], tuple[tuple[Any, ...], T]] = {}

    @functools.wraps(function)
    def remembered(*args: Any) -> T:
        key = tuple(map(id, args))
        hit = seen.get(key)
        if hit is None:
            if len(seen) >= LIMIT:
                seen.clear()
            hit = seen[key] = (args, function(*args))
        return hit[1]

    return remembered
