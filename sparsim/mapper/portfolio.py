"""A portfolio of the methods of one search, whose result is no worse than that of any of them.

Methods proceed in steps, which yield their work. With a budget of evaluations each method has the whole
budget and finds the same as by itself. Without one they share the best mapping found so far; with a budget of
seconds they take turns by their work, not by the clock, so that more time continues the same search.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from sparsim.mapper.certificate import gap_of, is_proven
from sparsim.mapper.cover_relaxation import CoverRelaxation
from sparsim.mapper.covered_parts import Part
from sparsim.mapper.engine import Engine, Known, Problem, Progress
from sparsim.mapper.exhaustive import load_kernel, search_all, search_rising
from sparsim.mapper.first_mappings import guess_first
from sparsim.mapper.given_mappings import try_given
from sparsim.mapper.incumbents import Incumbents
from sparsim.mapper.indexed_mapspace import sizes
from sparsim.mapper.random_and_local import search_local, search_random
from sparsim.mapper.search_budget import Budget, BudgetError, Clock
from sparsim.mapper.search_result import Statistics
from sparsim.model.arrays import MappingPack
from sparsim.model.lower import reals

ENUMERATE, RELAX, CLIMB, DRAW = "enumerate", "relax", "climb", "draw"
MEMBERS = {
    "auto": (ENUMERATE, RELAX, CLIMB, DRAW),
    "exhaustive": (ENUMERATE, RELAX),
    "local": (RELAX, CLIMB),
    "random": (RELAX, DRAW),
}
SHARES = {ENUMERATE: 1.0, RELAX: 2.0, CLIMB: 3.0, DRAW: 1.0}  # shares of a budget of seconds
AHEAD_US = 1e5  # lead of the relaxation, because a climb starts from its result
STUCK_SHARE = 0.25  # share of hill climbing after no progress in half of its work and in STUCK_US
STUCK_US = 1e6
HEAD_US = 3e5  # work of an enumeration without budgets before the relaxation
SOON_US = 3e6  # its work before the other methods
RELAX_US = 4e7  # most work of the relaxation without a budget of seconds
RELAX_PART = 4  # the relaxation evaluates one in so many of the mappings that a method may evaluate
FIRST_US = 10e6  # work for a first valid mapping, independent of the budget
WARM_UP = 4000  # mappings that a local search tries before an enumeration that may not be completed
TRIES = 100_000  # mappings that random and local search draw without a budget
TRIES_PER_EVALUATION = 100  # draws for each mapping that may be evaluated
ENUMERATION_US, ENUMERATION_US_PER_EVALUATION = 2e6, 1e3  # most work of an enumeration with such a budget


class _Member:
    """A method that takes turns with others."""

    def __init__(self, name: str, steps: Iterator[float]) -> None:
        self.name, self.steps = name, steps
        self.work = self.improved = 0.0  # work so far, and at the time of the latest better mapping
        # work divided by the share; the member with the least is next
        self.turn = -AHEAD_US if name == RELAX else 0.0

    def charge(self, work: float, better: bool) -> None:
        self.work += work
        if better:
            self.improved = self.work
        idle, share = self.work - self.improved, SHARES[self.name]
        if self.name == CLIMB and idle > max(self.work / 2, STUCK_US):
            share = STUCK_SHARE
        self.turn += work / share


class Portfolio:
    """The state of one search. `complete` tells whether every mapping is accounted for."""

    def __init__(
        self,
        problem: Problem,
        parts: list[Part],
        is_listed: bool,
        objectives: tuple[str, ...],
        members: tuple[str, ...],
        *,
        small: bool,
        seed: int,
        top: int,
        threads: int,
        budget: Budget,
        progress: Callable[[Progress], None] | None,
        start: Sequence[MappingPack],
    ) -> None:
        self.objectives, self.budget, self._small = objectives, budget, small
        self.complete = self.interrupted = self.late = False
        self.kept = Incumbents(top, len(objectives))
        self.parts: list[Engine] = []  # one per part of the mapspace
        self._engines: list[Engine] = []  # all engines that evaluated mappings
        self._problem, self._given, self._members = problem, parts, members
        self._seed, self._threads, self._progress = seed, threads, progress
        self._start, self._all_parts = start, is_listed
        self._is_listed = is_listed and not any(part.space.is_sampled for part in parts)
        self.whole = Known(0.0)  # a bound of all parts, also of those that are not listed
        self._first, self._first_evaluated = self.kept, 0  # the mappings from which all methods continue
        self.clock = Clock()

    def run(self) -> None:
        """Search until a budget is used up, nothing is left to find, or Ctrl-C."""
        with self.clock.leave_out_compilation():
            try:
                self._run()
            except KeyboardInterrupt:
                self.interrupted = True
            for engine in self._engines:
                for entry in engine.kept.entries if engine.kept is not self.kept else ():
                    self.kept.keep(entry)
            for i in range(len(self._given)):  # also after Ctrl-C, because their lower bounds are used
                self._part(i)

    def _run(self) -> None:
        if self._find_first():
            return
        self._first = self.kept.copy()
        for i in range(len(self._given)):
            self._part(i)
        members = {name: _Member(name, self._steps(name)) for name in self._members}
        if self.budget.seconds is not None:
            self._take_turns(list(members.values()), self.budget.seconds)
            return
        plan = [(name, self._most_work(name)) for name in members]
        if self.budget.evaluations is not None:  # a proof saves the others their evaluations
            plan.sort(key=lambda one: one[0] != RELAX)
        elif ENUMERATE in members and CLIMB in members:
            plan = [(ENUMERATE, HEAD_US), plan[1], (ENUMERATE, SOON_US), *plan[2:]]
            plan += [(ENUMERATE, np.inf)] if self._small else []
        if not self._all_parts:  # the first of many parts are unlikely to have the best mapping
            plan.sort(key=lambda one: one[0] != RELAX)
        for name, most in plan:
            if not self._advance(members[name], most):
                return

    @property
    def bounded(self) -> list[Engine]:
        """Return the parts whose bounds together are one of the mapspace; none if not all are listed."""
        return self.parts if self._all_parts else []

    def _most_work(self, member: str) -> float:
        """Return the most work of one method without a budget of seconds, because an enumeration may reject
        candidates for very long without evaluating any, and a relaxation split choices.
        """
        if member == RELAX:
            return RELAX_US
        if member != ENUMERATE or self.budget.evaluations is None:
            return np.inf
        return max(ENUMERATION_US, ENUMERATION_US_PER_EVALUATION * self.budget.evaluations)

    def _part(self, number: int) -> Engine:
        if number == len(self.parts):
            part = self._given[number]
            self.parts.append(
                Engine(
                    self._problem._replace(layer=part.layer), part.space, self.objectives, top=self.kept.top,
                    threads=self._threads, budget=self.budget, progress=self._report, part=number,
                )
            )  # fmt: skip
        return self.parts[number]

    def _sibling(self, part: Engine, kept: Incumbents, allowed: int | None) -> Engine:
        engine = part.sibling(kept, allowed)
        self._engines.append(engine)
        return engine

    def _find_first(self) -> bool:
        """Look for a first valid mapping, outside the budget of seconds. Returns whether there is none."""
        work = 0.0
        with self.clock.left_out():
            for number in range(len(self._given)) if self._start else ():
                engine = self._sibling(self._part(number), self.kept, None)
                try_given(engine, self._start)
                self._first_evaluated += engine.evaluated
            if self.kept.entries:
                return False
            for look in (partial(guess_first, seed=self._seed), search_all):
                for number in range(len(self._given)):
                    engine = self._sibling(self._part(number), self.kept, None)
                    for more in look(engine):
                        work += more
                        if self.kept.entries or work > FIRST_US:
                            break
                    self._first_evaluated += engine.evaluated
                    if self.kept.entries:
                        engine.forget_candidates()
                    if self.kept.entries or work > FIRST_US:
                        return False
        self.complete = self._is_listed
        return True

    def _take_turns(self, members: list[_Member], seconds: float) -> None:
        with self.clock.left_out():  # kernels are compiled, or loaded from the disk
            for member in members:
                if member.name == ENUMERATE:
                    load_kernel(self.parts[0])
                if member.name == RELAX:
                    for _ in range(2):
                        self._step(member)
        while members and not self._is_over():
            if self.clock.counted >= seconds:
                self.late = True
                return
            member = min(members, key=lambda one: one.turn)
            if not self._step(member):
                members.remove(member)

    def _advance(self, member: _Member, most: float) -> bool:
        """Continue one member, up to `most` total work. Returns whether others may follow."""
        while member.work <= most and not self._is_over():
            if not self._step(member):
                break
        return not self._is_over()

    def _is_over(self) -> bool:
        """Return whether no better mapping can be found, or is needed."""
        if self.complete:
            return True
        gap = self.budget.gap
        if gap and self.kept.entries and gap_of(self.kept, self.bounded, self.whole) <= gap:
            return True
        if self.kept.top > 1:
            return False
        return is_proven(self.objectives, self.kept, self.bounded, self.whole)

    def _step(self, member: _Member) -> bool:
        """Make one step of a member. Returns whether there are more."""
        before = self.kept.entries[:1]
        try:
            work = next(member.steps)
        except (StopIteration, BudgetError):
            return False
        member.charge(work, self.kept.entries[:1] != before)
        return True

    def _steps(self, member: str) -> Iterator[float]:
        if member == ENUMERATE:
            return self._enumerate()
        if member == RELAX:
            return self._relax()
        return self._sample(search_local if member == CLIMB else search_random)

    def _enumerate(self) -> Iterator[float]:
        """Enumerate part after part, with the best so far as the limit."""
        kept, left = self._own(), self._left()
        for part in self.parts:
            engine = self._sibling(part, kept, left)
            if engine.cannot_win():
                continue
            if self._small and self.budget.evaluations is None:
                yield from search_rising(engine)
            else:
                yield from search_local(engine, self._seed, min(WARM_UP, sizes(engine.space).total))
                yield from search_all(engine)
            left = None if left is None else left - engine.evaluated
        self.complete = self._is_listed

    def _relax(self) -> Iterator[float]:
        mapspace = self._problem.accelerator.mapspace
        if mapspace is not None and mapspace.divisibility:
            yield from self._relax_covers()
        for part in self.parts:
            if not self._is_hopeless(part):
                left = self._left()
                engine = self._sibling(
                    part, self._own(), None if left is None else max(left // RELAX_PART, 1)
                )
                yield from engine.relax()
                if left is not None:  # other methods continue from here
                    self._first_evaluated += engine.evaluated
                    for entry in engine.kept.entries:
                        self._first.keep(entry)

    def _relax_covers(self) -> Iterator[float]:
        """Bound all covered bounds together."""
        kept, left = self._own(), self._left()
        allowed = None if left is None else max(left // RELAX_PART, 1)
        relaxing = CoverRelaxation(self._problem, self.parts, kept, allowed, self._adopted)
        before = sum(engine.evaluated for engine in self._engines)
        for work in relaxing.steps():
            self.whole.learn(relaxing.found)
            yield work
        self.whole.learn(relaxing.found)
        if left is not None:
            self._first_evaluated += sum(engine.evaluated for engine in self._engines) - before
            for entry in kept.entries:
                self._first.keep(entry)

    def _adopted(self, engine: Engine) -> Engine:
        self._engines.append(engine)
        return engine

    def _sample(self, search: Callable[[Engine, int, int | None], Iterator[float]]) -> Iterator[float]:
        """Sample all parts in turn, each time for twice as many steps; they share budgets equally."""
        number, left, tries = len(self.parts), self._left(), self._tries()
        tries = None if tries is None else -(-tries // number)
        running = []
        for i, part in enumerate(self.parts):
            allowed = None if left is None else left // number + (i < left % number)
            engine = self._sibling(part, self._own(), allowed)
            running.append(
                (engine, search(engine, self._seed, None if tries is None else -(-tries // number)))
            )
        steps = 1
        while running:
            for one in list(running):
                if self._is_hopeless(one[0]):
                    running.remove(one)
                    continue
                try:
                    for _ in range(steps):
                        yield next(one[1])
                except (StopIteration, BudgetError):
                    running.remove(one)
            steps *= 2

    def _own(self) -> Incumbents:
        """Return the best mappings from which a method continues; with a budget of evaluations each method
        has its own.
        """
        return self.kept if self.budget.evaluations is None else self._first.copy()

    def _left(self) -> int | None:
        """Return the evaluations that one method may make."""
        if self.budget.evaluations is None:
            return None
        return max(self.budget.evaluations - self._first_evaluated, 0)

    def _tries(self) -> int | None:
        """Return the number of draws of random and local search, most of which are rejected before their
        evaluation.
        """
        if self.budget.evaluations is not None:
            return TRIES_PER_EVALUATION * self.budget.evaluations
        return TRIES if self.budget.seconds is None else None

    def _is_hopeless(self, part: Engine) -> bool:
        """Return whether no mapping of this part is among the best."""
        return bool(part.known.floor > self.kept.limit[0])

    def _report(self, engine: Engine) -> None:
        """Take over the best of one method, and call the progress callback."""
        if engine.kept is not self.kept:
            for entry in engine.kept.entries[:1]:
                self.kept.keep(entry)
        if self._progress is not None:
            best = engine.found(self.kept.entries[0]) if self.kept.entries else None
            evaluated = sum(one.evaluated for one in self._engines)
            self._progress(Progress(best, evaluated, self.clock.seconds))

    def passed(self) -> int:
        return sum(engine.passed for engine in self._engines)

    def statistics(self) -> Statistics:
        seen = self._engines
        fan, capacity, bound = (int(x) for x in sum((one.rejected for one in seen), reals(3)))
        row_fan, row_capacity, row_bound = (
            int(x) for x in sum((one.rows_rejected for one in seen), reals(3))
        )
        return Statistics(
            candidates=self.passed() + fan + capacity + bound, candidates_over_fan_out=fan,
            candidates_over_capacity=capacity, candidates_over_bound=bound,
            arrangements=sum(engine.rows for engine in seen),
            arrangements_over_fan_out=row_fan, arrangements_over_capacity=row_capacity,
            arrangements_over_bound=row_bound, evaluated=sum(engine.evaluated for engine in seen),
            valid=sum(engine.valid for engine in seen), cpu_s=self.clock.cpu_s,
        )  # fmt: skip
