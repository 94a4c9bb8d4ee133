"""Error bars of estimates on a chip: how much they change with each known uncertainty, mappings unchanged.

Every uncertainty is changed by itself to its low and to its high end; what a quantity gains is added in
quadrature, and so is what it loses. Energies are linear in those of components, so nothing is evaluated again
but layers with assumed densities.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from sparsim.errors import MappingError
from sparsim.machines.eyeriss.chip import DRAM, Chip
from sparsim.machines.eyeriss.cost_arrays import CLOCK
from sparsim.machines.eyeriss.layer_cost import ChipEvaluation, evaluate_chip
from sparsim.machines.eyeriss.plan_network import NetworkEvaluation
from sparsim.machines.eyeriss.uncertainties import (
    DENSITIES,
    WINDOWS,
    Uncertainty,
    energy_uncertainties,
    skips_zeros,
)
from sparsim.records import Density, Layer
from sparsim.records.objective import ObjectiveName

Reals = NDArray[np.float64]
LayerParts = tuple[float, Mapping[str, float]]
"""The cycles of a layer, and its energy in pJ by component with DRAM."""


class Totals(NamedTuple):
    """What error bars are about: of a layer, or of all layers of a network.

    Attributes
    ----------
    cycles : float
        Cycles.
    chip_pj : float
        Energy of the chip in pJ, without DRAM.
    dram_pj : float
        Energy of DRAM in pJ.
    """

    cycles: float
    chip_pj: float
    dram_pj: float


class Sensitivity(NamedTuple):
    """How far the totals of each layer move if one uncertain thing is at its low or at its high end.

    Attributes
    ----------
    uncertainty : Uncertainty
        What is uncertain.
    low, high : array of float, shape (layers, 3)
        Changes of `Totals` of each layer.
    independent : bool
        Whether each layer has an error of its own, so that those of a network are added in quadrature.
    """

    uncertainty: Uncertainty
    low: Reals
    high: Reals
    independent: bool = False

    def of_network(self) -> tuple[Reals, Reals]:
        """Return the changes of the totals of the network at the low and at the high end."""
        if not self.independent:
            return self.low.sum(axis=0), self.high.sum(axis=0)
        size = np.sqrt((self.high**2).sum(axis=0))
        return -size, size


class UncertainNetwork(NamedTuple):
    """Costs of a network on a chip, and what its uncertainties change.

    Attributes
    ----------
    layers : array of float, shape (layers, 3)
        `Totals` of each layer.
    changes : sequence of Sensitivity
        What each uncertainty changes.
    """

    layers: Reals
    changes: Sequence[Sensitivity]

    def layer(self, number: int) -> UncertainNetwork:
        """Return one layer with its uncertainties.

        Parameters
        ----------
        number : int
            Number of the layer, from 0.

        Returns
        -------
        UncertainNetwork
        """
        rows = slice(number, number + 1)
        changes = [each._replace(low=each.low[rows], high=each.high[rows]) for each in self.changes]
        return UncertainNetwork(self.layers[rows], changes)


class ErrorBar(NamedTuple):
    """An estimate with its error bar.

    Attributes
    ----------
    value : float
        The estimate.
    low, high : float
        The ends of its error bar.
    """

    value: float
    low: float
    high: float

    @property
    def minus(self) -> float:
        """How far the bar extends below the estimate, as a fraction of it."""
        return (self.value - self.low) / self.value if self.value else 0.0

    @property
    def plus(self) -> float:
        """How far the bar extends above the estimate, as a fraction of it."""
        return (self.high - self.value) / self.value if self.value else 0.0


def parts_of(found: ChipEvaluation) -> LayerParts:
    """Return the cycles and the energies of a layer on a chip."""
    return found.cycles, {**found.energy_pj, DRAM: found.dram_pj}


def totals_of(layers: Sequence[LayerParts]) -> Reals:
    """Return `Totals` of each layer, shape (layers, 3)."""
    rows = [
        (cycles, math.fsum(e for name, e in energy.items() if name != DRAM), energy.get(DRAM, 0.0))
        for cycles, energy in layers
    ]
    return np.array(rows, np.float64).reshape(-1, len(Totals._fields))


def uncertain_layers(
    chip: Chip, layers: Sequence[LayerParts], plain: Collection[int] = ()
) -> UncertainNetwork:
    """Return layers with the uncertainties of component energies and of the time of the PEs.

    A clock that runs longer takes more energy in proportion. The time of layers whose numbers are in `plain`
    is exact, because nothing is compressed there and so nothing is skipped.
    """
    found = []
    for uncertainty in energy_uncertainties(chip):
        change = np.zeros((len(layers), len(Totals._fields)))
        change[:, 1] = uncertainty.relative * np.array([
            math.fsum(energy.get(name, 0.0) for name in uncertainty.components) for _, energy in layers
        ])  # fmt: skip
        found.append(Sensitivity(uncertainty, -change, change))
    if skips_zeros(chip):
        rows = [
            (cycles, energy.get(CLOCK, 0.0), 0.0) if i not in plain else (0.0,) * 3
            for i, (cycles, energy) in enumerate(layers)
        ]
        change = WINDOWS.relative * np.array(rows, np.float64).reshape(-1, len(Totals._fields))
        found.append(Sensitivity(WINDOWS, -change, change, independent=True))
    return UncertainNetwork(totals_of(layers), found)


def uncertain_network(
    network: NetworkEvaluation, assumed: Mapping[str, frozenset[str]], objective: ObjectiveName
) -> UncertainNetwork:
    """Return a network with all known uncertainties.

    Parameters
    ----------
    network : NetworkEvaluation
        The network on a chip, whose mappings stay as they are.
    assumed : mapping of str to frozenset of str
        For each layer the tensors whose density is assumed, as from `assumed_tensors`. They may have half or
        twice the density; how they are stored is then chosen again. Where a mapping does not fit more
        nonzeros, nothing changes.
    objective : str
        What the storage of tensors minimises.

    Returns
    -------
    UncertainNetwork
    """
    plain = [i for i, found in enumerate(network.layers) if "compressed" not in found.storage.values()]
    nominal, found = uncertain_layers(network.chip, list(map(parts_of, network.layers)), plain)
    found = list(found)
    for tensor, uncertainty in DENSITIES.items():
        known: dict[tuple[str, float], Reals] = {}
        ends = []
        for factor in (uncertainty.relative, 1.0 / uncertainty.relative):
            rows = nominal.copy()
            for i, each in enumerate(network.layers):
                if tensor not in assumed.get(each.layer.name, ()):
                    continue
                key = (each.layer.anonymous().digest() + each.mapping.digest(), factor)
                if key not in known:
                    known[key] = _with_density(network.chip, each, tensor, factor, objective)
                rows[i] = known[key]
            ends.append(rows - nominal)
        if any(end.any() for end in ends):
            found.append(Sensitivity(uncertainty, ends[0], ends[1]))
    return UncertainNetwork(nominal, found)


def _with_density(
    chip: Chip, found: ChipEvaluation, tensor: str, factor: float, objective: ObjectiveName
) -> Reals:
    layer = _scaled(found.layer, tensor, factor)
    try:
        again = evaluate_chip(chip, layer, found.mapping, objective)
    except MappingError:
        again = found
    return totals_of([parts_of(again)])[0]


def _scaled(layer: Layer, tensor: str, factor: float) -> Layer:
    scaled = Density(density=min(factor * layer.density(tensor).density, 1.0))
    return replace(layer, densities={**layer.densities, tensor: scaled})


def error_bar(quantity: Callable[..., float], *networks: UncertainNetwork) -> ErrorBar:
    """Return the error bar of a quantity, such as the energy of a network or the quotient of two networks.

    Parameters
    ----------
    quantity : callable
        Computes the quantity from the `Totals` of each network: `cycles`, `chip_pj` and `dram_pj`.
    *networks : UncertainNetwork
        Uncertainties of the same name change all of them at once, unless each layer has an error of its own.

    Returns
    -------
    ErrorBar
    """
    totals = [network.layers.sum(axis=0) for network in networks]

    def value_of(moved: Sequence[Reals]) -> float:
        return quantity(*(Totals(*(total + by).tolist()) for total, by in zip(totals, moved, strict=True)))

    unmoved = [np.zeros_like(total) for total in totals]
    value, below, above = value_of(unmoved), 0.0, 0.0
    for moves in _moves(networks, unmoved):
        moved = [value_of(end) - value for end in moves]
        below += min(*moved, 0.0) ** 2
        above += max(*moved, 0.0) ** 2
    return ErrorBar(value, value - math.sqrt(below), value + math.sqrt(above))


def _moves(
    networks: Sequence[UncertainNetwork], unmoved: list[Reals]
) -> list[tuple[list[Reals], list[Reals]]]:
    """Return for each uncertainty the changes of the totals of all networks at its low and its high end."""
    found: dict[object, tuple[list[Reals], list[Reals]]] = {}
    for i, network in enumerate(networks):
        for change in network.changes:
            name = change.uncertainty.name
            key = (name, i) if change.independent else name
            ends = found.setdefault(key, (list(unmoved), list(unmoved)))
            for end, by in zip(ends, change.of_network(), strict=True):
                end[i] = by
    return list(found.values())
