"""The study from end to end on a tiny data set, its stages, its costs and its report."""

from __future__ import annotations

import csv
import json
import math
import random
import re
import shutil
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from pyarrow import parquet
from rich.console import Console
from support.linear_cost import LinearHardware
from support.named import naming
from support.report_pages import ReportPage

from pointnet import cli
from pointnet.data import shapes, write_pack
from pointnet.errors import ConfigError, DataError
from pointnet.study import cloud_costs, pruning_comparison
from pointnet.study import design_costs as study_costs
from pointnet.study import run_study as study_run
from pointnet.study.design_costs import ACTIVATIONS, BOTH, DENSE, PLAIN, VARIANTS, WEIGHTS
from pointnet.study.design_error_bars import design_error_bars
from pointnet.study.run_study import run_study
from pointnet.study.savings import saved
from pointnet.study.stage_cache import Stages
from pointnet.study.study_networks import Plan, training_folder
from pointnet.training import checkpoint
from pointnet.training.settings import Settings
from pointnet.training.train import Training
from sparsim.errors import SparsimWarning
from sparsim.hardware import NetworkCost, accelerator_plan
from sparsim.machines.eyeriss import load_chip, plan_layer
from sparsim.mapper.engine import Progress
from sparsim.mapper.network_search import search_each
from sparsim.mapper.search import search
from sparsim.records import CONV, Density, Layer
from sparsim.report.machine_comparison import MACHINES

# networks of one epoch lose whole layers at 90 %
pytestmark = pytest.mark.filterwarnings("ignore::gmp.errors.PruningWarning")

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    path = tmp_path_factory.mktemp("data") / "clouds.npz"
    write_pack(shapes(train_per_class=4, test_per_class=2, points=64, seed=3), path)
    return Plan(Settings(data=str(path), points=64, batch=20, epochs=1), more=1, levels=(0.5, 0.9), samples=4)


@pytest.fixture(scope="module", autouse=True)
def _few_pictures() -> Iterator[None]:
    """The reproduction's figures, which its own tests draw, are an empty file."""

    def write_empty(folder: Path, outcomes: object) -> None:
        (folder / "breakdown.png").touch()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pointnet.original.original_figures.write_figures", write_empty)
        yield


@pytest.fixture(scope="module")
def output(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    run_study(plan, folder, ("gating",), QUIET)
    return folder


def rows_of(output: Path) -> list[dict[str, str]]:
    with (output / "results.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def layer(bounds: dict[str, int], **densities: float) -> Layer:
    full = {dim: bounds.get(dim, 1) for dim in CONV.dims}
    given_densities = {name: Density(density=value) for name, value in densities.items()}
    return Layer(name="layer", shape=CONV, bounds=full, densities=given_densities)


# ---- from end to end


def test_results_are_sums_of_their_rows(output: Path) -> None:
    results = json.loads((output / "results.json").read_text())
    rows = rows_of(output)
    assert results["reproduced"] == 48
    assert set(results["designs"]["gating"]) == {*VARIANTS, "gmp-50", "gmp-90"}
    for variant, found in results["designs"]["gating"].items():
        mine = [row for row in rows if row["variant"] == variant]
        assert len(mine) == 12
        assert sum(float(row["energy_pj"]) for row in mine) / 1e6 == pytest.approx(found["energy_uj"])
        assert sum(int(row["cycles"]) for row in mine) == found["cycles"]
        for row in mine:
            parts = [float(value) for name, value in row.items() if name.endswith(" pj")]
            assert sum(parts) == pytest.approx(float(row["energy_pj"]))
        assert found["accuracy"] == results["networks"][found["network"]]["accuracy"]
    assert results["designs"]["gating"][DENSE]["network"] == "control"
    assert results["designs"]["gating"]["gmp-90"] == results["designs"]["gating"][BOTH]


def test_machines_without_mappings_are_compared(output: Path) -> None:
    machines = json.loads((output / "results.json").read_text())["machines"]
    assert set(machines) == {name for name in MACHINES if not name.startswith("eyeriss")}
    for runs in machines.values():
        assert list(runs) == ["unpruned", "pruned by magnitude", "2:4"]
    gamma, pointacc = machines["gamma"], machines["pointacc"]
    assert gamma["pruned by magnitude"]["us"] < gamma["2:4"]["us"] < gamma["unpruned"]["us"]
    assert pointacc["pruned by magnitude"] == pointacc["unpruned"]
    assert pointacc["unpruned"]["mapping_us"] > 0
    assert machines["sigma"]["unpruned"]["energy_uj"] is None
    page = ReportPage((output / "report.html").read_text(encoding="utf-8"))
    shown = [rows for rows in page.tables if rows[0][0] == "machine"]
    titles = [MACHINES[name].title for name in machines]
    assert [[row[0] for row in rows[1:]] for rows in shown] == [titles, titles]


def test_parquet_holds_the_rows_of_the_csv_with_their_types(output: Path) -> None:
    texts = rows_of(output)
    rows = parquet.read_table(output / "results.parquet").to_pylist()
    assert [{name: "" if v is None else str(v) for name, v in row.items()} for row in rows] == texts
    assert {type(row["cycles"]) for row in rows} == {int}
    assert {type(row["energy_pj"]) for row in rows} == {float}


def test_zeros_of_weights_save_nothing_on_the_studys_designs(output: Path) -> None:
    variants = json.loads((output / "results.json").read_text())["designs"]["gating"]
    for metric in ("energy_uj", "cycles"):
        assert variants[WEIGHTS][metric] == variants[PLAIN][metric]
        assert variants[BOTH][metric] == variants[ACTIVATIONS][metric]
        assert variants[DENSE][metric] < variants[PLAIN][metric]


def test_report_answers_first_with_the_numbers_of_the_results(output: Path) -> None:
    text = (output / "report.html").read_text(encoding="utf-8")
    page, results = ReportPage(text), json.loads((output / "results.json").read_text())
    page.check()
    assert "720 of 720 published numbers" in text
    assert str(output) not in text
    macs = sum(int(row["macs"]) for row in rows_of(output) if row["variant"] == PLAIN)
    assert re.search(rf"12 layers, {macs / 1e6:.2f} million MACs\s+per cloud", text)
    variants, networks = results["designs"]["gating"], results["networks"]
    changes = [variants[BOTH][what] / variants[DENSE][what] - 1 for what in ("energy_uj", "cycles")]
    changes.append(networks["gmp-90"]["accuracy"] - networks["control"]["accuracy"])
    said = [float(number.split()[0].replace("\u2212", "-")) for number in page.numbers]
    assert said == pytest.approx([100 * change for change in changes], abs=0.0501)
    costs = {row[0]: row[1:] for row in page.table_of("design, variant")}
    for variant, found in variants.items():
        assert costs[f"gating, {variant}"][0] == f"{found['energy_uj']:.2f}"
        assert costs[f"gating, {variant}"][2] == f"{found['cycles']:,}"
    kept = {row[0]: row[3] for row in page.table_of("network")}
    assert kept == {name: f"{100 * network['accuracy']:.1f} %" for name, network in networks.items()}
    parts = [float(row[1]) for row in page.table_of("design, component")]
    assert sum(parts) == pytest.approx(variants[DENSE]["energy_uj"], abs=0.01)


def test_figures_are_in_the_report_and_in_files(output: Path) -> None:
    page = ReportPage((output / "report.html").read_text(encoding="utf-8"))
    drawn = {path.name: path.read_text(encoding="utf-8") for path in (output / "figures").iterdir()}
    assert len(drawn) == len(page.pictures) == len(set(page.pictures))
    assert {"answer-energy.svg", "answer-cycles.svg", "parts.svg", "accuracy.svg"} <= set(drawn)
    for svg in drawn.values():
        assert svg.startswith("<svg")
        assert "currentColor" in svg
        assert "prefers-color-scheme" in svg


def test_bars_span_single_clouds_and_none_that_were_not_counted(output: Path, plan: Plan) -> None:
    clouds = json.loads((output / "results.json").read_text())["clouds"]["gating"]
    assert set(clouds) == {DENSE, BOTH}
    for variant, found in clouds.items():
        assert len(found["cycles"]) == len(found["energy_uj"]) == plan.samples
        mean = json.loads((output / "results.json").read_text())["designs"]["gating"][variant]
        assert found["energy_uj"] == pytest.approx([mean["energy_uj"]] * plan.samples, rel=0.2)
        assert len(set(found["energy_uj"])) > 1
    low, high = cloud_costs.CloudCosts(**clouds[BOTH]).range_of("energy")
    assert min(clouds[BOTH]["energy_uj"]) <= low < high <= max(clouds[BOTH]["energy_uj"])


def test_a_cloud_costs_what_the_network_costs_with_its_densities() -> None:
    """Under the network's mappings; a layer that does not fit its mapping gets another one."""
    layers = [layer({"C": 64, "M": 16, "P": 8, "Q": 8}, Weights=0.5, Inputs=0.5, Outputs=0.4)]
    cost = study_costs.cost("onchip", layers)
    same, fewer = ([(0.5, 0.4)], [(0.2, 0.2)])
    found = cloud_costs.cloud_costs("onchip", layers, cost, [same, fewer])
    assert found.energy_uj[0] == pytest.approx(cost.energy_uj)
    assert found.cycles[0] == cost.cycles
    assert found.energy_uj[1] < cost.energy_uj
    full = layer({"C": 64, "M": 16, "P": 8, "Q": 8})
    tight = study_costs.cost("onchip", [layer(full.bounds, Inputs=0.02)]).layers[0].mapping
    planned = study_costs.cost("onchip", [full]).layers[0]
    assert study_costs.cost_under("onchip", full, tight).cycles >= planned.cycles
    assert study_costs.cost_under("onchip", full, None) == planned


def test_a_killed_study_goes_on_to_the_same_report(
    plan: Plan, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = study_costs.cost, []

    def killed(design: str, layers: Sequence[Layer], *rest: Any) -> NetworkCost:
        calls.append(design)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(design, layers, *rest)

    (tmp_path / "stages").mkdir()
    shutil.copytree(output / "reproduction", tmp_path / "reproduction")
    for stage in ("reproduction.json", "prime.json"):  # seconds each, and the same everywhere
        shutil.copy(output / "stages" / stage, tmp_path / "stages")
    monkeypatch.setattr(study_costs, "cost", killed)
    with pytest.raises(KeyboardInterrupt):
        run_study(plan, tmp_path, ("gating",), QUIET)
    assert not (tmp_path / "results.json").exists()
    monkeypatch.setattr(pruning_comparison, "compare", None)  # training again would fail
    monkeypatch.setattr("pointnet.study.run_study.reproduce", None)
    monkeypatch.setattr("pointnet.study.study_networks.write_trace", None)
    run_study(plan, tmp_path, ("gating",), QUIET)
    assert len(calls) == 3 + 4  # two were done, four of six are left
    for name in ("report.html", "results.json", "results.csv", "results.parquet"):
        assert (tmp_path / name).read_bytes() == (output / name).read_bytes()


def test_a_network_is_pruned_by_energy(
    plan: Plan, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gmp.energy.energy_monitor.load_hardware", lambda source: LinearHardware())
    monkeypatch.setattr(study_run, "_by_energy", lambda plan, designs: (plan.by_energy, "gating"))
    shutil.copytree(output, tmp_path, dirs_exist_ok=True)  # all but that network and its costs is there
    results = run_study(plan._replace(hardware="linear"), tmp_path, ("gating",), QUIET)
    plain, aware = results["networks"]["gmp-90"], results["networks"]["energy-90"]
    assert plain["sparsity"] == pytest.approx(aware["sparsity"], abs=1e-3)
    assert plain["weights_sha256"] != aware["weights_sha256"]
    assert results["designs"]["gating"]["energy-90"]["accuracy"] == aware["accuracy"]
    assert results["facts"]["hardware that energy-90 was pruned by"] == "linear"
    page = ReportPage((tmp_path / "report.html").read_text(encoding="utf-8"))
    page.check()
    found = results["designs"]["gating"]["energy-90"]
    saved = 1 - found["energy_uj"] / results["designs"]["gating"][DENSE]["energy_uj"]
    (row,) = (row for row in page.table_of("on gating") if row[0] == "energy-90")
    assert row[4:7] == [
        f"{found['energy_uj']:.2f}", f"{found['cycles']:,}",
        f"{100 * saved:.1f} %".replace("-", "\u2212"),
    ]  # fmt: skip
    assert set(results["clouds"]["gating"]) == {DENSE, BOTH, "energy-90"}
    before = ReportPage((output / "report.html").read_text(encoding="utf-8"))
    assert len(page.tables) == len(before.tables) + 2


def test_an_interrupt_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pointnet.study.run_study.run_study", interrupted)
    result = CliRunner().invoke(cli.cli, ["study", "-o", str(tmp_path)])
    assert result.exit_code != 0
    assert "stopped" in result.stderr


def test_checkpoints_of_another_format_are_no_obstacle(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are left where they are, and the networks trained beside them."""
    data = shapes(4, 2, 64)
    folder = training_folder(plan, data, Stages(tmp_path))
    assert folder == training_folder(plan, data, Stages(tmp_path))
    monkeypatch.setattr(checkpoint, "FORMAT", checkpoint.FORMAT + 1)
    assert folder != training_folder(plan, data, Stages(tmp_path))


def test_a_stopped_training_ends_the_comparison(plan: Plan, tmp_path: Path) -> None:
    data = shapes(4, 2, 64)
    started: list[Path] = []

    def stopped(settings: Settings, folder: Path) -> Training:
        started.append(folder)
        return Training(settings, data)  # as Ctrl-C before the first step leaves it

    with pytest.raises(KeyboardInterrupt):
        pruning_comparison.compare(plan.comparison, data, tmp_path, stopped)
    assert started == [tmp_path / "dense"]


# ---- stages


def test_a_stage_runs_again_only_if_something_changed(tmp_path: Path) -> None:
    calls: list[int] = []
    made = tmp_path / "made"

    def compute() -> dict[str, Any]:
        calls.append(1)
        made.touch()
        return {"values": (0.1, 2), "n": len(calls)}

    def run(inputs: Any) -> Any:
        return Stages(tmp_path / "stages").run("stage", inputs, compute, [made])

    assert run(1) == run(1) == {"values": [0.1, 2], "n": 1}
    assert run(2)["n"] == 2
    made.unlink()
    assert run(2)["n"] == 3
    (tmp_path / "stages" / "stage.json").write_bytes(b'{"key": "cut o')
    with pytest.warns(SparsimWarning, match=naming("stage.json")):
        assert run(2)["n"] == 4
    assert [path.name for path in (tmp_path / "stages").iterdir()] == ["stage.json"]
    made.write_text("edited")
    with pytest.warns(SparsimWarning, match="has changed since it was made"):
        assert run(2)["n"] == 5
    assert run(2)["n"] == 5
    path = tmp_path / "stages" / "stage.json"
    for wrong in (None, 5, ["a"]):  # in the right place, with the right result
        stamp, _, stage = path.read_text().partition("\n")
        path.write_text(stamp + "\n" + json.dumps(json.loads(stage) | {"made": wrong}))
        with pytest.warns(SparsimWarning, match="is damaged, the stage runs again"):
            run(2)


def test_flips_and_cuts_of_stage_files_never_change_a_result(tmp_path: Path) -> None:
    result = {"10": [0.1, 2], "9": "text", "nested": {"energy_uj": 12.5, "cycles": 100}}
    stages = Stages(tmp_path)
    assert stages.run("stage", 1, lambda: result) == result
    path = tmp_path / "stage.json"
    data, draw, told = path.read_bytes(), random.Random(3), 0
    for _ in range(300):
        spoiled = bytearray(data)
        for _ in range(draw.choice([1, 1, 3])):
            spoiled[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(spoiled if draw.random() < 0.9 else spoiled[: draw.randrange(len(data))])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert stages.run("stage", 1, lambda: result) == result
        told += len(caught)
    assert told > 100
    assert json.loads(path.read_bytes().partition(b"\n")[2])["result"] == result


def test_an_interrupted_stage_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Stages(tmp_path).run("stage", 1, interrupted)
    assert Stages(tmp_path).run("stage", 1, lambda: "done") == "done"


# ---- costs


def test_variants_show_the_zeros_that_they_name() -> None:
    control = layer({"C": 4, "M": 8}, Weights=1.0, Inputs=0.5, Outputs=0.6)
    pruned = layer({"C": 4, "M": 8}, Weights=0.1, Inputs=0.4, Outputs=0.7)
    found = study_costs.variants([control], [pruned])
    seen = {
        name: tuple(layers[0].density(tensor).density for tensor in ("Weights", "Inputs", "Outputs"))
        for name, layers in found.items()
    }
    assert seen == {
        PLAIN: (1.0, 1.0, 1.0),
        DENSE: (1.0, 0.5, 0.6),
        ACTIVATIONS: (1.0, 0.4, 0.7),
        WEIGHTS: (0.1, 1.0, 1.0),
        BOTH: (0.1, 0.4, 0.7),
    }


def test_a_chip_costs_what_its_planner_says() -> None:
    sparse = layer({"C": 64, "M": 640}, Weights=0.1, Inputs=0.5)
    found = study_costs.cost("eyeriss_v2", [sparse, sparse])
    planned = plan_layer(load_chip("eyeriss_v2"), sparse)
    assert found.cycles == 2 * planned.cycles
    assert found.energy_uj == pytest.approx(2 * (planned.chip_pj + planned.dram_pj) / 1e6)
    assert found.layers[0].energy_pj["DRAM"] == planned.dram_pj
    slots = 192 * 2 * planned.cycles  # PEs, MACs of each
    assert found.utilization == pytest.approx(0.1 * 0.5 * 64 * 640 / slots)  # pairs of nonzeros
    assert NetworkCost.of(json.loads(json.dumps(found.plain()))) == found
    assert found.macs == 2 * 64 * 640


def test_chips_have_error_bars_that_cancel_in_savings() -> None:
    control = [layer({"C": 64, "M": 10}, Inputs=0.5)] * 2
    pruned = [layer({"C": 64, "M": 10}, Weights=0.3, Inputs=0.5)] * 2
    costs = {
        name: study_costs.cost("eyeriss_v2", layers)
        for name, layers in study_costs.variants(control, pruned).items()
    }
    bars = design_error_bars("eyeriss_v2", costs)
    assert bars is not None
    assert set(bars.energy_uj) == set(bars.cycles) == set(costs)
    for variant, cost in costs.items():
        assert bars.energy_uj[variant].value == pytest.approx(cost.energy_uj)
        assert bars.energy_uj[variant].low < cost.energy_uj < bars.energy_uj[variant].high
        assert bars.cycles[variant].value == cost.cycles
    saved = bars.saved["energy"]
    assert saved.value == pytest.approx(1 - costs[BOTH].energy_uj / costs[DENSE].energy_uj)
    alone = bars.energy_uj[BOTH].plus * (1 - saved.value)
    assert 0 < saved.high - saved.value < alone
    assert design_error_bars("gating", costs) is None


def test_ctrl_c_while_mapping_leaves_no_cost(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The best mapping so far, with which the search ends, is no result of the study."""
    seen: list[Progress] = []

    def interrupt(progress: Progress) -> None:
        seen.append(progress)
        if progress.best is not None:
            raise KeyboardInterrupt

    dense = layer({"C": 64, "M": 64, "P": 64, "Q": 64})
    monkeypatch.setattr(accelerator_plan, "search_each", partial(search_each, progress=interrupt))
    with pytest.raises(KeyboardInterrupt):
        Stages(tmp_path).run("cost", 1, lambda: study_costs.cost("gating", [dense]).plain())
    assert seen[-1].best is not None
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(study_run, "search", partial(search, progress=interrupt))
    with pytest.raises(KeyboardInterrupt):
        study_run._primes()


def test_primes() -> None:
    composite = {a * b for a in range(2, 50) for b in range(2, 50)}
    assert [n for n in range(50) if study_costs.is_prime(n)] == [
        n for n in range(2, 50) if n not in composite
    ]
    assert study_costs.mapspace_of(layer({"C": 67})).divisibility == {"C": "imperfect"}
    assert study_costs.mapspace_of(layer({"C": 64})).divisibility == {}


costs = st.floats(0.01, 1e6)


@given(st.tuples(*[costs] * 5))
def test_shares_add_up(values: tuple[float, ...]) -> None:
    by_variant = dict(zip(VARIANTS, values, strict=True))
    found = saved(by_variant)
    dense, both = by_variant[DENSE], by_variant[BOTH]
    close = pytest.approx
    assert dense * (1 - found.weights - found.activations) == close(both, rel=1e-6, abs=1e-6 * max(values))
    together = found.plain_weights + found.plain_activations + found.plain_together
    left = by_variant[PLAIN] * (1 - together)
    assert left == close(both, rel=1e-6, abs=1e-6 * max(values))


def test_independent_savings_overlap() -> None:
    """Halves of halves: together they save less than the sum of the two."""
    found = saved({PLAIN: 100.0, DENSE: 50.0, ACTIVATIONS: 50.0, WEIGHTS: 50.0, BOTH: 25.0})
    assert found == (0.5, 0.5, 0.0, 0.75, 0.5, 0.5, -0.25)


# ---- bad input


@pytest.mark.parametrize("level", [0.0, -0.1, 0.04, 1.01, 90.0, math.nan])
def test_impossible_levels_are_refused_before_anything_is_done(
    level: float, plan: Plan, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=naming("level 0.05 1")):
        run_study(plan._replace(levels=(0.5, level)), tmp_path / "none", ("gating",), QUIET)
    assert not (tmp_path / "none").exists()


def test_missing_data_are_told_before_anything_is_done(plan: Plan, tmp_path: Path) -> None:
    missing = plan._replace(settings=replace(plan.settings, data=str(tmp_path / "clouds.npz")))
    with pytest.raises(DataError, match=r"clouds\.npz"):
        run_study(missing, tmp_path / "none", ("gating",), QUIET)
    assert not (tmp_path / "none").exists()


def test_unknown_designs_are_refused_before_training(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=naming("eyeris_v2 eyeriss_v2")):
        run_study(plan, tmp_path / "none", ("gating", "eyeris_v2"), QUIET)
    assert not (tmp_path / "none").exists()
    result = CliRunner().invoke(cli.cli, ["study", "--design", "gatin", "-o", str(tmp_path / "none")])
    assert isinstance(result.exception, ConfigError)
    assert not (tmp_path / "none").exists()
