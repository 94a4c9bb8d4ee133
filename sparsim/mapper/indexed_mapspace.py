"""A mapspace in indices: all possible choices of its mappings (model chapter 17).

Tiling levels and storage levels count from the innermost, as in `sparsim.model.arrays`.
"""

import math
import random
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from sparsim.errors import EmptyMapspaceError, SpecError
from sparsim.mapper.factor_limits import Limit, blame, combined, limits_of
from sparsim.mapper.factorisations import count_factorisations, factorisations
from sparsim.mapper.memory_levels import keeps_of_memories
from sparsim.model.arrays import Ints
from sparsim.model.consistency import check_mapspace
from sparsim.model.lower import lower_arch, lower_layer
from sparsim.records import (
    Accelerator,
    Architecture,
    Layer,
    LevelConstraint,
    LevelMapping,
    Mapping,
    Mapspace,
    Nest,
    NestConstraint,
    Shape,
)
from sparsim.records.divisibility import Cover, covers_of, is_tight

MOST_KEPT_ROWS = 5_000  # most rows of a dim that are cached for the next search
MAX_ROWS = 2_000_000  # most factorisations of one dim, and bypass choices, that are held in memory
SAMPLED = 16_384  # size of the sample if there are more bypass choices than that


class Space(NamedTuple):
    """The four parts of a mapspace; a mapping takes one choice of each part.

    A tiling level's order is `inner`, then `free` in any order, then `outer`.
    """

    factors: tuple[Ints, ...]  # per dim: (n, T) factorisations of its bound, in the order of 17.2
    inner: tuple[tuple[int, ...], ...]  # per tiling level: dims fixed innermost, innermost first
    outer: tuple[tuple[int, ...], ...]  # per tiling level: dims fixed outermost, innermost first
    free: tuple[tuple[int, ...], ...]  # per tiling level: the dims between, in the shape's order
    split: Ints  # (T,) split of a spatial level, -1: free; 0 for temporal ones
    keep: Ints  # (choices, S) bit masks of dataspaces, in the order of 17.5
    bypasses: int  # number of such choices, which is larger than the rows of `keep` if these are a sample
    flags: Ints  # (S, 4) as those of a MappingPack; none are kept
    min_parallelism: float
    most_temporal_loops: int

    @property
    def is_sampled(self) -> bool:
        """Return whether only a sample of the bypass choices is listed."""
        return self.bypasses > len(self.keep)


class Sizes(NamedTuple):
    """Numbers of choices in a mapspace before any is rejected or tried.

    Attributes
    ----------
    factorisations, orders, splits, bypasses : int
        Numbers of each kind of choice.
    total : int
        Number of mappings, the product of these.
    """

    factorisations: int
    orders: int
    splits: int
    bypasses: int
    total: int


def lower_mapspace(accelerator: Accelerator, layer: Layer, seed: int = 0) -> Space:
    """Return the choices that the accelerator's mapspace leaves for `layer`.

    Of more than 2 million choices of what is kept where 16,384 are taken, drawn with the `seed`. Raises
    SpecError for unknown names and for spaces too large to list (more than 2 million factorisations of
    one dim), EmptyMapspaceError if a dim has no factorisation left, or a dataspace no level that keeps it.
    """
    arch, mapspace = accelerator.architecture, accelerator.mapspace or Mapspace()
    check_mapspace(arch, layer.shape, mapspace)
    lower_layer(layer)  # this refuses bounds beyond exact counts
    dims = layer.shape.dims
    fan = lower_arch(accelerator).fan
    nests = _nests(accelerator, mapspace)
    orders = [_order(nest, dims, _is_canonical(t, nests, fan)) for t, (_, nest) in enumerate(nests)]
    factors = {dim: _factors(dim, layer.bounds[dim], nests) for dim in dims}
    for cover in covers_of(layer):
        if cover.policy == "imperfect":
            factors[cover.dim] = _tight(cover, factors[cover.dim])
    keep, bypasses = _keep(arch, layer.shape, mapspace, seed)
    most_loops = mapspace.most_temporal_loops
    return Space(
        factors=tuple(factors.values()),
        inner=tuple(inner for inner, _, _ in orders),
        outer=tuple(outer for _, outer, _ in orders),
        free=tuple(free for _, _, free in orders),
        split=np.array([_split(level, nest) for level, nest in nests], np.int64),
        keep=keep,
        bypasses=bypasses,
        flags=_flags(arch, layer.shape, mapspace),
        min_parallelism=mapspace.min_parallelism,
        most_temporal_loops=len(nests) * len(dims) if most_loops is None else most_loops,
    )


def sizes(space: Space) -> Sizes:
    """Return the numbers of choices, and of all mappings."""
    n_dims = len(space.factors)
    parts = (
        math.prod(len(rows) for rows in space.factors),
        math.prod(math.factorial(len(free)) for free in space.free),
        math.prod(n_dims + 1 for split in space.split if split < 0),
        space.bypasses,
    )
    return Sizes(*parts, math.prod(parts))


def mapping_of(
    accelerator: Accelerator, shape: Shape, factor: Ints, order: Ints, split: Ints, keep: Ints, space: Space
) -> Mapping:
    """Return the record of one mapping: factor and order (T, R), split (T,), keep (S,)."""
    arch, pack = accelerator.architecture, lower_arch(accelerator)
    dims, data = shape.dims, [d.name for d in shape.dataspaces]

    def nest(t: int) -> Nest:
        spatial = pack.tiling[t, 1] == 1
        return Nest(
            factors={dim: int(factor[t, d]) for d, dim in enumerate(dims) if factor[t, d] > 1},
            order=tuple(dims[d] for d in order[t][::-1]),
            split_x=int(split[t]) if spatial and split[t] < len(dims) else None,
        )

    def names(mask: int) -> tuple[str, ...]:
        return tuple(name for v, name in enumerate(data) if mask >> v & 1)

    levels = []
    for s in reversed(range(len(arch.storage))):
        first, outermost = int(pack.first_tiling[s]), int(pack.first_tiling[s + 1]) - 1
        _, no_link, no_multicast, no_reuse = (names(int(mask)) for mask in space.flags[s])
        levels.append(
            LevelMapping(
                level=arch.storage[-1 - s].name,
                temporal=nest(outermost),
                spatial=nest(first) if first < outermost else None,
                bypass=names(~int(keep[s])),
                no_link_transfer=no_link,
                no_multicast_no_reduction=no_multicast,
                no_temporal_reuse=no_reuse,
            )
        )
    return Mapping(levels=tuple(levels))


class _Tiling(NamedTuple):
    """A tiling level by its name."""

    level: str
    storage: int
    spatial: bool

    def __str__(self) -> str:
        return f"{self.level} {'spatial' if self.spatial else 'temporal'}"


def _constraints(arch: Architecture, mapspace: Mapspace) -> list[LevelConstraint]:
    """Per storage level, innermost first."""
    given = {level.level: level for level in mapspace.levels}
    return [given.get(level.name, LevelConstraint(level=level.name)) for level in arch.storage[::-1]]


def _nests(accelerator: Accelerator, mapspace: Mapspace) -> list[tuple[_Tiling, NestConstraint]]:
    """Per tiling level."""
    levels = _constraints(accelerator.architecture, mapspace)
    nests = []
    for s, spatial in lower_arch(accelerator).tiling.tolist():
        constraint = levels[s].spatial if spatial else levels[s].temporal
        nests.append((_Tiling(levels[s].level, s, bool(spatial)), constraint or NestConstraint()))
    return nests


def _is_canonical(t: int, nests: Sequence[tuple[_Tiling, NestConstraint]], fan: Ints) -> bool:
    """Return whether the order does not matter, so that only the shape's order is taken (model 17.3)."""
    tiling, nest = nests[t]
    if not tiling.spatial:
        return t == 0
    return not (nest.inner or nest.outer) and not (fan[tiling.storage] > 1).all()


def _order(nest: NestConstraint, dims: tuple[str, ...], canonical: bool) -> tuple[tuple[int, ...], ...]:
    """(inner, outer, free), innermost first; a canonical order has the dims that are free in the shape's."""
    inner, outer = (tuple(dims.index(dim) for dim in part[::-1]) for part in (nest.inner, nest.outer))
    free = tuple(d for d in range(len(dims)) if d not in inner + outer)
    return ((*inner, *free, *outer), (), ()) if canonical else (inner, outer, free)


def _split(tiling: _Tiling, nest: NestConstraint) -> int:
    if not tiling.spatial:
        return 0
    return -1 if nest.split_x is None else nest.split_x


def _factors(dim: str, bound: int, nests: Sequence[tuple[_Tiling, NestConstraint]]) -> Ints:
    limits: list[Limit] = []
    for t, (tiling, nest) in enumerate(nests):
        limits += limits_of(nest, t, str(tiling), dim, bound)
    low, high = combined(limits, bound, len(nests))
    number = count_factorisations(bound, low, high)
    if number == 0:
        raise blame(dim, bound, limits, len(nests))
    if number > MAX_ROWS:
        raise SpecError(
            f"dim '{dim}' (bound {bound}) has {number} factorisations, at most {MAX_ROWS} are allowed",
            path="mapspace",
            hint="fix or limit some of its factors",
        )
    listed = _kept_factorisations if number <= MOST_KEPT_ROWS else factorisations
    return listed(bound, tuple(low), tuple(high))


# cached, because layers and designs share many of them
_kept_factorisations = lru_cache(maxsize=256)(factorisations)


def factor_ranges(accelerator: Accelerator, dim: str, least: int, most: int) -> tuple[list[int], list[int]]:
    """Return the lowest and highest factors per tiling level of a dim that covers `least` to `most`."""
    nests = _nests(accelerator, accelerator.mapspace or Mapspace())
    lows, highs = [], []
    for bound in (least, most):
        limits = [
            limit
            for t, (tiling, nest) in enumerate(nests)
            for limit in limits_of(nest, t, str(tiling), dim, bound)
        ]
        low, high = combined(limits, bound, len(nests))
        lows.append(low)
        highs.append(high)
    return list(map(min, *lows)), list(map(max, *highs))


def _tight(cover: Cover, rows: Ints) -> Ints:
    """Return the rows of an imperfect dim of which no factor can be lowered."""
    tight = rows[[is_tight(row, cover.bound) for row in rows.tolist()]]
    if not len(tight):
        raise EmptyMapspaceError(
            f"no imperfect factorisation of dim '{cover.dim}' (bound {cover.bound}) covers {cover.covered}",
            constraint=f"{cover.dim} imperfect",
        )
    return tight


def _keep(arch: Architecture, shape: Shape, mapspace: Mapspace, seed: int) -> tuple[Ints, int]:
    """Bypass choices (model 17.5) and their number: the first free pair of dataspace and level alternates
    fastest. Of too many a sample is taken, in the same order.
    """
    levels = _constraints(arch, mapspace)
    names = [d.name for d in shape.dataspaces]
    for name in names:
        if all(name in level.bypass for level in levels):
            raise EmptyMapspaceError(
                f"dataspace '{name}' is bypassed at all levels, but at least one must keep it",
                constraint=f"bypass of {name}",
            )
    if any(level.memory for level in arch.storage):
        choices = keeps_of_memories(arch, names, levels)
        return choices, len(choices)
    free = [
        (v, s)
        for v, name in enumerate(names)
        for s, level in enumerate(levels[:-1])
        if name not in (*level.keep, *level.bypass)
    ]
    number = 2 ** len(free)
    numbers: Sequence[int] = range(number)
    if number > MAX_ROWS:  # searches first look at the choices that keep nothing or everything
        rng = random.Random(seed)
        numbers = sorted({0, *(rng.getrandbits(len(free)) for _ in range(SAMPLED - 2)), number - 1})
    fixed = [
        sum(1 << v for v, name in enumerate(names) if name not in level.bypass and (v, s) not in free)
        for s, level in enumerate(levels)
    ]
    choices = np.tile(np.array(fixed, np.int64), (len(numbers), 1))
    for i, (v, s) in enumerate(free):
        choices[:, s] |= np.array([n >> i & 1 for n in numbers], np.int64) << v
    return choices, number


def _flags(arch: Architecture, shape: Shape, mapspace: Mapspace) -> Ints:
    def mask(names: Sequence[str]) -> int:
        return sum(1 << v for v, d in enumerate(shape.dataspaces) if d.name in names)

    rows = [
        (0, mask(c.no_link_transfer), mask(c.no_multicast_no_reduction), mask(c.no_temporal_reuse))
        for c in _constraints(arch, mapspace)
    ]
    return np.array(rows, np.int64)
