"""The relaxation of a mapspace with padded or imperfect dims, which has mappings evaluated."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np

from sparsim.errors import EmptyMapspaceError
from sparsim.mapper.cover_classes import IMPERFECT, PADDED, PERFECT, CoveredDims
from sparsim.mapper.cover_search import CoverSearch, Values
from sparsim.mapper.covered_parts import covered_ranges
from sparsim.mapper.engine import Engine, Problem
from sparsim.mapper.incumbents import Incumbents
from sparsim.mapper.indexed_mapspace import factor_ranges, lower_mapspace
from sparsim.mapper.kernels.lower_bounds import ACCESSES, BOUNDED, EXACT
from sparsim.mapper.path_search import Start
from sparsim.mapper.relaxation import Relaxation, Work
from sparsim.mapper.relaxed_mappings import arrange
from sparsim.mapper.search_budget import Budget, BudgetError
from sparsim.model import arrays as packs
from sparsim.model.arrays import Ints
from sparsim.model.lower import lower_layer
from sparsim.records import Accelerator, Layer, Mapspace
from sparsim.records.divisibility import cover

MOST_TURNS = 300  # steps of the relaxation of one class with given covered bounds

Adopt = Callable[[Engine], Engine]  # makes an engine count for the search


def covered_dims(accelerator: Accelerator, layer: Layer) -> CoveredDims:
    """Return the dims of a layer with the bounds that their factors may cover."""
    mapspace, dims = accelerator.mapspace or Mapspace(), layer.shape.dims
    most = {dim: layer.bounds[dim] for dim in dims}
    most |= {d: r[-1] for d, r in zip(mapspace.divisibility, covered_ranges(mapspace, layer), strict=True)}
    kinds = {None: PERFECT, "padded": PADDED, "imperfect": IMPERFECT}
    limits = [factor_ranges(accelerator, dim, layer.bounds[dim], most[dim]) for dim in dims]
    return CoveredDims(
        np.array([kinds[mapspace.divisibility.get(dim)] for dim in dims], np.int64),
        np.array([layer.bounds[dim] for dim in dims], np.int64),
        np.array([most[dim] for dim in dims], np.int64),
        np.array([low for low, _ in limits], np.int64).T, np.array([high for _, high in limits], np.int64).T,
    )  # fmt: skip


class CoverRelaxation:
    """The relaxation in steps; `found` is what is known after those made.

    `engines` are those of listed parts, of which the first has the choices that covered bounds do not change.
    """

    def __init__(
        self, problem: Problem, engines: Sequence[Engine], kept: Incumbents, allowed: int | None, adopt: Adopt
    ) -> None:  # fmt: skip
        self.found: Relaxation | None = None
        self._problem, self._kept, self._allowed, self._adopt = problem, kept, allowed, adopt
        self._first, self._number = engines[0], len(engines)
        self._dims = covered_dims(problem.accelerator, problem.layer)
        self._engines: dict[tuple[int, ...], Engine | None] = {_bounds(engine): engine for engine in engines}
        self._used: list[Engine] = []

    def steps(self) -> Work[None]:
        """Yield the work of each step before it is made."""
        dims, first = self._dims, self._first
        alone = (first.low.space.flags[:, packs.NO_MULTICAST] != 0).any()
        cut = (dims.kind == IMPERFECT).any()
        if not (first.bound.switch[BOUNDED] and first.bound.switch[EXACT]) or first.low.space.is_sampled:
            return
        if cut and alone:
            return
        search = CoverSearch(
            first.low, lower_layer(self._problem.layer), first.pack, dims, first.objectives[0],
            max(int(first.codes[0]) - ACCESSES, 0), self._goal, self._look_at,
            self._try_path,
        )  # fmt: skip
        for work in search.steps():
            self.found = search.found
            yield work
        self.found = search.found

    def _goal(self) -> Values:
        """Return the best values so far of those by which classes are compared."""
        of_delay = self._first.objectives[0] == "delay"
        if not self._kept.entries:
            return (math.inf,) * (2 if of_delay else 1)
        best = self._kept.entries[0]
        return (float(best.cycles), best.energy_pj) if of_delay else best.values[:1]

    def _engine(self, bounds: Sequence[int]) -> Engine | None:
        """Return an engine of the part with given covered bounds, if it is not empty."""
        key = tuple(bounds)
        if key not in self._engines:
            self._engines[key] = self._made(dict(zip(self._problem.layer.shape.dims, key, strict=True)))
        engine = self._engines[key]
        if engine is None:
            return None
        left = None
        if self._allowed is not None:
            left = self._allowed - sum(one.evaluated for one in self._used)
        self._used.append(self._adopt(engine.sibling(self._kept, left)))
        return self._used[-1]

    def _made(self, bounds: dict[str, int]) -> Engine | None:
        accelerator, layer, accounting = self._problem
        mapspace = accelerator.mapspace or Mapspace()
        covered = cover(layer, mapspace.divisibility, {d: bounds[d] for d in mapspace.divisibility})
        try:
            space = lower_mapspace(accelerator, covered)
        except EmptyMapspaceError:
            return None
        self._number += 1
        return Engine(
            Problem(accelerator, covered, accounting), space, self._first.objectives, top=self._kept.top,
            threads=1, budget=Budget(None, None), progress=self._first.progress, part=self._number - 1,
        )  # fmt: skip

    def _look_at(self, bounds: Ints, spread: Ints, choice: int) -> Values | None:
        """Bound the mappings of one class with given covered bounds, and have the best ones evaluated."""
        engine = self._engine(bounds.tolist())
        if engine is None:
            return None
        relaxing = engine.relaxing((spread, choice))
        for _, _ in zip(range(MOST_TURNS), relaxing.steps(), strict=False):
            pass
        found, of_delay = relaxing.found, self._first.objectives[0] == "delay"
        if found is None:
            return (0.0, 0.0) if of_delay else (0.0,)
        return (found.least, found.energy_pj) if of_delay else (found.least,)

    def _try_path(self, spread: Ints, steps: Ints, choice: int) -> None:
        """Evaluate imperfect mappings like a path with the steps (n, 3): level, dim, extent in time."""
        for up in (False, True):
            loops, inside = [], np.ones(spread.shape[1], np.int64)
            done: dict[tuple[int, int], list[int]] = {}
            for level, dim, extent in steps[::-1].tolist():
                if (level, dim) in done:
                    loop = done[level, dim]
                    inside[dim] //= loop[2]
                else:
                    loop = done[level, dim] = [level, dim, 1]
                    loops.append(loop)
                loop[2] = max(-(-extent // inside[dim]) if up else extent // inside[dim], 1)
                inside[dim] *= loop[2]
            self._try_lowered(spread.copy(), np.array(loops[::-1], np.int64).reshape(-1, 3), choice)

    def _try_lowered(self, spread: Ints, loops: Ints, choice: int) -> None:
        """Evaluate a mapping with factors as low as the bounds allow."""
        covered = spread.prod(axis=0)
        np.multiply.at(covered, loops[:, 1], loops[:, 2])
        for dim, name in enumerate(self._problem.layer.shape.dims):
            bound = self._problem.layer.bounds[name]
            for factor, at in [(loops[:, 2], i) for i in np.flatnonzero(loops[:, 1] == dim)] + [
                (spread[:, dim], s) for s in range(len(spread) - 1, -1, -1)
            ]:
                others = covered[dim] // factor[at]
                factor[at] = -(-bound // others)
                covered[dim] = others * factor[at]
        engine = self._engine(covered.tolist()) if (covered <= self._dims.most).all() else None
        if engine is not None:
            start = Start(spread, loops[loops[:, 2] > 1], choice)
            candidates, numbers = arrange(engine.low, engine.pack, [start])
            with suppress(BudgetError):
                engine.try_numbers(engine.make_work(), candidates, numbers)


def _bounds(engine: Engine) -> tuple[int, ...]:
    return tuple(engine.low.layer.bound.tolist())
