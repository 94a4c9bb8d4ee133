"""CiMLoop's additional step for version 0.4, which defines the sizes of its arrays as variables.

A node `!ArrayContainer` is a container that is a row or a column of an array of memory cells. The step runs
before any expression: histograms of the problem and the sizes of the array become variables, and variables
that are no numbers move behind those that are.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sparsim.files.timeloop.document_node import Node
from sparsim.files.timeloop_v4.tagged_yaml import number_of
from sparsim.files.timeloop_v4.values import mapping_of

ARRAY = "!ArrayContainer"
NODE_KEY = "max_utilization"  # key of nodes, without effect in most programs
PROBLEM_KEYS = ("name", "dnn_name", "notes", "histograms")
_MARK = "CIM_ARCHITECTURE"  # a variable that all such documents have
_HISTOGRAM = "_HIST"
_CELLS = {"ARRAY_WORDLINES": "CIM_UNIT_DEPTH_CELLS", "ARRAY_BITLINES": "CIM_UNIT_WIDTH_CELLS"}
_ALL_ON_X, _ALL_ON_Y = 99999, 0  # splits


def is_cimloop(variables: Sequence[Node]) -> bool:
    """Whether documents are of CiMLoop, by their variables."""
    return any(_MARK in part.data for part in variables)


def split_of(mesh: tuple[int, int]) -> int:
    """The split of an array's fan-out, which lies along one axis."""
    return _ALL_ON_X if mesh[1] == 1 else _ALL_ON_Y


def settled_variables(parts: Sequence[Node], nodes: Sequence[Node], problem: Node | None) -> list[Node]:
    """The variables one by one, in the order in which CiMLoop evaluates them, with those that it adds.

    Raises SpecError for what contradicts, and for arrays whose sizes are no whole numbers.
    """
    known: dict[str, Node] = {}
    for part in parts:
        for key, value in part.data.items():
            if key != "version" and known.setdefault(key, _single(part, key, value)).data[key] != value:
                raise part.error("has another value in another file", key)
    histograms = problem.child("histograms") if problem is not None else None
    for name in histograms.data if histograms is not None else ():
        assert histograms is not None
        key = f"{name.upper()}{_HISTOGRAM}"
        known[key] = _single(histograms, key, histograms.data[name])
    known = dict(sorted(known.items(), key=lambda item: not item[0].endswith(_HISTOGRAM)))
    if known[_MARK].data[_MARK]:
        _add_arrays(known, nodes, problem)
        known = dict(sorted(known.items(), key=_rank))
    return list(known.values())


def _add_arrays(known: dict[str, Node], nodes: Sequence[Node], problem: Node | None) -> None:
    rows = columns = 1
    shape = problem.child("shape") if problem is not None else None
    spaces = [str(item.get("name")) for item in shape.children("data_spaces")] if shape is not None else []
    parallel = dict.fromkeys(spaces, 1)
    for node in _arrays(nodes):
        x, y = _side(node, "meshX", known), _side(node, "meshY", known)
        if x != 1 and y != 1:
            raise node.error(f"must be along one axis for an {ARRAY}, got {x} * {y}", "spatial")
        rows, columns = rows * y, columns * x
        constraints = node.child("constraints")
        spatial = constraints.child("spatial") if constraints is not None else None
        apart = spatial.get("no_reuse") if spatial is not None else None
        for space in spaces:
            if isinstance(apart, list) and space in apart:
                parallel[space] *= x * y
    added: dict[str, Any] = {f"ARRAY_PARALLEL_{space.upper()}": number for space, number in parallel.items()}
    for (key, cells), lines in zip(_CELLS.items(), (rows, columns), strict=True):
        if cells not in known:
            raise known[_MARK].error(f"there is no variable '{cells}'", _MARK)
        added[key] = f"{lines} * ({known[cells].data[cells]})"
    for key, value in added.items():
        known[key] = _single(known.get(key, known[_MARK]), key, value)


def _arrays(nodes: Sequence[Node]) -> Iterator[Node]:
    for node in nodes:
        if node.data.tag == ARRAY:
            yield node
        yield from _arrays(node.children("nodes"))


def _side(node: Node, key: str, known: dict[str, Node]) -> int:
    """A side of an array's mesh: a whole number, or a variable that is one."""
    spatial = node.child("spatial")
    value = spatial.get(key) if spatial is not None else None
    if isinstance(value, str):
        value = known[value].data[value] if value in known else value
        value = number_of(value) if isinstance(value, str) else value
    if value is None:
        return 1
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1 or value < 1:
        raise node.error(f"{key} of an {ARRAY} must be a whole number or a variable with one", "spatial")
    return int(value)


def _single(node: Node, key: str, value: Any) -> Node:
    single = mapping_of({key: value}, node.data)
    return Node(single, node.file, node.path, node.context)


def _rank(item: tuple[str, Node]) -> int:
    """Numbers come first, then the sizes of the array, then what may use them."""
    key, node = item
    value = node.data[key]
    if isinstance(value, int | float) or (isinstance(value, str) and number_of(value) is not None):
        return 0
    return 1 if key in _CELLS else 2
