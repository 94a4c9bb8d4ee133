"""What all specification records share: frozen, strict, with a content digest."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An immutable, validated record. Unknown fields are refused; equality is by content."""

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and scalars; fields at their default are left out."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    def digest(self) -> str:
        """SHA-256 of the record's canonical JSON, in hex."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()

    def __hash__(self) -> int:
        return hash(msgspec.json.encode(self, order="sorted"))
