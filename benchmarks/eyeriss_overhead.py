"""Energy of clock and control: the measured power of the original Eyeriss minus the power in the model.

It is given per gate, so that it can be applied to the other chips of the family (`per_chip`).
"""

import math
from typing import NamedTuple

from eyeriss_networks import Runs, glb_mb

from sparsim.machines.eyeriss import load_chip
from sparsim.machines.eyeriss.cost_arrays import CLOCK, CONTROL
from sparsim.report.tables import Table

# thousands of NAND2 equivalents without SRAM. v1 as measured: JSSC 2017. v2: JETCAS 2019, which says of v1
# and v1.5 at v2's size only that v2 has about twice their area
GATES = {"eyeriss_v1_168": 1176.0, "eyeriss_v1": 2695 / 2, "eyeriss_v1_5": 2695 / 2, "eyeriss_v2": 2695.0}
MEASURED = "eyeriss_v1_168"


class Layer(NamedTuple):
    """A row of the table of AlexNet in Chen et al., JSSC 52(1), 2017: four images, 200 MHz."""

    name: str
    power_mw: float
    total_ms: float  # including loading
    proc_ms: float
    active_pes: int
    glb_mb: float
    dram_mb: float


TABLE = (
    Layer("conv1", 332, 20.9, 16.5, 154, 18.5, 5.0),
    Layer("conv2", 288, 41.9, 39.2, 135, 77.6, 4.0),
    Layer("conv3", 266, 23.6, 21.8, 156, 50.2, 3.0),
    Layer("conv4", 235, 18.4, 16.0, 156, 37.4, 2.1),
    Layer("conv5", 236, 10.5, 10.0, 156, 24.9, 1.3),
)


class Residual(NamedTuple):
    """The part of one layer's measured energy, in pJ, that the model does not explain."""

    layer: Layer
    accounted_pj: float
    left_pj: float
    busy_cycles: float  # of all PEs, by the model
    cycles: float  # measured, with loading

    @property
    def left_pj_per_cycle(self) -> float:
        return self.left_pj / self.cycles


class Overhead(NamedTuple):
    """Per thousand gates: in every cycle, and in the cycles in which the PEs with these gates are busy."""

    clock_pj: float
    control_pj: float


def residuals(runs: Runs) -> list[Residual]:
    """Power is averaged over the time with loading: only that reproduces the table's power of all layers."""
    network = runs.original()
    mhz = network.chip.spec.clock_mhz
    found = []
    for row, layer in zip(TABLE, network.layers, strict=True):
        accounted = math.fsum(pj for name, pj in layer.energy_pj.items() if name not in (CLOCK, CONTROL))
        measured = row.power_mw * row.total_ms * 1e6
        found.append(
            Residual(
                row, accounted, measured - accounted, float(layer.pe.busy_cycles), row.total_ms * mhz * 1e3
            )
        )
    return found


def overhead(found: list[Residual]) -> Overhead:
    """Half of what is left of all layers in every cycle, half in busy cycles (EIE, ISCA 2016, table II: clock
    20.5 % of a PE's power, registers and logic 20.4 %).
    """
    half = math.fsum(r.left_pj for r in found) / 2
    gates, pes = GATES[MEASURED], load_chip(MEASURED).spec.noc.pes
    clock = half / math.fsum(r.cycles for r in found) / gates
    control = half / math.fsum(r.busy_cycles for r in found) / (gates / pes)
    return Overhead(clock, control)


def per_chip(per_gate: Overhead) -> dict[str, tuple[float, float]]:
    """`clock_pj_per_cycle` and `control_pj_per_pe_cycle` of every preset, rounded as they stand there."""
    found = {}
    for chip, gates in GATES.items():
        pes = load_chip(chip).spec.noc.pes
        found[chip] = (round(gates * per_gate.clock_pj), round(gates / pes * per_gate.control_pj, 2))
    return found


def residual_table(found: list[Residual]) -> Table:
    rows = []
    for r in found:
        mj = (f"{pj / 1e9:.2f}" for pj in (r.accounted_pj + r.left_pj, r.accounted_pj, r.left_pj))
        rows.append((r.layer.name, *mj, f"{r.left_pj_per_cycle:.0f}"))
    return Table(["layer", "measured mJ", "modelled parts mJ", "left mJ", "left pJ per cycle"], rows)


def measured_table(runs: Runs) -> Table:
    """Measurement and model, layer by layer; power by the model is over its own cycles and the loading."""
    rows = [
        (
            row.name, f"{row.proc_ms:.1f}", f"{processing_ms(runs, row.name):.1f}", f"{row.power_mw:.0f}",
            f"{power_mw(runs, row.name):.0f}", row.active_pes,
            f"{float(layer.pe.busy_cycles) / layer.cycles:.0f}", f"{row.glb_mb:.1f}", f"{glb_mb(layer):.1f}",
            f"{row.dram_mb:.1f}", f"{layer.dram_bytes / 1e6:.1f}",
        )
        for row, layer in zip(TABLE, runs.original().layers, strict=True)
    ]  # fmt: skip
    head = "layer|ms|model|mW|model|active PEs|busy PEs, model|GLB MB|model|DRAM MB|model"
    return Table(head.split("|"), rows)


def processing_ms(runs: Runs, name: str) -> float:
    network = runs.original()
    cycles = next(x.cycles for x in network.layers if x.layer.name == name)
    return cycles / network.chip.spec.clock_mhz / 1e3


def power_mw(runs: Runs, name: str) -> float:
    """The power if the clock runs while data are loaded for as long as was measured."""
    network = runs.original()
    row = next(row for row in TABLE if row.name == name)
    layer = next(x for x in network.layers if x.layer.name == name)
    loading = (row.total_ms - row.proc_ms) * network.chip.spec.clock_mhz * 1e3
    energy = layer.chip_pj + loading * network.chip.spec.clock_pj_per_cycle
    return energy / (processing_ms(runs, name) + row.total_ms - row.proc_ms) / 1e6
