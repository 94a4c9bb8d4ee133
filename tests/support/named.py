"""What tests expect of messages: the names and numbers in them, whatever the wording."""

from __future__ import annotations

import re


def naming(words: str) -> str:
    """A pattern for a text that has each of the words, in any order."""
    found = (rf"(?<!\w)(?<!\d\.){re.escape(word)}(?!\w)(?!\.\d)" for word in words.split())
    return r"(?s)\A" + "".join(f"(?=.*{word})" for word in found)


def names(text: object, words: str) -> bool:
    """Whether a text, or the message of an error, has each of the words."""
    return re.search(naming(words), str(text)) is not None
