"""Costs on an accelerator whose layers have one mapping each: exact, by `sparsim.Frozen`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from gmp.energy.cost import (
    COLUMNS,
    Costs,
    NetworkCost,
    Objective,
    Progress,
    Reals,
    Slopes,
    check_objective,
    metric_of,
    with_densities,
)
from sparsim.errors import MappingError
from sparsim.estimate.accelerator_energy import energy_table
from sparsim.mapper.mapping_cache import MappingCache
from sparsim.mapper.network_search import search_each
from sparsim.model.frozen import Frozen
from sparsim.records import Accelerator, Layer, Mapping
from sparsim.records.energy_table import energy_sources

STEP = 0.01  # of a density: the model rounds counts, so that it is flat between steps much smaller than this


class MappedCost(NetworkCost):
    """`mappings`, one per layer, hold for all densities.

    If they are not given, the best by `objective` are searched, with what lies in `folder`: for the densities
    `planned_for` (layers, 3), above which they may not fit; None: for no zeros, so that they always do.

    Raises MappingError if none is found, and what `Frozen` and `search` raise; a call raises MappingError for
    densities at which a layer does not fit.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        layers: Sequence[Layer],
        mappings: Sequence[Mapping] | None = None,
        *,
        planned_for: ArrayLike | None = None,
        objective: Objective = "edp",
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        super().__init__(accelerator.architecture.name or "accelerator", layers)
        check_objective(objective)
        self.accelerator, self.objective, self._folder = accelerator, objective, folder
        if mappings is None:
            mappings = self._searched(np.ones(self._size) if planned_for is None else planned_for, progress)
        self.mappings = tuple(mappings)
        self._frozen = Frozen(accelerator, layers, mappings)

    @property
    def energy_source(self) -> dict[str, dict[str, str]]:
        return energy_sources(self.accelerator.architecture, energy_table(self.accelerator))

    def replanned(self, densities: ArrayLike, progress: Progress | None = None) -> Self:
        """With mappings searched for these densities, also in place of given ones, where they are better."""
        found = type(self)(
            self.accelerator, self.layers, planned_for=densities, objective=self.objective,
            folder=self._folder, progress=progress,
        )  # fmt: skip
        try:
            better, so_far = (metric_of(self.objective, cost(densities)) for cost in (found, self))
        except MappingError:  # one of those so far does not fit
            return found
        both = zip(better < so_far, found.mappings, self.mappings, strict=True)
        mappings = [new if won else old for won, new, old in both]
        return type(self)(
            self.accelerator, self.layers, mappings, objective=self.objective, folder=self._folder
        )

    def _searched(self, densities: ArrayLike, progress: Progress | None) -> list[Mapping]:
        layers = with_densities(self.layers, self._checked(densities))
        found: list[Mapping] = []
        cache = MappingCache(self._folder)
        results = search_each(self.accelerator, layers, cache=cache, objective=self.objective)
        for layer, result in zip(self.layers, results, strict=False):
            if not result.uncut().top:
                raise MappingError(f"no mapping of layer {layer.name} on {self.hardware} was found")
            found.append(result.best)
            if progress is not None:
                progress(layer.name)
        return found

    def _costs(self, densities: Reals) -> Costs[Reals]:
        found = self._frozen(densities)
        return Costs(found.energy_pj, found.cycles)

    def _slopes(self, densities: Reals) -> Slopes:
        """Central differences, of all layers at once; at 0 and 1 one-sided ones."""
        slopes = Slopes(np.empty_like(densities), np.empty_like(densities))
        for column in range(len(COLUMNS)):
            below, above = densities.copy(), densities.copy()
            below[:, column] = np.maximum(below[:, column] - STEP, 0.0)
            above[:, column] = np.minimum(above[:, column] + STEP, 1.0)
            width = above[:, column] - below[:, column]
            for slope, low, high in zip(slopes, self._costs(below), self._costs(above), strict=True):
                slope[:, column] = (high - low) / width
        return slopes
