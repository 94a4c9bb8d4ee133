"""Layers as products of matrices, for machines that know nothing else."""

from typing import NamedTuple

from sparsim.errors import SpecError
from sparsim.records import Layer

ROLES = ("Weights", "Inputs", "Outputs")
_KINDS = {  # what a dim counts, by the tensors that it is of
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
    """What dims are to a product of matrices, by the tensors that use them.

    Dims of all tensors count groups, those of weights and outputs rows, of weights and inputs columns, of
    inputs and outputs vectors. Raises SpecError for other tensors and other dims.
    """
    where = f"layer {layer.name}"
    used = {d.name: {dim for side in d.terms() for dim, _ in side} for d in layer.shape.dataspaces}
    if tuple(used) != ROLES:
        raise SpecError(f"has dataspaces {', '.join(used)}, needed are {', '.join(ROLES)}", path=where)
    sizes = dict.fromkeys(_KINDS.values(), 1)
    for dim in layer.shape.dims:
        kind = _KINDS.get(tuple(role for role in ROLES if dim in used[role]))
        if kind is not None:
            sizes[kind] *= layer.bounds[dim]
        elif layer.bounds[dim] > 1:
            raise SpecError(f"dim '{dim}' is not of two tensors, so this is no matrix product", path=where)
    inputs = next(d for d in layer.shape.dataspaces if d.name == "Inputs")
    moving = [[dim for dim, _ in side if layer.bounds[dim] > 1] for side in inputs.terms()]
    return MatrixLayer(**sizes, has_window=any(len(dims) > 1 for dims in moving))
