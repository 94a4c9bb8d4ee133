"""The reference program on the same layers, for `evaluate.py`; needs its two commands on PATH."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SHARED = Path(os.environ.get("SPARSIM_SHARED", ROOT / ".." / "shared"))
DOCUMENTS = ("arch", "problem", "sparse", "ert", "art")
VALID_MAPPINGS = (100, 400)  # the difference of two searches leaves out the mapper's start

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
    ours: dict[str, Any], layers: tuple[int, ...], repeats: int, run_process: Callable[..., Any]
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
        rates.append(_mappings_per_cpu_s(documents, run_process))
        seconds.append(_model_s(documents, folder, repeats, run_process))
    rate, model_s = max(rates), statistics.median(seconds)
    numbers = {"timeloop_mappings_per_cpu_s": rate, "timeloop_model_process_s": model_s}
    faster = ours["batch_sparse_mappings_per_cpu_s"] / rate
    slower = ours["model_process_s"] / model_s
    return numbers, [
        f"timeloop-mapper: {rate:.0f} valid mappings per CPU s, evaluate_batch {faster:,.0f} times as many",
        f"timeloop-model: {model_s:.3f} s of CPU, `sparsim model` {slower:.1f} times as much",
    ]


def _mappings_per_cpu_s(documents: list[str], run_process: Callable[..., Any]) -> float:
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        search = Path(folder) / "search.yaml"
        for mappings in VALID_MAPPINGS:
            search.write_text(SEARCH.format(mappings=mappings), encoding="utf-8")
            seconds.append(run_process(["timeloop-mapper", *documents, str(search), "-o", folder]).cpu_s)
    return (VALID_MAPPINGS[1] - VALID_MAPPINGS[0]) / (seconds[1] - seconds[0])


def _model_s(documents: list[str], case: Path, repeats: int, run_process: Callable[..., Any]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = ["timeloop-model", *documents, str(case / "mapping.yaml"), "-o", folder]
        return statistics.median(run_process(command).cpu_s for _ in range(repeats))
