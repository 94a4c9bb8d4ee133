"""Sweeps of the stub evaluator."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from sparsim.sweep.design_space import DesignSpace
from sparsim.sweep.design_space_loading import load_design_space
from sparsim.sweep.row_store import BOUND
from sparsim.sweep.run_sweep import run
from sparsim.sweep.study_files import study_of
from sparsim.sweep.sweep_row import Point
from sparsim.sweep.worker_process import Chunk, Finished, evaluate_chunk
from support.stub_evaluator import StubEvaluator

AXES = {
    "glb": {"path": "architecture.shared_glb.size_words", "range": [1, 8]},
    "bits": {"path": "architecture.ifmap_spad.size_words", "range": [1, 6]},
}


def stub_space(axes: Mapping[str, Any] = AXES, **fields: Any) -> DesignSpace:
    """A design space whose points the stub evaluates; nothing of the base matters."""
    layers = {"source": "pointnet2_study_sparse", "layers": ["sa1.mlp_convs.1"], "attributes": {"share": 0.5}}
    content = {
        "name": "stub", "base": "eyeriss_like_gating", "constant_energies": True, "workloads": {"a": layers},
        "axes": dict(axes), "objectives": {"energy": "min", "cycles": "min"}, **fields,
    }  # fmt: skip
    return load_design_space(study_of(content))


class InlineWorkers:
    """Workers that evaluate chunks at once, in this process."""

    number = 1

    def __init__(self, evaluator: Any) -> None:
        self._evaluator = evaluator
        self.evaluated: list[Point] = []

    def submit(self, chunk: Chunk) -> Future[Finished]:
        future: Future[Finished] = Future()
        if chunk.kind != BOUND:
            self.evaluated += chunk.points
        future.set_result(evaluate_chunk(self._evaluator, chunk, 1000.0))
        return future

    def close(self) -> None:
        pass


def table_bytes(out: Path) -> bytes:
    return (out / "results.parquet").read_bytes()


def run_stub(out: Path, space: DesignSpace | None = None, evaluator: Any = None, **options: Any) -> Any:
    """Run a sweep of the stub."""
    return run(space or stub_space(), out, evaluator=evaluator or StubEvaluator(), **options)


__all__ = ["AXES", "InlineWorkers", "StubEvaluator", "run_stub", "stub_space", "table_bytes"]
