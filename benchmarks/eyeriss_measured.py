"""The measurements of the original Eyeriss, eyeriss_measured.csv, beside the model's results."""

from pathlib import Path
from typing import NamedTuple

from eyeriss_networks import Runs, glb_mb, layer_of

from sparsim.estimate.source_data import read_rows
from sparsim.machines.eyeriss import ChipEvaluation
from sparsim.report.tables import Table

CYCLES_PER_MS = 200e3  # at 200 MHz
PJ_PER_UJ = 1e6  # mW x ms = uJ


class Measured(NamedTuple):
    """A layer of a network, with all images of the measurement."""

    network: str
    layer: str
    power_mw: float
    total_ms: float  # including loading, in which the chip does not compute
    proc_ms: float
    gmacs: float
    active_pes: float
    zeros_percent: float  # of ifmaps
    glb_mb: float
    dram_mb: float

    @property
    def energy_pj(self) -> float:
        """Power is an average over the time with loading: only so it gives the power of all layers."""
        return self.power_mw * self.total_ms * PJ_PER_UJ

    @property
    def cycles(self) -> float:
        return self.total_ms * CYCLES_PER_MS

    @property
    def loading_cycles(self) -> float:
        return (self.total_ms - self.proc_ms) * CYCLES_PER_MS

    @property
    def nonzero_macs(self) -> float:
        """Multiplications with a nonzero ifmap."""
        return self.gmacs * 1e9 * (1.0 - self.zeros_percent / 100)


def _measured() -> tuple[Measured, ...]:
    texts = ("network", "layer")
    rows = read_rows(Path(__file__).with_suffix(".csv"))
    return tuple(
        Measured(**{key: text if key in texts else float(text) for key, text in row.items()})  # type: ignore[arg-type]
        for row in rows
    )


MEASURED = _measured()
ALEXNET, VGG16 = (tuple(row for row in MEASURED if row.network == name) for name in ("alexnet", "vgg16"))


def measured_table(runs: Runs) -> Table:
    """Measurement and model, layer by layer; power by the model is over its own cycles and the loading."""
    rows = []
    for row in ALEXNET:
        found = _layer(runs, row.layer)
        rows.append(
            (
                row.layer, f"{row.proc_ms:.1f}", f"{processing_ms(runs, row.layer):.1f}",
                f"{row.power_mw:.0f}", f"{power_mw(runs, row.layer):.0f}", f"{row.active_pes:.0f}",
                f"{float(found.pe.busy_cycles) / found.cycles:.0f}", f"{row.glb_mb:.1f}",
                f"{glb_mb(found):.1f}", f"{row.dram_mb:.1f}", f"{found.dram_bytes / 1e6:.1f}",
            )
        )  # fmt: skip
    head = "layer|ms|model|mW|model|active PEs|busy PEs, model|GLB MB|model|DRAM MB|model"
    return Table(head.split("|"), rows)


def processing_ms(runs: Runs, name: str) -> float:
    return _layer(runs, name).cycles / CYCLES_PER_MS


def power_mw(runs: Runs, name: str) -> float:
    """The power if the clock runs while data are loaded for as long as was measured."""
    row = next(row for row in ALEXNET if row.layer == name)
    found = _layer(runs, name)
    energy = found.chip_pj + row.loading_cycles * runs.original().chip.spec.clock_pj_per_cycle
    return energy / (found.cycles + row.loading_cycles) * CYCLES_PER_MS / PJ_PER_UJ


def _layer(runs: Runs, name: str) -> ChipEvaluation:
    return layer_of(runs.original(), name)
