"""A mapping in the two texts that Timeloop writes of one: `map.txt`, a loop nest, and `map.yaml`, a document.

Both hold the loops that are not trivial; `map.txt` has the tiles of the evaluation, too.
"""

from collections.abc import Sequence

from sparsim.model.result import Evaluation, LoopView, StorageResult
from sparsim.records import Layer

LOOP_SUFFIX = {"temporal": "", "spatial-x": " (Spatial-X)", "spatial-y": " (Spatial-Y)"}


def map_text(evaluation: Evaluation, layer: Layer, dialect: str = "3") -> str:
    """The loop nest, outermost level first, as Timeloop 3.0.3 ("3") or 4.x ("4") prints it.

    3.0.3 gives a level without temporal loops one of bound 1; 4.x leaves it out.
    """
    write = _levels_of_3 if dialect == "3" else _levels_of_4
    return "\n".join([*write(evaluation.storage[::-1], layer.shape.dims[-1]), ""])


def loop_text(loop: LoopView) -> str:
    return f"for {loop.dim} in [0:{loop.bound}){LOOP_SUFFIX[loop.kind]}"


def _head(level: StorageResult) -> str:
    tiles = "".join(f"{t.dataspace}:{t.tile_words} ({t.utilized_words}) " for t in level.tensors)
    return f"{level.name} [ {tiles}] "


def _levels_of_3(levels: Sequence[StorageResult], last_dim: str) -> list[str]:
    lines, indent = [], "| "
    for level in levels:
        head = _head(level)
        lines += ["", head, "-" * (len(head) - 1)]
        trivial = () if any(loop.kind == "temporal" for loop in level.loops) else (_trivial(last_dim),)
        for loop in (*trivial, *level.loops):
            lines.append(indent + loop_text(loop))
            indent += "  "
    return [*lines, ""]


def _trivial(dim: str) -> LoopView:
    return LoopView(dim, 1, "temporal")


def _levels_of_4(levels: Sequence[StorageResult], last_dim: str) -> list[str]:
    lines: list[str] = []
    indent, rule = "| ", ""
    for level in levels:
        if lines and not rule:
            lines.append("")
        head = _head(level)
        lines.append(head)
        rule = "-" * (len(head) - 1)
        for loop in level.loops:
            lines += [rule] * bool(rule) + [indent + loop_text(loop)]
            indent, rule = indent + "  ", ""
    return [*lines, *[rule] * bool(rule), f"{indent}<< Compute >>"]


def map_yaml(evaluation: Evaluation, layer: Layer) -> str:
    """The document, innermost level first, in the layout of Timeloop's mapper."""
    lines = ["mapping:"]
    names = [dataspace.name for dataspace in layer.shape.dataspaces]
    for level in evaluation.storage:
        kept = [tensor.dataspace for tensor in level.tensors]
        lines += _directive(level.name, "datatype")
        lines += ["    keep:", *_names(kept), "    bypass:", *_names([n for n in names if n not in kept])]
    for level in evaluation.storage:
        inner = level.loops[::-1]  # permutations begin with the innermost
        along_x = [loop for loop in inner if loop.kind == "spatial-x"]
        spatial = [*along_x, *(loop for loop in inner if loop.kind == "spatial-y")]
        if spatial:
            lines += [*_directive(level.name, "spatial"), *_loops(spatial, layer.shape.dims)]
            lines.append(f"    split: {len(along_x)}")
        temporal = [loop for loop in inner if loop.kind == "temporal"]
        lines += [*_directive(level.name, "temporal"), *_loops(temporal, layer.shape.dims)]
    return "\n".join(lines)


def _directive(level: str, kind: str) -> list[str]:
    return [f"  - target: {level}", f"    type: {kind}"]


def _names(names: Sequence[str]) -> list[str]:
    return [f"      - {name}" for name in names] or ["      []"]


def _loops(loops: Sequence[LoopView], dims: tuple[str, ...]) -> list[str]:
    factors = dict.fromkeys(dims, 1)
    for loop in loops:
        factors[loop.dim] *= loop.bound
    order = [*(loop.dim for loop in loops), *(dim for dim in dims if factors[dim] == 1)]
    text = " ".join(f"{dim}{factor}" for dim, factor in factors.items())
    return [f"    factors: {text}", f"    permutation: {''.join(order)}"]
