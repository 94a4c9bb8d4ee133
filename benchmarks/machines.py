"""Sparse machines compared with published results, one function for each machine.

EIE: the twin runs the nine layers with random masks. Its load efficiency is compared with the theoretical
time over the actual time of table IV, both of which include padding. The theoretical times of Alex-8 and
VGG-6 do not follow from their densities, so these two are shown but not counted.

SIGMA, Gamma, OuterSPACE and ExTensor: `spgemm_published.py` compares their closed forms with the counts of
TeAAL.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sparse_conv
from benchmark import Found, Step, benchmark
from spgemm_published import all_exact, published_times

from sparsim import load_preset, load_workload
from sparsim.machines.eie.closed_form import vector_time
from sparsim.machines.eie.cycle_twin import VectorRun, run_vector
from sparsim.machines.eie.relative_csc import stored_weights
from sparsim.records import Layer
from sparsim.records.eie_spec import EieSpec
from sparsim.report.tables import Table

EIE_TIMES = Path(__file__).parent / "eie_published.csv"
UNEXPLAINED = ("Alex-8", "VGG-6")
FRAMES_256 = 426_230  # runs of Alex-7 per second on 256 PEs at 1200 MHz (EIE, table V)


class Measured(NamedTuple):
    """Results of a function of this file: numbers for --json, and a table for the document."""

    numbers: dict[str, Any]
    name: str
    table: Table


def sparse_convolution() -> Measured:
    found = sparse_conv.measure(lambda what: None)
    ((name, table),) = found.blocks.items()
    assert isinstance(table, Table)
    return Measured(dict(found.numbers), name, table)


class EieRow(NamedTuple):
    """A layer: load efficiencies, and times in microseconds."""

    layer: str
    twin: float
    closed_form: float
    published: float
    twin_us: float
    actual_us: float

    @property
    def error(self) -> float:
        """Relative error of the twin's efficiency."""
        return self.twin / self.published - 1.0


def run_on_eie(spec: EieSpec, layer: Layer, seed: int = 0) -> VectorRun:
    """Run the twin on random masks with the densities of a fully connected layer."""
    weights, inputs = (layer.density(name).density for name in ("Weights", "Inputs"))
    sent = round(layer.bounds["C"] * inputs)  # only columns that are sent count
    mask = np.random.default_rng(seed).random((layer.bounds["M"], sent), np.float32) < weights
    stored = stored_weights(mask, spec.pes, spec.index_bits)
    return run_vector(stored, np.ones(sent, bool), spec.fifo_depth, spec.entries_per_row)


def closed_form_efficiency(spec: EieSpec, layer: Layer) -> float:
    columns = layer.bounds["C"] * layer.density("Inputs").density
    found = vector_time(
        layer.bounds["M"], layer.density("Weights").density, columns, spec.pes, spec.fifo_depth,
        spec.longest_gap, spec.entries_per_row,
    )  # fmt: skip
    return found.entries / (spec.pes * found.cycles)


def eie_rows() -> list[EieRow]:
    spec = load_preset("eie").machine
    assert isinstance(spec, EieSpec)
    with EIE_TIMES.open(encoding="utf-8") as file:
        times = {row["layer"]: row for row in csv.DictReader(line for line in file if line[0] != "#")}
    rows = []
    for layer in load_workload("eie_fc").layers:
        run = run_on_eie(spec, layer)
        theoretical, actual = (float(times[layer.name][key]) for key in ("theoretical_us", "actual_us"))
        rows.append(
            EieRow(
                layer.name,
                run.load_efficiency,
                closed_form_efficiency(spec, layer),
                theoretical / actual,
                run.cycles / spec.clock_mhz,
                actual,
            )
        )
    return rows


def eie_frames_256() -> float:
    """Return the number of runs of Alex-7 per second on 256 PEs."""
    spec = load_preset("eie_256").machine
    assert isinstance(spec, EieSpec)
    layer = next(layer for layer in load_workload("eie_fc").layers if layer.name == "Alex-7")
    return spec.clock_mhz * 1e6 / run_on_eie(spec, layer).cycles


def eie() -> Measured:
    rows, frames = eie_rows(), eie_frames_256()
    counted = [abs(row.error) for row in rows if row.layer not in UNEXPLAINED]
    every = [abs(row.error) for row in rows]
    numbers = {
        "eie_mean_error": sum(counted) / len(counted),
        "eie_worst_error": max(counted),
        "eie_mean_error_of_nine": sum(every) / len(every),
        "eie_worst_error_of_nine": max(every),
        "eie_closed_form_worst_difference": max(abs(row.twin - row.closed_form) for row in rows),
        "eie_256_error": frames / FRAMES_256 - 1.0,
        "eie_layers": [row._asdict() for row in rows],
    }
    cells = [
        (
            row.layer, f"{row.published:.3f}", f"{row.twin:.3f}", f"{row.error:+.1%}",
            f"{row.closed_form:.3f}", f"{row.actual_us:.1f}", f"{row.twin_us:.1f}",
        )
        for row in rows
    ]  # fmt: skip
    head = (
        "layer", "published efficiency", "twin", "error", "closed form", "published us", "twin us",
    )  # fmt: skip
    return Measured(numbers, "eie", Table(head, cells))


def spgemm() -> Measured:
    """Compare SIGMA, Gamma, OuterSPACE and ExTensor with the counts of the TeAAL artifact."""
    rows = published_times()
    numbers: dict[str, Any] = {
        f"{name}_exact": all_exact(name) for name in dict.fromkeys(r.machine for r in rows)
    }
    numbers["spgemm_rows"] = [row._asdict() | {"exact": row.exact} for row in rows]
    cells = [
        (
            row.machine, row.workload, f"{row.printed:,.{row.digits}f}", f"{row.ours:,.{row.digits}f}",
            f"{row.printed / row.reported - 1.0:+.1%}",
        )
        for row in rows
    ]  # fmt: skip
    head = ("machine", "workload", "TeAAL", "closed form", "TeAAL over paper")
    return Measured(numbers, "spgemm", Table(head, cells, text=(0, 1)))


MACHINES = (eie, spgemm, sparse_convolution)


@benchmark(document=True)
def main(step: Step) -> Found:
    numbers, blocks = {}, {}
    for measure in MACHINES:
        step(measure.__name__)
        found = measure()
        numbers |= found.numbers
        blocks[found.name] = found.table
    return Found(numbers, blocks)


if __name__ == "__main__":
    main()
