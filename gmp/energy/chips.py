"""Costs on a chip of `sparsim.chip`: interpolated between densities at which every mapping was evaluated.

A mapping of a chip that compresses weights fits up to some density, and the lower that is the better it can
be. Each layer therefore has several, planned for the densities `REFERENCES`, and at each density uses the one
that is best by the objective among those that fit. In the table of a mapping the nodes are parts of the
densities up to which it fits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache as once
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import ArrayLike

from gmp.energy.bicubic import Bicubic, Point
from gmp.energy.cost import Costs, NetworkCost, Objective, Progress, Reals, Slopes, check_objective, metric_of
from sparsim.chip import Chip, evaluate_chip, plan_layer
from sparsim.chip.records import chip_energy_sources
from sparsim.chip.roles import as_conv
from sparsim.errors import MappingError
from sparsim.mapper.cache import ResultCache, key_of
from sparsim.spec import Density, Layer, Mapping

REFERENCES = (1.0, 0.5, 0.2, 0.05)  # densities of weights, with the layer's own inputs; 1 is for all dense
WEIGHT_NODES = (0.0, 0.1, 0.25, 0.45, 0.7, 1.0)
INPUT_NODES = (0.0, 0.02, 0.05, 0.1, 0.17, 0.28, 0.42, 0.6, 0.8, 0.95, 1.0)
ALMOST = 0.9999  # without any zero words are not compressed: that point is apart
LIMIT_STEPS = 12  # halvings in the search for the density up to which a mapping fits


class Table(msgspec.Struct, frozen=True):
    """One mapping of one layer. `limits` of the densities of weights and inputs; `costs`: energy and cycles
    at the nodes times the limits, and `dense` without any zero, where the mapping fits that."""

    mapping: Mapping
    limits: tuple[float, float]
    costs: list[list[list[float]]]
    dense: tuple[float, float] | None


Tables = tuple[Table, ...]
References = tuple[tuple[float, float], ...]  # densities of weights and inputs


class ChipCost(NetworkCost):
    """`references`: the densities (weights, inputs) that each layer is planned for; None: `REFERENCES`.

    Planned and tabulated once, seconds per layer, unless they lie in `folder`; equal layers once.
    Raises SpecError for a layer that is no convolution, MappingError for one that does not fit the chip.
    """

    def __init__(
        self,
        chip: Chip,
        layers: Sequence[Layer],
        *,
        references: Sequence[References] | None = None,
        objective: Objective = "edp",
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        super().__init__(chip.name, layers)
        check_objective(objective)
        self.chip, self.objective, self._folder = chip, objective, folder
        self.references = tuple(map(_references, layers) if references is None else map(tuple, references))
        cache: ResultCache[Tables] = ResultCache(Tables, folder)
        tables = []
        for layer, wanted in zip(layers, self.references, strict=True):
            tables.append(_tables_of(chip, layer, wanted, objective, cache))
            if progress is not None:
                progress(layer.name)
        self._use(tables)

    @property
    def energy_source(self) -> dict[str, dict[str, str]]:
        return chip_energy_sources(self.chip)

    def replanned(self, densities: ArrayLike, progress: Progress | None = None) -> Self:
        """The same with one more mapping per layer, planned for these densities."""
        rows = self._checked(densities).tolist()
        references = [
            (*known, (weights, inputs))
            for known, (weights, inputs, _) in zip(self.references, rows, strict=True)
        ]
        return type(self)(
            self.chip, self.layers, references=references, objective=self.objective, folder=self._folder,
            progress=progress,
        )  # fmt: skip

    def mapping_index(self, densities: ArrayLike) -> list[int]:
        """Which of `tables` of each layer is in use."""
        return [int(i) for i in self._chosen(self._checked(densities))[1]]

    def _use(self, tables: Sequence[Tables]) -> None:
        """Layers with fewer mappings than others repeat their first one."""
        self.tables = tuple(tables)
        most = max(map(len, tables))
        rows = [row[i if i < len(row) else 0] for row in tables for i in range(most)]
        self._limits = np.array([t.limits for t in rows])
        self._dense = np.array([t.dense or (np.inf, np.inf) for t in rows])
        self._surface = Bicubic(WEIGHT_NODES, INPUT_NODES, [t.costs for t in rows])
        self._most = most

    def _costs(self, densities: Reals) -> Costs[Reals]:
        point, _ = self._chosen(densities)
        return Costs(point.value[:, 0].copy(), point.value[:, 1].copy())

    def _slopes(self, densities: Reals) -> Slopes:
        """Those of the mappings in use; outputs cost the same whatever their density."""
        point, _ = self._chosen(densities)
        nothing = np.zeros(len(densities))
        by = [np.stack([point.by_x[:, k], point.by_y[:, k], nothing], axis=1) for k in range(2)]
        return Slopes(*by)

    def _chosen(self, densities: Reals) -> tuple[Point, Any]:
        """Costs and derivatives of each layer, and the number of its mapping."""
        wanted = np.repeat(densities[:, :2], self._most, axis=0)
        fits = (wanted <= self._limits).all(axis=1)
        at = np.minimum(wanted / self._limits, 1.0)
        point = self._surface(at[:, 0], at[:, 1])
        dense = (wanted == 1.0).all(axis=1)
        value = np.where(dense[:, None], self._dense, point.value)
        metric = metric_of(self.objective, Costs(value[:, 0], value[:, 1]))
        metric = np.where(fits, metric, np.inf).reshape(len(densities), self._most)
        best = metric.argmin(axis=1)
        rows = np.arange(len(densities))
        for i in np.flatnonzero(~np.isfinite(metric[rows, best])):
            weights, inputs = densities[i, :2]
            raise MappingError(
                f"layer {self.layers[i].name} fits {self.hardware} in none of its mappings with densities of "
                f"weights {weights:g} and inputs {inputs:g}"
            )
        chosen = rows * self._most + best
        by = [d[chosen] / self._limits[chosen, axis, None] for axis, d in enumerate(point[1:])]
        return Point(value[chosen], *by), best


def _tables_of(
    chip: Chip, layer: Layer, references: References, objective: Objective, cache: ResultCache[Tables]
) -> Tables:
    found: Tables = ()
    for reference in references:
        key = _key(chip, layer, reference, objective)
        tables = cache.get(key)
        if tables is None:
            tables = _planned(chip, layer, reference, objective, found)
            cache.put(key, tables)
        found += tuple(table for table in tables if table not in found)
    if not found:
        raise MappingError(f"layer {layer.name} fits chip {chip.name} in no way that was tried")
    return found


def _planned(
    chip: Chip, layer: Layer, reference: tuple[float, float], objective: Objective, known: Tables
) -> Tables:
    """One table, or none if nothing fits; that of a mapping that is known."""
    conv = as_conv(layer)
    try:
        mapping = plan_layer(chip, _at(conv, *reference), objective).mapping
    except MappingError:
        return ()
    same = tuple(table for table in known if table.mapping == mapping)
    return same or (_table(chip, conv, mapping),)


def _table(chip: Chip, layer: Layer, mapping: Mapping) -> Table:
    def cost(weights: float, inputs: float) -> tuple[float, float]:
        found = evaluate_chip(chip, _at(layer, weights, inputs), mapping)
        return found.chip_pj + found.dram_pj, float(found.cycles)

    def beside(weights: float, inputs: float) -> tuple[float, float]:
        """A density at which the model's rounding leaves more operands than there are is passed over."""
        if weights == inputs == 1.0:
            weights = ALMOST
        for shift in (1.0, 0.99, 0.98):
            try:
                return cost(weights, inputs * shift)
            except MappingError as error:
                last = error
        raise last

    def fits(weights: float, inputs: float) -> bool:
        try:
            beside(weights, inputs)
        except MappingError:
            return False
        return True

    limits = _limit(lambda d: fits(d, 0.0)), _limit(lambda d: fits(0.0, d))
    costs = [[beside(w * limits[0], i * limits[1]) for i in INPUT_NODES] for w in WEIGHT_NODES]
    dense = cost(1.0, 1.0) if limits == (1.0, 1.0) else None
    return Table(mapping, limits, np.array(costs).transpose(2, 0, 1).tolist(), dense)


def _limit(fits: Callable[[float], bool]) -> float:
    """The highest density that fits, to within 1 / 2^LIMIT_STEPS."""
    if fits(1.0):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(LIMIT_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _references(layer: Layer) -> References:
    inputs = layer.density("Inputs").density
    return tuple((weights, 1.0 if weights == 1.0 else inputs) for weights in REFERENCES)


def _at(layer: Layer, weights: float, inputs: float) -> Layer:
    given = {"Weights": Density(density=float(weights)), "Inputs": Density(density=float(inputs))}
    return replace(layer, densities=given)


def _key(chip: Chip, layer: Layer, reference: tuple[float, float], objective: str) -> str:
    records = (chip.spec, chip.architecture, chip.policy, chip.energy, _at(replace(layer, name=""), 1.0, 1.0))
    return key_of(records, _own_source(), reference, objective)


@once
def _own_source() -> str:
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
