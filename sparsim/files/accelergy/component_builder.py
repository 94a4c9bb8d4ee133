"""Conversion of components of Accelergy's documents to the records that `sparsim.estimate` estimates."""

from collections import ChainMap
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec.structs import replace

from sparsim.errors import SpecError, near
from sparsim.estimate.plug_in import NAME as RULES
from sparsim.estimate.plug_in import PlugIn, PlugInMemory
from sparsim.estimate.plug_in_classes import attributes_of, find_plug_in, node_nm_of
from sparsim.files.accelergy.architecture_components import Placed
from sparsim.files.accelergy.attribute_values import Expressions
from sparsim.files.accelergy.class_definitions import ClassDefinition
from sparsim.files.accelergy.name_ranges import (
    argument_values,
    base_and_count,
    split_arguments,
    with_arguments,
)
from sparsim.files.timeloop.document_node import Node
from sparsim.records import Component
from sparsim.records.component import COMPOUND, TABLE
from sparsim.records.energy_table import COMPUTE_ACTIONS

_MUST = "must_specify"
_HANDED_DOWN = ("technology", "global_cycle_seconds", "cycle_seconds", "action_latency_cycles", "n_instances")
_SIZES = ("width", "depth", "datawidth", "n_instances")  # a component does not exist if one of these is 0
_CYCLE = "global_cycle_seconds"
_MOST_COMPONENTS = 5_000
_MOST_NESTED = 20
_SUB_KEYS = ("name", "class", "attributes", "area_scale", "energy_scale")
_COMPUTES = COMPUTE_ACTIONS["random_compute"]
_PLACEHOLDER = -1  # the technology whose energies have no meaning
_PLACEHOLDER_SOURCE = "placeholder of Accelergy"
_COMPUTED, _STORED = ("compute", "leak"), ("read", "write", "update", "leak")

_Attributes = dict[str, Any]


class Numbers(Protocol):
    """A source of numbers for classes other than our estimators."""

    def find(self, kind: str, given: Mapping[str, Any]) -> dict[str, int | float | str] | None:
        """Return the attributes of a component of class `table`, None for an unknown class."""


class ComponentBuilder:
    """Makes records of the components of one set of documents.

    Parameters
    ----------
    classes : dict of str to ClassDefinition
    numbers : sequence of Numbers
        What comes before our estimators, the first that knows a class.
    expressions : Expressions
    is_version4 : bool
        Whether actions are those that Timeloop 4.x asks for.
    """

    def __init__(
        self,
        classes: Mapping[str, ClassDefinition],
        numbers: Sequence[Numbers],
        expressions: Expressions,
        is_version4: bool,
    ) -> None:
        self.classes, self.numbers, self.expressions = classes, numbers, expressions
        self.is_version4 = is_version4
        self.made = 0

    def record(self, placed: Placed) -> Component:
        """Return the record of a component of an architecture. Raises SpecError."""
        made = self._component(placed.name, placed.kind, placed.attributes, placed.node, ())
        if made.class_name == TABLE:
            made = replace(made, attributes=self._named(made.attributes, placed))
        elif made.class_name != COMPOUND:
            made = replace(made, actions=self._asked(find_plug_in(made.class_name), placed))
        return replace(
            made,
            energy_scale=made.energy_scale * placed.energy_scale,
            area_scale=made.area_scale * placed.area_scale,
            energy_rules="timeloop-4" if self.is_version4 else "timeloop-3",
        )

    def _asked(self, estimator: type[PlugIn], placed: Placed) -> dict[str, dict[str, float]]:
        """Return the actions that Timeloop asks of a primitive component, and those that it requires
        itself.
        """
        if issubclass(estimator, PlugInMemory):
            names = ["read", "write", "update", "leak"] if self.is_version4 else ["read", "write", "idle"]
        else:
            names = ["compute", "leak"] if self.is_version4 else ["mac_random", "mac_gated", "idle"]
        with placed.node.located():
            return {name: estimator.terms(name, {}) for name in [*names, *placed.required_actions]}

    def _named(self, given: dict[str, int | float | str], placed: Placed) -> dict[str, int | float | str]:
        """Return the numbers of a level with the names of actions that Timeloop uses."""
        found = dict(given)
        if placed.is_compute and "read" in found and not any(name in found for name in _COMPUTES):
            found["compute"] = found["read"]
            for name in ("read", "write", "update"):
                found.pop(name, None)
        if not self.is_version4 and "leak" in found:
            found.setdefault("idle", found.pop("leak"))
        return found

    def _component(
        self, name: str, kind: str, given: _Attributes, node: Node, above: tuple[str, ...]
    ) -> Component:
        self.made += 1
        if self.made > _MOST_COMPONENTS:
            raise node.error(f"compounds consist of more than {_MOST_COMPONENTS} components")
        if kind in above or len(above) > _MOST_NESTED:
            way = " > ".join((*above[-4:], kind))
            what = "contains itself" if kind in above else f"is nested more than {_MOST_NESTED} deep"
            raise node.error(f"class '{kind}' {what}: {way}")
        definition = self.classes.get(kind)
        if definition is None:
            return self._primitive(name, kind, given, node)
        attributes = self._with_defaults(definition, given, node)
        if not definition.is_compound:
            return self._primitive(name, definition.primitive_type or kind, attributes, node)
        return self._compound(name, definition, attributes, (*above, kind))

    def _with_defaults(self, definition: ClassDefinition, given: _Attributes, node: Node) -> _Attributes:
        """Return the attributes of a component of a class, in the order of the class."""
        values = dict(given)
        defaults = definition.attributes
        for key in defaults.data if defaults is not None else ():
            assert defaults is not None
            if values.get(key) is not None or defaults.data[key] is None:
                continue
            if str(defaults.data[key]) == _MUST:
                hint = near(key, list(given))
                raise node.error(f"class {definition.name} needs the attribute '{key}'", hint=hint)
            values[key] = self.expressions.value(defaults, key, values)
        return values

    def _primitive(self, name: str, kind: str, given: _Attributes, node: Node) -> Component:
        if "dummy" in kind or given.get("technology") == _PLACEHOLDER:
            return Component(name=name, class_name=TABLE, attributes=_placeholder(kind))
        with node.located():
            for numbers in self.numbers:
                if (found := numbers.find(kind, given)) is not None:
                    return Component(name=name, class_name=TABLE, attributes=found)
            estimator = find_plug_in(kind, tuple(self.classes))
            seen = {key: value for key, value in given.items() if key == _CYCLE or not _is_zero(value)}
            absent = next((key for key in _SIZES if key in given and key not in seen), None)
            if absent is not None:
                source = f"nothing, its {absent} is 0"
                return Component(name=name, class_name=TABLE, attributes=_nothing(estimator, source))
            node_nm = None
            if estimator.needs_node:
                if given.get("technology") is None:
                    raise SpecError(f"class {kind} needs the attribute 'technology'")
                node_nm = node_nm_of(given["technology"])
            attributes = attributes_of(kind, estimator, seen)
            return Component(
                name=name, class_name=estimator.class_name, rules=RULES, node_nm=node_nm,
                attributes=attributes,
            )  # fmt: skip

    def _compound(
        self, name: str, definition: ClassDefinition, attributes: _Attributes, above: tuple[str, ...]
    ) -> Component:
        if not definition.subcomponents:
            energies = dict.fromkeys(definition.actions, 0.0)
            source = f"class {definition.name} has no subcomponents"
            return Component(
                name=name, class_name=TABLE, attributes={**energies, "area_um2": 0.0, "source": source}
            )
        parts: dict[str, tuple[Component, str]] = {}
        for node in definition.subcomponents:
            part, kind = self._part(node, attributes, above)
            if part.name in parts:
                raise node.error(f"two subcomponents have the name '{part.name}'", "name")
            parts[part.name] = part, kind
        actions: dict[str, dict[str, float]] = {}
        for action, node in definition.actions.items():
            for arguments in argument_values(node, self.expressions, attributes):
                terms = self._terms(node, ChainMap(dict(arguments), attributes), parts)
                actions[with_arguments(action, arguments)] = terms
        return Component(
            name=name, class_name=COMPOUND, parts=tuple(part for part, _ in parts.values()), actions=actions
        )

    def _part(self, node: Node, outer: _Attributes, above: tuple[str, ...]) -> tuple[Component, str]:
        """Return a subcomponent, and its class."""
        node.report_unknown(_SUB_KEYS)
        text = node.required(node.text("name"), "name")
        name, count = base_and_count(node, "name", text, self.expressions, outer)
        kind = node.required(node.text("class"), "class")
        own: _Attributes = {}
        inside = node.child("attributes")
        for key in inside.data if inside is not None else ():
            assert inside is not None
            own[key] = self.expressions.value(inside, key, ChainMap(own, outer))
        handed = {key: outer[key] for key in _HANDED_DOWN if key in outer}
        made = self._component(name, kind, handed | own, node, above)
        scope = ChainMap(own, outer)
        scales = {
            key: self.expressions.number(node, key, scope)
            for key in ("energy_scale", "area_scale")
            if node.has(key)
        }
        return replace(made, count=count, **scales), kind

    def _terms(
        self, action: Node, scope: ChainMap[str, Any], parts: Mapping[str, tuple[Component, str]]
    ) -> dict[str, float]:
        """Return how often an action of a compound uses which action of which part."""
        terms: dict[str, float] = {}
        own = self._scale(action, scope)
        for node in action.children("subcomponents"):
            text = node.required(node.text("name"), "name")
            name, count = base_and_count(node, "name", text, self.expressions, scope)
            if name not in parts:
                raise node.error(f"unknown subcomponent '{name}'", "name", near(name, list(parts)))
            for used in node.children("actions"):
                arguments = self._arguments(used, scope)
                scale = own * count * self._scale(used, scope)
                for term, number in self._terms_of_part(used, arguments, *parts[name]).items():
                    key = f"{name}.{term}"
                    terms[key] = terms.get(key, 0.0) + scale * number
        return terms

    def _scale(self, action: Node, scope: ChainMap[str, Any]) -> float:
        key = "repeat" if action.has("repeat") else "energy_scale"
        return self.expressions.number(action, key, scope) if action.has(key) else 1.0

    def _arguments(self, action: Node, scope: ChainMap[str, Any]) -> _Attributes:
        arguments = action.child("arguments")
        keys = arguments.data if arguments is not None else ()
        return {key: self.expressions.value(arguments, key, scope) for key in keys if arguments is not None}

    def _terms_of_part(
        self, node: Node, arguments: _Attributes, part: Component, kind: str
    ) -> Mapping[str, float]:
        """Return the terms of an action of a part."""
        name = node.required(node.text("name"), "name")
        if part.class_name == COMPOUND:
            known = {action.partition("(")[0] for action in part.actions}
            if name not in known:
                hint = near(name, known)
                raise node.error(f"subcomponent '{part.name}' has no action '{name}'", "name", hint)
            return {_chosen(name, arguments, part): 1.0}
        if part.class_name == TABLE:
            if name not in part.attributes and "leak" not in name and "idle" not in name:
                priced = [key for key in part.attributes if key not in ("source", "area_um2")]
                means_something = part.attributes["source"] != _PLACEHOLDER_SOURCE
                if means_something and any(part.attributes[key] for key in priced):
                    hint = near(name, priced)
                    raise node.error(f"the table of class {kind} has no action '{name}'", "name", hint)
            return {name: 1.0} if name in part.attributes else {}
        with node.located("name"):
            return find_plug_in(part.class_name).terms(name, arguments)


def _chosen(name: str, arguments: _Attributes, part: Component) -> str:
    """Return the action of a compound part for these arguments: the one that agrees, else the first with the
    name.
    """
    of_name = [action for action in part.actions if action.partition("(")[0] == name]
    agreeing = [
        action
        for action in of_name
        if all(arguments.get(key, value) == value for key, value in split_arguments(action)[1].items())
    ]
    return (agreeing or of_name)[0]


def _is_zero(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == 0


def _placeholder(kind: str) -> dict[str, int | float | str]:
    """Return placeholder numbers: Accelergy's for technology -1; dummies take no energy."""
    actions = _COMPUTED if "mac" in kind or "compute" in kind else _STORED
    energy = 0.0 if "dummy" in kind else 1.0
    return {**dict.fromkeys(actions, energy), "leak": 0.0, "area_um2": 1.0, "source": _PLACEHOLDER_SOURCE}


def _nothing(estimator: type[PlugIn], source: str) -> dict[str, int | float | str]:
    memory = issubclass(estimator, PlugInMemory)
    found: dict[str, int | float | str] = dict.fromkeys(_STORED if memory else _COMPUTED, 0.0)
    return {**found, "area_um2": 0.0, "source": source}
