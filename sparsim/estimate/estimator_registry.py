"""The registry of estimators by class of component, and the check of component attributes."""

import math
import typing
from typing import Any, Literal

import msgspec

from sparsim.errors import SpecError, near
from sparsim.estimate import accelergy2022, logic, memory, plug_in_logic, plug_in_memories
from sparsim.estimate.estimator import Estimator
from sparsim.records.component import COMPOUND, Component
from sparsim.records.number_limits import check_real

DEFAULT = "default"
MOST = 1e18  # largest value of an attribute
_KINDS: dict[Any, tuple[str, tuple[type, ...]]] = {
    int: ("a positive whole number", (int,)),
    float: ("a number greater than 0", (int, float)),
    str: ("text", (str,)),
}

_rules: dict[str, dict[str, type[Estimator]]] = {}


def register(estimator: type[Estimator]) -> type[Estimator]:
    """Let an estimator answer for its `class_name` under its `rules`.

    Parameters
    ----------
    estimator : type of Estimator
        A subclass of `Estimator`.

    Returns
    -------
    type of Estimator
        The same class, so that the function can be a decorator.

    Raises
    ------
    SpecError
        If the class of components already has an estimator under these rules.
    """
    known = _rules.setdefault(estimator.rules, {})
    if known.setdefault(estimator.class_name, estimator) is not estimator or estimator.class_name == COMPOUND:
        raise SpecError(
            f"class '{estimator.class_name}' already has an estimator under rules '{estimator.rules}'"
        )
    return estimator


for _estimator in (
    *logic.ESTIMATORS, *memory.ESTIMATORS, *accelergy2022.ESTIMATORS,
    *plug_in_logic.ESTIMATORS, *plug_in_memories.ESTIMATORS,
):  # fmt: skip
    register(_estimator)


def find(component: Component, rules: str) -> type[Estimator]:
    """Return the estimator of a component. Raises SpecError for an unknown rule set or class."""
    where = f"component {component.name}"
    if rules not in _rules:
        raise SpecError(f"unknown rules '{rules}'", path=where, hint=near(rules, _rules))
    known = _rules[rules]
    if component.class_name not in known:
        hint = near(component.class_name, (*known, COMPOUND))
        raise SpecError(f"unknown class '{component.class_name}'", path=where, hint=hint)
    return known[component.class_name]


def prepared(estimator: type[Estimator], component: Component) -> Estimator:
    """Return the estimator with the component's attributes. Raises SpecError for unknown, missing or wrong
    ones.
    """
    where = f"component {component.name}"
    fields = {field.name: field for field in msgspec.structs.fields(estimator)}
    for name in component.attributes:
        if name not in fields:
            raise SpecError(f"unknown attribute '{name}'", path=where, hint=near(name, fields))
    for name, field in fields.items():
        if name in component.attributes:
            _check_attribute(name, component.attributes[name], field.type, where)
        elif field.required:
            raise SpecError(f"attribute '{name}' is missing", path=where)
    return estimator(**component.attributes)


def _check_attribute(name: str, value: Any, kind: Any, where: str) -> None:
    if typing.get_origin(kind) is Literal:
        allowed = typing.get_args(kind)
        if isinstance(value, bool) or value not in allowed:
            raise SpecError(f"{name} must be {' or '.join(map(str, allowed))}, got {value!r}", path=where)
        return
    text, types = _KINDS[kind]
    fits = isinstance(value, types) and not isinstance(value, bool)
    if not fits or not (isinstance(value, str) or 0 < value < math.inf):
        raise SpecError(f"{name} must be {text}, got {value!r}", path=where)
    if not isinstance(value, str):
        check_real(where, name, value, MOST)
