"""The interface to all hardware: a network on it has a plan, and a plan tells costs for any densities.

    hardware = load_hardware("eyeriss_v2")
    plan = hardware.plan(workload.layers, objective="edp")
    energy_pj, cycles = plan(densities)

Densities are nonzero fractions, (layers, 3) in the order of `COLUMNS`. Shapes, hardware and the mappings that
there are to choose from stay as they are when densities change; `Plan.replanned` finds new ones.
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
    """Of each layer (layers,): energy in pJ, DRAM included, and cycles."""

    energy_pj: Any
    cycles: Any


class Slopes(NamedTuple):
    """Derivatives of each layer's costs with respect to its own densities, (layers, 3)."""

    energy_pj: Reals
    cycles: Reals


class Hardware(ABC):
    """Something that networks run on: an accelerator with a mapspace, or a whole machine.

    `name` is for messages and tables.
    """

    name: str

    @property
    @abstractmethod
    def area_um2(self) -> dict[str, float]:
        """Area of all instances by component; empty where no area is known."""

    @property
    @abstractmethod
    def energy_source(self) -> dict[str, dict[str, str]]:
        """Where energies come from, by component and action, in the words of
        `sparsim.records.energy_table`."""

    @abstractmethod
    def plan(
        self, layers: Sequence[Layer], *, objective: ObjectiveName = "edp", folder: Path | None = None,
        progress: Progress | None = None, **options: Any,
    ) -> Plan:  # fmt: skip
        """Choose mappings of `layers` that hold for all densities.

        Parameters
        ----------
        layers : sequence of Layer
            With the dataspaces `COLUMNS`.
        objective : {"edp", "energy", "delay"}
            What mappings are chosen by.
        folder : Path, optional
            Where plans are kept for later runs, by content; the user's cache by default.
        progress : callable, optional
            Called with the name of each layer when it is done.
        options
            What a kind of hardware can be told besides.

        Raises
        ------
        SpecError
            For layers, objectives and options that do not fit the hardware.
        MappingError
            If a layer has no mapping.
        """

    @abstractmethod
    def cost(
        self, layers: Sequence[Layer], *, objective: Objective = "edp", progress: Progress | None = None,
        **options: Any,
    ) -> NetworkCost:  # fmt: skip
        """What `layers` cost with the densities that they have, each under the best mapping for these.

        Parameters and errors are those of `plan`, but nothing is kept for later runs.
        """

    @abstractmethod
    def lower_bounds(self, layers: Sequence[Layer]) -> Costs:
        """What each layer costs at least, with the densities that it has and whatever the mapping.

        Takes milliseconds, no search. Energy and cycles hold each by itself: no mapping need reach both.
        Raises SpecError for layers that do not fit the hardware.
        """


class Plan(ABC):
    """Energy and cycles of `layers`, one after the other, for densities of all of them."""

    def __init__(self, hardware: Hardware, layers: Sequence[Layer], objective: ObjectiveName) -> None:
        if not layers:
            raise SpecError("no layers are given, at least one is needed", path="plan")
        if objective not in OBJECTIVES:
            raise SpecError(f"unknown objective {objective!r}", hint=near(str(objective), OBJECTIVES))
        for layer in layers:
            names = tuple(dataspace.name for dataspace in layer.shape.dataspaces)
            if names != COLUMNS:
                text = (
                    f"layer {layer.name} has dataspaces {', '.join(names)}, needed are {', '.join(COLUMNS)}"
                )
                raise SpecError(text, path="plan")
        self.hardware, self.layers, self.objective = hardware, tuple(layers), objective
        self._latest: tuple[Reals, Costs] | None = None  # densities with their costs, replaced as one

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(layer.name for layer in self.layers)

    @property
    def notes(self) -> dict[str, str]:
        """What is costed in place of layers that are not costed as they are, by their names."""
        return {layer.name: layer.note for layer in self.layers if layer.note}

    @property
    def area_mm2(self) -> float:
        """Of the hardware; 0 where no area is known."""
        return math.fsum(self.hardware.area_um2.values()) / UM2_PER_MM2

    @property
    def densities(self) -> Reals:
        """Those that the layers came with."""
        return np.array([[layer.density(name).density for name in COLUMNS] for layer in self.layers])

    def __call__(self, densities: ArrayLike) -> Costs:
        """Energy and cycles of each layer. The densities of the call before are answered from memory.

        Raises SpecError for a wrong number of densities and for those outside [0, 1], MappingError for
        densities with which a layer does not fit.
        """
        values, latest = self._checked(densities), self._latest
        if latest is None or not np.array_equal(values, latest[0]):
            latest = self._latest = values.copy(), self._costs(values)
        return Costs(*(field.copy() for field in latest[1]))

    def slopes(self, densities: ArrayLike) -> Slopes:
        """Raises what a call raises."""
        return self._slopes(self._checked(densities))

    def savings(self, densities: ArrayLike) -> Slopes:
        """What the next zeros save, by density: `slopes`, but of weights that are stored plainly because they
        have few zeros, so that one more saves nothing, what it saves once they are compressed."""
        return self._savings(self._checked(densities))

    def by_component(self, densities: ArrayLike) -> NetworkCost:
        """Every layer evaluated in full, with its energy by component. Raises what a call raises."""
        return NetworkCost(self._layer_costs(self._checked(densities)), self.hardware.area_um2)

    @abstractmethod
    def replanned(self, densities: ArrayLike, progress: Progress | None = None) -> Self:
        """The same network with mappings for these densities. Raises what finding mappings raises."""

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
            raise SpecError(f"densities have shape {values.shape}, needed is {self._size}")
        if not ((values >= 0.0) & (values <= 1.0)).all():  # also refuses nan
            i, column = np.argwhere(~((values >= 0.0) & (values <= 1.0)))[0]
            raise SpecError(
                f"density of {COLUMNS[column]} of layer {self.layers[i].name} is {values[i, column]:g}, "
                "allowed is 0 to 1"
            )
        return values


def with_densities(layers: Sequence[Layer], densities: ArrayLike) -> tuple[Layer, ...]:
    """The layers with these densities, (layers, 3), how they are distributed staying as it is."""
    return tuple(
        replace(layer, densities={
            name: replace(layer.density(name), density=float(value), spread=0.0)
            for name, value in zip(COLUMNS, row, strict=True)
        })
        for layer, row in zip(layers, np.asarray(densities), strict=True)
    )  # fmt: skip


def refuse_options(
    hardware: Hardware, options: Mapping[str, Any], known: Sequence[str] = (), path: str = "plan"
) -> None:
    """Raise SpecError for options that a kind of hardware does not have."""
    unknown = [name for name in options if name not in known]
    if unknown:
        hint = near(unknown[0], known) if known else ""
        raise SpecError(f"{hardware.name} has no option {', '.join(unknown)}", path=path, hint=hint)


def one_each(layers: Sequence[Layer], mappings: Sequence[Any]) -> Sequence[Any]:
    """The mappings. Raises SpecError unless there are as many as layers."""
    if len(mappings) != len(layers):
        raise SpecError(f"{len(mappings)} mappings are given for {len(layers)} layers", path="cost")
    return mappings


def as_costs(each: Iterable[tuple[float, float]]) -> Costs:
    """Costs from energy and cycles of each layer."""
    energy, cycles = np.array(list(each), np.float64).reshape(-1, 2).T
    return Costs(energy, cycles)
