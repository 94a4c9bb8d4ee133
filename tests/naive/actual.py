"""Actual data by walking the loop nest: every word that moves, and whether it moves at all.

For tensors without windows and link transfers. The walk visits every instance and every step, keeps what each
child holds, and lists the words that are handed on. A word of a stored tensor moves if it is not zero and the
rules let it pass.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from naive.actual_rules import MaskedOperations, Point, Rule
from naive.traffic import FREE_FIRST_FILL
from sparsim.records.sparsity import rank_word_bits

Counts = dict[str, list[int]]  # [reads, fills, updates] by outcome


@dataclass
class Moved:
    """A word handed on once, for the operations that use it."""

    element: Point
    users: list[Point]
    receivers: int = 1


@dataclass
class Found:
    """What the walk counts for one tensor at one level, per utilised instance."""

    dense: list[int]
    data: Counts
    format: dict[str, list[list[list[int]]]]  # outcome -> action -> rank -> metadata, payload
    average: Fraction
    drains: int = 0  # of the dense reads, those for the level outside
    fullest_bits: int = 0
    fullest_words: int = 0


class Walk(MaskedOperations):
    """Words that move between the levels of a loop nest, and what is counted of them."""

    # moves

    def _deliveries(self, s: int, v: int, child: int) -> dict[Point, list[Moved]]:
        """Words that every instance of level s hands to level `child` (-1: arithmetic), in order."""
        return self._walk(v, child, lambda loop: loop.level > s)

    def _walk(self, v: int, child: int, is_outside: Any) -> dict[Point, list[Moved]]:
        within = [loop.level <= child for loop in self.loops]
        holder = [is_outside(loop) and loop.kind != "t" for loop in self.loops]
        steps = [loop.level > child and loop.kind == "t" for loop in self.loops]
        spread = [not (w or h or t) for w, h, t in zip(within, holder, steps, strict=True)]
        moved: dict[Point, list[Moved]] = {}
        for instance in self._some(holder):
            held: dict[Point, dict[Point, Moved]] = {}
            moved[instance] = []
            for step in self._some(steps):
                groups: dict[frozenset[Point], list[Point]] = {}
                arrived: dict[Point, list[Point]] = {}
                for place in self._some(spread):
                    corner = tuple(a + b + c for a, b, c in zip(instance, step, place, strict=True))
                    users = list(self._spanned(corner, within))
                    tile = frozenset(self.elements[v][user] for user in users)
                    if child >= 0 and frozenset(held.get(place, ())) == tile:
                        for user in users:  # nothing moves, but what has moved is used on
                            held[place][self.elements[v][user]].users.append(user)
                    else:
                        groups.setdefault(tile, []).append(place)
                        arrived[place] = users
                for tile, places in groups.items():
                    words = {element: Moved(element, []) for element in sorted(tile)}
                    moved[instance] += words.values()
                    for place in places:
                        held[place] = words
                        for user in arrived[place]:
                            words[self.elements[v][user]].users.append(user)
        return moved

    def _some(self, chosen: list[bool]) -> Iterable[Point]:
        """Iterations of the chosen loops, outermost slowest; the others stay at 0."""
        ranges = [range(x.bound) if c else range(1) for x, c in zip(self.loops, chosen, strict=True)]
        for point in itertools.product(*reversed(ranges)):
            yield point[::-1]

    # counts

    def tensor(self, s: int, v: int, accounting: str) -> Found:
        problem = self.problem
        child, parent, writes = problem.child(s, v), problem.parent(s, v), problem.writes[v]
        inward = self._deliveries(s, v, child)
        arriving: dict[Point, list[Moved]] = {key: [] for key in inward}
        if parent >= 0:
            arriving = self._walk(v, s, lambda loop: loop.level > s)
        instances = len(inward)
        every = [*self.rules.items(), *self.spatial.items()]
        outer = [rule for (level, u), rule in every if u == v and level > s]
        own = self.rules.get((s, v))
        local = [*outer, *([own] if own else [])]
        average = self._utilised(s, v)
        found = Found([0, 0, 0], {}, {}, average * instances)
        per = average * instances  # utilised instances
        moves = [inward, arriving, inward if writes else {key: [] for key in inward}]
        elide_fill = accounting in FREE_FIRST_FILL and parent >= 0
        elided = [writes and accounting != "count-all", writes and elide_fill, False]
        leaving = arriving if writes and accounting == "count-drains" else {}
        passed, actual = [0] * 3, [0] * 3
        for a in range(3):
            found.dense[a] = self._dense(moves[a], elided[a], instances)
            if per:
                drains = self._sum(leaving, False, s, v, outer) if a == 0 else 0
                passed[a] = math.ceil((self._sum(moves[a], elided[a], s, v, outer) + drains) / per)
                rules = outer if a == 1 else local
                actual[a] = math.ceil((self._sum(moves[a], elided[a], s, v, rules) + drains) / per)
        found.drains = self._dense(leaving, False, instances)
        found.dense[0] += found.drains
        found.data = {"actual": actual, "left out": [p - n for p, n in zip(passed, actual, strict=True)]}
        if (s, v) in self.form:
            self._count_format(found, s, v, outer, local)
        return found

    def _dense(self, moves: dict[Point, list[Moved]], elided: bool, instances: int) -> int:
        total = sum(map(len, moves.values()))
        if elided:
            total -= sum(len({move.element for move in all_of}) for all_of in moves.values())
        assert total % instances == 0
        return total // instances

    def _sum(
        self, moves: dict[Point, list[Moved]], elided: bool, s: int, v: int, rules: list[Rule]
    ) -> Fraction:
        total = Fraction(0)
        for all_of in moves.values():
            seen = set()
            for move in all_of:
                if (s, v) in self.form and not self.nonzero(v, move.element):
                    continue
                happens = self._happens(move, rules)
                if elided and happens and move.element not in seen:
                    seen.add(move.element)
                    happens -= 1
                total += happens
        return total

    def _happens(self, move: Moved, rules: list[Rule]) -> Fraction:
        alive = [all(rule.alive[user] for rule in rules) for user in move.users]
        assert all(alive) or not any(alive)
        return Fraction(int(alive[0]))

    def _utilised(self, s: int, v: int) -> Fraction:
        """Share of (instance, step) at which there is a tile: those that are empty never leave a parent that
        knows its zeros.
        """
        needed = []
        if (self.problem.parent(s, v), v) in self.form:
            within = [loop.level <= s for loop in self.loops]
            needed.append(
                {
                    p: self._any(v, [self.elements[v][q] for q in self._spanned(p, within)])
                    for p in self.points
                }
            )
        if self.spatial:
            needed += [rule.alive for (level, u), rule in self.spatial.items() if u == v and level > s]
            for level in range(s + 1, len(self.problem.levels)):
                if self._held_with_format(v, level):
                    needed.append(self._not_empty_below(level, v, None))
        return Fraction(sum(all(n[p] for n in needed) for p in self.points), len(self.points))

    def _any(self, v: int, tile: list[Point]) -> bool:
        return any(self.nonzero(v, element) for element in tile)

    def _tiles(self, v: int, box: dict[str, int], within: list[Point] | None = None) -> list[list[Point]]:
        """The tensor, or the tile `within`, cut into boxes."""
        dims = [dim for dim in self.problem.layer.shape.dims if self.problem.relevant(v, dim)]
        chosen = None if within is None else set(within)
        tiles: dict[Point, dict[Point, None]] = {}
        for point in self.points:
            element = self.elements[v][point]
            if chosen is None or element in chosen:
                place = self._place(point)
                key = tuple(place[dim] // box[dim] for dim in dims)
                tiles.setdefault(key, {})[element] = None
        return [list(tile) for tile in tiles.values()]

    def _words(self, s: int, v: int, tile: list[Point]) -> list[tuple[int, int, list[Point]]]:
        """(rank, metadata or payload, box that it is about) of every format word of a tile (model 9.1)."""
        form, ranks = self.form[s, v], self.ranks[s, v]
        kinds = [rank.format for rank in reversed(form.ranks)]
        whole = 0 if form.order == "inner-to-outer" else len(kinds) - 1
        words: list[tuple[int, int, list[Point]]] = []
        lowest = True
        for r, kind in enumerate(kinds):
            if (ranks.fiber[r] == 1 and r != whole) or kind == "U":
                continue
            found = []
            for fiber in self._tiles(v, ranks.boxes[r + 1], tile):
                children, lives = self._tiles(v, ranks.boxes[r], fiber), self._any(v, fiber)
                filled = [box for box in children if self._any(v, box)]
                if kind == "UOP":
                    found += [(r, 1, fiber)] * ((len(children) + 1) if lives else 0)
                elif kind == "UB":
                    found += [(r, u, box) for box in children for u in range(2)]
                elif kind == "B":
                    found += [(r, 0, box) for box in children if lives]
                    found += [(r, 1, box) for box in filled]
                else:
                    found += [(r, u, box) for box in filled for u in range(2)]
            words += [word for word in found if not (lowest and word[1] == 1)]
            lowest = False
        return words

    def _count_format(self, found: Found, s: int, v: int, outer: list[Rule], local: list[Rule]) -> None:
        """A format word moves as often as a word of its box on average."""
        problem, n_ranks = self.problem, len(self.form[s, v].ranks)
        child, parent = problem.child(s, v), problem.parent(s, v)
        handed = n_ranks if child < 0 else len(self.ranks_of(child, v))
        box = problem.inside(s)
        tiles = self._tiles(v, box)
        if (parent, v) in self.form:
            tiles = [tile for tile in tiles if self._any(v, tile)]
        widths = self.widths(s, v)
        passed, actual = ([[[Fraction(0)] * 2 for _ in range(n_ranks)] for _ in range(3)] for _ in range(2))
        share = {
            id(rules): self._alive_share(v, rules) for rules in (outer, local)
        }  # of the operations of every element
        for tile in tiles:
            words = self._words(s, v, tile)
            bits = sum(widths[r][u] for r, u, _ in words)
            if bits > found.fullest_bits:
                found.fullest_bits, found.fullest_words = bits, len(words)
            for r, u, of in words:
                for a in range(3):
                    times = Fraction(found.dense[a], problem.tile(s, v))
                    passed[a][r][u] += times * sum(share[id(outer)][e] for e in of) / len(of)
                    own = outer if a == 1 or r >= handed else local
                    leaving = Fraction(found.drains if a == 0 else 0, problem.tile(s, v))
                    for rules, moved in ((own, times - leaving), (outer, leaving)):
                        actual[a][r][u] += moved * sum(share[id(rules)][e] for e in of) / len(of)
        per = len(tiles) or 1
        rounded = [
            [[[math.ceil(n / per) for n in kinds] for kinds in ranks] for ranks in counts]
            for counts in (passed, actual)
        ]
        found.format = {
            "actual": rounded[1],
            "left out": [
                [[p - n for p, n in zip(*pair, strict=True)] for pair in zip(*both, strict=True)]
                for both in zip(*rounded, strict=True)
            ],
        }

    def ranks_of(self, s: int, v: int) -> tuple[Any, ...]:
        return self.form[s, v].ranks if (s, v) in self.form else ()

    def _alive_share(self, v: int, rules: list[Rule]) -> dict[Point, Fraction]:
        users: dict[Point, list[bool]] = {}
        for point in self.points:
            users.setdefault(self.elements[v][point], []).append(all(rule.alive[point] for rule in rules))
        return {element: Fraction(sum(alive), len(alive)) for element, alive in users.items()}

    def widths(self, s: int, v: int) -> list[list[int]]:
        if (s, v) not in self.form:
            return []
        level = self.problem.levels[s]
        return [list(rank_word_bits(rank, level)) for rank in reversed(self.form[s, v].ranks)]

    def computes(self) -> tuple[int, int, int]:
        """(actual, gated, skipped) operations (12)."""
        problem = self.problem
        operands = [v for v, writes in enumerate(problem.writes) if not writes]
        rules = [*self.rules.items(), *self.spatial.items()]
        alive = [rule.alive for (_, v), rule in rules if v in operands]
        actual = gated = skipped = 0
        for point in self.points:
            if not all(rule[point] for rule in alive):
                continue
            states = {self._state(v, self.elements[v][point]) for v in operands}
            if states == {"absent"}:
                continue
            if states == {"nonzero"}:
                actual += 1
            elif "absent" in states and self.policy.compute_skipping:
                skipped += 1
            elif self.policy.compute_gating:
                gated += 1
            else:
                actual += 1
        return actual, gated, skipped

    def _state(self, v: int, element: Point) -> str:
        innermost = min(s for s in range(len(self.problem.levels)) if self.problem.kept(s, v))
        if self.nonzero(v, element):
            return "nonzero"
        return "absent" if (innermost, v) in self.form else "zero"
