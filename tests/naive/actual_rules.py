"""Which operations the rules of a policy leave out, by looking at all elements of every leader's tile.

A rule lets a word pass if none of these tiles is empty. Rules have one option each.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from naive.counting import index
from naive.leaders import target_loop
from naive.nest import Problem
from naive.ranks import RefusedError, formats, match_ranks
from sparsim.records import Option, SparsePolicy

Point = tuple[int, ...]  # an iteration of every loop, innermost first


@dataclass
class Rule:
    kind: str  # "gating" or "skipping"
    alive: dict[Point, bool]
    p: Fraction = field(default_factory=Fraction)


class MaskedOperations:
    """The operations of a layer, and the rules that leave out some of them.

    `masks` by dataspace; tensors without one have no zeros.
    """

    def __init__(self, problem: Problem, policy: SparsePolicy, masks: dict[str, Any]) -> None:
        self.problem, self.policy = problem, policy
        self.masks = [masks.get(name) for name in problem.names]
        self.loops = problem.loops
        self.points = list(itertools.product(*(range(loop.bound) for loop in self.loops)))
        self.elements = [
            {point: index(problem, v, self._place(point)) for point in self.points}
            for v in range(len(problem.names))
        ]
        self.form = formats(problem, policy)
        self.ranks = match_ranks(problem, policy)
        self.rules = self._rules()
        self.spatial = self._spatial_rules()
        for key in self.spatial:  # takes the place of a rule that leaves out nothing
            self.rules.pop(key, None)

    def _place(self, point: Point) -> dict[str, int]:
        place, stride = (dict.fromkeys(self.problem.layer.shape.dims, n) for n in (0, 1))
        for i, loop in zip(point, self.loops, strict=True):
            place[loop.dim] += i * stride[loop.dim]
            stride[loop.dim] *= loop.bound
        return place

    def nonzero(self, v: int, element: Point) -> bool:
        return self.masks[v] is None or bool(self.masks[v][element])

    def _spanned(self, point: Point, free: list[bool]) -> Iterable[Point]:
        """All operations that differ from `point` in free loops only."""
        return itertools.product(
            *(range(x.bound) if f else (i,) for i, x, f in zip(point, self.loops, free, strict=True))
        )

    # rules

    def _rules(self) -> dict[tuple[int, int], Rule]:
        """The rule of every (level, tensor): of several the one that leaves out most (model 10.1)."""
        outward = [level.name for level in self.problem.levels]
        rules: dict[tuple[int, int], Rule] = {}
        safs = [saf for saf in self.policy.safs if saf.type != "skipping-spatial"]
        for saf in sorted(safs, key=lambda saf: (saf.type, outward.index(saf.level))):
            (option,) = saf.options
            v = self.problem.names.index(option.target)
            level = next(
                (s for s in range(outward.index(saf.level), len(outward)) if self.problem.kept(s, v)), None
            )
            if level is None:
                raise RefusedError("target kept nowhere outside")
            alive = self._alive(option, level, v)
            stored = [
                point for point in self.points
                if (level, v) not in self.form or self.nonzero(v, self.elements[v][point])
            ]  # fmt: skip
            useless = Fraction(sum(not alive[point] for point in stored), len(stored) or 1)
            if (level, v) not in rules or useless > rules[level, v].p:
                rules[level, v] = Rule(saf.type, alive, useless)
        return rules

    def _alive(self, option: Option, level: int, target: int) -> dict[Point, bool]:
        """Whether no leader's tile is empty, for every operation (model 10.2)."""
        child = self.problem.child(level, target)
        at, scalar = target_loop(self.problem, level, child, target)
        alive = dict.fromkeys(self.points, True)
        for name in option.condition_on:
            leader = self.problem.names.index(name)
            tile = self._leader_tile(level, child, target, leader, at, scalar)
            if tile is None or self.masks[leader] is None:
                continue
            free, steps = tile
            seen: dict[Any, bool] = {}
            for point in self.points:
                key = tuple(
                    i // steps.get(n, 1) if n in steps else -1 if f else i
                    for n, (i, f) in enumerate(zip(point, free, strict=True))
                )
                if key not in seen:
                    seen[key] = any(
                        self.nonzero(leader, self.elements[leader][other])
                        for other in self.points
                        if all(
                            f or i // steps.get(n, 1) == k // steps.get(n, 1)
                            for n, (i, k, f) in enumerate(zip(point, other, free, strict=True))
                        )
                    )
                alive[point] = alive[point] and seen[key]
        return alive

    def _leader_tile(
        self, level: int, child: int, target: int, leader: int, at: int, scalar: bool
    ) -> tuple[list[bool], dict[int, int]] | None:
        """(loops that one tile of the leader runs through, loops of which it spans some steps at a time)."""
        relevant, target_at = self.problem.relevant, self.loops[at]
        free = [n <= at and not scalar for n in range(len(self.loops))]
        shared = [at]
        located = target_at.kind == "t"
        for n, loop in enumerate(self.loops):
            if n <= at or loop.level > level or loop.bound == 1:
                continue
            stays = not relevant(target, loop.dim)
            if loop.kind != "t" or (not located and child >= 0 and stays):
                free[n] = True
                shared.append(n)
            if target_at.kind != "t" and loop.kind == "t" and (child < 0 or not stays):
                located = True
        for n, loop in enumerate(self.loops):  # the tile may stay beyond the loops of its level
            if child < 0 or (
                loop.level > child and loop.kind == "t" and loop.bound > 1 and relevant(target, loop.dim)
            ):
                break
            if loop.level > level and loop.kind == "t":
                free[n] = True
        block = self.problem.levels[level].block_size
        if scalar:
            both = relevant(leader, target_at.dim) and relevant(target, target_at.dim)
            return free, {at: block} if both else {}
        met = False
        base = [n <= at for n in range(len(self.loops))]
        words = len({self.elements[target][p] for p in self._spanned(self.points[0], base)})
        steps = {}
        for n in shared:
            if target_at.kind != "t" and met and relevant(leader, self.loops[n].dim):
                return None
            if relevant(leader, self.loops[n].dim) and relevant(target, self.loops[n].dim):
                met = True
                free[n] = False
                if n == at:
                    steps[n] = math.ceil(block * target_at.bound / words)
        return free, steps

    def _spatial_rules(self) -> dict[tuple[int, int], Rule]:
        """Spatial skipping: instances inside the level idle where the box of the leader below the spatial
        loops is empty (model 10.6 b).
        """
        outward = [level.name for level in self.problem.levels]
        rules = {}
        for saf in self.policy.safs:
            if saf.type == "skipping-spatial":
                level, v = outward.index(saf.level), self.problem.names.index(saf.options[0].target)
                leaders = map(self.problem.names.index, saf.options[0].condition_on)
                alive = dict.fromkeys(self.points, True)
                known = next((leader for leader in leaders if self._held_with_format(leader, level)), None)
                if known is not None:
                    alive = self._not_empty_below(level, known, v)
                rules[level, v] = Rule(saf.type, alive)
        return rules

    def _holder(self, v: int, level: int) -> int:
        return next((s for s in range(level, len(self.problem.levels)) if self.problem.kept(s, v)), -1)

    def _held_with_format(self, v: int, level: int) -> bool:
        return (self._holder(v, level), v) in self.form

    def _not_empty_below(self, level: int, v: int, target: int | None) -> dict[Point, bool]:
        """Whether the box of v inside the innermost spatial loop of a level that hands v out holds a nonzero.

        For the leader of a target, together with the steps in which the target's tile stays where it is.
        """
        relevant = self.problem.relevant
        spread = [
            n for n, loop in enumerate(self.loops)
            if loop.level == level and loop.kind != "t" and loop.bound > 1 and relevant(v, loop.dim)
        ]  # fmt: skip
        if not spread:
            return dict.fromkeys(self.points, True)
        free = [n < spread[0] for n in range(len(self.loops))]
        inner = target is not None and self.problem.child(level, target) >= 0
        if target is not None and inner and relevant(target, self.loops[spread[0]].dim):
            last = self._holder(target, level)
            for n, loop in enumerate(self.loops):
                if loop.level < level or loop.kind != "t" or loop.bound == 1:
                    continue
                if loop.level > (len(self.problem.levels) if last < 0 else last):
                    break
                if relevant(target, loop.dim):
                    break
                free[n] = True
        return {
            point: any(
                self.nonzero(v, element)
                for element in {self.elements[v][other] for other in self._spanned(point, free)}
            )
            for point in self.points
        }
