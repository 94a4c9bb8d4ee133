"""What a network costs on hardware as a function of its densities: one interface to all kinds of hardware.

Densities are nonzero fractions, (layers, 3) in the order of `COLUMNS`. Shapes, hardware and the mappings that
there are to choose from stay as they are when densities change; `replanned` finds new ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, NamedTuple, Self, TypeVar

import numpy as np
import torch
from msgspec.structs import replace
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from gmp.errors import PruningError
from sparsim.errors import near
from sparsim.records import Layer

Reals = NDArray[np.float64]
T = TypeVar("T", Reals, Tensor)
Objective = Literal["energy", "delay", "edp"]
Progress = Callable[[str], object]

COLUMNS = ("Weights", "Inputs", "Outputs")
OBJECTIVES = ("energy", "delay", "edp")


class Costs(NamedTuple, Generic[T]):
    """Of each layer (layers,): energy in pJ, DRAM included, and cycles."""

    energy_pj: T
    cycles: T


class Slopes(NamedTuple):
    """Derivatives of each layer's costs with respect to its own densities, (layers, 3)."""

    energy_pj: Reals
    cycles: Reals


class NetworkCost(ABC):
    """Energy and cycles of `layers`, one after the other, for densities of all of them.

    `hardware` is its name. `densities` are those that the layers came with, (layers, 3).
    """

    def __init__(self, hardware: str, layers: Sequence[Layer]) -> None:
        if not layers:
            raise PruningError("no layers are given, at least one is needed")
        for layer in layers:
            names = tuple(dataspace.name for dataspace in layer.shape.dataspaces)
            if names != COLUMNS:
                raise PruningError(
                    f"layer {layer.name} has dataspaces {', '.join(names)}, needed are {', '.join(COLUMNS)}"
                )
        self.hardware, self.layers = hardware, tuple(layers)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(layer.name for layer in self.layers)

    @property
    def energy_source(self) -> dict[str, dict[str, str]]:
        """Where energies come from, by level and action, in the words of
        `sparsim.records.energy_table`; empty where the cost is of no levels."""
        return {}

    @property
    def densities(self) -> Reals:
        return np.array([[layer.density(name).density for name in COLUMNS] for layer in self.layers])

    def __call__(self, densities: ArrayLike) -> Costs[Reals]:
        """Raises PruningError for densities outside [0, 1] and for a wrong number of them."""
        return self._costs(self._checked(densities))

    def slopes(self, densities: ArrayLike) -> Slopes:
        """Raises what a call raises."""
        return self._slopes(self._checked(densities))

    def savings(self, densities: ArrayLike) -> Slopes:
        """What the next zeros save, by density: `slopes`, but of weights that are stored plainly because they
        have few zeros, so that one more saves nothing, what it saves once they are compressed."""
        return self._savings(self._checked(densities))

    def torch(self, densities: Tensor) -> Costs[Tensor]:
        """The same numbers (layers,) with gradients with respect to `densities`, which are `slopes`.

        `cost.torch(d).energy_pj.sum()` is the network's energy. Second derivatives are not available.
        """
        energy, cycles = _Cost.apply(self, densities)  # type: ignore[no-untyped-call]
        return Costs(energy, cycles)

    @abstractmethod
    def replanned(self, densities: ArrayLike, progress: Progress | None = None) -> Self:
        """The same network with mappings for these densities. Raises what finding mappings raises."""

    @abstractmethod
    def _costs(self, densities: Reals) -> Costs[Reals]: ...

    @abstractmethod
    def _slopes(self, densities: Reals) -> Slopes: ...

    def _savings(self, densities: Reals) -> Slopes:
        return self._slopes(densities)

    @property
    def _size(self) -> tuple[int, int]:
        return len(self.layers), len(COLUMNS)

    def _checked(self, densities: ArrayLike) -> Reals:
        values = np.ascontiguousarray(densities, np.float64)
        if values.shape != self._size:
            raise PruningError(f"densities have shape {values.shape}, needed is {self._size}")
        if not ((values >= 0.0) & (values <= 1.0)).all():  # also refuses nan
            i, column = np.argwhere(~((values >= 0.0) & (values <= 1.0)))[0]
            raise PruningError(
                f"density of {COLUMNS[column]} of layer {self.layers[i].name} is {values[i, column]:g}, "
                "allowed is 0 to 1"
            )
        return values


class _Cost(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, cost: NetworkCost, densities: Tensor) -> tuple[Tensor, Tensor]:
        values = densities.detach().cpu().double().numpy()
        ctx.slopes = cost.slopes(values) if densities.requires_grad else None
        ctx.like = densities
        energy, cycles = (torch.from_numpy(x).to(densities) for x in cost(values))
        return energy, cycles

    @staticmethod
    @once_differentiable  # a second derivative would lack that of the slopes
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor]:
        parts = [
            g[:, None] * torch.from_numpy(s).to(ctx.like) for g, s in zip(grads, ctx.slopes, strict=True)
        ]
        return None, parts[0] + parts[1]


def with_densities(layers: Sequence[Layer], densities: ArrayLike) -> tuple[Layer, ...]:
    """The layers with these densities, (layers, 3), how they are distributed staying as it is."""
    return tuple(
        replace(layer, densities={
            name: replace(layer.density(name), density=float(value), spread=0.0)
            for name, value in zip(COLUMNS, row, strict=True)
        })
        for layer, row in zip(layers, np.asarray(densities), strict=True)
    )  # fmt: skip


def metric_of(objective: Objective, costs: Costs[T]) -> T:
    """What the objective asks to be little, of energies and cycles."""
    energy, cycles = costs
    return {"energy": energy, "delay": cycles, "edp": energy * cycles}[objective]


def check_objective(objective: str) -> None:
    """Raise PruningError for an unknown one."""
    if objective not in OBJECTIVES:
        raise PruningError(f"unknown objective {objective!r} ({near(str(objective), OBJECTIVES)})")
