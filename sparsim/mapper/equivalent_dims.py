"""Dims that a lower bound need not tell apart, because their loops move the same tensors in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from sparsim.mapper.factorisations import count_factorisations
from sparsim.model.arrays import TERM_COEFFICIENT, TERM_DIM, Ints, LayerPack
from sparsim.model.lower import ints


class MergedDims(NamedTuple):
    """A layer with one dim for every group of equivalent ones; dims of bound 1 are left out."""

    layer: LayerPack
    groups: tuple[tuple[int, ...], ...]

    def product(self, factors: Ints) -> Ints:
        """Return (..., groups) from factors (..., R) of dims."""
        merged = np.stack([factors[..., list(dims)].prod(axis=-1) for dims in self.groups], axis=-1)
        return np.ascontiguousarray(merged, np.int64)

    def mirrored(self, factors: Sequence[Ints]) -> Ints | None:
        """Return an order of the merged dims in which the layer is the same, as rows in place of columns;
        None if there is no other. `factors` (n, T) are those of the dims.
        """
        layer, dims = self.layer, np.arange(len(self.groups))
        for v in range(len(layer.words)):
            windows = [terms for terms in _coordinates_of(layer, v) if len(terms) > 1]
            for one, other in combinations(windows, 2):
                order = dims.copy()
                for (a, *_), (b, *_) in zip(one, other, strict=False):
                    order[[a, b]] = b, a
                if sorted(order.tolist()) == dims.tolist() and self._is_same(order, factors):
                    return order
        return None

    def _is_same(self, order: Ints, factors: Sequence[Ints]) -> bool:
        layer = self.layer
        for group, other in zip(self.groups, order.tolist(), strict=True):
            lists = [[factors[dim] for dim in members] for members in (group, self.groups[other])]
            if len(lists[0]) != len(lists[1]) or not all(map(np.array_equal, *lists)):
                return False
        for v in range(len(layer.words)):
            sides = [sorted(sorted(terms) for terms in _coordinates_of(layer, v))]
            sides.append(sorted(sorted([int(order[d]), *c] for d, *c in terms) for terms in sides[0]))
            if sides[0] != sides[1]:
                return False
        return True

    def split(self, loops: Ints, spread: Ints, bound: Ints) -> Ints:
        """Return loops (n, 3) of merged dims, outermost first, as loops of dims: what the spatial factors
        (S, R) leave of each dim is used up from the inside.
        """
        left = bound // spread.prod(axis=0)
        found: list[list[int]] = []
        for level, group, factor in loops[::-1].tolist():
            rest = factor
            for dim in self.groups[group]:
                part = int(np.gcd(rest, left[dim]))
                if part > 1:
                    left[dim] //= part
                    rest //= part
                    found.append([level, dim, part])
        return np.array(found[::-1], np.int64).reshape(-1, 3)


def merge_dims(layer: LayerPack, factors: Sequence[Ints]) -> MergedDims:
    """Merge the dims that every tensor either lacks or has as the only dim of a coordinate, and whose
    factorisations (n, T) are all those over the same tiling levels.
    """
    n_data = len(layer.words)
    dims = [d for d in range(len(layer.bound)) if layer.bound[d] > 1] or [0]
    alone = [_dims_of_their_own(layer, v) for v in range(n_data)]
    groups: dict[tuple[int, ...], list[int]] = {}
    for dim in dims:
        kinds = [
            -1 if not layer.relevant[v] >> dim & 1 else -2 if dim in alone[v] else dim for v in range(n_data)
        ]
        groups.setdefault((*kinds, *_free_levels(dim, factors[dim])), []).append(dim)
    merged = tuple(tuple(members) for members in groups.values())
    sides = [_coordinates(layer, v, merged, alone[v]) for v in range(n_data)]
    terms: list[list[int]] = []
    side = ints(n_data, max(map(len, sides)) + 1)
    for v, coordinates in enumerate(sides):
        side[v] = len(terms)
        for o, coordinate in enumerate(coordinates):
            terms += coordinate
            side[v, o + 1 :] = len(terms)
    relevant = [
        sum(1 << g for g, members in enumerate(merged) if layer.relevant[v] >> members[0] & 1)
        for v in range(n_data)
    ]
    bound = np.array([layer.bound[list(members)].prod() for members in merged], np.int64)
    return MergedDims(
        layer._replace(
            bound=bound, term=np.array(terms, np.int64).reshape(-1, 3), side=side,
            relevant=np.array(relevant, np.int64), real=bound,
        ),
        merged,
    )  # fmt: skip


def _free_levels(dim: int, rows: Ints) -> tuple[int, ...]:
    """Return the tiling levels over which a dim is factorised freely; if not freely, what no other dim
    has.
    """
    levels = np.flatnonzero(rows.max(axis=0) > 1)
    bound, ones = int(rows[0].prod()), [1] * len(levels)
    if len(rows) == count_factorisations(bound, ones, [bound] * len(levels)):
        return tuple(levels.tolist())
    return -1, dim


def _coordinates_of(layer: LayerPack, v: int) -> list[list[list[int]]]:
    """Return the terms of every coordinate, without dims of bound 1, which never move."""
    return [
        [term for term in layer.term[a:b].tolist() if layer.bound[term[TERM_DIM]] > 1]
        for a, b in zip(layer.side[v, :-1], layer.side[v, 1:], strict=True)
    ]


def _dims_of_their_own(layer: LayerPack, v: int) -> set[int]:
    """Return the dims that move a single coordinate, in steps of one, which no other dim moves."""
    coordinates = _coordinates_of(layer, v)
    moved = [term[TERM_DIM] for terms in coordinates for term in terms]
    return {
        terms[0][TERM_DIM]
        for terms in coordinates
        if len(terms) == 1 and terms[0][TERM_COEFFICIENT] == 1 and moved.count(terms[0][TERM_DIM]) == 1
    }


def _coordinates(
    layer: LayerPack, v: int, groups: tuple[tuple[int, ...], ...], alone: set[int]
) -> list[list[list[int]]]:
    """Return the terms of every coordinate in merged dims."""
    group_of = {dim: g for g, members in enumerate(groups) for dim in members}
    found = []
    for terms in _coordinates_of(layer, v):
        if terms and terms[0][TERM_DIM] not in alone:
            found.append([[group_of[dim], size, coefficient] for dim, size, coefficient in terms])
    own = [[[g, 1, 1]] for g, members in enumerate(groups) if members[0] in alone]
    return found + own
