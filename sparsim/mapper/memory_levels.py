"""Levels that are one memory: what each of them may keep, and how their tiles share the room."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations, product
from math import prod
from typing import NamedTuple

import numpy as np

from sparsim.errors import SpecError
from sparsim.model.arrays import LEAST, MOST, Ints
from sparsim.records import Architecture, LevelConstraint

MOST_CHOICES = 4_096  # most choices of what the levels of memories keep: each is listed

Part = tuple[int, ...]  # masks of dataspaces that the levels of one memory keep, innermost first


def memories(shares: Iterable[object]) -> list[range]:
    """Return the levels of each memory, by whether a level shares that of the next level inside; innermost
    first.
    """
    found: list[range] = []
    for s, shared in enumerate(shares):
        found.append(range(found.pop().start if shared else s, s + 1))
    return found


def keeps_of_memories(arch: Architecture, names: Sequence[str], levels: Sequence[LevelConstraint]) -> Ints:
    """Return (choices, S) masks of what levels keep; `levels` has the constraints, innermost first.

    A tensor lies in one level of a memory at most. Either the innermost level of each memory keeps all that
    the memory holds, or every level keeps one tensor at most: others are equal to one of these.
    """
    even, split = [], []
    for memory in memories(level.memory for level in arch.storage[::-1]):
        choices = list(_choices(names, [levels[s] for s in memory], memory.stop == len(levels)))
        even.append([one for one in choices if not any(one[1:])])
        split.append([one for one in choices if all(mask & mask - 1 == 0 for mask in one) or len(one) == 1])
    number = prod(map(len, even)) + prod(map(len, split))
    if number > MOST_CHOICES:
        raise SpecError(
            f"there are {number} choices of what the levels of memories keep, {MOST_CHOICES} are allowed",
            path="mapspace", hint="fix what is kept, or name fewer levels",
        )  # fmt: skip
    rows = {sum(row, ()): None for some in (even, split) for row in product(*some)}
    return np.array(list(rows), np.int64).reshape(-1, len(levels))


def _choices(names: Sequence[str], levels: Sequence[LevelConstraint], outermost: bool) -> Iterator[Part]:
    """Yield what the levels of one memory may keep."""
    own, *others = levels
    # levels that differ in nothing are filled from the inside, because those without loops are equal
    alike = not any(level.keep or set(level.bypass) != set(own.bypass) for level in others)
    options = []
    for name in names:
        places: list[int | None] = [i for i, level in enumerate(levels) if name not in level.bypass]
        if keepers := [i for i, level in enumerate(others, 1) if name in level.keep]:
            places = [*keepers[:1]]
        elif not (outermost and places) and name not in own.keep:
            places = [None, *places]
        options.append(places)
    for chosen in product(*options):
        masks = [0] * len(levels)
        for v, place in enumerate(chosen):
            if place is not None:
                masks[place] |= 1 << v
        filled = sum(mask > 0 for mask in masks)
        if not alike or all(masks[:filled]):
            yield tuple(masks)


def share_room(span: Ints, taken: dict[tuple[int, int], int], room: int) -> list[Ints]:
    """Split spans (S, D, 2) of the words that tiles take into others without tiles that exceed the room.

    `taken` has the words of tiles (level, tensor) of one memory that are more than the `room` together. The
    spans returned have all combinations that fit, and each combination once.
    """
    found, rest = [], span
    for place, words in sorted(taken.items(), key=lambda one: -one[1]):
        less = rest.copy()
        less[(*place, MOST)] = words - 1
        if less[(*place, LEAST)] < words:
            found.append(less)
        rest = rest.copy()
        rest[(*place, LEAST)] = words
        least = {at: int(rest[(*at, LEAST)]) for at in taken}
        left = room - sum(least.values())
        if left < 0:
            return found
        for at in taken:
            rest[(*at, MOST)] = min(int(rest[(*at, MOST)]), least[at] + left)
    return found


class Orders(NamedTuple):
    """The choices of what is kept, if every order of the levels of a memory is among them."""

    even: list[int]  # rows of choices in which the innermost levels keep everything
    row: dict[Part, int]  # of every choice


def all_orders(
    keep: Ints, factors: Sequence[Ints], last_tiling: Ints, shares: Iterable[object]
) -> Orders | None:
    """Return the even ones of the choices `keep` (choices, S), if all others are those in which the same
    tensors lie at different levels of a memory, in any order; None if some of these are missing.

    Loops that a level of a memory may have, the next levels outside of it, up to one that keeps anything,
    must be allowed to have, too. Then loops outside of all tiles of a memory are not missed where they count
    as those of another level. `factors` has the factorisations of each dim, `last_tiling` the tiling level of
    the loops in time of every level.
    """
    row = {tuple(choice): i for i, choice in enumerate(keep.tolist())}
    shared = memories(shares)
    even = [choice for choice in row if not any(choice[s] for memory in shared for s in memory[1:])]
    found = set(even)
    for choice in even:
        orders = [_orders(choice[memory.start], len(memory)) for memory in shared]
        found |= {sum(parts, ()) for parts in product(*orders)}
    for memory in shared:
        if len(memory) > 1 and not all(_may_move(rows, memory, keep, last_tiling) for rows in factors):
            return None
    return Orders([row[choice] for choice in even], row) if found == set(row) else None


def _orders(mask: int, number: int) -> list[Part]:
    """Return the ways in which the levels of a memory keep the tensors of a mask, one each."""
    if number == 1:
        return [(mask,)]
    each = [1 << v for v in range(mask.bit_length()) if mask >> v & 1]
    return [(*order, *(0,) * (number - len(order))) for order in permutations(each) if len(order) <= number]


def _may_move(rows: Ints, memory: range, keep: Ints, last_tiling: Ints) -> bool:
    """Return whether the loops of each level of a memory may as well be those of the next level outside."""
    code = np.random.default_rng(0).integers(1, 2**40, rows.shape[1])
    known = set((rows @ code).tolist())
    for s in memory:
        t, outer = last_tiling[s], s + 1
        while outer < keep.shape[1]:
            moved = rows.copy()
            moved[:, last_tiling[outer]] *= moved[:, t]
            moved[:, t] = 1
            if known.issuperset((moved @ code).tolist()):
                break
            if outer in memory or keep[:, outer].any():
                return False
            outer += 1
        else:
            return False
    return True
