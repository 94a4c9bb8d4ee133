"""Samplers NSGA-II and TPE of Optuna, with a study in memory that proposes points and receives their rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sparsim.errors import require
from sparsim.sweep.axes import AxisValues, apply_conditions
from sparsim.sweep.design_space import DesignSpace
from sparsim.sweep.point_sequences import point_name, random_points
from sparsim.sweep.study import WORKLOAD
from sparsim.sweep.sweep_row import Point, Row

POPULATION = 50
TRIES = 2  # limit on proposals per point of a generation, after which random points complete the generation


class OptunaSampler:
    """Generations of points, each from the results of those before.

    A point comes once. Where the sampler proposes a known point again, it is told the known result at once,
    and where it proposes nothing else, random points fill the generation.

    Parameters
    ----------
    space : DesignSpace

    Raises
    ------
    MissingLibraryError
        If Optuna is not installed.
    """

    is_adaptive = True

    def __init__(self, space: DesignSpace) -> None:
        sampler, study = space.study.sampler, space.study
        self._optuna: Any = require("optuna", f"sampler {sampler.kind}", "optuna")
        self._axes = space.axes
        self._objectives = study.objectives
        self._attributes = {name: network.attributes for name, network in space.networks.items()}
        self._population = sampler.population or POPULATION
        assert sampler.points is not None
        self._left = sampler.points
        self._distributions = {axis.name: self._distribution(axis) for axis in space.axes}
        self._study = self._new_study(sampler.kind, study.seed)
        self._others = random_points(space.axes, study.seed)
        self._rows: dict[str, Row] = {}
        self._asked: dict[str, tuple[Point, list[Any]]] = {}  # trials by the names of their points

    def ask(self, n: int) -> list[Point]:
        """Return the next generation, of the size in the study, or smaller if few points are left."""
        self._asked = {}
        wanted = min(self._population, self._left)
        for _ in range(TRIES * self._population):
            if len(self._asked) == wanted:
                break
            self._put(self._study.ask(self._distributions))
        while len(self._asked) < wanted and (point := next(self._others, None)) is not None:
            if point_name(point) not in self._rows and point_name(point) not in self._asked:
                self._study.enqueue_trial(self._positions(point))
                self._put(self._study.ask(self._distributions))
        self._left -= len(self._asked)
        return [point for point, _ in self._asked.values()]

    def _put(self, trial: Any) -> None:
        """Tell the result of a trial for a known point, and ask for another trial."""
        values = {axis.name: axis.values[trial.params[axis.name]] for axis in self._axes}
        point = apply_conditions(self._axes, values)
        name = point_name(point)
        if name in self._rows:
            self._answer(trial, point, self._rows[name])
        else:
            self._asked.setdefault(name, (point, []))[1].append(trial)

    def tell(self, rows: Sequence[Row]) -> None:
        """Receive the rows of the latest generation, in its order."""
        for (name, (point, trials)), row in zip(self._asked.items(), rows, strict=True):
            self._rows[name] = row
            for trial in trials:
                self._answer(trial, point, row)
        self._asked = {}

    def _new_study(self, kind: str, seed: int) -> Any:
        samplers = self._optuna.samplers
        self._optuna.logging.set_verbosity(self._optuna.logging.WARNING)
        if kind == "nsga2":
            chosen = samplers.NSGAIISampler(population_size=self._population, seed=seed)
        else:
            chosen = samplers.TPESampler(seed=seed, n_startup_trials=self._population, constant_liar=True)
        directions = ["minimize" if way == "min" else "maximize" for way in self._objectives.values()]
        return self._optuna.create_study(directions=directions, sampler=chosen)

    def _distribution(self, axis: AxisValues) -> Any:
        """Return the distribution of positions of values: integers if the values are numbers, else
        categories.
        """
        positions = range(len(axis.values))
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in axis.values):
            return self._optuna.distributions.IntDistribution(0, len(axis.values) - 1)
        return self._optuna.distributions.CategoricalDistribution(tuple(positions))

    def _positions(self, point: Point) -> dict[str, int]:
        values = {axis.name: list(map(repr, axis.values)) for axis in self._axes}
        return {
            name: 0 if value is None else values[name].index(repr(value)) for name, value in point.items()
        }

    def _answer(self, trial: Any, point: Point, row: Row) -> None:
        """Tell the sampler a result.

        A point that cannot be built or breaks a limit is reported as infeasible.
        """
        states = self._optuna.trial.TrialState
        attributes = self._attributes[str(point[WORKLOAD])]
        values = [
            float(row.metrics.get(name, attributes.get(name, math.nan))) for name in self._objectives
        ]  # fmt: skip
        if row.status == "failed":
            self._study.tell(trial, state=states.FAIL)
            return
        trial.set_constraint("feasible", 0.0 if row.status == "ok" else 1.0)
        if all(map(math.isfinite, values)):
            self._study.tell(trial, values)
        else:
            self._study.tell(trial, state=states.PRUNED)
