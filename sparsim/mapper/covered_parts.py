"""The parts of a mapspace with padded or imperfect dims: one per combination of covered bounds."""

import math
from itertools import product
from typing import NamedTuple

from sparsim.errors import EmptyMapspaceError, SpecError
from sparsim.mapper.indexed_mapspace import Sizes, Space, lower_mapspace, sizes
from sparsim.model.consistency import check_mapspace
from sparsim.model.lower import lower_arch
from sparsim.records import Accelerator, Layer, Mapspace
from sparsim.records.divisibility import cover

MOST_PARTS = 2048


class Part(NamedTuple):
    """The layer with its covered bounds, and the mappings whose factors multiply to them."""

    layer: Layer
    space: Space


def list_parts(accelerator: Accelerator, layer: Layer, seed: int = 0) -> list[Part]:
    """The parts that are not empty, those with less padding first. Without policies there is one, of `layer`.

    `seed`: of choices of what is kept, where there are too many. Kept with the layer for designs that differ
    in nothing that decides on them. Raises what `lower_mapspace` raises if all are empty, SpecError for too
    many combinations.
    """
    mapspace = accelerator.mapspace or Mapspace()
    names = [level.name for level in accelerator.architecture.storage]
    said = (mapspace, names, lower_arch(accelerator).fan.tolist(), seed)
    return layer.kept("parts", said, lambda: _list_parts(accelerator, layer, mapspace, seed))


def _list_parts(accelerator: Accelerator, layer: Layer, mapspace: Mapspace, seed: int) -> list[Part]:
    check_mapspace(accelerator.architecture, layer.shape, mapspace)
    dims = tuple(mapspace.divisibility)
    ranges = [_covered_bounds(layer.bounds[dim], mapspace.most_padding) for dim in dims]
    number = math.prod(map(len, ranges))
    if number > MOST_PARTS:
        raise SpecError(
            f"covered bounds of {', '.join(dims)} must have at most {MOST_PARTS} combinations, got {number}",
            path="mapspace",
            hint="lower most_padding, or name fewer dims",
        )
    parts, empty = [], None
    for bounds in sorted(product(*ranges), key=lambda bounds: (math.prod(bounds), bounds)):
        one = cover(layer, mapspace.divisibility, dict(zip(dims, bounds, strict=True)))
        try:
            parts.append(Part(one, lower_mapspace(accelerator, one, seed)))
        except EmptyMapspaceError as error:
            empty = empty or error
    if not parts and empty is not None:
        raise empty
    return parts


def _covered_bounds(bound: int, most_padding: float) -> range:
    return range(bound, max(math.floor(bound * (1 + most_padding)), bound + 1) + 1)


def total_sizes(parts: list[Part]) -> Sizes:
    """Return the numbers of choices of all parts together, which share orders, splits and bypasses."""
    each = [sizes(part.space) for part in parts]
    factorisations = sum(one.factorisations for one in each)
    return each[0]._replace(factorisations=factorisations, total=sum(one.total for one in each))
