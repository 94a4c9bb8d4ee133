"""Expressions of version 0.4 documents: a part of Python's, evaluated by an interpreter of our own.

Documents may come from untrusted sources. There is no `eval`: names are those of the document and of a fixed
list of functions, attributes exist on the document's own objects only, and steps, depth and sizes are
bounded.
"""

import ast
import operator
import warnings
from collections import ChainMap
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from sparsim.errors import near
from sparsim.files.timeloop_v4.bounded_operations import Steps, TooLargeError, calculate, checked, size
from sparsim.files.timeloop_v4.expression_functions import SpecObject, call, functions

MAX_STEPS = 200_000  # most steps of all expressions of a set of documents
_MAX_DEPTH = 80
_MAX_LENGTH = 4_000
_CHARACTERS_PER_STEP = 200
_MAX_KEYS = 1_000  # numbers can be chosen so that a mapping takes a time of its size squared

Scope = MutableMapping[str, Any]


class ExpressionError(Exception):
    """An expression is wrong or exceeds a limit; `hint` suggests a correction."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Evaluator:
    """Evaluates the expressions of one set of documents, with one allowance of steps for all of them."""

    def __init__(self) -> None:
        self.steps = Steps(MAX_STEPS)
        self.functions = functions(self.steps)
        self.depth = 0

    def evaluate(self, text: str, scope: Scope) -> Any:
        """The value of an expression. Raises ExpressionError."""
        if len(text) > _MAX_LENGTH:
            raise ExpressionError(
                f"an expression must have at most {_MAX_LENGTH} characters, has {len(text)}"
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Python warns of code such as `1 is 1`
                tree = ast.parse(text.strip(), mode="eval")
            self.depth = 0
            return self._value(tree.body, scope)
        except ExpressionError:
            raise
        except TooLargeError as error:
            raise ExpressionError(f"the expression '{_shown(text)}' is refused: {error}") from None
        except (SyntaxError, RecursionError, MemoryError, ValueError) as error:
            if isinstance(error, ValueError) and not isinstance(error, UnicodeError | SyntaxError):
                raise ExpressionError(f"the expression '{_shown(text)}' fails: {error}") from None
            hint = "put text that is not an expression in quotes"
            raise ExpressionError(f"'{_shown(text)}' is not an expression", hint) from None
        except (ArithmeticError, TypeError, LookupError, AttributeError) as error:
            reason = str(error) or type(error).__name__
            raise ExpressionError(f"the expression '{_shown(text)}' fails: {reason}") from None

    def _value(self, node: ast.expr, scope: Scope) -> Any:
        self.steps.take()
        handler = _HANDLERS.get(type(node))
        if handler is None:
            raise ExpressionError(f"'{type(node).__name__}' is not allowed in an expression")
        if self.depth >= _MAX_DEPTH:
            raise TooLargeError(f"it is nested more than {_MAX_DEPTH} deep")
        self.depth += 1
        result = handler(self, node, scope)
        self.depth -= 1
        return result

    def _values(self, nodes: list[ast.expr], scope: Scope) -> list[Any]:
        found: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                found += self._items(self._value(node.value, scope))
            else:
                found.append(self._value(node, scope))
        return found

    def _items(self, value: Any) -> list[Any]:
        items: list[Any] = self.functions["list"](value)
        return items

    def _constant(self, node: ast.Constant, scope: Scope) -> Any:
        if not isinstance(node.value, str | int | float | type(None)):
            raise ExpressionError(f"a constant of type {type(node.value).__name__} is not allowed")
        return checked(node.value)

    def _name(self, node: ast.Name, scope: Scope) -> Any:
        name = node.id
        if name.startswith("__"):
            raise ExpressionError(f"the name '{name}' is not allowed")
        if name in scope:
            return scope[name]
        if name in self.functions:
            return self.functions[name]
        hint = near(name, [*scope, *self.functions]) or "text belongs in quotes"
        raise ExpressionError(f"unknown name '{_shown(name)}'", hint)

    def _attribute(self, node: ast.Attribute, scope: Scope) -> Any:
        owner = self._value(node.value, scope)
        if not isinstance(owner, SpecObject):
            raise ExpressionError(
                f"'.{_shown(node.attr)}' is not allowed: only parts of the document have fields"
            )
        return _field(owner, node.attr)

    def _subscript(self, node: ast.Subscript, scope: Scope) -> Any:
        owner = self._value(node.value, scope)
        if isinstance(node.slice, ast.Slice):
            bounds = (node.slice.lower, node.slice.upper, node.slice.step)
            index: Any = slice(*(None if b is None else self._value(b, scope) for b in bounds))
        else:
            index = self._value(node.slice, scope)
        if isinstance(owner, SpecObject):
            return _field(owner, index)
        if not isinstance(owner, str | list | tuple | dict | range):
            raise TypeError(f"a {type(owner).__name__} has no items")
        part = owner[index]
        return self._pay(part) if isinstance(node.slice, ast.Slice) else part

    def _binary(self, node: ast.BinOp, scope: Scope) -> Any:
        a, b = self._value(node.left, scope), self._value(node.right, scope)
        if type(node.op) not in _SIGNS:
            raise ExpressionError(f"'{type(node.op).__name__}' is not allowed in an expression")
        self._pay(a)
        self._pay(b)
        return self._pay(calculate(_SIGNS[type(node.op)], a, b))

    def _unary(self, node: ast.UnaryOp, scope: Scope) -> Any:
        return _UNARY[type(node.op)](self._value(node.operand, scope))

    def _boolean(self, node: ast.BoolOp, scope: Scope) -> Any:
        value: Any = None
        for operand in node.values:
            value = self._value(operand, scope)
            if bool(value) is isinstance(node.op, ast.Or):
                break
        return value

    def _compare(self, node: ast.Compare, scope: Scope) -> Any:
        left = self._value(node.left, scope)
        for sign, operand in zip(node.ops, node.comparators, strict=True):
            right = self._value(operand, scope)
            self._pay(left)
            self._pay(right)
            if not _COMPARISONS[type(sign)](left, right):
                return False
            left = right
        return True

    def _conditional(self, node: ast.IfExp, scope: Scope) -> Any:
        return self._value(node.body if self._value(node.test, scope) else node.orelse, scope)

    def _list(self, node: ast.List, scope: Scope) -> Any:
        return self._pay(self._values(node.elts, scope))

    def _tuple(self, node: ast.Tuple, scope: Scope) -> Any:
        return self._pay(tuple(self._values(node.elts, scope)))

    def _dict(self, node: ast.Dict, scope: Scope) -> Any:
        if None in node.keys:
            raise ExpressionError("'**' is not allowed in an expression")
        keys = [self._value(key, scope) for key in node.keys if key is not None]
        return self._pay(dict(zip(keys, (self._value(v, scope) for v in node.values), strict=True)))

    def _pay(self, value: Any) -> Any:
        """Take the steps for making or comparing `value`."""
        if isinstance(value, list | tuple | dict):
            self.steps.take(size(value))
        elif isinstance(value, str):
            self.steps.take(len(value) // _CHARACTERS_PER_STEP)
        return value

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp, scope: Scope) -> Any:
        found = []
        for inner in self._rounds(node.generators, scope):
            found.append(self._value(node.elt, inner))
        return self._pay(found)

    def _dict_comprehension(self, node: ast.DictComp, scope: Scope) -> Any:
        found = {}
        for inner in self._rounds(node.generators, scope):
            found[self._value(node.key, inner)] = self._value(node.value, inner)
            if len(found) > _MAX_KEYS:
                raise TooLargeError(f"a mapping has more than {_MAX_KEYS} keys")
        return self._pay(found)

    def _rounds(self, generators: list[ast.comprehension], scope: Scope) -> Iterator[Scope]:
        """The scope of every round of the loops."""
        if not generators:
            yield scope
            return
        first = generators[0]
        for item in self._items(self._value(first.iter, scope)):
            self.steps.take()
            inner: Scope = ChainMap({}, scope)
            self._bind(first.target, item, inner)
            if all(self._value(test, inner) for test in first.ifs):
                yield from self._rounds(generators[1:], inner)

    def _bind(self, target: ast.expr, value: Any, scope: Scope) -> None:
        if isinstance(target, ast.Name):
            scope[target.id] = value
        elif isinstance(target, ast.Tuple) and isinstance(value, list | tuple):
            for part, item in zip(target.elts, value, strict=True):
                self._bind(part, item, scope)
        else:
            raise ExpressionError("a loop in an expression needs names")

    def _lambda(self, node: ast.Lambda, scope: Scope) -> Any:
        names = [argument.arg for argument in node.args.args]
        if node.args.vararg or node.args.kwarg or node.args.kwonlyargs or node.args.posonlyargs:
            raise ExpressionError("a lambda may have plain arguments only")
        defaults = [self._value(value, scope) for value in node.args.defaults]
        optional = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))

        def function(*arguments: Any, **named: Any) -> Any:
            given = optional | dict(zip(names, arguments, strict=False)) | named
            if len(arguments) > len(names) or set(given) != set(names):
                raise TypeError(f"a lambda must take the arguments {', '.join(names)}")
            return self._value(node.body, ChainMap(given, scope))

        return function

    def _call(self, node: ast.Call, scope: Scope) -> Any:
        function = self._value(node.func, scope)
        if not callable(function):
            raise TypeError(f"'{_shown(ast.unparse(node.func))}' is not a function")
        named = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                raise ExpressionError("'**' is not allowed in an expression")
            named[keyword.arg] = self._value(keyword.value, scope)
        return self._pay(call(function, self._values(node.args, scope), named))

    def _formatted(self, node: ast.JoinedStr, scope: Scope) -> Any:
        parts = []
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                if part.format_spec is not None or part.conversion != -1:
                    raise ExpressionError("a format in a text is not allowed")
                parts.append(self.functions["str"](self._value(part.value, scope)))
            else:
                parts.append(str(self._value(part, scope)))
        return checked("".join(parts))


def _field(owner: SpecObject, name: Any) -> Any:
    if name not in owner.fields:
        if name == "get":
            return owner.get
        names = [key for key in owner.fields if isinstance(key, str)]
        raise ExpressionError(f"there is no '{_shown(str(name))}'", near(str(name), names))
    return owner.fields[name]


def _shown(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 60 else f"{flat[:57]}..."


_SIGNS: dict[type[ast.operator], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.LShift: "<<", ast.RShift: ">>", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^",
}  # fmt: skip
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos, ast.USub: operator.neg, ast.Not: operator.not_, ast.Invert: operator.invert,
}  # fmt: skip
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b,
}  # fmt: skip
_HANDLERS: dict[type[ast.expr], Any] = {
    ast.Constant: Evaluator._constant, ast.Name: Evaluator._name, ast.Attribute: Evaluator._attribute,
    ast.Subscript: Evaluator._subscript, ast.BinOp: Evaluator._binary, ast.UnaryOp: Evaluator._unary,
    ast.BoolOp: Evaluator._boolean, ast.Compare: Evaluator._compare, ast.IfExp: Evaluator._conditional,
    ast.List: Evaluator._list, ast.Tuple: Evaluator._tuple, ast.Dict: Evaluator._dict,
    ast.ListComp: Evaluator._comprehension, ast.GeneratorExp: Evaluator._comprehension,
    ast.DictComp: Evaluator._dict_comprehension, ast.Lambda: Evaluator._lambda, ast.Call: Evaluator._call,
    ast.JoinedStr: Evaluator._formatted,
}  # fmt: skip
