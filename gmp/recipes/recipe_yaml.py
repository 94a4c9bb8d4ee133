"""The text of a recipe: YAML with a tag per modifier, or markdown with such YAML as its front matter.

Scalars mean what YAML 1.2's core schema says: `1e-4` is a number, `yes` and `off` are text. Every top-level
value and every field of a modifier keeps its line. Aliases stand for scalars only, which older recipes name
so; `eval(name)` stands for a value of any kind.
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
_NO_ANCHOR = yaml.ScalarNode("", "")  # PyYAML has a sentence of its own for an alias without an anchor


class Located(NamedTuple):
    value: Any
    line: int


class Tagged(NamedTuple):
    """`!tag` with its fields; a tag without fields has none."""

    tag: str
    fields: dict[str, Located]
    line: int


class _Loader(yaml.SafeLoader):
    """Composes nodes only; PyYAML's own resolvers are those of YAML 1.1 and are left out."""

    yaml_implicit_resolvers: dict[str, Any] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            if not isinstance(self.anchors.get(event.anchor, _NO_ANCHOR), yaml.ScalarNode):
                problem = "aliases of lists and mappings are not supported, use a variable and eval(...)"
                raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        return super().compose_node(parent, index)


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
        raise RecipeError("the path has several lines: the name of a file is needed, not its text")
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
        raise RecipeError(f"{name}: not a text file") from None
    if node is None:
        raise RecipeError(f"{name}: is empty")
    if not isinstance(node, yaml.MappingNode) or node.tag != _PREFIX + "map":
        raise RecipeError(f"{name}:{_line(node)}: a mapping of variables and modifier lists is expected")
    return _Reader(name).fields(node)


def _front_matter(text: str, name: str) -> str:
    """The YAML between the first two lines `---`, at the lines where it stands; a comment may come before."""
    found = _FRONT_MATTER.search(text)
    if not found:
        raise RecipeError(f"{name}: no front matter: a recipe in markdown stands between two lines '---'")
    return "\n" * text[: found.start("yaml")].count("\n") + found["yaml"]


class _Reader:
    def __init__(self, name: str) -> None:
        self.name = name

    def fields(self, node: yaml.MappingNode) -> dict[str, Located]:
        result: dict[str, Located] = {}
        for key_node, value_node in node.value:
            key = self.value(key_node)
            if not isinstance(key, str):
                raise RecipeError(f"{self.name}:{_line(key_node)}: key {key!r} is not a name")
            if key in result:
                first = result[key].line
                raise RecipeError(
                    f"{self.name}:{_line(key_node)}: '{key}' is there twice, first in line {first}"
                )
            result[key] = Located(self.value(value_node), _line(key_node))
        return result

    def value(self, node: yaml.Node) -> Any:
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
        raise RecipeError(f"{self.name}:{_line(node)}: {node.tag} needs fields, 'name: value' in each line")

    def mapping(self, node: yaml.MappingNode) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self.value(key_node)
            if not isinstance(key, str | int | float):
                raise RecipeError(f"{self.name}:{_line(key_node)}: a key is neither text nor a number")
            if key in result:
                raise RecipeError(f"{self.name}:{_line(key_node)}: '{key}' is there twice")
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
