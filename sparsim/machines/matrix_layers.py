"""Layers as matrix products, for machines that compute only these."""

import math
from typing import NamedTuple

from sparsim.errors import SpecError
from sparsim.records import Layer

ROLES = ("Weights", "Inputs", "Outputs")
_KINDS = {  # the kind of a dim, by the tensors that depend on it
    ROLES: "groups",
    ("Weights", "Outputs"): "rows",
    ("Weights", "Inputs"): "columns",
    ("Inputs", "Outputs"): "vectors",
}


class MatrixLayer(NamedTuple):
    """A layer as `groups` products of weights (rows, columns) and inputs (columns, vectors)."""

    groups: int
    rows: int
    columns: int
    vectors: int
    has_window: bool  # whether inputs are put in place as often as windows reach them (im2col)


def matrix_layer(layer: Layer) -> MatrixLayer:
    """Return a layer as a matrix product. Raises SpecError for a layer that is none."""
    sizes = {kind: math.prod(layer.bounds[dim] for dim in dims) for kind, dims in dims_by_kind(layer).items()}
    inputs = next(d for d in layer.shape.dataspaces if d.name == "Inputs")
    moving = [[dim for dim, _ in side if layer.bounds[dim] > 1] for side in inputs.terms()]
    return MatrixLayer(**sizes, has_window=any(len(dims) > 1 for dims in moving))


def dims_by_kind(layer: Layer) -> dict[str, list[str]]:
    """Classify dims of a matrix product by the tensors that use them.

    Dims of all tensors count groups, those of weights and outputs rows, of weights and inputs columns, of
    inputs and outputs vectors. Raises SpecError for other tensors and other dims.
    """
    where = f"layer {layer.name}"
    used = {d.name: {dim for side in d.terms() for dim, _ in side} for d in layer.shape.dataspaces}
    if tuple(used) != ROLES:
        raise SpecError(f"dataspaces must be {', '.join(ROLES)}, got {', '.join(used)}", path=where)
    found: dict[str, list[str]] = {kind: [] for kind in _KINDS.values()}
    for dim in layer.shape.dims:
        kind = _KINDS.get(tuple(role for role in ROLES if dim in used[role]))
        if kind is not None:
            found[kind].append(dim)
        elif layer.bounds[dim] > 1:
            raise SpecError(f"dim '{dim}' must be used by two tensors in a matrix product", path=where)
    return found
