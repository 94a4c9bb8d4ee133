"""Properties of each operation of one analysed nest by masks: stored words, leaders' tiles, idle
instances.
"""

import math
from collections.abc import Iterator
from collections.abc import Mapping as Dict
from fractions import Fraction
from functools import cached_property

import numpy as np

from sparsim.model import arrays as packs
from sparsim.model.arrays import LayerPack, NestPack, PolicyPack, Reals, SparsePack
from sparsim.model.counted_tiles import Counted
from sparsim.model.loop_space import Factor, LoopSpace


class MaskRules:
    """The nest of one mapping with tensors of known nonzeros: what holds at its operations.

    Parameters
    ----------
    layer, policy, nest
        Lowered records; `nest` is analysed.
    models : dict of int to Counted
        Tensors with a mask.
    full : set of int
        Tensors that are known to have no zeros.
    block : list of int
        Words of a vector access, per level.
    """

    def __init__(
        self,
        layer: LayerPack,
        policy: PolicyPack,
        nest: NestPack,
        models: Dict[int, Counted],
        full: set[int],
        block: list[int],
    ) -> None:
        self.block = block
        self.layer, self.policy, self.nest, self.models = layer, policy, nest, models
        self.known = full | set(models)
        self.space = LoopSpace(nest)
        self.n_levels, self.n_data = nest.tile.shape
        self.word = [1] * self.space.n_dims
        self._nonempty: dict[tuple[int, ...], Factor] = {}
        self._conditions: dict[int, dict[int, list[Factor]]] = {}

    # properties of operations

    def nonempty(self, v: int, ext: list[int]) -> Factor | None:
        """Return, for every operation, whether its box of extents `ext` holds a nonzero of v; None stands for
        always.
        """
        if v not in self.models:
            return None
        key = (v, *(n for d, n in enumerate(ext) if self._relevant(v, d)))
        if key not in self._nonempty:
            self._nonempty[key] = self._cells(v, ext, as_count=False)
        return self._nonempty[key]

    def _cells(self, v: int, ext: list[int], as_count: bool) -> Factor:
        model = self.models[v]
        counts = model.counts(ext)
        return self.space.factor(counts if as_count else counts > 0, model.dims, ext)

    def tile(self, s: int) -> list[int]:
        """Return the extents of the box of level s, or of a single operation for s = -1."""
        return self.space.extents(int((self.nest.loop[:, packs.LEVEL] <= s).sum()))

    def stored(self, s: int, v: int, holder: int) -> tuple[list[Factor], Fraction]:
        """The part of a tile of v at level s (-1: one word) that `holder` stores, as (factors, scale)."""
        if v not in self.models or not self.policy.format[holder, v, packs.HAS_FORMAT]:
            return [], Fraction(1)
        words = int(self.nest.tile[s, v]) if s >= 0 else 1
        return [self._cells(v, self.tile(s), as_count=True)], Fraction(1, words)

    def leaders(self, g: int) -> list[Factor]:
        """Return, per leader of option g with a mask, whether the deciding tile holds a nonzero."""
        return [
            self._leader(g, q, v)
            for q, v in enumerate(self._leaders_of(g))
            if v in self.models and self.nest.lead_words[g, q] > 0
        ]

    def _leaders_of(self, g: int) -> list[int]:
        first, last = self.policy.option[g, [packs.OPT_LEADER0, packs.OPT_LEADER1]].tolist()
        leaders: list[int] = self.policy.leader[first:last].tolist()
        return leaders

    def _leader(self, g: int, q: int, v: int) -> Factor:
        """Whether the leader's tile that decides about an access holds a nonzero (model 10.2).

        This tile covers everything that the leader goes through while one slice of the target stays the same:
        all iterations of the loops inside the target loop, of the loops that `find_leaders` noted further
        outside, and of those outside the level while the target does not move. Loops over both tensors
        contribute one step, and the target loop as many steps as fill a block of the target.
        """
        level, child, target_loop, scalar = self.nest.lead[g].tolist()
        target = self._target(g)

        def shared(dim: int) -> bool:
            return self._relevant(target, dim) and self._relevant(v, dim)

        tile = self.word if scalar else self.space.extents(target_loop)
        noted = self.nest.lead_loop[g]
        free = [
            i for i, loop in enumerate(self.space.loops)
            if noted[loop.place] and (scalar or not shared(loop.dim))
        ]  # fmt: skip
        if child >= 0:
            free += [i for i in self._staying(child + 1, target) if self.space.loops[i].level > level]
        alive = self._cells(v, tile, as_count=False)
        for i, loop in enumerate(self.space.loops):
            if loop.place == target_loop:
                if shared(loop.dim):
                    words = 1 if scalar else int(self.nest.box[i + 1, target]) / loop.bound
                    alive = self.space.grouped(alive, i, math.ceil(self.block[level] / words))
                elif not scalar:
                    free.append(i)
        return self.space.largest(alive, free)

    def _staying(self, level: int, target: int, last: int = -1) -> list[int]:
        """Temporal loops of levels `level` to `last` (-1: all) in which the target's tile does not move."""
        last = self.n_levels - 1 if last < 0 else last
        found = []
        for i, loop in enumerate(self.space.loops):
            if loop.level < level or loop.kind != packs.TEMPORAL:
                continue
            if loop.level > last or self._relevant(target, loop.dim):
                break
            found.append(i)
        return found

    # rules

    def entries(self, sparse: SparsePack, v: int) -> dict[int, int]:
        """Return the option of the rule that was chosen for v, by level."""
        chosen = {}
        for s in np.flatnonzero(sparse.saf[:, v]).tolist():
            g = int(sparse.saf_option[s, v])
            if sparse.saf[s, v] == packs.SPATIAL_SKIPPING:
                g = next(g for level, g in self._spatial_options() if level == s and self._target(g) == v)
            chosen[s] = g
        return chosen

    def _target(self, g: int) -> int:
        return int(self.policy.option[g, packs.OPT_TARGET])

    def _spatial_options(self) -> list[tuple[int, int]]:
        rows = self.policy.saf[self.policy.saf[:, packs.SAF_KIND] == packs.SPATIAL_SKIPPING]
        return [(int(row[packs.SAF_LEVEL]), int(row[packs.SAF_OPTION0])) for row in rows]

    def conditions(self, sparse: SparsePack, v: int) -> dict[int, list[Factor]]:
        """Return, for each level, the conditions under which its rule lets accesses of v pass."""
        if v not in self._conditions:
            found = {}
            for s, g in self.entries(sparse, v).items():
                if sparse.saf[s, v] == packs.SPATIAL_SKIPPING:
                    found[s] = [alive for _, alive in self._spatial_leader(s, g)][:1]
                else:
                    found[s] = self.leaders(g)
            self._conditions[v] = found
        return self._conditions[v]

    def useful(self, g: int) -> float:
        """Share of the target's accesses at which all leaders with masks hold a nonzero (model 10.2)."""
        target, level = self._target(g), int(self.nest.lead[g, packs.LEAD_LEVEL])
        weight, _ = self.stored(int(self.nest.lead[g, packs.LEAD_CHILD]), target, level)
        total = self.space.share(*weight)
        return float(self.space.share(*weight, *self.leaders(g)) / total) if total else 1.0

    def decided(self, sparse: SparsePack, v: int) -> bool:
        """Return whether masks determine all counts of v."""
        formatted = bool((self.policy.format[:, v, packs.HAS_FORMAT] * self.nest.kept[:, v]).any())
        leaders = [
            u
            for g in self.entries(sparse, v).values()
            for q, u in enumerate(self._leaders_of(g))
            if self.nest.lead_words[g, q] > 0
        ]
        return set(leaders) <= self.known and (v in self.known or not formatted)

    # spatial skipping

    @cached_property
    def spread(self) -> Reals:
        """Return the answers for instances that idle by a tensor's own metadata, per (loop, tensor) (model
        10.6 a).
        """
        answers = np.zeros((len(self.nest.loop), self.n_data, 2))
        for v in self.models:
            for level in range(self.n_levels):
                for m in self._own_spread(level, v):
                    answers[m, v] = self._answers(self.nonempty(v, self.space.extents(m)), m)
        return answers

    @cached_property
    def led(self) -> Reals:
        """Return the answers for the leaders of spatial skipping, per (option, loop) (model 10.6 b)."""
        answers = np.zeros((len(self.policy.option), len(self.nest.loop), 2))
        for level, g in self._spatial_options():
            for m, alive in self._spatial_leader(level, g):
                answers[g, m] = self._answers(alive, m)
        return answers

    def _answers(self, alive: Factor | None, m: int) -> tuple[float, float]:
        """(share of empty boxes, most boxes along loop m that are not)."""
        i = next(i for i, loop in enumerate(self.space.loops) if loop.place == m)
        if alive is None or i not in alive.axes:
            full = alive is None or bool(alive.array.any())
            return (0.0 if alive is None else float(1 - self.space.share(alive))), (
                float(self.space.loops[i].bound) if full else 0.0
            )
        along = alive.array.sum(axis=alive.axes.index(i))
        return float(1 - self.space.share(alive)), float(along.max())

    def _holder(self, v: int, level: int) -> int:
        return next((s for s in range(level, self.n_levels) if self.nest.kept[s, v]), -1)

    def _spatial_loops(self, level: int, v: int) -> list[int]:
        return [
            loop.place for loop in self.space.loops
            if loop.level == level and loop.kind != packs.TEMPORAL and self._relevant(v, loop.dim)
        ]  # fmt: skip

    def _own_spread(self, level: int, v: int) -> list[int]:
        """Spatial loops of a level that hand out v, if its zeros are known there; innermost first."""
        return self._spatial_loops(level, v) if self._held_with_format(v, level) else []

    def _held_with_format(self, v: int, level: int) -> bool:
        holder = self._holder(v, level)
        return holder >= 0 and bool(self.policy.format[holder, v, packs.HAS_FORMAT])

    def _spatial_leader(self, level: int, g: int) -> Iterator[tuple[int, Factor]]:
        """Per spatial loop of the level over the leader: whether the box below it holds a nonzero."""
        target = self._target(g)
        leader = next((v for v in self._leaders_of(g) if self._held_with_format(v, level)), None)
        if leader is None or leader not in self.models:
            return
        inner = self.nest.kin[level, target, packs.CHILD] >= 0
        for m in self._spatial_loops(level, leader):
            alive = self._cells(leader, self.space.extents(m), as_count=False)
            moves_target = self._relevant(target, int(self.nest.loop[m, packs.DIM]))
            stays = (
                self._staying(level, target, self._holder(target, level)) if inner and moves_target else []
            )
            yield m, self.space.largest(alive, stays)

    def _relevant(self, v: int, dim: int) -> bool:
        return bool(self.layer.relevant[v] >> dim & 1)
