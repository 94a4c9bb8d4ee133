"""The benchmarks run and write what scripts read."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace
from support.linear_cost import LinearCost
from support.programs import run_script

from gmp.tracing.trace import trace
from gmp.tracing.traced_workload import workload_of
from pointnet.model import PointNet2
from pointnet.original.published_runs import runs, study_mapspace
from pointnet.training.settings import Settings
from sparsim.files.sparsim_yaml import load_accelerator
from sparsim.files.timeloop.stats_writer import write_stats
from sparsim.files.timeloop_files import read_documents
from sparsim.mapper.search import search
from sparsim.model.evaluate import evaluate

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
import energy_pruning  # noqa: E402
import pruning_runs  # noqa: E402
import timeloop_programs  # noqa: E402

KEYS = {
    "batch_sparse_mappings_per_cpu_s", "batch_dense_mappings_per_cpu_s", "frozen_12_layers_us", "evaluate_ms",
    "model_process_s",
}  # fmt: skip
SAMPLING_KEYS = {
    "fps_speedup", "fps_stage_1_plain_s", "fps_stage_1_ours_s",
    "ball_query_speedup", "ball_query_stage_1_plain_s", "ball_query_stage_1_ours_s",
    "train_step_speedup", "train_step_plain_s", "train_step_ours_s",
}  # fmt: skip


def run_benchmark(name: str, tmp_path: Path, *options: str) -> dict[str, Any]:
    file = tmp_path / f"{name}.json"
    folders = {"PATH": str(tmp_path), "PYTHONPATH": str(ROOT)}  # no reference program in a test
    result = run_script(
        ROOT / "benchmarks" / f"{name}.py",
        "--quick",
        "--json",
        str(file),
        *options,
        XDG_CACHE_HOME=str(tmp_path),
        **folders,
    )
    assert result.returncode == 0, result.stderr
    numbers: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return numbers


SPARSE_KEYS = {"kernel_map_100k_cpu_s", "sparse_conv_speedup"}
MONITOR_KEYS = {"update_ms", "share_of_step", "measure_ms"}


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("evaluate", KEYS),
        ("sampling_speed", SAMPLING_KEYS),
        ("sparse_conv", SPARSE_KEYS),
        ("monitor_overhead", MONITOR_KEYS),
    ],
)
def test_a_benchmark_writes_its_numbers(name: str, keys: set[str], tmp_path: Path) -> None:
    numbers = run_benchmark(name, tmp_path)
    assert set(numbers) >= {*keys, "machine"}
    assert all(numbers[key] > 0 for key in keys)


def test_machines_are_compared_with_what_is_published(tmp_path: Path) -> None:
    file = tmp_path / "machines.json"
    found = run_script(ROOT / "benchmarks" / "machines.py", "--json", str(file), PYTHONPATH=str(ROOT))
    assert found.returncode == 0, found.stderr
    numbers = json.loads(file.read_text(encoding="utf-8"))
    assert numbers["eie_mean_error"] <= 0.05
    assert numbers["eie_worst_error"] <= 0.12
    assert numbers["eie_closed_form_worst_difference"] <= 0.01
    assert len(numbers["eie_layers"]) == 9


def test_devices_are_measured_beside_the_cpu(tmp_path: Path) -> None:
    rows = run_benchmark("devices", tmp_path)["rows"]
    assert rows[0]["device"] == "cpu"
    assert all(row["neighbours"] == row["masks"] == 0 for row in rows)
    assert all(row[key] > 0 for row in rows for key in ("group", "step", "prune", "update"))


def test_a_row_of_networks_says_what_is_covered(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    script = ROOT / "benchmarks" / "network_table.py"
    found = run_script(script, "--rows", str(rows), "--only", "shared weights", PYTHONPATH=str(ROOT))
    assert found.returncode == 0, found.stderr
    row = json.loads(rows.read_text(encoding="utf-8"))
    assert "failures" not in row
    assert row["covered_macs"] == 1.0
    assert row["workload_macs"] == row["macs"]
    assert row["resumes"]
    assert min(row[f"{key}_uj"] for key in ("eyeriss_v2", "timeloop")) > 0


def test_the_mapper_is_never_worse_than_the_study_and_proves_it(tmp_path: Path) -> None:
    numbers = run_benchmark("mapper", tmp_path)
    assert numbers["problems"] == numbers["certified"] == len(numbers["layers"]) == 12
    assert numbers["worse_than_published"] == 0
    assert numbers["scored_per_cpu_s"] > 0
    assert numbers["rejected_per_cpu_s"] > 0
    assert numbers["cpu_s_12_layers"].keys() == {"on-chip sparse"}
    for layer in numbers["layers"]:
        published, ours = layer["published"], layer["ours"]
        assert (ours["cycles"], ours["energy_pj"]) <= (published["cycles"], published["energy_pj"])
    assert {row["tool"] for row in numbers["peers"]} == {"sparsim, timeloop-3", "sparsim, count-drains"}
    assert len(numbers["missing_peers"]) == 3


def test_a_prime_dim_costs_less_with_padding_and_least_with_imperfect_factors(tmp_path: Path) -> None:
    (row,) = run_benchmark("factor_policies", tmp_path)["rows"]
    perfect, padded, imperfect = (row[policy] for policy in ("perfect", "padded", "imperfect"))
    assert row["bound"] == perfect["covered"] == 131
    assert {one["certificate"] for one in (perfect, padded, imperfect)} == {"optimal"}
    assert max(padded["cycles"], imperfect["cycles"]) < perfect["cycles"]
    assert imperfect["energy_pj"] < padded["energy_pj"] < perfect["energy_pj"]
    assert padded["covered"] > 131
    assert padded["padding"] == pytest.approx(1 - 131 / padded["covered"])


def test_a_free_dataflow_is_no_worse_and_near_its_bound(tmp_path: Path) -> None:
    numbers = run_benchmark("free_dataflow", tmp_path)
    assert [row["objective"] for row in numbers["totals"]] == [["delay", "energy"], ["energy"], ["edp"]]
    for row in numbers["totals"]:
        assert row["layers"] == 3
        assert row["largest_gap"] < 0.1
        assert row["free_cycles"] <= row["study_cycles"] or row["objective"] == ["energy"]
        assert row["free_energy_pj"] < 1.01 * row["study_energy_pj"]


def test_layers_of_networks_have_certificates(tmp_path: Path) -> None:
    numbers = run_benchmark("free_dataflow", tmp_path, "--set", "networks")
    rows = numbers["layers"]
    assert numbers["problems"] == len(rows) == 4
    assert [row["layer"] for row in rows] == ["conv5", "conv5", "fc", "fc"]
    assert numbers["certified"] == sum(row["certificate"] == "optimal" for row in rows) >= 2
    assert numbers["worst_gap"] == max(row["gap"] for row in rows) < 0.5
    assert numbers["cpu_s_per_problem"] > 0


def test_timeloops_mapper_is_given_the_studys_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the program: ours, from the documents that it would get."""
    run = [r for r in runs() if r[:2] == ("onchip", "sparse")][-1]
    accelerator = replace(load_accelerator("eyeriss_like_onchip"), mapspace=study_mapspace())
    expected = search(accelerator, run.layer, objective=("delay", "energy"))

    def program(command: list[str]) -> SimpleNamespace:
        folder = Path(command[-1])
        read = read_documents(command[1:-2], for_search=True)
        found = search(read.accelerator, read.layer(), objective=read.mapper.metrics)
        assert (found.sizes, found.best) == (expected.sizes, expected.best)
        stats = write_stats(evaluate(read.accelerator, read.layer(), found.best))
        (folder / "timeloop-mapper.stats.txt").write_text(stats, encoding="utf-8")
        return SimpleNamespace(cpu_s=1.5)

    monkeypatch.setattr(timeloop_programs.shutil, "which", lambda name: name)
    monkeypatch.setattr(timeloop_programs, "run_process", program)
    (layer,), (line,) = timeloop_programs.compare_search([(accelerator, run.layer, run.mapping)])
    assert (layer["cycles"], layer["cpu_s"]) == (expected.cycles, 1.5)
    assert layer["energy_uj"] == pytest.approx(expected.energy_pj / 1e6, abs=0.005)
    assert "1 layers: 1.5 CPU seconds" in line


@pytest.mark.filterwarnings("ignore::gmp.errors.PruningWarning")  # few steps empty a layer
def test_energy_pruning_from_training_to_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few clouds and steps; in place of the chip a cost that is quick to make."""

    def linear(plan: energy_pruning.Plan, example: Any) -> LinearCost:
        model = PointNet2(Settings().network(10))
        return LinearCost(workload_of(trace(model, [example[:2]]), name="net", batch=1).layers)

    monkeypatch.setattr(energy_pruning, "cost_of", linear)
    magnitude, aware = energy_pruning.MAGNITUDE, energy_pruning.AWARE
    plan = energy_pruning.Plan(
        Settings(epochs=1, pool=512), 1, sparsities={magnitude: (0.9, 0.95), aware: (0.9, 0.95)}, seeds=(0,),
        clouds=100, first=0.9,
    )  # fmt: skip
    rows = energy_pruning.run_seed(plan, 0)
    by = {(row.method, round(row.sparsity, 2)): row for row in rows}
    assert list(by)[:5] == [("control", 0), (magnitude, 0.9), (magnitude, 0.95), (aware, 0.9), (aware, 0.95)]
    assert by[aware, 0.9].energy_pj < by[magnitude, 0.9].energy_pj
    assert rows[-1].energy_pj <= 1.1 * by[magnitude, 0.95].energy_pj  # activations changed in training since
    (saved,) = energy_pruning.saved(rows, aware, energy_pruning.at_sparsity)
    assert saved == pytest.approx(1 - by[aware, 0.9].energy_pj / by[magnitude, 0.9].energy_pj)
    assert len(energy_pruning.run_table(rows).rows) == len(rows)
    assert energy_pruning.comparison_table(plan, rows).rows[0][1] == f"{saved:.1%} ± 0.0%"
    assert len(energy_pruning.density_table(plan, rows, ["layer"]).head) == 4


def test_energies_and_accuracies_between_those_that_were_measured() -> None:
    def row(accuracy: float, energy: float) -> energy_pruning.Row:
        return energy_pruning.Row(0, "magnitude", 0.9, accuracy, energy, 1.0, [], 0.0)

    curve = [row(0.9, 400.0), row(0.8, 100.0)]
    assert energy_pruning.at_energy(curve, 200.0) == pytest.approx(0.85)
    assert energy_pruning.at_accuracy(curve, 0.85) == pytest.approx(200.0)
    assert energy_pruning.at_energy(curve, 99.0) is energy_pruning.at_accuracy(curve, 0.91) is None
    assert energy_pruning.spread([1.0, None, 3.0], "{:.1f}".format) == "2.0 ± 1.4 (2 of 3)"


def test_runs_of_pruning_methods_are_averaged_over_seeds() -> None:
    made = [
        pruning_runs.Run(method, seed, sparsity, 1000 * (seed + 1), right, 200, 10.0, 1.0, 20.0)
        for method, sparsity, rights in (("magnitude", 0.95, (150, 170)), ("channels", 0.0, (180, 180)))
        for seed, right in enumerate(rights)
    ]
    costs = [pruning_runs.Costs(1e6 * (i + 1), 100.0 * (i + 1)) for i in range(len(made))]
    table = pruning_runs.run_table(made, costs)
    assert [row[0] for row in table.rows] == ["magnitude", "channels"]
    assert [tuple(row[1:5]) for row in table.rows] == [("95.0", "1.5", 2, "80.0"), ("0.0", "1.5", 2, "90.0")]
    assert [tuple(row[6:9]) for row in table.rows] == [
        ("75.0 to 85.0", "1.5", "150"), ("90.0 to 90.0", "3.5", "350")
    ]  # fmt: skip
    assert set(pruning_runs.SCANNING) | set(pruning_runs.SEARCHES) < set(pruning_runs.METHODS)
