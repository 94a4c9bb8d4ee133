"""Networks on the chips of the Eyeriss family, planned once each, and the numbers derived from them."""

import math
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from msgspec.structs import replace

from sparsim.estimate.source_data import constants
from sparsim.files.sparsim_yaml import load_row_stationary, load_workload
from sparsim.machines.eyeriss import (
    Chip,
    ChipEvaluation,
    NetworkEvaluation,
    evaluate_chip,
    load_chip,
    plan_network,
    row_stationary_mapping,
)
from sparsim.machines.eyeriss.chip import (
    IACT_GLB,
    IACT_REG,
    IACT_SPAD,
    PSUM_GLB,
    PSUM_SPAD,
    WEIGHT_SPAD,
)
from sparsim.machines.eyeriss.chip_area import chip_area
from sparsim.machines.eyeriss.conv_dims import IACTS, WEIGHTS, conv_dims
from sparsim.machines.eyeriss.cost_arrays import ADDRESSES, CLOCK, COMPUTE, CONTROL, NOC, handing_over
from sparsim.machines.eyeriss.layer_cost import pe_estimate, tile_of, tiling_of, window_pe
from sparsim.machines.eyeriss.pe.pe_estimate import estimate
from sparsim.machines.eyeriss.scaled_chip import scaled
from sparsim.records import Layer
from sparsim.records.layer_counts import macs

MOBILENET = "mobilenet_v1_050_128"
NETWORKS = {
    "alexnet": "AlexNet", "alexnet_sparse": "sparse AlexNet", MOBILENET: "MobileNet",
    f"{MOBILENET}_sparse": "sparse MobileNet",
}  # fmt: skip
FULL_MOBILENET = "MobileNet 1.0, 224x224"
SIZES = {256: 4, 1024: 8, 16384: 32}  # PEs: clusters along each side of the array
CLUSTER = 4  # PEs along each side of a cluster
PE_PARTS = {
    "spads": (WEIGHT_SPAD, IACT_SPAD, PSUM_SPAD, IACT_REG, ADDRESSES), "MACs": (COMPUTE,),
    "control": (CONTROL,),
}  # fmt: skip
SRAM = (PSUM_GLB, IACT_GLB, WEIGHT_SPAD)
IMAGES = {"alexnet": 4, "vgg16": 3}  # of the measurements of the original
ORIGINAL = "eyeriss_v1_168"


class Runs:
    """Plans by chip and network, made on first use.

    Parameters
    ----------
    step : called with what is planned next.
    change : gives another chip for each chip, such as one without an assumption.
    instead : by workload, one that stands in for it.
    plans : plans that are known already, which are extended.
    """

    def __init__(
        self,
        step: Callable[[str], object] = lambda what: None,
        change: Callable[[Chip], Chip] = lambda chip: chip,
        instead: Mapping[str, tuple[Layer, ...]] | None = None,
        plans: dict[tuple[str, ...], NetworkEvaluation] | None = None,
    ) -> None:
        self.step, self.change, self.instead = step, change, instead or {}
        self.plans = {} if plans is None else plans

    def _plan(self, chip: Chip, name: str, layers: tuple[Layer, ...]) -> NetworkEvaluation:
        """Plan with the clock and control of the given chip, and charge those of the changed one."""
        changed = self.change(chip)
        overhead = (chip.spec.clock_pj_per_cycle, chip.spec.control_pj_per_pe_cycle)
        chip = with_overhead(changed, *overhead)
        parts = (chip.spec, chip.accelerator, *layers)
        key = tuple(part.digest() for part in parts)
        if key not in self.plans:
            self.step(f"{chip.name} {name}")
            self.plans[key] = plan_network(chip, layers)
        found = self.plans[key]
        return found if changed == chip else recosted(found, changed)

    def network(self, chip: str, workload: str, dram_gb_per_s: float | None = None) -> NetworkEvaluation:
        """A shipped workload on a shipped chip, one image."""
        loaded = published_chip(chip)
        loaded = loaded._replace(spec=replace(loaded.spec, dram_gb_per_s=dram_gb_per_s))
        return self._plan(loaded, workload, self.instead.get(workload) or load_workload(workload).layers)

    def layers(self, chip: str, name: str, layers: tuple[Layer, ...]) -> NetworkEvaluation:
        return self._plan(published_chip(chip), name, layers)

    def original(self, workload: str = "alexnet") -> NetworkEvaluation:
        """The convolutions of a workload with the images of the measurement, planned on the original."""
        return self._plan(load_chip(ORIGINAL), workload, original_layers(workload))

    def as_published(self) -> NetworkEvaluation:
        """AlexNet's convolutions on the original Eyeriss with the published parameters of the mappings.

        A chip without sets of PEs cannot have them, and plans its own.
        """
        chip = self.change(load_chip(ORIGINAL))
        if chip.spec.dataflow != "row-stationary" or chip.spec.glb_banks is None:
            return self.original()
        given = load_row_stationary("eyeriss_v1_alexnet").layers
        layers = original_layers("alexnet")
        mappings = (row_stationary_mapping(chip, layer, given[layer.name]) for layer in layers)
        return NetworkEvaluation(chip, tuple(map(partial(evaluate_chip, chip), layers, mappings)))

    def scaled(self, chip: str, network: str, pes: int) -> NetworkEvaluation:
        """Clusters of 4 x 4 PEs in a square; of a flat network one cluster as large."""
        loaded, side = load_chip(chip), SIZES[pes]
        if loaded.spec.noc.clusters == (1, 1):
            sized = scaled(loaded, (1, 1), CLUSTER * side, CLUSTER * side)
        else:
            sized = scaled(loaded, (side, side), CLUSTER, CLUSTER)
        return self._plan(sized, network, scaling_layers(network))

    def of_linear(self, chip: str, network: str, pes: int) -> float:
        """Return the speed-up over the smallest array divided by the ratio of PEs."""
        least = min(SIZES)
        speedup = self.scaled(chip, network, least).cycles / self.scaled(chip, network, pes).cycles
        return speedup * least / pes


def with_overhead(chip: Chip, clock_pj: float, control_pj: float) -> Chip:
    fields = {"clock_pj_per_cycle": clock_pj, "control_pj_per_pe_cycle": control_pj}
    return chip._replace(spec=replace(chip.spec, **fields))


def recosted(network: NetworkEvaluation, chip: Chip) -> NetworkEvaluation:
    """The same mappings with the clock and control of another chip, which is equal to theirs otherwise."""

    def layer(found: ChipEvaluation) -> ChipEvaluation:
        clock = found.cycles * chip.spec.clock_pj_per_cycle
        control = float(found.pe.busy_cycles) * chip.spec.control_pj_per_pe_cycle
        return found._replace(energy_pj={**found.energy_pj, CLOCK: clock, CONTROL: control})

    return NetworkEvaluation(chip, tuple(map(layer, network.layers)))


def published_chip(name: str) -> Chip:
    """A preset that compresses both operands as soon as either has a zero, as the document says: whether the
    measured chip stored some tensors plainly is not published.
    """
    chip = load_chip(name)
    return chip._replace(spec=replace(chip.spec, compression="any-zero"))


def original_layers(workload: str) -> tuple[Layer, ...]:
    convolutions = (x for x in load_workload(workload).layers if x.name.startswith("conv"))
    return tuple(replace(x, bounds={**x.bounds, "N": IMAGES[workload]}) for x in convolutions)


def scaling_layers(network: str) -> tuple[Layer, ...]:
    """AlexNet, or MobileNet at full width for 224 x 224 points: twice the channels, 7/4 of the points."""
    if network == "AlexNet":
        return load_workload("alexnet").layers
    found = []
    for layer in load_workload(MOBILENET).layers:
        bounds = dict(layer.bounds)
        for dim in ("G", "M", "C"):
            fixed = (layer.name, dim) in {("conv", "C"), ("fc", "M")} or bounds[dim] == 1
            bounds[dim] *= 1 if fixed else 2
        for dim in ("P", "Q"):
            bounds[dim] = bounds[dim] * 7 // 4
        found.append(replace(layer, bounds=bounds))
    return tuple(found)


def layer_of(network: NetworkEvaluation, name: str) -> ChipEvaluation:
    return next(found for found in network.layers if found.layer.name == name)


def layer_gops_per_w(network: NetworkEvaluation, name: str) -> float:
    """Nominal, as `NetworkEvaluation.gops_per_w`."""
    found = layer_of(network, name)
    return 2e3 * macs(found.layer) / found.chip_pj


def convolutions_mb(network: NetworkEvaluation) -> float:
    """Return the off-chip traffic of the layers named conv."""
    return math.fsum(x.dram_bytes for x in network.layers if x.layer.name.startswith("conv")) / 1e6


def noc_share(network: NetworkEvaluation) -> float:
    return network.energy_pj["NoC"] / network.chip_pj


def glb_mb(found: ChipEvaluation) -> float:
    """Words from the GLB to the PEs and back, in MB, which is what was measured."""
    bits = found.evaluation.level(IACT_GLB).storage.word_bits
    return math.fsum(found.flows[role].words for role in ("iact", "psum")) * bits / 8e6


def utilisation(found: ChipEvaluation) -> float:
    """Return the share of MAC slots with a multiplication."""
    chip_macs = found.evaluation.compute.instances
    return float(found.pe.macs) / (found.cycles * chip_macs)


def pe_area_um2(chip: Chip) -> dict[str, float]:
    """Return the parts of a PE."""
    return {part: area / chip.spec.noc.pes for part, area in _grouped(chip, PE_PARTS).items()}


def area_mm2(chip: Chip) -> dict[str, float]:
    """Return the parts of PEs, GLB and routers, all of them together."""
    groups = {**PE_PARTS, "GLB": (PSUM_GLB, IACT_GLB), "routers": (NOC,)}
    return {part: area / 1e6 for part, area in _grouped(chip, groups).items()}


def _grouped(chip: Chip, groups: dict[str, tuple[str, ...]]) -> dict[str, float]:
    found = chip_area(chip)
    return {group: math.fsum(found.get(name, 0.0) for name in names) for group, names in groups.items()}


def logic_mm2(chip: Chip) -> float:
    """Return the area without SRAM, which is GLB and weight spads."""
    return math.fsum(area for name, area in chip_area(chip).items() if name not in SRAM) / 1e6


def thousand_gates(chip: Chip) -> float:
    """Return the area of the logic in thousands of NAND2 at 65 nm."""
    return logic_mm2(chip) / constants()["nand2_area"] * 1e3


def speed_without(network: NetworkEvaluation) -> dict[str, float]:
    """How much faster the same mappings are without one assumption: if PEs wait at the end of a pass only, if
    handing over psums costs no cycles, if weights are loaded while PEs compute.
    """
    total = {"waiting": 0, "handing over": 0, "loading weights": 0}
    for found in network.layers:
        chip, tile = network.chip, tile_of(found.mapping)
        windows = float(pe_estimate(chip, found.stored, found.spread, tile).cycles)
        saved = {
            "waiting": windows - _cycles_by_pass(chip, found),
            "handing over": float(handing_over(chip, found.pe, tile[0])),
            "loading weights": found.time["weight"],
        }
        rest = max(found.time[part] for part in ("weight", "iact", "psum"))
        for name, cycles in saved.items():
            total[name] += math.ceil(max(found.time["PE"] - cycles, rest))
    return {name: network.cycles / cycles for name, cycles in total.items()}


def _cycles_by_pass(chip: Chip, found: ChipEvaluation) -> float:
    conv = conv_dims(found.layer).conv()
    tiling = tiling_of(found.spread, *tile_of(found.mapping))
    rows, columns = (-(-n // pes) for n, pes in ((conv.P, tiling.pes_p), (conv.Q, tiling.pes_q)))
    densities = (found.stored.density(name).density for name in (IACTS, WEIGHTS))
    whole = estimate(window_pe(chip), conv, tiling._replace(P0=rows, Q0=columns), *densities)
    return float(np.asarray(whole.cycles))
