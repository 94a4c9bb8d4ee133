"""The parts of a mapspace with padded or imperfect dims: one per combination of covered bounds."""

import heapq
import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from sparsim.errors import EmptyMapspaceError
from sparsim.mapper.factorisations import count_factorisations
from sparsim.mapper.indexed_mapspace import Sizes, Space, factor_ranges, lower_mapspace, sizes
from sparsim.model.consistency import check_mapspace
from sparsim.model.lower import lower_arch
from sparsim.records import Accelerator, Layer, Mapspace
from sparsim.records.divisibility import cover

MOST_PARTS = 2048  # most combinations of covered bounds that are all listed
LISTED = 256  # of more combinations, the number of those listed, which have the least padding


class Part(NamedTuple):
    """The layer with its covered bounds, and the mappings whose factors multiply to them."""

    layer: Layer
    space: Space


def list_parts(accelerator: Accelerator, layer: Layer, seed: int = 0) -> list[Part]:
    """The parts that are not empty, those with less padding first. Without policies there is one, of `layer`.
    Where there are more than MOST_PARTS combinations of covered bounds, the first ones.

    `seed`: of choices of what is kept, where there are too many. Kept with the layer for designs that differ
    in nothing that decides on them. Raises what `lower_mapspace` raises if all are empty.
    """
    mapspace = accelerator.mapspace or Mapspace()
    names = [level.name for level in accelerator.architecture.storage]
    said = (mapspace, names, lower_arch(accelerator).fan.tolist(), seed)
    return layer.kept("parts", said, lambda: _list_parts(accelerator, layer, mapspace, seed))


def _list_parts(accelerator: Accelerator, layer: Layer, mapspace: Mapspace, seed: int) -> list[Part]:
    check_mapspace(accelerator.architecture, layer.shape, mapspace)
    dims, ranges = tuple(mapspace.divisibility), covered_ranges(mapspace, layer)
    number = count_combinations(mapspace, layer)
    most = MOST_PARTS if number <= MOST_PARTS else LISTED
    parts: list[Part] = []
    empty = None
    for bounds in islice(_rising(ranges), MOST_PARTS):
        if len(parts) == most:
            break
        one = cover(layer, mapspace.divisibility, dict(zip(dims, bounds, strict=True)))
        try:
            parts.append(Part(one, lower_mapspace(accelerator, one, seed)))
        except EmptyMapspaceError as error:
            empty = empty or error
    if not parts and empty is not None:
        raise empty
    return parts


def _rising(ranges: Sequence[range]) -> Iterator[tuple[int, ...]]:
    """Yield all combinations, those with the least product first."""
    first = tuple(one.start for one in ranges)
    waiting = [(math.prod(first), first, 0)]
    while waiting:
        _, bounds, last = heapq.heappop(waiting)
        yield bounds
        for i in range(last, len(ranges)):  # every combination follows from one other
            if bounds[i] + 1 in ranges[i]:
                more = (*bounds[:i], bounds[i] + 1, *bounds[i + 1 :])
                heapq.heappush(waiting, (math.prod(more), more, i))


def covered_ranges(mapspace: Mapspace, layer: Layer) -> list[range]:
    """Return the bounds that the factors of each dim in `Mapspace.divisibility` may cover."""
    bounds = [layer.bounds[dim] for dim in mapspace.divisibility]
    most = [max(math.floor(bound * (1 + mapspace.most_padding)), bound + 1) for bound in bounds]
    return [range(bound, last + 1) for bound, last in zip(bounds, most, strict=True)]


def count_combinations(mapspace: Mapspace, layer: Layer) -> int:
    """Return the number of combinations of covered bounds."""
    return math.prod(map(len, covered_ranges(mapspace, layer)))


def sizes_of_all(accelerator: Accelerator, layer: Layer, parts: Sequence[Part]) -> Sizes:
    """Return the numbers of choices for all combinations of covered bounds, of which `parts` are listed. Of
    more than MOST_PARTS combinations factors of imperfect dims count that could be lowered.
    """
    mapspace = accelerator.mapspace or Mapspace()
    if count_combinations(mapspace, layer) <= MOST_PARTS:
        return total_sizes(parts)
    one = sizes(parts[0].space)
    number = math.prod(
        len(rows) for dim, rows in zip(layer.shape.dims, parts[0].space.factors, strict=True)
        if dim not in mapspace.divisibility
    )  # fmt: skip
    for dim, covered in zip(mapspace.divisibility, covered_ranges(mapspace, layer), strict=True):
        number *= sum(count_factorisations(n, *factor_ranges(accelerator, dim, n, n)) for n in covered)
    total = number * one.orders * one.splits * one.bypasses
    return one._replace(factorisations=number, total=total)


def total_sizes(parts: Sequence[Part]) -> Sizes:
    """Return the numbers of choices of all parts together, which share orders, splits and bypasses."""
    each = [sizes(part.space) for part in parts]
    factorisations = sum(one.factorisations for one in each)
    return each[0]._replace(factorisations=factorisations, total=sum(one.total for one in each))
