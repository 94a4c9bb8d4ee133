"""All layers of a network on a chip, one after the other."""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

from msgspec.structs import replace

from sparsim.machines.eyeriss.chip import Chip
from sparsim.machines.eyeriss.layer_cost import ChipEvaluation
from sparsim.machines.eyeriss.plan_layer import plan_layer
from sparsim.model.result import ratio
from sparsim.records import Layer
from sparsim.records.layer_counts import macs
from sparsim.records.objective import ObjectiveName


class NetworkEvaluation(NamedTuple):
    """A network on a chip, one sample at a time."""

    chip: Chip
    layers: tuple[ChipEvaluation, ...]

    @property
    def cycles(self) -> int:
        return sum(layer.cycles for layer in self.layers)

    @property
    def chip_pj(self) -> float:
        """Energy of the chip, without DRAM."""
        return math.fsum(layer.chip_pj for layer in self.layers)

    @property
    def dram_pj(self) -> float:
        return math.fsum(layer.dram_pj for layer in self.layers)

    @property
    def dram_bytes(self) -> float:
        return math.fsum(layer.dram_bytes for layer in self.layers)

    @property
    def macs(self) -> int:
        return sum(macs(layer.layer) for layer in self.layers)

    @property
    def inferences_per_s(self) -> float:
        return self.chip.spec.clock_mhz * 1e6 / self.cycles

    @property
    def inferences_per_j(self) -> float:
        """Per joule of the chip, without DRAM."""
        return ratio(1e12, self.chip_pj)

    @property
    def gops_per_w(self) -> float:
        """Nominal: two operations per MAC, those with zeros included."""
        return ratio(2e3 * self.macs, self.chip_pj)

    @property
    def energy_pj(self) -> dict[str, float]:
        """By component, all layers."""
        return {name: math.fsum(x.energy_pj[name] for x in self.layers) for name in self.layers[0].energy_pj}


def plan_network(
    chip: Chip,
    layers: Iterable[Layer],
    objective: ObjectiveName = "delay",
    progress: Callable[[ChipEvaluation], None] | None = None,
) -> NetworkEvaluation:
    """Plan every layer; equal layers once. Errors are those of `plan_layer`."""
    found: list[ChipEvaluation] = []
    known: dict[str, ChipEvaluation] = {}
    for layer in layers:
        key = layer.anonymous().digest()
        if key not in known:
            known[key] = plan_layer(chip, layer, objective)
        equal = known[key]
        named, stored = (replace(each, name=layer.name) for each in (equal.layer, equal.stored))
        found.append(equal._replace(layer=named, stored=stored))
        if progress is not None:
            progress(found[-1])
    return NetworkEvaluation(chip, tuple(found))
