"""The arrays of `kernels.shortest_paths`: tiles and loops of a mapspace, shares of counts, prices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sparsim.mapper.bound_constants import SearchArrays, distinct_dims
from sparsim.mapper.equivalent_dims import MergedDims
from sparsim.mapper.factorisations import divisors
from sparsim.mapper.kernels.lower_bounds import EXACT
from sparsim.mapper.kernels.shortest_paths import CHANCE, MOST, STORED
from sparsim.mapper.kernels.tile_chains import INNER, LEGACY, LIN, MODE, MORE, MORE_SLACK, OUTER, SLACK, UNIT
from sparsim.mapper.memory_levels import Orders, all_orders, memories
from sparsim.mapper.tile_prices import Mask, Prices, Rule, TileTables
from sparsim.mapper.tile_sizes import Tiles
from sparsim.model import arrays as packs
from sparsim.model.arrays import BoundPack, ChainPack, ChainWork, Ints, LayerPack, Reals
from sparsim.model.lower import ints, reals


class Price(NamedTuple):
    """The price that a shortest path adds up."""

    access: Reals  # (S, O, A) per vector access
    metadata: Reals  # (S, A) per access to metadata
    metadata_width: Ints  # (S,) bits of such an access
    block: Ints  # (S,) words of a vector access
    most: Ints  # (S,) most instances that are counted
    words: bool = False  # whether words are counted, with those of metadata
    dense: bool = False  # whether all accesses of a dense tensor are counted, at the instances in use
    more: Price | None = None  # another price, of one instance, that is added
    weight: float = 0.0  # its weight


def energy_price(low: SearchArrays) -> Price:
    arch = low.arch
    data = arch.energy[:, packs.DATA_ACTIONS : packs.METADATA_ACTIONS].reshape(-1, 3, 3)
    metadata = arch.energy[:, packs.METADATA_ACTIONS : packs.DECOMPRESS].reshape(-1, 3, 3)[:, :, packs.RANDOM]
    most = arch.mesh[1:, 2] // arch.width[:, packs.CLUSTER]
    width = np.maximum(arch.width[:, packs.METADATA_WIDTH], 1)
    plain = np.ascontiguousarray
    return Price(plain(data), plain(metadata), plain(width), plain(arch.width[:, packs.BLOCK]), plain(most))


def access_price(low: SearchArrays, level: int) -> Price:
    """Return the price of one for every dense word that all instances of a level read, fill and update."""
    access = reals(len(low.arch.limit), 3, 3)
    access[level] = 1.0
    ones = np.ones(len(access), np.int64)
    return Price(access, reals(len(access), 3), ones, ones, ones * np.iinfo(np.int64).max, dense=True)


def cycle_prices(low: SearchArrays) -> list[Price]:
    """Return a price for every bandwidth limit, in cycles of one instance of the memory."""
    prices = []
    for memory in memories(low.arch.support[:, packs.SHARES]):
        limit = low.arch.limit[memory.start]
        for field, actions in (
            (packs.READ_BW, [packs.READ]),
            (packs.WRITE_BW, [packs.FILL, packs.UPDATE]),
            (packs.SHARED_BW, [packs.READ, packs.FILL, packs.UPDATE]),
        ):
            if limit[field] > 0:
                access, metadata = reals(len(low.arch.limit), 3, 3), reals(len(low.arch.limit), 3)
                for level in memory:
                    access[level, : packs.SKIPPED, actions] = 1.0 / limit[field]
                    metadata[level, actions] = 1.0 / limit[field]
                ones = np.ones(len(access), np.int64)
                width = np.ascontiguousarray(low.arch.width[:, packs.WORD_BITS])
                prices.append(Price(access, metadata, width, ones, ones, words=True))
    return prices


class Choice(NamedTuple):
    """A bypass choice, with the sizes and the extents of tiles that it allows."""

    number: int  # row of `Space.keep`
    keep: Ints  # (S,)
    allowed: Mask  # (S, D, W)
    extents: Mask  # (S, G, E) by the place of a divisor
    span: Ints  # (S, D, 2) least and most words that tiles take
    is_whole: bool = True  # whether it is one of those from which a search starts
    apart: bool = False  # whether the tensors of a memory may lie apart, in any order of its levels

    def split(self, s: int, v: int, sizes: Mask) -> tuple[Choice, Choice]:
        """Return the choice with only some sizes (W,) of a tile, and with the others."""
        some, others = self.allowed.copy(), self.allowed.copy()
        some[s, v] &= sizes
        others[s, v] &= ~sizes
        return self._replace(allowed=some, is_whole=False), self._replace(allowed=others, is_whole=False)

    def split_extents(self, s: int, dim: int, extent: int) -> tuple[Choice, Choice]:
        """Return the choice with only one extent of tiles along a dim, and with the others."""
        some, others = self.extents.copy(), self.extents.copy()
        some[s, dim] = np.arange(some.shape[2]) == extent
        others[s, dim, extent] = False
        return self._replace(extents=some, is_whole=False), self._replace(extents=others, is_whole=False)

    def within(self, span: Ints) -> Choice:
        """Return the choice with tiles that take no more and no fewer words."""
        return self._replace(span=span, is_whole=False)


class Chains:
    """The arrays of all bypass choices of a layer with merged dims."""

    def __init__(self, low: SearchArrays, bound: BoundPack, dims: MergedDims, tiles: Tiles) -> None:
        self.low, self.dims, self.tiles = low, dims, tiles
        self._bound, self._exact = bound, bool(bound.switch[EXACT])
        self.orders = self._orders()
        self._tables: dict[int, TileTables] = {}
        # prices and choices are kept with their arrays, so that no other has the same id
        self._made: dict[tuple[int, int], tuple[Price, ChainPack]] = {}
        self._whole: dict[tuple[int, int], tuple[Choice, ChainPack]] = {}

    def _orders(self) -> Orders | None:
        """Return the choices of what is kept, if memories have all orders of their levels."""
        low, shares = self.low, self.low.arch.support[:, packs.SHARES]
        if not shares.any() or low.space.flags[:, packs.NO_REUSE].any():
            return None
        return all_orders(low.space.keep, low.space.factors, low.arch.first_tiling[1:] - 1, shares)

    def pass_through(self, spread: Ints) -> Ints:
        """Return spatial factors (n, S, G) with those of levels that never keep anything at the next level
        outside. Where memories have all orders, paths of factors that are then equal cost the same.
        """
        low, spread = self.low, spread.copy()
        if self.orders is None or low.space.flags[:, packs.NO_MULTICAST].any():
            return spread
        divisor = _padded([sorted(divisors(int(n))) for n in self.dims.layer.bound])
        tiled, _ = _tiled(low, self.dims, divisor)
        for s in range(1, len(low.arch.limit) - 1):
            if not low.space.keep[:, s].any() and (tiled[s] | (divisor == 0)).all():
                spread[:, s + 1] *= spread[:, s]
                spread[:, s] = 1
        return spread

    def tables(self, choice: Choice) -> TileTables:
        """Return the tables of tiles of a bypass choice."""
        if choice.number not in self._tables:
            self._tables[choice.number] = TileTables(self.low, self.dims.layer, self.tiles, choice.keep)
        return self._tables[choice.number]

    def choices(self, only: int | None = None) -> list[Choice]:
        """Return all bypass choices, or those of one row of `Space.keep`. Where the metadata of a level
        depend on whether the child's tile has a single word, there is a choice for each case.
        """
        found, bounds = [], self.dims.layer.bound.tolist()
        apart = self.orders is not None and only is None
        rows = range(len(self.low.space.keep)) if only is None else [only]
        for number in self.orders.even if self.orders is not None and apart else rows:
            keep = self.low.space.keep[number]
            allowed = np.ones((len(keep), *self.tiles.size.shape), bool)
            extents = np.ones((len(keep), len(bounds), max(len(divisors(n)) for n in bounds)), bool)
            choices = [Choice(number, keep, allowed, extents, self._span(keep), apart=apart)]
            for (s, v), table in {} if self._exact else self.tables(choices[0]).tables.items():
                limited = self.low.arch.limit[s, packs.SIZE] >= 0
                if table is not None and limited and (table.inner >= 0).any():
                    one = self.tiles.size[v] == 1
                    choices = [part for choice in choices for part in choice.split(table.child, v, one)]
            found += [choice._replace(is_whole=True) for choice in choices]
        return found

    def _span(self, keep: Ints) -> Ints:
        """Return the words that tiles may take (S, D, 2): in a memory of several levels each leaves a word to
        the others, if all words are stored.
        """
        shape = len(keep), len(self.tiles.size)
        span = np.tile(np.array([0, np.iinfo(np.int64).max]), (*shape, 1))
        for memory in memories(self.low.arch.support[:, packs.SHARES]) if self._exact else ():
            room = int(self.low.arch.limit[memory.start, packs.SIZE])
            others = sum(int(keep[s]).bit_count() for s in memory) - 1
            if len(memory) > 1 and room >= 0:
                span[memory.start : memory.stop, :, packs.MOST] = room - others
        return span

    def prices(self, price: Price) -> list[Prices]:
        """Return the prices of every level."""
        per_bit = price.metadata / price.metadata_width[:, None]
        return [
            Prices(price.access[s], per_bit[s], int(price.block[s]), price.words) for s in range(len(per_bit))
        ]

    def make(self, choice: Choice, price: Price) -> ChainPack:
        """Make the arrays of one choice."""
        key = choice.number, id(price)
        if key not in self._made:
            self._made[key] = price, self._fixed_part(choice, price)
        chain = self._made[key][1]._replace(span=choice.span)
        if self._exact:
            return chain
        prices = [
            Prices(
                price.access[s], price.metadata[s] / price.metadata_width[s], int(price.block[s]), price.words
            )
            for s in range(len(choice.keep))
        ]
        row, bits = self.tables(choice).rows(choice.allowed, choice.extents, prices)
        if price.dense:
            row[..., MODE] = LEGACY
        if price.more is not None:
            more = self.tables(choice).rows(choice.allowed, choice.extents, self.prices(price.more))[0]
            row[..., MORE : MORE_SLACK + 1] = price.weight * more[..., LIN : SLACK + 1]
        return chain._replace(
            row=row, bits=bits, allowed=choice.allowed.astype(np.int64), tiled=chain.tiled * choice.extents
        )

    def _fixed_part(self, choice: Choice, price: Price) -> ChainPack:
        """Return the arrays that do not depend on allowed sizes."""
        low, dims, keep = self.low, self.dims, choice.keep
        arch, layer = low.arch, dims.layer
        parts = [sorted(divisors(int(n))) for n in layer.bound]
        primes = [[n for n in part if n > 1 and len(divisors(n)) == 2] for part in parts]
        divisor = _padded(parts)
        exact = self._exact
        room = np.stack([arch.limit[:, packs.MIN_WORDS], arch.limit[:, packs.SIZE]], axis=1)
        shared = arch.support[:, packs.SHARES] == 1
        room[shared | np.append(shared[1:], False), 0] = 0  # other levels of the memory may fill it
        if not exact:
            room[:, 0] = 0
        tiled, looped = _tiled(low, dims, divisor)
        rule, outcome = reals(*len_of(keep, self.tiles), 2), ints(*len_of(keep, self.tiles))
        if not exact:
            _fill_rules(self.tables(choice).rules, rule, outcome)
        disjoint, window, coordinate, coefficient = windows(low, layer)
        rank_bits = low.policy.rank[..., [packs.RANK_METADATA_BITS, packs.RANK_PAYLOAD_BITS]]
        return ChainPack(
            bound=layer.bound, divisor=divisor, prime=_padded(primes), tiled=tiled, looped=looped,
            distinct=distinct_dims(layer), disjoint=disjoint, window=window, coordinate=coordinate,
            coefficient=coefficient, inside=_inside(low, dims), flags=np.ascontiguousarray(low.space.flags),
            size=self.tiles.size, sizes=self.tiles.number,
            share=_shares(low, self._bound, self.tiles, keep, price), stored=_stored(low, self.tiles, keep),
            bits=reals(*len_of(keep, self.tiles), 1), allowed=ints(1, 1, 1), span=choice.span,
            row=reals(1, 1, 1, 1, UNIT),
            rule=rule, outcome=outcome, coded=np.ascontiguousarray(low.policy.format[..., packs.HAS_FORMAT]),
            rank_bits=np.ascontiguousarray(rank_bits, np.float64), metadata_price=price.metadata,
            metadata_width=price.metadata_width,
            bit_room=np.ascontiguousarray(arch.limit[:, packs.METADATA_BITS]),
            room=np.floor(room).astype(np.int64), price=price.access, block=price.block, most=price.most,
            exact=np.array([exact], np.int64), accounting=self._bound.accounting,
        )  # fmt: skip


def windows(low: SearchArrays, layer: LayerPack) -> tuple[Ints, Ints, Ints, Ints]:
    """Return whether no tiles overlap (D,), the dims that move a coordinate together with others where
    deliveries of windows are followed (D,), and (D, R) the coordinate that a dim moves, and by how much. In
    memories of several levels they are not followed.
    """
    shared = low.arch.support[:, packs.SHARES].any()
    n_data, n_dims = len(layer.words), len(layer.bound)
    disjoint, window = layer.plain.copy(), ints(n_data)
    coordinate, coefficient = ints(n_data, n_dims), ints(n_data, n_dims)
    for v in range(n_data):
        seen: list[int] = []
        for o, (a, b) in enumerate(zip(layer.side[v, :-1], layer.side[v, 1:], strict=True)):
            terms = [term for term in layer.term[a:b].tolist() if layer.bound[term[packs.TERM_DIM]] > 1]
            for dim, size, step in terms:
                coordinate[v, dim], coefficient[v, dim] = o, size
                window[v] |= (len(terms) > 1) << dim
                seen.append(dim if step > 0 else -1)
        simple = len(set(seen)) == len(seen) and -1 not in seen
        if shared or not simple or layer.read_write[v] or layer.cut[0]:
            window[v] = 0
        elif window[v] == 0:  # strides
            disjoint[v] = 1
        elif low.accounting == packs.TIMELOOP_4:
            window[v] = 0
    return disjoint, window, coordinate, coefficient


def _inside(low: SearchArrays, dims: MergedDims) -> Ints:
    """Return (S, G): bit masks of merged dims whose loops in space are further inside than those of a dim,
    and of itself, where children of the level lie in a line, in an order that is fixed.
    """
    inside = ints(len(low.arch.fan), len(dims.groups))
    for t, (s, is_spatial) in enumerate(low.arch.tiling.tolist()):
        if is_spatial and not low.space.free[t] and low.arch.fan[s].min() == 1:
            order = [*low.space.inner[t], *low.space.outer[t]]
            places = [sorted(order.index(dim) for dim in members) for members in dims.groups]
            for g, place in enumerate(places):
                inside[s, g] = sum(1 << i for i, other in enumerate(places) if other[-1] < place[0] or i == g)
    return inside


def len_of(keep: Ints, tiles: Tiles) -> tuple[int, int]:
    """Return the numbers of levels and dataspaces."""
    return len(keep), len(tiles.size)


def _fill_rules(rules: dict[int, Rule | None], rule: Reals, outcome: Ints) -> None:
    for v, one in rules.items():
        if one is not None:
            rule[: one.level, v, OUTER] = one.share
            rule[one.level, v, INNER] = one.share
            outcome[one.level, v] = one.kind


def _tiled(low: SearchArrays, dims: MergedDims, divisor: Ints) -> tuple[Ints, Ints]:
    """Return which divisors may be the extent of a tile (S, G, E), and which levels may have a loop in time
    (S, G), over merged dims.
    """
    outermost = low.arch.first_tiling[1:] - 1  # temporal loops of every level
    tiled, looped = ints(len(outermost), *divisor.shape), ints(len(outermost), len(divisor))
    for g, members in enumerate(dims.groups):
        sizes = [np.cumprod(low.space.factors[dim], axis=1)[:, outermost] for dim in members]
        for s, t in enumerate(outermost):
            extents = {1}
            for own in sizes:
                extents = {a * b for a in extents for b in np.unique(own[:, s]).tolist()}
            tiled[s, g] = np.isin(divisor[g], list(extents))
            looped[s, g] = max(low.space.factors[dim][:, t].max() for dim in members) > 1
    return tiled, looped


def _padded(rows: list[list[int]]) -> Ints:
    out = ints(len(rows), max(1, *map(len, rows)))
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


def _stored(low: SearchArrays, tiles: Tiles, keep: Ints) -> Ints:
    """Return (S, D, W): the least words that a tile takes, as in the enumeration."""
    stored = np.repeat(tiles.size[None], len(keep), axis=0)
    for v, kind in enumerate(low.density.kind):
        coded = low.policy.format[:, v, packs.HAS_FORMAT] == 1
        if low.policy.switch[packs.ACTIVE]:
            stored[coded, v] = 0 if kind == packs.TABULATED else tiles.shares[v, :, MOST]
    return stored


def _shares(low: SearchArrays, bound: BoundPack, tiles: Tiles, keep: Ints, price: Price) -> Reals:
    """(S, D, A, W + 1): least part of the dense accesses that is paid for where the tile filled has the
    size; reads and updates are of a tile no smaller. At the end the least of all sizes.
    """
    n_levels, (n_data, n_sizes) = len(keep), tiles.size.shape
    share = np.ones((n_levels, n_data, 3, n_sizes + 1))
    if bound.switch[EXACT]:
        return share
    for v in range(n_data):
        kept = [s for s in range(n_levels) if keep[s] >> v & 1]
        outer_format = False
        for s in reversed(kept):
            has_format, compressed = low.policy.format[s, v, [packs.HAS_FORMAT, packs.IS_COMPRESSED]]
            stored, chance = tiles.shares[v, :, STORED], tiles.shares[v, :, CHANCE]
            part = np.ones(n_sizes)
            if price.dense:
                part = chance if outer_format else part
            elif outer_format or has_format:
                part = stored if has_format else chance
                if outer_format and compressed:
                    part = part * chance
            share[s, v, :, :-1] = part
            no_smaller = np.minimum.accumulate(part[::-1])[::-1]
            share[s, v, [packs.READ, packs.UPDATE], :-1] = no_smaller
            share[s, v, :, -1] = part.min()
            outer_format = bool(has_format)
        for f, (kind, level, first, last) in enumerate([] if price.dense else low.policy.saf.tolist()):
            outer = [s for s in kept if s >= level]
            if outer and v in low.policy.option[first:last, packs.OPT_TARGET]:
                if not (price.words and kind == packs.GATED):
                    share[outer[0], v, [packs.READ, packs.UPDATE]] *= bound.left[f]
                share[: outer[0], v] *= bound.left[f]
    return share


def make_chain_work(chain: ChainPack, codes: int, states: int) -> ChainWork:
    """Make scratch arrays for `codes` and `states` of any path."""
    (n_levels, n_data), (n_dims, n_divisors) = chain.stored.shape[:2], chain.divisor.shape
    most, followed = n_levels * n_data, int((chain.window > 0).sum())
    rows = followed * n_levels * int((chain.divisor[_any_bit(chain.window, n_dims)] > 0).sum())
    return ChainWork(
        below=ints(n_levels, n_dims), left=ints(n_dims), number=ints(n_dims), stride=ints(n_dims + 1),
        extent=ints(n_dims, n_divisors), outside=ints(n_dims, n_divisors),
        step=ints(n_dims, n_divisors, chain.prime.shape[1]),
        tiled=ints(n_levels, n_dims, n_divisors), children=ints(n_levels), instances=ints(n_levels),
        groups=ints(n_levels, n_data), part=ints(n_levels, n_data), delivery=ints(most, 6), copies=ints(most),
        queue=ints(n_data, n_levels), opened=ints(n_data), weight=ints(n_data), radix=ints(n_data),
        span=ints(n_data), open=ints(codes, n_data), fresh=ints(codes, n_data),
        shift=ints(n_levels), digit=ints(n_dims), ext=ints(n_dims), floor=reals(most), live=ints(codes),
        leave=reals(states), rest=reals(codes), cost=reals(most, states), place=ints(n_data),
        slot=ints(n_dims + 1), run=reals(rows, states), value=reals(codes, states),
    )  # fmt: skip


def _any_bit(masks: Ints, n_dims: int) -> list[int]:
    """Return the dims that are in any of the bit masks."""
    return [dim for dim in range(n_dims) if (masks >> dim & 1).any()]
