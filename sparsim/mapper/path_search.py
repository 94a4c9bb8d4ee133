"""Best-first search over choices of spatial factors, keeps and sizes of tiles, bounded by shortest paths."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator
from itertools import count, product
from typing import NamedTuple

import numpy as np

from sparsim.mapper.bound_constants import SearchArrays
from sparsim.mapper.chain_arrays import Chains, Choice, Price, cycle_prices, make_chain_work, windows
from sparsim.mapper.equivalent_dims import MergedDims
from sparsim.mapper.factorisations import divisors
from sparsim.mapper.kernels.shortest_paths import least_costs
from sparsim.mapper.kernels.tile_chains import FILLED, LIN, LINEAR, MODE, SERVED
from sparsim.mapper.kernels.uneven_paths import least_uneven_costs
from sparsim.mapper.memory_levels import memories, share_room
from sparsim.mapper.tile_sizes import Tiles
from sparsim.model.arrays import (
    FILL,
    MOST,
    READ,
    SHARES,
    UPDATE,
    BoundPack,
    ChainPack,
    ChainWork,
    Ints,
    Reals,
)
from sparsim.model.lower import ints, reals

STEPS_PER_US = 25.0  # approximate number of states per microsecond
CHOICE_US = 1000.0  # microseconds for the setup of one bypass choice
TURN = 32  # paths of one step
STARTS = 8  # mappings handed to a search
CLOSE = 1 - 1e-10  # tolerance for the rounding of sums: a value is proven if it is so close to its bound


class Start(NamedTuple):
    """A mapping that a shortest path represents."""

    spread: Ints  # (S, R) spatial factors
    loops: Ints  # (n, 3) in time, outermost first: level, dim, bound
    choice: int  # row of `Space.keep`


class Paths:
    """Shortest paths for all spatial factors and bypass choices; those of equivalent dims count once."""

    def __init__(
        self, low: SearchArrays, bound: BoundPack, spread: Ints, dims: MergedDims, tiles: Tiles
    ) -> None:
        self.low, self.bound, self.dims, self.tiles = low, bound, dims, tiles
        merged = dims.product(spread)
        self.chains = Chains(low, bound, dims, tiles)
        alike = _least_mirror(self.chains.pass_through(merged), dims.mirrored(low.space.factors))
        _, first = np.unique(alike, axis=0, return_index=True)
        self.full = spread[first]  # (n, S, R)
        self.spread = np.ascontiguousarray(merged[first])  # (n, S, G)
        self.memories = memories(low.arch.support[:, SHARES])
        self.cycle_prices = cycle_prices(low)
        self.choices = self.chains.choices()
        n_data = len(low.layer.words)
        counts = (low.space.keep[:, :, None] >> np.arange(n_data) & 1).sum(axis=1)
        followed = windows(low, dims.layer)[1] > 0
        self.codes = int(np.where(followed, counts**2, counts + 1).prod(axis=1).max())
        self.sets = 2**n_data if self.chains.orders else 1  # of dataspaces that are looked at separately
        self.states = int(np.prod([len(divisors(int(n))) for n in dims.layer.bound]))
        self._work: ChainWork | None = None
        self._nodes = reals(0, 0, 0)  # of paths whose tensors lie apart in memories

    def units_cycles(self) -> Reals:
        """Return the least cycles of the arithmetic for each choice of spatial factors."""
        busy = float(self.bound.compute[0])
        cycles: Reals = np.ceil(busy / self.spread.prod(axis=(1, 2))) + self.low.arch.latency[0]
        return cycles

    def base(self) -> Reals:
        """Return the energy in pJ of the arithmetic, and of leakage in its time, for each choice of spatial
        factors.
        """
        busy, energy = self.bound.compute.tolist()
        base: Reals = energy + self.low.leak_pj * np.ceil(busy / self.spread.prod(axis=(1, 2)))
        return base

    def floors(self, among: Ints, price: Price) -> Generator[float, None, Reals]:
        """Return the least costs of all bypass choices that are found directly."""
        least = np.full(len(among), np.inf)
        zero, one = np.zeros(len(among)), np.ones(len(among))
        for choice in self.choices:
            yield CHOICE_US + len(among)
            chain = self.chains.make(choice, price)
            least = np.minimum(least, self.run(chain, choice, among, one, zero, -np.inf)[:, 0])
        return least

    def run(
        self, chain: ChainPack, choice: Choice, some: Ints, scale: Reals, base: Reals, limit: float,
    ) -> Reals:  # fmt: skip
        """Return `least_costs` of some spatial factors."""
        return self._run(chain, choice, some, scale, base, limit, ints(0, 0, 0))[0]

    def trace(self, chain: ChainPack, choice: Choice, spread: int) -> tuple[Ints, Ints]:
        """Return the loops of a path, and what levels keep."""
        steps = len(self.memories) * self.sets if choice.apart else len(choice.keep)
        path, one = ints(steps, self.codes, self.states), np.ones(1)
        return self._run(chain, choice, np.array([spread]), one, 0.0 * one, np.inf, path)[1:]

    def _run(
        self, chain: ChainPack, choice: Choice, some: Ints, scale: Reals, base: Reals, limit: float,
        path: Ints,
    ) -> tuple[Reals, Ints, Ints]:  # fmt: skip
        if self._work is None:
            self._work = make_chain_work(chain, self.codes, self.states)
        loops, out, kept = ints(64 * chain.looped.size, 3), reals(len(some), 2), choice.keep
        head = self.dims.layer, chain, self._work, choice.keep
        if choice.apart:
            if not self._nodes.size:
                self._nodes = reals(self.sets, self.codes, self.states)
            first, kept = np.array([*(one.start for one in self.memories), len(kept)]), kept.copy()
            number = least_uneven_costs(
                *head, first, self.spread[some], scale, base, limit, self._nodes, out, path, loops, kept
            )
        else:
            number = least_costs(*head, self.spread[some], scale, base, limit, out, path, loops)
        return out, loops[:number], kept


class Counts(NamedTuple):
    """What a proof rests on.

    Attributes
    ----------
    classes : int
        Choices of spatial factors, of what is kept, and of sizes of tiles; those of equivalent dims count
        once.
    searched : int
        How many of them a shortest path bounds; the others have a higher bound that is found directly.
    split : int
        How many of those were split into two.
    """

    classes: int
    searched: int
    split: int


class _Node(NamedTuple):
    """Spatial factors and a choice of what is kept, with the sizes of tiles."""

    bound: float
    number: int  # decides between equals
    spread: int
    choice: Choice
    searched: bool  # whether the bound is that of a shortest path


class Branches:
    """The search for the least (base + cost) * scale of all choices; `least` is never above it, and grows.

    `goal` returns the best value known: what is not below it is not looked at.
    """

    def __init__(
        self, paths: Paths, price: Price, base: Reals, scale: Reals, among: Ints, goal: Callable[[], float]
    ) -> None:
        self.paths, self.goal = paths, goal
        self.start: Start | None = None  # the mapping of the latest path that was traced
        self.starts: list[Start] = []
        self.rescale: Callable[[int, float], float] | None = None  # a better scale, up to what is enough
        # a better bound of a class, from its least cost, its scale and the goal
        self.trade: Callable[[int, Choice, float, float, float], float] | None = None
        self._price, self._base, self._scale, self._among = price, base, scale.copy(), among
        self._open: list[_Node] = []
        self._number, self._stuck, self._turn, self._best = count(), np.inf, 1, np.inf
        self._rescaled: set[int] = set()
        self._searched = self._split_up = 0

    @property
    def counts(self) -> Counts:
        return Counts(len(self._among) * len(self.paths.choices), self._searched, self._split_up)

    @property
    def least(self) -> float:
        """Return a value that no mapping is below, if the goal is not."""
        return min(self._open[0].bound if self._open else np.inf, self._stuck, self.goal())

    def begin_with(self, choice: Choice) -> None:
        """Look at one choice of what is kept and of sizes of tiles only."""
        self._open = [_Node(0.0, next(self._number), i, choice, False) for i in self._among.tolist()]

    def begin(self) -> Generator[float, None, None]:
        """Bound all choices by values that are found directly."""
        scale, base = self._scale[self._among], self._base[self._among]
        for choice in self.paths.choices:
            yield CHOICE_US + len(self._among)
            chain = self.paths.chains.make(choice, self._price)
            floors = self.paths.run(chain, choice, self._among, scale, base, -np.inf)[:, 0]
            for i, floor in zip(self._among.tolist(), floors.tolist(), strict=True):
                self._open.append(_Node(floor, next(self._number), i, choice, False))
        heapq.heapify(self._open)

    @property
    def is_done(self) -> bool:
        """Return whether nothing is left to do: `least` is as large as it gets."""
        return not self._open or self._open[0].bound >= min(self.goal() * CLOSE, self._stuck)

    @property
    def work(self) -> float:
        """Return the approximate work of the next step."""
        if self._open[0].searched:
            return CHOICE_US
        steps = self._turn * self.paths.states * len(self.paths.low.arch.fan)
        return steps / STEPS_PER_US + CHOICE_US / 2

    def step(self) -> None:
        """Bound some choices better, or split one."""
        if self._open[0].searched:
            self._split(heapq.heappop(self._open))
            return
        nodes = [heapq.heappop(self._open)]
        while self._open and len(nodes) < self._turn and self._open[0].choice is nodes[0].choice:
            if self._open[0].searched:
                break
            nodes.append(heapq.heappop(self._open))
        self._turn = min(2 * self._turn, TURN)
        self._search(nodes)

    def _search(self, nodes: list[_Node]) -> None:
        """Bound some choices by shortest paths."""
        some, choice = np.array([node.spread for node in nodes]), nodes[0].choice
        chain = self.paths.chains.make(choice, self._price)
        limit = self.goal() * (1 + 1e-9)
        out = self.paths.run(chain, choice, some, self._scale[some], self._base[some], limit)
        self._searched += len(nodes)
        nearest: _Node | None = None
        for node, value in zip(nodes, out[:, 1].tolist(), strict=True):
            if value < limit:
                found = node._replace(bound=max(node.bound, value), searched=True)
                heapq.heappush(self._open, found)
                if value < self._best:
                    self._best, nearest = value, None
                    self._trace(found, chain)
                elif chain.window.any() and (nearest is None or found.bound < nearest.bound):
                    nearest = found
        if nearest is not None:  # mappings of windows may be dearer than their paths, so more are tried
            self._trace(nearest, chain)

    def _trace(self, node: _Node, chain: ChainPack) -> tuple[Ints, Ints]:
        """Take a node's path over as a start if its tiles fit. Returns words (S, D) and extents (S, G) of its
        tiles.
        """
        loops, kept = self.paths.trace(chain, node.choice, node.spread)
        full, choice = self.paths.full[node.spread], node.choice
        extents, words = self._extents(node, loops), ints(*choice.span.shape[:2])
        for memory in self.paths.memories:
            for s, v in product(memory, range(words.shape[1])):
                place = next((at for at in memory if choice.apart and kept[at] >> v & 1), s)
                words[s, v] = _words(self.paths.dims, v, extents[place])
        if self._roomier(node, chain, words) is None:
            number, orders = choice.number, self.paths.chains.orders
            if choice.apart and orders is not None:
                number = orders.row[tuple(kept.tolist())]
            loops = self.paths.dims.split(loops, full, self.paths.low.layer.bound)
            self.start = Start(full, loops, number)
            self.starts = [self.start, *self.starts[: STARTS - 1]]
        return words, extents

    def _split(self, node: _Node) -> None:
        """Split a choice whose path fits no mapping, or costs more as a mapping than as a path."""
        if self.rescale is not None and node.spread not in self._rescaled:
            self._rescaled.add(node.spread)
            before = float(self._scale[node.spread])
            enough = self.goal() / node.bound * before if node.bound > 0.0 else 0.0
            self._scale[node.spread] = max(before, self.rescale(node.spread, enough))
            if self._scale[node.spread] > before > 0.0:
                bound = node.bound / before * self._scale[node.spread]
                heapq.heappush(self._open, node._replace(bound=bound, number=next(self._number)))
                return
        chain = self.paths.chains.make(node.choice, self._price)
        words, extents = self._trace(node, chain)
        roomier = self._roomier(node, chain, words)
        parts = self._halves(node, chain, words, extents) if roomier is None else roomier
        self._split_up += len(parts) > 0
        for part in parts:
            child = node._replace(number=next(self._number), choice=part, searched=False)
            heapq.heappush(self._open, child)
        if roomier is None and not parts:
            self._stuck = min(self._stuck, self._traded(node))

    def _traded(self, node: _Node) -> float:
        """Return the bound of a class that cannot be split, improved if costs are traded for the scale."""
        goal, scale = self.goal(), float(self._scale[node.spread])
        if self.trade is None or not 0.0 < node.bound < goal < np.inf:
            return node.bound
        return max(node.bound, self.trade(node.spread, node.choice, node.bound / scale, scale, goal))

    def _extents(self, node: _Node, loops: Ints) -> Ints:
        """Return (S, G): the extents of the tiles of every level on a path."""
        factor = self.paths.spread[node.spread].copy()
        for level, dim, bound in loops.tolist():
            factor[level, dim] *= bound
        return np.cumprod(factor, axis=0)

    def _roomier(self, node: _Node, chain: ChainPack, words: Ints) -> tuple[Choice, ...] | None:
        """Return choices of which none has the tiles of the path, if these do not fit a memory together."""
        for memory in self.paths.memories:
            taken = {
                (s, v): self._taken(chain, s, v, int(words[s, v]))
                for s, v in product(memory, range(len(chain.size)))
                if node.choice.keep[s] >> v & 1
            }
            room = int(chain.room[memory.start, MOST])
            if len(memory) > 1 and 0 <= room < sum(taken.values()):
                return tuple(map(node.choice.within, share_room(node.choice.span, taken, room)))
        return None

    def _taken(self, chain: ChainPack, s: int, v: int, words: int) -> int:
        """Return the least words that a tile takes, as `fits` counts them."""
        if chain.exact[0]:
            return words
        return int(chain.stored[s, v, np.searchsorted(chain.size[v, : chain.sizes[v]], words)])

    def _halves(self, node: _Node, chain: ChainPack, words: Ints, extents: Ints) -> tuple[Choice, ...]:
        """Return the choice with tiles like those of the path, and with others, where their size matters."""
        if chain.exact[0]:
            return ()
        tables, sizes = self.paths.chains.tables(node.choice), self.paths.tiles.size
        at = {}
        for s, v in tables.tables:
            at[s, v] = int(np.searchsorted(sizes[v, : self.paths.tiles.number[v]], words[s, v]))
        found: list[tuple[float, tuple[int, int]]] = []
        for (s, v), table in tables.tables.items():
            if table is None:
                continue
            inner = at[table.child, v] if table.child >= 0 else 0
            exact = tables.price_of(s, v, at[s, v], inner, self.paths.chains.prices(self._price)[s])
            for side, i, key in (
                (FILLED, at[s, v], (table.child, v)),
                (SERVED, inner, (s, v)),
            ):
                row = chain.row[s, v, side, i]
                if row[MODE] == LINEAR and key[0] >= 0:
                    found.append((_excess(exact, row, side), key))
            if chain.window[v] and (table.inner >= 0).any():
                factors = extents[s] // extents[table.child]
                if not tables.has(s, v, at[s, v], inner, _words(self.paths.dims, v, factors)):
                    found += [(np.inf, (table.child, v)), (np.inf, (s, v))]
        for _, key in sorted(found, key=lambda one: -one[0]):
            alike = tables.alike(*key, at[key])
            allowed = node.choice.allowed[key]
            if (allowed & alike).any() and (allowed & ~alike).any():
                return node.choice.split(*key, alike)
        for _, (s, v) in sorted(found, key=lambda one: -one[0]):
            for dim in np.flatnonzero(chain.window[v] >> np.arange(len(chain.bound)) & 1).tolist():
                at_path = chain.divisor[dim] == extents[s, dim]
                if (chain.tiled[s, dim] * ~at_path).any():
                    return node.choice.split_extents(s, dim, int(at_path.argmax()))
        return ()


def _least_mirror(spread: Ints, order: Ints | None) -> Ints:
    """Return rows (n, S * G), each the lesser of spatial factors (n, S, G) and those with dims in `order`."""
    rows: Ints = spread.reshape(len(spread), -1)
    if order is None:
        return rows
    other = spread[:, :, order].reshape(len(spread), -1)
    first = np.arange(len(rows)), (rows != other).argmax(axis=1)
    less: Ints = np.where((other[first] < rows[first])[:, None], other, rows)
    return less


def _excess(exact: Reals, row: Reals, side: int) -> float:
    """Return by how much the prices (A,) of a tile are above those of a row."""
    actions = [FILL] if side == FILLED else [READ, UPDATE]
    return max(float(exact[a] - row[LIN + a]) / max(float(row[LIN + a]), 1e-30) for a in actions)


def _words(dims: MergedDims, v: int, extent: Ints) -> int:
    """Return the words of a tensor in a box."""
    layer, words = dims.layer, 1
    for first, last in zip(layer.side[v, :-1], layer.side[v, 1:], strict=True):
        words *= 1 + sum(int(c) * (int(extent[d]) - 1) for d, c, _ in layer.term[first:last])
    return words
