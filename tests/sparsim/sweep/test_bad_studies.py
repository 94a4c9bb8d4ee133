"""Wrong studies are refused in one sentence that says where and what, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from sparsim.cli.main import cli
from sparsim.errors import SparsimError
from sparsim.sweep.design_space_loading import load_design_space
from sparsim.sweep.study_files import load_study

NET = {"source": "pointnet2_study_sparse", "layers": ["fc3"]}
GOOD: dict[str, Any] = {
    "base": "eyeriss_like_onchip",
    "workloads": {"net": NET},
    "axes": {"rows": {"path": "ifmap_spad.mesh_y", "values": [6, 12]}},
    "objectives": ["energy", "cycles"],
}


def axis(**fields: Any) -> dict[str, Any]:
    return {"axes": {"rows": fields}}


def net(**fields: Any) -> dict[str, Any]:
    return {"workloads": {"net": NET | fields}}


ROWS = {"path": "ifmap_spad.mesh_y", "values": [6, 12]}
# by what is wrong: what is changed, and words that the sentence needs
BAD: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "unknown path": (axis(path="architecture.ifmap_spad.meshy_y", values=[1]), ("meshy_y", "axes.rows")),
    "misspelt level": (
        axis(path="ifmap_spat.mesh_y", values=[1]),
        ("ifmap_spat", "did you mean 'ifmap_spad'"),
    ),
    "path without a level": (axis(path="depth", values=[1]), ("depth", "shared_glb.depth")),
    "values for templates that are not there": ({"template_data": {"n": 2}}, ("template_data", "Timeloop")),
    "empty axis": (axis(path="ifmap_spad.mesh_y", values=[]), ("axes.rows", "value")),
    "misspelt objective": ({"objectives": ["enregy"]}, ("enregy", "did you mean 'energy'")),
    "objective twice": ({"objectives": ["energy", "energy"]}, ("energy", "twice")),
    "wrong direction": ({"objectives": {"energy": "least"}}, ("least", "min")),
    "no objectives": ({"objectives": []}, ("objective",)),
    "no axes": ({"axes": {}}, ("axis",)),
    "contradictory limits": ({"limits": ["area < 1", "area > 2"]}, ("area", "limits")),
    "contradictory limits under two names": ({"limits": ["area_mm2 <= 1", "2 < area"]}, ("area", "limits")),
    "limits that are never true": ({"limits": ["1 < cycles < 1"]}, ("cycles", "limits")),
    "no point passes the filters": ({"filters": ["rows > 12"]}, ("rows > 12", "filters")),
    "filters that exclude each other": ({"filters": ["rows > 6", "rows < 12"]}, ("filters",)),
    "value twice": (axis(path="ifmap_spad.mesh_y", values=[6, 6]), ("6", "twice")),
    "two axes on one path": (
        {"axes": {"rows": ROWS, "columns": {"path": "architecture.ifmap_spad.mesh_y", "values": [1]}}},
        ("ifmap_spad.mesh_y", "rows", "columns"),
    ),
    "axis called workload": ({"axes": {"workload": ROWS}}, ("workload",)),
    "cyclic derivation": (
        {"derive": {"a": "b + 1", "b": "a + 1"}, "filters": ["a < rows"]},
        ("derive", "a", "b"),
    ),
    "derived from an unknown name": ({"derive": {"twice": "row * 2"}}, ("row", "did you mean 'rows'")),
    "derived axis": ({"derive": {"rows": "2"}}, ("rows",)),
    "unknown sampler": ({"sampler": {"kind": "sobel", "points": 4}}, ("sobel", "did you mean 'sobol'")),
    "unknown sampler option": ({"sampler": {"kind": "sobol", "pionts": 4}}, ("pionts", "points")),
    "sampler without points": ({"sampler": {"kind": "random"}}, ("points", "random")),
    "grid with points": ({"sampler": {"kind": "grid", "points": 4}}, ("points", "grid")),
    "population for a sequence": (
        {"sampler": {"kind": "halton", "points": 4, "population": 2}},
        ("population", "halton"),
    ),
    "population of one": ({"sampler": {"kind": "nsga2", "points": 4, "population": 1}}, ("population", "2")),
    "choices with a missing file": (axis(choices={"a": "nowhere.yaml"}), ("nowhere.yaml",)),
    "choices with an unknown preset": (axis(choices={"a": "eyeriss_like_onchp"}), ("eyeriss_like_onchip",)),
    "choices with a path": (axis(path="PE.mesh", choices={"a": []}), ("choices", "path")),
    "size under constant energies": (
        axis(path="architecture.psum_spad.size_words", values=[112]),
        ("psum_spad", "constant_energies"),
    ),
    "density above 1": (axis(path="workload.density.Weights", values=[1.5]), ("1.5", "Weights")),
    "density of an unknown dataspace": (axis(path="workload.density.Weight", values=[0.5]), ("Weights",)),
    "density of a network below 0": (net(densities={"Inputs": -0.1}), ("-0.1", "Inputs")),
    "value of a wrong type": (axis(path="ifmap_spad.mesh_y", values=["six"]), ("six", "axes.rows")),
    "unknown workload": ({"workloads": {"net": "pointnet2_study_spars"}}, ("pointnet2_study_sparse",)),
    "missing workload file": ({"workloads": {"net": "nowhere.yaml"}}, ("nowhere.yaml",)),
    "unknown layer": (net(layers=["fc33"]), ("fc33", "did you mean 'fc3'")),
    "unknown preset": ({"base": "eyeriss_like"}, ("eyeriss_like",)),
    "bad expression": ({"filters": ["rows <"]}, ("rows <", "filters")),
    "unknown name in a limit": ({"limits": ["aera < 2"]}, ("aera", "did you mean 'area'")),
    "limit that always fails to compute": ({"limits": ["energy.real < 2"]}, ("energy.real", "limits")),
    "function that is not known": ({"filters": ["open('x')"]}, ("open", "filters")),
    "range too long": (axis(range=[0, 1e12]), ("1e+12", "axes.rows")),
    "range with step 0": (axis(range=[0, 4, 0]), ("step", "axes.rows")),
    "range of one number": (axis(range=[4]), ("range", "axes.rows")),
    "range backwards": (axis(range=[4, 0]), ("axes.rows",)),
    "log2 of no power of two": (axis(log2=[3, 64]), ("3", "axes.rows")),
    "log2 of 0": (axis(log2=[0, 64]), ("0", "axes.rows")),
    "values and a range": (axis(values=[1], range=[1, 2]), ("values", "range")),
    "no values at all": (axis(path="PE.mesh"), ("values",)),
    "condition on a later axis": (
        {"axes": {"rows": ROWS | {"when": "b > 1"}, "b": [1, 2]}},
        ("'b'", "axes.rows"),
    ),
    "condition on itself": ({"axes": {"rows": ROWS | {"when": "rows > 6"}}}, ("'rows'",)),
    "mappings of a chip": (
        {
            "base": "eyeriss_v2",
            "axes": {"clock": {"path": "chip.clock_mhz", "values": [100.0]}},
            "search": {"mappings": "base"},
        },
        ("chip", "search"),
    ),
    "mappings of a layer missing": ({"search": {"mappings": {"fc2": "DRAM: P1"}}}, ("fc3", "mappings")),
    "mapping file missing": ({"search": {"mappings": {"fc3": "nowhere.yaml"}}}, ("nowhere.yaml",)),
    "mapping that cannot be read": ({"search": {"mappings": {"fc3": "DRAM; P"}}}, ("fc3", "mappings")),
    "unknown search method": ({"search": {"method": "brute"}}, ("brute", "exhaustive")),
    "search budgets that fall": ({"search": {"evaluations": [100, 10]}}, ("evaluations",)),
    "negative seed": ({"seed": -1}, ("seed", "-1")),
    "negative clock": ({"clock_mhz": -5}, ("clock_mhz", "-5")),
    "unknown field": ({"objectivs": ["energy"]}, ("objectivs", "did you mean 'objectives'")),
    "unknown field of an axis": (axis(path="PE.mesh", valuse=[1]), ("valuse", "did you mean 'values'")),
    "attribute with the name of a metric": (net(attributes={"cycles": 1.0}), ("cycles",)),
    "attribute that one network lacks": (
        {
            "workloads": {"a": NET | {"attributes": {"accuracy": 0.9}}, "b": NET},
            "objectives": ["energy", "accuracy"],
        },
        ("accuracy", "'b'"),
    ),
    "inferences per second without a clock": ({"objectives": ["energy", "throughput"]}, ("clock",)),
    "base without a file": ({"base": ["nowhere.yaml"]}, ("nowhere.yaml",)),
}


def written(folder: Path, changes: dict[str, Any]) -> Path:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({"sweep": GOOD | changes}, sort_keys=False), encoding="utf-8")
    return path


def test_the_study_that_is_changed_is_right(tmp_path: Path) -> None:
    assert load_design_space(load_study(written(tmp_path, {}))).axes


@pytest.mark.parametrize("wrong", BAD)
def test_bad_studies_are_refused(tmp_path: Path, wrong: str) -> None:
    changes, words = BAD[wrong]
    path = written(tmp_path, changes)
    found = CliRunner().invoke(cli, ["sweep", str(path), "-o", str(tmp_path / "out"), "--jobs", "1"])
    assert isinstance(found.exception, SparsimError), found.exception
    sentence = str(found.exception)
    assert "\n" not in sentence
    assert len(sentence) < 500
    for word in words:
        assert word in sentence
    assert not (tmp_path / "out" / "results.parquet").exists()


@pytest.mark.parametrize("text", ["", "other: {}", "sweep: 3", "sweep: [1]", "sweep: {", "sweep: {}"])
def test_files_that_are_no_studies_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(SparsimError) as refused:
        load_study(path)
    assert "study.yaml" in str(refused.value)
