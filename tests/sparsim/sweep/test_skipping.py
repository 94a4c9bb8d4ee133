"""Points that bounds rule out: the front is that of brute force, whatever is skipped."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.stub_sweeps import InlineWorkers, StubEvaluator, run_stub, stub_space, table_bytes

from sparsim.sweep.dominance import most_promising
from sparsim.sweep.sweep_row import Point

OBJECTIVES = ("energy", "cycles", "area", "edp", "share")


def brute_force(
    points: list[Point], evaluator: StubEvaluator, objectives: dict[str, str], limit: str
) -> set[int]:
    """The numbers of the points on the front, every point being evaluated with the largest budget."""
    found = {}
    for i, point in enumerate(points):
        row = evaluator.evaluate(point, 1)
        names = {**row.metrics, "energy": row.metrics.get("energy_pj"), "area": row.metrics.get("area_mm2")}
        if evaluator.bound(point).status == "infeasible" or row.status != "ok":
            continue
        if limit and not eval(limit, {}, {**names, **point}):
            continue
        found[i] = [
            0.5 if name == "share" else (-1 if way == "max" else 1) * row.metrics[name]
            for name, way in objectives.items()
        ]
    return {
        i for i, mine in found.items()
        if not any(all(a <= b for a, b in zip(o, mine, strict=True)) and o != mine for o in found.values())
    }  # fmt: skip


@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 9)), tightness=st.floats(0.0, 1.0),
    levels=st.integers(1, 30), open_share=st.sampled_from([0.0, 0.5]), seed=st.integers(0, 99),
    objectives=st.lists(st.sampled_from(OBJECTIVES), min_size=1, max_size=4, unique=True),
    limit=st.sampled_from(["", "energy <= 9", "area <= 8", "cycles * bits < 20"]),
)  # fmt: skip
def test_fronts_of_random_spaces(
    sizes: tuple[int, int], tightness: float, levels: int, open_share: float, seed: int,
    objectives: list[str], limit: str,
) -> None:  # fmt: skip
    axes = {
        "glb": {"path": "architecture.shared_glb.size_words", "values": [seed + i for i in range(sizes[0])]},
        "bits": {"path": "architecture.ifmap_spad.size_words", "range": [1, sizes[1]]},
    }
    fields = {
        "objectives": objectives,
        "limits": [limit] if limit else [],
        "search": {"evaluations": [10, 100]},
    }
    space = stub_space(axes, **fields)
    evaluator = StubEvaluator(tightness=tightness, levels=levels, open_share=open_share)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        workers = InlineWorkers(evaluator)
        patch.setattr("sparsim.sweep.sweep_loop.LocalWorkers", lambda *_: workers)
        result = run_stub(Path(folder) / "a", space, evaluator)
        rows = result.table.to_pylist()
        points = [{name: row[name] for name in ("glb", "bits", "workload")} for row in rows]
        front = brute_force(points, evaluator, space.study.objectives, limit)
        assert {row["point"] for row in rows if row["on_front"]} == front
        assert result.summary["certificate"]["kind"] == ("exact" if front else "empty")
        # Whatever was evaluated, in whatever order: the same points are dominated.
        run_stub(Path(folder) / "b", stub_space(axes, **fields, skip_dominated=False), evaluator)
        for path in (Path(folder) / "b").glob("*.*"):
            path.unlink()
        run_stub(Path(folder) / "b", space, evaluator)
        assert table_bytes(Path(folder) / "b") == table_bytes(Path(folder) / "a")
        patch.setattr(
            "sparsim.sweep.sweep_loop.most_promising",
            lambda best: np.random.default_rng(seed).permutation(len(best)),
        )
        run_stub(Path(folder) / "c", space, evaluator)
        assert table_bytes(Path(folder) / "c") == table_bytes(Path(folder) / "a")


def test_tight_bounds_save_most_evaluations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    axes = {
        "glb": {"path": "architecture.shared_glb.size_words", "range": [1, 40]},
        "bits": {"path": "architecture.ifmap_spad.size_words", "range": [1, 40]},
    }
    evaluator = StubEvaluator(tightness=0.8, levels=1000, seconds=0.0)
    workers = InlineWorkers(evaluator)
    monkeypatch.setattr("sparsim.sweep.sweep_loop.LocalWorkers", lambda *_: workers)
    monkeypatch.setattr("sparsim.sweep.dispatch.MOST_POINTS", 1)
    result = run_stub(tmp_path, stub_space(axes), evaluator)
    counts = result.summary["counts"]
    assert counts["dominated"] > 1300
    assert counts["dominated"] >= result.summary["evaluations_saved"] > 1250
    assert len(workers.evaluated) < 100


def test_objectives_without_bounds_skip_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = InlineWorkers(StubEvaluator())
    monkeypatch.setattr("sparsim.sweep.sweep_loop.LocalWorkers", lambda *_: workers)
    result = run_stub(tmp_path, stub_space(objectives=["energy", "gap"]))
    assert result.summary["counts"]["dominated"] == 0
    assert not result.summary["certificate"]["skipped_by_proof"]
    assert len(workers.evaluated) == 48


def test_points_on_the_front_of_the_bounds_come_first() -> None:
    bounds = np.array([[3.0, 3.0], [1.0, 2.0], [4.0, 4.0], [2.0, 1.0]])
    assert set(most_promising(bounds)[:2].tolist()) == {1, 3}
    assert most_promising(bounds)[2:].tolist() == [0, 2]
