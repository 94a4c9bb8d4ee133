"""The benchmark runs and writes what scripts read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
KEYS = {
    "batch_sparse_mappings_per_cpu_s", "batch_dense_mappings_per_cpu_s", "frozen_12_layers_us", "evaluate_ms",
    "model_process_s",
}  # fmt: skip
SAMPLING_KEYS = {
    "fps_speedup", "fps_stage_1_plain_s", "fps_stage_1_ours_s",
    "ball_query_speedup", "ball_query_stage_1_plain_s", "ball_query_stage_1_ours_s",
    "train_step_speedup", "train_step_plain_s", "train_step_ours_s",
}  # fmt: skip


@pytest.mark.parametrize(("name", "keys"), [("evaluate", KEYS), ("sampling", SAMPLING_KEYS)])
def test_a_benchmark_writes_its_numbers(name: str, keys: set[str], tmp_path: Path) -> None:
    file = tmp_path / f"{name}.json"
    command = [sys.executable, f"benchmarks/{name}.py", "--quick", "--json", str(file)]
    env = {**os.environ, "PATH": "/nonexistent", "PYTHONPATH": str(ROOT)}  # no reference program in a test
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=env)
    assert result.returncode == 0, result.stderr
    numbers = json.loads(file.read_text(encoding="utf-8"))
    assert set(numbers) >= {*keys, "machine"}
    assert all(numbers[key] > 0 for key in keys)
