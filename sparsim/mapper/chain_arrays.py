"""The arrays of `kernels.shortest_paths`: tiles and loops of a mapspace, shares of counts, prices."""

from itertools import product
from typing import NamedTuple

import numpy as np

from sparsim.mapper.bound_constants import SearchArrays
from sparsim.mapper.factorisations import divisors
from sparsim.mapper.kernels.lower_bounds import EXACT
from sparsim.mapper.kernels.shortest_paths import CHANCE, MOST, STORED
from sparsim.mapper.metadata_bounds import Nested, least_bits, list_nested
from sparsim.mapper.tile_sizes import Tiles
from sparsim.model import arrays as packs
from sparsim.model.arrays import BoundPack, ChainPack, ChainWork, Ints, Reals
from sparsim.model.lower import ints, reals


class Price(NamedTuple):
    """The price that a shortest path adds up."""

    access: Reals  # (S, A) per vector access
    block: Ints  # (S,) words of a vector access
    most: Ints  # (S,) most instances that are counted
    gated: bool  # whether gated accesses count
    dense: bool = False  # whether all accesses of a dense tensor are counted, at the instances in use


def energy_price(low: SearchArrays) -> Price:
    arch = low.arch
    access = np.ascontiguousarray(arch.energy[:, packs.DATA_ACTIONS : packs.DATA_ACTIONS + 3])
    most = arch.mesh[1:, 2] // arch.width[:, packs.CLUSTER]
    return Price(access, np.ascontiguousarray(arch.width[:, packs.BLOCK]), np.ascontiguousarray(most), False)


def access_price(low: SearchArrays, level: int) -> Price:
    """Return the price of one for every dense word that all instances of a level read, fill and update."""
    access = reals(len(low.arch.limit), 3)
    access[level] = 1.0
    ones = np.ones(len(access), np.int64)
    return Price(access, ones, ones * np.iinfo(np.int64).max, True, True)


def cycle_prices(low: SearchArrays) -> list[Price]:
    """Return a price for every bandwidth limit, in cycles of one instance of the level."""
    prices = []
    for s, limit in enumerate(low.arch.limit):
        for field, actions in (
            (packs.READ_BW, [packs.READ]),
            (packs.WRITE_BW, [packs.FILL, packs.UPDATE]),
            (packs.SHARED_BW, [packs.READ, packs.FILL, packs.UPDATE]),
        ):
            if limit[field] > 0:
                access = reals(len(low.arch.limit), 3)
                access[s, actions] = 1.0 / limit[field]
                ones = np.ones(len(access), np.int64)
                prices.append(Price(access, ones, ones, True))
    return prices


class Choice(NamedTuple):
    """A bypass choice, with decisions on tiles that share a format."""

    number: int  # row of `Space.keep`
    keep: Ints  # (S,)
    single: tuple[Nested, ...]  # cases in which the child's tile has one word
    several: tuple[Nested, ...]  # cases in which it has more words


def list_choices(low: SearchArrays, bound: BoundPack) -> list[Choice]:
    """Return all bypass choices, with all decisions."""
    choices = []
    for number, keep in enumerate(low.space.keep):
        nested = [] if bound.switch[EXACT] else list_nested(low, keep)
        for decisions in product((True, False), repeat=len(nested)):
            single = tuple(n for n, one in zip(nested, decisions, strict=True) if one)
            several = tuple(n for n, one in zip(nested, decisions, strict=True) if not one)
            choices.append(Choice(number, keep, single, several))
    return choices


def make_chain(low: SearchArrays, bound: BoundPack, tiles: Tiles, choice: Choice, price: Price) -> ChainPack:
    """Make the arrays of one choice."""
    keep = choice.keep
    layer, arch, space = low.layer, low.arch, low.space
    parts = [sorted(divisors(int(n))) for n in layer.bound]
    primes = [[n for n in part if n > 1 and len(divisors(n)) == 2] for part in parts]
    outermost = arch.first_tiling[1:] - 1  # temporal loops of every level
    divisor = _padded(parts)
    tiled = ints(len(keep), *divisor.shape)
    for dim, rows in enumerate(space.factors):
        extents = np.cumprod(rows, axis=1)[:, outermost]
        for s in range(len(keep)):
            tiled[s, dim] = np.isin(divisor[dim], extents[:, s])
    looped = np.stack([rows[:, outermost].max(axis=0) > 1 for rows in space.factors], axis=1)
    exact = bool(bound.switch[EXACT])
    room = np.stack([arch.limit[:, packs.MIN_WORDS], arch.limit[:, packs.SIZE]], axis=1)
    if not exact:
        room[:, 0] = 0
    bits = reals(len(keep), *tiles.size.shape)
    if not exact:
        bits = least_bits(low, tiles.size, tiles.shares[:, :, MOST], keep, choice.several)
    between = np.array([1, np.iinfo(np.int64).max]) + ints(len(keep), len(tiles.size), 2)
    for nested in choice.single:
        between[nested.child, nested.dataspace, 1] = 1
    for nested in choice.several:
        between[nested.child, nested.dataspace, 0] = 2
    return ChainPack(
        bound=layer.bound, divisor=divisor, prime=_padded(primes), tiled=tiled,
        looped=looped.astype(np.int64),
        distinct=bound.distinct, flags=np.ascontiguousarray(space.flags), size=tiles.size, sizes=tiles.number,
        share=_shares(low, bound, tiles, keep, price), stored=_stored(low, tiles, keep),
        bits=bits, between=between, bit_room=np.ascontiguousarray(arch.limit[:, packs.METADATA_BITS]),
        room=np.floor(room).astype(np.int64), price=price.access, block=price.block, most=price.most,
        exact=np.array([exact], np.int64), accounting=bound.accounting,
    )  # fmt: skip


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
                if not (price.gated and kind == packs.GATED):
                    share[outer[0], v, [packs.READ, packs.UPDATE]] *= bound.left[f]
                share[: outer[0], v] *= bound.left[f]
    return share


def make_chain_work(low: SearchArrays, chain: ChainPack, codes: int, states: int) -> ChainWork:
    """Make scratch arrays for `codes` and `states` of any path."""
    (n_levels, n_data), (n_dims, n_divisors) = chain.stored.shape[:2], chain.divisor.shape
    most = n_levels * n_data
    return ChainWork(
        below=ints(n_levels, n_dims), left=ints(n_dims), number=ints(n_dims), stride=ints(n_dims + 1),
        extent=ints(n_dims, n_divisors), outside=ints(n_dims, n_divisors),
        step=ints(n_dims, n_divisors, chain.prime.shape[1]),
        tiled=ints(n_levels, n_dims, n_divisors), children=ints(n_levels), instances=ints(n_levels),
        groups=ints(n_levels, n_data), part=ints(n_levels, n_data), delivery=ints(most, 5), copies=ints(most),
        queue=ints(n_data, n_levels), opened=ints(n_data), weight=ints(n_data), radix=ints(n_data),
        open=ints(codes, n_data), shift=ints(n_levels), digit=ints(n_dims), ext=ints(n_dims),
        floor=reals(most), live=ints(codes),
        leave=reals(states), rest=reals(codes), cost=reals(most, states), value=reals(codes, states),
    )  # fmt: skip
