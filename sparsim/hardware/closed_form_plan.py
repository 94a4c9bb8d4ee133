"""Machines that need no mappings: the cost of a layer is a function of its shape and its densities."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from sparsim.errors import SpecError
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
)
from sparsim.hardware.layer_costs import LayerCost, NetworkCost
from sparsim.machines.masked_layers import with_counted_densities
from sparsim.records import Layer, Workload, macs
from sparsim.records.machine_spec import MachineSpec
from sparsim.records.objective import Objective, ObjectiveName, objective_names

STEP = 1e-4  # step of a density for finite differences


class LayerEstimate(NamedTuple):
    """Costs of a layer on a machine.

    Attributes
    ----------
    cycles : float
        Cycles of the layer, not rounded.
    energy_pj : dict of str to float
        Energy in pJ by component.
    utilization : float
        Share of the slots for MACs, of all units in all cycles, that are used.
    limit : str
        Resource that determines the cycles.
    note : str
        What is costed in place of the layer, or what its costs leave out.
    details : dict of str to float
        Further numbers by the heads of their columns; they are added up over layers.
    """

    cycles: float
    energy_pj: dict[str, float]
    utilization: float
    limit: str
    note: str = ""
    details: dict[str, float] = {}


class ClosedFormMachine(Hardware):
    """A machine on which the costs of a layer depend only on its shape and its densities.

    A subclass implements `estimate`, and `area_um2` and `energy_source` as all hardware does. It may refuse
    layers in `check`, and use more than densities, such as masks, in `measured`.

    Parameters
    ----------
    spec : MachineSpec
        The record of the machine.

    Attributes
    ----------
    spec : MachineSpec
        The record.
    name : str
        Its name.
    clock_mhz : float
        Its clock in MHz.
    left_out : tuple of str
        Costs that this machine does not include.
    """

    left_out: tuple[str, ...] = ()

    @property
    def properties(self) -> dict[str, float]:
        """Numbers that follow from the record alone, by name, for tables; by default there are none."""
        return {}

    def __init__(self, spec: MachineSpec) -> None:
        self.spec, self.name, self.clock_mhz = spec, spec.name, spec.clock_mhz

    @abstractmethod
    def estimate(self, layer: Layer, densities: Sequence[float]) -> LayerEstimate:
        """Compute the costs of a layer.

        Parameters
        ----------
        layer : Layer
            A layer with the dataspaces `COLUMNS`, of which only the shape is used.
        densities : sequence of three float
            Fractions of nonzeros in the order of `COLUMNS`.

        Returns
        -------
        LayerEstimate

        Raises
        ------
        SpecError
            If the machine cannot run the layer.
        """

    def check(self, layers: Sequence[Layer]) -> None:
        """Refuse layers that the machine cannot run together, or warn of them; by default do nothing.

        Parameters
        ----------
        layers : sequence of Layer
            The layers of a network.
        """

    def check_workload(self, workload: Workload) -> None:
        """Refuse a network that the machine cannot store, by the provenance of its workload.

        Parameters
        ----------
        workload : Workload
            The network.
        """

    def measured(self, layer: Layer) -> LayerEstimate:
        """Compute the costs of a layer from everything that it contains; by default from its densities.

        Parameters
        ----------
        layer : Layer
            The layer.

        Returns
        -------
        LayerEstimate

        Raises
        ------
        SpecError
            If the machine cannot run the layer.
        """
        return self.estimate(layer, ClosedFormPlan(self, [layer], "edp").densities[0].tolist())

    def plan(
        self, layers: Sequence[Layer], *, objective: ObjectiveName = "edp", folder: Path | None = None,
        progress: Progress | None = None, **options: Any,
    ) -> ClosedFormPlan:  # fmt: skip
        """Make a plan; there are no mappings to choose from.

        Parameters
        ----------
        layers : sequence of Layer
            Layers with the dataspaces `COLUMNS`.
        objective : {"edp", "energy", "delay"}, default "edp"
            Without effect, as there is nothing to choose.
        folder : Path, optional
            Without effect, as nothing is kept.
        progress : callable, optional
            Called with the name of each layer when it is done.
        **options
            None are known.

        Returns
        -------
        ClosedFormPlan
            Computes energy and cycles for any densities.

        Raises
        ------
        SpecError
            If layers, objective or options do not fit the machine.
        """
        check_arguments(self, layers, options)
        plan = ClosedFormPlan(self, layers, objective)
        self.check(layers)
        plan(plan.densities)
        _tell(layers, progress)
        return plan

    def cost(
        self, layers: Sequence[Layer], *, objective: Objective = "edp", progress: Progress | None = None,
        **options: Any,
    ) -> NetworkCost:  # fmt: skip
        """Compute the costs of layers with their own densities and masks.

        Parameters
        ----------
        layers : sequence of Layer
            The layers of a network.
        objective : str or sequence of str, default "edp"
            Without effect, as there is nothing to choose.
        progress : callable, optional
            Called with the name of each layer when it is done.
        **options
            None are known.

        Returns
        -------
        NetworkCost
            Energy by component and cycles of each layer.

        Raises
        ------
        SpecError
            If layers, objective or options do not fit the machine.
        """
        check_arguments(self, layers, options, path="cost")
        objective_names(objective)
        ClosedFormPlan(self, layers, "edp")  # checks the layers
        self.check(layers)
        found = []
        for layer in layers:
            found.append(layer_cost(layer, self.measured(layer)))
            _tell([layer], progress)
        return NetworkCost(tuple(found), self.area_um2)

    def lower_bounds(self, layers: Sequence[Layer]) -> Costs:
        """Return the costs of `cost`, because there are no mappings that could be better.

        Parameters
        ----------
        layers : sequence of Layer
            The layers of a network.

        Returns
        -------
        Costs
            Energy in pJ and cycles of each layer.
        """
        return as_costs((cost.total_pj, cost.cycles) for cost in self.cost(layers).layers)


class ClosedFormPlan(Plan):
    """A plan on a machine that needs no mappings.

    Slopes are differences between costs of close densities. `savings` are those of half the density, because
    on many machines costs change in steps, or the first few zeros save nothing.

    Parameters
    ----------
    hardware : ClosedFormMachine
        Where the layers run.
    layers : sequence of Layer
        Layers with the dataspaces `COLUMNS`.
    objective : {"edp", "energy", "delay"}
        Without effect, as there is nothing to choose.

    Raises
    ------
    SpecError
        If there are no layers, if the objective is unknown, if a layer has other dataspaces, or if a density
        is no fraction.
    """

    hardware: ClosedFormMachine

    def __init__(
        self, hardware: ClosedFormMachine, layers: Sequence[Layer], objective: ObjectiveName
    ) -> None:
        super().__init__(hardware, layers, objective)
        for layer in layers:
            for name in COLUMNS:
                if layer.density(name).distribution == "banded":
                    where = f"layer {layer.name}, density of {name}"
                    text = f"{hardware.name} needs a fraction, got 'banded'"
                    raise SpecError(text, path=where)

    @cached_property
    def densities(self) -> Reals:  # type: ignore[override]
        """Densities that the layers came with, those of masks counted, shape (layers, 3)."""
        layers = map(with_counted_densities, self.layers)
        return np.array([[layer.density(name).density for name in COLUMNS] for layer in layers])

    @property
    def notes(self) -> dict[str, str]:
        costs = self._layer_costs(self.densities)
        return {cost.layer: cost.note for cost in costs if cost.note}

    def replanned(self, densities: ArrayLike, progress: Progress | None = None) -> Self:
        """Return this plan, which has no mappings.

        Parameters
        ----------
        densities : array_like of float, shape (layers, 3)
            Fractions of nonzeros, from 0 to 1, in the order of `COLUMNS`.
        progress : callable, optional
            Called with the name of each layer when it is done.

        Returns
        -------
        ClosedFormPlan
        """
        self._checked(densities)
        _tell(self.layers, progress)
        return self

    def _estimates(self, densities: Reals) -> Iterable[LayerEstimate]:
        return map(self.hardware.estimate, self.layers, densities.tolist())

    def _costs(self, densities: Reals) -> Costs:
        found = self._estimates(densities)
        return as_costs((math.fsum(each.energy_pj.values()), each.cycles) for each in found)

    def _slopes(self, densities: Reals) -> Slopes:
        low, high = (np.clip(densities + side, 0.0, 1.0) for side in (-STEP, STEP))
        return self._between(densities, low, high)

    def _savings(self, densities: Reals) -> Slopes:
        return self._between(densities, densities / 2.0, np.maximum(densities, STEP))

    def _between(self, densities: Reals, low: Reals, high: Reals) -> Slopes:
        """Return changes per unit of density from low to high densities of one tensor at a time."""
        found = np.zeros((2, *self._size))
        for column in range(self._size[1]):
            below, above = densities.copy(), densities.copy()
            below[:, column], above[:, column] = low[:, column], high[:, column]
            change = np.array(self._costs(above)) - np.array(self._costs(below))
            found[:, :, column] = change / (high - low)[:, column]
        return Slopes(*found)

    def _layer_costs(self, densities: Reals) -> tuple[LayerCost, ...]:
        return tuple(map(layer_cost, self.layers, self._estimates(densities)))


def layer_cost(layer: Layer, found: LayerEstimate) -> LayerCost:
    note = ", ".join(filter(None, (layer.note, found.note)))
    return LayerCost(
        layer.name, macs(layer), math.ceil(found.cycles), found.utilization, found.energy_pj, note=note,
        limit=found.limit, details=found.details,
    )  # fmt: skip


def _tell(layers: Iterable[Layer], progress: Progress | None) -> None:
    for layer in layers:
        if progress is not None:
            progress(layer.name)
