"""The mapper on the original PointNet++ study: how good its mappings are, what is proven, and at what cost.

    python benchmarks/mapper.py [--json FILE] [--document FILE] [--quick]

All 48 problems with the study's mapspace and objective (delay, then energy) under `timeloop-3`, our best
mapping beside the published one evaluated by us; then with other objectives. CPU seconds of one core, after
one search that compiles the kernels. `timeloop-mapper` runs on the 12 sparse layers of the on-chip
compression design if it is on PATH.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress

from pointnet.original.published_runs import DESIGNS, SHORT_TITLES, Run, runs, study_mapspace
from pointnet.text_tables import markdown, table, write_blocks
from sparsim.fileio.writing import write_text
from sparsim.files.load import load_preset
from sparsim.mapper.engine import Engine, Problem
from sparsim.mapper.indexed_mapspace import lower_mapspace
from sparsim.mapper.random_and_local import search_random
from sparsim.mapper.search import search
from sparsim.mapper.search_budget import Budget
from sparsim.mapper.search_result import SearchResult
from sparsim.model.arrays import Reals
from sparsim.model.evaluate import Accounting, evaluate

sys.path.insert(0, str(Path(__file__).parent))
import timeloop
from evaluate import machine, run_process

ACCOUNTING: Accounting = "timeloop-3"
OBJECTIVE = ("delay", "energy")  # of the study
OBJECTIVES = (OBJECTIVE, ("energy",), ("edp",))
QUICK = ("onchip", "sparse")
DRAWS, QUICK_DRAWS = 200_000, 10_000  # random mappings per layer
SEED = 2022
# timeloop-mapper 2.0 on the 12 sparse layers of the on-chip design with the study's settings, as we measured
# it earlier: one run, 2 threads, 6 layers stopped after 60 s of wall clock. It needs at least that.
TIMELOOP_MAPPER_CPU_S = 347

Step = Callable[[str], None]


class Case(NamedTuple):
    """One problem, the published mapping evaluated by us, and our search with the study's objective."""

    run: Run
    cycles: int
    energy_pj: float
    ours: SearchResult
    cpu_s: float

    @property
    def name(self) -> str:
        return f"{SHORT_TITLES[self.run.design]} {self.run.variant}"

    @property
    def change(self) -> int:
        """-1: ours is worse, 0: equal, 1: better; cycles before energy."""
        published, ours = (self.cycles, self.energy_pj), (self.ours.cycles, self.ours.energy_pj)
        return (ours < published) - (ours > published)


def problem_of(run: Run) -> Problem:
    chip = load_preset(DESIGNS[run.design])
    assert chip.architecture is not None
    return Problem(chip.architecture, run.layer, chip.policy, chip.energy, ACCOUNTING)


def best_of(run: Run, objective: tuple[str, ...]) -> tuple[SearchResult, float]:
    """The search's result and its CPU seconds."""
    problem = problem_of(run)
    start = time.process_time()
    found = search(*problem[:4], study_mapspace(), objective=objective, accounting=ACCOUNTING)
    return found, time.process_time() - start


def measure_cases(chosen: list[Run], step: Step) -> list[Case]:
    cases = []
    for run in chosen:
        step(f"{run.design} {run.variant}, layer {run.number}")
        published = evaluate(*problem_of(run)[:4], run.mapping, accounting=ACCOUNTING)
        cases.append(Case(run, published.cycles, published.energy_pj, *best_of(run, OBJECTIVE)))
    return cases


def spread(cases: list[Case], step: Step) -> list[dict[str, Any]]:
    """Totals over the layers of each design and variant for every objective, and how much of it is proven."""
    rows = []
    for name in dict.fromkeys(case.name for case in cases):
        group = [case for case in cases if case.name == name]
        for objective in OBJECTIVES:
            step(f"{name}, {', '.join(objective)}")
            if objective == OBJECTIVE:
                results = [case.ours for case in group]
            else:
                results = [best_of(case.run, objective)[0] for case in group]
            rows.append({
                "name": name,
                "objective": list(objective),
                "energy_pj": sum(found.energy_pj for found in results),
                "cycles": sum(found.cycles for found in results),
                "certified": certified(results),
                "layers": len(results),
                "largest_gap": max(found.certificate.gap for found in results),
            })  # fmt: skip
    return rows


def certified(results: list[SearchResult]) -> int:
    return sum(found.certificate.kind == "optimal" for found in results)


class Unbounded(Engine):
    """An engine that rejects nothing by bounds: every mapping that fits is evaluated."""

    @property
    def limit(self) -> Reals:
        return np.full(len(self.metrics), np.inf)


def scored_per_cpu_s(cases: list[Case], draws: int, step: Step) -> float:
    """Valid mappings per CPU second of random search without bounds, over the sparse on-chip layers; the
    draws that do not fit count in the time, not in the number."""
    valid, seconds = 0, 0.0
    for case in cases:
        run = case.run
        if run[:2] != QUICK:
            continue
        step(f"random search, layer {run.number}")
        problem = problem_of(run)
        space = lower_mapspace(problem.arch, problem.layer, study_mapspace())
        engine = Unbounded(
            problem, space, OBJECTIVE, top=1, threads=1, budget=Budget(None, None), progress=None
        )
        start = time.process_time()
        for _ in search_random(engine, SEED, draws):
            pass
        valid, seconds = valid + engine.valid, seconds + time.process_time() - start
    return valid / seconds


def summary(cases: list[Case]) -> dict[str, Any]:
    seen = [case.ours.statistics for case in cases]
    rejected = sum(
        s.candidates_over_fan_out + s.candidates_over_capacity + s.candidates_over_bound for s in seen
    )
    seconds: dict[str, float] = {}
    for case in cases:
        seconds[case.name] = seconds.get(case.name, 0.0) + case.cpu_s
    return {
        "problems": len(cases),
        "worse_than_published": sum(case.change < 0 for case in cases),
        "equal_to_published": sum(case.change == 0 for case in cases),
        "certified": certified([case.ours for case in cases]),
        "cpu_s_12_layers": seconds,
        "rejected_per_cpu_s": rejected / sum(s.cpu_s for s in seen),
        "timeloop_mapper_earlier_cpu_s": TIMELOOP_MAPPER_CPU_S,
    }


# ---- report


def case_lines(cases: list[Case]) -> list[list[str]]:
    head = "layer|cycles, published|ours|energy uJ, published|ours|certificate|candidates|evaluated|CPU s"
    lines = [head.split("|")]
    for case in cases:
        ours, seen = case.ours, case.ours.statistics
        proof = ours.certificate
        lines.append([
            f"{case.name} {case.run.number}",
            f"{case.cycles:,}",
            f"{ours.cycles:,}",
            f"{case.energy_pj / 1e6:.2f}",
            f"{ours.energy_pj / 1e6:.2f}",
            proof.kind if proof.kind == "optimal" else f"gap {proof.gap:.2%}",
            f"{seen.candidates:,}",
            f"{seen.evaluated:,}",
            f"{case.cpu_s:.2f}",
        ])  # fmt: skip
    return lines


def spread_lines(rows: list[dict[str, Any]]) -> list[list[str]]:
    lines = [["12 layers", "objective", "energy uJ", "cycles", "certified"]]
    for row in rows:
        gap = f", gaps up to {row['largest_gap']:.2%}" if row["largest_gap"] else ""
        lines.append([
            row["name"],
            ", ".join(row["objective"]),
            f"{row['energy_pj'] / 1e6:.2f}",
            f"{row['cycles']:,}",
            f"{row['certified']} of {row['layers']}{gap}",
        ])  # fmt: skip
    return lines


def summary_lines(result: dict[str, Any]) -> list[str]:
    number, worse, equal = (result[key] for key in ("problems", "worse_than_published", "equal_to_published"))
    scored, rejected = (f"{result[key]:,.0f}" for key in ("scored_per_cpu_s", "rejected_per_cpu_s"))
    seconds = ", ".join(f"{name} {s:.2f}" for name, s in result["cpu_s_12_layers"].items())
    return [
        f"Of {number} problems ours is better than the published mapping in {number - worse - equal}, "
        f"equal in {equal}, worse in {worse}; {result['certified']} are certified optimal.",
        f"CPU seconds for 12 layers: {seconds}.",
        f"The searches reject {rejected} candidates per CPU second, whole branches at a time.",
        f"Random search without bounds (on-chip sparse) scores {scored} valid mappings per CPU second; the "
        "time includes the draws that do not fit.",
        f"`timeloop-mapper` 2.0, on-chip sparse, 12 layers: at least {TIMELOOP_MAPPER_CPU_S} CPU seconds "
        "when we measured it earlier (one run, 2 threads, 6 layers stopped after 60 s), without a "
        "certificate.",
        *result["timeloop"],
        f"Machine: {result['machine']}.",
    ]


def layer_record(case: Case) -> dict[str, Any]:
    ours = case.ours
    return {
        "name": case.name,
        "layer": case.run.number,
        "published": {"cycles": case.cycles, "energy_pj": case.energy_pj},
        "ours": {"cycles": ours.cycles, "energy_pj": ours.energy_pj},
        "certificate": ours.certificate.kind,
        "gap": ours.certificate.gap,
        "candidates": ours.statistics.candidates,
        "evaluated": ours.statistics.evaluated,
        "cpu_s": case.cpu_s,
    }


@click.command(help=__doc__)
@click.option(
    "--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Write the numbers here."
)
@click.option(
    "--document", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Renew its tables."
)
@click.option("--quick", is_flag=True, help="One design and variant, one objective.")
def main(json_path: Path | None, document: Path | None, quick: bool) -> None:
    if quick and document:
        raise click.UsageError("--document needs all 48 problems, leave out --quick")
    chosen = [run for run in runs() if not quick or run[:2] == QUICK]
    result: dict[str, Any] = {"machine": machine(), "quick": quick}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)

        def step(what: str) -> None:
            progress.update(task, description=what)

        step("compiling")
        measure_cases(chosen[-1:], step)
        cases = measure_cases(chosen, step)
        result |= summary(cases)
        result["scored_per_cpu_s"] = scored_per_cpu_s(cases, QUICK_DRAWS if quick else DRAWS, step)
        result["objectives"] = [] if quick else spread(cases, step)
        step("timeloop-mapper")
        problems = [(problem_of(case.run), case.run.mapping) for case in cases if case.run[:2] == QUICK]
        result["timeloop_mapper_layers"], result["timeloop"] = timeloop.compare_search(problems, run_process)
    result["layers"] = [layer_record(case) for case in cases]
    report(result, cases, document)
    if json_path:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        write_text(json_path, json.dumps(result, indent=2) + "\n")


def report(result: dict[str, Any], cases: list[Case], document: Path | None) -> None:
    console = Console()
    if result["objectives"]:
        console.print(table(spread_lines(result["objectives"]), "objectives"))
    for line in summary_lines(result):
        console.print(line)
    if document:
        blocks = {
            "summary": "".join(f"* {line}\n" for line in summary_lines(result)),
            "layers": markdown(case_lines(cases)),
            "objectives": markdown(spread_lines(result["objectives"])),
        }
        write_blocks(document, blocks)


if __name__ == "__main__":
    main()
