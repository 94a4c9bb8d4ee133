"""What padded and imperfect factors are worth on the two layers of the study whose C is prime, or nearly so.

    python benchmarks/divisibility.py [--json FILE] [--document FILE] [--quick]

Layers 4 (C = 131) and 7 (C = 259 = 7 x 37) on both designs, dense and sparse, in the study's mapspace with
perfect, padded and imperfect factors of C. CPU seconds of one core, after one search that compiles the
kernels.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import click
from msgspec.structs import replace
from rich.console import Console

from pointnet.original.published_runs import SHORT_TITLES, Run, runs, study_mapspace
from pointnet.text_tables import markdown, table, write_blocks
from sparsim.fileio.writing import write_text
from sparsim.mapper.search import search

sys.path.insert(0, str(Path(__file__).parent))
from evaluate import machine
from mapper import ACCOUNTING, OBJECTIVE, QUICK, problem_of

LAYERS = (4, 7)
DIM = "C"
POLICIES = ("perfect", "padded", "imperfect")
OBJECTIVES = (OBJECTIVE, ("energy",))

Row = dict[str, Any]


def measure(run: Run, objective: tuple[str, ...]) -> Row:
    """One problem under all policies."""
    row: Row = {
        "name": f"{SHORT_TITLES[run.design]} {run.variant} {run.number}",
        "objective": list(objective),
        "operations": math.prod(run.layer.bounds.values()),
        "bound": run.layer.bounds[DIM],
    }
    for policy in POLICIES:
        divisibility = {} if policy == "perfect" else {DIM: policy}
        mapspace = replace(study_mapspace(), divisibility=divisibility)
        start = time.process_time()
        found = search(*problem_of(run)[:4], mapspace, objective=objective, accounting=ACCOUNTING)
        covers = found.top[0].covers
        row[policy] = {
            "energy_pj": found.energy_pj,
            "pj_per_operation": found.energy_pj / row["operations"],
            "cycles": found.cycles,
            "covered": covers[0].covered if covers else row["bound"],
            "padding": covers[0].padding if covers else 0.0,
            "certificate": found.certificate.kind,
            "candidates": found.statistics.candidates,
            "cpu_s": time.process_time() - start,
        }
    return row


def lines(rows: list[Row]) -> list[list[str]]:
    head = "layer|objective|energy uJ, perfect|padded|imperfect|cycles, perfect|padded|imperfect"
    found = [[*head.split("|"), f"{DIM} covered, padded", "imperfect", "certified"]]
    for row in rows:
        each = [row[policy] for policy in POLICIES]
        found.append([
            row["name"],
            ", ".join(row["objective"]),
            *(f"{one['energy_pj'] / 1e6:.2f}" for one in each),
            *(f"{one['cycles']:,}" for one in each),
            *(f"{one['covered']}" for one in each[1:]),
            f"{sum(one['certificate'] == 'optimal' for one in each)} of {len(each)}",
        ])  # fmt: skip
    return found


def summary(rows: list[Row]) -> list[str]:
    texts = []
    for row in rows:
        if row["name"].startswith(" ".join((SHORT_TITLES[QUICK[0]], QUICK[1]))):
            each = ", ".join(f"{row[policy]['pj_per_operation']:.2f} {policy}" for policy in POLICIES)
            texts.append(
                f"{row['name']}, {', '.join(row['objective'])}: pJ per operation of the layer {each}."
            )
    seconds = {policy: sum(row[policy]["cpu_s"] for row in rows) for policy in POLICIES}
    spent = ", ".join(f"{policy} {s:.1f}" for policy, s in seconds.items())
    return [*texts, f"CPU seconds of {len(rows)} searches each: {spent}. Machine: {machine()}."]


@click.command(help=__doc__)
@click.option(
    "--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Write the numbers here."
)
@click.option(
    "--document", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Renew its tables."
)
@click.option("--quick", is_flag=True, help="One problem.")
def main(json_path: Path | None, document: Path | None, quick: bool) -> None:
    if quick and document:
        raise click.UsageError("--document needs all problems, leave out --quick")
    chosen = [run for run in runs() if run.number in LAYERS]
    objectives = OBJECTIVES
    if quick:
        chosen, objectives = [run for run in chosen if run[:2] == QUICK][:1], OBJECTIVES[:1]
    measure(chosen[0], OBJECTIVE)  # compiles
    rows = [measure(run, objective) for run in chosen for objective in objectives]
    console = Console(width=None if sys.stdout.isatty() else 180)
    console.print(table(lines(rows), "policies"))
    for line in summary(rows):
        console.print(line)
    if json_path:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        content = {"machine": machine(), "quick": quick, "rows": rows}
        write_text(json_path, json.dumps(content, indent=2) + "\n")
    if document:
        blocks = {
            "policies": markdown(lines(rows)),
            "policies summary": "".join(f"* {line}\n" for line in summary(rows)),
        }
        write_blocks(document, blocks)


if __name__ == "__main__":
    main()
