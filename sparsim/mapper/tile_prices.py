"""What the accesses to tiles of every size cost, where sizes alone determine the statistics of a tile.

That is so for tensors without a format, and for formats whose ranks take every loop of their tensor, so that
the sizes of the tile and of the child's tile determine all fibers (model 9.2, 9.3); for densities that the
kernels compute; and for rules that compare single words (model 10.2), whose probability is a constant.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsim.mapper.bound_constants import SearchArrays
from sparsim.mapper.kernels.shortest_paths import MOST
from sparsim.mapper.kernels.tile_chains import (
    AVG,
    EXACT_ROW,
    LIN,
    LINEAR,
    MODE,
    RATIO_AT,
    RHO_AT,
    SLACK,
    TIGHT,
    TILE,
    UNIT,
)
from sparsim.mapper.kernels.tile_tables import AVERAGE, BITS, RATIO, RHO, UNITS, WORDS, tabulate_tiles
from sparsim.mapper.tile_sizes import MOST_PAIRS, Tiles, nested_boxes
from sparsim.model import arrays as packs
from sparsim.model.arrays import Ints, LayerPack, Reals
from sparsim.model.lower import ints, reals
from sparsim.model.workspace import make_nest, make_scratch, no_table

MOST_OCCUPANCIES = 3_000_000  # most probabilities of hypergeometric tiles that are computed
NONE_FITS = 1e200  # price of an access to a tile that is not allowed

Mask = NDArray[np.bool_]
_Fibers = tuple[Ints, Ints, Ints, Ints, Ints]


class Rule(NamedTuple):
    """The rule that gates or skips accesses of one tensor, with a constant probability."""

    level: int
    kind: int
    share: float


class TileTable(NamedTuple):
    """Statistics of the tiles of one tensor at one level."""

    own: Ints  # (P,) position of the tile's size
    inner: Ints  # (P,) position of the child's size, -1: it does not matter
    stat: Reals  # (P, 5 + 2 K) see `tabulate_tiles`
    child: int  # level of the child, -1: none
    outside: Ints  # (P,) words of a box with the factors between the two as extents


class Prices(NamedTuple):
    """The prices of accesses of one level."""

    data: Reals  # (O, A) per vector access
    metadata: Reals  # (A,) per bit
    block: int
    words: bool  # whether the price is that of words, gated ones included, as for cycles


def constant_rules(low: SearchArrays, keep: Ints) -> dict[int, Rule | None]:
    """Return the rule of every tensor that has one; None where its probability depends on the mapping."""
    found: dict[int, Rule | None] = {}
    for kind, level, first, last in low.policy.saf.tolist():
        for target, leader0, leader1 in low.policy.option[first:last].tolist():
            kept = [s for s in range(len(keep)) if keep[s] >> target & 1]
            at = next((s for s in kept if s >= level), -1)
            scalar = at >= 0 and at == kept[0] and low.arch.tiling[0, packs.IS_SPATIAL] == 0
            leaders = low.policy.leader[leader0:leader1].tolist()
            known = all(low.density.kind[leader] == packs.FIXED for leader in leaders)
            single = last - first == 1 and low.arch.width[at, packs.BLOCK] == 1
            if target in found or not (scalar and known and single and kind != packs.SPATIAL_SKIPPING):
                found[target] = None
                continue
            useful = 1.0
            for leader in leaders:
                x = float(low.density.density[leader])
                useful *= 1.0 - (1.0 - x if x < 1.0 else 0.0)
            found[target] = Rule(at, kind, 1.0 - useful)
    return found


def ranks_that_take_all(low: SearchArrays, s: int, v: int) -> int:
    """Return the number of ranks of a format whose ranks all take every loop, outer to inner; 0 for
    others.
    """
    has_format, _, ranks, inner_first = low.policy.format[s, v].tolist()
    if not has_format or inner_first:
        return 0
    relevant = int(low.layer.relevant[v])
    lists = low.policy.rank[s, v, :ranks, packs.RANK_LISTS]
    takes_all = (lists == 1).all() and (low.policy.flat[s, v, :ranks, 0] & relevant == relevant).all()
    return int(ranks) if takes_all else 0


class TileTables:
    """The tables of all tensors and levels of one bypass choice; `tiles` are those of merged dims."""

    def __init__(self, low: SearchArrays, layer: LayerPack, tiles: Tiles, keep: Ints) -> None:
        self.low, self.layer, self.tiles, self.keep = low, layer, tiles, keep
        self.rules = constant_rules(low, keep)
        self.tables: dict[tuple[int, int], TileTable | None] = {}
        for v in range(len(tiles.size)):
            child = -1
            for s in range(len(keep)):
                if keep[s] >> v & 1:
                    self.tables[s, v] = self._tabulate(s, v, child)
                    child = s

    def _tabulate(self, s: int, v: int, child: int) -> TileTable | None:
        low, keep = self.low, self.keep
        sizes = self.tiles.size[v, : self.tiles.number[v]]
        parent = next((p for p in range(s + 1, len(keep)) if keep[p] >> v & 1), -1)
        coded = bool(low.policy.format[s, v, packs.HAS_FORMAT])
        dropped = parent >= 0 and bool(low.policy.format[parent, v, packs.HAS_FORMAT])
        if self.rules.get(v, Rule(0, 0, 0.0)) is None or low.density.kind[v] == packs.TABULATED:
            return None
        own = np.arange(len(sizes))
        if s == len(keep) - 1:
            own = own[-1:]
        limit = low.arch.limit[s]
        if not (coded or dropped):
            if limit[packs.SIZE] >= 0:
                own = own[sizes[own] <= limit[packs.SIZE]]
            stat = reals(len(own), UNITS + 2 * low.policy.rank.shape[2])
            stat[:, [AVERAGE, RHO, RATIO]], stat[:, WORDS] = 1.0, sizes[own]
            return TileTable(own, np.full(len(own), -1), stat, child, np.ones_like(own))
        fibers = self._fibers(s, v, child, own) if coded else None
        if self._is_long(v, own if fibers is None else fibers[0]):
            return None
        own, inner, fiber, below, outside = fibers or _no_fibers(low, own)
        stat = self._statistics(s, v, parent, sizes[own], fiber, below)
        if fibers is None:
            stat[:, BITS] = stat[:, UNITS:] = 0.0
        fits = ~np.isnan(stat[:, AVERAGE])
        if limit[packs.SIZE] >= 0:
            fits &= (stat[:, WORDS] <= limit[packs.SIZE]) & (stat[:, BITS] <= limit[packs.METADATA_BITS])
        return TileTable(own[fits], inner[fits], stat[fits], child, outside[fits])

    def _is_long(self, v: int, own: Ints) -> bool:
        if self.low.density.kind[v] != packs.HYPERGEOMETRIC:
            return False
        return len(own) * (10 * math.sqrt(float(self.tiles.size[v].max())) + 400) > MOST_OCCUPANCIES

    def _fibers(self, s: int, v: int, child: int, own: Ints) -> _Fibers | None:
        """Return (own, inner, fibers, sub-tiles, factors) of all pairs of sizes; None where loops decide."""
        low, sizes = self.low, self.tiles.size[v]
        ranks, most = ranks_that_take_all(low, s, v), low.policy.rank.shape[2]
        base = max(int(low.policy.format[child, v, packs.N_RANKS]), 1) if child >= 0 else 0
        shared = low.arch.support[:, packs.SHARES].any()
        if not ranks or base > min(1, ranks) or (shared and not low.layer.plain[v]):
            return None
        coded_child = child >= 0 and bool(low.policy.format[child, v, packs.HAS_FORMAT])
        if coded_child and not ranks_that_take_all(low, child, v):
            return None
        top = low.policy.rank[s, v, ranks - 1, packs.RANK_KIND]
        builds = base == 1 and low.policy.format[s, v, packs.IS_COMPRESSED] == 1
        if (ranks - (base if builds else 0) > 1 or (builds and ranks > 1)) and top != packs.RANK_UOP:
            return None
        inner, outside = np.full(len(own), -1), np.ones_like(own)
        if builds:
            inside = np.arange(int(self.tiles.number[v]))
            room = float(low.arch.limit[child, packs.SIZE])
            if room >= 0:
                inside = inside[
                    (self.tiles.shares[v, inside, MOST] if coded_child else sizes[inside]) <= room
                ]
            found = self._nested(v, own, inside)
            if found is None:
                return None
            own, inner, outside = found
        fiber, below = np.ones((len(own), most), np.int64), np.ones((len(own), most + 1), np.int64)
        words = sizes[own]
        below[:, 1:] = words[:, None]
        if builds:
            within = np.where(inner >= 0, sizes[inner], 1)
            several = within > 1
            fiber[:, 0] = np.where(several, within, 1)
            below[:, 1] = np.where(several, within, words)
            fiber[:, ranks - 1] = np.where(several, outside if ranks > 1 else within, words)
            if ranks == 1:  # the child's rank stands for the whole tile
                fits = ~several | (words == within)
                own, inner, outside = own[fits], inner[fits], outside[fits]
                fiber, below = fiber[fits], below[fits]
        else:
            fiber[:, ranks - 1] = words
        return own, inner, fiber, below, outside

    def _nested(self, v: int, own: Ints, inside: Ints) -> tuple[Ints, Ints, Ints] | None:
        """Return (own, inner, words) of tiles in tiles, with the words of the loops between; None if there
        are too many. Windows of the same sizes may have several such loops.
        """
        sizes = self.tiles.size[v]
        if self.low.layer.plain[v]:
            if len(own) * len(inside) > MOST_PAIRS:
                return None
            outer, inner = (grid.ravel() for grid in np.meshgrid(own, inside, indexing="ij"))
            nested = sizes[outer] % sizes[inner] == 0
            outer, inner = outer[nested], inner[nested]
            return outer, inner, sizes[outer] // sizes[inner]
        found = nested_boxes(self.layer, v, int(sizes[inside].max(initial=0)))
        if found is None:
            return None
        sizes = sizes[: self.tiles.number[v]]
        outer, inner = np.searchsorted(sizes, found[:, 0]), np.searchsorted(sizes, found[:, 1])
        possible = np.isin(outer, own) & np.isin(inner, inside)
        return outer[possible], inner[possible], found[possible, 2]

    def _statistics(self, s: int, v: int, parent: int, words: Ints, fiber: Ints, below: Ints) -> Reals:
        low = self.low
        nest = make_nest(low.arch, low.layer, low.policy, 1)
        scratch = make_scratch(low.arch, low.layer, low.density, low.policy, nest)
        nest.kept[s, v], nest.space[:] = 1, 1
        nest.kin[s, v] = -1, parent
        out = reals(len(words), UNITS + 2 * fiber.shape[1])
        tabulate_tiles(
            low.arch, low.layer, low.density, low.policy, no_table(nest), nest, scratch.sparse, s, v,
            np.ascontiguousarray(words), np.ascontiguousarray(fiber), np.ascontiguousarray(below), out,
        )  # fmt: skip
        return out

    def rows(self, allowed: Mask, extents: Mask, prices: list[Prices]) -> tuple[Reals, Reals]:
        """Return (rows, metadata bits) of tiles with the `allowed` sizes (S, D, W) and extents (S, G, E), in
        the form of a ChainPack.
        """
        n_levels, (n_data, n_sizes) = len(self.keep), self.tiles.size.shape
        row = reals(n_levels, n_data, 2, n_sizes + 1, UNIT + 2 * self.low.policy.rank.shape[2])
        bits = reals(n_levels, n_data, n_sizes)
        for (s, v), table in self.tables.items():
            if table is None:
                continue
            fits = allowed[s, v, table.own]
            if table.child >= 0:
                fits = fits & ((table.inner < 0) | allowed[table.child, v, table.inner])
                fits = fits & self._has_extents(s, v, table, extents)
            own, inner = table.own[fits], table.inner[fits]
            values = self._values(s, v, table.stat[fits], prices[s], own)
            exact = not prices[s].words
            row[s, v, 0, :-1] = _grouped(values, own, n_sizes, exact)
            if table.child < 0:
                row[s, v, 1, :-1] = _grouped(values, np.zeros(len(own), np.int64), 1, exact)
            elif (table.inner >= 0).any():
                row[s, v, 1, :-1] = _grouped(values, inner, n_sizes, exact)
            else:
                row[s, v, 1, :-1] = _no_smaller(values, own, n_sizes, exact)
            row[s, v, :, -1] = _grouped(values, np.zeros(len(own), np.int64), 1, False)[0]
            least = np.full(n_sizes, np.inf)
            np.minimum.at(least, own, table.stat[fits, BITS])
            bits[s, v] = least
        return row, bits

    def _has_extents(self, s: int, v: int, table: TileTable, extents: Mask) -> Mask:
        """Return which tiles (P,) with windows, and those in them, may have the extents."""
        ours = extents[[s, table.child]]
        if self.low.layer.plain[v] or (table.inner < 0).any() or ours.all():
            return np.ones(len(table.own), bool)
        sizes = self.tiles.size[v, : self.tiles.number[v]]
        found = nested_boxes(self.layer, v, int(sizes[table.inner].max(initial=0)), ours)
        if found is None:
            return np.ones(len(table.own), bool)
        mine = np.stack([sizes[table.own], sizes[table.inner], table.outside], axis=1)
        base = max(int(found.max(initial=0)), int(mine.max(initial=0))) + 1
        mine, found = ((one[:, 0] * base + one[:, 1]) * base + one[:, 2] for one in (mine, found))
        return np.isin(mine, found)

    def has(self, s: int, v: int, size: int, inner: int, outside: int) -> bool:
        """Return whether a tile has statistics, of those of its size: others do not fit."""
        table = self.tables[s, v]
        if table is None:
            return True
        mine = (table.own == size) & (table.inner == inner)
        return not mine.any() or bool((table.outside[mine] == outside).any())

    def price_of(self, s: int, v: int, size: int, inner: int, prices: Prices) -> Reals:
        """Return the prices (A,) per word of one tile."""
        table = self.tables[s, v]
        if table is None:
            return reals(3)
        fits = (table.own == size) & ((table.inner < 0) | (table.inner == inner))
        values = self._values(s, v, table.stat[fits], prices, table.own[fits])
        return values[:, LIN : LIN + 3].max(axis=0, initial=0.0)

    def alike(self, s: int, v: int, size: int) -> Mask:
        """Return (W,): the sizes of tiles with the same statistics as those of one size, itself included."""
        found = np.zeros(self.tiles.size.shape[1], bool)
        found[size] = True
        table = self.tables[s, v]
        if table is None or (table.inner >= 0).any() or not (table.own == size).any():
            return found
        stat = np.delete(table.stat, [BITS, WORDS], axis=1)
        if not self.low.policy.format[s, v, packs.HAS_FORMAT]:
            stat = stat[:, :1]
        found[table.own[(stat == stat[table.own == size][0]).all(axis=1)]] = True
        return found

    def _values(self, s: int, v: int, stat: Reals, prices: Prices, own: Ints) -> Reals:
        """Return rows of single tiles."""
        low = self.low
        coded = bool(low.policy.format[s, v, packs.HAS_FORMAT])
        rule = self.rules.get(v)
        values = reals(len(stat), UNIT + stat.shape[1] - UNITS)
        values[:, MODE] = EXACT_ROW
        words = self.tiles.size[v, own].astype(np.float64)
        rho = stat[:, RHO] if coded else np.ones(len(stat))
        average, ratio, units = stat[:, AVERAGE], stat[:, RATIO], stat[:, UNITS:]
        per_word = np.zeros(len(stat))  # bits
        counts = coded and rule is None and low.arch.width[s, packs.METADATA_WIDTH] > 0
        if counts and prices.metadata.any():
            rank_bits = low.policy.rank[
                s, v, :, [packs.RANK_METADATA_BITS, packs.RANK_PAYLOAD_BITS]
            ].T.ravel()
            per_word = (units @ rank_bits) / words
            values[:, TILE], values[:, UNIT:] = words, units
        values[:, RHO_AT], values[:, AVG], values[:, RATIO_AT] = rho, average, ratio
        outer = rule.share if rule is not None and s < rule.level else 0.0
        mine = rule.share if rule is not None and s == rule.level else 0.0
        kind = rule.kind if rule is not None else packs.GATED
        for a in range(3):
            share = mine if a != packs.FILL else 0.0
            price = (1.0 - share) * prices.data[packs.RANDOM, a] + share * prices.data[kind, a]
            data = rho * (1.0 - outer) * price * (1.0 if prices.words else ratio) / prices.block
            values[:, LIN + a] = average * (data + per_word * prices.metadata[a])
            if mine or (prices.words and coded):
                values[:, SLACK] = np.maximum(values[:, SLACK], prices.data[:, a].max() * ratio)
        return values


def _no_fibers(low: SearchArrays, own: Ints) -> _Fibers:
    most = low.policy.rank.shape[2]
    return own, np.full(len(own), -1), ints(len(own), most), ints(len(own), most + 1), np.ones_like(own)


def _merged(least: Reals, most: Reals, number: Ints, exact: bool) -> Reals:
    """Return the rows of groups with the least and the most of all values."""
    rows = least.copy()
    same = (least == most).all(axis=-1)
    rows[:, MODE] = np.where(same, EXACT_ROW if exact else TIGHT, LINEAR)
    rows[number == 0] = 0.0
    rows[number == 0, MODE] = LINEAR
    rows[number == 0, LIN : LIN + 3] = NONE_FITS
    return rows


def _grouped(values: Reals, group: Ints, n_groups: int, exact: bool) -> Reals:
    """Return (groups, F) of the values (n, F) of each group."""
    least, most = np.full((n_groups, values.shape[1]), np.inf), np.full((n_groups, values.shape[1]), -np.inf)
    np.minimum.at(least, group, values)
    np.maximum.at(most, group, values)
    return _merged(least, most, np.bincount(group, minlength=n_groups), exact)


def _no_smaller(values: Reals, own: Ints, n_sizes: int, exact: bool) -> Reals:
    """Return (sizes, F): of all tiles that are no smaller."""
    least, most = np.full((n_sizes, values.shape[1]), np.inf), np.full((n_sizes, values.shape[1]), -np.inf)
    np.minimum.at(least, own, values)
    np.maximum.at(most, own, values)
    least = np.minimum.accumulate(least[::-1])[::-1]
    most = np.maximum.accumulate(most[::-1])[::-1]
    number = np.bincount(own, minlength=n_sizes)[::-1].cumsum()[::-1]
    return _merged(least, most, number, exact)
