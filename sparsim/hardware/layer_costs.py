"""What layers cost on hardware, each by component, and all of them together."""

import math
from typing import Any, NamedTuple, Self

import msgspec

from sparsim.records import Mapping, edp_j_cycles

PJ_PER_UJ = UM2_PER_MM2 = 1e6


class LayerCost(NamedTuple):
    """One layer under its mapping.

    Attributes
    ----------
    layer : str
        Its name.
    macs : int
        Algorithmic multiplications, those with zeros included.
    cycles : int
    utilization : float
        Share of the slots for MACs (of all units, in all cycles) that are used. Skipped MACs take none.
    energy_pj : dict of str to float
        By component, DRAM included.
    gap : float, optional
        What a better mapping could save of the objective at most, as a share of it; 0.0 for a mapping that is
        proven to be the best, None where nothing is known.
    mapping : Mapping, optional
    note : str
        What was costed in place of the layer, where the hardware cannot run it as it is.
    """

    layer: str
    macs: int
    cycles: int
    utilization: float
    energy_pj: dict[str, float]
    gap: float | None = None
    mapping: Mapping | None = None
    note: str = ""

    def times(self, runs: int) -> Self:
        """What so many runs one after the other cost."""
        energy = {name: energy * runs for name, energy in self.energy_pj.items()}
        return self._replace(macs=self.macs * runs, cycles=self.cycles * runs, energy_pj=energy)

    @property
    def total_pj(self) -> float:
        return math.fsum(self.energy_pj.values())

    @property
    def edp_j_cycles(self) -> float:
        return float(edp_j_cycles(self.total_pj, self.cycles))

    @property
    def pj_per_mac(self) -> float:
        """Per algorithmic MAC."""
        return self.total_pj / self.macs


class NetworkCost(NamedTuple):
    """All layers of a network, one after the other, and the area of the hardware.

    Attributes
    ----------
    layers : tuple of LayerCost
    area_um2 : dict of str to float
        By component, of all its instances; empty where no area is known.
    """

    layers: tuple[LayerCost, ...]
    area_um2: dict[str, float]

    @property
    def energy_pj(self) -> float:
        return math.fsum(layer.total_pj for layer in self.layers)

    @property
    def energy_uj(self) -> float:
        return self.energy_pj / PJ_PER_UJ

    @property
    def cycles(self) -> int:
        return sum(layer.cycles for layer in self.layers)

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    @property
    def edp_j_cycles(self) -> float:
        return float(edp_j_cycles(self.energy_pj, self.cycles))

    @property
    def pj_per_mac(self) -> float:
        return self.energy_uj * PJ_PER_UJ / self.macs

    @property
    def utilization(self) -> float:
        """Mean over time: layers weighted by their cycles."""
        return math.fsum(layer.utilization * layer.cycles for layer in self.layers) / self.cycles

    @property
    def notes(self) -> dict[str, str]:
        """Of the layers that have one, by their names."""
        return {layer.layer: layer.note for layer in self.layers if layer.note}

    def component_uj(self, name: str) -> float:
        return math.fsum(layer.energy_pj.get(name, 0.0) for layer in self.layers) / PJ_PER_UJ

    def plain(self) -> dict[str, Any]:
        """Lists, dicts and numbers, from which `of` makes an equal record."""
        return {
            "layers": [msgspec.to_builtins(layer._asdict()) for layer in self.layers],
            "area_um2": self.area_um2,
        }

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Self:
        layers = (
            LayerCost(**{**layer, "mapping": msgspec.convert(layer.get("mapping"), Mapping | None)})
            for layer in plain["layers"]
        )
        return cls(tuple(layers), plain["area_um2"])
