"""The mapper without the study's dataflow: gap between the best mapping and the proven bound, and gain.

    python benchmarks/free_dataflow.py [--set study|networks] [--json FILE] [--document FILE] [--quick]

The mapper solves all 48 problems of the original study with three objectives, under `timeloop-3`. The levels
that keep each tensor are those of the study, and everything else is free. The results are compared with the
optimum of the study's own mapspace. With `--set networks` it solves the distinct layers of AlexNet and
ResNet-50, dense and sparse, on the design with on-chip compression. Times are CPU seconds of one core.
"""

from typing import Any, NamedTuple

import click
from benchmark import Found, Step, benchmark
from mapper import OBJECTIVES, QUICK, best_of
from network_layers import measure_networks

from pointnet.original.published_runs import Run, runs, study_mapspace
from sparsim.mapper.search_result import SearchResult
from sparsim.records import LevelConstraint, Mapspace
from sparsim.report.tables import Table

EVALUATIONS, QUICK_EVALUATIONS = 4000, 100
SETS = ("study", "networks")
CERTIFIED = "onchip"  # design whose problems are counted in the JSON file


class Pair(NamedTuple):
    """One layer and objective: in the study's mapspace, in the free one, CPU seconds of the latter."""

    run: Run
    objective: tuple[str, ...]
    study: SearchResult
    free: SearchResult
    cpu_s: float


def free_mapspace() -> Mapspace:
    """Return a mapspace with only the bypass choices of the study's mapspace."""
    levels = [
        LevelConstraint(level=at.level, keep=at.keep, bypass=at.bypass) for at in study_mapspace().levels
    ]
    return Mapspace(name="free dataflow", levels=tuple(levels))


def measure(run: Run, objective: tuple[str, ...], evaluations: int) -> Pair:
    study, _ = best_of(run, objective)
    return Pair(run, objective, study, *best_of(run, objective, free_mapspace(), evaluations))


def totals(pairs: list[Pair]) -> list[dict[str, Any]]:
    """Return sums over the layers of each design, variant and objective."""
    groups: dict[tuple[str, tuple[str, ...]], list[Pair]] = {}
    for pair in pairs:
        groups.setdefault((pair.run.title, pair.objective), []).append(pair)
    rows = []
    for (name, objective), group in groups.items():
        proofs = [pair.free.certificate for pair in group]
        rows.append({
            "name": name,
            "objective": list(objective),
            "layers": len(group),
            "study_energy_pj": sum(pair.study.energy_pj for pair in group),
            "study_cycles": sum(pair.study.cycles for pair in group),
            "free_energy_pj": sum(pair.free.energy_pj for pair in group),
            "free_cycles": sum(pair.free.cycles for pair in group),
            "gap_of_sum": 1 - sum(p.lower_bound for p in proofs) / sum(p.value for p in proofs),
            "largest_gap": max(p.gap for p in proofs),
            "cpu_s": sum(pair.cpu_s for pair in group),
        })  # fmt: skip
    return rows


def proofs(pairs: list[Pair]) -> dict[str, Any]:
    """Return how many problems of on-chip compression are certified, dense and sparse with all objectives."""
    chosen = [pair for pair in pairs if pair.run.design == CERTIFIED]
    certificates = [pair.free.certificate for pair in chosen]
    return {
        "problems": len(chosen),
        "certified": sum(one.kind == "optimal" for one in certificates),
        "worst_gap": max(one.gap for one in certificates),
        "cpu_s_per_problem": sum(pair.cpu_s for pair in chosen) / len(chosen),
    }


def spreads(rows: list[dict[str, Any]]) -> list[str]:
    """Return the changes of energy and cycles by the objectives, with a line per design and variant."""
    lines = []
    for name in dict.fromkeys(row["name"] for row in rows):
        group = [row for row in rows if row["name"] == name]
        keys = ("study_energy_pj", "study_cycles", "free_energy_pj", "free_cycles")
        columns = [[row[key] for row in group] for key in keys]
        shown = [f"x{max(values) / min(values):.2f}" for values in columns]
        lines.append(
            f"{name}: energy {shown[0]} and cycles {shown[1]} in the study's dataflow, {shown[2]} and "
            f"{shown[3]} in a free one."
        )
    return lines


def total_table(rows: list[dict[str, Any]]) -> Table:
    head = "12 layers|objective|energy uJ, study|free|cycles, study|free|gap of the sum|largest gap|CPU s"
    cells = [
        (
            row["name"], ", ".join(row["objective"]), f"{row['study_energy_pj'] / 1e6:.2f}",
            f"{row['free_energy_pj'] / 1e6:.2f}", f"{row['study_cycles']:,}", f"{row['free_cycles']:,}",
            f"{row['gap_of_sum']:.2%}", f"{row['largest_gap']:.2%}", f"{row['cpu_s']:.1f}",
        )
        for row in rows
    ]  # fmt: skip
    return Table(head.split("|"), cells, "free dataflow")


def layer_table(pairs: list[Pair]) -> Table:
    """Energy as the objective, layer by layer."""
    cells = []
    for pair in pairs:
        if pair.objective == ("energy",):
            proof = pair.free.certificate
            uj = (f"{x / 1e6:.2f}" for x in (pair.study.energy_pj, proof.value, proof.lower_bound))
            size = f"{float(pair.free.sizes.total):.0e}"
            cells.append((f"{pair.run.title} {pair.run.number}", *uj, f"{proof.gap:.2%}", size))
    return Table(["layer", "energy uJ, study", "free", "lower bound", "gap", "mappings"], cells, "energy")


@benchmark(quick="The last layers of one design and variant, or of each network.", document=True)
@click.option("--set", "problem_set", type=click.Choice(SETS), default=SETS[0], help="What is solved.")
def main(step: Step, quick: bool, problem_set: str) -> Found:
    evaluations = QUICK_EVALUATIONS if quick else EVALUATIONS
    if problem_set == "networks":
        return measure_networks(step, free_mapspace(), evaluations, quick=quick)
    chosen = [run for run in runs() if not quick or (run[:2] == QUICK and run.number > 9)]
    pairs = []
    step("compiling")
    measure(chosen[-1], OBJECTIVES[0], 10)
    for objective in OBJECTIVES:
        for run in chosen:
            step(f"{', '.join(objective)}: {run.title} {run.number}")
            pairs.append(measure(run, objective, evaluations))
    rows = sorted(totals(pairs), key=lambda row: row["name"])
    blocks = {"free": total_table(rows), "free layers": layer_table(pairs), "spreads": spreads(rows)}
    return Found({**proofs(pairs), "totals": rows}, blocks)


if __name__ == "__main__":
    main()
