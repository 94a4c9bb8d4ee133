"""What design-space sweeps cost: CPU seconds of all processes, on two workers.

    python benchmarks/sweep.py [--json FILE] [--quick]

* `mapped_1000_points_cpu_s`: 1,000 designs x 12 sparse PointNet++ layers, each layer mapped within the
  study's dataflow and proven to be the best, nothing skipped. Beside it the CPU seconds that Timeloop took
  for a design point of the study, 347 (docs/results/mapper-results.md), as a ratio.
* `skipped_by_proof_share`: the share of these points that a sweep for cycles and area need not evaluate when
  it may skip what is proven to be dominated. Bounds of cycles are near what is reached; those of energy are
  half of it, and rule out none of these points.
* `fixed_100000_points_cpu_s`: 100,000 designs that differ in energies, with the mappings of the base.
* `stub_overhead_ms`: what a sweep adds to each of 1,000,000 points that cost nothing themselves; memory of
  the parent process, and seconds to find the finished sweep again.
"""

import resource
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmark import Found, Step, benchmark, met
from msgspec.structs import replace
from sweep_stub import Stub

from sparsim import sweep
from sparsim.report.tables import Table
from sparsim.sweep.study import Direction

JOBS = 2
TIMELOOP_CPU_S = 347.0  # per design point of 12 layers
GRID = {
    "glb_depth": (3200, 6400, 12800, 19200, 25600),
    "columns": (7, 10, 14, 21, 28),
    "rows": (6, 8, 12, 16, 24),
}
PRICES = 400  # of DRAM and of the buffer in the sweep of energies: 400 x 250 points


class Spent(NamedTuple):
    """CPU seconds of this process and its children, and the result."""

    cpu_s: float
    wall_s: float
    result: Any


def run(study: sweep.Study, folder: Path, **options: Any) -> Spent:
    """Run a sweep to its end."""

    def spent() -> float:
        both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in both)

    cpu_s, wall_s = spent(), time.perf_counter()
    result = sweep.run(study, folder, jobs=JOBS, **options)
    return Spent(spent() - cpu_s, time.perf_counter() - wall_s, result)


def mapped_study(points: dict[str, tuple[int, ...]], *, skip: bool) -> sweep.Study:
    """The shipped study of two designs with other values."""
    study = sweep.load_study("eyeriss_like")
    axes = {
        name: replace(axis, values=points[name]) if name in points else axis
        for name, axis in study.axes.items()
    }
    objectives: dict[str, Direction] = {"cycles": "min", "area_mm2": "min"}
    return replace(study, name="mapped", axes=axes, skip_dominated=skip, objectives=objectives)


def fixed_study(number: int) -> sweep.Study:
    """Prices of DRAM and of the global buffer on one design, mappings fixed."""
    return sweep.study_of({
        "name": "fixed",
        "base": "eyeriss_like_onchip",
        "workloads": ["pointnet2_study_sparse"],
        "axes": {
            "dram_pj": {"path": "energy.actions.DRAM.read", "range": [100, 99 + number]},
            "glb_pj": {"path": "energy.actions.shared_glb.read", "range": [1, 250]},
        },
        "derive": {"energy.actions.DRAM.write": "dram_pj", "energy.actions.shared_glb.write": "glb_pj"},
        "objectives": ["energy", "cycles"],
        "search": {"mappings": "base", "method": "random", "evaluations": 200},
    })  # fmt: skip


def stub_study(number: int) -> sweep.Study:
    return replace(fixed_study(2), name="stub", axes={
        "a": sweep.Axis(values=tuple(range(number))), "b": sweep.Axis(values=tuple(range(1000))),
    }, derive={}, search=sweep.Search(mappings="base", method="random", evaluations=1))  # fmt: skip


@benchmark(quick="Fewer points; the numbers are not those of the targets.")
def main(step: Step, quick: bool) -> Found:
    folder = Path(tempfile.mkdtemp(prefix="sweep"))
    try:
        return measure(step, folder, quick)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(step: Step, folder: Path, quick: bool) -> Found:
    grid = {name: values[:1] if quick else values for name, values in GRID.items()}
    step("kernels")
    run(mapped_study({name: values[:1] for name, values in GRID.items()}, skip=False), folder / "warm")
    step("mapped points")
    mapped = run(mapped_study(grid, skip=False), folder / "mapped")
    points = mapped.result.summary["points"]
    step("the same, skipping what is proven to be dominated")
    skipping = run(mapped_study(grid, skip=True), folder / "skipping")
    saved = skipping.result.summary["evaluations_saved"]
    step("points with fixed mappings")
    fixed = run(fixed_study(4 if quick else PRICES), folder / "fixed")
    fixed_points = fixed.result.summary["points"]
    step("points of a stub")
    stub = run(stub_study(5 if quick else 1000), folder / "stub", evaluator=Stub())
    stub_points = stub.result.summary["points"]
    overhead_ms = stub.cpu_s / stub_points * 1e3
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    step("the finished stub again")
    again = run(stub_study(5 if quick else 1000), folder / "stub", evaluator=Stub())
    rows = [
        (f"{points:,} mapped points, CPU s", f"{mapped.cpu_s:.1f}", *met(mapped.cpu_s, 600, larger=False)),
        ("  times Timeloop's rate", f"{TIMELOOP_CPU_S * points / mapped.cpu_s:,.0f}", "", ""),
        ("  share skipped by proof", f"{saved / points:.1%}", "", ""),
        ("  CPU s with skipping", f"{skipping.cpu_s:.1f}", "", ""),
        (f"{fixed_points:,} fixed, CPU s", f"{fixed.cpu_s:.1f}", *met(fixed.cpu_s, 120, larger=False)),
        (f"{stub_points:,} of a stub, ms each", f"{overhead_ms:.4f}", *met(overhead_ms, 0.3, larger=False)),
        ("  memory of the parent, MiB", f"{peak_mib:.0f}", "", ""),
        ("  found again, CPU s", f"{again.cpu_s:.1f}", "", ""),
    ]
    numbers = {
        "mapped_points": points, "mapped_1000_points_cpu_s": mapped.cpu_s * 1000 / points,
        "mapped_wall_s": mapped.wall_s, "skipped_by_proof_share": saved / points,
        "skipping_cpu_s": skipping.cpu_s, "fixed_points": fixed_points,
        "fixed_100000_points_cpu_s": fixed.cpu_s * 100_000 / fixed_points, "stub_points": stub_points,
        "stub_overhead_ms": overhead_ms, "stub_parent_mib": peak_mib, "stub_resumed_cpu_s": again.cpu_s,
    }  # fmt: skip
    return Found(numbers, {"sweep": Table(("", "measured", "asked", ""), rows)})


if __name__ == "__main__":
    main()
