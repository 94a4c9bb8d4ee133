"""PointNet++ on Eyeriss v2: dense, with zeros in activations, in weights, and in both."""

import math
from typing import NamedTuple

from eyeriss_networks import Runs, utilisation
from msgspec.structs import replace

from sparsim.files.sparsim_yaml import load_workload
from sparsim.machines.eyeriss import ChipEvaluation, NetworkEvaluation
from sparsim.machines.eyeriss.conv_dims import IACTS, WEIGHTS
from sparsim.records import Density, Layer
from sparsim.report.tables import Table

CHIP = "eyeriss_v2"
STUDY = "pointnet2_study"
TRACED = "pointnet2_half_modelnet10_gmp90"
DENSE, ACTIVATIONS, BOTH = "dense", "activation-sparse", "both"
VARIANTS = (DENSE, ACTIVATIONS, "weight-sparse", BOTH)
VALUES = ("cycles", "energy uJ", "utilisation", "EDP J x cycles")


class Variant(NamedTuple):
    network: str
    variant: str
    found: NetworkEvaluation

    @property
    def edp(self) -> float:
        """J x cycles, with DRAM; of the network as a whole."""
        return (self.found.chip_pj + self.found.dram_pj) * 1e-12 * self.found.cycles


def study_layers(variant: str) -> tuple[Layer, ...]:
    """The study's network: weights of its pruned run, activations as traced on ModelNet10 before pruning."""
    dense, weights, iacts = (load_workload(STUDY + end).layers for end in ("", "_sparse", "_modelnet10"))
    found = []
    for layer, pruned, traced in zip(dense, weights, iacts, strict=True):
        densities = dict(layer.densities)
        if variant in ("weight-sparse", BOTH):
            densities[WEIGHTS] = pruned.density(WEIGHTS)
        if variant in (ACTIVATIONS, BOTH):
            densities[IACTS] = traced.density(IACTS)
        found.append(replace(layer, densities=densities))
    return tuple(found)


def traced_layers(variant: str) -> tuple[Layer, ...]:
    """The pruned network at half width, as traced; dense for comparison."""
    layers = load_workload(TRACED).layers
    if variant == BOTH:
        return layers
    return tuple(
        replace(layer, densities={d.name: Density(density=1.0) for d in layer.shape.dataspaces})
        for layer in layers
    )


def variants(runs: Runs) -> list[Variant]:
    def run(network: str, variant: str, layers: tuple[Layer, ...]) -> Variant:
        return Variant(network, variant, runs.layers(CHIP, f"{network}, {variant}", layers))

    study = [run(STUDY, variant, study_layers(variant)) for variant in VARIANTS]
    return study + [run(TRACED, variant, traced_layers(variant)) for variant in (DENSE, BOTH)]


def total_table(found: list[Variant]) -> Table:
    rows = []
    for one in found:
        dense = next(x for x in found if x.network == one.network and x.variant == DENSE)
        net = one.found
        busy = math.fsum(utilisation(x) * x.cycles for x in net.layers) / net.cycles
        rows.append((
            one.network, one.variant, f"{net.cycles:,}", f"{1e3 / net.inferences_per_s:.2f}",
            f"{net.chip_pj / 1e9:.2f}", f"{net.dram_pj / 1e9:.2f}", f"{busy:.0%}", f"{one.edp:,.2f}",
            f"{one.edp / dense.edp:.3f}",
        ))  # fmt: skip
    head = "network|variant|cycles|ms|energy mJ|DRAM mJ|utilisation|EDP J x cycles|of dense EDP"
    return Table(head.split("|"), rows)


def cell(found: ChipEvaluation, value: str) -> str:
    edp = (found.chip_pj + found.dram_pj) * 1e-12 * found.cycles
    return {
        "cycles": f"{found.cycles:,}",
        "energy uJ": f"{found.chip_pj / 1e6:.2f}",
        "utilisation": f"{utilisation(found):.0%}",
        "EDP J x cycles": f"{edp:.3g}" if edp < 1000 else f"{edp:,.0f}",
    }[value]


def layer_table(found: list[Variant], network: str, value: str) -> Table:
    """One table of layers by variants."""
    chosen = [one for one in found if one.network == network]
    by_layer = zip(*(one.found.layers for one in chosen), strict=True)
    rows = [(layers[0].layer.name, *(cell(x, value) for x in layers)) for layers in by_layer]
    return Table(["layer", *(one.variant for one in chosen)], rows)


def both_table(found: list[Variant], network: str) -> Table:
    """All values of a network's layers with zeros in both operands."""
    chosen = next(one for one in found if one.network == network and one.variant == BOTH)
    rows = [(x.layer.name, *(cell(x, value) for value in VALUES)) for x in chosen.found.layers]
    return Table(["layer", *VALUES], rows)


def records(found: list[Variant]) -> list[dict[str, object]]:
    return [
        {
            "network": one.network,
            "variant": one.variant,
            "layer": x.layer.name,
            "cycles": x.cycles,
            "energy_pj": x.chip_pj,
            "dram_pj": x.dram_pj,
            "utilisation": utilisation(x),
        }
        for one in found
        for x in one.found.layers
    ]
