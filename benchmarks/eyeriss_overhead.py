"""Energy of clock and control: the measured power of the original Eyeriss minus the power in the model.

It is given per gate, so that it can be applied to the other chips of the family (`per_chip`).
"""

import math
from typing import NamedTuple

from eyeriss_measured import ALEXNET, Measured
from eyeriss_networks import Runs

from sparsim.machines.eyeriss import load_chip
from sparsim.machines.eyeriss.cost_arrays import CLOCK, CONTROL
from sparsim.report.tables import Table

# thousands of NAND2 equivalents without SRAM. v1 as measured: JSSC 2017. v2: JETCAS 2019, which says of v1
# and v1.5 at v2's size only that v2 has about twice their area
GATES = {"eyeriss_v1_168": 1176.0, "eyeriss_v1": 2695 / 2, "eyeriss_v1_5": 2695 / 2, "eyeriss_v2": 2695.0}
MEASURED = "eyeriss_v1_168"


class Residual(NamedTuple):
    """The part of one layer's measured energy, in pJ, that the model does not explain."""

    layer: Measured
    accounted_pj: float
    left_pj: float
    busy_cycles: float  # of all PEs, by the model


class Overhead(NamedTuple):
    """Per thousand gates: in every cycle, and in the cycles in which the PEs with these gates are busy."""

    clock_pj: float
    control_pj: float


def residuals(runs: Runs) -> list[Residual]:
    found = []
    for row, layer in zip(ALEXNET, runs.original().layers, strict=True):
        accounted = math.fsum(pj for name, pj in layer.energy_pj.items() if name not in (CLOCK, CONTROL))
        found.append(Residual(row, accounted, row.energy_pj - accounted, float(layer.pe.busy_cycles)))
    return found


def overhead(found: list[Residual]) -> Overhead:
    """Half of what is left of all layers in every cycle, half in busy cycles (EIE, ISCA 2016, table II: clock
    20.5 % of a PE's power, registers and logic 20.4 %).
    """
    half = math.fsum(r.left_pj for r in found) / 2
    gates, pes = GATES[MEASURED], load_chip(MEASURED).spec.noc.pes
    clock = half / math.fsum(r.layer.cycles for r in found) / gates
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
        rows.append((r.layer.layer, *mj, f"{r.left_pj / r.layer.cycles:.0f}"))
    return Table(["layer", "measured mJ", "modelled parts mJ", "left mJ", "left pJ per cycle"], rows)
