"""Points of sweeps cost what the model says of their designs, and keys say what results depend on."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from support.documents import DOCUMENTS, write_documents

from sparsim import evaluate, load_accelerator, load_hardware, load_workload, macs
from sparsim.errors import SparsimWarning, SpecError
from sparsim.estimate.accelerator_energy import resolved_energy
from sparsim.files.sparsim_yaml import dump
from sparsim.files.timeloop_files import read_documents
from sparsim.records import Mapping, Mapspace
from sparsim.sweep import design_space_loading
from sparsim.sweep.axes import grid
from sparsim.sweep.design_records import read_records
from sparsim.sweep.design_space import DesignSpace
from sparsim.sweep.design_space_loading import load_design_space
from sparsim.sweep.point_evaluation import PointEvaluator
from sparsim.sweep.study_files import load_study, study_names, study_of

LAYER = "fc3"
FIXED = {
    "name": "fixed",
    "base": "eyeriss_like_onchip",
    "workloads": {"net": {"source": "pointnet2_study_sparse", "layers": [LAYER, "fc2"]}},
    "constant_energies": True,
    "axes": {
        "dram": {"path": "energy.actions.DRAM.read", "values": [100.0, 512.0]},
        "words": {"path": "architecture.psum_spad.size_words", "values": [112, 224]},
        "bandwidth": {"path": "shared_glb.read_bandwidth", "values": [2.0, 16.0]},
    },
    "search": {"mappings": "base", "method": "random", "evaluations": 20},
    "objectives": ["energy", "cycles"],
}


@pytest.fixture(scope="module")
def fixed() -> PointEvaluator:
    return PointEvaluator(load_design_space(study_of(FIXED)))


def test_fixed_mappings_cost_what_evaluate_says(fixed: PointEvaluator) -> None:
    space = fixed.space
    mappings = fixed._mappings["net"]
    sent = pickle.loads(pickle.dumps(fixed))
    for point in grid(space.axes):
        row = sent.evaluate(point)
        accelerator = space.hardware(point).accelerator
        found = [
            evaluate(accelerator, layer, m)
            for layer, m in zip(space.network(point).layers, mappings, strict=True)
        ]
        assert row.status == "ok", row.reason
        assert row.metrics["energy_pj"] == pytest.approx(sum(e.energy_pj for e in found), rel=1e-12)
        assert row.metrics["cycles"] == sum(e.cycles for e in found)
        busy = sum(e.utilization * e.cycles for e in found)
        assert row.metrics["utilization"] == pytest.approx(busy / row.metrics["cycles"])
        assert math.fsum(row.components.values()) == pytest.approx(row.metrics["energy_pj"])
        number = sum(map(macs, space.network(point).layers))
        assert row.metrics["pj_per_mac"] == pytest.approx(row.metrics["energy_pj"] / number)
    assert len({fixed.evaluate(point).metrics["energy_pj"] for point in grid(space.axes)}) > 1


def test_designs_that_do_not_hold_a_mapping_are_infeasible() -> None:
    axes = {"words": {"path": "architecture.psum_spad.size_words", "values": [1, 224]}}
    space = load_design_space(study_of(FIXED | {"axes": axes}))
    small, large = map(PointEvaluator(space).evaluate, grid(space.axes))
    assert small.status == "infeasible"
    assert "psum_spad" in small.reason
    assert large.status == "ok"


def test_mapspaces_beside_fixed_mappings_have_no_effect_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    axis = {"path": "mapspace.most_padding", "values": [0.1, 0.2]}
    study = study_of(FIXED | {"base": "eyeriss_like_onchip", "axes": {"padding": axis}})
    mapspace = {"mapspace": Mapspace()}
    base = read_records("eyeriss_like_onchip") | mapspace
    monkeypatch.setattr(design_space_loading, "read_records", lambda *_: base)
    with pytest.warns(SparsimWarning, match=r"axes\.padding"):
        load_design_space(study)


def test_an_axis_that_changes_nothing_is_warned_of_with_a_path_that_would() -> None:
    with pytest.warns(SparsimWarning, match=r"axes\.depth.*shared_glb\.depth"):
        load_design_space(study_of(FIXED | {"axes": {"depth": [1, 2]}}))


def test_later_records_of_a_base_replace_earlier_ones(tmp_path: Path) -> None:
    table = read_records("eyeriss_like_onchip")["energy"]
    dearer = replace(table, name="dearer")
    (tmp_path / "energy.yaml").write_text(dump(dearer))
    names = ("eyeriss_like_onchip", str(tmp_path / "energy.yaml"))
    assert read_records(names)["energy"] == dearer
    assert read_records(names[::-1])["energy"] == table


def test_what_a_sweep_does_not_use_of_its_base_is_said(tmp_path: Path) -> None:
    (tmp_path / "mapping.yaml").write_text(dump(Mapping(levels=())))
    with pytest.warns(SparsimWarning, match="mapping is not used"):
        read_records(("eyeriss_like_onchip", str(tmp_path / "mapping.yaml")))


def test_values_for_templates_reach_the_documents_of_the_base(tmp_path: Path) -> None:
    files = write_documents(tmp_path, DOCUMENTS)
    template = DOCUMENTS["arch.yaml"].replace("meshX: 4", "meshX: {{ columns }}")  # twice
    assert template != DOCUMENTS["arch.yaml"]
    (tmp_path / "arch.yaml").write_text(template)
    base = tuple(str(file) for file in files if file.name in ("arch.yaml", "problem.yaml"))
    content = {
        "base": base, "workloads": {"net": "base"}, "template_data": {"columns": 4},
        "axes": {"words": {"path": "GLB.size_words", "values": [64, 128]}}, "constant_energies": True,
        "objectives": ["energy", "cycles"],
    }  # fmt: skip
    space = load_design_space(study_of(content))
    plain = read_documents(write_documents(tmp_path, DOCUMENTS))
    assert space.base["architecture"] == plain.architecture


def test_searched_mappings_are_bounded_and_equal_the_hardwares() -> None:
    axes = {"rows": {"path": "ifmap_spad.mesh_y", "values": [6, 12]}}
    search = {"evaluations": 50, "method": "random"}
    space = load_design_space(study_of(FIXED | {"axes": axes, "search": search, "seed": 3}))
    for point in grid(space.axes):
        evaluator = PointEvaluator(space)
        row, bound = evaluator.evaluate(point), evaluator.bound(point)
        cost = space.hardware(point).cost(
            space.network(point).layers, evaluations=50, method="random", seed=3
        )
        assert row.metrics["energy_pj"] == cost.energy_pj
        assert row.metrics["cycles"] == cost.cycles
        assert 0 < row.metrics["gap"] < 1
        assert bound.status == "bound"
        assert 0 < bound.bounds["energy_pj"] <= row.metrics["energy_pj"]
        assert 0 < bound.bounds["cycles"] <= row.metrics["cycles"]
        assert bound.metrics["area_mm2"] == row.metrics["area_mm2"]


def _space(**changes: object) -> DesignSpace:
    return load_design_space(study_of(FIXED | changes))


def test_keys_depend_on_what_results_depend_on() -> None:
    first = _space()
    keys = [first.key(point) for point in grid(first.axes)]
    assert len(set(keys)) == len(keys) == 8
    renamed = {f"my_{name}": axis for name, axis in FIXED["axes"].items()}  # type: ignore[attr-defined]
    second = _space(axes=renamed, name="other", objectives=["edp"], limits=["area_mm2 < 3"])
    assert [second.key(point) for point in grid(second.axes)] == keys
    fewer = _space(axes={k: v for k, v in FIXED["axes"].items() if k != "dram"})  # type: ignore[attr-defined]
    assert not set(keys) & {fewer.key(point) for point in grid(fewer.axes)}
    for change in ({"seed": 1}, {"search": FIXED["search"] | {"evaluations": 21}}, {"clock_mhz": 100.0}):  # type: ignore[operator]
        other = _space(**change)
        assert not set(keys) & {other.key(point) for point in grid(other.axes)}
    network = {"net": {"source": "pointnet2_study_sparse", "layers": [LAYER]}}
    assert not set(keys) & {_space(workloads=network).key(p) for p in grid(first.axes)}


def test_choices_derived_values_and_densities() -> None:
    axes = {
        "design": {"choices": {"gating": "eyeriss_like_gating", "onchip": []}},
        "kept": {"path": "workload.density.Weights", "values": [0.1, 1.0]},
        "rows": [4, 12],
        "extra": {"values": [1, 2], "when": "design == 'gating'"},
    }
    derive = {"architecture.ifmap_spad.mesh_y": "twice // 2", "twice": "rows * 2"}
    space = _space(axes=axes, derive=derive, filters=["rows > 4 or kept < 1"])
    points = list(grid(space.axes))
    assert len(points) == 2 * 2 * 2 + 2 * 2
    for point in points:
        assert space.hardware(point).accelerator.architecture.storage[3].mesh == (1, point["rows"])
        assert {layer.density("Weights").density for layer in space.network(point).layers} == {point["kept"]}
        word = 17 if point["design"] == "gating" else 16
        assert space.hardware(point).accelerator.architecture.storage[3].word_bits == word
        assert bool(space.refusal(point)) == (point["rows"] == 4 and point["kept"] == 1.0)


def test_chips_are_swept_whole() -> None:
    study = load_study("eyeriss_v2")
    network = replace(study.workloads["pointnet2_study_sparse"], layers=("fc3",))
    space = load_design_space(replace(study, workloads={"net": network}))
    point = {"cluster_rows": 8, "weight_pairs": 192, "iact_words": 16, "simd_width": 2, "workload": "net"}
    row, bound = PointEvaluator(space).evaluate(point), PointEvaluator(space).bound(point)
    layers = [layer for layer in load_workload("pointnet2_study_sparse").layers if layer.name == "fc3"]
    cost = load_hardware("eyeriss_v2").cost(layers)
    assert (row.metrics["energy_pj"], row.metrics["cycles"]) == (cost.energy_pj, cost.cycles)
    assert row.metrics["area_mm2"] == pytest.approx(sum(cost.area_um2.values()) / 1e6)
    assert row.metrics["inferences_per_s"] == pytest.approx(2 * 200e6 / cost.cycles)
    assert bound.bounds["energy_pj"] <= row.metrics["energy_pj"]


def test_a_size_under_constant_energies_is_refused() -> None:
    with pytest.raises(SpecError, match="psum_spad") as refused:
        _space(constant_energies=False)
    assert "axes.words" in refused.value.path
    assert "constant_energies" in refused.value.hint


def test_components_of_the_studies_have_the_energies_of_the_presets() -> None:
    """To the digits that the presets' tables were printed with."""
    space = load_design_space(load_study("eyeriss_like"))
    for design in ("gating", "onchip"):
        point = {"compression": design, "glb_depth": 12800, "columns": 14, "rows": 12, "workload": "dense"}
        preset = load_accelerator(f"eyeriss_like_{design}")
        made = space.hardware(point).accelerator
        assert made.architecture == preset.architecture
        assert made.policy == preset.policy
        ours, printed = resolved_energy(made), resolved_energy(preset)
        assert np.allclose(ours.storage, printed.storage, rtol=0, atol=1.1e-5)
        assert np.allclose(ours.compute, printed.compute, rtol=0, atol=1.1e-5)
        assert np.allclose(ours.areas, printed.areas, rtol=1e-6)


def test_shipped_studies_load() -> None:
    assert study_names() == ("eyeriss_like", "eyeriss_v2")
    for name in study_names():
        assert load_design_space(load_study(name)).axes
