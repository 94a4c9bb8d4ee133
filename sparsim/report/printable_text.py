"""Text that is safe to print on a terminal."""

import re

# control characters except tab and newline, and characters that change the direction of writing
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    r"""Return the text with control characters as escapes, `\x1b`, so that none is sent to a terminal."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
