"""The measurements of the original Eyeriss, eyeriss_measured.csv, beside the model's results."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from eyeriss_networks import glb_mb, layer_of

from sparsim.estimate.source_data import read_rows
from sparsim.machines.eyeriss import NetworkEvaluation
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
    def loading_ms(self) -> float:
        return self.total_ms - self.proc_ms

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


def measured_table(network: NetworkEvaluation, rows: Sequence[Measured]) -> Table:
    """Measurement and model, layer by layer; power by the model is over its own cycles and loading."""
    cells = []
    for row in rows:
        found = layer_of(network, row.layer)
        cells.append(
            (
                row.layer, f"{row.proc_ms:.1f}", f"{processing_ms(network, row):.1f}",
                f"{row.loading_ms:.1f}", f"{loading_ms(network, row):.1f}",
                f"{row.power_mw:.0f}", f"{power_mw(network, row):.0f}", f"{row.active_pes:.0f}",
                f"{float(found.pe.busy_cycles) / found.cycles:.0f}", f"{row.glb_mb:.1f}",
                f"{glb_mb(found):.1f}", f"{row.dram_mb:.1f}", f"{dram_mb(network, row):.1f}",
            )
        )  # fmt: skip
    sums = [
        (math.fsum(getattr(row, name) for row in rows), math.fsum(model(network, row) for row in rows))
        for name, model in MODELS.items()
    ]
    ms, loading, _, glb, dram = (tuple(f"{x:.1f}" for x in pair) for pair in sums)
    total = ("sum", *ms, *loading, "", "", "", "", *glb, *dram)
    head = "layer|ms|model|loading ms|model|mW|model|active PEs|busy PEs, model|GLB MB|model|DRAM MB|model"
    return Table(head.split("|"), [*cells, total])


def processing_ms(network: NetworkEvaluation, row: Measured) -> float:
    return layer_of(network, row.layer).cycles / CYCLES_PER_MS


def loading_ms(network: NetworkEvaluation, row: Measured) -> float:
    """The time of ifmaps and ofmaps on the link, in which the chip does not compute."""
    found, link = layer_of(network, row.layer), network.chip.spec.filter_link
    if link is None:
        return 0.0
    return (found.dram_parts["iact"] + found.dram_parts["psum"]) / link.gb_per_s / 1e6


def power_mw(network: NetworkEvaluation, row: Measured) -> float:
    """The power of processing and loading, in which the clock runs."""
    found, loading = layer_of(network, row.layer), loading_ms(network, row) * CYCLES_PER_MS
    energy = found.chip_pj + loading * network.chip.spec.clock_pj_per_cycle
    return energy / (found.cycles + loading) * CYCLES_PER_MS / PJ_PER_UJ


def moved_mb(network: NetworkEvaluation, row: Measured) -> float:
    return glb_mb(layer_of(network, row.layer))


def dram_mb(network: NetworkEvaluation, row: Measured) -> float:
    return layer_of(network, row.layer).dram_bytes / 1e6


MODELS: dict[str, Callable[[NetworkEvaluation, Measured], float]] = {
    "proc_ms": processing_ms, "loading_ms": loading_ms, "power_mw": power_mw, "glb_mb": moved_mb,
    "dram_mb": dram_mb,
}  # fmt: skip
