"""`sparsim chip --compare`: layers on several chips, as tables, data and figures."""

from __future__ import annotations

import csv
import json
from functools import cache
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.documented_keys import documented_keys
from support.named import names
from support.programs import run_module
from support.small_chips import conv

from sparsim import dump
from sparsim.machines.eyeriss import load_chip, plan_network, uncertain_network
from sparsim.records import Workload
from sparsim.report.chip_comparison import (
    ComparedChip,
    comparison_document,
    comparison_rows,
    comparison_tables,
    energy_shares,
)
from sparsim.report.chip_comparison_figures import draw_comparison, draw_energy_shares

CHIPS = ("eyeriss_v1", "eyeriss_v1_5", "eyeriss_v2")
LAYERS = (
    replace(conv(M=8, C=6, R=3, S=3, P=4, Q=4, iacts=0.5, weights=0.4), name="conv1"),
    replace(conv(M=60, C=40, weights=0.3), name="fc"),
)


@cache
def compared() -> tuple[ComparedChip, ...]:
    networks = {name: plan_network(load_chip(name), LAYERS) for name in CHIPS}
    return tuple(
        ComparedChip(name, "net", network, uncertain_network(network, {}, "delay"))
        for name, network in networks.items()
    )


def test_quotients_are_of_the_first_chip() -> None:
    found = comparison_document(compared())
    v1, _, v2 = (chip.network for chip in compared())
    chip = found["chips"]["eyeriss_v2"]
    assert found["baseline"] == "eyeriss_v1"
    assert chip["speedup"] == pytest.approx(v1.cycles / v2.cycles)
    assert chip["energy_gain"] == pytest.approx(v1.chip_pj / v2.chip_pj)
    for i, layer in enumerate(chip["layers"]):
        assert layer["speedup"] == v1.layers[i].cycles / v2.layers[i].cycles
        assert layer["energy_gain"] == v1.layers[i].chip_pj / v2.layers[i].chip_pj
    assert {layer["speedup"] for layer in found["chips"]["eyeriss_v1"]["layers"]} == {1.0}


def test_quotients_have_error_bars_but_for_the_baseline() -> None:
    base, *others = comparison_document(compared())["chips"].values()
    assert base["error_bars"] == {}
    for chip in others:
        for name, bar in chip["error_bars"].items():
            assert bar["value"] == pytest.approx(chip[name])
            assert bar["low"] <= bar["value"] <= bar["high"]
        gain = chip["error_bars"]["energy_gain"]
        assert 0 < gain["high"] / gain["value"] - 1 < 0.3


def test_a_faster_clock_is_a_speedup() -> None:
    v1 = compared()[0]
    spec = replace(v1.network.chip.spec, clock_mhz=400)
    fast = v1._replace(label="fast", network=v1.network._replace(chip=v1.network.chip._replace(spec=spec)))
    found = comparison_document((v1, fast))["chips"]["fast"]
    assert [found["speedup"], *(layer["speedup"] for layer in found["layers"])] == [2, 2, 2]


def test_shares_add_up_to_one() -> None:
    for chip in comparison_document(compared())["chips"].values():
        for key in ("time_share", "energy_share"):
            assert sum(layer[key] for layer in chip["layers"]) == pytest.approx(1)
        for part in (chip, *chip["layers"]):
            assert sum(part["energy_shares"].values()) == pytest.approx(1)


def test_components_without_a_group_are_their_own() -> None:
    assert energy_shares({"laser": 1.0, "MAC": 2.0, "iact_spad": 3.0, "iact_reg": 2.0}) == {
        "MACs": 0.25, "spads": 0.625, "laser": 0.125,
    }  # fmt: skip


def test_tables_have_a_column_for_each_chip() -> None:
    speed, _, times, components = comparison_tables(compared())
    assert list(speed.head) == ["layer", *CHIPS, "eyeriss_v1_5, x", "eyeriss_v2, x"]
    assert [len(row) for row in (*speed.rows, speed.total, *times.rows)] == [6, 6, 6, 7, 7]
    assert [row[0] for row in components.rows] == ["MACs", "spads", "GLB", "NoC", "clock", "control"]


def test_figures_have_the_numbers() -> None:
    found = comparison_document(compared())["chips"]
    speed, _, times = draw_comparison(compared()).axes
    for k, name in enumerate(CHIPS):
        bars = [bar.get_y() + bar.get_height() for bar in speed.containers[k]]  # type: ignore[attr-defined]
        assert bars == pytest.approx([layer["speedup"] for layer in found[name]["layers"]])
        heights = [bar.get_height() for bar in times.containers[k]]  # type: ignore[attr-defined]
        assert heights == pytest.approx([layer["time_share"] for layer in found[name]["layers"]])
    for axes in draw_energy_shares(compared()).axes:
        tops = [sum(bar[i].get_height() for bar in axes.containers) for i in range(2)]  # type: ignore[attr-defined]
        assert tops == pytest.approx([1, 1])


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.yaml"
    path.write_text(dump(Workload(name="net", layers=LAYERS)))
    return path


def test_the_command_writes_what_it_prints(net: Path, tmp_path: Path) -> None:
    words = ("chip", "eyeriss_v1", str(net), "--compare", "eyeriss_v1_5", "--compare", "eyeriss_v2")
    result = run_module("sparsim", *words, "--json", "-o", str(tmp_path / "out"))
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found == json.loads((tmp_path / "out/chip.comparison.json").read_text())
    assert found == json.loads(json.dumps(comparison_document(compared())))
    assert set(found) == documented_keys("chip.comparison.json")
    with (tmp_path / "out/chip.comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {key if " " not in key else "share ..." for key in rows[0]} == documented_keys(
        "chip.comparison.csv"
    )
    assert [float(row["speedup"]) for row in rows] == [row["speedup"] for row in comparison_rows(compared())]
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {
        "chip.comparison.png", "chip.energy-shares.png",
    }  # fmt: skip


def test_other_workloads_with_the_same_layers_are_compared(net: Path, tmp_path: Path) -> None:
    dense = tmp_path / "dense.yaml"
    dense.write_text(dump(Workload(name="dense", layers=[replace(each, densities={}) for each in LAYERS])))
    words = ("chip", "eyeriss_v2", str(dense), "--compare", f"eyeriss_v2={net}", "--layer", "fc", "--json")
    chips = json.loads(run_module("sparsim", *words).stdout)["chips"]
    assert list(chips) == [f"eyeriss_v2={dense}", f"eyeriss_v2={net}"]
    assert [chip["workload"] for chip in chips.values()] == ["dense", "net"]
    assert chips[f"eyeriss_v2={net}"]["energy_gain"] > 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--compare", "eyeris_v1"), "eyeris_v1 eyeriss_v1"),
        (("--compare", "eyeriss_v2"), "--compare eyeriss_v2"),
        (("--compare", "eie"), "eie chip"),
        (("--compare", "eyeriss_v1=alexnet"), "conv1 alexnet conv5"),
        (("--compare", "eyeriss_v1", "--layer", "fcc"), "fcc fc"),
        (("--compare", "eyeriss_v1", "--explain"), "--explain --compare"),
    ],
)
def test_bad_input_is_refused(net: Path, words: tuple[str, ...], said: str) -> None:
    result = run_module("sparsim", "chip", "eyeriss_v2", str(net), *words)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    if "alexnet" not in said:
        assert names(result.stderr, f"sparsim: error: {said}")
