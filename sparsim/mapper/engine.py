"""The common part of all search methods: packs for the kernels, evaluation, the best so far, budgets,
statistics.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import copy
from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import replace

from sparsim.mapper.bound_constants import SearchArrays, bound_pack, space_bound
from sparsim.mapper.incumbents import Entry, Incumbents
from sparsim.mapper.indexed_mapspace import Space, mapping_of
from sparsim.mapper.kernels.candidates import assemble_candidates
from sparsim.mapper.kernels.enumeration import LOWER_BOUND, PASSED
from sparsim.mapper.kernels.lower_bounds import ACCESSES, ACCESSES_OUT, CYCLES_OUT, PJ_OUT, TEST_FAN
from sparsim.mapper.objective_arrays import accesses_by_name, codes, values
from sparsim.mapper.parallelism_bound import most_units
from sparsim.mapper.path_search import Start
from sparsim.mapper.relaxation import Relaxation, Relaxing, Trial
from sparsim.mapper.relaxed_mappings import arrange
from sparsim.mapper.search_budget import Budget, BudgetError
from sparsim.mapper.search_result import Found
from sparsim.mapper.space_arrays import space_pack
from sparsim.model import arrays as packs
from sparsim.model.arrays import CandidateWork, Ints, MappingPack, Reals
from sparsim.model.evaluate import evaluate_pack
from sparsim.model.leakage import least_leakage
from sparsim.model.lower import ACCOUNTING, ints, lower_arch, lower_density, lower_layer, lower_policy, reals
from sparsim.records import Accelerator, Layer
from sparsim.records.accounting import Accounting
from sparsim.records.divisibility import covers_of

ROOM = 2048  # mappings evaluated at once


def place_of(candidate: Ints) -> tuple[int, ...]:
    """Return the position of a candidate (R + 1,) in the mapspace; the last dim is the most significant."""
    return *candidate[-2::-1].tolist(), int(candidate[-1])


class Problem(NamedTuple):
    """The problem for which mappings are searched."""

    accelerator: Accelerator
    layer: Layer
    accounting: Accounting


class Progress(NamedTuple):
    """What a progress callback is given.

    Attributes
    ----------
    best : Found or None
        The best mapping so far.
    evaluated : int
        Mappings that were evaluated so far.
    seconds : float
        Seconds since the search began.
    """

    best: Found | None
    evaluated: int
    seconds: float


class Known:
    """A proven bound of a part of the mapspace: none of its mappings is below `floor`."""

    def __init__(self, floor: float) -> None:
        self.floor = floor
        self.relaxed: Relaxation | None = None

    def learn(self, relaxed: Relaxation | None) -> None:
        if relaxed is not None:
            self.relaxed = relaxed
            self.floor = max(self.floor, relaxed.least)


class Engine:
    """One method in one part of the mapspace: evaluates mappings, keeps the best `top`, counts."""

    def __init__(
        self,
        problem: Problem,
        space: Space,
        objectives: tuple[str, ...],
        *,
        top: int,
        threads: int,
        budget: Budget,
        progress: Callable[[Engine], object] | None,
        part: int = 0,
    ) -> None:
        self.objectives, self.threads = objectives, threads
        self.codes = codes(objectives, problem.accelerator.architecture)
        self.allowed, self.progress, self.part = budget.evaluations, progress, part
        self.problem, self.space = problem, space
        accelerator, layer, accounting = problem
        self.low = SearchArrays(
            lower_arch(accelerator), lower_layer(layer), lower_density(layer),
            lower_policy(accelerator, layer.shape), space, ACCOUNTING[accounting], least_leakage(accelerator),
        )  # fmt: skip
        self.bound = bound_pack(self.low)
        pack = space_pack(self.low)
        most = float(pack.widest[-1])
        if self.bound.switch[TEST_FAN]:
            most = min(most, most_units(space, pack, np.flatnonzero(self.low.arch.tiling[:, 1] == 1)))
        self.part_least = space_bound(self.low, self.bound, most)
        self.pack = pack._replace(floor=np.ascontiguousarray(self.part_least[PJ_OUT:]))
        self.known = Known(float(self.values_of_bounds(self.part_least)[0]))
        self.kept = Incumbents(top, len(objectives))
        self.near_rows: dict[int, Any] = {}  # of each dim, for local search
        self._reset()

    def _reset(self) -> None:
        self.evaluated = self.valid = 0
        self.rows_rejected, self.rows = reals(3), 0
        self.forget_candidates()

    def forget_candidates(self) -> None:
        """Reset the counts of candidates, because another enumeration counts them again."""
        self.rejected, self.passed = reals(3), 0

    def sibling(self, kept: Incumbents, allowed: int | None) -> Engine:
        """Make another engine for the same part, with its own counts. Both share proven bounds, and the best
        mappings if they have the same `kept`.
        """
        other = copy(self)
        other.kept, other.allowed = kept, allowed
        other._reset()
        return other

    @property
    def head(self) -> tuple[object, ...]:
        """Return the first arguments of the kernels."""
        return (*self.low[:4], self.bound, self.pack)

    def values_of_bounds(self, bounds: Reals) -> Reals:
        """Return objectives (..., objectives) of bounds (..., fields)."""
        return self._values(bounds[..., PJ_OUT], bounds[..., CYCLES_OUT], bounds[..., ACCESSES_OUT:])

    def _values(self, energy_pj: Reals, cycles: Reals, accesses: Reals) -> Reals:
        by_name = accesses_by_name(self.problem.accelerator.architecture, accesses)
        return values(self.objectives, energy_pj, cycles, by_name)

    @property
    def limit(self) -> Reals:
        """Return (objectives,): the values that a mapping must not exceed to be among the best."""
        return self.kept.limit

    def cannot_win(self) -> bool:
        """Return whether all mappings of this part are worse than the best by their first objective; if so,
        count them.
        """
        if self.known.floor <= self.limit[0]:
            return False
        self.rejected[LOWER_BOUND] += math.prod(map(len, (*self.space.factors, self.space.keep)))
        return True

    def make_work(self) -> CandidateWork:
        n_levels, n_data = len(self.low.arch.fan), len(self.low.layer.relevant)
        n_tiling, n_dims = self.pack.place.shape
        at, steps = (n_levels, n_data), len(self.pack.decision) + 1
        return CandidateWork(
            used=ints(steps, n_tiling, 3), least=ints(steps, *at), rest=reals(steps, n_data + 1),
            extent=ints(n_levels, n_dims), below=ints(n_levels, n_dims),
            factor=ints(n_tiling, n_dims), ext=ints(n_dims), tile=ints(*at),
            groups=ints(*at), children=ints(n_levels), instances=ints(n_levels + 1), words=reals(*at),
            part=ints(*at), share=reals(n_levels, 4), moved=reals(n_levels, 2),
            out=reals(ACCESSES_OUT + n_levels), real=ints(n_dims), choices=ints(n_tiling, 2),
            fixed=ints(n_tiling, 2),
        )  # fmt: skip

    def make_rows(self, number: int) -> MappingPack:
        n_tiling, n_dims = self.pack.place.shape
        shape = (number, n_tiling, n_dims)
        return MappingPack(
            ints(*shape), ints(*shape), ints(*shape[:2]), ints(number, self.pack.keep.shape[1], 4)
        )

    def evaluate(self, rows: MappingPack, candidate: Ints, digits: Ints) -> Reals:
        """Evaluate mappings and keep the best; their values (n, objectives), nan where invalid.

        Raises BudgetError when no more evaluations are allowed, after those that still are.
        """
        number = len(candidate)
        if self.allowed is not None:
            number = min(number, self.allowed - self.evaluated)
            if number <= 0:
                raise BudgetError
        rows = MappingPack(*(field[:number] for field in rows))
        accelerator, layer, accounting = self.problem
        # threads do not pay for a few mappings, and do not change numbers
        threads = self.threads if number >= 64 * self.threads else 1
        result = evaluate_pack(accelerator, layer, rows, accounting=accounting, threads=threads)
        found = self._values(result.energy_pj, result.cycles, result.accesses)
        self.evaluated += number
        self.valid += int((result.status == packs.OK).sum())
        for i in self.kept.promising(found):
            place = (*place_of(candidate[i]), *digits[i].ravel().tolist())
            row = (rows.factor[i].copy(), rows.order[i].copy(), rows.split[i].copy(), rows.flags[i].copy())
            entry = Entry(
                tuple(found[i].tolist()), self.part, place, row, float(result.energy_pj[i]),
                int(result.cycles[i]), layer,
            )  # fmt: skip
            self.kept.keep(entry)
        self.report()
        return found

    def report(self) -> None:
        """Report to the search of which this is a part, if there is one."""
        if self.progress is not None:
            self.progress(self)

    def try_numbers(self, work: CandidateWork, candidate: Ints, draw: Ints) -> Reals:
        """Assemble and evaluate candidates (n, R + 1) with numbers (n, T, 2) of orders and splits.

        Returns their values (n, objectives), nan for those rejected or invalid. `draw` is reduced to the
        numbers that exist.
        """
        rows = self.make_rows(len(candidate))
        reason = ints(len(candidate))
        assemble_candidates(*self.head, work, self.codes, self.limit, candidate, draw, rows, reason)
        passed = np.flatnonzero(reason == PASSED)
        self.rows += len(candidate)
        self.rows_rejected += np.bincount(reason[reason != PASSED], minlength=3)
        found = np.full((len(candidate), len(self.objectives)), np.nan)
        if len(passed):
            rows = MappingPack(*(np.ascontiguousarray(field[passed]) for field in rows))
            some = self.evaluate(rows, candidate[passed], draw[passed])
            found[passed[: len(some)]] = some
        return found

    def relax(self) -> Iterator[float]:
        """Bound this part of the mapspace for the first objective, in steps that yield their work. Mappings
        that reach the bound are evaluated.
        """
        if self.low.layer.cut[0]:  # the relaxation counts covered points instead of existing ones
            return
        relaxing = self.relaxing()
        for done in relaxing.steps():
            self.known.learn(relaxing.found)
            yield done
        self.known.learn(relaxing.found)

    def relaxing(self, only: tuple[Ints, int] | None = None) -> Relaxing:
        """Return the relaxation of this part, or `only` of spatial factors (S, R) and a row of `Space.keep`.

        It has mappings evaluated.
        """
        level, work = int(self.codes[0]) - ACCESSES, self.make_work()

        def evaluate(starts: list[Start]) -> None:
            candidates, numbers = arrange(self.low, self.pack, starts)
            with suppress(BudgetError):
                self.try_numbers(work, candidates, numbers)

        def best() -> tuple[float, float, float]:
            if not self.kept.entries:
                return math.inf, math.inf, math.inf
            entry = self.kept.entries[0]
            return entry.values[0], entry.energy_pj, entry.cycles

        return Relaxing(
            self.low, self.bound, self.pack, self.objectives[0], max(level, 0), Trial(evaluate, best), only
        )

    def found(self, entry: Entry) -> Found:
        factor, order, split, flags = entry.row
        accelerator, shape = self.problem.accelerator, self.problem.layer.shape
        mapping = mapping_of(accelerator, shape, factor, order, split, flags[:, packs.KEEP], self.space)
        covers = covers_of(entry.layer)
        mapping = replace(mapping, divisibility={cover.dim: cover.policy for cover in covers})
        return Found(mapping, entry.energy_pj, entry.cycles, covers, entry.values)
