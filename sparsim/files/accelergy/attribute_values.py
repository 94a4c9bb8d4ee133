"""Values of components' attributes: numbers, text, and expressions, which the safe interpreter evaluates."""

import re
from collections.abc import Mapping
from typing import Any

from sparsim.errors import near
from sparsim.files.timeloop.document_node import Node, describe
from sparsim.files.timeloop_v4.safe_expressions import Evaluator, ExpressionError, Scope
from sparsim.files.timeloop_v4.tagged_yaml import Quoted, number_of

_WORD = re.compile(r"[A-Za-z0-9_.\- ]*")  # text that is probably not an expression


class Expressions:
    """Evaluates what one set of documents says, with one allowance of steps.

    Parameters
    ----------
    functions : mapping
        Functions of users that expressions may name.
    """

    def __init__(self, functions: Mapping[str, Any]) -> None:
        self.evaluator = Evaluator()
        self.evaluator.functions |= functions

    def value(self, node: Node, key: str, scope: Scope) -> Any:
        """Return the value of an attribute. Single words that are not names of values stay text. Raises
        SpecError.
        """
        text = node.data[key]
        if not isinstance(text, str):
            return text
        number = number_of(str(text).strip())
        if number is not None or isinstance(text, Quoted):
            return str(text) if number is None else number
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        try:
            found = self.evaluator.evaluate(text, scope)
        except ExpressionError as error:
            if _WORD.fullmatch(text) and " - " not in text and "__" not in text:
                return text
            raise node.error(str(error), key, error.hint) from None
        return found if isinstance(found, str | int | float | list | tuple | None) else text

    def number(self, node: Node, key: str, scope: Scope) -> float:
        """Return a number, at least 0. Raises SpecError."""
        value = self.value(node, key, scope)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
            hint = near(value, list(scope)) if isinstance(value, str) else ""
            raise node.error(f"must be a number of at least 0, got {describe(value)}", key, hint)
        return value

    def whole(self, text: str, node: Node, key: str, scope: Scope) -> int:
        """Return the bound of a range, a whole number or an expression for one. Raises SpecError."""
        try:
            number = number_of(text.strip())
            value = self.evaluator.evaluate(text, scope) if number is None else number
        except ExpressionError as error:
            raise node.error(str(error), key, error.hint) from None
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**53:
            raise node.error(f"'{text}' must be a whole number, got {describe(value)}", key)
        return int(value)
