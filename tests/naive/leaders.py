"""Leader tiles of gating and skipping, line by line from the pseudo-code (model 10.2, 20.4)."""

from __future__ import annotations

import math
from typing import NamedTuple

from naive.nest import Problem
from naive.ranks import RefusedError


class Decision(NamedTuple):
    level: int  # that holds the target
    leaders: dict[int, int]  # words of the leader tile of every effective leader


def decide(problem: Problem, level: int, target: int, leaders: list[int]) -> Decision:
    """Raises RefusedError if the target is kept neither at `level` nor outside."""
    keepers = [s for s in range(level, len(problem.levels)) if problem.kept(s, target)]
    if not keepers:
        raise RefusedError("target kept nowhere outside")
    t = keepers[0]
    child = problem.child(t, target)
    at, scalar = target_loop(problem, t, child, target)
    loop = problem.loops[at]
    base = problem.box([] if scalar else problem.loops[: at + 1])
    common = dict(base)
    together = [loop]
    located = loop.kind == "t"
    for u in problem.loops[at + 1 :]:
        if u.level > t or u.bound == 1:
            continue
        stays = not problem.relevant(target, u.dim)
        if u.kind != "t" or (not located and child >= 0 and stays):
            common[u.dim] *= u.bound
            together.append(u)
        if loop.kind != "t" and u.kind == "t" and (child < 0 or not stays):
            located = True
    found = {}
    for leader in leaders:
        factors: dict[str, int] = {}
        met = effective = True
        met = False
        for u in [] if scalar else together:
            if loop.kind != "t" and met and problem.relevant(leader, u.dim):
                effective = False
            if problem.relevant(target, u.dim) and problem.relevant(leader, u.dim):
                factors[u.dim] = factors.get(u.dim, 1) * u.bound
                met = True
        if effective:
            box = _narrowed(problem, t, target, base, common, factors, loop.dim)
            found[leader] = problem.words(leader, box)
    return Decision(t, found)


def target_loop(problem: Problem, t: int, child: int, target: int) -> tuple[int, bool]:
    """(index of the loop that the decision is about, scalar)."""
    last = 0
    for i, loop in enumerate(problem.loops):
        if not child < loop.level <= t:
            continue
        last = i
        telling = loop.bound > 1 and problem.relevant(target, loop.dim)
        if child >= 0:
            if telling:
                return i, False
            continue
        following = problem.loops[i + 1 : i + 2]
        if not following or following[0].level != loop.level or following[0].kind == "t":
            return i, loop.kind == "t"
        if telling:
            return i, False
    return last, False


def _narrowed(
    problem: Problem,
    t: int,
    target: int,
    base: dict[str, int],
    common: dict[str, int],
    factors: dict[str, int],
    target_dim: str,
) -> dict[str, int]:
    """The leader's box of one step of the loops that both run through, as many steps as fill a block."""
    box = dict(common)
    agg = float(math.prod(factors.values()))
    g: float = math.ceil(problem.levels[t].block_size / (problem.words(target, base) / agg))
    for dim in problem.layer.shape.dims:
        if dim in factors:
            box[dim] = math.ceil(box[dim] / (factors[dim] / g))
            g = g / factors[dim]
    if g > 1:
        box[target_dim] = int(box[target_dim] * g)
    return box
