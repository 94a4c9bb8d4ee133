"""A mapspace as chapter 17 tells it: four lists of choices, IDs that count through them, a search."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

from sparsim.records import Accelerator, Layer, LevelConstraint, LevelMapping, Mapping, Mapspace, Nest
from sparsim.records import NestConstraint as Constraint


class Tiling(NamedTuple):
    level: str
    fan: tuple[int, int] | None  # of a spatial tiling level
    constraint: Constraint


class NaiveSpace:
    """`order`, `split` and `mapping` prune the unit loops of a factorisation if they are given one."""

    def __init__(self, accelerator: Accelerator, layer: Layer) -> None:
        arch, mapspace = accelerator.architecture, accelerator.mapspace or Mapspace()
        self.layer, self.dims = layer, layer.shape.dims
        self.data = [d.name for d in layer.shape.dataspaces]
        by_name = {c.level: c for c in mapspace.levels}
        self.levels = [by_name.get(s.name, LevelConstraint(level=s.name)) for s in arch.storage[::-1]]
        fans = [arch.compute.mesh, *(s.mesh for s in arch.storage[:0:-1])]
        self.tilings: list[Tiling] = []
        for level, fan in zip(self.levels, fans, strict=True):
            if fan != (1, 1):
                self.tilings.append(Tiling(level.level, fan, level.spatial or Constraint()))
            self.tilings.append(Tiling(level.level, None, level.temporal))
        self.factorisations = {dim: self._factorisations(dim) for dim in self.dims}
        self.masks = self._masks()
        self.min_parallelism = mapspace.min_parallelism

    # Index factorisation, 17.2.

    def _factorisations(self, dim: str) -> list[list[int]]:
        n, constraints = self.layer.bounds[dim], [t.constraint for t in self.tilings]
        fixed = {t: c.factors[dim] or n for t, c in enumerate(constraints) if dim in c.factors}
        left, number = n // math.prod(fixed.values()), len(constraints) - len(fixed)
        if left * math.prod(fixed.values()) != n or (number == 0 and left != 1):
            return []
        rows = split(left, number, divisors(n)) if number else [[]]
        for t in sorted(fixed):
            rows = [[*row[:t], fixed[t], *row[t:]] for row in rows]
        return [row for row in rows if all(map(allows, constraints, [dim] * len(row), row))]

    # Loop permutation, 17.3: (pruned, prefix, permutable, suffix).

    def _order_parts(self, t: int, factors: dict[str, list[int]] | None) -> tuple[list[str], ...]:
        tiling, dims = self.tilings[t], list(self.dims)
        user = tiling.constraint
        flat = tiling.fan is not None and min(tiling.fan) == 1 and not (user.inner or user.outer)
        if (t == 0 and tiling.fan is None) or flat:  # one order, free dims as in the shape
            fixed = (*user.inner, *user.outer)
            free = [dim for dim in dims if dim not in fixed]
            return [], [*user.inner[::-1], *free, *user.outer[::-1]], [], []
        pruned = []
        if factors and user.split_x is None:
            pruned = [dim for dim in dims if factors[dim][t] == 1]
        prefix = [dim for dim in user.inner[::-1] if dim not in pruned]
        suffix = [dim for dim in user.outer[::-1] if dim not in pruned]
        free = [dim for dim in dims if dim not in pruned + prefix + suffix]
        return pruned, prefix, free, suffix

    def order_size(self, factors: dict[str, list[int]] | None = None) -> int:
        parts = (self._order_parts(t, factors) for t in range(len(self.tilings)))
        return math.prod(math.factorial(len(free)) for _, _, free, _ in parts)

    def orders(self, index: int, factors: dict[str, list[int]] | None = None) -> list[list[str]]:
        """Per tiling level, innermost dim first."""
        orders = []
        for t in range(len(self.tilings)):
            pruned, prefix, free, suffix = self._order_parts(t, factors)
            index, mine = divmod(index, math.factorial(len(free)))
            for i in range(len(free) - 1):
                d, mine = divmod(mine, math.factorial(len(free) - 1 - i))
                free.insert(i, free.pop(i + d))
            orders.append(pruned + prefix + free + suffix)
        return orders

    # Spatial split, 17.4.

    def _split_choices(self, t: int, factors: dict[str, list[int]] | None) -> range:
        if self.tilings[t].fan is None:
            return range(1)
        user = self.tilings[t].constraint.split_x
        if user is not None:
            return range(user, user + 1)
        return range(len(self._order_parts(t, factors)[0]), len(self.dims) + 1)

    def split_size(self, factors: dict[str, list[int]] | None = None) -> int:
        return math.prod(len(self._split_choices(t, factors)) for t in range(len(self.tilings)))

    def splits(self, index: int, factors: dict[str, list[int]] | None = None) -> list[int]:
        splits = []
        for t in range(len(self.tilings)):
            choices = self._split_choices(t, factors)
            index, mine = divmod(index, len(choices))
            splits.append(choices[mine])
        return splits

    # Datatype bypass, 17.5: per mask the set of (level, dataspace) that is kept.

    def _masks(self) -> list[frozenset[tuple[int, str]]]:
        masks: list[frozenset[tuple[int, str]]] = [frozenset()]
        for name in self.data:
            for s, level in enumerate(self.levels):
                kept = [mask | {(s, name)} for mask in masks]
                outermost = s == len(self.levels) - 1
                if name in level.keep or (outermost and name not in level.bypass):
                    masks = kept
                elif name not in level.bypass:
                    masks = masks + kept
        return masks

    # From ID to mapping, 17.6.

    def factor_size(self) -> int:
        return math.prod(len(rows) for rows in self.factorisations.values())

    def factors(self, index: int) -> dict[str, list[int]]:
        chosen = {}
        for dim in self.dims:
            rows = self.factorisations[dim]
            index, mine = divmod(index, len(rows))
            chosen[dim] = rows[mine]
        return chosen

    def mapping(self, i: int, order: int, split_id: int, mask: int, *, pruned: bool = False) -> Mapping:
        factors = self.factors(i)
        by = factors if pruned else None
        orders, splits = self.orders(order, by), self.splits(split_id, by)
        nests: dict[str, dict[str, Nest]] = {}
        for t, tiling in enumerate(self.tilings):
            nests.setdefault(tiling.level, {})["spatial" if tiling.fan else "temporal"] = Nest(
                factors={dim: factors[dim][t] for dim in self.dims},
                order=tuple(orders[t][::-1]),
                split_x=splits[t] if tiling.fan else None,
            )
        levels = []
        for s, level in enumerate(self.levels):
            bypass = tuple(name for name in self.data if (s, name) not in self.masks[mask])
            flags = {
                name: getattr(level, name)
                for name in ("no_link_transfer", "no_multicast_no_reduction", "no_temporal_reuse")
            }
            levels.append(LevelMapping(level=level.level, bypass=bypass, **nests[level.level], **flags))
        return Mapping(levels=tuple(levels[::-1]))

    def fits(self, mapping: Mapping) -> bool:
        """Whether construction succeeds: fan-outs and least parallelism."""
        used = available = 1
        by_name = {level.level: level for level in mapping.levels}
        for tiling in self.tilings:
            if tiling.fan is None:
                continue
            nest = by_name[tiling.level].spatial
            assert nest is not None
            loops, split_x = nest.order[::-1], nest.split_x or 0
            x = math.prod(nest.factors[dim] for dim in loops[:split_x])
            y = math.prod(nest.factors[dim] for dim in loops[split_x:])
            if x > tiling.fan[0] or y > tiling.fan[1]:
                return False
            used, available = used * x * y, available * math.prod(tiling.fan)
        return used / available >= self.min_parallelism


def allows(constraint: Constraint, dim: str, factor: int) -> bool:
    most = constraint.at_most.get(dim, constraint.default_at_most or math.inf)
    return constraint.at_least.get(dim, constraint.default_at_least or 1) <= factor <= most


def divisors(n: int) -> list[int]:
    found = []
    for i in range(1, n + 1):
        if i * i <= n and n % i == 0:
            found += [i, n // i] if i * i < n else [i]
    return found


def split(m: int, number: int, known: list[int]) -> list[list[int]]:
    if number == 1:
        return [[m]]
    return [[*rest, f] for f in known if m % f == 0 for rest in split(m // f, number - 1, known)]


class Generator:
    """Numbers below `size` (model 17.11), for sizes below 2147483645."""

    def __init__(self, size: int) -> None:
        self.size, self.x = size, 1

    def draw(self) -> int:
        quotient = 2147483645 // self.size
        while True:
            self.x = 16807 * self.x % 2147483647
            if self.x - 1 < quotient * self.size:
                return (self.x - 1) // quotient


class RandomPruned:
    """The search `random-pruned` with one thread (model 17.8, 17.9).

    `evaluate` gives the objective, None for an invalid mapping.
    """

    def __init__(
        self, space: NaiveSpace, evaluate: Callable[[Mapping], float | None], victory: int, timeout: int
    ) -> None:
        self.space, self.evaluate, self.victory, self.timeout = space, evaluate, victory, timeout
        self.best, self.since_better, self.invalid = math.inf, 0, 0
        self.before: tuple[int, int, int] | None = None
        self.valid: list[tuple[Mapping, float]] = []

    def run(self) -> list[tuple[Mapping, float]]:
        """The valid mappings in order of their visit."""
        space = self.space
        at, orders = Generator(space.factor_size()), Generator(space.order_size())
        while not self._over():
            i = at.draw()
            factors = space.factors(i)
            order_size = space.order_size(factors)
            visits = (orders.draw() % order_size for _ in range(min(16, order_size)))
            for order, split_id in itertools.product(visits, range(space.split_size(factors))):
                if not self._try_masks(i, order, split_id):
                    break
        return self.valid

    def _over(self) -> bool:
        return self.since_better == self.victory or self.invalid == self.timeout

    def _try_masks(self, i: int, order: int, split_id: int) -> bool:
        """Whether to go on with this factorisation: not if no bypass choice could be evaluated."""
        failures = 0
        for mask in range(len(self.space.masks)):
            if self._over():
                return False
            counts, self.before = self.before != (i, order, split_id), (i, order, split_id)
            mapping = self.space.mapping(i, order, split_id, mask, pruned=True)
            if not self.space.fits(mapping):
                self.invalid += 1
                return True
            objective = self.evaluate(mapping)
            if objective is None:
                failures += 1
                self.invalid += counts
                continue
            self.valid.append((mapping, objective))
            self.invalid = 0
            if objective < self.best:
                self.best, self.since_better = objective, 0
            else:
                self.since_better += counts
        return failures < len(self.space.masks)
