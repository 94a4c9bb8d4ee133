"""Checksums of what is kept on disk between runs, so that damage is noticed when it is read."""

from __future__ import annotations

import hashlib


def with_checksum(content: bytes, name: str) -> bytes:
    """The bytes of a file: a line with the checksum of `content` and of the `name` it is kept under."""
    return _checksum(content, name) + b"\n" + content


def checked(data: bytes, name: str) -> bytes | None:
    """The content of a file made by `with_checksum`; None if a bit differs, or if it is kept under `name` by
    mistake."""
    stamp, _, content = data.partition(b"\n")
    return content if stamp == _checksum(content, name) else None


def _checksum(content: bytes, name: str) -> bytes:
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape") + b"\0")
    digest.update(content)
    return digest.hexdigest().encode()
