"""Reads of partial sums that are written to the level outside, against energies that AccelForge reports.

The mappings are those of a comparison of mappers on a common hierarchy (docs/how-to/mapper.md): AccelForge
1.0.467 charges drains, and otherwise has the rules of Timeloop for these mappings.
"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from sparsim.mapper.search import search
from sparsim.model.evaluate import evaluate
from sparsim.model.frozen import Frozen
from sparsim.model.result import TensorTraffic
from sparsim.records import (
    Accelerator,
    Architecture,
    Compute,
    EnergyTable,
    Layer,
    LevelMapping,
    Mapping,
    Nest,
    Storage,
)
from sparsim.records.accounting import Accounting
from validation.random_cases import GEMM

PJ = {"DRAM": 200, "GLB": 6, "RF": 1}
LEVELS = (
    Storage(name="DRAM", technology="DRAM"),
    Storage(name="GLB", size_words=65_536),
    Storage(name="RF", size_words=512, mesh=(64, 64)),
)
CHIP = Accelerator(
    architecture=Architecture(storage=LEVELS, compute=Compute(name="MAC", mesh=(64, 64))),
    energy=EnergyTable(
        actions={name: {"read": pj, "write": pj} for name, pj in PJ.items()} | {"MAC": {"compute": 1}}
    ),
)


def product(m: int, k: int, n: int) -> Layer:
    return Layer(name="gemm", shape=GEMM, bounds={"M": m, "K": k, "N": n})


def loops(order: str, **factors: int) -> Nest:
    return Nest(factors=factors, order=tuple(order))


def mapped(dram: Nest, glb: Nest, array: Nest, registers: Nest) -> Mapping:
    levels = (
        LevelMapping(level="DRAM", temporal=dram),
        LevelMapping(level="GLB", temporal=glb, spatial=array),
        LevelMapping(level="RF", temporal=registers),
    )
    return Mapping(levels=levels)


LARGE, PRIME = product(512, 512, 2048), product(128, 131, 16384)
PUBLISHED = [  # uJ without drains, and what AccelForge reports
    (PRIME, mapped(loops("N", N=128), loops("K", K=131), loops("NM", M=8, N=8), loops("NM", M=16, N=16)),
     2309.24, 2323.92),
    (LARGE, mapped(loops("NMK", M=4, K=8, N=8), loops("N", N=256), loops("KM", M=8, K=4),
                   loops("KM", M=16, K=16)), 4383.05, 4422.89),
    (LARGE, mapped(loops("KMN", M=4, K=2, N=32), loops("M", M=128), loops("K", K=64), loops("NK", K=4, N=64)),
     4344.77, 4491.58),
    (LARGE, mapped(loops("KMN", M=4, K=2, N=32), loops("K", K=256), loops("NM", M=8, N=4),
                   loops("NM", M=16, N=16)), 4399.30, 4413.98),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "mapping", "free", "charged"), PUBLISHED)
def test_energies_are_those_of_accelforge(
    layer: Layer, mapping: Mapping, free: float, charged: float
) -> None:
    found = [evaluate(CHIP, layer, mapping), evaluate(CHIP, layer, mapping, accounting="count-drains")]
    assert [round(one.energy_pj / 1e6, 2) for one in found] == [free, charged]
    assert found[0].cycles == found[1].cycles
    frozen = Frozen(CHIP, [layer], [mapping], accounting="count-drains")
    assert frozen([[1.0, 1.0, 1.0]]).energy_pj.tolist() == [found[1].energy_pj]


def results(layer: Layer, mapping: Mapping, accounting: Accounting) -> list[TensorTraffic]:
    levels = evaluate(CHIP, layer, mapping, accounting=accounting).storage
    return [next(tensor for tensor in level.tensors if tensor.dataspace == "Z") for level in levels]


def test_every_word_that_leaves_a_level_is_read_there() -> None:
    """Of 32 units, groups of 4 add up their results on the way to the buffer, which counts one update."""
    layer, mapping, *_ = PUBLISHED[1]
    free, charged = results(layer, mapping, "timeloop-3"), results(layer, mapping, "count-drains")
    drained = [b.reads.actual - a.reads.actual for a, b in zip(free, charged, strict=True)]
    assert drained == [free[1].updates.actual * 4 // 32, free[2].updates.actual, 0]
    assert [a.temporal_reductions for a in free] == [b.temporal_reductions for b in charged]


def test_bandwidth_of_reads_is_shared_with_drains() -> None:
    layer, mapping, *_ = PUBLISHED[0]
    slow = [replace(level, read_bandwidth=0.5) if level.name == "RF" else level for level in LEVELS]
    chip = replace(CHIP, architecture=replace(CHIP.architecture, storage=tuple(slow)))
    free, charged = evaluate(chip, layer, mapping), evaluate(chip, layer, mapping, accounting="count-drains")
    more = (charged.cycles - free.cycles) * 0.5
    assert more == pytest.approx(layer.bounds["M"] * layer.bounds["N"] / 64, abs=1)


@pytest.mark.parametrize("objective", ["energy", "edp", "accesses-GLB"])
def test_the_optimum_is_proven_under_the_accounting(objective: str) -> None:
    layer = product(16, 12, 8)
    options: Any = {"objective": objective, "accounting": "count-drains"}
    proven = search(CHIP, layer, method="exhaustive", **options)
    assert proven.certificate.kind == "optimal"
    found = search(CHIP, layer, method="local", evaluations=300, **options)
    assert found.certificate.lower_bound <= proven.certificate.value <= found.certificate.value
    again = evaluate(CHIP, layer, proven.best, accounting="count-drains")
    assert (again.energy_pj, again.cycles) == (proven.energy_pj, proven.cycles)
