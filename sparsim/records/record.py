"""The base of all specification records, which are frozen, strict, and have a content digest."""

import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """An immutable, validated record. Unknown fields are refused, and records with equal fields are equal."""

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain dicts, lists and scalars.

        Returns
        -------
        dict of str to object
            The fields by name; those that have their default are left out.
        """
        plain: dict[str, Any] = _plain(self)
        return plain

    def digest(self) -> str:
        """Return a digest of the content; equal records have equal digests.

        Returns
        -------
        str
            SHA-256 of the record's canonical JSON, in hex.
        """
        return hashlib.sha256(msgspec.json.encode(self.to_dict(), order="sorted")).hexdigest()

    def kept(self, name: str, others: tuple[object, ...], make: Callable[[], T]) -> T:
        """Return what `make` makes of this record together with others, and keep it.

        The result lives as long as the record. It is no part of its value, nor of copies. Because records are
        immutable, a caller who changes a dict inside one gets what was made before.

        Parameters
        ----------
        name : str
            Name under which the result is kept.
        others : tuple
            What the result depends on besides the record; `make` is called again for others.
        make : callable
            Makes the result, without arguments.

        Returns
        -------
        object
            What `make` returned.
        """
        slot = self.__dict__.get(name)
        if slot is None or not all(a is b or a == b for a, b in zip(slot[0], others, strict=True)):
            slot = self.__dict__[name] = others, make()
        found: T = slot[1]
        return found

    def __hash__(self) -> int:
        return self.kept("hash", (), lambda: hash(msgspec.json.encode(self, order="sorted")))


_fields = cache(msgspec.structs.fields)  # this looks up types by their names for every field


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        config = value.__struct_config__
        kind = {} if config.tag is None else {config.tag_field: config.tag}
        fields = ((field, getattr(value, field.name)) for field in _fields(type(value)))
        return kind | {field.encode_name: _plain(item) for field, item in fields if item != _default(field)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)  # 1 and 1.0 are equal, also as text
    return value


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default
