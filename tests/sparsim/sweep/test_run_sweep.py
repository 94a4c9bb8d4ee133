"""Sweeps of a stub: nothing is lost, and results depend on nothing but the study."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.stub_sweeps import AXES, StubEvaluator, run_stub, stub_space, table_bytes

from sparsim.errors import SparsimError, SpecError
from sparsim.sweep import SweepResult, merge
from sparsim.sweep.row_store import SUFFIX
from sparsim.sweep.run_options import Options
from sparsim.sweep.run_sweep import listing
from sparsim.sweep.sweep_row import Point, Row
from sparsim.sweep.worker_process import WorkerDeathError, WorkerProcess, start_message

BUDGETS = {"evaluations": [10, 100]}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    run_stub(out, jobs=1)
    return out


def test_rows_of_a_table(undisturbed: Path) -> None:
    result = SweepResult(undisturbed)
    rows = result.table.to_pylist()
    evaluator = StubEvaluator()
    assert [row["point"] for row in rows] == list(range(48))
    assert {row["status"] for row in rows} == {"ok", "dominated", "infeasible"}
    for row in rows:
        point = {name: row[name] for name in ("glb", "bits", "workload")}
        expected = evaluator.evaluate(point)
        if row["status"] == "ok":
            assert row["energy_pj"] == expected.metrics["energy_pj"] == row["component_pj.glb"]
            assert row["bound_energy_pj"] <= row["energy_pj"]
        elif row["status"] == "dominated":
            assert row["energy_pj"] is None
            assert row["area_mm2"] == evaluator.metrics(point)["area_mm2"]
        assert row["share"] == 0.5
    assert result.front().num_rows == result.summary["on_front"] > 0
    assert result.summary["certificate"]["kind"] == "exact"
    assert result.frame()["on_front"].sum() == result.summary["on_front"]


def test_a_finished_sweep_is_found_again(undisturbed: Path) -> None:
    before = (undisturbed / "sweep.json").stat().st_mtime_ns
    run_stub(undisturbed, jobs=1)
    assert (undisturbed / "sweep.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("jobs", [2, 8])
def test_numbers_of_workers_give_equal_tables(tmp_path: Path, undisturbed: Path, jobs: int) -> None:
    run_stub(tmp_path, jobs=jobs)
    assert table_bytes(tmp_path) == table_bytes(undisturbed)


def test_shards_give_the_same_table(tmp_path: Path, undisturbed: Path) -> None:
    """Two in folders of their own, and one with the merged rows."""
    folders = [tmp_path / "a", tmp_path / "b", tmp_path / "all"]
    for i, folder in enumerate(folders):
        assert run_stub(folder, jobs=1, shard=(i + 1, 3)) is None
    result = merge(folders, tmp_path / "all", evaluator=StubEvaluator())
    assert table_bytes(tmp_path / "all") == table_bytes(undisturbed)
    assert result.summary["complete"]


def test_a_cluster_gives_the_same_table(tmp_path: Path, undisturbed: Path) -> None:
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True, silence_logs=50
    )
    with cluster, distributed.Client(cluster) as client:
        run_stub(tmp_path / "a", client=client)
        space = stub_space(seconds_per_point=1.0, skip_dominated=False)
        bad = run_stub(tmp_path / "b", space, StubEvaluator({(2, 2): "exit", (3, 3): "raise"}), client=client)
    assert table_bytes(tmp_path / "a") == table_bytes(undisturbed)
    assert {(row["glb"], row["bits"]) for row in bad.failures().to_pylist()} == {(2, 2), (3, 3)}


def test_only_points_that_end_their_worker_fail(tmp_path: Path) -> None:
    faults = {
        (1, 1): "raise",
        (2, 2): "exit",
        (4, 4): "kill",
        (5, 5): "hang",
        (6, 6): "stuck",
        (7, 1): "quit",
    }
    space = stub_space(seconds_per_point=0.5, skip_dominated=False)
    good = run_stub(tmp_path / "good", space, jobs=2).table.to_pylist()
    result = run_stub(tmp_path / "bad", space, StubEvaluator(faults), jobs=2)
    for expected, row in zip(good, result.table.to_pylist(), strict=True):
        if (row["glb"], row["bits"]) in faults:
            assert row["status"] == "failed"
            assert row["reason"].startswith(f"glb={row['glb']}, bits={row['bits']}, workload=a: ")
            assert row["energy_pj"] is None
        else:
            assert {**row, "on_front": None} == {**expected, "on_front": None}
    assert result.summary["certificate"]["kind"] == "open"
    assert not result.summary["complete"]
    again = run_stub(tmp_path / "bad", space, jobs=1)  # failed points are not tried again by themselves
    assert again.summary["counts"]["failed"] == len(faults)
    run_stub(tmp_path / "bad", space, jobs=1, retry_failed=True)
    assert table_bytes(tmp_path / "bad") == table_bytes(tmp_path / "good")


def test_one_more_value_costs_its_points_only(tmp_path: Path, undisturbed: Path) -> None:
    seen: list[Point] = []
    axes = {**AXES, "glb": {**AXES["glb"], "range": [1, 5]}}
    fields = {"skip_dominated": False}
    run_stub(tmp_path, stub_space(axes, **fields), jobs=1)
    run_stub(tmp_path, stub_space(**fields), jobs=1, on_row=lambda point, row: seen.append(point))
    assert sorted({point["glb"] for point in seen}) == [6, 7, 8]
    assert len(seen) == 18


def test_studies_share_a_cache(tmp_path: Path) -> None:
    seen: list[Row] = []
    for name in ("a", "b"):
        run_stub(
            tmp_path / name, stub_space(name=name), jobs=1, cache=tmp_path / "cache",
            on_row=lambda point, row: seen.append(row),
        )  # fmt: skip
        if name == "a":
            number = len(seen)
    assert len(seen) == number
    assert table_bytes(tmp_path / "a") == table_bytes(tmp_path / "b")


def test_damaged_rows_are_computed_again(tmp_path: Path) -> None:
    space = stub_space(skip_dominated=False)
    run_stub(tmp_path, space, jobs=1)
    before = table_bytes(tmp_path)
    (part,) = (tmp_path / "rows").glob(f"*{SUFFIX}")
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    (tmp_path / "sweep.json").unlink()
    seen: list[Row] = []
    with pytest.warns(Warning, match="damaged"):
        run_stub(tmp_path, space, jobs=1, on_row=lambda point, row: seen.append(row))
    assert len(seen) == 1
    assert table_bytes(tmp_path) == before


PROGRAM = """
import sys
from pathlib import Path
from support.stub_sweeps import StubEvaluator, run_stub, stub_space
run_stub(Path(sys.argv[1]), evaluator=StubEvaluator(seconds=float(sys.argv[2]), open_share=0.5), jobs=2,
         space=stub_space(search={"evaluations": [10, 100]}))
"""


def kill_and_resume(out: Path, moments: list[float], expected: bytes, seconds: float) -> None:
    """Kill the parent after each of the moments, and every other time a worker before; then end the sweep."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for i, moment in enumerate(moments):
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(out), str(seconds)], env=environment)
        time.sleep(moment)
        if i % 2:
            for child in children(process.pid)[:1]:
                os.kill(child, signal.SIGKILL)
            time.sleep(0.2)
        process.kill()
        process.wait()
    run_stub(out, stub_space(search=BUDGETS), StubEvaluator(open_share=0.5), jobs=2)
    assert table_bytes(out) == expected


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        return [int(child) for child in found.read_text().split()]
    except OSError:
        return []


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="processes are found in /proc")
def test_killed_sweeps_go_on(tmp_path: Path) -> None:
    """Moments are spread over a run, from before the first row on."""
    space = stub_space(search=BUDGETS)
    run_stub(tmp_path / "good", space, StubEvaluator(open_share=0.5), jobs=1)
    kill_and_resume(tmp_path / "bad", [0.8, 1.0, 1.2, 1.4, 1.6], table_bytes(tmp_path / "good"), 0.1)


def test_ctrl_c_keeps_what_is_finished(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path), "0.2"], env=environment, stderr=subprocess.PIPE
    )
    rows = tmp_path / "rows"
    deadline = time.monotonic() + 60
    while not list(rows.glob(f"*{SUFFIX}")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert said.count(b"KeyboardInterrupt") >= 1
    summary = SweepResult(tmp_path).summary
    assert not summary["complete"]


def test_time_is_limited(tmp_path: Path) -> None:
    space = stub_space(skip_dominated=False)
    result = run_stub(tmp_path, space, StubEvaluator(seconds=0.2), jobs=1, limit_s=2.0)
    assert result.summary["counts"]["pending"] > 0
    assert result.summary["certificate"]["kind"] == "unfinished"


def test_filters_and_limits_are_reasons(tmp_path: Path) -> None:
    space = stub_space(filters=["glb != 2"], limits=["energy <= 10", "area <= 11", "bits < 6"])
    result = run_stub(tmp_path, space, jobs=1)
    rows = result.table.to_pylist()
    reasons = {row["reason"] for row in rows if row["status"] == "infeasible"}
    assert {"filter: glb != 2", "limit: area <= 11", "limit: bits < 6"} <= reasons
    assert result.summary["refused_by_filters"] == 6
    for row in rows:
        if row["on_front"]:
            assert row["energy_pj"] <= 10
        if row["reason"] == "limit: energy <= 10":
            assert row["energy_pj"] > 10
    _, points, left, skips = listing(space, tmp_path, Options(evaluator=StubEvaluator()))
    assert len(points) == 48
    assert len(left) >= result.summary["evaluations_saved"]
    assert skips


def test_objectives_that_points_lack_are_refused(tmp_path: Path) -> None:
    for fields in (
        {"objectives": ["inferences_per_s"]},
        {"objectives": ["gap"], "search": {"mappings": "base"}},
        {"limits": ["throughput > 3"]},
    ):
        with pytest.raises(SpecError):
            run_stub(tmp_path, stub_space(**fields))
    for axes in ({"status": AXES["glb"]}, {"component_pj.x": AXES["glb"]}):
        with pytest.raises(SpecError):
            run_stub(tmp_path, stub_space(axes))
    for options in ({"jobs": 0}, {"shard": (3, 2)}, {"shard": (0, 2)}):
        with pytest.raises(SpecError):
            run_stub(tmp_path, **options)
    assert not (tmp_path / "results.parquet").exists()


class Generations:
    """Asks for the neighbours of the best point so far, some points twice, and records what it is told."""

    is_adaptive = True

    def __init__(self) -> None:
        self.best, self.left, self.told = (1, 1), 4, []

    def ask(self, n: int) -> list[Point]:
        self.left -= 1
        glb, bits = self.best
        near = [(glb + i, bits + j) for i in range(3) for j in range(3) if glb + i <= 8 and bits + j <= 6]
        self.asked = [{"glb": g, "bits": b, "workload": "a"} for g, b in [*near, near[0]]]
        return self.asked if self.left else []

    def tell(self, rows: list[Row]) -> None:
        assert len(rows) == len(self.asked)
        self.told += rows
        found = [(row.metrics["energy_pj"], i) for i, row in enumerate(rows) if row.status == "ok"]
        self.best = tuple(self.asked[min(found)[1]][name] for name in ("glb", "bits"))


def test_adaptive_samplers_are_told_whole_generations(tmp_path: Path) -> None:
    space = stub_space(search=BUDGETS, limits=["cycles < 12"], filters=["glb * bits != 4"])
    told = []
    for jobs in (1, 3):
        sampler = Generations()
        run_stub(tmp_path / str(jobs), space, StubEvaluator(open_share=0.5), jobs=jobs, sampler=sampler)
        told.append(sampler.told)
    assert told[0] == told[1]
    assert {row.reason for row in told[0]} >= {"filter: glb * bits != 4", "limit: cycles < 12"}
    assert all(row.metrics["gap"] == 0.0 for row in told[0] if row.status == "ok")
    assert table_bytes(tmp_path / "1") == table_bytes(tmp_path / "3")
    points = [(row["glb"], row["bits"]) for row in SweepResult(tmp_path / "1").table.to_pylist()]
    assert len(points) == len(set(points)) < len(told[0])
    with pytest.raises(SpecError):
        run_stub(tmp_path / "4", space, sampler=Generations(), shard=(1, 2))


def test_evaluators_that_cannot_be_sent_are_refused(tmp_path: Path) -> None:
    class Local(StubEvaluator):
        pass

    with pytest.raises(SparsimError):
        run_stub(tmp_path, evaluator=Local())


def test_a_worker_that_is_ended_while_it_starts_leaves_no_process() -> None:
    worker = WorkerProcess(start_message(StubEvaluator(), None))
    worker.end()
    with pytest.raises(WorkerDeathError):
        worker.run(b"")
    assert worker._process is None
