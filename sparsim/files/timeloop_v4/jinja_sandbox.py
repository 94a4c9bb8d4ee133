"""The Jinja environment for untrusted templates: sandboxed, with few filters, counted and bounded.

Jinja's own sandbox keeps templates from Python's objects. This one bounds time and memory as well: loops,
calls, comparisons and filters take steps in proportion to what they go through, everything that is written
takes characters, and `bounded_operations` do the arithmetic.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.filters import do_unique
from jinja2.sandbox import ImmutableSandboxedEnvironment

from sparsim.files.timeloop_v4.bounded_operations import (
    MAX_ITEMS,
    MAX_TEXT,
    Steps,
    TooLargeError,
    calculate,
    checked,
    size,
)

MAX_STEPS = 1_000_000
MAX_OUTPUT = 20_000_000  # characters
_MAX_SOURCE = 2_000_000  # characters of one template
_MAX_TOKENS = 50_000  # most tokens of a template; Jinja compiles some 50,000 per second
_MAX_KEYS = 1_000  # numbers can be chosen so that a mapping or a set takes a time of its size squared
_COMPARISONS_PER_STEP = 10_000  # compared characters that count as one step
_METHODS: dict[type, tuple[str, ...]] = {
    str: ("upper", "lower", "strip", "lstrip", "rstrip", "split", "rsplit", "startswith", "endswith"),
    dict: ("items", "keys", "values", "get"),
    list: ("index", "count"),
    tuple: ("index", "count"),
    range: (),
}
_FILTERS = (
    "abs", "capitalize", "count", "d", "default", "first", "float", "int", "items", "last", "length", "list",
    "lower", "map", "max", "min", "reject", "select", "sort", "string", "title", "trim", "upper",
)  # fmt: skip
_REFUSED = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)


class SandboxedTemplates(ImmutableSandboxedEnvironment):
    """Compiles templates. All that it compiles has one allowance of steps and of output."""

    intercepted_binops = frozenset(["+", "-", "*", "/", "//", "%", "**"])

    def __init__(self) -> None:
        super().__init__(
            undefined=jinja2.StrictUndefined,
            optimized=False,
            keep_trailing_newline=True,
            extensions=[_CountedTokens],
        )
        self.steps, self.output = Steps(MAX_STEPS), Steps(MAX_OUTPUT)
        self.globals = {"namespace": jinja2.utils.Namespace}
        filters = {name: self.filters[name] for name in _FILTERS}
        filters |= {
            "join": _join,
            "replace": _replace,
            "sum": _sum,
            "round": _round,
            "indent": _indent,
            "unique": _unique,
        }
        self.filters = {name: self._counted(function) for name, function in filters.items()}
        tests: dict[str, Any] = dict(self.tests)
        self.tests = {name: self._counted(function) for name, function in tests.items()}
        inserted = {"value": self._pay, "text": self._write, "body": self._enter}
        self.filters |= {f"sparsim_{name}": self._inserted(function) for name, function in inserted.items()}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """The template's tree, with filters that count wherever time or memory is taken."""
        if len(source) > _MAX_SOURCE:
            raise TooLargeError(f"it has more than {_MAX_SOURCE} characters")
        tree = super()._parse(source, name, filename)
        for refused in tree.find_all(_REFUSED):
            tag = type(refused).__name__.lower()
            text = f"'{tag}' is not supported; use the functions include and include_text"
            raise jinja2.TemplateSyntaxError(text, refused.lineno)
        if any(len(literal.items) > _MAX_KEYS for literal in tree.find_all(nodes.Dict)):
            raise TooLargeError(f"a mapping has more than {_MAX_KEYS} keys")
        for output in list(tree.find_all(nodes.Output)):
            output.nodes = [_filtered(_plain(part), "sparsim_text") for part in output.nodes]
        for joined in list(tree.find_all(nodes.Concat)):
            joined.nodes = [_filtered(nodes.List(joined.nodes, lineno=joined.lineno), "join")]
        for compared in list(tree.find_all(nodes.Compare)):
            compared.expr = _filtered(compared.expr, "sparsim_value")
            for operand in compared.ops:
                operand.expr = _filtered(operand.expr, "sparsim_value")
        for item in list(tree.find_all(nodes.Getitem)):
            item.node = _filtered(item.node, "sparsim_value")
        for block in list(tree.find_all((nodes.For, nodes.Macro, nodes.CallBlock))):
            if isinstance(block, nodes.For):
                if block.recursive:
                    raise jinja2.TemplateSyntaxError("recursive loops are not supported", block.lineno)
                block.iter = _filtered(block.iter, "sparsim_value")
            work = sum(1 for _ in block.find_all(nodes.Node))
            entry = _filtered(nodes.Const(work, lineno=block.lineno), "sparsim_body")
            body: list[nodes.Node] = block.body  # type: ignore[attr-defined]
            body.insert(0, nodes.Output([entry], lineno=block.lineno))
        tree.set_environment(self)
        return tree

    def _pay(self, value: Any) -> Any:
        """`value`, whose items are steps."""
        if isinstance(value, jinja2.Undefined):  # computing its length would be an error
            return value
        if isinstance(value, str):
            self.steps.take(1 + len(value) // 1000)
        elif isinstance(value, list | tuple | dict | range):
            self.steps.take(1 + size(value))
        elif isinstance(value, Sized) and not isinstance(value, jinja2.Undefined):
            self.steps.take(1 + len(value))
        elif isinstance(value, Iterator):
            return self.steps.counted(value)
        return value

    def _write(self, value: Any) -> str:
        """The text of `value`, which counts as output, also in a block that the template keeps."""
        text = value if isinstance(value, str) else str(checked(value))
        self.output.take(len(text))
        self.steps.take()
        return text

    def _enter(self, work: int) -> str:
        self.steps.take(work)
        return ""

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        place = 1 if hasattr(function, "jinja_pass_arg") else 0

        @functools.wraps(function)
        def counted(*arguments: Any, **named: Any) -> Any:
            paid = self._pay_all(arguments[place:])
            self._pay_all(named.values())
            return checked(function(*arguments[:place], *paid, **named))

        return counted

    def _pay_all(self, values: Iterable[Any]) -> list[Any]:
        """The values, whose items are steps, and so are the comparisons of one text with the others."""
        paid = [self._pay(value) for value in values]
        lengths = [len(value) for value in paid if isinstance(value, str)]
        if len(lengths) > 1:
            self.steps.take(lengths[0] * sum(lengths[1:]) // _COMPARISONS_PER_STEP)
        return paid

    @staticmethod
    def _inserted(function: Callable[..., Any]) -> Callable[..., Any]:
        """A filter that Jinja does not evaluate when it compiles a template."""

        @jinja2.pass_context
        def inserted(_: Any, value: Any) -> Any:
            return function(value)

        return inserted

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        self._pay(left)
        self._pay(right)
        if isinstance(left, jinja2.Undefined) or isinstance(right, jinja2.Undefined):
            return super().call_binop(context, operator, left, right)
        return self._pay(calculate(operator, left, right))

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        __self.steps.take()
        for argument in (*args, *kwargs.values()):
            if isinstance(argument, jinja2.Undefined):
                str(argument)  # this raises the error that names it
        if isinstance(owner := getattr(__obj, "__self__", None), str | list | tuple | dict):
            __self._pay_all((owner, *args, *kwargs.values()))
        return __self._pay(super().call(__context, __obj, *args, **kwargs))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        self.steps.take()
        for kind, names in _METHODS.items():
            if isinstance(obj, kind):
                return attr in names
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """Texts have no `format`: a width in it would ask for any amount of memory."""


class _CountedTokens(Extension):
    """Refuses a template of too many tokens before it is compiled."""

    def filter_stream(self, stream: Any) -> Iterator[Any]:
        for number, token in enumerate(stream):
            if number >= _MAX_TOKENS:
                raise TooLargeError(f"it has more than {_MAX_TOKENS} words and signs")
            yield token


def _filtered(node: Any, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _plain(part: nodes.Expr) -> nodes.Expr:
    return nodes.Const(part.data, lineno=part.lineno) if isinstance(part, nodes.TemplateData) else part


def _join(parts: Any, separator: str = "") -> str:
    texts: list[str] = []
    total = 0
    for part in parts:
        texts.append(part if isinstance(part, str) else str(checked(part)))
        total += len(texts[-1]) + len(separator)
        if total > MAX_TEXT or len(texts) > MAX_ITEMS:
            raise TooLargeError(f"a text has more than {MAX_TEXT} characters")
    return str(separator).join(texts)


def _replace(text: str, old: str, new: str) -> str:
    text, old, new = str(text), str(old), str(new)
    if len(text) + text.count(old) * len(new) > MAX_TEXT:
        raise TooLargeError(f"a text has more than {MAX_TEXT} characters")
    return text.replace(old, new)


def _indent(text: str, width: int = 4, first: bool = False) -> str:
    lines = str(text).split("\n")
    if len(text) + width * len(lines) > MAX_TEXT:
        raise TooLargeError(f"a text has more than {MAX_TEXT} characters")
    space = " " * width
    indented = [
        line if i == 0 and not first else (space + line if line else line) for i, line in enumerate(lines)
    ]
    return "\n".join(indented)


@jinja2.pass_environment
def _unique(environment: jinja2.Environment, values: Any, *arguments: Any, **named: Any) -> Any:
    items = list(values)
    if len(items) > _MAX_KEYS:
        raise TooLargeError(f"'unique' has more than {_MAX_KEYS} values")
    return do_unique(environment, items, *arguments, **named)


def _sum(values: Any) -> Any:
    total: Any = 0
    for value in values:
        total = calculate("+", total, value)
    return total


def _round(value: Any, digits: int = 0) -> Any:
    if abs(digits) > 400:
        raise TooLargeError("rounds to more than 400 digits")
    return round(float(value), digits)
