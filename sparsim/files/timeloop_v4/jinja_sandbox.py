"""The Jinja environment for templates of strangers: sandboxed, with few filters, counted and bounded.

Jinja's own sandbox keeps templates from Python's objects. This one bounds time and memory as well: loops,
calls, comparisons and filters take steps in proportion to what they go through, everything that is written
takes characters, and `bounded_operations` do the arithmetic.
"""

import functools
from collections.abc import Callable, Iterator, Sized
from typing import Any

import jinja2
from jinja2 import nodes
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
_METHODS: dict[type, tuple[str, ...]] = {
    str: ("upper", "lower", "strip", "lstrip", "rstrip", "split", "rsplit", "startswith", "endswith"),
    dict: ("items", "keys", "values", "get"),
    list: ("index", "count"),
    tuple: ("index", "count"),
    range: (),
}
_FILTERS = (
    "abs", "capitalize", "count", "d", "default", "first", "float", "int", "items", "last", "length", "list",
    "lower", "map", "max", "min", "reject", "select", "sort", "string", "title", "trim", "unique", "upper",
)  # fmt: skip
_REFUSED = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)


class SandboxedTemplates(ImmutableSandboxedEnvironment):
    """Compiles templates. All that it compiles has one allowance of steps and of output."""

    intercepted_binops = frozenset(["+", "-", "*", "/", "//", "%", "**"])

    def __init__(self) -> None:
        super().__init__(undefined=jinja2.StrictUndefined, optimized=False, keep_trailing_newline=True)
        self.steps, self.output = Steps(MAX_STEPS), Steps(MAX_OUTPUT)
        self.globals = {"namespace": jinja2.utils.Namespace}
        filters = {name: self.filters[name] for name in _FILTERS}
        filters |= {"join": _join, "replace": _replace, "sum": _sum, "round": _round, "indent": _indent}
        self.filters = {name: self._counted(function) for name, function in filters.items()}
        inserted = {"value": self._pay, "text": self._write, "body": self._enter}
        self.filters |= {f"sparsim_{name}": self._inserted(function) for name, function in inserted.items()}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """The template's tree, with filters that count wherever time or memory is taken."""
        if len(source) > _MAX_SOURCE:
            raise TooLargeError(f"it has more than {_MAX_SOURCE} characters")
        tree = super()._parse(source, name, filename)
        for refused in tree.find_all(_REFUSED):
            tag = type(refused).__name__.lower()
            text = f"'{tag}' is not supported, the functions include and include_text are"
            raise jinja2.TemplateSyntaxError(text, refused.lineno)
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
        if isinstance(value, jinja2.Undefined):  # whose length is an error
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
            value = self._pay(arguments[place])
            return checked(function(*arguments[:place], value, *arguments[place + 1 :], **named))

        return counted

    @staticmethod
    def _inserted(function: Callable[..., Any]) -> Callable[..., Any]:
        """A filter that Jinja does not evaluate when it compiles a template."""

        @jinja2.pass_context
        def inserted(_: Any, value: Any) -> Any:
            return function(value)

        return inserted

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        self.steps.take()
        if isinstance(left, jinja2.Undefined) or isinstance(right, jinja2.Undefined):
            return super().call_binop(context, operator, left, right)
        return self._pay(calculate(operator, left, right))

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        __self.steps.take()
        for argument in (*args, *kwargs.values()):
            if isinstance(argument, jinja2.Undefined):
                str(argument)  # raises the error that names it
        return __self._pay(super().call(__context, __obj, *args, **kwargs))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        self.steps.take()
        for kind, names in _METHODS.items():
            if isinstance(obj, kind):
                return attr in names
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """Texts have no `format`: a width in it would ask for any amount of memory."""


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


def _sum(values: Any) -> Any:
    total: Any = 0
    for value in values:
        total = calculate("+", total, value)
    return total


def _round(value: Any, digits: int = 0) -> Any:
    if abs(digits) > 400:
        raise TooLargeError("rounds to more than 400 digits")
    return round(float(value), digits)
