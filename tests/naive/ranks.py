"""Rank matching with lists, line by line from the pseudo-code (model 9.2, 9.3, 20.2, 20.3)."""

from __future__ import annotations

import math
from typing import NamedTuple

from naive.nest import Loop, Problem
from sparsim.records import SparsePolicy, TensorFormat


class RefusedError(Exception):
    """The twins' word for a mapping that the model refuses."""


class Ranks(NamedTuple):
    """Of one tensor at one level, lowest rank first."""

    fiber: list[int]
    sub: list[int]  # words of the tile below every rank; one more entry for the tile above the top rank
    boxes: list[dict[str, int]]  # extents of what really lies below every rank, then above the top one


class _Offered(NamedTuple):
    dim: str
    bound: int
    words: int  # of the box inside and including the loop


Taken = tuple[list[_Offered], int]


def formats(problem: Problem, policy: SparsePolicy) -> dict[tuple[int, int], TensorFormat]:
    level = {s.name: i for i, s in enumerate(problem.levels)}
    return {(level[f.level], problem.names.index(f.dataspace)): f for f in policy.formats}


def match_ranks(problem: Problem, policy: SparsePolicy) -> dict[tuple[int, int], Ranks]:
    """For every kept (level, tensor). Raises RefusedError if there are too few ranks, or others inside."""
    form = formats(problem, policy)
    found: dict[tuple[int, int], Ranks] = {}
    for v in range(len(problem.names)):
        for s in range(len(problem.levels)):
            if problem.kept(s, v):
                found[s, v] = _match(problem, form, found, s, v)
    return found


def _match(
    problem: Problem,
    form: dict[tuple[int, int], TensorFormat],
    found: dict[tuple[int, int], Ranks],
    s: int,
    v: int,
) -> Ranks:
    own, child = form.get((s, v)), problem.child(s, v)
    inner = form.get((child, v))
    pre_tiled = own is not None and own.compressed and child >= 0 and problem.tile(child, v) > 1
    n_ranks = len(own.ranks) if own else 1
    base = (len(inner.ranks) if inner else 1) if pre_tiled else 0
    if base > n_ranks:
        raise RefusedError("more ranks inside")
    if pre_tiled and own and inner and inner.compressed:
        kinds = [rank.format for rank in reversed(own.ranks)][:base]
        if kinds != [rank.format for rank in reversed(inner.ranks)]:
            raise RefusedError("other ranks inside")
    offered = _offered(problem, s, v, child + 1, pre_tiled)
    lists = [[set(group) for group in rank.flattened] for rank in reversed(own.ranks)] if own else [[]]
    if own and own.order == "inner-to-outer":
        out = _inner_to_outer(offered, lists, base, n_ranks)
    else:
        out = _outer_to_inner(offered, lists, base, n_ranks, own is not None)
    fiber = [problem.words(v, problem.box(Loop(o.dim, o.bound, "t", s) for o in take)) for take, _ in out]
    sizes = [size for _, size in out]
    boxes = list(found[child, v].boxes) if pre_tiled else [dict.fromkeys(problem.layer.shape.dims, 1)]
    for take, _ in out:
        box = problem.box(Loop(o.dim, o.bound, "t", s) for o in take)
        boxes.append({dim: n * boxes[-1][dim] for dim, n in box.items()})
    if pre_tiled:
        return Ranks(found[child, v].fiber + fiber, found[child, v].sub + sizes, boxes)
    return Ranks(fiber, [1, *sizes], boxes)


def _offered(problem: Problem, s: int, v: int, lowest: int, pre_tiled: bool) -> list[_Offered]:
    offered = []
    seen = set()
    for i, loop in enumerate(problem.loops):
        if not lowest <= loop.level <= s or not problem.relevant(v, loop.dim):
            continue
        bound = loop.bound
        if not pre_tiled and loop.dim not in seen:
            bound *= math.prod(
                x.bound for x in problem.loops if x.level < lowest and x.dim == loop.dim
            )  # the innermost loop over a dim stands for all further inside
            seen.add(loop.dim)
        offered.append(_Offered(loop.dim, bound, problem.words(v, problem.box(problem.loops[: i + 1]))))
    return offered


def _first_with(lists: list[set[str]], dim: str) -> set[str] | None:
    return next((group for group in lists if dim in group), None)


def _outer_to_inner(
    loops: list[_Offered], lists: list[list[set[str]]], base: int, n_ranks: int, has: bool
) -> list[Taken]:
    r, j = n_ranks, len(loops) - 1
    out: list[Taken] = []
    while r > base and j >= 0:
        while j >= 0 and loops[j].bound == 1:
            j -= 1
        if j < 0:
            break
        r -= 1
        rule = _first_with(lists[r], loops[j].dim)
        if has and lists[r] and rule is None:
            out.append(([], loops[0].words))
            continue
        take, size = [loops[j]], loops[j].words
        j -= 1
        if rule is not None or not has:
            while j >= 0 and (not has or loops[j].dim in (rule or ()) or loops[j].bound == 1):
                if loops[j].bound > 1:
                    take.append(loops[j])
                j -= 1
        out.insert(0, (take, size))
    while r > base:
        r -= 1
        out.insert(0, ([], loops[0].words))
    if any(loop.bound > 1 for loop in loops[: j + 1]):
        raise RefusedError("more ranks needed")
    return out


def _inner_to_outer(
    loops: list[_Offered], lists: list[list[set[str]]], base: int, n_ranks: int
) -> list[Taken]:
    r, j = base - 1, 0
    out: list[Taken] = []
    while r < n_ranks - 1 and j < len(loops):
        while j < len(loops) and loops[j].bound == 1:
            j += 1
        if j == len(loops):
            break
        r += 1
        rule = _first_with(lists[r], loops[j].dim)
        if lists[r] and rule is None:
            out.append(([], 1))
            continue
        take, size = [loops[j]], loops[j].words
        j += 1
        if rule is not None:
            while j < len(loops) and (loops[j].dim in rule or loops[j].bound == 1):
                if loops[j].bound > 1:
                    take.append(loops[j])
                j += 1
        out.append((take, size))
    while r < n_ranks - 1:
        r += 1
        out.append(([], loops[0].words))
    if any(loop.bound > 1 for loop in loops[j:]):
        raise RefusedError("more ranks needed")
    return out
