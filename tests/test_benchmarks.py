"""The benchmark runs and writes what scripts read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
KEYS = {
    "batch_sparse_mappings_per_cpu_s", "batch_dense_mappings_per_cpu_s", "frozen_12_layers_us", "evaluate_ms",
    "model_process_s",
}  # fmt: skip


def test_evaluate_writes_its_numbers(tmp_path: Path) -> None:
    file = tmp_path / "evaluate.json"
    command = [sys.executable, "benchmarks/evaluate.py", "--quick", "--json", str(file)]
    env = {**os.environ, "PATH": "/nonexistent", "PYTHONPATH": str(ROOT)}  # no reference program in a test
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=env)
    assert result.returncode == 0, result.stderr
    numbers = json.loads(file.read_text(encoding="utf-8"))
    assert set(numbers) >= {*KEYS, "machine"}
    assert all(numbers[key] > 0 for key in KEYS)
