"""Gain by padded and imperfect factors on the two layers of the study whose C is prime or nearly prime.

    python benchmarks/factor_policies.py [--json FILE] [--document FILE] [--quick]

The layers are 4 (C = 131) and 7 (C = 259 = 7 x 37) on both designs, dense and sparse, in the study's mapspace
with perfect, padded and imperfect factors of C. Times are CPU seconds of one core, after one search that
compiles the kernels.
"""

import math
from typing import Any

from benchmark import Found, Step, benchmark, machine
from mapper import OBJECTIVE, QUICK, best_of
from msgspec.structs import replace

from pointnet.original.published_runs import Run, runs, study_mapspace
from sparsim.report.tables import Table

LAYERS = (4, 7)
DIM = "C"
POLICIES = ("perfect", "padded", "imperfect")
OBJECTIVES = (OBJECTIVE, ("energy",))
QUICK_TITLE = "on-chip sparse"

Row = dict[str, Any]


def measure(run: Run, objective: tuple[str, ...]) -> Row:
    """Measure one problem under all policies."""
    row: Row = {
        "name": f"{run.title} {run.number}",
        "objective": list(objective),
        "operations": math.prod(run.layer.bounds.values()),
        "bound": run.layer.bounds[DIM],
    }
    for policy in POLICIES:
        mapspace = replace(study_mapspace(), divisibility={} if policy == "perfect" else {DIM: policy})
        found, cpu_s = best_of(run, objective, mapspace)
        covers = found.top[0].covers
        row[policy] = {
            "energy_pj": found.energy_pj,
            "pj_per_operation": found.energy_pj / row["operations"],
            "cycles": found.cycles,
            "covered": covers[0].covered if covers else row["bound"],
            "padding": covers[0].padding if covers else 0.0,
            "certificate": found.certificate.kind,
            "candidates": found.statistics.candidates,
            "cpu_s": cpu_s,
        }
    return row


def table(rows: list[Row]) -> Table:
    head = "layer|objective|energy uJ, perfect|padded|imperfect|cycles, perfect|padded|imperfect"
    cells = []
    for row in rows:
        each = [row[policy] for policy in POLICIES]
        cells.append((
            row["name"], ", ".join(row["objective"]), *(f"{one['energy_pj'] / 1e6:.2f}" for one in each),
            *(f"{one['cycles']:,}" for one in each), *(one["covered"] for one in each[1:]),
            f"{sum(one['certificate'] == 'optimal' for one in each)} of {len(each)}",
        ))  # fmt: skip
    return Table([*head.split("|"), f"{DIM} covered, padded", "imperfect", "certified"], cells)


def summary(rows: list[Row]) -> list[str]:
    texts = []
    for row in rows:
        if row["name"].startswith(QUICK_TITLE):
            each = ", ".join(f"{row[policy]['pj_per_operation']:.2f} pJ ({policy})" for policy in POLICIES)
            texts.append(f"{row['name']}, {', '.join(row['objective'])}: an operation takes {each}.")
    seconds = {policy: sum(row[policy]["cpu_s"] for row in rows) for policy in POLICIES}
    spent = ", ".join(f"{policy} {s:.1f}" for policy, s in seconds.items())
    return [*texts, f"CPU seconds of all {len(rows)} searches: {spent}. Machine: {machine()}."]


@benchmark(quick="One problem.", document=True)
def main(step: Step, quick: bool) -> Found:
    chosen = [run for run in runs() if run.number in LAYERS and (not quick or run[:2] == QUICK)]
    problems = [(run, objective) for run in chosen for objective in OBJECTIVES][: 1 if quick else None]
    measure(chosen[0], OBJECTIVE)  # this search compiles the kernels
    rows = [measure(*problem) for problem in problems]
    return Found({"rows": rows}, {"policies": table(rows), "policies summary": summary(rows)})


if __name__ == "__main__":
    main()
