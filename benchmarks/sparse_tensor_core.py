"""The tensor cores of Sparseloop's figure 15 on the exact model, compared with the artifact's stats files.

`sparseloop_fig15.csv` has the cycles and energies of six designs on four layers of ResNet-50 as matrix
products. Five of the designs are computed here; DSTC skips by position, for which the model has no rule.
"""

import csv
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from sparsim import evaluate
from sparsim.files.sparsim_yaml import load_preset
from sparsim.records import Accelerator, Density, Layer, LevelMapping, Mapping, Nest, Rank, TensorFormat, gemm

PUBLISHED = Path(__file__).parent / "sparseloop_fig15.csv"
GROUPS = {0.25: 8, 0.3333: 6, 0.5: 4}  # of which two weights are kept, by weight density
KEPT = 2
METADATA_BITS = {"CP": {8: 3, 6: 3, 4: 2}, "RLE": {8: 3, 6: 2, 4: 2}}  # of a kept weight, by group
# The dense design of the artifact has other memories; pJ
DENSE_ENERGY = {
    "SMEM": {"write": 599.806, "read": 536.05005, "gated_write": 0.26703, "gated_read": 0.26703},
    "RF": {"write": 3.20183, "read": 3.1647, "gated_write": 0.00081, "gated_read": 0.00081},
    "LRF": {"write": 0.02435, "read": 0.02435},
    "MAC": {"mac_random": 0.44688, "mac_gated": 0.0, "mac_skipped": 0.0},
}


class Run(NamedTuple):
    """One bar of the figure, and the loop bounds of its mapping above the multipliers."""

    design: str
    weight_density: float
    rows: int
    inner: int
    columns: int
    input_density: float
    cycles: int
    energy_uj: float
    lrf_columns: int
    smem_rows: int
    smem_columns: int
    dram_rows: int
    dram_columns: int
    dram_inner: str


def runs() -> list[Run]:
    """Return all bars."""
    lines = [line for line in PUBLISHED.read_text().splitlines() if not line.startswith("#")]
    return [
        Run(*(Run.__annotations__[name](value) for name, value in row.items()))
        for row in csv.DictReader(lines)
    ]


def model(run: Run) -> tuple[int, float]:
    """Return the cycles and the energy in uJ of the exact model."""
    group = _group(run)
    spread = 16 * group // KEPT  # inner products that 16 multipliers of a column share
    inner = -(-run.inner // spread) * spread
    weights = Density(density=round(KEPT / group, 5))
    layer = gemm(run.rows, run.columns, inner, densities={"Weights": weights})
    if "dualCompress" in run.design:
        inputs = Density(distribution="hypergeometric", density=run.input_density)
        layer = replace(layer, densities={**layer.densities, "Inputs": inputs})
    accelerator = _accelerator(run, group)
    result = evaluate(accelerator, layer, _mapping(run, layer, spread), accounting="timeloop-2022")
    return result.cycles, result.energy_pj / 1e6


def _group(run: Run) -> int:
    """Return the size of groups in which two weights are kept: four, except in the flexible designs."""
    if run.design == "TC" or run.weight_density == 1.0:
        return KEPT
    return GROUPS[run.weight_density] if "flexible" in run.design else 4


def _accelerator(run: Run, group: int) -> Accelerator:
    found = load_preset("sparse_tensor_core").accelerator
    if run.design == "TC":
        energy = replace(found.energy, actions={**found.energy.actions, **DENSE_ENERGY})
        storage = tuple(
            replace(level, write_bandwidth=16.0) if level.name == "DRAM" else level
            for level in found.architecture.storage
        )
        architecture = replace(found.architecture, storage=storage)
        return replace(found, architecture=architecture, energy=energy, policy=type(found.policy)())
    kind = "RLE" if run.design.endswith("RLE") else "CP"
    bits = METADATA_BITS[kind].get(group, 0)
    formats = [] if group == KEPT else [_with_last_rank(f, kind, bits) for f in found.policy.formats]
    if "dualCompress" in run.design:
        formats += _bitmasks(found.policy.formats)
    return replace(found, policy=replace(found.policy, formats=tuple(formats)))


def _with_last_rank(given: TensorFormat, kind: str, bits: int) -> TensorFormat:
    return replace(given, ranks=(*given.ranks[:-1], Rank(format=kind, metadata_word_bits=bits)))


def _bitmasks(formats: tuple[TensorFormat, ...]) -> list[TensorFormat]:
    """Return formats of inputs with one bit per input, in the memories of weights above the LRFs."""
    bits = (
        Rank(format="B", metadata_word_bits=0, payload_word_bits=0),
        Rank(format="B", metadata_word_bits=1, payload_word_bits=0),
    )
    return [
        replace(given, dataspace="Inputs", ranks=(*given.ranks[:-1], *bits))
        for given in formats
        if given.level != "LRF"
    ]


def _mapping(run: Run, layer: Layer, spread: int) -> Mapping:
    """Return a weight-stationary mapping: columns of inputs innermost, then inner products, then weights."""
    inner = layer.bounds["C"] // spread
    order = ("C", "M", "N") if run.dram_inner == "N" else ("C", "N", "M")
    dram = Nest(factors={"M": run.dram_rows, "N": run.dram_columns}, order=order)
    smem = Nest(factors={"M": run.smem_rows, "N": run.smem_columns}, order=("C", "N", "M"))
    return Mapping(levels=(
        LevelMapping(level="DRAM", temporal=dram),
        LevelMapping(
            level="SMEM", bypass=("Outputs",), temporal=smem,
            spatial=Nest(factors={"M": 4}, order=("C", "N", "M"), split_x=0),
        ),
        LevelMapping(
            level="RF", bypass=("Weights", "Inputs"),
            temporal=Nest(factors={"C": inner}, order=("N", "M", "C")),
            spatial=Nest(factors={"M": 16, "C": spread}, order=("N", "M", "C"), split_x=1),
        ),
        LevelMapping(
            level="LRF", bypass=("Inputs", "Outputs"),
            temporal=Nest(factors={"N": run.lrf_columns}, order=("C", "M", "N")),
        ),
    ))  # fmt: skip


def main() -> None:
    """Print each bar with the model's numbers, and how many are equal to the printed digits."""
    found = [(run, *model(run)) for run in runs()]
    for run, cycles, energy in found:
        shape = f"{run.rows}x{run.inner}x{run.columns}"
        print(
            f"{run.design:32} {run.weight_density:6} {shape:14} {run.cycles:7} {cycles:7} "
            f"{run.energy_uj:7.2f} {energy:7.2f}"
        )
    print(f"{sum(run.cycles == cycles for run, cycles, _ in found)} of {len(found)} cycles equal")
    print(f"{sum(run.energy_uj == round(energy, 2) for run, _, energy in found)} energies equal")


if __name__ == "__main__":
    main()
