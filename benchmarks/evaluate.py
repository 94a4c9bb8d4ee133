"""Speed of the model, in CPU seconds on one core.

    python benchmarks/evaluate.py [--json FILE] [--quick]

The layers are 4 and 9 of the original PointNet++ study on the on-chip compression design. Mappings are drawn
at random (seeded) from the study's mapspace, and only valid mappings are timed. `timeloop-model` and
`timeloop-mapper` run on the same layers if they are on PATH and the study's documents are available.
"""

import re
import resource
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import timeloop_programs
from benchmark import Found, Step, benchmark, cpu_seconds, met, run_process
from msgspec.structs import replace

from pointnet.original.published_runs import SHAPE, Run, runs
from sparsim.files.sparsim_yaml import load_accelerator
from sparsim.model.arrays import MappingPack
from sparsim.model.evaluate import evaluate, evaluate_pack
from sparsim.model.frozen import Frozen
from sparsim.model.lower import lower_mappings
from sparsim.records import Accelerator, Layer
from sparsim.report.tables import Table

ROOT = Path(__file__).parent.parent
CASE = ROOT / "validation" / "references" / "random" / "gemm-sep-11-046"
DESIGN = "onchip"
LAYERS = (4, 9)
ACCOUNTING = "timeloop-3"
SEED = 2022

# Tiling levels of the design, innermost first, and the dims that the study's constraints let each one tile.
SLOTS = {0: "CMNPQ", 1: "CMNPQ", 2: "CMNPQ", 3: "CM", 5: "CMQ", 6: "CMNPQ", 7: "CMNPQ"}
PES = {3: 12, 5: 14}  # rows, columns
DRAWS = 50_000  # draws at a time


class Effort(NamedTuple):
    mappings: int  # valid mappings per layer
    draws: int  # most draws per layer
    repeats: int
    calls: int  # calls of Frozen and evaluate per repeat
    copies: int  # repeats of the cases of a batch
    cold: bool = True  # also time a process that compiles every kernel


FULL = Effort(mappings=5_000, draws=10_000_000, repeats=7, calls=200, copies=10)
QUICK = Effort(mappings=100, draws=50_000, repeats=1, calls=5, copies=1, cold=False)


# ---- mappings


def draw_mappings(run: Run, chip: Accelerator, rng: np.random.Generator) -> MappingPack:
    """The mappings among `DRAWS` draws that fit the array: prime factors of bounds on random tiling levels,
    in random loop order.
    """
    template = lower_mappings(chip, SHAPE, [run.mapping])
    rows = np.arange(DRAWS)
    factor = np.ones((DRAWS, *template.factor.shape[1:]), np.int64)
    for d, dim in enumerate(SHAPE.dims):
        slots = [t for t, dims in SLOTS.items() if dim in dims]
        for prime in _primes(run.layer.bounds[dim]):
            factor[rows, rng.choice(slots, DRAWS), d] *= prime
    fits = np.logical_and.reduce([factor[:, t].prod(axis=1) <= limit for t, limit in PES.items()])
    factor = factor[fits]
    return MappingPack(
        factor,
        np.argsort(rng.random(factor.shape), axis=-1).astype(np.int64),
        np.repeat(template.split, len(factor), axis=0),
        np.repeat(template.flags, len(factor), axis=0),
    )


def _primes(n: int) -> list[int]:
    found = []
    p = 2
    while n > 1:
        while n % p == 0:
            found.append(p)
            n //= p
        p += 1
    return found


def valid_mappings(run: Run, chip: Accelerator, effort: Effort) -> MappingPack:
    """The first `effort.mappings` valid ones of a seeded sequence of draws."""
    rng = np.random.default_rng([SEED, run.number])
    parts: list[MappingPack] = []
    drawn = kept = 0
    while kept < effort.mappings and drawn < effort.draws:
        pack = draw_mappings(run, chip, rng)
        status = _batch(run.layer, chip, pack, sparse=True).status
        parts.append(MappingPack(*(field[status == 0] for field in pack)))
        drawn += DRAWS
        kept += len(parts[-1].factor)
    columns = [np.concatenate(field)[: effort.mappings] for field in zip(*parts, strict=True)]
    return MappingPack(*(np.ascontiguousarray(column) for column in columns))


def _batch(layer: Layer, chip: Accelerator, pack: MappingPack, *, sparse: bool) -> Any:
    if not sparse:
        chip = chip.kept("without policy", (), lambda: replace(chip, policy=None))
    return evaluate_pack(chip, layer, pack, accounting=ACCOUNTING)


# ---- measurements


def measure_batch(chip: Accelerator, effort: Effort, step: Step) -> dict[str, float]:
    """Mappings per CPU second, worst layer; dense means no policy and densities of 1."""
    rates: dict[str, list[float]] = {"sparse": [], "dense": []}
    result: dict[str, float] = {}
    for run in _study_runs("sparse"):
        if run.number not in LAYERS:
            continue
        step(f"drawing mappings of layer {run.number}")
        pack = valid_mappings(run, chip, effort)
        dense = Layer(name=run.layer.name, shape=SHAPE, bounds=run.layer.bounds)
        for kind, layer in (("sparse", run.layer), ("dense", dense)):
            step(f"batch, {kind}, layer {run.number}")
            sparse = kind == "sparse"
            (seconds,) = cpu_seconds(lambda: _batch(layer, chip, pack, sparse=sparse), repeats=effort.repeats)  # noqa: B023
            rates[kind].append(len(pack.factor) / seconds)
            result[f"batch_{kind}_layer_{run.number}_mappings_per_cpu_s"] = rates[kind][-1]
        result[f"mappings_layer_{run.number}"] = len(pack.factor)
    return result | {f"batch_{kind}_mappings_per_cpu_s": min(values) for kind, values in rates.items()}


def measure_calls(chip: Accelerator, effort: Effort, step: Step) -> dict[str, float]:
    study = _study_runs("sparse")
    layers, mappings = [run.layer for run in study], [run.mapping for run in study]
    step("Frozen and evaluate, 12 layers")
    frozen = Frozen(chip, layers, mappings, accounting=ACCOUNTING)
    names = [d.name for d in SHAPE.dataspaces]
    densities = np.array([[layer.density(name).density for name in names] for layer in layers])

    def frozen_calls() -> None:
        for _ in range(effort.calls):
            frozen(densities)

    def single_calls() -> None:
        for _ in range(effort.calls):
            for run in study:
                evaluate(chip, run.layer, run.mapping, accounting=ACCOUNTING)

    frozen_s, single_s = cpu_seconds(frozen_calls, single_calls, repeats=effort.repeats)
    return {
        "frozen_12_layers_us": 1e6 * frozen_s / effort.calls,
        "evaluate_ms": 1e3 * single_s / effort.calls / len(study),
    }


# A child's peak in its rusage starts at its parent's: ask the kernel for the program's own.
PEAK = """
import atexit, pathlib
atexit.register(lambda: print(pathlib.Path("/proc/self/status").read_text()))
from sparsim.cli.main import main
main()
"""


def measure_processes(effort: Effort, step: Step) -> dict[str, float]:
    """`sparsim model` on a committed case, with an empty and with a filled cache of compiled kernels."""
    with tempfile.TemporaryDirectory() as folder:
        stats = Path(folder, "out", "sparsim.stats.txt")
        documents = [str(path) for path in sorted(CASE.glob("*.yaml"))]
        arguments = ["model", *documents, "-o", str(stats.parent)]
        command = [sys.executable, "-m", "sparsim", *arguments]
        env = {"PYTHONDONTWRITEBYTECODE": ""}  # a warm cache has the byte code of the modules, too
        if effort.cold:
            env["NUMBA_CACHE_DIR"] = f"{folder}/cache"
        step("sparsim model, nothing compiled yet" if effort.cold else "sparsim model")
        first = run_process(command, env)
        step("sparsim model, warm cache")
        warm = []
        for _ in range(effort.repeats):
            stats.unlink()
            warm.append(run_process(command, env))
        peak = re.search(
            r"VmHWM:\s*(\d+) kB", run_process([sys.executable, "-c", PEAK, *arguments], env).output
        )
    result = {
        "model_process_s": statistics.median(p.cpu_s for p in warm),
        "model_process_wall_s": statistics.median(p.wall_s for p in warm),
    }
    if effort.cold:
        result |= {"model_process_cold_s": first.cpu_s, "model_process_cold_wall_s": first.wall_s}
    if peak:
        result["model_process_peak_mib"] = int(peak[1]) / 1024
    return result


def measure_model_batch(effort: Effort, step: Step) -> dict[str, float]:
    """What a case more costs `sparsim model --batch`, start-up left out.

    Every case has a problem and a mapping of its own, and shares its other documents with the other copies of
    the same case, as in a suite.
    """
    cases = sorted({path.parent for path in CASE.parent.glob("*/*.yaml")})
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        for number in (1, effort.copies * len(cases)):
            step(f"sparsim model --batch, cases: {number}")
            lines = [
                f"case-{i}: {' '.join(_own_documents(cases[i % len(cases)], Path(folder), i))}"
                for i in range(number)
            ]
            Path(folder, "list").write_text("\n".join(lines), encoding="utf-8")
            command = [sys.executable, "-m", "sparsim", "model", "--batch", f"{folder}/list"]
            runs = [run_process([*command, "-o", f"{folder}/out"]).cpu_s for _ in range(effort.repeats)]
            seconds.append(min(runs))
    return {"model_batch_case_ms": 1e3 * (seconds[1] - seconds[0]) / (effort.copies * len(cases) - 1)}


def _own_documents(case: Path, folder: Path, i: int) -> list[str]:
    """Paths of the documents of case `i`, whose problem and mapping are copies with other texts."""
    paths = []
    for path in sorted(case.glob("*.yaml")):
        if path.stem in ("problem", "mapping"):
            copy = folder / f"{i}-{path.name}"
            copy.write_text(f"# case {i}\n{path.read_text(encoding='utf-8')}", encoding="utf-8")
            path = copy
        paths.append(str(path))
    return paths


def _study_runs(variant: str) -> list[Run]:
    return [run for run in runs() if (run.design, run.variant) == (DESIGN, variant)]


# ---- report

ROWS = (  # key, what, unit, target, larger is better
    ("batch_sparse_mappings_per_cpu_s", "evaluate_batch, sparse", "mappings/s", 450_000, True),
    ("batch_dense_mappings_per_cpu_s", "evaluate_batch, dense", "mappings/s", 1_500_000, True),
    ("frozen_12_layers_us", "Frozen, 12 layers", "us", 200, False),
    ("evaluate_ms", "evaluate, one layer", "ms", 0.4, False),
    ("model_process_s", "sparsim model, warm cache", "s", 0.5, False),
    ("model_process_wall_s", "  the same, wall clock", "s", None, False),
    ("model_process_cold_s", "sparsim model, nothing compiled", "s", None, False),
    ("model_process_peak_mib", "sparsim model, peak memory", "MiB", None, False),
    ("model_batch_case_ms", "sparsim model --batch, each case", "ms", 3, False),
    ("batch_peak_mib", "this process, peak memory", "MiB", None, False),
)


def table(result: dict[str, Any]) -> Table:
    rows = []
    for key, what, unit, target, larger in ROWS:
        if key in result:
            value = result[key]
            shown = f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
            rows.append((what, shown, unit, *met(value, target, larger=larger)))
    return Table(["what", "measured", "unit", "target", ""], rows, "CPU time on one core")


@benchmark(quick="Little work, rough numbers.")
def main(step: Step, quick: bool) -> Found:
    effort = QUICK if quick else FULL
    chip = load_accelerator("eyeriss_like_onchip")
    result: dict[str, Any] = measure_batch(chip, effort, step)
    result["batch_peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result |= measure_calls(chip, effort, step)
    result |= measure_processes(effort, step)
    result |= measure_model_batch(effort, step)
    step("timeloop")
    numbers, result["timeloop"] = timeloop_programs.compare(result, LAYERS, effort.repeats)
    result |= numbers
    return Found(result, {"model": table(result), "timeloop": result["timeloop"]})


if __name__ == "__main__":
    main()
