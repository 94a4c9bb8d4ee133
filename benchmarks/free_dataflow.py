"""The mapper without the study's dataflow: how far the best found is from what is proven, and what it gains.

    python benchmarks/free_dataflow.py [--json FILE] [--document FILE] [--quick]

All 48 problems of the original study with three objectives, under `timeloop-3`. What is kept where is the
study's, everything else is free; beside it the optimum of the study's own mapspace. CPU seconds of one core.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import click
from rich.console import Console
from rich.progress import Progress

from pointnet.original.published_runs import SHORT_TITLES, Run, runs, study_mapspace
from pointnet.text_tables import markdown, table, write_blocks
from sparsim.fileio.writing import write_text
from sparsim.mapper.search import search
from sparsim.mapper.search_result import SearchResult
from sparsim.records import LevelConstraint, Mapspace

sys.path.insert(0, str(Path(__file__).parent))
from evaluate import machine
from mapper import ACCOUNTING, OBJECTIVES, best_of, problem_of

EVALUATIONS, QUICK_EVALUATIONS = 4000, 200


class Pair(NamedTuple):
    """One layer and objective: in the study's mapspace, in the free one, CPU seconds of the latter."""

    run: Run
    objective: tuple[str, ...]
    study: SearchResult
    free: SearchResult
    cpu_s: float

    @property
    def name(self) -> str:
        return f"{SHORT_TITLES[self.run.design]} {self.run.variant}"


def free_mapspace() -> Mapspace:
    """Only the keeps and bypasses of the study's mapspace."""
    levels = [
        LevelConstraint(level=at.level, keep=at.keep, bypass=at.bypass) for at in study_mapspace().levels
    ]
    return Mapspace(name="free dataflow", levels=tuple(levels))


def measure(run: Run, objective: tuple[str, ...], evaluations: int) -> Pair:
    problem = problem_of(run)
    study, _ = best_of(run, objective)
    start = time.process_time()
    free = search(
        *problem[:4], free_mapspace(), objective=objective, accounting=ACCOUNTING, evaluations=evaluations
    )
    return Pair(run, objective, study, free, time.process_time() - start)


def totals(pairs: list[Pair]) -> list[dict[str, Any]]:
    """Sums over the layers of each design, variant and objective."""
    groups: dict[tuple[str, tuple[str, ...]], list[Pair]] = {}
    for pair in pairs:
        groups.setdefault((pair.name, pair.objective), []).append(pair)
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


def spreads(rows: list[dict[str, Any]]) -> list[str]:
    """How far the objectives move energy and cycles, one line per design and variant."""
    lines = []
    for name in dict.fromkeys(row["name"] for row in rows):
        group = [row for row in rows if row["name"] == name]
        parts = [
            f"{what} x{max(values) / min(values):.2f}"
            for what, key in (
                ("energy, study's dataflow", "study_energy_pj"), ("free", "free_energy_pj"),
                ("cycles, study's dataflow", "study_cycles"), ("free", "free_cycles"),
            )
            for values in [[row[key] for row in group]]
        ]  # fmt: skip
        lines.append(f"{name}: {', '.join(parts)}.")
    return lines


def total_lines(rows: list[dict[str, Any]]) -> list[list[str]]:
    head = "12 layers|objective|energy uJ, study|free|cycles, study|free|gap of the sum|largest gap|CPU s"
    lines = [head.split("|")]
    for row in rows:
        lines.append([
            row["name"],
            ", ".join(row["objective"]),
            f"{row['study_energy_pj'] / 1e6:.2f}",
            f"{row['free_energy_pj'] / 1e6:.2f}",
            f"{row['study_cycles']:,}",
            f"{row['free_cycles']:,}",
            f"{row['gap_of_sum']:.2%}",
            f"{row['largest_gap']:.2%}",
            f"{row['cpu_s']:.1f}",
        ])  # fmt: skip
    return lines


def layer_lines(pairs: list[Pair]) -> list[list[str]]:
    """Energy as the objective, layer by layer."""
    lines = [["layer", "energy uJ, study", "free", "lower bound", "gap", "mappings"]]
    for pair in pairs:
        if pair.objective != ("energy",):
            continue
        proof = pair.free.certificate
        lines.append([
            f"{pair.name} {pair.run.number}",
            f"{pair.study.energy_pj / 1e6:.2f}",
            f"{proof.value / 1e6:.2f}",
            f"{proof.lower_bound / 1e6:.2f}",
            f"{proof.gap:.2%}",
            f"{float(pair.free.sizes.total):.0e}",
        ])  # fmt: skip
    return lines


@click.command(help=__doc__)
@click.option(
    "--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Write the numbers here."
)
@click.option(
    "--document", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Renew its tables."
)
@click.option("--quick", is_flag=True, help="The three last layers of one design and variant.")
def main(json_path: Path | None, document: Path | None, quick: bool) -> None:
    if quick and document:
        raise click.UsageError("--document needs all 48 problems, leave out --quick")
    chosen = [run for run in runs() if not quick or (run[:2] == ("onchip", "sparse") and run.number > 9)]
    pairs = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("compiling", total=len(chosen) * len(OBJECTIVES))
        measure(chosen[-1], OBJECTIVES[0], 10)
        for objective in OBJECTIVES:
            for run in chosen:
                progress.update(task, advance=1, description=f"{run.design} {run.variant} {run.number}")
                pairs.append(measure(run, objective, QUICK_EVALUATIONS if quick else EVALUATIONS))
    rows = sorted(totals(pairs), key=lambda row: row["name"])
    console = Console()
    console.print(table(total_lines(rows), "free dataflow"))
    console.print(table(layer_lines(pairs), "energy"))
    for line in spreads(rows):
        console.print(line)
    if document:
        write_blocks(document, {
            "free": markdown(total_lines(rows)),
            "spreads": "".join(f"* {line}\n" for line in spreads(rows)),
            "free layers": markdown(layer_lines(pairs)),
        })  # fmt: skip
    if json_path:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        found = {"machine": machine(), "quick": quick, "totals": rows}
        write_text(json_path, json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
