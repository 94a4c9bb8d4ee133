"""The reference programs on the layers of `evaluate` and `mapper`, if the programs are on PATH."""

import os
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

import yaml
from benchmark import run_process

from pointnet.original.published_runs import study_mapspace
from sparsim.files.timeloop.stats_reader import Key, parse_stats
from sparsim.files.timeloop.write_documents import write_documents
from sparsim.records import Accelerator, Layer, Mapping, Mapspace, NestConstraint

ROOT = Path(__file__).parent.parent
SHARED = Path(os.environ.get("SPARSIM_SHARED", ROOT / ".." / "shared"))
DOCUMENTS = ("arch", "problem", "sparse", "ert", "art")
# of the study; the seconds of 4 threads add up
MAPPER = {
    "algorithm": "random-pruned", "optimization-metrics": ["delay", "energy"], "num-threads": 4,
    "timeout": 200, "victory-condition": 600,
}  # fmt: skip
VALID_MAPPINGS = (100, 400)  # the difference of two searches excludes the start of the mapper

# One thread, no stop before the wanted number of valid mappings; keep, bypass, spatial dims as in the study.
SEARCH = """\
mapper:
  algorithm: random-pruned
  optimization-metrics: [delay, energy]
  num-threads: 1
  search-size: {mappings}
  victory-condition: 0
  timeout: 0
mapspace_constraints:
  - {{target: psum_spad, type: datatype, keep: [Outputs], bypass: [Weights, Inputs]}}
  - {{target: weights_spad, type: datatype, keep: [Weights], bypass: [Inputs, Outputs]}}
  - {{target: ifmap_spad, type: datatype, keep: [Inputs], bypass: [Weights, Outputs]}}
  - {{target: DummyBuffer, type: datatype, keep: [], bypass: [Weights, Inputs, Outputs]}}
  - {{target: shared_glb, type: datatype, keep: [Inputs, Outputs], bypass: [Weights]}}
  - {{target: DummyBuffer, type: temporal, factors: C=1 M=1 R=1 S=1 N=1 P=1 Q=1}}
  - {{target: DummyBuffer, type: spatial, split: 0, factors: R=1 S=1 N=1 P=1 Q=1}}
  - {{target: shared_glb, type: spatial, split: 7, factors: R=1 S=1 N=1 P=1}}
"""


def compare(
    ours: dict[str, Any], layers: tuple[int, ...], repeats: int
) -> tuple[dict[str, float], list[str]]:
    """Its numbers, and lines that set ours beside them or say why they are missing."""
    programs = [shutil.which(name) for name in ("timeloop-model", "timeloop-mapper")]
    if not all(programs):
        return {}, ["timeloop-model and timeloop-mapper are not on PATH: no comparison"]
    study = SHARED / "reference" / "pointnet-study"
    folders = [study / f"onchip-compression-sparse-layer{n:02d}" for n in layers]
    if not all(folder.is_dir() for folder in folders):
        return {}, [f"no study documents below {SHARED}: no comparison with timeloop"]
    rates, seconds = [], []
    for folder in folders:
        documents = [str(folder / f"{name}.yaml") for name in DOCUMENTS]
        rates.append(_mappings_per_cpu_s(documents))
        seconds.append(_model_s(documents, folder, repeats))
    rate, model_s = max(rates), statistics.median(seconds)
    numbers = {"timeloop_mappings_per_cpu_s": rate, "timeloop_model_process_s": model_s}
    faster = ours["batch_sparse_mappings_per_cpu_s"] / rate
    slower = ours["model_process_s"] / model_s
    return numbers, [
        f"timeloop-mapper: {rate:.0f} valid mappings per CPU s, evaluate_batch {faster:,.0f} times as many",
        f"timeloop-model: {model_s:.3f} s of CPU, `sparsim model` {slower:.1f} times as much",
    ]


def constraints_of(mapspace: Mapspace) -> list[dict[str, Any]]:
    """A mapspace without limits as the items of `mapspace_constraints`."""
    items: list[dict[str, Any]] = []
    for level in mapspace.levels:
        kept = {"keep": list(level.keep), "bypass": list(level.bypass)}
        items.append({"target": level.level, "type": "datatype", **kept})
        for kind, nest in (("temporal", level.temporal), ("spatial", level.spatial)):
            if nest is not None:
                items.append({"target": level.level, "type": kind, **_nest(nest)})
    return items


def _nest(nest: NestConstraint) -> dict[str, Any]:
    fields: dict[str, Any] = {"permutation": "".join(nest.inner[::-1])}
    if nest.factors:
        fields["factors"] = " ".join(f"{dim}={factor}" for dim, factor in nest.factors.items())
    if nest.split_x is not None:
        fields["split"] = nest.split_x
    return fields


def compare_search(
    problems: list[tuple[Accelerator, Layer, Mapping]],
) -> tuple[list[dict[str, Any]], list[str]]:
    """`timeloop-mapper` with the study's settings and mapspace on layers of the study, each with any mapping,
    from documents written here: per layer what it found and its CPU seconds; and a line on it, or why it is
    missing.
    """
    if not shutil.which("timeloop-mapper"):
        return [], ["`timeloop-mapper` is not on PATH, so it was not run for comparison."]
    found = []
    for accelerator, layer, mapping in problems:
        with tempfile.TemporaryDirectory() as folder:
            paths = write_documents(Path(folder), accelerator, layer, mapping)
            settings = Path(folder) / "search.yaml"
            keys = {"mapper": MAPPER, "mapspace_constraints": constraints_of(study_mapspace())}
            settings.write_text(yaml.safe_dump(keys), encoding="utf-8")
            documents = [str(path) for path in [*paths, settings] if path.stem != "mapping"]
            cpu_s = run_process(["timeloop-mapper", *documents, "-o", folder]).cpu_s
            stats = parse_stats(Path(folder, "timeloop-mapper.stats.txt").read_text(encoding="utf-8")).fields
        cycles, energy_uj = (stats[Key("summary", "", "", "", field)] for field in ("Cycles", "Energy"))
        found.append({"layer": layer.name, "cycles": cycles, "energy_uj": energy_uj, "cpu_s": cpu_s})
    cycles, energy_uj, cpu_s = (
        sum(layer[key] for layer in found) for key in ("cycles", "energy_uj", "cpu_s")
    )
    return found, [
        f"`timeloop-mapper` here, {len(found)} layers: {cpu_s:.1f} CPU seconds, {cycles:,} cycles, "
        f"{energy_uj:.2f} uJ."
    ]


def _mappings_per_cpu_s(documents: list[str]) -> float:
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        search = Path(folder) / "search.yaml"
        for mappings in VALID_MAPPINGS:
            search.write_text(SEARCH.format(mappings=mappings), encoding="utf-8")
            seconds.append(run_process(["timeloop-mapper", *documents, str(search), "-o", folder]).cpu_s)
    return (VALID_MAPPINGS[1] - VALID_MAPPINGS[0]) / (seconds[1] - seconds[0])


def _model_s(documents: list[str], case: Path, repeats: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = ["timeloop-model", *documents, str(case / "mapping.yaml"), "-o", folder]
        return statistics.median(run_process(command).cpu_s for _ in range(repeats))
