"""Factors that do not divide the bounds, of the template `ruby` and of constraints, as our imperfect dims.

Dims that a window or a stride moves, and layers and accelerators for which imperfect dims are not modelled,
keep perfect factors (`docs/reference/mapspace.md`).
"""

import math
from collections.abc import Mapping as Dict
from collections.abc import Sequence

from msgspec.structs import replace

from sparsim.errors import SpecError
from sparsim.files.timeloop.document_node import Node
from sparsim.records import Architecture, Layer, Mapspace, SparsePolicy
from sparsim.records.divisibility import check_policies

MOST_COMBINATIONS = 256  # most combinations of covered bounds, each of which is a separate mapspace


def with_imperfect_dims(
    mapspace: Mapspace,
    arch: Architecture,
    layer: Layer,
    policy: SparsePolicy | None,
    cut: Dict[str, Sequence[int]],
    ruby: Node | None,
) -> Mapspace:
    """The mapspace with the dims in `cut`, for their fixed factors, and with all that the template allows.

    Warns, at the template, of what it means here. Raises SpecError for a dim in `cut` that cannot be
    imperfect.
    """
    needed = _needed_padding(layer, cut)
    check_policies(arch, layer, policy, dict.fromkeys(cut, "imperfect"))
    if ruby is None:
        return _imperfect(mapspace, list(cut), needed) if cut else mapspace
    dims: list[str] = []
    reasons: list[str] = []
    for dim in (dim for dim in layer.shape.dims if layer.bounds[dim] > 1):
        try:
            check_policies(arch, layer, policy, {dim: "imperfect"})
        except SpecError as error:
            reasons.append(error.message)
        else:
            dims.append(dim)
    most = max(needed, _practical_padding([layer.bounds[dim] for dim in dims], mapspace.most_padding))
    text = (
        f"is read as imperfect factors of {', '.join(dims) or 'no dim'} at every level, whatever "
        f"'remainders' says: they cover up to {most:.1%} beyond the bound, or one point, and the last tile "
        "of a loop is cut short"
    )
    ruby.warn("; ".join((text, *dict.fromkeys(reasons))), "template")
    return _imperfect(mapspace, dims, most)


def _imperfect(mapspace: Mapspace, dims: Sequence[str], most_padding: float) -> Mapspace:
    return replace(mapspace, divisibility=dict.fromkeys(dims, "imperfect"), most_padding=most_padding)


def _needed_padding(layer: Layer, cut: Dict[str, Sequence[int]]) -> float:
    """Return the least share beyond the bounds that tiles of the fixed sizes cover."""
    most = 0.0
    for dim, factors in cut.items():
        tile, bound = math.prod(factors), layer.bounds[dim]
        most = max(most, math.ceil(bound / tile) * tile / bound - 1)
    return min(most + 1e-9, 1.0) if cut else 0.0


def _practical_padding(bounds: Sequence[int], most: float) -> float:
    """Limit the padding to `most`, so that the number of combinations of covered bounds stays small."""
    while most > 1e-3 and math.prod(max(int(n * most), 1) + 1 for n in bounds) > MOST_COMBINATIONS:
        most /= 2
    return most
