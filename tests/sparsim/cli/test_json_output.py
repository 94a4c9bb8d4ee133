"""--json prints one JSON document on stdout, with the numbers of the files and tables."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.documented_keys import documented_keys
from support.programs import run_module

ROOT = Path(__file__).parents[3]
CASE = ROOT / "validation/references/random/gemm-sep-11-046"
PRESETS = ROOT / "sparsim/files/presets"


def printed(*words: str | Path) -> Any:
    result = run_module("sparsim", *map(str, words), "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_model_prints_what_it_writes(tmp_path: Path) -> None:
    documents = sorted(CASE.glob("*.yaml"))
    found = printed("model", *documents, "-o", tmp_path, "--timeloop-files")
    assert found == json.loads((tmp_path / "sparsim.result.json").read_text(encoding="utf-8"))
    assert found["cycles"] == printed("explain", *documents)["cycles"] == 8192


def test_chip_prints_its_result(tmp_path: Path) -> None:
    found = printed("chip", "eyeriss_v2", "alexnet_sparse", "--layer", "conv3", "-o", tmp_path)
    assert set(found) == documented_keys("chip.result.json")
    columns = (tmp_path / "chip.layers.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    assert {re.sub(" .*", " ...", name) for name in columns} == documented_keys("chip.layers.csv")
    assert found == json.loads((tmp_path / "chip.result.json").read_text(encoding="utf-8"))


def test_estimate_prints_its_sources() -> None:
    found = printed("estimate", ROOT / "validation/estimates/accelergy_2022.yaml")
    assert all(energy["source"] for one in found.values() for energy in one["actions"].values())


def test_mapper_prints_a_row_for_each_layer(tmp_path: Path) -> None:
    (row,) = printed(
        "mapper", PRESETS / "eyeriss_like_onchip.yaml", ROOT / "pointnet/original/mapspace.yaml",
        PRESETS / "workloads/pointnet2_study.yaml", "--layer", "fc3", "-o", tmp_path, "--no-cache",
    )  # fmt: skip
    assert set(row) == documented_keys("sparsim.layers.csv")
    written = json.loads((tmp_path / "sparsim.result.json").read_text(encoding="utf-8"))
    assert row["cycles"] == written["evaluation"]["cycles"] > 0


def test_check_prints_a_record_for_each_case() -> None:
    (found,) = printed("check", CASE)
    assert (found["verdict"], found["fields"], found["differences"]) == ("exact", found["exact"], [])


@pytest.mark.parametrize(("name", "kind"), [("eyeriss_v2", "chip"), ("alexnet", "workload")])
def test_show_prints_records(name: str, kind: str) -> None:
    assert printed("show", name)[kind]["name"]
    assert name in [preset["name"] for preset in printed("show")]
