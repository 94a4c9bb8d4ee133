"""Counts from masks for one analysed nest: statistics of tiles, accesses, format words, operations.

The counts do not assume that tensors are independent. Every access of the dense nest belongs to operations:
the words that a level hands inward are spread evenly over the operations that use them. An access happens if
its word is stored and if, at its operations, every leader's tile holds a nonzero. Both are known for each
operation, so sums over operations (LoopSpace) give the share of accesses that happen. Counts are averages
over the utilised instances of a level, rounded up.
"""

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from sparsim.model import arrays as packs
from sparsim.model.arrays import Ints, Reals, SparsePack, TablePack
from sparsim.model.kernels.settled_computes import settled
from sparsim.model.loop_space import Factor
from sparsim.model.mask_rules import MaskRules

ACTIONS = (packs.READ, packs.FILL, packs.UPDATE)


class FormatWords(NamedTuple):
    """Words of one rank in a tile; there are `most` of them where `present` has its largest value,
    `scale`.
    """

    rank: int
    kind: int  # METADATA or PAYLOAD
    most: int
    present: Factor | None  # None stands for everywhere
    scale: int = 1


class MaskCounts(MaskRules):
    """Counter of tiles, accesses and operations under the chosen rules."""

    # tiles

    def format_words(self, s: int, v: int) -> Iterator[FormatWords]:
        """Yield the words of every rank of the format of v at level s (model 9.1, 9.4)."""
        form, fiber = self.policy.format[s, v], self.nest.fiber[s, v].tolist()
        ranks, boxes = int(form[packs.N_RANKS]), self._rank_boxes(s, v)
        stored_tile = self.nonempty(v, self.tile(s)) if self._parent_has_format(s, v) else None
        lowest = True  # the words of the lowest rank point at the values themselves
        for r in range(ranks):
            if fiber[r] <= 1 and r != (0 if form[packs.INNER_FIRST] else ranks - 1):
                continue
            kind = int(self.policy.rank[s, v, r, packs.RANK_KIND])
            if kind == packs.RANK_U:
                continue
            fibers = math.prod(fiber[r + 1 : ranks])
            above = self.nonempty(v, boxes[r + 1])
            children = self._children(s, v, boxes[r], fibers * fiber[r])
            words = {
                packs.RANK_UOP: [(packs.PAYLOAD, fibers * (fiber[r] + 1), above, 1)],
                packs.RANK_UB: [(u, fibers * fiber[r], stored_tile, 1) for u in range(2)],
                packs.RANK_B: [
                    (packs.METADATA, fibers * fiber[r], above, 1),
                    (packs.PAYLOAD, *children),
                ],
            }.get(kind, [(u, *children) for u in range(2)])
            for u, most, present, scale in words:
                if not (lowest and u == packs.PAYLOAD):
                    yield FormatWords(r, u, most, present, scale)
            lowest = False

    def _rank_boxes(self, s: int, v: int) -> list[list[int]]:
        """Return the extents of the box below each rank, then of the whole tile.

        The reference's boxes (`nest.sub`) differ for ranks that stand for several loops or for none, which
        would change the counts.
        """
        form, child = self.policy.format, int(self.nest.kin[s, v, packs.CHILD])
        ranks, boxes = max(int(form[s, v, packs.N_RANKS]), 1), [self.word]
        if form[s, v, packs.IS_COMPRESSED] and child >= 0 and self.nest.tile[child, v] > 1:
            boxes = self._rank_boxes(child, v)
        loops = self._loops_between(child + 1, s, v, whole_tile=len(boxes) == 1)
        for r in range(len(boxes) - 1, ranks):
            box = list(boxes[-1])
            for dim, bound in loops[slice(*self.nest.taken[s, v, r].tolist())]:
                box[dim] *= bound
            boxes.append(box)
        return boxes

    def _loops_between(self, lowest: int, s: int, v: int, *, whole_tile: bool) -> list[tuple[int, int]]:
        """(dim, bound) of the loops that ranks stand for, innermost first (`_collect` of kernels.ranks)."""
        found: list[tuple[int, int]] = []
        seen = set()
        for dim, bound, _, level, stride in self.nest.loop.tolist():
            if not lowest <= level <= s or not self._relevant(v, dim):
                continue
            times = bound * stride if whole_tile and dim not in seen else bound
            seen.add(dim)
            if times > 1 or not found:
                found.append((dim, times))
        return found

    def _children(self, s: int, v: int, box: list[int], most: int) -> tuple[int, Factor | None, int]:
        """(most, present, scale) of the children of a rank that are not empty, of `most` boxes in a tile.

        Words of overlapping windows are counted in the tile as a whole, each once.
        """
        if box == self.word and v in self.models and not self.layer.plain[v]:
            words = int(self.nest.tile[s, v])
            return words, self._cells(v, self.tile(s), as_count=True), words
        return most, self.nonempty(v, box), 1

    def _parent_has_format(self, s: int, v: int) -> bool:
        parent = self.nest.kin[s, v, packs.PARENT]
        return bool(parent >= 0 and self.policy.format[parent, v, packs.HAS_FORMAT])

    def units(self, s: int, v: int) -> tuple[Reals, Reals]:
        """(expected words per rank of a stored tile, those of the tile with most bits) (model 9.5, 13.1)."""
        shape = self.policy.rank.shape[2], 2
        expected, fullest = np.zeros(shape), np.zeros(shape)
        around = [
            i for i, loop in enumerate(self.space.loops) if loop.level > s and self._relevant(v, loop.dim)
        ]
        tiles = math.prod(self.space.loops[i].bound for i in around)
        operations = math.prod(loop.bound for loop in self.space.loops) // tiles
        stored = [self.nonempty(v, self.tile(s))] if self._parent_has_format(s, v) else []
        nonempty = self.space.share(*filter(None, stored))
        rows, bits = [], np.zeros([self.space.loops[i].bound for i in around])
        number = bits.copy()
        width = self.policy.rank[s, v][:, [packs.RANK_METADATA_BITS, packs.RANK_PAYLOAD_BITS]]
        for words in self.format_words(s, v):
            present = [] if words.present is None else [words.present]
            if nonempty:
                share = self.space.share(*present) / words.scale / nonempty
                expected[words.rank, words.kind] = float(words.most * share)
            per_tile = words.most * self.space.total(*present, keep=around) / (operations * words.scale)
            rows.append((words, per_tile))
            bits = bits + per_tile * int(width[words.rank, words.kind])
            number = number + per_tile
        most = np.lexsort((number.ravel(), bits.ravel()))[-1]
        for words, per_tile in rows:
            fullest[words.rank, words.kind] = per_tile.ravel()[most]
        return expected, fullest

    # accesses

    def utilised(self, sparse: SparsePack, s: int, v: int) -> Fraction:
        """Return the average share of the instances of storage s (-1: arithmetic) that hold any nonzero."""
        factors = []
        if s >= 0 and self._parent_has_format(s, v):
            factors.append(self.nonempty(v, self.tile(s)))
        if self.policy.switch[packs.ANY_SPATIAL]:
            conditions = self.conditions(sparse, v)
            for level in range(s + 1, self.n_levels):
                if sparse.saf[level, v] == packs.SPATIAL_SKIPPING:
                    factors += conditions[level]
                own = self._own_spread(level, v)
                factors += [self.nonempty(v, self.space.extents(m)) for m in own[:1]]
        return self.space.share(*filter(None, factors))

    def count(self, sparse: SparsePack, table: TablePack, s: int, v: int, accounting: int) -> None:
        """Fill the rows of level s and tensor v in counts, format and avg of `table`."""
        instances = int(self.nest.space[s + 1].prod())
        utilised = self.utilised(sparse, s, v)
        table.avg[s + 1, v] = float(instances * utilised)
        if not utilised:
            return
        conditions = self.conditions(sparse, v)
        outer = [factor for level in conditions if level > s for factor in conditions[level]]
        kind = int(sparse.saf[s, v])
        local = kind in (packs.GATED, packs.SKIPPED)
        own = [*outer, *conditions[s]] if local else outer
        child = int(self.nest.kin[s, v, packs.CHILD])
        for a in ACTIONS:
            weight, scale = self.stored(s if a == packs.FILL else child, v, s)
            elided, drains = self._elided(s, v, a, accounting), self._drains(s, v, a)
            reach = int(self.nest.counts[s, v, a]) - drains + elided

            def happen(rules: list[Factor], leaving: Fraction, reach: int = reach, elided: int = elided,
                       weight: list[Factor] = weight, scale: Fraction = scale) -> int:  # fmt: skip
                words = reach * self.space.share(*weight, *rules) * scale + leaving
                if elided:
                    words -= self._first_accesses(s, v, elided, rules)
                return max(math.ceil(words / utilised), 0)

            leaving = self._leaving(s, v, drains, outer)
            rules = own if local and a != packs.FILL else outer
            passed, actual = happen(outer, leaving), happen(rules, leaving)
            if a == packs.READ and self.layer.read_write[v]:
                table.counts[s, v, packs.REDUCE, packs.RANDOM] = happen(rules, Fraction(0))
            table.counts[s, v, a, packs.RANDOM] = actual
            table.counts[s, v, a, kind if local else packs.GATED] += passed - actual
        if self.policy.format[s, v, packs.HAS_FORMAT]:
            self._count_format(table, s, v, utilised, outer, own, kind if local else 0)

    def _drains(self, s: int, v: int, a: int) -> int:
        """Return how many of the accesses read words to hand them to the level outside (model 7.10)."""
        return int(self.nest.counts[s, v, packs.DRAIN]) if a == packs.READ else 0

    def _leaving(self, s: int, v: int, drains: int, outer: list[Factor]) -> Fraction:
        """Return the drains that take place; as for fills, only rules of outer levels leave any out."""
        if not drains:
            return Fraction(0)
        weight, scale = self.stored(s, v, s)
        return drains * self.space.share(*weight, *outer) * scale

    def _elided(self, s: int, v: int, a: int, accounting: int) -> int:
        """Return the words whose first read or fill is left out, because there is no partial sum yet (model
        7.10).
        """
        part = int(self.nest.part[s, v])
        if not self.layer.read_write[v] or accounting == packs.COUNT_ALL:
            return 0
        if a == packs.READ:
            return part
        elides = accounting in packs.FREE_FIRST_FILL
        return part if a == packs.FILL and elides and self.nest.kin[s, v, packs.PARENT] >= 0 else 0

    def _first_accesses(self, s: int, v: int, elided: int, rules: list[Factor]) -> Fraction:
        """Words of a result, per instance of level s, that are accessed at all under `rules`.

        Where there are not as many words as the dense model elides, the same share of these.
        """
        formatted = self.policy.format[s, v, packs.HAS_FORMAT]
        rules = [*rules, *filter(None, [self.nonempty(v, self.word) if formatted else None])]
        keep = [
            i for i, loop in enumerate(self.space.loops)
            if self._relevant(v, loop.dim) or (loop.kind != packs.TEMPORAL and loop.level > s)
        ]  # fmt: skip
        every = math.prod(self.space.loops[i].bound for i in keep)
        instances = int(self.nest.space[s + 1].prod())
        if every != elided * instances:
            return elided * self.space.share(*rules)
        return Fraction(int((self.space.total(*rules, keep=keep) > 0).sum()), instances)

    def _count_format(
        self,
        table: TablePack,
        s: int,
        v: int,
        utilised: Fraction,
        outer: list[Factor],
        own: list[Factor],
        kind: int,
    ) -> None:
        """Count format words, which move with the data. Of ranks that the level does not pass on, all words
        are read.
        """
        child, tile = self.nest.kin[s, v, packs.CHILD], int(self.nest.tile[s, v])
        handed = int(self.policy.format[child if child >= 0 else s, v, packs.N_RANKS])
        for words in self.format_words(s, v):
            present = [] if words.present is None else [words.present]
            each = Fraction(words.most, words.scale * tile) / utilised
            for a in ACTIONS:
                reach = int(self.nest.counts[s, v, a]) * each
                moved = reach * self.space.share(*present, *outer)
                passed = actual = math.ceil(moved)
                if kind and a != packs.FILL and words.rank < handed:
                    leaving = self._drains(s, v, a) * each
                    kept = (reach - leaving) * self.space.share(*present, *own)
                    actual = math.ceil(kept + leaving * self.space.share(*present, *outer))
                row = table.format[s, v, a]
                row[packs.RANDOM, words.rank, words.kind] = actual
                if kind:
                    row[kind, words.rank, words.kind] = passed - actual

    # arithmetic

    def computes(self, sparse: SparsePack) -> Ints:
        """(actual, gated, skipped) operations by the states of both operands (12)."""
        alive = [
            factor
            for v in range(self.n_data)
            if not self.layer.read_write[v]
            for factors in self.conditions(sparse, v).values()
            for factor in factors
        ]
        a, b = self.layer.operand.tolist()
        every = int(self.nest.ops[packs.OPS])

        def number(*operands: int) -> int:
            nonzero = [f for f in (self.nonempty(v, self.word) for v in operands) if f is not None]
            return int(every * self.space.share(*alive, *nonzero))

        total, both = number(), number(a, b)
        only_a, only_b = number(a) - both, number(b) - both
        neither = total - both - only_a - only_b
        known_a, known_b = self._knows_zeros(a), self._knows_zeros(b)
        zero = (0 if known_b else only_a) + (0 if known_a else only_b)
        states = (
            zero, only_a + only_b - zero, 0 if known_a or known_b else neither,
            neither if known_a != known_b else 0, neither if known_a and known_b else 0,
        )  # fmt: skip
        switch = self.policy.switch
        found = settled(switch[packs.COMPUTE_GATING], switch[packs.COMPUTE_SKIPPING], total, *states)
        return np.array(found, np.int64)

    def _knows_zeros(self, v: int) -> bool:
        """Whether the innermost level that keeps v stores it with metadata."""
        innermost = int(np.flatnonzero(self.nest.kept[:, v])[0])
        return bool(self.policy.format[innermost, v, packs.HAS_FORMAT])
