"""All layers of a network on a chip, one after the other."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from sparsim.machines.eyeriss.chip import Chip
from sparsim.machines.eyeriss.layer_cost import ChipEvaluation
from sparsim.machines.eyeriss.plan_layer import plan_layer
from sparsim.model.result import ratio
from sparsim.records import Layer
from sparsim.records.layer_counts import macs
from sparsim.records.objective import ObjectiveName
from sparsim.records.row_stationary import RowStationary


class NetworkEvaluation(NamedTuple):
    """A network on a chip, one sample at a time.

    Attributes
    ----------
    chip : Chip
        The chip.
    layers : tuple of ChipEvaluation
        The layers, which run one after the other.
    """

    chip: Chip
    layers: tuple[ChipEvaluation, ...]

    @property
    def cycles(self) -> int:
        """Cycles of all layers."""
        return sum(layer.cycles for layer in self.layers)

    @property
    def chip_pj(self) -> float:
        """Energy of the chip in pJ, without DRAM."""
        return math.fsum(layer.chip_pj for layer in self.layers)

    @property
    def dram_pj(self) -> float:
        """Energy of DRAM in pJ."""
        return math.fsum(layer.dram_pj for layer in self.layers)

    @property
    def dram_bytes(self) -> float:
        """Bytes that pass the interface of the DRAM."""
        return math.fsum(layer.dram_bytes for layer in self.layers)

    @property
    def macs(self) -> int:
        """Algorithmic multiplications of all layers."""
        return sum(macs(layer.layer) for layer in self.layers)

    @property
    def inferences_per_s(self) -> float:
        """Inferences per second at the clock of the chip."""
        return self.chip.spec.clock_mhz * 1e6 / self.cycles

    @property
    def inferences_per_j(self) -> float:
        """Inferences per joule of the chip, without DRAM."""
        return ratio(1e12, self.chip_pj)

    @property
    def gops_per_w(self) -> float:
        """Nominal GOPS per watt of the chip: two operations per MAC, those with zeros included."""
        return ratio(2e3 * self.macs, self.chip_pj)

    @property
    def energy_pj(self) -> dict[str, float]:
        """Energy of all layers in pJ by component, without DRAM."""
        return {name: math.fsum(x.energy_pj[name] for x in self.layers) for name in self.layers[0].energy_pj}


def plan_network(
    chip: Chip,
    layers: Iterable[Layer],
    objective: ObjectiveName | None = None,
    progress: Callable[[ChipEvaluation], None] | None = None,
    parameters: Mapping[str, RowStationary] | None = None,
) -> NetworkEvaluation:
    """Plan every layer of a network; equal layers are planned once.

    Parameters
    ----------
    chip : Chip
        The chip.
    layers : iterable of Layer
        Convolutions.
    objective : str, optional
        What the plan minimises: cycles ("delay"), "energy" with DRAM, or their product ("edp"); by default
        the objective of the chip.
    progress : callable, optional
        Called with the `ChipEvaluation` of each layer when it is done.
    parameters : dict of str to RowStationary, optional
        Parameters of mappings by the name of the layer, in place of the best ones.

    Returns
    -------
    NetworkEvaluation

    Raises
    ------
    SpecError, MappingError
        For the same reasons as `plan_layer`.
    """
    found: list[ChipEvaluation] = []
    known: dict[tuple[str, RowStationary | None], ChipEvaluation] = {}
    for layer in layers:
        given = (parameters or {}).get(layer.name)
        key = layer.anonymous().digest(), given
        if key not in known:
            known[key] = plan_layer(chip, layer, objective, given)
        equal = known[key]
        named, stored = (replace(each, name=layer.name) for each in (equal.layer, equal.stored))
        found.append(equal._replace(layer=named, stored=stored))
        if progress is not None:
            progress(found[-1])
    return NetworkEvaluation(chip, tuple(found))
