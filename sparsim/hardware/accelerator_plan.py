"""Plans on an accelerator in which each layer has one mapping; costs are exact, by `sparsim.Frozen`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from msgspec.structs import replace
from numpy.typing import ArrayLike

from sparsim.cache import default_folder
from sparsim.errors import EmptyMapspaceError, MappingError
from sparsim.estimate.accelerator_energy import energy_table, resolved_energy
from sparsim.hardware.interface import (
    COLUMNS,
    Costs,
    Hardware,
    Plan,
    Progress,
    Reals,
    Slopes,
    as_costs,
    check_arguments,
    one_each,
    with_densities,
)
from sparsim.hardware.layer_costs import LayerCost, NetworkCost
from sparsim.hardware.layers_as_gemm import LoweredLayer, lowered_layers
from sparsim.mapper.layer_bound import bound_layer
from sparsim.mapper.mapping_cache import MappingCache
from sparsim.mapper.network_search import search_each
from sparsim.mapper.search_result import SearchResult
from sparsim.model.evaluate import evaluate
from sparsim.model.frozen import Frozen
from sparsim.records import Accelerator, Layer, Mapping, macs
from sparsim.records.energy_table import energy_sources
from sparsim.records.objective import Objective, ObjectiveName, objective_value

STEP = 0.01  # step of a density; the model rounds counts, so much smaller steps change nothing
SEARCH_OPTIONS = (
    "method",
    "evaluations",
    "seed",
    "start",
)  # methods whose results do not depend on the machine


class MappedAccelerator(Hardware):
    """An accelerator in the sense of Timeloop, whose mappings the mapper searches.

    Parameters
    ----------
    accelerator : Accelerator
        The record; its mapspace limits the mappings.

    Attributes
    ----------
    accelerator : Accelerator
        The record.
    name : str
        Its name.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator, self.name = accelerator, accelerator.name or "accelerator"

    @property
    def area_um2(self) -> dict[str, float]:
        areas = resolved_energy(self.accelerator)
        arch = self.accelerator.architecture
        found = {
            level.name: area * math.prod(arch.total_mesh(i))
            for i, (level, area) in enumerate(zip(arch.storage, areas.areas, strict=True))
        }
        found[arch.compute.name] = areas.compute_area * math.prod(arch.total_mesh(len(arch.storage)))
        return {name: area for name, area in found.items() if area}

    @property
    def energy_source(self) -> dict[str, dict[str, str]]:
        return energy_sources(self.accelerator.architecture, energy_table(self.accelerator))

    def plan(
        self, layers: Sequence[Layer], *, objective: ObjectiveName = "edp", folder: Path | None = None,
        progress: Progress | None = None, mappings: Sequence[Mapping] | None = None,
        planned_for: ArrayLike | None = None, **options: Any,
    ) -> AcceleratorPlan:  # fmt: skip
        """Choose one mapping of each layer that holds for all densities.

        A layer without a mapping is lowered to one that has a mapping.

        Parameters
        ----------
        layers : sequence of Layer
            Layers with the dataspaces `COLUMNS`.
        objective : {"edp", "energy", "delay"}, default "edp"
            What the mappings minimise.
        folder : Path, optional
            Where results of searches are kept for later runs; by default the user's cache.
        progress : callable, optional
            Called with the name of each layer when it is done.
        mappings : sequence of Mapping, optional
            One mapping per layer, in place of those that are searched.
        planned_for : array_like of float, shape (layers, 3), optional
            Densities that mappings are searched for; with larger ones they may not fit. By default mappings
            are searched for tensors without zeros, so that they always fit.
        **options
            None are known.

        Returns
        -------
        AcceleratorPlan
            Computes energy and cycles for any densities.

        Raises
        ------
        SpecError
            If layers, objective or options do not fit the hardware.
        MappingError
            If a layer has no mapping.
        """
        check_arguments(self, layers, options)
        return AcceleratorPlan(
            self, layers, mappings, planned_for=planned_for, objective=objective,
            folder=folder or default_folder(), progress=progress,
        )  # fmt: skip

    def cost(
        self, layers: Sequence[Layer], *, objective: Objective = "edp", progress: Progress | None = None,
        mappings: Sequence[Mapping] | None = None, **options: Any,
    ) -> NetworkCost:  # fmt: skip
        """Compute the costs of layers with their own densities, each under the best mapping for these.

        Parameters
        ----------
        layers : sequence of Layer
            The layers of a network.
        objective : str or sequence of str, default "edp"
            What the mappings minimise, as for `sparsim.search`.
        progress : callable, optional
            Called with the name of each layer when it is done.
        mappings : sequence of Mapping, optional
            One mapping per layer, in place of those that are searched.
        **options
            `method`, `evaluations`, `seed` and `start` of `sparsim.search`, unless mappings are given.

        Returns
        -------
        NetworkCost
            Energy by component, cycles and mapping of each layer.

        Raises
        ------
        SpecError
            If layers, objective or options do not fit the hardware, or if there is another number of
            mappings.
        MappingError
            If a layer has no mapping, or if a mapping is invalid.
        """
        check_arguments(self, layers, options, () if mappings is not None else SEARCH_OPTIONS, path="cost")
        pairs: list[tuple[Mapping, float | None]]
        if mappings is None:
            found = self.search(layers, objective, None, progress, **options)
            pairs = [(result.best, _gap(result)) for result in found]
        else:
            pairs = [(mapping, None) for mapping in one_each(layers, mappings)]
        costs = (
            layer_cost(self.accelerator, layer, mapping)._replace(gap=gap)
            for layer, (mapping, gap) in zip(layers, pairs, strict=True)
        )
        return NetworkCost(tuple(costs), self.area_um2)

    def lowered(
        self, layers: Sequence[Layer], objective: Objective, folder: Path | None, progress: Progress | None
    ) -> Iterator[tuple[LoweredLayer, Mapping]]:
        """Search a mapping of each layer, or of a layer that replaces it.

        Parameters
        ----------
        layers : sequence of Layer
            The layers of a network.
        objective : str or sequence of str
            What the mappings minimise, as for `sparsim.search`.
        folder : Path or None
            Where results of searches are kept for later runs; None keeps them in memory only.
        progress : callable or None
            Called with the name of each layer when it is done.

        Yields
        ------
        tuple of LoweredLayer and Mapping
            The layer itself if there is a mapping of it, otherwise a layer with as many MACs that has one.

        Raises
        ------
        MappingError, EmptyMapspaceError
            If there is no mapping of a layer, nor of a layer that it can be lowered to.
        """
        known: dict[str, tuple[LoweredLayer, Mapping]] = {}
        for layer in layers:
            key = layer.anonymous().digest()
            if key not in known:
                known[key] = self._lowered(layer, objective, folder)
            found, mapping = known[key]
            if progress is not None:
                progress(layer.name)
            yield found._replace(layer=replace(found.layer, name=layer.name)), mapping

    def _lowered(
        self, layer: Layer, objective: Objective, folder: Path | None
    ) -> tuple[LoweredLayer, Mapping]:
        refused: list[MappingError | EmptyMapspaceError] = []
        for each in lowered_layers(layer):
            try:
                (result,) = self.search([each.layer], objective, folder, None)
            except (MappingError, EmptyMapspaceError) as error:
                refused.append(error)
            else:
                return each, result.best
        raise refused[0]

    def lower_bounds(self, layers: Sequence[Layer]) -> Costs:
        return as_costs(bound_layer(self.accelerator, layer) for layer in layers)

    def search(
        self, layers: Sequence[Layer], objective: Objective, folder: Path | None, progress: Progress | None,
        **options: Any,
    ) -> Iterator[SearchResult]:  # fmt: skip
        """Search the best mapping of each layer; equal layers are searched once.

        Parameters
        ----------
        layers : sequence of Layer
            The layers of a network.
        objective : str or sequence of str
            What the mappings minimise, as for `sparsim.search`.
        folder : Path or None
            Where results are kept for later runs; None keeps them in memory only.
        progress : callable or None
            Called with the name of each layer when it is done.
        **options
            Further keyword arguments of `sparsim.search`.

        Yields
        ------
        SearchResult
            The result of each layer, in order.

        Raises
        ------
        MappingError
            If a layer has no mapping.
        """
        cache = MappingCache(folder)
        results = search_each(self.accelerator, layers, cache=cache, objective=objective, **options)
        for layer, result in zip(layers, results, strict=False):
            if not result.uncut().top:
                raise MappingError(f"no mapping of layer {layer.name} on {self.name} was found")
            if progress is not None:
                progress(layer.name)
            yield result


def _gap(result: SearchResult) -> float:
    return 0.0 if result.certificate.kind == "optimal" else result.certificate.gap


def layer_cost(accelerator: Accelerator, layer: Layer, mapping: Mapping) -> LayerCost:
    result = evaluate(accelerator, layer, mapping)
    energy = {result.compute.name: result.compute.energy_pj}
    energy |= {level.name: level.energy_pj for level in result.storage}
    return LayerCost(
        layer.name, macs(layer), result.cycles, result.utilization, energy, mapping=mapping, note=layer.note
    )


class AcceleratorPlan(Plan):
    """A plan on an accelerator, in which each layer has one mapping for all densities.

    Costs are exact: they are those of `sparsim.Frozen`. A call raises `MappingError` for densities with which
    a layer does not fit.

    Parameters
    ----------
    hardware : MappedAccelerator
        Where the layers run.
    layers : sequence of Layer
        Layers with the dataspaces `COLUMNS`.
    mappings : sequence of Mapping, optional
        One mapping per layer; by default they are searched.
    lowered : sequence of LoweredLayer, optional
        The layer that is mapped in place of each layer; by default the layers themselves. If mappings are
        searched, these layers are determined by the search.
    planned_for : array_like of float, shape (layers, 3), optional
        Densities that mappings are searched for; by default 1 for all tensors.
    objective : {"edp", "energy", "delay"}, default "edp"
        What the mappings minimise.
    folder : Path, optional
        Where results of searches are kept for later runs; by default they are kept in memory only.
    progress : callable, optional
        Called with the name of each layer when it is done.

    Attributes
    ----------
    mappings : tuple of Mapping
        The mapping of each layer.
    lowered : tuple of LoweredLayer
        The layer that is mapped in place of each layer: the layer itself if there is a mapping of it.

    Raises
    ------
    SpecError
        If the arguments do not fit together.
    EmptyMapspaceError
        If the constraints of the mapspace leave no factors.
    MappingError
        If a layer has no mapping, or if a mapping is invalid.
    """

    hardware: MappedAccelerator

    def __init__(
        self,
        hardware: MappedAccelerator,
        layers: Sequence[Layer],
        mappings: Sequence[Mapping] | None = None,
        *,
        lowered: Sequence[LoweredLayer] | None = None,
        planned_for: ArrayLike | None = None,
        objective: ObjectiveName = "edp",
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        super().__init__(hardware, layers, objective)
        self._folder = folder
        if mappings is None:
            densities = np.ones(self._size) if planned_for is None else planned_for
            found = self._searched(densities, progress)
            lowered, mappings = [each for each, _ in found], [mapping for _, mapping in found]
        self.mappings = tuple(mappings)
        self.lowered = tuple(lowered or map(LoweredLayer, self.layers))
        self._frozen = Frozen(hardware.accelerator, [each.layer for each in self.lowered], self.mappings)
        self._runs = np.array([each.runs for each in self.lowered])

    @property
    def notes(self) -> dict[str, str]:
        return {each.layer.name: each.layer.note for each in self.lowered if each.layer.note}

    def replanned(self, densities: ArrayLike, progress: Progress | None = None) -> Self:
        """Make a plan with mappings that are searched for other densities.

        A mapping of this plan, including a given one, is replaced if the search finds a better one.

        Parameters
        ----------
        densities : array_like of float, shape (layers, 3)
            Fractions of nonzeros, from 0 to 1, in the order of `COLUMNS`.
        progress : callable, optional
            Called with the name of each layer when it is done.

        Returns
        -------
        AcceleratorPlan
        """
        found = type(self)(
            self.hardware, self.layers, planned_for=densities, objective=self.objective, folder=self._folder,
            progress=progress,
        )  # fmt: skip
        try:
            better, so_far = (objective_value(self.objective, *plan(densities)) for plan in (found, self))
        except MappingError:  # one of the present mappings does not fit
            return found
        plans = [found if won else self for won in better < so_far]
        mappings = [plan.mappings[i] for i, plan in enumerate(plans)]
        lowered = [plan.lowered[i] for i, plan in enumerate(plans)]
        return type(self)(
            self.hardware, self.layers, mappings, lowered=lowered, objective=self.objective,
            folder=self._folder,
        )  # fmt: skip

    def _searched(
        self, densities: ArrayLike, progress: Progress | None
    ) -> list[tuple[LoweredLayer, Mapping]]:
        layers = with_densities(self.layers, self._checked(densities))
        return list(self.hardware.lowered(layers, self.objective, self._folder, progress))

    def _costs(self, densities: Reals) -> Costs:
        found = self._frozen(densities)
        return Costs(found.energy_pj * self._runs, found.cycles * self._runs)

    def _layer_costs(self, densities: Reals) -> tuple[LayerCost, ...]:
        layers = with_densities([each.layer for each in self.lowered], densities)
        costs = map(partial(layer_cost, self.hardware.accelerator), layers, self.mappings)
        return tuple(cost.times(each.runs) for cost, each in zip(costs, self.lowered, strict=True))

    def _slopes(self, densities: Reals) -> Slopes:
        """Return central differences for all layers at once, and one-sided differences at 0 and 1."""
        slopes = Slopes(np.empty_like(densities), np.empty_like(densities))
        for column in range(len(COLUMNS)):
            below, above = densities.copy(), densities.copy()
            below[:, column] = np.maximum(below[:, column] - STEP, 0.0)
            above[:, column] = np.minimum(above[:, column] + STEP, 1.0)
            width = above[:, column] - below[:, column]
            for slope, low, high in zip(slopes, self._costs(below), self._costs(above), strict=True):
                slope[:, column] = (high - low) / width
        return slopes
