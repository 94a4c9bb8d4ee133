"""Hardware whose costs are sums of products that can be checked by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sparsim.hardware import Costs, Hardware, NetworkCost, Plan, Slopes
from sparsim.records import Layer


class LinearHardware(Hardware):
    name = "linear"
    area_um2: dict[str, float] = {}
    energy_source: dict[str, dict[str, str]] = {}

    def plan(self, layers: Sequence[Layer], **options: Any) -> LinearCost:
        return LinearCost(layers)

    def cost(self, layers: Sequence[Layer], **options: Any) -> NetworkCost:
        raise NotImplementedError

    def lower_bounds(self, layers: Sequence[Layer]) -> Costs:
        raise NotImplementedError


class LinearCost(Plan):
    """Layer i takes (i + 1) * (1000 w + 100 x + 10 y) pJ and (i + 1) * 10 w cycles."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__(LinearHardware(), layers, "edp")
        self.factor = np.arange(1.0, len(layers) + 1)
        self.planned: Any = None

    def replanned(self, densities: Any, progress: Any = None) -> LinearCost:
        found = LinearCost(self.layers)
        found.planned = densities
        return found

    def _costs(self, densities: Any) -> Costs:
        return Costs(self.factor * (densities @ [1000.0, 100.0, 10.0]), self.factor * 10.0 * densities[:, 0])

    def _slopes(self, densities: Any) -> Slopes:
        energy = np.outer(self.factor, [1000.0, 100.0, 10.0])
        return Slopes(energy, np.outer(self.factor, [10.0, 0.0, 0.0]))

    def _layer_costs(self, densities: Any) -> Any:
        raise NotImplementedError
