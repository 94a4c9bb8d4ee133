"""The components that Accelergy would estimate for a set of documents, as records."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sparsim.errors import SpecError
from sparsim.estimate import Estimate
from sparsim.estimate.hwcomponents import HwComponents
from sparsim.files.accelergy.architecture_components import ArchitectureWalk
from sparsim.files.accelergy.attribute_values import Expressions
from sparsim.files.accelergy.class_definitions import read_definitions
from sparsim.files.accelergy.component_builder import ComponentBuilder, Numbers
from sparsim.files.accelergy.csv_tables import CsvTables
from sparsim.files.accelergy.given_numbers import GivenNumbers
from sparsim.files.timeloop.document_node import Context, Node
from sparsim.files.yaml_reading import YamlMap
from sparsim.records import Component

_GUESS = re.compile(r"guess: ([^;()]*?), (?=[A-Z0-9])")


class Described(NamedTuple):
    """The records of an architecture's components, their paths in it by name, and warnings."""

    components: tuple[Component, ...]
    paths: dict[str, str]
    warnings: tuple[str, ...]


def describe_components(
    files: Sequence[tuple[str, YamlMap]],
    *,
    is_version4: bool,
    given: GivenNumbers,
    functions: Mapping[str, Any] | None = None,
) -> Described:
    """The components of documents that are loaded, those of version 0.4 already in the form of 0.3.

    `functions`: those of users, for expressions. Raises SpecError for levels that cannot be estimated;
    other components are left out with a warning.
    """
    context = Context(variables={}, warnings=[])
    expressions = Expressions(functions or {})
    classes = read_definitions(files, context)
    others = HwComponents() if given.hwcomponents else None
    numbers: list[Numbers] = [CsvTables(given.tables), *([others] if others is not None else [])]
    builder = ComponentBuilder(classes, numbers, expressions, is_version4)
    root = _architecture(files, context)
    walk = ArchitectureWalk(expressions, _variables(files, context, expressions), is_version4)
    found: dict[str, Component] = {}
    paths: dict[str, str] = {}
    for placed in walk.components(root):
        try:
            found[placed.name] = builder.record(placed)
            paths[placed.name] = placed.path
        except SpecError as error:
            if placed.is_storage or placed.is_compute:
                raise
            context.warnings.append(f"{error}; '{placed.name}' is left out of the estimate")
    for kind, reason in (others.failures if others is not None else {}).items():
        context.warnings.append(
            f"hwcomponents cannot estimate class {kind}, so the estimate of sparsim is used: {reason}"
        )
    return Described(tuple(found.values()), paths, tuple(dict.fromkeys(context.warnings)))


def guesses(estimates: dict[str, Estimate]) -> list[str]:
    """Return one sentence that names the components whose energies are guesses, if there are any."""
    named: dict[str, None] = {}
    for name, found in estimates.items():
        sources = [*(energy.source for energy in found.actions.values()), found.area.source]
        for text in dict.fromkeys(text for source in sources for text in _GUESS.findall(source)):
            named[f"{name} ({text})"] = None
    if not named:
        return []
    return [f"some estimated energies and areas are based on guesses: {'; '.join(named)}"]


def _architecture(files: Sequence[tuple[str, YamlMap]], context: Context) -> Node:
    for file, data in files:
        root = Node(data, file, "", context)
        for key in ("architecture", "arch"):
            if (found := root.child(key)) is not None:
                return found
    raise SpecError("'architecture' is missing", path=", ".join(file for file, _ in files))


def _variables(
    files: Sequence[tuple[str, YamlMap]], context: Context, expressions: Expressions
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for file, data in files:
        node = Node(data, file, "", context).child("variables") if "variables" in data else None
        for key in node.data if node is not None else ():
            assert node is not None
            if key != "version":
                values[key] = expressions.value(node, key, values)
    return values
