"""The estimators of the rule set `accelergy` by class, and the meaning of its technology names."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from sparsim.errors import SpecError, near
from sparsim.estimate.plug_in import PlugIn
from sparsim.estimate.plug_in_logic import ESTIMATORS as LOGIC
from sparsim.estimate.plug_in_memories import ESTIMATORS as MEMORIES

_NODE = re.compile(r"([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?) ?(?:nm)?")
_CELL = "aladdin_"  # classes of the library plug-in that are rows of Aladdin's tables
_METRES = 1e-3  # a technology below is in metres


@cache
def plug_in_classes() -> dict[str, type[PlugIn]]:
    """Return estimators by the names of classes."""
    return {name: found for found in (*MEMORIES, *LOGIC) for name in (found.class_name, *found.also)}


def attributes_of(kind: str, estimator: type[PlugIn], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an estimator that attributes define. Cells of Aladdin without a width get that of
    its table. Raises SpecError for missing ones.
    """
    if kind.startswith(_CELL) and not any(given.get(name) is not None for name in estimator.aliases["width"]):
        return estimator.attributes_from({**given, "width": 1 if kind == _CELL + "register" else 32})
    return estimator.attributes_from(given)


def find_plug_in(name: str, others: tuple[str, ...] = ()) -> type[PlugIn]:
    """Return the estimator of a class. Raises SpecError for an unknown one; `others` are classes of
    documents.
    """
    known = plug_in_classes()
    if name not in known:
        hint = near(name, (*others, *known)) or "compound_components or a table of --tables can define it"
        raise SpecError(f"unknown class '{name}'", hint=hint)
    return known[name]


def node_nm_of(technology: Any) -> float:
    """Return the node in nm of a value such as `45nm`, `"40"`, 65 or 4.5e-8 (metres). Raises SpecError."""
    text = str(technology)
    match = _NODE.fullmatch(text) if len(text) < 40 else None
    if match is None or isinstance(technology, bool):
        raise SpecError(f"technology must be a node such as 45nm, got '{text[:40]}'")
    number = float(match[1])
    return round(number * 1e9, 6) if number < _METRES else number
