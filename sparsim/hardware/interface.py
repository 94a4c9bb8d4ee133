"""The interface to all hardware: a network on a hardware has a plan, which gives costs for any densities.

    hardware = load_hardware("eyeriss_v2")
    plan = hardware.plan(workload.layers, objective="edp")
    energy_pj, cycles = plan(densities)

Densities are nonzero fractions, (layers, 3) in the order of `COLUMNS`. If densities change, shapes, hardware
and the set of mappings of a plan stay the same; `Plan.replanned` searches new mappings.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from msgspec.structs import replace
from numpy.typing import ArrayLike, NDArray

from sparsim.errors import SpecError, near
from sparsim.hardware.layer_costs import UM2_PER_MM2, NetworkCost
from sparsim.records import Layer
from sparsim.records.objective import OBJECTIVES, Objective, ObjectiveName

Reals = NDArray[np.float64]
Progress = Callable[[str], object]

COLUMNS = ("Weights", "Inputs", "Outputs")


class Costs(NamedTuple):
    """Costs of a network, layer by layer.

    Attributes
    ----------
    energy_pj : array of float, shape (layers,)
        Energy in pJ, DRAM included.
    cycles : array of float, shape (layers,)
        Cycles.
    """

    energy_pj: Any
    cycles: Any


class Slopes(NamedTuple):
    """Derivatives of the costs of each layer with respect to its own densities.

    Attributes
    ----------
    energy_pj : array of float, shape (layers, 3)
        Change of the energy in pJ per unit of density, in the order of `COLUMNS`.
    cycles : array of float, shape (layers, 3)
        Change of the cycles per unit of density, in the order of `COLUMNS`.
    """

    energy_pj: Reals
    cycles: Reals


class Hardware(ABC):
    """Hardware that runs networks: an accelerator with a mapspace, a whole chip, or a machine.

    Attributes
    ----------
    name : str
        Name for messages and tables.
    clock_mhz : float or None
        Clock in MHz; None if it is not known.
    """

    name: str
    clock_mhz: float | None = None

    @property
    @abstractmethod
    def area_um2(self) -> dict[str, float]:
        """Area of all instances in um^2, by component; empty if no area is known."""

    @property
    @abstractmethod
    def energy_source(self) -> dict[str, dict[str, str]]:
        """Sources of the energies by component and action, as `sparsim.records.energy_table` names them."""

    @abstractmethod
    def plan(
        self, layers: Sequence[Layer], *, objective: ObjectiveName = "edp", folder: Path | None = None,
        progress: Progress | None = None, **options: Any,
    ) -> Plan:  # fmt: skip
        """Choose mappings of layers that hold for all densities.

        Parameters
        ----------
        layers : sequence of Layer
            Layers with the dataspaces `COLUMNS`.
        objective : {"edp", "energy", "delay"}, default "edp"
            What the mappings minimise.
        folder : Path, optional
            Where plans are kept for later runs, by content; by default the user's cache.
        progress : callable, optional
            Called with the name of each layer when it is done.
        **options
            What only some kinds of hardware can be told.

        Returns
        -------
        Plan
            Computes energy and cycles for any densities.

        Raises
        ------
        SpecError
            If layers, objective or options do not fit the hardware.
        MappingError
            If a layer has no mapping.
        """

    @abstractmethod
    def cost(
        self, layers: Sequence[Layer], *, objective: Objective = "edp", progress: Progress | None = None,
        **options: Any,
    ) -> NetworkCost:  # fmt: skip
        """Compute the costs of layers with their own densities, each under the best mapping for these.

        Parameters
        ----------
        layers : sequence of Layer
            The layers of a network.
        objective : str or sequence of str, default "edp"
            What the mappings minimise: "edp", "energy", "delay", or several of them in this order.
        progress : callable, optional
            Called with the name of each layer when it is done.
        **options
            What only some kinds of hardware can be told.

        Returns
        -------
        NetworkCost
            Energy by component, cycles and mapping of each layer. Nothing is kept for later runs.

        Raises
        ------
        SpecError
            If layers, objective or options do not fit the hardware.
        MappingError
            If a layer has no mapping.
        """

    @abstractmethod
    def lower_bounds(self, layers: Sequence[Layer]) -> Costs:
        """Compute lower bounds of the costs of each layer with its own densities, for any mapping.

        The bounds take milliseconds, because nothing is searched. The bounds of energy and cycles are
        independent: there may be no mapping that reaches both.

        Parameters
        ----------
        layers : sequence of Layer
            The layers of a network.

        Returns
        -------
        Costs
            Lower bounds of energy in pJ and of cycles.

        Raises
        ------
        SpecError
            If a layer does not fit the hardware.
        """


class Plan(ABC):
    """Energy and cycles of layers, which run one after the other, for densities of all of them.

    A plan is made by `Hardware.plan`.

    Parameters
    ----------
    hardware : Hardware
        Where the layers run.
    layers : sequence of Layer
        Layers with the dataspaces `COLUMNS`.
    objective : str
        What the mappings minimise: "edp", "energy" or "delay".

    Raises
    ------
    SpecError
        If there are no layers, if the objective is unknown, or if a layer has other dataspaces.
    """

    def __init__(self, hardware: Hardware, layers: Sequence[Layer], objective: ObjectiveName) -> None:
        if objective not in OBJECTIVES:
            raise SpecError(f"unknown objective {objective!r}", hint=near(str(objective), OBJECTIVES))
        for layer in layers:
            names = tuple(dataspace.name for dataspace in layer.shape.dataspaces)
            if names != COLUMNS:
                text = f"dataspaces must be {', '.join(COLUMNS)}, got {', '.join(names)}"
                raise SpecError(text, path=f"plan, layer {layer.name}")
        self.hardware, self.layers, self.objective = hardware, tuple(layers), objective
        self._latest: tuple[Reals, Costs] | None = None  # densities with their costs, replaced as one

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the layers."""
        return tuple(layer.name for layer in self.layers)

    @property
    def notes(self) -> dict[str, str]:
        """What is costed in place of layers that are not costed as they are, by the names of these layers."""
        return {layer.name: layer.note for layer in self.layers if layer.note}

    @property
    def area_mm2(self) -> float:
        """Area of the hardware in mm^2; 0 if no area is known."""
        return math.fsum(self.hardware.area_um2.values()) / UM2_PER_MM2

    @property
    def densities(self) -> Reals:
        """Densities of the layers as given, shape (layers, 3), in the order of `COLUMNS`."""
        return np.array([[layer.density(name).density for name in COLUMNS] for layer in self.layers])

    def __call__(self, densities: ArrayLike) -> Costs:
        """Compute energy and cycles of each layer.

        The results of the previous call are cached.

        Parameters
        ----------
        densities : array_like of float, shape (layers, 3)
            Fractions of nonzeros, from 0 to 1, in the order of `COLUMNS`.

        Returns
        -------
        Costs
            Energy in pJ and cycles of each layer.

        Raises
        ------
        SpecError
            If the densities have a wrong shape or are outside of 0 to 1.
        MappingError
            If a layer does not fit with these densities.
        """
        values, latest = self._checked(densities), self._latest
        if latest is None or not np.array_equal(values, latest[0]):
            latest = self._latest = values.copy(), self._costs(values)
        return Costs(*(field.copy() for field in latest[1]))

    def slopes(self, densities: ArrayLike) -> Slopes:
        """Compute how the costs of each layer change with its densities.

        Parameters
        ----------
        densities : array_like of float, shape (layers, 3)
            Fractions of nonzeros, from 0 to 1, in the order of `COLUMNS`.

        Returns
        -------
        Slopes
            Derivatives of energy and cycles.

        Raises
        ------
        SpecError, MappingError
            For the same reasons as a call of the plan.
        """
        return self._slopes(self._checked(densities))

    def savings(self, densities: ArrayLike) -> Slopes:
        """Compute the savings of further zeros, as derivatives with respect to the densities.

        The savings are the `slopes`, except for weights that are stored uncompressed because they have few
        zeros. One more zero saves nothing there, so the result is what a weight saves on average if all of
        them become zero and are compressed.

        Parameters
        ----------
        densities : array_like of float, shape (layers, 3)
            Fractions of nonzeros, from 0 to 1, in the order of `COLUMNS`.

        Returns
        -------
        Slopes
            Derivatives of energy and cycles.

        Raises
        ------
        SpecError, MappingError
            For the same reasons as a call of the plan.
        """
        return self._savings(self._checked(densities))

    def by_component(self, densities: ArrayLike) -> NetworkCost:
        """Evaluate every layer in full.

        Parameters
        ----------
        densities : array_like of float, shape (layers, 3)
            Fractions of nonzeros, from 0 to 1, in the order of `COLUMNS`.

        Returns
        -------
        NetworkCost
            Energy by component, cycles and mapping of each layer.

        Raises
        ------
        SpecError, MappingError
            For the same reasons as a call of the plan.
        """
        return NetworkCost(self._layer_costs(self._checked(densities)), self.hardware.area_um2)

    @abstractmethod
    def replanned(self, densities: ArrayLike, progress: Progress | None = None) -> Self:
        """Make a plan of the same network with mappings for other densities.

        Parameters
        ----------
        densities : array_like of float, shape (layers, 3)
            Fractions of nonzeros, from 0 to 1, in the order of `COLUMNS`.
        progress : callable, optional
            Called with the name of each layer when it is done.

        Returns
        -------
        Plan
            A new plan of the same class.

        Raises
        ------
        SpecError
            If the densities have a wrong shape or are outside of 0 to 1.
        MappingError
            If a layer has no mapping.
        """

    @abstractmethod
    def _costs(self, densities: Reals) -> Costs: ...

    @abstractmethod
    def _slopes(self, densities: Reals) -> Slopes: ...

    @abstractmethod
    def _layer_costs(self, densities: Reals) -> tuple[Any, ...]: ...

    def _savings(self, densities: Reals) -> Slopes:
        return self._slopes(densities)

    @property
    def _size(self) -> tuple[int, int]:
        return len(self.layers), len(COLUMNS)

    def _checked(self, densities: ArrayLike) -> Reals:
        values = np.ascontiguousarray(densities, np.float64)
        if values.shape != self._size:
            raise SpecError(f"densities must have shape {self._size}, got {values.shape}")
        if not ((values >= 0.0) & (values <= 1.0)).all():  # also refuses nan
            i, column = np.argwhere(~((values >= 0.0) & (values <= 1.0)))[0]
            raise SpecError(
                f"density of {COLUMNS[column]} of layer {self.layers[i].name} must be between 0 and 1, "
                f"got {values[i, column]:g}"
            )
        return values


def with_densities(layers: Sequence[Layer], densities: ArrayLike) -> tuple[Layer, ...]:
    """Return layers with other densities.

    Parameters
    ----------
    layers : sequence of Layer
        Layers with the dataspaces `COLUMNS`.
    densities : array_like of float, shape (layers, 3)
        Fractions of nonzeros, from 0 to 1, in the order of `COLUMNS`.

    Returns
    -------
    tuple of Layer
        The layers with these densities. How the nonzeros are distributed stays as it is.

    Examples
    --------
    >>> from sparsim import gemm
    >>> from sparsim.hardware import with_densities
    >>> layer, = with_densities([gemm(8, 1, 64)], [[0.1, 0.5, 1.0]])
    >>> layer.density("Weights").density
    0.1
    """
    return tuple(
        replace(layer, densities={
            name: replace(layer.density(name), density=float(value), spread=0.0)
            for name, value in zip(COLUMNS, row, strict=True)
        })
        for layer, row in zip(layers, np.asarray(densities), strict=True)
    )  # fmt: skip


def check_arguments(
    hardware: Hardware, layers: Sequence[Layer], options: Mapping[str, Any], known: Sequence[str] = (),
    path: str = "plan",
) -> None:  # fmt: skip
    """Raise SpecError for objects that are not layers, and for options that the hardware does not have."""
    others = (
        [each for each in layers if not isinstance(each, Layer)] if isinstance(layers, Sequence) else [layers]
    )
    if others:
        text = f"the layers must be a sequence of sparsim.Layer, got a {type(others[0]).__name__}"
        raise SpecError(text, path=path, hint="those of a trace are workload_of(trace, ...).layers")
    if not layers:
        raise SpecError("at least one layer is needed", path=path)
    unknown = [name for name in options if name not in known]
    if unknown:
        hint = near(unknown[0], known) if known else ""
        raise SpecError(f"{hardware.name} has no option {', '.join(unknown)}", path=path, hint=hint)


def one_each(layers: Sequence[Layer], mappings: Sequence[Any]) -> Sequence[Any]:
    """Return the mappings. Raises SpecError unless there are as many as layers."""
    if len(mappings) != len(layers):
        raise SpecError(
            f"there must be as many mappings as layers, got {len(mappings)} for {len(layers)}", path="cost"
        )
    return mappings


def as_costs(each: Iterable[tuple[float, float]]) -> Costs:
    """Return costs from the energy and cycles of each layer."""
    energy, cycles = np.array(list(each), np.float64).reshape(-1, 2).T
    return Costs(energy, cycles)
