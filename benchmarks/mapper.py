"""The mapper on the original PointNet++ study: quality of the mappings, share that is proven, and CPU time.

    python benchmarks/mapper.py [--json FILE] [--document FILE] [--quick]

The mapper solves all 48 problems with the study's mapspace and objective (delay, then energy) under
`timeloop-3`. Its best mapping is compared with the published one, which the model evaluates. The problems are
then solved with other objectives. Times are CPU seconds of one core, after one search that compiles the
kernels. `timeloop-mapper` runs on the 12 sparse layers of the on-chip compression design if it is on PATH.
It, AccelForge and FactorFlow are then compared with the mapper on dense products of matrices, as far as they
are installed (`peer_programs`).
"""

import time
from typing import Any, NamedTuple

import numpy as np
import peer_programs
import timeloop_programs
from benchmark import Found, Step, benchmark, machine
from msgspec.structs import replace

from pointnet.original.published_runs import DESIGNS, Run, runs, study_mapspace
from sparsim.files.sparsim_yaml import load_accelerator
from sparsim.mapper.engine import Engine, Problem
from sparsim.mapper.indexed_mapspace import lower_mapspace
from sparsim.mapper.random_and_local import search_random
from sparsim.mapper.search import search
from sparsim.mapper.search_budget import Budget
from sparsim.mapper.search_result import SearchResult
from sparsim.model.arrays import Reals
from sparsim.model.evaluate import Accounting, evaluate
from sparsim.records import Accelerator, Mapspace
from sparsim.report.tables import Table

ACCOUNTING: Accounting = "timeloop-3"
OBJECTIVE = ("delay", "energy")  # objective of the study
OBJECTIVES = (OBJECTIVE, ("energy",), ("edp",))
QUICK = ("onchip", "sparse")
DRAWS, QUICK_DRAWS = 200_000, 10_000  # random mappings per layer
SEED = 2022
# timeloop-mapper 2.0 on the 12 sparse layers of the on-chip design with the study's settings, as we measured
# it earlier: one run, 2 threads, 6 layers stopped after 60 s of wall clock. It needs at least that.
TIMELOOP_MAPPER_CPU_S = 347


class Case(NamedTuple):
    """One problem, the published mapping evaluated by us, and our search with the study's objective."""

    run: Run
    cycles: int
    energy_pj: float
    ours: SearchResult
    cpu_s: float

    @property
    def change(self) -> int:
        """-1: ours is worse, 0: equal, 1: better; cycles before energy."""
        published, ours = (self.cycles, self.energy_pj), (self.ours.cycles, self.ours.energy_pj)
        return (ours < published) - (ours > published)


def accelerator_of(run: Run, mapspace: Mapspace | None = None) -> Accelerator:
    """Return the run's design with a mapspace, the study's if none is given."""
    return replace(load_accelerator(DESIGNS[run.design]), mapspace=mapspace or study_mapspace())


def best_of(
    run: Run, objective: tuple[str, ...], mapspace: Mapspace | None = None, evaluations: int | None = None
) -> tuple[SearchResult, float]:
    """Return the search's result and its CPU seconds; the mapspace is the study's if none is given."""
    accelerator = accelerator_of(run, mapspace)
    start = time.process_time()
    found = search(
        accelerator, run.layer, objective=objective, accounting=ACCOUNTING, evaluations=evaluations
    )
    return found, time.process_time() - start


def measure_cases(chosen: list[Run], step: Step) -> list[Case]:
    cases = []
    for run in chosen:
        step(f"{run.design} {run.variant}, layer {run.number}")
        published = evaluate(accelerator_of(run), run.layer, run.mapping, accounting=ACCOUNTING)
        cases.append(Case(run, published.cycles, published.energy_pj, *best_of(run, OBJECTIVE)))
    return cases


def spread(cases: list[Case], step: Step) -> list[dict[str, Any]]:
    """Totals over the layers of each design and variant for every objective, and how much of it is proven."""
    rows = []
    for name in dict.fromkeys(case.run.title for case in cases):
        group = [case for case in cases if case.run.title == name]
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
        return np.full(len(self.objectives), np.inf)


def scored_per_cpu_s(cases: list[Case], draws: int, step: Step) -> float:
    """Valid mappings per CPU second of random search without bounds, over the sparse on-chip layers; the
    draws that do not fit count in the time, not in the number.
    """
    valid, seconds = 0, 0.0
    for case in cases:
        run = case.run
        if run[:2] != QUICK:
            continue
        step(f"random search, layer {run.number}")
        problem = Problem(accelerator_of(run), run.layer, ACCOUNTING)
        space = lower_mapspace(problem.accelerator, run.layer)
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
        seconds[case.run.title] = seconds.get(case.run.title, 0.0) + case.cpu_s
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


def case_table(cases: list[Case]) -> Table:
    head = "layer|cycles, published|ours|energy uJ, published|ours|certificate|candidates|evaluated|CPU s"
    rows = []
    for case in cases:
        ours, seen, proof = case.ours, case.ours.statistics, case.ours.certificate
        rows.append((
            f"{case.run.title} {case.run.number}", f"{case.cycles:,}", f"{ours.cycles:,}",
            f"{case.energy_pj / 1e6:.2f}", f"{ours.energy_pj / 1e6:.2f}",
            proof.kind if proof.kind == "optimal" else f"gap {proof.gap:.2%}", f"{seen.candidates:,}",
            f"{seen.evaluated:,}", f"{case.cpu_s:.2f}",
        ))  # fmt: skip
    return Table(head.split("|"), rows)


def spread_table(rows: list[dict[str, Any]]) -> Table:
    cells = []
    for row in rows:
        gap = f", gaps up to {row['largest_gap']:.2%}" if row["largest_gap"] else ""
        cells.append((
            row["name"], ", ".join(row["objective"]), f"{row['energy_pj'] / 1e6:.2f}", f"{row['cycles']:,}",
            f"{row['certified']} of {row['layers']}{gap}",
        ))  # fmt: skip
    return Table(["12 layers", "objective", "energy uJ", "cycles", "certified"], cells, "objectives")


def summary_lines(result: dict[str, Any]) -> list[str]:
    number, worse, equal = (result[key] for key in ("problems", "worse_than_published", "equal_to_published"))
    scored, rejected = (f"{result[key]:,.0f}" for key in ("scored_per_cpu_s", "rejected_per_cpu_s"))
    seconds = ", ".join(f"{name} {s:.2f}" for name, s in result["cpu_s_12_layers"].items())
    return [
        f"Of {number} mappings found here, {number - worse - equal} are better than the published one, "
        f"{equal} are equal and {worse} are worse. {result['certified']} are certified to be optimal.",
        f"The searches of 12 layers take these CPU seconds: {seconds}.",
        f"The searches reject {rejected} candidates per CPU second, because they reject whole branches at a "
        "time.",
        f"Random search without bounds (on-chip sparse) scores {scored} valid mappings per CPU second; the "
        "time includes draws that do not fit.",
        f"`timeloop-mapper` 2.0 took at least {TIMELOOP_MAPPER_CPU_S} CPU seconds for the 12 layers of "
        "on-chip sparse in an earlier measurement (one run, 2 threads, 6 layers stopped after 60 s), and it "
        "returns no certificate.",
        *result["timeloop"],
        *result["missing_peers"],
        f"Machine: {machine()}.",
    ]


def layer_record(case: Case) -> dict[str, Any]:
    ours = case.ours
    return {
        "name": case.run.title,
        "layer": case.run.number,
        "published": {"cycles": case.cycles, "energy_pj": case.energy_pj},
        "ours": {"cycles": ours.cycles, "energy_pj": ours.energy_pj},
        "certificate": ours.certificate.kind,
        "gap": ours.certificate.gap,
        "candidates": ours.statistics.candidates,
        "evaluated": ours.statistics.evaluated,
        "cpu_s": case.cpu_s,
    }


@benchmark(quick="One design and variant, one objective.", document=True)
def main(step: Step, quick: bool) -> Found:
    chosen = [run for run in runs() if not quick or run[:2] == QUICK]
    step("compiling")
    measure_cases(chosen[-1:], step)
    cases = measure_cases(chosen, step)
    result = summary(cases)
    result["scored_per_cpu_s"] = scored_per_cpu_s(cases, QUICK_DRAWS if quick else DRAWS, step)
    result["objectives"] = [] if quick else spread(cases, step)
    step("timeloop-mapper")
    quick_runs = [case.run for case in cases if case.run[:2] == QUICK]
    problems = [(accelerator_of(run), run.layer, run.mapping) for run in quick_runs]
    result["timeloop_mapper_layers"], result["timeloop"] = timeloop_programs.compare_search(problems)
    result["peers"], result["missing_peers"] = peer_programs.compare(step, quick=quick)
    result["layers"] = [layer_record(case) for case in cases]
    blocks = {
        "summary": summary_lines(result),
        "layers": case_table(cases),
        "objectives": spread_table(result["objectives"]),
        "peers": peer_programs.peer_table(result["peers"]),
    }
    return Found(result, blocks, ("peers", "summary") if quick else ("objectives", "peers", "summary"))


if __name__ == "__main__":
    main()
