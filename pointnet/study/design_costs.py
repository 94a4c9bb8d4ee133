"""What the study's networks cost on its designs: every layer mapped for each variant, energy and cycles.

A variant says which zeros the hardware may see. Shapes are the same in all; only densities differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from pointnet.errors import ConfigError
from pointnet.original.published_runs import DESIGN_TITLES, DESIGNS, study_mapspace
from pointnet.units import PJ_PER_UJ
from sparsim.errors import near
from sparsim.files.native import load_accelerator
from sparsim.machines.eyeriss import chip_area, load_chip, plan_layer
from sparsim.mapper.mapping_cache import MappingCache
from sparsim.mapper.network_search import search_network
from sparsim.model.evaluate import evaluate
from sparsim.records import Density, Layer, Mapspace
from sparsim.records.layer_counts import macs

CHIPS = {"eyeriss_v2": "eyeriss_v2"}  # design: its preset
TITLES = {**DESIGN_TITLES, "eyeriss_v2": "Eyeriss v2"}
OBJECTIVE = ("delay", "energy")  # of the mapper; the planner of chips: delay, then energy
DRAM = "DRAM"

PLAIN, DENSE, ACTIVATIONS, WEIGHTS, BOTH = "plain", "dense", "activations", "weights", "both"
VARIANTS = {
    PLAIN: "no zeros at all: what dense runs usually count",
    DENSE: "the honest dense baseline: the unpruned network `control` with its own activations",
    ACTIVATIONS: "activation sparsity alone: the pruned network's activations, weights counted as dense",
    WEIGHTS: "weight sparsity alone: the pruned network's weights, activations counted as dense",
    BOTH: "the pruned network as it is",
}


class LayerCost(NamedTuple):
    """One layer. Energies in pJ, DRAM included; `utilization`: share of the slots for MACs (of all units, in
    all cycles) in which there is one; skipped MACs take none."""

    layer: str
    macs: int
    cycles: int
    utilization: float
    energy_pj: dict[str, float]  # by component

    @property
    def total_pj(self) -> float:
        return math.fsum(self.energy_pj.values())

    @property
    def edp_j_cycles(self) -> float:
        return self.total_pj * 1e-12 * self.cycles

    @property
    def pj_per_mac(self) -> float:
        """Per algorithmic MAC: those with zeros count."""
        return self.total_pj / self.macs


class Cost(NamedTuple):
    """All layers of one variant on one design, one after the other; area of all instances in um2."""

    layers: tuple[LayerCost, ...]
    area_um2: dict[str, float]

    @property
    def energy_uj(self) -> float:
        return math.fsum(layer.total_pj for layer in self.layers) / PJ_PER_UJ

    @property
    def cycles(self) -> int:
        return sum(layer.cycles for layer in self.layers)

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    @property
    def edp_j_cycles(self) -> float:
        return self.energy_uj * 1e-6 * self.cycles

    @property
    def pj_per_mac(self) -> float:
        return self.energy_uj * PJ_PER_UJ / self.macs

    @property
    def utilization(self) -> float:
        """Mean over time: layers weighted by their cycles."""
        return math.fsum(layer.utilization * layer.cycles for layer in self.layers) / self.cycles

    def component_uj(self, name: str) -> float:
        return math.fsum(layer.energy_pj.get(name, 0.0) for layer in self.layers) / PJ_PER_UJ

    def plain(self) -> dict[str, Any]:
        """For a stage's result."""
        return {"layers": [layer._asdict() for layer in self.layers], "area_um2": self.area_um2}


def cost_of(plain: Mapping[str, Any]) -> Cost:
    """The inverse of `Cost.plain`."""
    return Cost(tuple(LayerCost(**layer) for layer in plain["layers"]), plain["area_um2"])


def designs() -> tuple[str, ...]:
    return (*DESIGNS, *CHIPS)


def check_design(name: str) -> None:
    """Raises ConfigError for a design that there is not."""
    if name not in designs():
        raise ConfigError(f"unknown design '{name}'", hint=near(name, designs()))


def variants(control: Sequence[Layer], pruned: Sequence[Layer]) -> dict[str, list[Layer]]:
    """The layers of every variant, from those of the unpruned and of the pruned network."""
    pairs = list(zip(control, pruned, strict=True))
    return {
        PLAIN: [replace(layer, densities={}) for layer in control],
        DENSE: [_seen(layer, "Inputs", "Outputs") for layer in control],
        ACTIVATIONS: [_seen(layer, "Inputs", "Outputs") for _, layer in pairs],
        WEIGHTS: [_seen(layer, "Weights") for _, layer in pairs],
        BOTH: [_seen(layer, "Weights", "Inputs", "Outputs") for _, layer in pairs],
    }


def _seen(layer: Layer, *tensors: str) -> Layer:
    """The layer with the densities of these tensors only; the others are dense."""
    kept = {name: Density(density=d.density) for name, d in layer.densities.items() if name in tensors}
    return replace(layer, densities=kept)


def cost(
    design: str, layers: Sequence[Layer], progress: Callable[[str], object] = lambda layer: None
) -> Cost:
    """Map every layer for the least delay, and of such mappings the least energy, and evaluate it.

    Raises ConfigError for an unknown design and what the mapper and the planner raise.
    """
    check_design(design)
    if design in CHIPS:
        return _on_chip(CHIPS[design], layers, progress)
    return _on_accelerator(DESIGNS[design], layers, progress)


def _on_chip(preset: str, layers: Sequence[Layer], progress: Callable[[str], object]) -> Cost:
    chip = load_chip(preset)
    rows = []
    for layer in layers:
        progress(layer.name)
        found = plan_layer(chip, layer, "delay")
        energy = {**found.energy_pj, DRAM: found.dram_pj}
        slots = found.cycles * found.evaluation.compute.instances
        busy = float(found.pe.macs) / slots
        rows.append(LayerCost(layer.name, macs(found.layer), found.cycles, busy, energy))
    return Cost(tuple(rows), chip_area(chip))


def _on_accelerator(preset: str, layers: Sequence[Layer], progress: Callable[[str], object]) -> Cost:
    accelerator = load_accelerator(preset)
    cache = MappingCache()
    rows, area = [], {}
    for layer in layers:
        progress(layer.name)
        there = replace(accelerator, mapspace=mapspace_of(layer))
        (found,) = search_network(there, [layer], cache=cache, objective=OBJECTIVE)
        result = evaluate(accelerator, layer, found.uncut().best)
        energy = {result.compute.name: result.compute.energy_pj}
        energy |= {level.name: level.energy_pj for level in result.storage}
        rows.append(LayerCost(layer.name, macs(layer), result.cycles, result.utilization, energy))
        area = {result.compute.name: result.compute.area_um2}
        area |= {level.name: level.area_um2 for level in result.storage if level.area_um2}
    return Cost(tuple(rows), area)


def mapspace_of(layer: Layer) -> Mapspace:
    """The study's mapspace; with imperfect factors of C where it is a prime: perfect ones cannot tile it."""
    mapspace = study_mapspace()
    if not is_prime(layer.bounds["C"]):
        return mapspace
    return replace(mapspace, divisibility={"C": "imperfect"})


def is_prime(n: int) -> bool:
    return n > 1 and all(n % k for k in range(2, math.isqrt(n) + 1))
