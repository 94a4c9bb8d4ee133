"""What layers cost on hardware, each by component, and all of them together."""

import math
from typing import Any, NamedTuple, Self

import msgspec

from sparsim.records import Mapping, edp_j_cycles

PJ_PER_UJ = UM2_PER_MM2 = 1e6


class LayerCost(NamedTuple):
    """What one layer costs under its mapping.

    Attributes
    ----------
    layer : str
        Name of the layer.
    macs : int
        Algorithmic multiplications, those with zeros included.
    cycles : int
        Cycles of the layer.
    utilization : float
        Share of the slots for MACs, of all units in all cycles, that are used. Skipped MACs take no slot.
    energy_pj : dict of str to float
        Energy in pJ by component, DRAM included.
    gap : float, optional
        How much of the objective a better mapping could save at most, as a share of it: 0.0 for a mapping
        that is proven to be the best, None where nothing is known.
    mapping : Mapping, optional
        The mapping of the layer.
    note : str
        What was costed in place of the layer, where the hardware cannot run it as it is.
    limit : str
        What the cycles are mostly spent on, where the hardware tells it.
    details : dict of str to float
        Further numbers of machines, by the heads of their columns.
    """

    layer: str
    macs: int
    cycles: int
    utilization: float
    energy_pj: dict[str, float]
    gap: float | None = None
    mapping: Mapping | None = None
    note: str = ""
    limit: str = ""
    details: dict[str, float] = {}

    def times(self, runs: int) -> Self:
        """Return the costs of several runs, one after the other.

        Parameters
        ----------
        runs : int
            Number of runs.

        Returns
        -------
        LayerCost
        """
        energy = {name: energy * runs for name, energy in self.energy_pj.items()}
        return self._replace(macs=self.macs * runs, cycles=self.cycles * runs, energy_pj=energy)

    @property
    def total_pj(self) -> float:
        """Energy of all components in pJ."""
        return math.fsum(self.energy_pj.values())

    @property
    def edp_j_cycles(self) -> float:
        """Energy-delay product in J x cycles."""
        return float(edp_j_cycles(self.total_pj, self.cycles))

    @property
    def pj_per_mac(self) -> float:
        """Energy in pJ per algorithmic MAC."""
        return self.total_pj / self.macs


class NetworkCost(NamedTuple):
    """What the layers of a network cost, one after the other, and the area of the hardware.

    Attributes
    ----------
    layers : tuple of LayerCost
        Costs of each layer.
    area_um2 : dict of str to float
        Area of all instances in um^2, by component; empty if no area is known.
    """

    layers: tuple[LayerCost, ...]
    area_um2: dict[str, float]

    @property
    def energy_pj(self) -> float:
        """Energy of all layers in pJ."""
        return math.fsum(layer.total_pj for layer in self.layers)

    @property
    def energy_uj(self) -> float:
        """Energy of all layers in uJ."""
        return self.energy_pj / PJ_PER_UJ

    @property
    def cycles(self) -> int:
        """Cycles of all layers."""
        return sum(layer.cycles for layer in self.layers)

    @property
    def macs(self) -> int:
        """Algorithmic multiplications of all layers."""
        return sum(layer.macs for layer in self.layers)

    @property
    def edp_j_cycles(self) -> float:
        """Energy-delay product of the network in J x cycles."""
        return float(edp_j_cycles(self.energy_pj, self.cycles))

    @property
    def pj_per_mac(self) -> float:
        """Energy in pJ per algorithmic MAC."""
        return self.energy_uj * PJ_PER_UJ / self.macs

    @property
    def utilization(self) -> float:
        """Mean utilization over time: layers are weighted by their cycles."""
        return math.fsum(layer.utilization * layer.cycles for layer in self.layers) / self.cycles

    @property
    def notes(self) -> dict[str, str]:
        """Notes of the layers that have one, by the names of the layers."""
        return {layer.layer: layer.note for layer in self.layers if layer.note}

    def component_uj(self, name: str) -> float:
        """Return the energy of a component.

        Parameters
        ----------
        name : str
            Name of the component.

        Returns
        -------
        float
            Energy in all layers in uJ; 0 for an unknown component.
        """
        return math.fsum(layer.energy_pj.get(name, 0.0) for layer in self.layers) / PJ_PER_UJ

    def plain(self) -> dict[str, Any]:
        """Return the record as plain data.

        Returns
        -------
        dict
            Lists, dicts and numbers, from which `of` makes an equal record.
        """
        return {
            "layers": [msgspec.to_builtins(layer._asdict()) for layer in self.layers],
            "area_um2": self.area_um2,
        }

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Self:
        """Make a record from plain data.

        Parameters
        ----------
        plain : dict
            What `plain` has returned.

        Returns
        -------
        NetworkCost
        """
        layers = (
            LayerCost(**{**layer, "mapping": msgspec.convert(layer.get("mapping"), Mapping | None)})
            for layer in plain["layers"]
        )
        return cls(tuple(layers), plain["area_um2"])
