"""The obvious search: list every mapping of a mapspace, evaluate all, look at the result."""

from __future__ import annotations

from itertools import permutations, product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from sparsim.mapper.indexed_mapspace import Ints, Space
from sparsim.mapper.objective_arrays import accesses_by_name
from sparsim.model import arrays as packs
from sparsim.model.arrays import MappingPack
from sparsim.model.evaluate import BatchResult, evaluate_pack
from sparsim.model.lower import lower_arch


def first_order(space: Space) -> Ints:
    """(T, R): the order of every tiling level in which the free dims stand as in the shape."""
    parts = zip(space.inner, space.free, space.outer, strict=True)
    return np.array([inner + free + outer for inner, free, outer in parts], np.int64)


def as_pack(space: Space, factor: Ints, order: Ints, split: Ints, keep: Ints) -> MappingPack:
    """Mappings for `evaluate_batch`: factor and order (B, T, R), split (B, T), keep (B, S)."""
    flags = np.repeat(space.flags[None], len(keep), axis=0)
    flags[:, :, 0] = keep
    return MappingPack(factor, order, split, flags)


class Listed(NamedTuple):
    """All mappings whose spatial loops fit, with the (R + 1,) candidate that each belongs to."""

    pack: MappingPack
    candidate: list[tuple[int, ...]]
    result: BatchResult
    accesses: dict[str, Any]  # by the name of the objective

    def values(self, objective: tuple[str, ...]) -> list[tuple[float, ...]]:
        """Of the valid ones, best first."""
        energy, cycles = self.result.energy_pj, self.result.cycles
        values = {"energy": energy, "delay": cycles, "edp": energy * cycles} | self.accesses
        valid = np.flatnonzero(self.result.status == packs.OK)
        return sorted(tuple(float(values[name][i]) for name in objective) for i in valid)


def list_mappings(case, space: Space, accounting: str, *, test_fan: bool, unit_loops: bool) -> Listed:
    """`unit_loops`: also all orders and splits that differ in loops of bound 1 only."""
    arch = lower_arch(case.on())
    rows, candidates = [], []
    for chosen in product(*(range(len(f)) for f in space.factors)):
        factor = np.stack([f[i] for f, i in zip(space.factors, chosen, strict=True)], axis=1)
        if not _parallel_enough(arch, space, factor) or not _few_loops(arch, space, factor):
            continue
        for order in product(*(_orders(space, t, factor[t], unit_loops) for t in range(len(factor)))):
            for split in product(
                *(_splits(space, t, order[t], factor[t], unit_loops) for t in range(len(factor)))
            ):
                if test_fan and not _fits(arch, factor, order, split):
                    continue
                for choice, keep in enumerate(space.keep):
                    rows.append((factor, order, split, keep))
                    candidates.append((*chosen, choice))
    fields = [np.array([row[i] for row in rows], np.int64) for i in range(4)] if rows else _nothing(space)
    pack = as_pack(space, *fields)
    result = evaluate_pack(case.on(), case.layer, pack, accounting=accounting)
    return Listed(pack, candidates, result, accesses_by_name(case.arch, result.accesses))


def _nothing(space: Space):
    n_tiling, n_dims = len(space.split), len(space.factors)
    shapes = ((n_tiling, n_dims), (n_tiling, n_dims), (n_tiling,), (space.keep.shape[1],))
    return [np.zeros((0, *shape), np.int64) for shape in shapes]


def _orders(space, t, factor, unit_loops):
    """All, or those in which loops of bound 1 stand as in the shape and innermost: with a fixed split those
    along X are innermost there, and those along Y innermost there.
    """
    split = space.split[t] - len(space.inner[t])
    for middle in permutations(space.free[t]):
        parts = [middle[: max(split, 0)], middle[max(split, 0) :]]
        units = [d for d in middle if factor[d] == 1]
        innermost = all(sorted(part, key=lambda d: factor[d] > 1) == list(part) for part in parts)
        if unit_loops or (innermost and units == sorted(units)):
            yield space.inner[t] + middle + space.outer[t]


def _splits(space, t, order, factor, unit_loops):
    """All, or for each number of loops along X the smallest split that has it."""
    if space.split[t] >= 0:
        return [int(space.split[t])]
    if unit_loops:
        return range(len(order) + 1)
    loops = [i for i, dim in enumerate(order) if factor[dim] > 1]
    return [*loops, len(order)]


def _fits(arch, factor, order, split):
    for t, (s, spatial) in enumerate(arch.tiling):
        if spatial:
            x = prod(factor[t, d] for d in order[t][: split[t]])
            y = prod(factor[t, d] for d in order[t][split[t] :])
            if x > arch.fan[s, 0] or y > arch.fan[s, 1]:
                return False
    return True


def _few_loops(arch, space, factor):
    temporal = factor[arch.tiling[:, 1] == 0]
    return int((temporal > 1).sum()) <= space.most_temporal_loops


def _parallel_enough(arch, space, factor):
    used = 1.0
    for t, (s, spatial) in enumerate(arch.tiling):
        if spatial:
            used *= prod(factor[t]) / (arch.fan[s, 0] * arch.fan[s, 1])
    return used >= space.min_parallelism
