"""FactorFlow beside our mapper on GEMMs, if a checkout of it is at hand (Ronzani, Silvano: ASPDAC 2025).

Its best mapping is translated and evaluated by our model, under the accounting `count-drains`, which has its
rules, and under `timeloop-3`. `FACTORFLOW` names the folder of its sources; it may also be on PATH.
"""

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmark import Step, run_process

from sparsim.mapper.search import search
from sparsim.model.evaluate import evaluate
from sparsim.records import (
    Accelerator,
    Architecture,
    Compute,
    EnergyTable,
    Layer,
    LevelConstraint,
    Mapping,
    Mapspace,
    Storage,
)
from sparsim.records.convolution import gemm
from sparsim.report.tables import Table

GEMMS = {"pn4": (128, 131, 16384), "pn9": (1024, 512, 256), "gemm": (512, 512, 2048)}  # M, K, N
AXES = ("MK", "KM", "MN", "NM", "KN", "NK")  # dims along X and Y of the array
SEARCH_S = 10.0
DIMS = {"M": "M", "K": "C", "N": "N"}  # theirs, ours
SPATIAL = ("Y", "X")

# 14 x 12 PEs, pJ per word, no limits of bandwidth; arguments: M, K, N and the dims along X and Y.
FACTORFLOW = """
import json, sys
from arch import Arch
from engine import run_engine
from factors import Shape
from levels import ComputeLevel, FanoutLevel, MemLevel
from settings import Settings
Settings.MULTITHREADED = Settings.VERBOSE = False
found, free = [], 2**40
for x, y in sys.argv[4:]:
    arch = Arch([
        MemLevel(name="DRAM", size=2**60, value_access_energy=200, bandwidth=free),
        MemLevel(name="GLB", size=65536, value_access_energy=6, bandwidth=free),
        FanoutLevel(name="X", dim=x, mesh=14),
        FanoutLevel(name="Y", dim=y, mesh=12),
        MemLevel(name="RF", size=512, value_access_energy=1, bandwidth=free),
        ComputeLevel(name="MAC", mesh=1, compute_energy=1, cycles=1),
    ], name="array")
    comp = Shape(*map(int, sys.argv[1:4]))
    arch.fitConstraintsToComp(comp, enforce=True)
    _, _, energy, cycles, _, _, arch = run_engine(arch, comp, False)
    loops = {at.name: [(dim, at.factors.dimProduct(dim)) for dim in at.dataflow] for at in arch}
    found.append({"energy_uj": energy, "cycles": cycles, "loops": loops})
print(json.dumps(found))
"""


class Row(NamedTuple):
    """One mapper on one GEMM: EDP in pJ x cycles under both accountings, and how it was found."""

    layer: str
    program: str
    edp: float
    edp_with_drains: float
    cpu_s: float
    note: str


def array() -> Accelerator:
    """The common hierarchy, in which every level keeps all tensors."""
    keep = tuple(dataspace.name for dataspace in gemm(1, 1, 1).shape.dataspaces)
    storage = (
        Storage(name="DRAM", technology="DRAM", word_bits=8),
        Storage(name="GLB", word_bits=8, size_words=65536),
        Storage(name="RF", word_bits=8, size_words=512, mesh=(14, 12)),
    )
    prices = {"DRAM": 200.0, "GLB": 6.0, "RF": 1.0}
    actions = {name: {"read": price, "write": price} for name, price in prices.items()}
    return Accelerator(
        architecture=Architecture(name="array", storage=storage, compute=Compute(name="MAC", word_bits=8)),
        energy=EnergyTable(actions={**actions, "MAC": {"compute": 1.0}}),
        mapspace=Mapspace(levels=tuple(LevelConstraint(level=at.name, keep=keep) for at in storage)),
    )


def mapping_of(loops: dict[str, list[tuple[str, int]]]) -> Mapping:
    """Return FactorFlow's loops, outermost first at every level, as a mapping."""

    def nest(level: str, axis: str = "") -> str:
        return " ".join(f"{DIMS[dim]}{bound}{axis}" for dim, bound in loops[level] if bound > 1)

    spatial = " ".join(nest(axis, axis) for axis in SPATIAL)
    return Mapping.parse(f"DRAM: {nest('DRAM')} | GLB: {nest('GLB')} {spatial} | RF: {nest('RF')}")


def factorflow_folder() -> Path | None:
    """Return the folder of FactorFlow's sources, or None."""
    program = shutil.which("main_cli.py")
    named = os.environ.get("FACTORFLOW") or (program and str(Path(program).parent))
    return Path(named) if named and Path(named, "engine.py").is_file() else None


def compare(step: Step) -> tuple[list[dict[str, Any]], Table | None, str]:
    """Return what was found, a table of it, and a line on what was compared or why it was not."""
    folder = factorflow_folder()
    if folder is None:
        return [], None, "FactorFlow is neither in the folder `FACTORFLOW` nor on PATH, so it was not run."
    rows = []
    for name, sizes in GEMMS.items():
        m, k, n = sizes
        layer = gemm(m, n, k, name=name)
        step(f"FactorFlow, {name}")
        rows.append(_factorflow(folder, layer, sizes))
        step(f"sparsim, {name}")
        rows.append(_ours(layer))
    head = ["GEMM", "program", "EDP, timeloop-3", "EDP, count-drains", "CPU s", ""]
    cells = [
        (row.layer, row.program, f"{row.edp:.4g}", f"{row.edp_with_drains:.4g}", f"{row.cpu_s:.2f}", row.note)
        for row in rows
    ]
    line = "FactorFlow ran on each GEMM with every pair of dims along the axes, and its best mapping counts."
    return [row._asdict() for row in rows], Table(head, cells, "EDP in pJ x cycles"), line


def _edps(layer: Layer, mapping: Mapping) -> tuple[float, float]:
    plain = evaluate(array(), layer, mapping, accounting="timeloop-3")
    drained = evaluate(array(), layer, mapping, accounting="count-drains")
    return plain.energy_pj * plain.cycles, drained.energy_pj * drained.cycles


def _factorflow(folder: Path, layer: Layer, sizes: tuple[int, int, int]) -> Row:
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", FACTORFLOW, *map(str, sizes), *AXES]
    done = run_process(command, {"PYTHONPATH": path})
    found = json.loads(done.output.splitlines()[-1])
    best = min(found, key=lambda one: one["energy_uj"] * one["cycles"])
    edp, drained = _edps(layer, mapping_of(best["loops"]))
    own = 1e6 * best["energy_uj"] * best["cycles"]
    return Row(layer.name, "FactorFlow", edp, drained, done.cpu_s, f"{own:.4g} by its own model")


def _ours(layer: Layer) -> Row:
    start = time.process_time()
    found = search(array(), layer, objective="edp", seconds=SEARCH_S)
    cpu_s, proof = time.process_time() - start, found.certificate
    note = "optimal" if proof.kind == "optimal" else f"gap {proof.gap:.2%}"
    return Row(layer.name, "sparsim", *_edps(layer, found.top[0].mapping), cpu_s, note)
