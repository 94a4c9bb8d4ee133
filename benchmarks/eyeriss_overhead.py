"""Energy of clock and control in two generations, fitted to published energies.

The original Eyeriss is silicon at 1 V: its clock and control are what the measured power of AlexNet leaves
after the parts that the model estimates. The chips of the v2 paper are simulated (layout, another corner of
the library, 8 bits): those of v1 and v1.5 are fitted to three of their energies, and those of v2 are scaled.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from eyeriss_measured import ALEXNET, MEASURED, VGG16, Measured
from eyeriss_networks import MOBILENET, ORIGINAL, Runs
from scipy.optimize import nnls

from sparsim.machines.eyeriss import ChipEvaluation
from sparsim.machines.eyeriss.cost_arrays import CLOCK, CONTROL
from sparsim.report.tables import Table

SILICON = ORIGINAL
FITTED = ("eyeriss_v1", "eyeriss_v1_5")  # have one overhead: their PEs are the same
SCALED = "eyeriss_v2"
STAGES = 7 / 3  # stages of the pipeline of v2 (JETCAS 2019) over those of v1 (JSSC 2017): a choice
TARGETS = (  # inferences per joule, as in eyeriss_published.csv
    ("eyeriss_v1", "alexnet", 60.96),
    ("eyeriss_v1", MOBILENET, 1024.1),
    ("eyeriss_v1_5", MOBILENET, 1843.4),
)


class Sample(NamedTuple):
    """An energy that clock and control are fitted to."""

    name: str
    published_pj: float
    accounted_pj: float  # by the model, without clock and control
    cycles: float
    busy_cycles: float  # of all PEs

    @property
    def left_pj(self) -> float:
        return self.published_pj - self.accounted_pj


class Overhead(NamedTuple):
    clock_pj: float  # in every cycle
    control_pj: float  # in every cycle of a busy PE

    def deviation(self, sample: Sample) -> float:
        found = self.clock_pj * sample.cycles + self.control_pj * sample.busy_cycles
        return (sample.accounted_pj + found) / sample.published_pj - 1.0


def silicon_samples(runs: Runs) -> list[Sample]:
    """The layers of AlexNet, with the cycles that were measured, in which the clock runs."""
    return [
        Sample(row.layer, row.energy_pj, *_accounted([layer])[:1], row.cycles, _accounted([layer])[1])
        for row, layer in zip(ALEXNET, runs.as_published().layers, strict=True)
    ]


def simulated_samples(runs: Runs) -> list[Sample]:
    found = []
    for chip, workload, per_j in TARGETS:
        network = runs.network(chip, workload)
        accounted, busy = _accounted(network.layers)
        found.append(Sample(f"{chip}, {workload}", 1e12 / per_j, accounted, float(network.cycles), busy))
    return found


def _accounted(layers: Sequence[ChipEvaluation]) -> tuple[float, float]:
    """Energy without clock and control, and cycles of busy PEs."""
    parts = (pj for x in layers for name, pj in x.energy_pj.items() if name not in (CLOCK, CONTROL))
    return math.fsum(parts), math.fsum(float(x.pe.busy_cycles) for x in layers)


def fit(samples: Sequence[Sample]) -> Overhead:
    """Return the overhead with the least squares of relative deviations, none of it below 0."""
    shares = np.array([[s.cycles, s.busy_cycles] for s in samples])
    published = np.array([s.published_pj for s in samples])
    left = np.array([s.left_pj for s in samples])
    return Overhead(*nnls(shares / published[:, None], left / published)[0].tolist())


def per_chip(runs: Runs) -> dict[str, tuple[float, float]]:
    """`clock_pj_per_cycle` and `control_pj_per_pe_cycle` of every preset, rounded as they stand there."""
    silicon, simulated = fit(silicon_samples(runs)), fit(simulated_samples(runs))
    scaled = Overhead(*(STAGES * pj for pj in simulated))
    found = {SILICON: silicon, **dict.fromkeys(FITTED, simulated), SCALED: scaled}
    return {chip: (round(clock), round(control, 2)) for chip, (clock, control) in found.items()}


def overhead_table(runs: Runs) -> Table:
    sources = {
        SILICON: "fitted to the measured power of AlexNet",
        **dict.fromkeys(FITTED, "fitted to three energies of v1 and v1.5"),
        SCALED: "that of v1.5 x 7/3",
    }
    rows = [
        (chip, f"{clock:.0f}", f"{control:.2f}", sources[chip])
        for chip, (clock, control) in per_chip(runs).items()
    ]
    head = ["chip", "clock pJ per cycle", "control pJ per busy PE and cycle", "source"]
    return Table(head, rows, text=(0, 3))


def residual_table(runs: Runs) -> Table:
    rows = []
    for samples in (silicon_samples(runs), simulated_samples(runs)):
        found = fit(samples)
        for s in samples:
            mj = (f"{pj / 1e9:.2f}" for pj in (s.published_pj, s.accounted_pj, s.left_pj))
            rows.append((s.name, *mj, f"{s.left_pj / s.cycles:.0f}", f"{found.deviation(s):+.0%}"))
    head = "layer or network|published mJ|modelled parts mJ|left mJ|left pJ per cycle|deviation after the fit"
    return Table(head.split("|"), rows)


def regression_table() -> Table:
    """The measured energy as pJ per cycle and pJ per nonzero MAC, without any model: of all layers, and of
    those of AlexNet, with the deviations of all.
    """
    rows = []
    for name, layers in (("AlexNet", ALEXNET), ("AlexNet and VGG-16", MEASURED)):
        found = fit([Sample(x.layer, x.energy_pj, 0.0, x.cycles, x.nonzero_macs) for x in layers])
        worst = (f"{_worst(found, of):.1%}" for of in (ALEXNET, VGG16))
        rows.append((name, f"{found.clock_pj:.0f}", f"{found.control_pj:.1f}", *worst))
    head = "fitted to|pJ per cycle|pJ per nonzero MAC|largest deviation, AlexNet|largest deviation, VGG-16"
    return Table(head.split("|"), rows)


def _worst(found: Overhead, layers: Sequence[Measured]) -> float:
    samples = (Sample(x.layer, x.energy_pj, 0.0, x.cycles, x.nonzero_macs) for x in layers)
    return max(abs(found.deviation(sample)) for sample in samples)
