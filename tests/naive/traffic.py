"""Dense traffic by walking simulated states with sets of points (model 7.2 to 7.10)."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

from naive.nest import Loop, Problem

Point = tuple[int, ...]
FREE_FIRST_FILL = ("timeloop-3", "timeloop-4", "timeloop-4-2024", "count-drains")
Points = frozenset[Point]


@dataclass
class Traffic:
    """One dataspace at one level, of the instance at spatial coordinate 0."""

    fanout: int = 1
    buckets: dict[tuple[int, int], list[float]] = field(default_factory=dict)  # (m, c): accesses, hops
    link: float = 0.0
    part: int = 0
    share: float = 0.0
    peer: float = 0.0
    reads: int = 0
    drains: int = 0  # of the reads, those for the level outside
    fills: int = 0
    updates: int = 0

    @property
    def content(self) -> float:
        return sum(accesses for accesses, _ in self.buckets.values())

    @property
    def received(self) -> float:
        return sum(accesses * m for (m, _), (accesses, _) in sorted(self.buckets.items()))

    @property
    def share_of_a_child(self) -> float:
        """7.6: every bucket is divided, and rounded, on its own."""
        share = 0.0
        for (m, _), (accesses, _) in sorted(self.buckets.items()):
            share += accesses * m / self.fanout
        return share


def dense_traffic(problem: Problem, accounting: str) -> dict[tuple[int, int], Traffic]:
    """Per (level, dataspace)."""
    found = {}
    for v in range(len(problem.names)):
        column = [_deliver(problem, accounting, s, v) for s in range(len(problem.levels))]
        contents = [traffic.content for traffic in column]
        _partitions(problem, column, v)
        for s, traffic in enumerate(column[:-1]):
            traffic.share = column[s + 1].share_of_a_child
        _bypass(problem, column, contents, v)
        for s in range(len(column) - 1, 0, -1):
            column[s - 1].peer += column[s].link / _instances(problem, s - 1)
        for s, traffic in enumerate(column):
            if problem.kept(s, v):
                _count(problem, traffic, contents[s], accounting, s, v)
            found[s, v] = traffic
    return found


def _instances(problem: Problem, s: int) -> int:
    return math.prod(loop.bound for loop in problem.loops if loop.level > s and loop.kind != "t")


def _shift(points: Points, move: Point) -> Points:
    return frozenset(tuple(map(sum, zip(point, move, strict=True))) for point in points)


def _add(*moves: Point) -> Point:
    return tuple(map(sum, zip(*moves, strict=True)))


def _times(n: int, move: Point) -> Point:
    return tuple(n * x for x in move)


def _states(problem: Problem, s: int, v: int) -> Iterable[tuple[int, Point]]:
    """(weight, position of the child's tile) of every simulated state, in order (model 7.2)."""
    loops = [
        (loop.bound, problem.step(i, v))
        for i, loop in enumerate(problem.loops)
        if loop.kind == "t" and loop.level >= s and loop.bound > 1
    ]
    origin = (0,) * len(problem.terms[v])
    for bits in itertools.product((0, 1), repeat=len(loops)):
        taken = [loop for bit, loop in zip(bits, reversed(loops), strict=True) if bit]
        yield math.prod(n - 1 for n, _ in taken), _add(origin, *(move for _, move in taken))


def _deliveries(problem: Problem, accounting: str, s: int, v: int) -> Iterable[tuple[int, Points]]:
    """(weight, delivered points) of every state (model 7.3)."""
    sides = problem.sides(v, problem.inside(s - 1))
    tile = frozenset(itertools.product(*map(range, sides)))
    reuse = s > 0 and not problem.flagged("no_temporal_reuse", s - 1, v)
    held: Points = frozenset()
    before: Point = ()
    record: Point | None = None
    for weight, position in _states(problem, s, v):
        box = _shift(tile, position)
        if not before or not reuse:
            delivered = box
        else:
            move = tuple(x - y for x, y in zip(position, before, strict=True))
            if accounting == "timeloop-4" and not any(move):
                delivered = frozenset()
            elif record is None or record == move:
                delivered, record = box - held, move
            else:
                delivered, record = box, None
        yield weight, delivered
        held, before = box, position


def _deliver(problem: Problem, accounting: str, s: int, v: int) -> Traffic:
    """Buckets and link transfers of the network below level s (model 7.4)."""
    spatial = [
        (loop, problem.step(i, v))
        for i, loop in enumerate(problem.loops)
        if loop.level == s and loop.kind != "t" and loop.bound > 1
    ]
    offsets = [(0,) * len(problem.terms[v])]
    for loop, move in spatial:
        offsets = [_add(offset, _times(n, move)) for n in range(loop.bound) for offset in offsets]
    grid = _grid(problem, s, [loop for loop, _ in spatial])
    alone = problem.flagged("no_multicast_no_reduction", s, v)
    links = len(offsets) > 1 and not problem.flagged("no_link_transfer", s, v)
    traffic = Traffic(fanout=len(offsets))
    previous: Points | None = None
    for weight, delivered in _deliveries(problem, accounting, s, v):
        everyone = range(len(offsets))
        groups = _groups(offsets, everyone, alone)
        if delivered and links and previous is not None:
            served = [
                i
                for i in everyone
                if any(
                    _shift(previous, offsets[j]) == _shift(delivered, offsets[i])
                    for j in _neighbours(i, grid)
                    if j in everyone
                )
            ]
            fewer = _groups(offsets, [i for i in everyone if i not in served], alone)
            if len(fewer) < len(groups):
                groups = fewer
                traffic.link += len(served) * len(delivered) * weight
        if delivered:
            _add_to_buckets(traffic, groups, grid, len(delivered) * weight)
        previous = delivered
    return traffic


def _grid(problem: Problem, s: int, spatial: list[Loop]) -> tuple[int, int]:
    """(columns, rows); a single child needs no network."""
    if not spatial:
        return 1, 1
    x, y = (math.prod(loop.bound for loop in spatial if loop.kind == kind) for kind in "xy")
    fan_x, fan_y = problem.fan_out(s)
    return max(x, fan_x), max(y, fan_y)


def _neighbours(i: int, grid: tuple[int, int]) -> Iterable[int]:
    columns, rows = grid
    h, w = i % columns, i // columns
    if h >= 1:
        yield i - 1
    if h < columns - 1:
        yield i + 1
    if w >= 1:
        yield i - columns
    if w < rows - 1:
        yield i + columns


def _groups(offsets: list[Point], children: Iterable[int], alone: bool) -> list[list[int]]:
    groups = defaultdict(list)
    for i in children:
        groups[i if alone else offsets[i]].append(i)
    return list(groups.values())


def _hops(group: list[int], grid: tuple[int, int]) -> float:
    """From the middle of the left edge along a row, then up and down in every column (model 15.1)."""
    columns, rows = grid
    centre = (rows - 1) / 2
    heights = defaultdict(list)
    for i in group:
        heights[i % columns].append(i // columns)
    up_and_down = sum(max(centre - min(w), 0) + max(max(w) - centre, 0) for w in heights.values())
    return max(heights) + up_and_down


def _add_to_buckets(traffic: Traffic, groups: list[list[int]], grid: tuple[int, int], words: float) -> None:
    for size in {len(group) for group in groups}:
        same = [group for group in groups if len(group) == size]
        bucket = traffic.buckets.setdefault((size, len(same)), [0.0, 0.0])
        bucket[0] += len(same) * words
        bucket[1] += sum(_hops(group, grid) for group in same) * words


def _partitions(problem: Problem, column: list[Traffic], v: int) -> None:
    """7.5."""
    column[-1].part = problem.tile(len(column) - 1, v)
    for s in range(len(column) - 2, -1, -1):
        spatial = [loop for loop in problem.loops if loop.level == s + 1 and loop.kind != "t"]
        union = problem.box([loop for loop in problem.loops if loop.level <= s] + spatial)
        column[s].part = column[s + 1].part * problem.tile(s, v) // problem.words(v, union)


def _bypass(problem: Problem, column: list[Traffic], contents: list[float], v: int) -> None:
    """7.8. `contents` are the contents of levels as the counts see them."""
    kept = [s for s in range(len(column)) if problem.kept(s, v)]
    for s, traffic in enumerate(column):
        if s in kept:
            continue
        if s + 1 < len(column):
            outer = column[s + 1]
            factor = contents[s] * outer.fanout / outer.received
            for bucket in outer.buckets.values():
                bucket[0] *= factor
            outer.link = 0.0
            contents[s + 1] = sum(accesses for _, (accesses, _) in sorted(outer.buckets.items()))
        traffic.part, traffic.share = 0, 0.0
        contents[s] = 0.0
    for s in range(max(kept) + 1, len(column)):
        column[s].buckets.clear()
        column[s].link, column[s].fanout = 0.0, 0
    column[max(kept)].share = 0.0


def _round(x: float) -> int:
    """Halves away from zero."""
    return int(Decimal(x).quantize(Decimal(1), ROUND_HALF_UP))


def _count(problem: Problem, traffic: Traffic, content: float, accounting: str, s: int, v: int) -> None:
    """7.10."""
    arriving, peer, part = traffic.share + traffic.peer, traffic.peer, traffic.part
    if not problem.writes[v]:
        traffic.reads, traffic.fills = _round(content + peer), int(arriving)
        return
    traffic.updates = _round(content)
    served = content + peer - (0 if accounting == "count-all" else part)
    traffic.reads = _round(served)
    if accounting == "count-drains" and problem.parent(s, v) >= 0:
        traffic.reads = _round(served + traffic.share)
        traffic.drains = traffic.reads - _round(served)
    if problem.parent(s, v) < 0 or accounting == "count-all":
        traffic.fills = _round(arriving)
    elif accounting in FREE_FIRST_FILL:
        traffic.fills = _round(arriving - part)
    else:
        traffic.fills = int(arriving)
