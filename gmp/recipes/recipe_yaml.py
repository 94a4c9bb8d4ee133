"""The text of a recipe: YAML with a tag per modifier, or markdown with such YAML as its front matter.

Scalars mean what YAML 1.2's core schema says: `1e-4` is a number, `yes` and `off` are text. Every top-level
value and every field of a modifier keeps its line. Aliases and merge keys, by which older recipes name their
variables, are expanded, to a bounded number of values.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from gmp.errors import RecipeError
from sparsim.fileio.reading import read_text, reading

_PREFIX = "tag:yaml.org,2002:"
_FRONT_MATTER = re.compile(r"^---[ \t]*$(?P<yaml>.*?)^---[ \t]*$", re.DOTALL | re.MULTILINE)
_MAX_DIGITS = 18
_MAX_LENGTH = 1 << 20  # bytes; recipes have some thousand
_MAX_VALUES = 100_000  # most values with all aliases expanded
_MERGE = "<<"


class Located(NamedTuple):
    value: Any
    line: int


class Tagged(NamedTuple):
    """`!tag` with its fields; a tag without fields has none."""

    tag: str
    fields: dict[str, Located]
    line: int


class _Loader(yaml.SafeLoader):
    """A loader that only composes nodes, without PyYAML's own resolvers, which follow YAML 1.1."""

    yaml_implicit_resolvers: dict[str, Any] = {}


for _kind, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(_PREFIX + _kind, re.compile(rf"(?:{_pattern})\Z"), _first)


def read_recipe(path: str | Path) -> dict[str, Located]:
    """Top-level keys in file order; values are plain data, lists may hold `Tagged`.

    Raises RecipeError for a file that is missing, empty, not text, not YAML, or has a key twice.
    """
    name = str(path)
    if "\n" in name:
        raise RecipeError("the path must be the name of a file, got a text of several lines")
    text = read_text(path, what="a recipe", error=RecipeError, limit=_MAX_LENGTH)
    if Path(path).suffix.lower() in (".md", ".markdown"):
        text = _front_matter(text, name)
    with reading(path, "a recipe", RecipeError):
        return _fields(text, name)


def _fields(text: str, name: str) -> dict[str, Located]:
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise RecipeError(f"{where}: not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError:
        raise RecipeError(f"{name}: is not a text file") from None
    if node is None:
        raise RecipeError(f"{name}: the file is empty")
    if not isinstance(node, yaml.MappingNode) or node.tag != _PREFIX + "map":
        raise RecipeError(f"{name}:{_line(node)}: a recipe must be a mapping of variables and modifier lists")
    return _Reader(name).fields(node)


def _front_matter(text: str, name: str) -> str:
    """Return the YAML between the first two lines `---`, with its line numbers; a comment may precede it."""
    found = _FRONT_MATTER.search(text)
    if not found:
        raise RecipeError(
            f"{name}: has no front matter; a recipe in Markdown must stand between two lines '---'"
        )
    return "\n" * text[: found.start("yaml")].count("\n") + found["yaml"]


class _Reader:
    def __init__(self, name: str) -> None:
        self.name, self.values_left = name, _MAX_VALUES

    def fields(self, node: yaml.MappingNode) -> dict[str, Located]:
        result: dict[str, Located] = {}
        for key_node, value_node in self.entries(node):
            key = self.value(key_node)
            if not isinstance(key, str):
                raise RecipeError(f"{self.name}:{_line(key_node)}: key {key!r} must be a name")
            if key in result:
                first = result[key].line
                raise RecipeError(
                    f"{self.name}:{_line(key_node)}: key '{key}' appears twice, first in line {first}"
                )
            result[key] = Located(self.value(value_node), _line(key_node))
        return result

    def entries(self, node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
        """Return keys and values of a mapping; entries merged by `<<` come last, without keys that are
        already present.
        """
        self.count(node)
        own = [pair for pair in node.value if pair[0].value != _MERGE]
        merges = [pair for pair in node.value if pair[0].value == _MERGE]
        known = {str(key.value) for key, _ in own}
        for key_node, value in merges:
            for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if not isinstance(merged, yaml.MappingNode):
                    text = "'<<' merges a mapping or a list of mappings"
                    raise RecipeError(f"{self.name}:{_line(key_node)}: {text}")
                added = [pair for pair in self.entries(merged) if str(pair[0].value) not in known]
                known.update(str(key.value) for key, _ in added)
                own += added
        return own

    def count(self, node: yaml.Node) -> None:
        self.values_left -= 1
        if self.values_left < 0:
            raise RecipeError(f"{self.name}:{_line(node)}: aliases stand for more than {_MAX_VALUES} values")

    def value(self, node: yaml.Node) -> Any:
        self.count(node)
        if not node.tag.startswith(_PREFIX):
            return self.tagged(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item) for item in node.value]
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node)
        return self.scalar(node)

    def tagged(self, node: yaml.Node) -> Tagged:
        if isinstance(node, yaml.MappingNode):
            return Tagged(node.tag.removeprefix("!"), self.fields(node), _line(node))
        if isinstance(node, yaml.ScalarNode) and node.value == "":
            return Tagged(node.tag.removeprefix("!"), {}, _line(node))
        raise RecipeError(f"{self.name}:{_line(node)}: {node.tag} needs fields, one 'name: value' per line")

    def mapping(self, node: yaml.MappingNode) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        for key_node, value_node in self.entries(node):
            key = self.value(key_node)
            if not isinstance(key, str | int | float):
                raise RecipeError(f"{self.name}:{_line(key_node)}: a key must be text or a number")
            if key in result:
                raise RecipeError(f"{self.name}:{_line(key_node)}: key '{key}' appears twice")
            result[key] = self.value(value_node)
        return result

    def scalar(self, node: yaml.Node) -> Any:
        kind, text = node.tag.removeprefix(_PREFIX), node.value
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int" and len(text) <= _MAX_DIGITS:
            return int(text)
        if kind in ("int", "float"):
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        if kind == "str":
            return text
        raise RecipeError(f"{self.name}:{_line(node)}: tag !!{kind} is not supported")


def _line(node: yaml.Node) -> int:
    line: int = node.start_mark.line + 1
    return line
