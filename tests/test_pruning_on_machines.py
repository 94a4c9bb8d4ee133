"""The comparison of machines: its numbers are those of the command, and its page is up to date."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from support.programs import run_module

from sparsim import load_workload
from sparsim.records import Layer
from sparsim.report.machine_comparison import MACHINES, answers, compare, cost_table, draw_comparison

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "results" / "machines.md"
sys.path.insert(0, str(ROOT / "benchmarks"))
import pruning_on_machines  # noqa: E402

QUICK = [name for name in MACHINES if not name.startswith("eyeriss")]  # those without mappings
pytestmark = pytest.mark.filterwarnings("ignore::sparsim.errors.SparsimWarning")  # larger than EIE's memories


def page_rows(name: str) -> dict[str, list[str]]:
    """Cells of a table of the page by the title of the machine."""
    block = PAGE.read_text(encoding="utf-8").split(f"<!-- {name} -->\n")[1].split("<!--")[0]
    lines = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in block.splitlines()[2:]]
    return {cells[0]: cells[1:] for cells in lines}


@pytest.mark.parametrize("name", pruning_on_machines.networks())
def test_the_page_has_the_numbers_of_the_models(name: str) -> None:
    rows = page_rows(name)
    assert list(rows) == [machine.title for machine in MACHINES.values()]
    runs = compare(pruning_on_machines.networks()[name], QUICK)
    for title, *cells in cost_table(runs).rows:
        assert rows[str(title)] == cells


def test_the_page_says_how_good_the_models_are() -> None:
    rows = page_rows("machines")
    assert list(rows) == [machine.title for machine in MACHINES.values()]
    for (preset, _, energy, *others), (name, machine) in zip(rows.values(), MACHINES.items(), strict=True):
        assert preset == f"`{name}`"
        assert energy == (machine.energy or "not known")
        assert others == [machine.left_out, machine.validation]


@pytest.mark.parametrize("machine", ["eie", "tensor_core_2_4", "gamma", "pointacc"])
def test_a_row_is_what_the_command_prints(machine: str) -> None:
    layers = load_workload("pointnet2_small_gmp90").layers
    run = compare({"gmp-90": layers}, [machine])[machine]["gmp-90"]
    totals = json.loads(run_module("sparsim", "chip", machine, "pointnet2_small_gmp90", "--json").stdout)[
        "totals"
    ]
    assert run.energy_uj == pytest.approx(totals["energy_pj"] / 1e6)
    assert run.per_s == pytest.approx(totals["inferences_per_s"])
    assert run.area_mm2 == (pytest.approx(totals["area_um2"] / 1e6) if "area_um2" in totals else None)


def test_a_row_of_eyeriss_is_what_the_command_prints() -> None:
    layer: tuple[Layer, ...] = load_workload("pointnet2_small_gmp90").layers[-1:]
    run = compare({"fc3": layer}, ["eyeriss_v2"])["eyeriss_v2"]["fc3"]
    found = run_module(
        "sparsim", "chip", "eyeriss_v2", "pointnet2_small_gmp90", "--layer", layer[0].name, "--json"
    )
    totals = json.loads(found.stdout)["totals"]
    assert run.energy_uj == pytest.approx((totals["chip_pj"] + totals["dram_pj"]) / 1e6)
    assert run.per_s == pytest.approx(totals["inferences_per_s"])
    assert run.area_mm2 == pytest.approx(totals["area_um2"] / 1e6)


def test_zeros_save_only_where_they_are_skipped() -> None:
    networks = pruning_on_machines.networks()[pruning_on_machines.POINTNET]
    runs = compare(networks, ["tensor_core_2_4", "gamma", "pointacc"])
    said = dict(answers(runs, pruning_on_machines.UNPRUNED))
    assert said["PointAcc"] == "all others take the same energy and the same time"
    assert said["2:4 tensor core"].count("the same energy and the same time") == 2
    core, gamma = runs["tensor_core_2_4"], runs["gamma"]
    assert core["2:4"].energy_uj < core["gmp-90"].energy_uj == core["unpruned"].energy_uj  # type: ignore[operator]
    assert gamma["energy-90"].us < gamma["gmp-90"].us < gamma["2:4"].us < gamma["unpruned"].us
    figure, text = draw_comparison(runs, pruning_on_machines.UNPRUNED)
    assert "PointAcc, gmp-90, time: 100 %" in text
    assert len(figure.axes) == 2
