"""Reader of libconfig files (.cfg), the form of Timeloop's oldest documents, into the same data as from
YAML.
"""

from __future__ import annotations

from typing import Any

import libconf

from sparsim.errors import FormatError
from sparsim.fileio.reading import reading
from sparsim.files.yaml_reading import MAX_DIGITS, YamlMap

_MAX_CHARACTERS = 1 << 20  # the largest published file has 20,000
_MAX_DEPTH = 50


def parse_libconfig(text: str, name: str) -> YamlMap:
    """The settings that the text holds, in file order; `name` stands for the file in messages.

    Raises FormatError for text that is no libconfig, has a setting twice, includes other files, or is too
    long or nested too deep.
    """
    if len(text) > _MAX_CHARACTERS:
        raise FormatError(f"must have at most {_MAX_CHARACTERS:,} characters, has {len(text):,}", path=name)
    with reading(name, "a libconfig file"):
        tokens = list(libconf.Tokenizer(name).tokenize(text))  # this class does not open included files
        _check(tokens, name)
        settings = _Parser(libconf.TokenStream(tokens), name).parse()
    if not settings:
        raise FormatError("is empty", path=name)
    return settings


def _check(tokens: list[Any], name: str) -> None:
    depth = 0
    for token in tokens:
        depth += (token.type in ("{", "(", "[")) - (token.type in ("}", ")", "]"))
        if depth > _MAX_DEPTH:
            raise FormatError(f"nested more than {_MAX_DEPTH} deep", path=f"{name}:{token.row}")
        if isinstance(token, libconf.IntToken) and len(token.text) > MAX_DIGITS:
            raise FormatError(f"a number of more than {MAX_DIGITS} digits", path=f"{name}:{token.row}")


class _Parser(libconf.Parser):  # type: ignore[misc]
    """Parser that makes mappings with line numbers, and lists in place of tuples."""

    def __init__(self, stream: Any, name: str) -> None:
        super().__init__(stream)
        self.name = name

    def setting_list_or_empty(self) -> YamlMap:
        result = YamlMap()
        while (token := self.tokens.peek()) is not None and (setting := self.setting()) is not None:
            key, value = setting
            if key in result:
                first = f"first in line {result.lines[key]}"
                raise FormatError(f"key '{key}' appears twice, {first}", path=f"{self.name}:{token.row}")
            result[key], result.lines[key] = value, token.row
        return result

    def value_list_or_empty(self) -> list[Any]:
        return list(super().value_list_or_empty())

    def integer64(self) -> int | None:
        value = super().integer64()
        return None if value is None else int(value)

    def hex64(self) -> int | None:
        value = super().hex64()
        return None if value is None else int(value)
