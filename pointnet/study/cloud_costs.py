"""Costs of single test clouds on a design, and their spread around the mean costs of a network."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pointnet.study import design_costs
from sparsim.hardware import NetworkCost, with_densities
from sparsim.records import Layer

CLOUDS = 32  # chosen evenly from all traced clouds, which are ordered by class
PERCENTILES = (10, 90)


class CloudCosts(NamedTuple):
    """Energy and cycles of one inference for each cloud."""

    energy_uj: list[float]
    cycles: list[int]

    def range_of(self, quantity: str) -> tuple[float, float]:
        """Return the 10th and the 90th percentile of "energy" or "cycles"."""
        low, high = np.percentile(self.cycles if quantity == "cycles" else self.energy_uj, PERCENTILES)
        return float(low), float(high)


def cloud_costs(
    design: str, layers: Sequence[Layer], cost: NetworkCost, clouds: Sequence[Sequence[tuple[float, float]]]
) -> CloudCosts:
    """Evaluate up to `CLOUDS` clouds one by one.

    Parameters
    ----------
    design : str
    layers : sequence of Layer
        Those of the network, with the densities of its weights.
    cost : NetworkCost
        What the network costs with mean densities, with the mappings that all clouds keep.
    clouds : sequence
        For each cloud and layer the densities of inputs and outputs.
    """
    energy, cycles = [], []
    chosen = np.linspace(0, len(clouds) - 1, min(CLOUDS, len(clouds))).round().astype(int)
    for densities in (clouds[i] for i in chosen):
        rows = [
            (layer.density("Weights").density, *both) for layer, both in zip(layers, densities, strict=True)
        ]
        each = (
            design_costs.cost_under(design, layer, mapped.mapping)
            for layer, mapped in zip(with_densities(layers, rows), cost.layers, strict=True)
        )
        found = NetworkCost(tuple(each), cost.area_um2)
        energy.append(found.energy_uj)
        cycles.append(found.cycles)
    return CloudCosts(energy, cycles)
