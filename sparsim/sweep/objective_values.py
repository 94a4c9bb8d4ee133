"""Objectives and limits of points, which determine the front and the feasible points."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sparsim.errors import SpecError
from sparsim.sweep.design_space import DesignSpace
from sparsim.sweep.expressions import Expression
from sparsim.sweep.study import METRICS, SHORT_NAMES, WORKLOAD
from sparsim.sweep.sweep_row import Point, Row

BOUNDED = (
    "energy_pj", "cycles", "edp_j_cycles", "area_mm2", "pj_per_mac", "inferences_per_s", "inferences_per_j",
)  # fmt: skip
"""Metrics that a bound of a design gives a best case of."""
EXACT = ("area_mm2",)
OF_ENERGY = ("energy_pj", "edp_j_cycles", "pj_per_mac", "inferences_per_j")
SLACK = 1e-9  # bounds and metrics add the same numbers in different orders


class Objectives:
    """The objectives of a study, all made small: what is to be large has its sign changed.

    Parameters
    ----------
    space : DesignSpace

    Raises
    ------
    SpecError
        For objectives and limits that some points have no value of.
    """

    def __init__(self, space: DesignSpace) -> None:
        self._space = space
        study = space.study
        self.names = tuple(study.objectives)
        self._signs = tuple(1.0 if way == "min" else -1.0 for way in study.objectives.values())
        self._attributes = {name: network.attributes for name, network in space.networks.items()}
        where = f"sweep {study.name}"
        for name in self.names:
            if name not in METRICS:
                self._check_attribute(name, f"{where}: objectives")
        for name in self.names:
            self._check_metric(name, f"{where}: objectives")
        for limit in space.limits:
            for name in sorted(limit.names):
                self._check_metric(SHORT_NAMES.get(name, name), f"{where}: limits")
        exact = {axis.name for axis in space.axes} | {each.name for each in space.derived}
        exact |= {*study.attributes, *EXACT, *(short for short, name in SHORT_NAMES.items() if name in EXACT)}
        self._exact_limits = tuple(limit for limit in space.limits if limit.names <= exact)

    @property
    def unbounded(self) -> tuple[str, ...]:
        """Return the objectives without a bound before the mappings of a design are known."""
        ways = self._space.study.objectives
        return tuple(
            name for name in self.names
            if name in METRICS and (name not in BOUNDED or ways[name] != METRICS[name])
        )  # fmt: skip

    def values(self, metrics: Mapping[str, Any], point: Point) -> list[float]:
        """Return the objectives of a point; nan where one is not known."""
        attributes = self._attributes[point[WORKLOAD]]  # type: ignore[index]
        return [
            sign * float(metrics.get(name, attributes.get(name, math.nan)))
            for name, sign in zip(self.names, self._signs, strict=True)
        ]

    def best_case(self, row: Row, point: Point) -> list[float]:
        """Return lower bounds of the objectives of a point, from its row with bounds."""
        found = self.values({**row.bounds, **row.metrics}, point)
        for i, name in enumerate(self.names):
            if name in METRICS and name not in EXACT and math.isfinite(found[i]):
                found[i] -= SLACK * abs(found[i])
        return found

    def given(self, name: str, value: float) -> float:
        """Convert a minimised value to the objective as defined in the study."""
        return value * self._signs[self.names.index(name)]

    def broken_limit(self, metrics: Mapping[str, Any], point: Point) -> str:
        """Return the first limit that does not hold, or ""."""
        return self._broken(self._space.limits, metrics, point)

    def broken_exact_limit(self, metrics: Mapping[str, Any], point: Point) -> str:
        """Return the first limit that does not hold for any mapping, or ""."""
        return self._broken(self._exact_limits, metrics, point)

    def _broken(self, limits: tuple[Expression, ...], metrics: Mapping[str, Any], point: Point) -> str:
        if not limits:
            return ""
        attributes = self._attributes[point[WORKLOAD]]  # type: ignore[index]
        values = {**self._space.values(point), **attributes, **metrics}
        values |= {short: values[name] for short, name in SHORT_NAMES.items() if name in values}
        for limit in limits:
            if limit.names <= values.keys() and not limit(values):
                return limit.text
        return ""

    def _check_attribute(self, name: str, where: str) -> None:
        for network, attributes in self._attributes.items():
            if name not in attributes:
                raise SpecError(f"workload '{network}' has no attribute '{name}'", path=where)
            if not isinstance(attributes[name], int | float):
                raise SpecError(
                    f"attribute '{name}' of '{network}' must be a number, but is text", path=where
                )

    def _check_metric(self, name: str, where: str) -> None:
        if name == "area_mm2" and not self._space.has_area():
            raise SpecError(
                "no area of the designs is known",
                path=where,
                hint="give components or an ART, or leave area out",
            )
        if name in OF_ENERGY and not self._space.has_energy():
            raise SpecError(f"no energy of the designs is known, so that {name} would be 0", path=where)
        study = self._space.study
        is_planned = any(self._space.base.get(kind) is not None for kind in ("chip", "machine"))
        if name == "inferences_per_s" and study.clock_mhz is None and not is_planned:
            raise SpecError(
                "inferences_per_s needs the clock of the designs", path=where, hint="clock_mhz: 200"
            )
        if name == "gap" and (study.search.mappings is not None or is_planned):
            raise SpecError("the metric gap needs searched mappings", path=where)


def skipping_is_on(space: DesignSpace, objectives: Objectives) -> bool:
    """Return whether points with dominated bounds are skipped."""
    study = space.study
    return study.skip_dominated and study.search.mappings is None and not objectives.unbounded


def limited(row: Row, objectives: Objectives, point: Point) -> Row:
    """Return the row of a point, which is infeasible if a limit does not hold."""
    if row.status != "ok" or not (limit := objectives.broken_limit(row.metrics, point)):
        return row
    return Row(row.key, "infeasible", f"limit: {limit}", row.metrics, row.components, row.bounds)
